"""Which SAML identity provider a connection believes: its entityID, sign-in address and signing certificates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select

from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import InvalidInputError, MetadataGivenMeanwhileError, NotFoundError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection, IdpCertificate, SamlProvider
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_alerts
from bridge.usecases.end_connection import believe

REFRESH_ALERT: Final = "metadata_not_refreshed"
_LONGEST_PROBLEM: Final = 1000
#: What is kept of the metadata beside the certificates, by the same names here and there.
_FACTS: Final = ("sso_url", "wants_signed_requests", "logout_url", "logout_response_url")


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
    logout_url: str | None = None
    logout_response_url: str | None = None


@dataclass(frozen=True, slots=True)
class MetadataSource:
    """Where an identity provider's metadata is read again, and by whose certificate (PEM) it must be signed there."""

    url: str
    signed_by: str | None = None


@dataclass(frozen=True, slots=True)
class TrustChange:
    """What other metadata changed: fingerprints of certificates, and the names of :class:`SamlTrust`'s other facts."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.added or self.removed or self.changed)


def trust_saml_provider(
    unit: Unit, connection_id: ConnectionId, trust: SamlTrust, source: MetadataSource | None = None
) -> Connection:
    """Set whose assertions a connection believes; certificates that the metadata no longer names are forgotten.

    Of another identity provider than before, nobody stays signed in by the former one.

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
    sessions_ended = believe(unit, connection, SignInProtocol.SAML, trust.entity_id)
    change = _believe(unit, connection_id, trust)
    provider = unit.session.get_one(SamlProvider, (unit.org_id, connection_id))
    provider.metadata_url = None if source is None else source.url
    provider.metadata_signed_by = None if source is None else source.signed_by
    _record(unit, connection, trust, change, reason="requested", sessions_ended=sessions_ended)
    _settle(unit, connection)
    return connection


def follow_metadata(
    unit: Unit, connection_id: ConnectionId, trust: SamlTrust, *, given_at: datetime, source: MetadataSource
) -> TrustChange:
    """Take over what the metadata says by now, read again where the connection has it from.

    Args:
        unit: The unit.
        connection_id: Which connection.
        trust: What the metadata says.
        given_at: When the connection was given what it believed as the reading began.
        source: Where it was read, and by whose certificate it was verified.

    Raises:
        InvalidInputError: It is of another entityID, or carries no certificate that is still valid.
        MetadataGivenMeanwhileError: Somebody has given the connection other metadata since: that stays.
        NotFoundError: There is no such connection.
    """
    unit.lock()
    connection = get_connection(unit, connection_id)
    believed = saml_provider(unit, connection_id)
    if believed is None or (believed.updated_at, _source_of(believed)) != (given_at, source):
        raise MetadataGivenMeanwhileError
    if trust.entity_id != connection.issuer:
        raise InvalidInputError("metadata", f"is of {trust.entity_id!r}, not of {connection.issuer!r}")
    change = _believe(unit, connection_id, trust)
    if change:
        _record(unit, connection, trust, change, reason="metadata_refreshed")
    _settle(unit, connection)
    return change


def _source_of(provider: SamlProvider) -> MetadataSource | None:
    return None if provider.metadata_url is None else MetadataSource(provider.metadata_url, provider.metadata_signed_by)


def note_failed_refresh(
    unit: Unit, connection_id: ConnectionId, problem: str, *, source: MetadataSource, alert: bool
) -> None:
    """Keep why metadata was not taken over; what was believed before still is.

    Args:
        unit: The unit.
        connection_id: Whose.
        problem: In words.
        source: Where it was to be read: nothing is noted once the connection has it from elsewhere.
        alert: Tell the owners; one that is open already stays the only one.
    """
    unit.lock()
    provider = unit.session.get_one(SamlProvider, (unit.org_id, connection_id))
    if _source_of(provider) != source:
        return
    provider.checked_at, provider.problem = unit.at, problem[:_LONGEST_PROBLEM]
    if alert:
        raise_alert(unit, REFRESH_ALERT, detail=_refresh_sentence(get_connection(unit, connection_id)), told_apart=True)


def _believe(unit: Unit, connection_id: ConnectionId, trust: SamlTrust) -> TrustChange:
    if not any(certificate.not_after > unit.at for certificate in trust.certificates):
        raise InvalidInputError("metadata", "every signing certificate in it has expired: fetch it again from the IdP")
    provider = saml_provider(unit, connection_id)
    if provider is None:
        provider = SamlProvider(org_id=unit.org_id, connection_id=connection_id, wants_signed_requests=False)
        unit.session.add(provider)
    changed = tuple(fact for fact in _FACTS if getattr(provider, fact) != getattr(trust, fact))
    for fact in _FACTS:
        setattr(provider, fact, getattr(trust, fact))
    provider.updated_at = unit.at
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
        changed=changed,
    )


def _record(
    unit: Unit,
    connection: Connection,
    trust: SamlTrust,
    change: TrustChange,
    *,
    reason: str,
    sessions_ended: int = 0,
) -> None:
    record(
        unit,
        "connection.saml_trusted",
        subject_kind="connection",
        subject_id=connection.id,
        reason=reason,
        body={
            "entity_id": trust.entity_id,
            **{fact: getattr(trust, fact) for fact in _FACTS},
            "certificates": [one.fingerprint for one in trust.certificates],
            "added": list(change.added),
            "removed": list(change.removed),
            "changed": list(change.changed),
            "sessions_ended": sessions_ended,
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
    idp_initiated: bool | None = None,
    jit: bool | None = None,
) -> SamlProvider:
    """Say how we speak to a SAML identity provider, and what its assertions may do; what is None stays as it is.

    Args:
        unit: The unit.
        connection_id: Whose provider.
        sign_requests: Sign our requests; until it is said, as the provider's metadata wants it.
        offers_encryption: Publish a key in our metadata that assertions can be encrypted to.
        idp_initiated: Take sign-ins that start at the identity provider.
        jit: Create who is new.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: The connection trusts no SAML identity provider.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    provider = saml_provider(unit, connection_id)
    if provider is None:
        raise NotFoundError("SAML identity provider", str(connection_id))
    connection = get_connection(unit, connection_id)
    before = _options(connection, provider)
    provider.sign_requests = provider.sign_requests if sign_requests is None else sign_requests
    provider.offers_encryption = provider.offers_encryption if offers_encryption is None else offers_encryption
    connection.idp_initiated = connection.idp_initiated if idp_initiated is None else idp_initiated
    connection.jit_enabled = connection.jit_enabled if jit is None else jit
    if (after := _options(connection, provider)) != before:
        record(
            unit,
            "connection.saml_options_set",
            subject_kind="connection",
            subject_id=connection_id,
            reason="requested",
            body=after,
            touches_seats=False,
        )
    return provider


def _options(connection: Connection, provider: SamlProvider) -> dict[str, bool | None]:
    return {
        "sign_requests": provider.sign_requests,
        "offers_encryption": provider.offers_encryption,
        "idp_initiated": connection.idp_initiated,
        "jit": connection.jit_enabled,
    }


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
