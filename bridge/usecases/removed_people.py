"""Whom a directory has removed: kept without a name, so that a mere sign-in doesn't bring them back.

Each name that a removed person had is kept as an HMAC under a key that only the service has: it can be recognised when
it is asserted again, and never read.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Uuid, any_, delete, exists, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bridge.domain.actors import ActorKind
from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.domain.roles import Permission
from bridge.errors import NotFoundError
from bridge.store.departed import departed_from
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection, Identity, Member, RemovedPerson
from bridge.store.unit import Unit
from bridge.usecases.provisional import has_pushed

_PURPOSE: Final = b"seatbridge removed people"
Subject = tuple[str, str, str]
"""Protocol, issuer and subject there."""


def remember_removed(unit: Unit, members: Sequence[Member]) -> None:
    """Keep under which names the directories of people knew them, who are about to be removed; call before they are.

    Only of whom a directory pushed or removes, also where the brake held it for an owner: whom somebody here removes by
    hand may come back by a sign-in.
    """
    by_directory = unit.actor.kind is ActorKind.DIRECTORY
    directories = _directories(unit)
    theirs = [
        one
        for one in members
        if one.source == "scim" or by_directory or one.connection_id in directories.keys() - set(directories.values())
    ]
    if not theirs:
        return
    subjects: dict[MemberId, list[Subject]] = {}
    gone = any_(literal([one.id for one in theirs], ARRAY(Uuid)))
    for link in unit.session.scalars(
        select(Identity).where(Identity.org_id == unit.org_id, Identity.member_id == gone)
    ):
        subjects.setdefault(link.member_id, []).append((link.protocol, link.issuer, link.subject))
    for one in theirs:
        if one.connection_id in directories:
            names = {one.user_name, *([one.email] if one.email else [])}
            known = _Known(names, subjects.get(one.id, ()), one.external_id)
            _remember(unit, directories[one.connection_id], one.id, known)


def remember_former_name(unit: Unit, member: Member) -> None:
    """Keep the userName that a person had until now: it counts once they are removed."""
    directory = _directories(unit).get(ConnectionId(member.connection_id))
    if directory is not None:
        _remember(unit, directory, member.id, _Known({member.user_name}))


def _remember(unit: Unit, connection_id: ConnectionId, member_id: MemberId, known: "_Known") -> None:
    statement = insert(RemovedPerson).values(
        [
            {
                "org_id": unit.org_id,
                "connection_id": connection_id,
                "digest": digest,
                "member_id": member_id,
                "removed_at": unit.at,
            }
            for digest in known.digests(unit.audit_keys[0], connection_id)
        ]
    )
    newest = {"member_id": statement.excluded.member_id, "removed_at": statement.excluded.removed_at}
    unit.session.execute(
        statement.on_conflict_do_update(index_elements=["org_id", "connection_id", "digest"], set_=newest)
    )


def who_removed(unit: Unit, *, subject: Subject, names: Collection[str]) -> Connection | None:
    """Return a connection whose directory, which is not turned off, has removed somebody known by one of these.

    The externalId is not among them: what one directory numbers its people by is nobody's subject (T5).
    """
    known = _asserted(subject, names)
    for connection in unit.session.scalars(
        select(Connection)
        .where(Connection.org_id == unit.org_id, Connection.kind == "idp", Connection.disabled_at.is_(None))
        .order_by(Connection.created_at, Connection.id)
    ):
        found = select(RemovedPerson.member_id).where(
            *_gone_from(unit, connection.id),
            RemovedPerson.digest.in_(known.any_digests(unit.audit_keys, connection.id)),
        )
        if has_pushed(unit, connection) and unit.session.scalars(found.limit(1)).first() is not None:
            return connection
    return None


def _gone_from(unit: Unit, connection_id: ConnectionId) -> tuple[ColumnElement[bool], ...]:
    """Return what holds of the rows of whom a directory removed, and not of former names of who is here."""
    is_here = exists().where(Member.org_id == RemovedPerson.org_id, Member.id == RemovedPerson.member_id)
    return RemovedPerson.org_id == unit.org_id, RemovedPerson.connection_id == connection_id, ~is_here


def digests_of(
    audit_keys: Sequence[bytes], connection_id: ConnectionId, *, subject: Subject, names: Collection[str]
) -> set[bytes]:
    """Return all that somebody would be recognised by whom a connection's directory removed, known by one of these."""
    return _asserted(subject, names).any_digests(audit_keys, connection_id)


