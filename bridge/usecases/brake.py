"""The brake on mass effects: what a directory causes is counted, and what is too much waits for an owner.

On the wire nothing is different: the directory is answered as ever and reads back what it wrote. Only the effect on
access and seats is held. See ``docs/explanation/brake.md``.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Uuid, any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bridge.domain.actors import ActorKind
from bridge.domain.brake import Count, HeldEffect, HoldState, Outcome, Thresholds
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.domain.roles import Permission
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Alert, HeldPerson, Hold, Member, OrganizationState
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert

ALERT = "brake_held"
_DIRECTORIES = frozenset({ActorKind.DIRECTORY, ActorKind.SIGN_IN})


def is_braked(unit: Unit) -> bool:
    """Tell whether the brake watches who acts: a directory or a sign-in, and nobody who has seen a preview."""
    return unit.actor.kind in _DIRECTORIES


def thresholds_of(state: OrganizationState) -> Thresholds:
    """Return what trips an organization's brake."""
    return Thresholds(state.brake_minimum, state.brake_share, state.brake_window)


def lets_through(unit: Unit, number: int) -> bool:
    """Count effects of whoever acts, and tell whether they may take place now: all of them or none.

    Those that are held count too, so that the brake stays on until the directory has been quiet for a while.
    """
    if number == 0 or not is_braked(unit):
        return True
    state = unit.lock()
    window = state.brake_window
    count = Count(state.brake_counts, state.brake_limit, state.brake_limit_at)
    allowed = count.allows(number, unit.at, window)
    if allowed is None:
        state.brake_limit, state.brake_limit_at = thresholds_of(state).limit(_active_people(unit)), unit.at
        allowed = count.used(unit.at, window) + number <= state.brake_limit
    state.brake_counts = count.plus(number, unit.at, window)
    return allowed


def forget_limit(unit: Unit) -> None:
    """Count the people anew before the next effect: somebody was let go by hand."""
    unit.lock().brake_limit = None


def _active_people(unit: Unit) -> int:
    unit.session.flush()
    return (
        unit.session.scalar(select(func.count()).select_from(Member).where(Member.org_id == unit.org_id, Member.active))
        or 0
    )


@dataclass(frozen=True, slots=True)
class _Cause:
    """Whose request it is that effects are held of."""

    connection_id: ConnectionId
    effect: HeldEffect


def hold_people(unit: Unit, member_ids: Collection[MemberId], effect: HeldEffect) -> None:
    """Hold an effect for people; of somebody who is under the hold already it is now this one.

    The first hold tells the owners: one alert and one mail, however many people follow.
    """
    assert unit.actor.id is not None
    cause = _Cause(ConnectionId(unit.actor.id), effect)
    hold = find_open_hold(unit) or _trip(unit, cause.connection_id)
    unit.session.flush()
    ids = sorted(member_ids)
    given = func.unnest(literal(ids, ARRAY(Uuid))).column_valued("member_id")
    row = {
        "org_id": unit.org_id,
        "hold_id": hold.id,
        "effect": str(cause.effect),
        "connection_id": cause.connection_id,
        "at": unit.at,
        "request_id": unit.request_id,
    }
    columns = (literal(value, HeldPerson.__table__.c[name].type) for name, value in row.items())
    held = insert(HeldPerson).from_select(["member_id", *row], select(given, *columns))
    unit.session.execute(
        held.on_conflict_do_update(
            index_elements=["org_id", "hold_id", "member_id"],
            set_={
                **{name: held.excluded[name] for name in ("effect", "connection_id", "at", "request_id")},
                "outcome": None,
                "outcome_at": None,
            },
        )
    )
    unit.session.execute(
        update(Member)
        .where(Member.org_id == unit.org_id, Member.id == any_(literal(ids, ARRAY(Uuid))))
        .values(hold_id=hold.id)
        .execution_options(synchronize_session="fetch")
    )
    hold.revision += 1
    unit.held = hold.id
    record(
        unit,
        "brake.held",
        subject_kind="hold",
        subject_id=hold.id,
        reason=str(effect),
        body={"members": [str(member_id) for member_id in ids]},
    )


def _trip(unit: Unit, connection_id: ConnectionId) -> Hold:
    state = unit.lock()
    count = Count(state.brake_counts)
    hold = Hold(
        org_id=unit.org_id,
        id=new_id(),
        connection_id=connection_id,
        at=unit.at,
        request_id=unit.request_id,
        counted=count.used(unit.at, state.brake_window),
        allowed=state.brake_limit or 0,
        window_minutes=state.brake_window,
        revision=0,
        state=str(HoldState.OPEN),
        reminded_at=unit.at,
        decided_at=None,
        decided_by=None,
        reason=None,
    )
    unit.session.add(hold)
    record(
        unit,
        "brake.tripped",
        subject_kind="hold",
        subject_id=hold.id,
        reason="threshold",
        body={
            "connection": str(connection_id),
            "counted": hold.counted,
            "allowed": hold.allowed,
            "window_minutes": hold.window_minutes,
        },
    )
    name = get_connection(unit, connection_id).name
    raise_alert(
        unit,
        ALERT,
        number=hold.counted,
        detail=f"{name} would let go or move {hold.counted:,} people within {_minutes(hold.window_minutes)}, more than "
        f"the {hold.allowed:,} allowed: what goes beyond waits until an owner releases or drops it",
    )
    return hold


