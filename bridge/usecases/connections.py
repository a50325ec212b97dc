"""Connections to identity providers: their SCIM tokens, and the domains whose people they sign in."""

import re
import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select

from bridge.domain.credentials import SCIM_TOKEN_PREFIX, Credential, new_credential
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError, TokenLimitError, UniquenessError
from bridge.store.directory import get_connection, get_member, manual_connection
from bridge.store.journal import record
from bridge.store.models import Connection, Domain, ScimToken, SignInEvent
from bridge.store.unit import Unit

#: Of each kind (writing, reading, of one person): the old and the new one while an administrator moves over.
LIVE_TOKENS = 2
TOKEN_LIFETIME = timedelta(days=365)
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def create_connection(unit: Unit, name: str) -> Connection:
    """Create a connection for one identity provider.

    Raises:
        ForbiddenError: The actor may not change connections.
        InvalidInputError: The name is empty or taken.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    name = name.strip()
    if not name:
        raise InvalidInputError("name", "give the connection a name, such as Okta")
    if any(connection.name.casefold() == name.casefold() for connection in list_connections(unit)):
        raise InvalidInputError("name", f"there is a connection {name!r} already")
    connection = Connection(
        org_id=unit.org_id, id=ConnectionId(new_id()), kind="idp", name=name, created_at=unit.at, jit_enabled=True
    )
    unit.session.add(connection)
    unit.session.flush()
    record(unit, "connection.created", subject_kind="connection", subject_id=connection.id, reason="requested")
    return connection


def list_connections(unit: Unit) -> Sequence[Connection]:
    """Return the connections to identity providers, oldest first."""
    return unit.session.scalars(
        select(Connection)
        .where(Connection.org_id == unit.org_id, Connection.kind == "idp")
        .order_by(Connection.created_at, Connection.name)
    ).all()


def find_connection(unit: Unit, name_or_id: str) -> Connection:
    """Return a connection by its name (without case) or id.

    Raises:
        NotFoundError: There is none.
    """
    for connection in list_connections(unit):
        if name_or_id == str(connection.id) or name_or_id.casefold() == connection.name.casefold():
            return connection
    raise NotFoundError("connection", name_or_id)


def set_jit(unit: Unit, connection_id: ConnectionId, *, jit: bool) -> Connection:
    """Say whether a sign-in by a connection creates who is not here yet.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    if connection.jit_enabled != jit:
        connection.jit_enabled = jit
        unit.session.flush()
        record(
            unit,
            "connection.jit_set",
            subject_kind="connection",
            subject_id=connection.id,
            reason="requested",
            body={"jit": jit},
            touches_seats=False,
        )
    return connection


def issue_scim_token(
    unit: Unit,
    connection_id: ConnectionId,
    *,
    label: str = "",
    can_write: bool = True,
    lifetime: timedelta = TOKEN_LIFETIME,
) -> Credential:
    """Issue a bearer token for a connection's provisioning client; its text exists only in the answer.

    Raises:
        TokenLimitError: Two tokens that may do the same live already: revoke one first.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    alike = [token.prefix for token in live_tokens(unit, connection_id) if token.can_write == can_write]
    if len(alike) >= LIVE_TOKENS:
        raise TokenLimitError("that write" if can_write else "that only read", alike)
    return _issue(unit, connection_id, None, label=label, can_write=can_write, lifetime=lifetime)


def issue_personal_token(
    unit: Unit,
    connection_id: ConnectionId,
    member_id: MemberId,
    *,
    label: str = "",
    lifetime: timedelta = TOKEN_LIFETIME,
) -> Credential:
    """Issue a bearer token that belongs to one person: it opens discovery and reads ``/Me``, nothing else.

    It ends with the person's access: for good when that is turned off, and with the person when they are removed.

    Raises:
        TokenLimitError: Two tokens of the person live already: revoke one first.
        NotFoundError: There is no such connection or person.
        InvalidInputError: The person's access is off, or another connection manages the person.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    member = get_member(unit, member_id)
    if not member.active:
        raise InvalidInputError(
            "member", "is deactivated: turn their access on again first, where they are managed (directory or console)"
        )
    if member.connection_id not in {connection_id, manual_connection(unit).id}:
        raise InvalidInputError("member", "another connection manages this person: issue the token there")
    theirs = [token.prefix for token in personal_tokens(unit, member_id)]
    if len(theirs) >= LIVE_TOKENS:
        raise TokenLimitError("of this person", theirs)
    return _issue(unit, connection_id, member_id, label=label, can_write=False, lifetime=lifetime)


def _issue(
    unit: Unit,
    connection_id: ConnectionId,
    member_id: MemberId | None,
    *,
    label: str,
    can_write: bool,
    lifetime: timedelta,
) -> Credential:
    connection = get_connection(unit, connection_id)
    if lifetime <= timedelta(0):
        raise InvalidInputError("lifetime", "must be longer than nothing")
    credential = new_credential(SCIM_TOKEN_PREFIX)
    token = ScimToken(
        org_id=unit.org_id,
        id=new_id(),
        connection_id=connection.id,
        label=label or f"{connection.name} {unit.at:%Y-%m-%d}",
        prefix=credential.prefix,
        token_hash=credential.hash,
        can_write=can_write,
        member_id=member_id,
        created_at=unit.at,
        expires_at=unit.at + lifetime,
        revoked_at=None,
        last_used_at=None,
    )
    unit.session.add(token)
    unit.session.flush()
    record(
        unit,
        "token.issued",
        subject_kind="token",
        subject_id=token.id,
        reason="requested",
        body={"connection": str(connection.id), "can_write": can_write}
        | ({} if member_id is None else {"member": str(member_id)}),
        touches_seats=False,
    )
    return credential