def readmit(unit: Unit, connection_id: ConnectionId, name: str) -> int:
    """Let whom a directory has removed come back by a sign-in; return how many people of that name there were.

    Args:
        unit: The unit.
        connection_id: Whose directory removed them.
        name: The userName, externalId or subject they had.

    Raises:
        ForbiddenError: The actor may not manage people.
        NotFoundError: There is no such connection, or nobody of that name was removed.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    connection = get_connection(unit, connection_id)
    subjects = [(connection.protocol, connection.issuer, name)] if connection.protocol and connection.issuer else []
    mine = _gone_from(unit, connection_id)
    known = _Known({name}, subjects, name)
    people = unit.session.scalars(
        select(RemovedPerson.member_id)
        .where(*mine, RemovedPerson.digest.in_(known.any_digests(unit.audit_keys, connection_id)))
        .distinct()
    ).all()
    if not people:
        raise NotFoundError("removed person", name)
    unit.session.execute(delete(RemovedPerson).where(*mine, RemovedPerson.member_id.in_(people)))
    for member_id in sorted(people):
        record(
            unit,
            "member.readmitted",
            subject_kind="member",
            subject_id=member_id,
            reason="by_hand",
            body={"connection": str(connection_id)},
            touches_seats=False,
        )
    return len(people)


def forget_removed(unit: Unit, connection_id: ConnectionId, user_name: str, external_id: str | None) -> None:
    """Forget that somebody was removed: their directory names them again."""
    known = _Known({user_name}, external_id=external_id)
    mine = (RemovedPerson.org_id == unit.org_id, RemovedPerson.connection_id == connection_id)
    named = select(RemovedPerson.member_id).where(
        *mine, RemovedPerson.digest.in_(known.any_digests(unit.audit_keys, connection_id))
    )
    unit.session.execute(delete(RemovedPerson).where(*mine, RemovedPerson.member_id.in_(named)))


def _directories(unit: Unit) -> Mapping[ConnectionId, ConnectionId]:
    """Return the directory of each connection whose people a directory pushed, those of the departed included."""
    ids = unit.session.scalars(
        select(Connection.id).where(Connection.org_id == unit.org_id, Connection.kind == "idp")
    ).all()
    return {each: one for one in ids for each in (one, departed_from(one))}


@dataclass(frozen=True, slots=True)
class _Known:
    """By what somebody is known: userNames and addresses, subjects, and what their directory numbers them by."""

    names: Collection[str]
    subjects: Collection[Subject] = ()
    external_id: str | None = None

    def digests(self, key: bytes, connection_id: ConnectionId) -> set[bytes]:
        """Return the digests under a key, each for this connection alone."""
        own_key = hmac.digest(key, _PURPOSE, "sha256")
        numbers = () if self.external_id is None else (self.external_id,)
        texts = [
            *("\0".join(("name", str(connection_id), comparison_key(name))) for name in self.names),
            *("\0".join(("number", str(connection_id), number)) for number in numbers),
            *("\0".join(("subject", str(connection_id), *subject)) for subject in self.subjects),
        ]
        return {hmac.digest(own_key, text.encode("utf-8", "surrogatepass"), "sha256") for text in texts}

    def any_digests(self, audit_keys: Sequence[bytes], connection_id: ConnectionId) -> set[bytes]:
        """Return the digests under every key that may have been the first when they were made."""
        return {digest for key in audit_keys for digest in self.digests(key, connection_id)}


def _asserted(subject: Subject, names: Collection[str]) -> _Known:
    """Return by what an answer may know somebody; the subject may have been their userName."""
    return _Known({*names, subject[-1]}, [subject])