def _minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number} minutes"


def find_open_hold(unit: Unit) -> Hold | None:
    """Return the hold that waits for a decision; an organization has at most one."""
    return unit.session.scalars(
        select(Hold).where(Hold.org_id == unit.org_id, Hold.state == HoldState.OPEN)
    ).one_or_none()


def held_effect(unit: Unit, member: Member) -> HeldEffect | None:
    """Return what is held for somebody."""
    if member.hold_id is None:
        return None
    stored = unit.session.scalar(
        select(HeldPerson.effect).where(
            HeldPerson.org_id == unit.org_id,
            HeldPerson.hold_id == member.hold_id,
            HeldPerson.member_id == member.id,
        )
    )
    return None if stored is None else HeldEffect(stored)


def held_for(unit: Unit, member_ids: Collection[MemberId], effects: Collection[HeldEffect]) -> set[MemberId]:
    """Return those of some people for whom one of these effects is held."""
    return set(
        unit.session.scalars(
            select(HeldPerson.member_id).where(
                HeldPerson.org_id == unit.org_id,
                HeldPerson.member_id == any_(literal(list(member_ids), ARRAY(Uuid))),
                HeldPerson.outcome.is_(None),
                HeldPerson.effect.in_(effects),
            )
        )
    )


def let_off(unit: Unit, member_ids: Collection[MemberId], outcome: Outcome) -> None:
    """Take people out of the open hold, because somebody has settled what was held for them.

    The hold ends when nobody is left under it.
    """
    ids = sorted(member_ids)
    for hold_id in settle_held(unit, ids, outcome):
        _note_let_off(unit, hold_id, ids, outcome)


def settle_held(unit: Unit, member_ids: Collection[MemberId], outcome: Outcome) -> set[uuid.UUID]:
    """Write what became of what was held for people; return the holds they were under."""
    unit.lock()
    unit.session.flush()
    these = any_(literal(list(member_ids), ARRAY(Uuid)))
    hold_ids = unit.session.scalars(
        update(HeldPerson)
        .where(HeldPerson.org_id == unit.org_id, HeldPerson.member_id == these, HeldPerson.outcome.is_(None))
        .values(outcome=str(outcome), outcome_at=unit.at)
        .returning(HeldPerson.hold_id)
        .execution_options(synchronize_session=False)
    )
    unit.session.execute(
        update(Member)
        .where(Member.org_id == unit.org_id, Member.id == these)
        .values(hold_id=None)
        .execution_options(synchronize_session="fetch")
    )
    return set(hold_ids)


def _note_let_off(unit: Unit, hold_id: uuid.UUID, ids: Collection[MemberId], outcome: Outcome) -> None:
    hold = unit.session.get_one(Hold, (unit.org_id, hold_id))
    hold.revision += 1
    record(
        unit,
        "brake.let_off",
        subject_kind="hold",
        subject_id=hold_id,
        reason=str(outcome),
        body={"members": [str(member_id) for member_id in ids]},
        touches_seats=False,
    )
    left = unit.session.scalar(
        select(func.count())
        .select_from(HeldPerson)
        .where(HeldPerson.org_id == unit.org_id, HeldPerson.hold_id == hold_id, HeldPerson.outcome.is_(None))
    )
    if not left:
        end_hold(unit, hold, HoldState.DISSOLVED, reason=None)


def end_hold(unit: Unit, hold: Hold, state: HoldState, *, reason: str | None) -> None:
    """Write what became of a hold, and settle its alert."""
    unit.lock()
    hold.state, hold.reason = str(state), reason
    hold.decided_at, hold.decided_by = unit.at, str(unit.actor)
    unit.session.execute(
        update(Alert)
        .where(Alert.org_id == unit.org_id, Alert.code == ALERT, Alert.resolved_at.is_(None))
        .values(resolved_at=unit.at)
        .execution_options(synchronize_session=False)
    )
    why = "by_hand" if reason is not None else "nobody_left"
    record(unit, f"brake.{state}", subject_kind="hold", subject_id=hold.id, reason=why)


def set_thresholds(unit: Unit, thresholds: Thresholds) -> Thresholds:
    """Set what trips the brake; what is held already stays held.

    Returns:
        What it was before.

    Raises:
        ForbiddenError: The actor is no owner.
        InvalidInputError: A threshold is out of its bounds.
    """
    unit.require(Permission.DECIDE_HOLDS)
    thresholds.check()
    state = unit.lock()
    before = thresholds_of(state)
    if thresholds == before:
        return before
    state.brake_minimum, state.brake_share = thresholds.minimum, thresholds.share
    state.brake_window, state.brake_limit = thresholds.window_minutes, None
    record(
        unit,
        "brake.set",
        subject_kind="organization",
        subject_id=unit.org_id,
        reason="by_hand",
        body={
            "minimum": [before.minimum, thresholds.minimum],
            "share": [before.share, thresholds.share],
            "window_minutes": [before.window_minutes, thresholds.window_minutes],
        },
        touches_seats=False,
    )
    return before
