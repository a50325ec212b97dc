"""An owner decides about what the brake holds: release lets it take effect, drop lets it be as if never said."""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from bridge.domain.brake import MAX_REASON, HeldEffect, HoldState
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission, may
from bridge.errors import HoldChangedError, HoldDecidedError, InvalidInputError
from bridge.ports import Bill
from bridge.store.models import Decision, Hold
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery
from bridge.usecases.brake import end_hold, find_open_hold
from bridge.usecases.buy_for_line import expected_purchases
from bridge.usecases.hold_effects import ids_under, keep_people, release_people
from bridge.usecases.idempotency import once
from bridge.usecases.people import name_people
from bridge.usecases.purses import BudgetUse
from bridge.usecases.read_holds import HoldView, get_hold, held_people, read_hold
from bridge.usecases.settle_many import member_id_of
from mappings.allocation import Occasion

#: How often owners are reminded of a hold that waits.
REMINDER = timedelta(days=1)


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
        renewal_after: The same once the hold is released, without the seats that are bought by it.
        purchases: What is bought within budgets at once, for whom the rules then let buy; without them for who may not
            see prices.
    """

    hold: HoldView
    people: tuple[ReleasedPerson, ...]
    promoted: tuple[PromotedPerson, ...]
    seats: tuple[TierUse, ...]
    renewal_before: Bill | None
    renewal_after: Bill | None
    purchases: tuple[BudgetUse, ...]


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
        release_people(unit, hold)
        unit.session.flush()
        decisions = _decisions_since(unit, seq)
        after = {decision.member_id: decision.to_tier for decision in decisions}
        expected, purchases = expected_purchases(unit) if unit.line_grew else (None, ())
        bought = expected.moves if expected else ()
        after |= {member_id_of(move.member_id): move.to_tier for move in bought}
        moved = Counter(move.to_tier for move in bought)
        moved.subtract(move.from_tier for move in bought)
        added = Counter({use.tier: use.seats for use in purchases})
        pools = [
            TierUse(
                pool.tier,
                pool.name,
                pool.total + added[pool.tier],
                before[pool.tier],
                pool.used + moved[pool.tier],
            )
            for pool in read_pools(unit)
        ]
        renewal_after = unit.billing.next_renewal() if sees_money else None
        waited = [one for one in decisions if one.occasion == Occasion.PROMOTION and one.from_tier != one.to_tier]
        served = [one.member_id for one in waited] + [member_id_of(move.member_id) for move in bought]
        promoted = [(member_id, after[member_id]) for member_id in dict.fromkeys(served)]
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
                to_tier=after.get(one.member_id, one.tier),
            )
            for one in people
        ),
        promoted=tuple(PromotedPerson(member_id, names[member_id], tier) for member_id, tier in promoted),
        seats=tuple(pools),
        renewal_before=renewal_before,
        renewal_after=renewal_after,
        purchases=purchases if sees_money else (),
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
        held = release_people(unit, hold)
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
        people = len(ids_under(unit, hold))
        seq = unit.lock().audit_seq
        keep_people(unit, hold)
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
