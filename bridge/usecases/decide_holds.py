"""An owner decides about what the brake holds: release lets it take effect, drop lets it be as if never said."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Uuid, any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.brake import MAX_REASON, HeldEffect, HoldState, Outcome
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission, Role, may
from bridge.errors import HoldChangedError, HoldDecidedError, InvalidInputError
from bridge.ports import Bill
from bridge.store.departed import note_departed
from bridge.store.models import Decision, HeldPerson, Hold, MappingVersion, Member
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery, raise_alert
from bridge.usecases.assign_seats import holding_of, read_placement
from bridge.usecases.brake import end_hold, find_open_hold, settle_held
from bridge.usecases.idempotency import once
from bridge.usecases.manage_access import end_access
from bridge.usecases.move_line import promote_together
from bridge.usecases.people import name_people
from bridge.usecases.provision_member import remove_people
from bridge.usecases.read_holds import HoldView, get_hold, held_people, read_hold
from bridge.usecases.reevaluate import settle_together
from bridge.usecases.settle_many import settle_many
from mappings.allocation import Holding, Occasion, SeatReason, deactivate
from mappings.preview import MovesPreview, Settlement
from mappings.rules import PersonFacts

#: How often owners are reminded of a hold that waits.
REMINDER = timedelta(days=1)
_REASON = "brake_released"


@dataclass(frozen=True, slots=True)
class ReleasedPerson:
    """What a release does to one person; the tiers are keys, None for no seat."""

    member_id: MemberId
    display_name: str
    user_name: str
    effect: HeldEffect
    from_tier: str | None
    to_tier: str | None


@dataclass(frozen=True, slots=True)
class PromotedPerson:
    """Somebody who waited and gets a seat by it."""

    member_id: MemberId
    display_name: str
    tier: str | None


@dataclass(frozen=True, slots=True)
class TierUse:
    """How many seats of a tier are used before and after."""

    tier: str
    name: str
    total: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ReleasePreview:
    """What releasing a hold would do now.

    Attributes:
        people: By name.
        promoted: In the order in which they are served.
        renewal_before: The next bill as it stands; None for who may not see prices, and when the plan ends.
        renewal_after: The same once the hold is released.
    """

    hold: HoldView
    people: tuple[ReleasedPerson, ...]
    promoted: tuple[PromotedPerson, ...]
    seats: tuple[TierUse, ...]
    renewal_before: Bill | None
    renewal_after: Bill | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision did: how many people lost access, were removed, were settled anew, and got a freed seat.

    A dropped hold settles those whom rules that were changed meanwhile give something else.
    """

    hold_id: str
    state: HoldState
    people: int
    turned_off: int = 0
    removed: int = 0
    resettled: int = 0
    promoted: int = 0

    @property
    def sentences(self) -> str:
        """Say what dropping a hold did."""
        people = "1 person" if self.people == 1 else f"{self.people:,} people"
        if not self.resettled and not self.promoted:
            return f"Dropped. Nothing has changed for {people}."
        said = [f"Dropped. What the directory said of {people} does not take effect."]
        if self.resettled:
            these = "1 person follows" if self.resettled == 1 else f"{self.resettled:,} people follow"
            said.append(f"{these} the rules that were changed meanwhile.")
        if self.promoted:
            these = "1 person" if self.promoted == 1 else f"{self.promoted:,} people"
            said.append(f"{these} in line got a seat that had become free.")
        return " ".join(said)


@dataclass(frozen=True, slots=True)
class _Held:
    off: tuple[MemberId, ...]
    gone: tuple[MemberId, ...]
    reseat: tuple[MemberId, ...]
    owners: tuple[MemberId, ...]

    @property
    def number(self) -> int:
        return len(self.off) + len(self.gone) + len(self.reseat)


