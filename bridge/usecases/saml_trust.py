"""Which SAML identity provider a connection believes: its entityID, sign-in address and signing certificates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection, IdpCertificate, SamlProvider
from bridge.store.unit import Unit


@dataclass(frozen=True, slots=True)
class TrustedCertificate:
    """A signing certificate of an identity provider; ``fingerprint`` is the SHA-256 of its DER form in hex."""

    pem: str
    fingerprint: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class SamlTrust:
    """What the metadata of an identity provider says: its entityID, sign-in address and signing certificates."""

    entity_id: str
    sso_url: str
    certificates: tuple[TrustedCertificate, ...]
    wants_signed_requests: bool = False


def trust_saml_provider(unit: Unit, connection_id: ConnectionId, trust: SamlTrust) -> Connection:
    """Set whose assertions a connection believes; certificates that the metadata no longer names are forgotten.

    Raises:
        InvalidInputError: The metadata carries no certificate that is still valid.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    if not any(certificate.not_after > unit.at for certificate in trust.certificates):
        raise InvalidInputError("metadata", "every signing certificate in it has expired: fetch it again from the IdP")
    connection.protocol, connection.issuer = SignInProtocol.SAML, trust.entity_id
    provider = saml_provider(unit, connection_id)
    if provider is None:
        provider = SamlProvider(org_id=unit.org_id, connection_id=connection_id)
        unit.session.add(provider)
    provider.sso_url, provider.updated_at = trust.sso_url, unit.at
    provider.wants_signed_requests = trust.wants_signed_requests
    unit.session.execute(
        delete(IdpCertificate).where(
            IdpCertificate.org_id == unit.org_id, IdpCertificate.connection_id == connection_id
        )
    )
    unit.session.add_all(
        IdpCertificate(
            org_id=unit.org_id,
            connection_id=connection_id,
            fingerprint=certificate.fingerprint,
            pem=certificate.pem,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        for certificate in trust.certificates
    )
    unit.session.flush()
    record(
        unit,
        "connection.saml_trusted",
        subject_kind="connection",
        subject_id=connection.id,
        reason="requested",
        body={"entity_id": trust.entity_id, "certificates": [c.fingerprint for c in trust.certificates]},
        touches_seats=False,
    )
    return connection


def set_saml_options(
    unit: Unit,
    connection_id: ConnectionId,
    *,
    sign_requests: bool | None = None,
    offers_encryption: bool | None = None,
) -> SamlProvider:
    """Say how we speak to a SAML identity provider; what is None stays as it is.

    Args:
        unit: The unit.
        connection_id: Whose provider.
        sign_requests: Sign our requests; until it is said, as the provider's metadata wants it.
        offers_encryption: Publish a key in our metadata that assertions can be encrypted to.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: The connection trusts no SAML identity provider.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    provider = saml_provider(unit, connection_id)
    if provider is None:
        raise NotFoundError("SAML identity provider", str(connection_id))
    before = (provider.sign_requests, provider.offers_encryption)
    provider.sign_requests = before[0] if sign_requests is None else sign_requests
    provider.offers_encryption = before[1] if offers_encryption is None else offers_encryption
    if (provider.sign_requests, provider.offers_encryption) != before:
        record(
            unit,
            "connection.saml_options_set",
            subject_kind="connection",
            subject_id=connection_id,
            reason="requested",
            body={"sign_requests": provider.sign_requests, "offers_encryption": provider.offers_encryption},
            touches_seats=False,
        )
    return provider


def certificates_of(unit: Unit, connection_id: ConnectionId) -> Sequence[IdpCertificate]:
    """Return the signing certificates a connection believes, the one that ends first in front."""
    return unit.session.scalars(
        select(IdpCertificate)
        .where(IdpCertificate.org_id == unit.org_id, IdpCertificate.connection_id == connection_id)
        .order_by(IdpCertificate.not_after, IdpCertificate.fingerprint)
    ).all()


def saml_provider(unit: Unit, connection_id: ConnectionId) -> SamlProvider | None:
    """Return what a connection's metadata said; None for one that does not sign in by SAML."""
    return unit.session.get(SamlProvider, (unit.org_id, connection_id))
