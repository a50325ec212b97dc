"""Which SAML identity provider a connection believes: its entityID, sign-in address and signing certificates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select

from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection, IdpCertificate, SamlProvider
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_alerts

REFRESH_ALERT: Final = "metadata_not_refreshed"
_LONGEST_PROBLEM: Final = 1000


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


@dataclass(frozen=True, slots=True)
class MetadataSource:
    """Where an identity provider's metadata is read again, and by whose certificate (PEM) it must be signed there."""

    url: str
    signed_by: str | None = None


@dataclass(frozen=True, slots=True)
class TrustChange:
    """What other metadata changed: fingerprints of certificates, and whether the sign-in address is another."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    moved: bool

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.added or self.removed or self.moved)


def trust_saml_provider(
    unit: Unit, connection_id: ConnectionId, trust: SamlTrust, source: MetadataSource | None = None
) -> Connection:
    """Set whose assertions a connection believes; certificates that the metadata no longer names are forgotten.

    Args:
        unit: The unit.
        connection_id: Which connection.
        trust: What the metadata says.
        source: Where it is read again from now on; None for a file, which isn't.

    Raises:
        ForbiddenError: The actor may not change connections.
        InvalidInputError: The metadata carries no certificate that is still valid.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    connection.protocol, connection.issuer = SignInProtocol.SAML, trust.entity_id
    change = _believe(unit, connection_id, trust)
    provider = unit.session.get_one(SamlProvider, (unit.org_id, connection_id))
    provider.metadata_url = None if source is None else source.url
    provider.metadata_signed_by = None if source is None else source.signed_by
    _record(unit, connection, trust, change, reason="requested")
    _settle(unit, connection)
    return connection


def follow_metadata(unit: Unit, connection_id: ConnectionId, trust: SamlTrust) -> TrustChange:
    """Take over what the metadata says by now, read again where the connection has it from.

    Raises:
        InvalidInputError: It is of another entityID, or carries no certificate that is still valid.
        NotFoundError: There is no such connection.
    """
    unit.lock()
    connection = get_connection(unit, connection_id)
    if trust.entity_id != connection.issuer:
        raise InvalidInputError("metadata", f"is of {trust.entity_id!r}, not of {connection.issuer!r}")
    change = _believe(unit, connection_id, trust)
    if change:
        _record(unit, connection, trust, change, reason="metadata_refreshed")
    _settle(unit, connection)
    return change


def note_failed_refresh(unit: Unit, connection_id: ConnectionId, problem: str, *, alert: bool) -> None:
    """Keep why metadata was not taken over; what was believed before still is.

    Args:
        unit: The unit.
        connection_id: Whose.
        problem: In words.
        alert: Tell the owners; one that is open already stays the only one.
    """
    unit.lock()
    provider = unit.session.get_one(SamlProvider, (unit.org_id, connection_id))
    provider.checked_at, provider.problem = unit.at, problem[:_LONGEST_PROBLEM]
    if alert:
        raise_alert(unit, REFRESH_ALERT, detail=_refresh_sentence(get_connection(unit, connection_id)), told_apart=True)


def _believe(unit: Unit, connection_id: ConnectionId, trust: SamlTrust) -> TrustChange:
    if not any(certificate.not_after > unit.at for certificate in trust.certificates):
        raise InvalidInputError("metadata", "every signing certificate in it has expired: fetch it again from the IdP")
    provider = saml_provider(unit, connection_id)
    if provider is None:
        provider = SamlProvider(org_id=unit.org_id, connection_id=connection_id, sso_url="")
        unit.session.add(provider)
    moved = provider.sso_url != trust.sso_url
    provider.sso_url, provider.updated_at = trust.sso_url, unit.at
    provider.wants_signed_requests = trust.wants_signed_requests
    provider.checked_at, provider.problem = unit.at, None
    before = {kept.fingerprint: kept for kept in certificates_of(unit, connection_id)}
    named = {certificate.fingerprint: certificate for certificate in trust.certificates}
    for fingerprint, kept in before.items():
        if fingerprint not in named:
            unit.session.delete(kept)
    unit.session.add_all(
        IdpCertificate(
            org_id=unit.org_id,
            connection_id=connection_id,
            fingerprint=certificate.fingerprint,
            pem=certificate.pem,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        for fingerprint, certificate in named.items()
        if fingerprint not in before
    )
    unit.session.flush()
    return TrustChange(
        added=tuple(sorted(named.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - named.keys())),
        moved=moved,
    )


def _record(unit: Unit, connection: Connection, trust: SamlTrust, change: TrustChange, *, reason: str) -> None:
    record(
        unit,
        "connection.saml_trusted",
        subject_kind="connection",
        subject_id=connection.id,
        reason=reason,
        body={
            "entity_id": trust.entity_id,
            "sso_url": trust.sso_url,
            "certificates": [one.fingerprint for one in trust.certificates],
            "added": list(change.added),
            "removed": list(change.removed),
        },
        touches_seats=False,
    )


def _settle(unit: Unit, connection: Connection) -> None:
    resolve_alerts(unit, REFRESH_ALERT, details=[_refresh_sentence(connection)])


def _refresh_sentence(connection: Connection) -> str:
    return (
        f"The metadata of the identity provider of the connection {connection.name} cannot be read again: people sign "
        "in by what was read last, and a new certificate would be missed. `seatbridge connection show` says why"
    )


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


def due_refreshes(unit: Unit, every: timedelta) -> Sequence[ConnectionId]:
    """Return the connections whose metadata has an address and was not asked for within that time."""
    return unit.session.scalars(
        select(SamlProvider.connection_id)
        .join(
            Connection,
            (Connection.org_id == SamlProvider.org_id) & (Connection.id == SamlProvider.connection_id),
        )
        .where(
            SamlProvider.org_id == unit.org_id,
            SamlProvider.metadata_url.is_not(None),
            Connection.protocol == SignInProtocol.SAML,
            Connection.disabled_at.is_(None),
            or_(SamlProvider.checked_at.is_(None), SamlProvider.checked_at <= unit.at - every),
        )
        .order_by(SamlProvider.connection_id)
    ).all()
