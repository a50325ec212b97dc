"""The end of a provisional membership: access off, the seat given on, and nothing of it held back or half done."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.brake import HeldEffect
from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Role
from bridge.store.directory import get_connection
from bridge.store.models import Member
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_alerts
from bridge.usecases.brake import hold_people, lets_through
from bridge.usecases.hold_effects import turn_off_people
from bridge.usecases.move_line import give_on
from bridge.usecases.provisional import UNCONFIRMED, Directory, directory_of, keep_member
from bridge.usecases.reevaluate import reevaluate

STOPPED_ALERT: Final = "directory_stopped"
_OVER = (Member.active, Member.hold_id.is_(None))


def connections_with_unconfirmed(unit: Unit) -> list[ConnectionId]:
    """Return the connections some of whose people were to be confirmed by now, in the order of their ids."""
    return list(
        unit.session.scalars(
            select(Member.connection_id)
            .where(Member.org_id == unit.org_id, Member.provisional_until <= unit.at, *_OVER)
            .distinct()
            .order_by(Member.connection_id)
        )
    )


def end_unconfirmed(unit: Unit, connection_id: ConnectionId) -> int:
    """Turn access off of everybody whom the directory should have named by now; return how many people's it ended.

    It is what the connection's sign-ins have caused, so the brake counts it: too many at once wait for an owner. Who
    became an owner meanwhile stays, and so does everybody where no directory is to confirm anybody any more. Where the
    directory was stopped, everybody waits as they are and the owners are told.
    """
    unit.lock()
    unit.actor = Actor(ActorKind.SIGN_IN, connection_id)
    over = _people_over(unit, connection_id)
    connection = get_connection(unit, connection_id)
    directory = directory_of(unit, connection)
    if directory is Directory.NONE:
        _keep(unit, over, reason="no_directory")
        return 0
    _keep(unit, [member for member in over if Role(member.role).is_owner], reason="owner")
    leaving = [member.id for member in over if not Role(member.role).is_owner]
    if not leaving:
        return 0
    if directory is Directory.STOPPED:
        raise_alert(unit, STOPPED_ALERT, detail=_stopped(connection.name), told_apart=True)
        return 0
    resolve_alerts(unit, STOPPED_ALERT, details=[_stopped(connection.name)])
    if not lets_through(unit, len(leaving)):
        hold_people(unit, leaving, HeldEffect.UNCONFIRMED)
        return 0
    freed = [member.tier for member in over if member.id in leaving]
    turn_off_people(unit, leaving, reason=UNCONFIRMED)
    give_on(unit, freed)
    detail = _told(unit, connection_id, len(leaving))
    raise_alert(unit, "provisional_ended", number=len(leaving), detail=detail, told_apart=True)
    return len(leaving)


def _people_over(unit: Unit, connection_id: ConnectionId) -> list[Member]:
    return list(
        unit.session.scalars(
            select(Member)
            .where(
                Member.org_id == unit.org_id,
                Member.connection_id == connection_id,
                Member.provisional_until <= unit.at,
                *_OVER,
            )
            .order_by(Member.id)
        )
    )


def _keep(unit: Unit, members: Collection[Member], *, reason: str) -> None:
    reevaluate(unit, [member.id for member in members if keep_member(unit, member, reason=reason)])


def _stopped(name: str) -> str:
    return (
        f"People who signed in by {name} wait for the directory to name them, and nothing pushes any more: every token "
        "it pushed by is revoked, or the connection is disabled. Let it push again, or say that it confirms nobody "
        "(`seatbridge connection confirmation`)"
    )


def _told(unit: Unit, connection_id: ConnectionId, number: int) -> str:
    name = get_connection(unit, connection_id).name
    people = "1 person" if number == 1 else f"{number:,} people"
    return (
        f"{people} signed in by {name} and the directory has not named them in time: access is off and the seats are "
        "free again. Assign them at the identity provider, or turn access on by hand"
    )
