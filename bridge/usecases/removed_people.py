"""Whom a directory has removed: kept without a name, so that a mere sign-in doesn't bring them back.

Each name that a removed person had is kept as an HMAC under a key that only the service has: it can be recognised when
it is asserted again, and never read.
"""

import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Uuid, any_, delete, literal, select
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

    Only of whom a directory pushed or removes: whom somebody here removes by hand may come back by a sign-in.
    """
    theirs = [one for one in members if one.source == "scim" or unit.actor.kind is ActorKind.DIRECTORY]
    if not theirs:
        return
    directories = _directories(unit)
    subjects: dict[MemberId, list[Subject]] = {}
    gone = any_(literal([one.id for one in theirs], ARRAY(Uuid)))
    for link in unit.session.scalars(
        select(Identity).where(Identity.org_id == unit.org_id, Identity.member_id == gone)
    ):
        subjects.setdefault(link.member_id, []).append((link.protocol, link.issuer, link.subject))
    rows = [
        {
            "org_id": unit.org_id,
            "connection_id": directories[one.connection_id],
            "digest": digest,
            "member_id": one.id,
            "removed_at": unit.at,
        }
        for one in theirs
        if one.connection_id in directories
        for digest in _digests(
            unit.audit_keys[0],
            directories[one.connection_id],
            subjects.get(one.id, ()),
            {one.user_name, *([one.external_id] if one.external_id else [])},
        )
    ]
    if rows:
        statement = insert(RemovedPerson).values(rows)
        newest = {"member_id": statement.excluded.member_id, "removed_at": statement.excluded.removed_at}
        unit.session.execute(
            statement.on_conflict_do_update(index_elements=["org_id", "connection_id", "digest"], set_=newest)
        )


def was_removed(unit: Unit, connection: Connection, *, subject: Subject, names: Collection[str]) -> bool:
    """Tell whether the connection's directory, which pushes still, has removed somebody known by one of these."""
    digests = digests_of(unit.audit_keys, connection.id, subject=subject, names=names)
    found = select(RemovedPerson.member_id).where(
        RemovedPerson.org_id == unit.org_id,
        RemovedPerson.connection_id == connection.id,
        RemovedPerson.digest.in_(digests),
    )
    return unit.session.scalars(found.limit(1)).first() is not None and has_pushed(unit, connection)


def digests_of(
    audit_keys: Sequence[bytes], connection_id: ConnectionId, *, subject: Subject, names: Collection[str]
) -> set[bytes]:
    """Return all that somebody would be recognised by who was removed and is known by one of these."""
    return _any_digests(audit_keys, connection_id, [subject], {*names, subject[-1]})


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
    mine = (RemovedPerson.org_id == unit.org_id, RemovedPerson.connection_id == connection_id)
    people = unit.session.scalars(
        select(RemovedPerson.member_id)
        .where(*mine, RemovedPerson.digest.in_(_any_digests(unit.audit_keys, connection_id, subjects, {name})))
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
    names = {user_name, *([external_id] if external_id else [])}
    mine = (RemovedPerson.org_id == unit.org_id, RemovedPerson.connection_id == connection_id)
    named = select(RemovedPerson.member_id).where(
        *mine, RemovedPerson.digest.in_(_any_digests(unit.audit_keys, connection_id, (), names))
    )
    unit.session.execute(delete(RemovedPerson).where(*mine, RemovedPerson.member_id.in_(named)))


def _directories(unit: Unit) -> Mapping[ConnectionId, ConnectionId]:
    """Return the directory of each connection whose people a directory pushed, those of the departed included."""
    ids = unit.session.scalars(
        select(Connection.id).where(Connection.org_id == unit.org_id, Connection.kind == "idp")
    ).all()
    return {each: one for one in ids for each in (one, departed_from(one))}


def _any_digests(
    audit_keys: Sequence[bytes], connection_id: ConnectionId, subjects: Iterable[Subject], names: Iterable[str]
) -> set[bytes]:
    """Return the digests under every key that may have been the first when they were made."""
    subjects, names = list(subjects), list(names)
    return {digest for key in audit_keys for digest in _digests(key, connection_id, subjects, names)}


def _digests(key: bytes, connection_id: ConnectionId, subjects: Iterable[Subject], names: Iterable[str]) -> set[bytes]:
    own_key = hmac.digest(key, _PURPOSE, "sha256")
    texts = [
        *("\0".join(("name", str(connection_id), comparison_key(name))) for name in names),
        *("\0".join(("subject", str(connection_id), *subject)) for subject in subjects),
    ]
    return {hmac.digest(own_key, text.encode("utf-8", "surrogatepass"), "sha256") for text in texts}
