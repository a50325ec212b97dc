"""People whom a directory deleted while the brake held that: out of its sight, and otherwise as they were.

They belong to a connection of kind ``departed`` beside the directory's own, so that nothing a directory reads or writes
can come upon them, and their userName is free.
"""

import uuid

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.store.models import Connection, Member
from bridge.store.unit import Unit

_NAMESPACE = uuid.UUID("6f1c8b0e-5a0d-4f5e-9d0b-6c8a4b1f2e37")


def departed_from(connection_id: ConnectionId) -> ConnectionId:
    """Return the connection of those whom a directory deleted; it is there once the first was."""
    return ConnectionId(uuid.uuid5(_NAMESPACE, str(connection_id)))


def find_departed(
    unit: Unit, connection_id: ConnectionId, user_name_key: str, external_id: str | None
) -> Member | None:
    """Return whom a directory deleted under this userName or, failing that, under this externalId."""
    if not unit.lock().has_departed:
        return None
    same: ColumnElement[bool] = Member.user_name_key == user_name_key
    if external_id is not None:
        same = or_(same, Member.external_id == external_id)
    return unit.session.scalars(
        select(Member)
        .where(Member.org_id == unit.org_id, Member.connection_id == departed_from(connection_id), same)
        .order_by((Member.user_name_key == user_name_key).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    ).one_or_none()


def put_aside(unit: Unit, member: Member, connection_id: ConnectionId) -> None:
    """Take somebody out of the sight of their directory.

    Where somebody of the same name is aside already, that one is found by that name no more.
    """
    aside = departed_from(connection_id)
    give_up_name(unit, connection_id, member.user_name_key)
    origin = unit.session.get_one(Connection, (unit.org_id, connection_id))
    unit.session.execute(
        insert(Connection)
        .values(
            org_id=unit.org_id,
            id=aside,
            kind="departed",
            name=origin.name,
            created_at=unit.at,
            disabled_at=None,
            jit_enabled=False,
            idp_initiated=False,
        )
        .on_conflict_do_nothing()
    )
    if member.external_id is not None:
        unit.session.execute(
            update(Member)
            .where(
                Member.org_id == unit.org_id,
                Member.connection_id == aside,
                Member.external_id == member.external_id,
            )
            .values(external_id=None)
            .execution_options(synchronize_session="fetch")
        )
    member.connection_id = aside
    unit.lock().has_departed = True
    unit.session.flush()


def give_up_name(unit: Unit, connection_id: ConnectionId, user_name_key: str) -> list[MemberId]:
    """Let nobody be found by a userName any more who is aside: it is somebody else's now; return whose it was."""
    given_up = unit.session.scalars(
        update(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.connection_id == departed_from(connection_id),
            Member.user_name_key == user_name_key,
        )
        .values(user_name_key=func.concat(Member.user_name_key, " ", Member.id))
        .returning(Member.id)
        .execution_options(synchronize_session="fetch")
    )
    return list(given_up)


def take_back(unit: Unit, member: Member, connection_id: ConnectionId) -> None:
    """Give somebody back to their directory."""
    member.connection_id = connection_id
    note_departed(unit)


def note_departed(unit: Unit) -> None:
    """Look whether anybody is aside still."""
    unit.session.flush()
    aside = select(Connection.id).where(Connection.org_id == unit.org_id, Connection.kind == "departed")
    unit.lock().has_departed = bool(
        unit.session.scalar(select(exists().where(Member.org_id == unit.org_id, Member.connection_id.in_(aside))))
    )