def preview_release(unit: Unit, hold_id: uuid.UUID) -> ReleasePreview:
    """Show who would lose what, and the seats and the next bill afterwards, as of now.

    It is the release itself, taken back before anybody can see it: preview and effect cannot disagree.

    Raises:
        ForbiddenError: The actor may not open the console.
        HoldDecidedError: It was decided about.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.SEE_CONSOLE)
    state = unit.lock()
    hold = _undecided(unit, hold_id)
    view = read_hold(unit, hold_id)
    people = [one for one in held_people(unit, hold_id) if one.outcome is None]
    before = {pool.tier: pool.used for pool in read_pools(unit)}
    sees_money = may(unit.actor.role, Permission.SEE_BILLING)
    renewal_before = unit.billing.next_renewal() if sees_money else None
    seq, line_grew = state.audit_seq, unit.line_grew
    step = unit.session.begin_nested()
    try:
        _release(unit, hold)
        unit.session.flush()
        after = {decision.member_id: decision for decision in _decisions_since(unit, seq)}
        pools = [TierUse(pool.tier, pool.name, pool.total, before[pool.tier], pool.used) for pool in read_pools(unit)]
        renewal_after = unit.billing.next_renewal() if sees_money else None
        waited = [one for one in after.values() if one.occasion == Occasion.PROMOTION and one.from_tier != one.to_tier]
        promoted = [(one.member_id, one.to_tier) for one in waited]
    finally:
        step.rollback()
        unit.session.expire_all()
        unit.line_grew = line_grew
    names = name_people(unit, [member_id for member_id, _ in promoted])
    return ReleasePreview(
        hold=view,
        people=tuple(
            ReleasedPerson(
                member_id=one.member_id,
                display_name=one.display_name or "",
                user_name=one.user_name or "",
                effect=one.effect,
                from_tier=one.tier,
                to_tier=after[one.member_id].to_tier if one.member_id in after else one.tier,
            )
            for one in people
        ),
        promoted=tuple(PromotedPerson(member_id, names[member_id], tier) for member_id, tier in promoted),
        seats=tuple(pools),
        renewal_before=renewal_before,
        renewal_after=renewal_after,
    )


def release_hold(unit: Unit, hold_id: uuid.UUID, *, revision: int, reason: str, key: str | None = None) -> Decided:
    """Let what is held take effect now, for everybody under the hold at once; who waits gets the freed seats.

    The brake counts from zero afterwards, so that the rest of the same change is not held once more.

    Args:
        unit: The unit.
        hold_id: Which hold.
        revision: The hold's revision that the owner looked at.
        reason: What the owner says of why.
        key: Idempotency key.

    Raises:
        ForbiddenError: The actor is no owner.
        HoldChangedError: People came under it, or left it, since that revision.
        HoldDecidedError: It was decided about.
        InvalidInputError: There is no reason, or a very long one.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.DECIDE_HOLDS)

    def act() -> dict[str, Any]:
        hold = _decidable(unit, hold_id, revision)
        seq = unit.lock().audit_seq
        held = _release(unit, hold)
        promoted = {one.member_id for one in _decisions_since(unit, seq) if one.occasion == Occasion.PROMOTION}
        state = unit.lock()
        state.brake_counts, state.brake_limit = {}, None
        end_hold(unit, hold, HoldState.RELEASED, reason=given)
        done = Decided(
            str(hold.id),
            HoldState.RELEASED,
            held.number,
            turned_off=len(held.off),
            removed=len(held.gone),
            resettled=len(held.reseat),
            promoted=len(promoted),
        )
        return asdict(done)

    given = _checked(reason)
    return _read(once(unit, key, _content("release", hold_id, revision, given), act))


