"""People who signed in before the directory named them: their membership is provisional until it does.

Where a connection's directory pushes, a first sign-in (JIT) says no more than that the identity provider let somebody
in: whether they belong here is said by the next push. Until then they have everything that anybody else has.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Uuid, any_, exists, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.actors import ActorKind
from bridge.domain.brake import HeldEffect, Outcome
from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.domain.provisioning import Confirmation
from bridge.domain.roles import Permission
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection, Group, GroupMember, Member, ScimClient, ScimToken
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_alerts
from bridge.usecases.brake import held_effect, let_off
from bridge.usecases.provisioning_mode import mode_of
from bridge.usecases.same_person import proven_among


class Directory(StrEnum):
    """What a connection's directory says of who signs in by it."""

    CONFIRMS = "confirms"
    STOPPED = "stopped"
    NONE = "none"


#: Why access ended of somebody whom no directory named in time: the reason in the audit.
UNCONFIRMED = "unconfirmed"
UNPROVEN_ALERT: Final = "unproven_named"


def provisional_until(unit: Unit, connection_id: ConnectionId) -> datetime | None:
    """Return until when a person is provisional whom a sign-in adds now; None for somebody who simply stays."""
    days = unit.provisional_days
    if not days or directory_of(unit, get_connection(unit, connection_id)) is Directory.NONE:
        return None
    return unit.at + timedelta(days=days)


def directory_of(unit: Unit, connection: Connection) -> Directory:
    """Return what a connection's directory says of who signs in by it.

    Where the connection does not say, its directory confirms as soon as it has pushed. One that was stopped (every
    token that it pushed by is revoked, or the connection is disabled) confirms nobody and lets nobody stay either: a
    leaked token is revoked, too. One whose token has merely run out, or that has nothing to push, confirms as before.
    """
    wanted = Confirmation(connection.confirmation)
    if wanted is Confirmation.NEVER or not mode_of(unit).takes_pushes:
        return Directory.NONE
    if wanted is Confirmation.WHEN_PUSHING and connection.scim_last_used_at is None:
        return Directory.NONE
    revocations = _revocations(unit, connection)
    is_stopped = connection.disabled_at is not None or (bool(revocations) and None not in revocations)
    return Directory.STOPPED if is_stopped else Directory.CONFIRMS


def has_pushed(unit: Unit, connection: Connection) -> bool:
    """Tell whether a connection's directory has ever pushed, and pushes are taken."""
    return mode_of(unit).takes_pushes and connection.scim_last_used_at is not None


def _revocations(unit: Unit, connection: Connection) -> Collection[datetime | None]:
    """Return when the tokens were revoked that the directory has used: None for one that was not."""
    return unit.session.scalars(
        select(func.coalesce(ScimToken.revoked_at, ScimClient.revoked_at))
        .outerjoin(ScimClient, (ScimClient.org_id == ScimToken.org_id) & (ScimClient.id == ScimToken.client_id))
        .where(
            ScimToken.org_id == unit.org_id,
            ScimToken.connection_id == connection.id,
            ScimToken.member_id.is_(None),
            ScimToken.can_write,
            ScimToken.last_used_at.is_not(None),
        )
        .distinct()
    ).all()


def is_unconfirmed(member: Member) -> bool:
    """Tell whether access ended because no directory named the person in time, and for nothing else."""
    return not member.active and member.provisional_until is not None


def provisional_sentence(member: Member, directory: str) -> str | None:
    """Say of whom no directory has named yet what ends when, or has ended; ending with a full stop."""
    until = member.provisional_until
    if until is None:
        return None
    day = f"{until:%Y-%m-%d at %H:%M} UTC"
    if member.active:
        return (
            f"Provisional until {day}: {member.display_name} signed in before the directory of {directory} named them. "
            "Access ends then unless it does; until it does, no rule gives them a role."
        )
    return (
        f"Access ended because the directory of {directory} did not confirm {member.display_name} by {day}. It comes "
        "back when the directory names them, or by hand."
    )


