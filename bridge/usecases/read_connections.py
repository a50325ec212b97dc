"""How the connections are doing: what came lately, what was refused, and what ends next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from sqlalchemy import ColumnElement, func, select

from bridge.domain.connection_health import ConnectionState, Expiring, Expiry, state_of
from bridge.domain.dialects import GENERIC, Behaviour
from bridge.domain.identifiers import ConnectionId
from bridge.domain.request_log import first_id_of
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import NotFoundError
from bridge.store.directory import get_connection
from bridge.store.models import Connection, IdpCertificate, LoggedRequest, Member, ScimToken, SignInEvent
from bridge.store.unit import Unit
from bridge.usecases.connections import list_connections
from bridge.usecases.read_requests import behaviours

#: What "lately" means.
LATELY: Final = timedelta(hours=24)
#: Requests are counted up to here: beyond, a page says "more than".
COUNTED: Final = 1000

_CREDENTIAL_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_REFUSED = HTTPStatus.BAD_REQUEST


@dataclass(frozen=True, slots=True)
class ConnectionHealth:
    """A connection, and how it is doing.

    Attributes:
        state: In one word.
        behaviour: Whom its requests look like.
        people: How many active people it has, by how they came (``scim``, ``jit``).
        requests: How many requests came in the last 24 hours, counted up to :data:`COUNTED`.
        failed: How many of them were refused.
        sign_ins: How many sign-ins ended well in the last 24 hours.
        refused_sign_ins: How many were refused.
        expiry: What ends first: its certificates or its tokens; None where nothing does.
    """

    connection: Connection
    state: ConnectionState
    behaviour: Behaviour
    people: Mapping[str, int]
    requests: int
    failed: int
    sign_ins: int
    refused_sign_ins: int
    expiry: Expiry | None
    at: datetime

    @property
    def days_left(self) -> int | None:
        """The whole days until something ends; None where nothing does."""
        return None if self.expiry is None else self.expiry.days_left(self.at)


def read_connections(unit: Unit, *, counts_people: bool = True) -> tuple[ConnectionHealth, ...]:
    """Return every connection to an identity provider, oldest first.

    Args:
        unit: The unit.
        counts_people: Count the people of each, which costs more the more there are; otherwise nobody is counted.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    return _read(unit, list_connections(unit), counts_people=counts_people)


def read_connection(unit: Unit, connection_id: ConnectionId) -> ConnectionHealth:
    """Return one connection.

    Raises:
        ForbiddenError: The actor may not open the console.
        NotFoundError: There is none, or it is of no identity provider.
    """
    unit.require(Permission.SEE_CONSOLE)
    return _read(unit, [identity_connection(unit, connection_id)], counts_people=True)[0]


def identity_connection(unit: Unit, connection_id: ConnectionId) -> Connection:
    """Return a connection to an identity provider.

    Raises:
        NotFoundError: There is none; those of people whom nobody manages are none either.
    """
    connection = get_connection(unit, connection_id)
    if connection.kind != "idp":
        raise NotFoundError("connection", str(connection_id))
    return connection


def _read(unit: Unit, connections: Sequence[Connection], *, counts_people: bool) -> tuple[ConnectionHealth, ...]:
    behaving, ends = behaviours(unit), _ends(unit)
    people = _people(unit, connections) if counts_people else {}
    since = unit.at - LATELY
    sign_ins = _sign_ins(unit, since)
    found = []
    for one in connections:
        came = (
            LoggedRequest.org_id == unit.org_id,
            LoggedRequest.id >= first_id_of(since),
            LoggedRequest.connection_id == one.id,
        )
        newest = unit.session.scalar(
            select(LoggedRequest.status).where(*came).order_by(LoggedRequest.id.desc()).limit(1)
        )
        expiry = min(ends.get(one.id, ()), key=lambda end: end.at, default=None)
        well, refused = sign_ins.get(one.id, (0, 0))
        found.append(
            ConnectionHealth(
                connection=one,
                state=state_of(
                    disabled=one.disabled_at is not None,
                    is_refused=newest in _CREDENTIAL_REFUSED or (newest or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR,
                    is_used=one.scim_last_used_at is not None or one.last_sign_in_at is not None,
                    expiry=expiry,
                    now=unit.at,
                ),
                behaviour=behaving.get(one.id, GENERIC),
                people=people.get(one.id, {}),
                requests=_count(unit, *came),
                failed=_count(unit, *came, LoggedRequest.status >= _REFUSED),
                sign_ins=well,
                refused_sign_ins=refused,
                expiry=expiry,
                at=unit.at,
            )
        )
    return tuple(found)


def _count(unit: Unit, *conditions: ColumnElement[bool]) -> int:
    some = select(LoggedRequest.id).where(*conditions).limit(COUNTED + 1).subquery()
    return unit.session.scalar(select(func.count()).select_from(some)) or 0


def _people(unit: Unit, connections: Sequence[Connection]) -> dict[ConnectionId, dict[str, int]]:
    rows = unit.session.execute(
        select(Member.connection_id, Member.source, func.count())
        .where(
            Member.org_id == unit.org_id,
            Member.connection_id.in_([one.id for one in connections]),
            Member.active,
        )
        .group_by(Member.connection_id, Member.source)
    )
    found: dict[ConnectionId, dict[str, int]] = {}
    for connection_id, source, number in rows:
        found.setdefault(connection_id, {})[source] = number
    return found


def _sign_ins(unit: Unit, since: datetime) -> dict[ConnectionId, tuple[int, int]]:
    well = func.count().filter(SignInEvent.outcome.in_(("signed_in", "provisioned")))
    refused = func.count().filter(SignInEvent.outcome == "refused")
    rows = unit.session.execute(
        select(SignInEvent.connection_id, well, refused)
        .where(SignInEvent.org_id == unit.org_id, SignInEvent.at >= since)
        .group_by(SignInEvent.connection_id)
    )
    return {ConnectionId(row[0]): (row[1], row[2]) for row in rows if row[0] is not None}


def _ends(unit: Unit) -> dict[ConnectionId, list[Expiry]]:
    """Return until when each connection's certificates and tokens reach, the last of each kind.

    A token that nobody has used yet counts only where none is used: the client does not have it.
    """
    certificates = (
        select(IdpCertificate.connection_id, func.max(IdpCertificate.not_after))
        .join(
            Connection,
            (Connection.org_id == IdpCertificate.org_id) & (Connection.id == IdpCertificate.connection_id),
        )
        .where(IdpCertificate.org_id == unit.org_id, Connection.protocol == SignInProtocol.SAML)
        .group_by(IdpCertificate.connection_id)
    )
    tokens = (
        select(
            ScimToken.connection_id,
            func.coalesce(
                func.max(ScimToken.expires_at).filter(ScimToken.last_used_at.is_not(None)),
                func.max(ScimToken.expires_at),
            ),
        )
        .where(
            ScimToken.org_id == unit.org_id,
            ScimToken.revoked_at.is_(None),
            ScimToken.member_id.is_(None),
            ScimToken.client_id.is_(None),
            ScimToken.can_write,
        )
        .group_by(ScimToken.connection_id)
    )
    found: dict[ConnectionId, list[Expiry]] = {}
    for what, statement in ((Expiring.CERTIFICATE, certificates), (Expiring.TOKEN, tokens)):
        for connection_id, at in unit.session.execute(statement):
            found.setdefault(connection_id, []).append(Expiry(what, at))
    return found