def drop_hold(unit: Unit, hold_id: uuid.UUID, *, revision: int, reason: str, key: str | None = None) -> Decided:
    """Let nothing of what is held take effect: people keep access, seats, roles and teams.

    The directory goes on reading what it wrote. What it says anew about somebody counts as ever. Rules that were
    changed meanwhile now reach those who were to leave, and a seat that became free goes to who waits.

    Args:
        unit: The unit.
        hold_id: Which hold.
        revision: The hold's revision that the owner looked at.
        reason: What the owner says of why.
        key: Idempotency key.

    Raises:
        ForbiddenError: The actor is no owner.
        HoldChangedError: People came under it, or left it, since that revision.
        HoldDecidedError: It was decided about.
        InvalidInputError: There is no reason, or a very long one.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.DECIDE_HOLDS)

    def act() -> dict[str, Any]:
        hold = _decidable(unit, hold_id, revision)
        people = len(_ids_of(unit, hold))
        seq = unit.lock().audit_seq
        _keep(unit, hold)
        end_hold(unit, hold, HoldState.DROPPED, reason=given)
        after = _decisions_since(unit, seq)
        promoted = {one.member_id for one in after if one.occasion == Occasion.PROMOTION}
        resettled = {one.member_id for one in after if one.occasion == Occasion.REMAPPED}
        done = Decided(
            str(hold.id), HoldState.DROPPED, people, resettled=len(resettled), promoted=len(promoted - resettled)
        )
        return asdict(done)

    given = _checked(reason)
    return _read(once(unit, key, _content("drop", hold_id, revision, given), act))


def remind_of_hold(unit: Unit) -> bool:
    """Write the mail that reminds the owners of a hold, once a day while it waits; tell whether one is due."""
    waiting = find_open_hold(unit)
    if waiting is None or unit.at - waiting.reminded_at < REMINDER:
        return False
    unit.lock()
    hold = find_open_hold(unit)  # as it is under the lock
    if hold is None or unit.at - hold.reminded_at < REMINDER:
        return False
    hold.reminded_at = unit.at
    queue_delivery(unit, "hold_reminder", key=f"hold:{hold.id}:{unit.at:%Y-%m-%dT%H}", subject_id=str(hold.id))
    return True


def _content(verb: str, hold_id: uuid.UUID, revision: int, reason: str) -> dict[str, Any]:
    return {"decide": verb, "hold": str(hold_id), "revision": revision, "reason": reason}


def _read(answer: Mapping[str, Any]) -> Decided:
    return Decided(**{**answer, "state": HoldState(answer["state"])})


def _checked(reason: str) -> str:
    cleaned = reason.strip()
    if not cleaned or len(cleaned) > MAX_REASON or not cleaned.isprintable():
        raise InvalidInputError("reason", f"say why, in 1 to {MAX_REASON} printable characters")
    return cleaned


def _undecided(unit: Unit, hold_id: uuid.UUID) -> Hold:
    hold = get_hold(unit, hold_id)
    if hold.state != HoldState.OPEN:
        raise HoldDecidedError(hold.state, hold.decided_at or unit.at)
    return hold


def _decidable(unit: Unit, hold_id: uuid.UUID, revision: int) -> Hold:
    unit.lock()
    hold = _undecided(unit, hold_id)
    if hold.revision != revision:
        raise HoldChangedError(seen=revision, now=hold.revision)
    return hold


def _ids_of(
    unit: Unit, hold: Hold, effects: Collection[HeldEffect] = tuple(HeldEffect), *, before: datetime | None = None
) -> Sequence[MemberId]:
    """Return who is under a hold for one of these effects, and came under it before this instant."""
    these = select(HeldPerson.member_id).where(
        HeldPerson.org_id == unit.org_id,
        HeldPerson.hold_id == hold.id,
        HeldPerson.outcome.is_(None),
        HeldPerson.effect.in_(effects),
    )
    return unit.session.scalars(these if before is None else these.where(HeldPerson.at < before)).all()


class _Seated(NamedTuple):
    """A decision about somebody's seat."""

    member_id: MemberId
    from_tier: str | None
    to_tier: str | None
    occasion: str


def _decisions_since(unit: Unit, seq: int) -> list[_Seated]:
    rows = unit.session.execute(
        select(Decision.member_id, Decision.from_tier, Decision.to_tier, Decision.occasion)
        .where(Decision.org_id == unit.org_id, Decision.seq > seq)
        .order_by(Decision.seq)
    )
    return [_Seated(*row) for row in rows]


def _release(unit: Unit, hold: Hold) -> _Held:
    """Do to everybody what is held for them: leavers first, then who waits, then those whose groups changed."""
    held = _gather(unit, hold)
    settle_held(unit, held.owners, Outcome.OWNER)
    settle_held(unit, (*held.off, *held.gone, *held.reseat), Outcome.RELEASED)
    for member_id in held.owners:
        raise_alert(unit, "owner_protected", member_id=member_id)
    _let_go(unit, held.off, held.gone)
    placement = read_placement(unit)
    promote_together(unit, placement)
    if held.reseat:
        settle_together(unit, held.reseat, placement)
        promote_together(unit, placement)
    return held