def keep_member(unit: Unit, member: Member, *, reason: str) -> bool:
    """Let somebody stay whom no directory has named; return whether they were provisional."""
    if member.provisional_until is None or not member.active:
        return False
    unit.lock()
    until, member.provisional_until = member.provisional_until, None
    let_off_unconfirmed(unit, member, Outcome.REVERSED if reason == "directory" else Outcome.BY_HAND)
    record(
        unit,
        "member.confirmed",
        subject_kind="member",
        subject_id=member.id,
        reason=reason,
        body={"until": until.isoformat()},
        touches_seats=False,
    )
    return True


@dataclass(frozen=True, slots=True)
class Named:
    """What became of people whom only sign-ins made and whom their directory named by their ids.

    Attributes:
        kept: Whose provisional time is over by it.
        unproven: Whom the directory cannot mean, for all that is known: it gives them nothing.
    """

    kept: frozenset[MemberId]
    unproven: frozenset[MemberId]


def confirm_named(unit: Unit, group: Group, ids: Collection[uuid.UUID]) -> Named:
    """Let provisional people stay whom their directory puts into a group, where it is proven who they are.

    A directory that looks somebody up by userName may have found a stranger who chose that name (T14): of whom nothing
    proves it, owners are told, once a person.

    Args:
        unit: The unit.
        group: The group; who is in it already was named before.
        ids: Whom the directory names.
    """
    if unit.actor.kind is not ActorKind.DIRECTORY or not ids:
        return Named(frozenset(), frozenset())
    is_in = exists().where(
        GroupMember.org_id == unit.org_id, GroupMember.group_id == group.id, GroupMember.member_id == Member.id
    )
    people = unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.id == any_(literal(sorted(ids), ARRAY(Uuid))),
            Member.connection_id == group.connection_id,
            Member.source == "jit",
            ~is_in,
        )
        .order_by(Member.id)
    ).all()
    proven = proven_among(unit, people)
    for member in people:
        if member.id not in proven:
            raise_alert(unit, UNPROVEN_ALERT, member_id=member.id)
    kept = [one.id for one in people if one.id in proven and keep_member(unit, one, reason="directory")]
    return Named(frozenset(kept), frozenset(one.id for one in people) - proven)


def resolve_unproven(unit: Unit, member_ids: Collection[MemberId]) -> None:
    """Settle the alerts that a directory named these people without proof: they are proven now, or gone."""
    resolve_alerts(unit, UNPROVEN_ALERT, member_ids=member_ids)


def let_off_unconfirmed(unit: Unit, member: Member, outcome: Outcome) -> None:
    """Take somebody out of the hold of those whom no directory has named."""
    if held_effect(unit, member) is HeldEffect.UNCONFIRMED:
        let_off(unit, [member.id], outcome)


def list_provisional(unit: Unit) -> list[tuple[Member, str]]:
    """Return whom no directory has named, or not in time, with their connection's name; whose time ends first in front.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    rows = unit.session.execute(
        select(Member, Connection.name)
        .join(Connection, (Connection.org_id == Member.org_id) & (Connection.id == Member.connection_id))
        .where(Member.org_id == unit.org_id, Member.provisional_until.is_not(None))
        .order_by(Member.provisional_until, Member.position)
    )
    return [(member, name) for member, name in rows]


def set_confirmation(unit: Unit, connection_id: ConnectionId, confirmation: Confirmation) -> Connection:
    """Say whether a directory has to confirm who signs in by a connection; it counts for sign-ins from now on.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    before = connection.confirmation
    if before == confirmation:
        return connection
    connection.confirmation = str(confirmation)
    record(
        unit,
        "connection.confirmation_set",
        subject_kind="connection",
        subject_id=connection.id,
        reason="by_hand",
        body={"confirmation": [before, str(confirmation)]},
        touches_seats=False,
    )
    return connection