def live_tokens(unit: Unit, connection_id: ConnectionId) -> Sequence[ScimToken]:
    """Return the tokens that were handed to clients of a connection, neither revoked nor expired, oldest first."""
    return _live(
        unit, ScimToken.connection_id == connection_id, ScimToken.member_id.is_(None), ScimToken.client_id.is_(None)
    )


def personal_tokens(unit: Unit, member_id: MemberId | None = None) -> Sequence[ScimToken]:
    """Return the live tokens that belong to a person, or to anybody, oldest first."""
    whose = ScimToken.member_id.is_not(None) if member_id is None else ScimToken.member_id == member_id
    return _live(unit, whose)


def _live(unit: Unit, *conditions: ColumnElement[bool]) -> Sequence[ScimToken]:
    return unit.session.scalars(
        select(ScimToken)
        .where(
            ScimToken.org_id == unit.org_id,
            ScimToken.revoked_at.is_(None),
            ScimToken.expires_at > unit.at,
            *conditions,
        )
        .order_by(ScimToken.created_at, ScimToken.id)
    ).all()


def revoke_scim_token(unit: Unit, token_id: uuid.UUID) -> ScimToken:
    """Revoke a token: the next request with it is refused.

    Raises:
        NotFoundError: There is no such token.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    token = unit.session.get(ScimToken, (unit.org_id, token_id))
    if token is None:
        raise NotFoundError("token", str(token_id))
    if token.revoked_at is None:
        token.revoked_at = unit.at
        record(
            unit, "token.revoked", subject_kind="token", subject_id=token.id, reason="requested", touches_seats=False
        )
    return token


def claim_domain(unit: Unit, name: str, connection_id: ConnectionId | None = None) -> Domain:
    """Claim a mail domain; it counts once it is verified.

    The answer carries the TXT record that proves the claim: ``seatbridge-verification=<challenge>``.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    name = normalized_domain(name)
    if connection_id is not None:
        get_connection(unit, connection_id)
    domain = unit.session.get(Domain, (unit.org_id, name))
    if domain is None:
        domain = Domain(
            org_id=unit.org_id,
            name=name,
            challenge=new_credential().text,
            connection_id=connection_id,
            created_at=unit.at,
            verified_at=None,
            verified_by=None,
        )
        unit.session.add(domain)
    elif connection_id is not None:
        domain.connection_id = connection_id
    unit.session.flush()
    record(unit, "domain.claimed", subject_kind="domain", subject_id=name, reason="requested", touches_seats=False)
    return domain


def verify_domain(unit: Unit, name: str, *, proof: Sequence[str] | None = None) -> Domain:
    """Verify a claimed domain: by its TXT records, or on the word of the operator of this installation.

    Args:
        unit: The unit.
        name: The claimed domain.
        proof: The TXT records found; None when the operator vouches for it.

    One that is verified already is verified again: what was vouched for can be proved later.

    Raises:
        NotFoundError: The domain was not claimed.
        InvalidInputError: The record is missing; the message says which.
        UniquenessError: Another organization has verified the domain.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    name = normalized_domain(name)
    domain = unit.session.get(Domain, (unit.org_id, name))
    if domain is None:
        raise NotFoundError("domain", name)
    expected = f"seatbridge-verification={domain.challenge}"
    if proof is not None and expected not in proof:
        still = "" if domain.verified_at is None else "; it stays verified until `seatbridge domain remove`"
        raise InvalidInputError("domain", f"{name} has no TXT record {expected}{still}")
    verified_by = "operator" if proof is None else "dns"
    if domain.verified_at is not None and domain.verified_by == verified_by:
        return domain
    taken = domain.verified_at is None and unit.session.scalar(select(func.count()).select_from(func.find_domain(name)))
    if taken:
        raise UniquenessError(attribute="domain", value=name, taken_by="another organization")
    domain.verified_at, domain.verified_by = unit.at, verified_by
    unit.session.flush()
    record(unit, "domain.verified", subject_kind="domain", subject_id=name, reason=verified_by, touches_seats=False)
    return domain


def remove_domain(unit: Unit, name: str) -> None:
    """Give a domain up: it links nobody and finds no sign-in any more, and another organization may verify it.

    Who was linked by it stays linked.

    Raises:
        NotFoundError: The domain was not claimed.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    name = normalized_domain(name)
    domain = unit.session.get(Domain, (unit.org_id, name))
    if domain is None:
        raise NotFoundError("domain", name)
    unit.session.delete(domain)
    unit.session.flush()
    record(
        unit,
        "domain.removed",
        subject_kind="domain",
        subject_id=name,
        reason="requested",
        body={"verified_by": domain.verified_by},
        touches_seats=False,
    )


def list_sign_ins(unit: Unit, connection_id: ConnectionId, limit: int = 50) -> Sequence[SignInEvent]:
    """Return how the newest sign-ins of a connection ended, refused ones with their reason, newest first."""
    return unit.session.scalars(
        select(SignInEvent)
        .where(SignInEvent.org_id == unit.org_id, SignInEvent.connection_id == connection_id)
        .order_by(SignInEvent.at.desc(), SignInEvent.seq.desc())
        .limit(limit)
    ).all()


def list_domains(unit: Unit) -> Sequence[Domain]:
    """Return the domains of the organization, claimed and verified, by name."""
    return unit.session.scalars(select(Domain).where(Domain.org_id == unit.org_id).order_by(Domain.name)).all()


def normalized_domain(name: str) -> str:
    """Return a domain in its one form: lower case, IDNA, without the trailing dot."""
    try:
        ascii_name = name.strip().rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        ascii_name = ""
    if not _DOMAIN.fullmatch(ascii_name):
        raise InvalidInputError("domain", f"{name!r} is not a domain such as example.com")
    return ascii_name