def _keep(unit: Unit, hold: Hold) -> None:
    """Let everybody out of a hold as they are, then do what has passed them by: changed rules, and free seats.

    Changed rules reach those who were to leave or to move up: of the others' groups the directory has said something
    that is not to count. Who was not to move up is let out last, when the seats that are free have been given on.
    """
    changed_at = unit.session.scalar(
        select(func.max(MappingVersion.at)).where(
            MappingVersion.org_id == unit.org_id, MappingVersion.reason.in_(["edited", "rolled_back"])
        )
    )
    last = {HeldEffect.PROMOTE}
    for effects in (set(HeldEffect) - last, last):
        ids = _ids_of(unit, hold, effects)
        regrouped = _ids_of(unit, hold, effects & {HeldEffect.TURN_OFF, HeldEffect.PROMOTE}, before=changed_at)
        settle_held(unit, ids, Outcome.DROPPED)
        placement = read_placement(unit)
        if changed_at is not None and regrouped:
            settle_together(unit, regrouped, placement, occasion=Occasion.REMAPPED)
        if effects != last:
            promote_together(unit, placement)


def _gather(unit: Unit, hold: Hold) -> _Held:
    rows = unit.session.execute(
        select(HeldPerson.member_id, HeldPerson.effect, Member.role)
        .join(Member, (Member.org_id == HeldPerson.org_id) & (Member.id == HeldPerson.member_id))
        .where(HeldPerson.org_id == unit.org_id, HeldPerson.hold_id == hold.id, HeldPerson.outcome.is_(None))
        .order_by(HeldPerson.member_id)
    ).all()
    leaving = {HeldEffect.TURN_OFF, HeldEffect.REMOVE}
    spared = {row.member_id for row in rows if Role(row.role).is_owner and row.effect in leaving}

    def with_effect(*effects: HeldEffect) -> tuple[MemberId, ...]:
        return tuple(row.member_id for row in rows if row.effect in effects and row.member_id not in spared)

    return _Held(
        off=with_effect(HeldEffect.TURN_OFF),
        gone=with_effect(HeldEffect.REMOVE),
        reseat=with_effect(HeldEffect.RESEAT, HeldEffect.PROMOTE),
        owners=tuple(sorted(spared)),
    )


def _let_go(unit: Unit, off: Collection[MemberId], gone: Collection[MemberId]) -> None:
    """Turn people off or remove them, by a number of statements that does not grow with them (rules K1 and C1)."""
    members = _members(unit, (*off, *gone))
    if not members:
        return
    _free_seats(unit, members)
    leaving = _members(unit, off)
    unit.session.execute(
        update(Member)
        .where(Member.org_id == unit.org_id, Member.id == any_(literal(list(off), ARRAY(Uuid))))
        .values(active=False, said_off=False)
        .execution_options(synchronize_session="fetch")
    )
    end_access(unit, [member for member in leaving if member.hold_id is None], reason=_REASON)
    if gone:
        remove_people(unit, _members(unit, gone), reason=_REASON)
        note_departed(unit)


def _members(unit: Unit, ids: Collection[MemberId]) -> Sequence[Member]:
    return unit.session.scalars(
        select(Member)
        .where(Member.org_id == unit.org_id, Member.id == any_(literal(list(ids), ARRAY(Uuid))))
        .order_by(Member.id)
        .execution_options(populate_existing=True)
    ).all()


def _free_seats(unit: Unit, members: Sequence[Member]) -> None:
    alike: dict[Holding, list[MemberId]] = {}
    for member in members:
        holding = holding_of(member)
        if holding.tier is not None or holding.waiting_for is not None or holding.pinned:
            alike.setdefault(holding, []).append(member.id)
    settlements = tuple(
        Settlement(deactivate(holding), holding, PersonFacts(), None, tuple(ids), len(ids))
        for holding, ids in alike.items()
    )
    effect = MovesPreview((), (), (), {}, (), {}, 0, len(members), settlements)
    settle_many(unit, effect, read_placement(unit), SeatReason.DEACTIVATED, touched=())
