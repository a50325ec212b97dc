"""What deciding about a hold would do now: the decision itself, taken back before anybody can see it."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select

from bridge.domain.brake import HeldEffect, HoldState
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.errors import HoldDecidedError
from bridge.ports import Bill
from bridge.store.models import Decision, Hold
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.buy_for_line import expected_purchases
from bridge.usecases.hold_effects import keep_people, release_people
from bridge.usecases.people import name_people
from bridge.usecases.purses import BudgetUse
from bridge.usecases.read_holds import HoldView, get_hold, held_people, read_hold
from bridge.usecases.settle_many import member_id_of
from mappings.allocation import Occasion


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
class SeatMove:
    """Somebody who gets another seat, or none; the tiers are keys, None for no seat."""

    member_id: MemberId
    display_name: str
    from_tier: str | None
    to_tier: str | None


@dataclass(frozen=True, slots=True)
class DropPreview:
    """What dropping a hold would do now: nothing, but for what passed the people by under it.

    Attributes:
        moves: Who gets another seat, by rules that were changed meanwhile or because one is free or bought.
        purchases: What is bought within budgets at once, for whom the rules then let buy; without them for who may not
            see prices.
    """

    moves: tuple[SeatMove, ...]
    purchases: tuple[BudgetUse, ...]


@dataclass(frozen=True, slots=True)
class _Tried:
    """What a decision did before it was taken back.

    Attributes:
        before: Each person's seat before; ``after`` the same afterwards, in the order of the decisions.
        promoted: Who waited and gets a seat by it, in the order in which they are served.
    """

    before: Mapping[MemberId, str | None]
    after: Mapping[MemberId, str | None]
    promoted: tuple[MemberId, ...]
    seats: tuple[TierUse, ...]
    renewal: Bill | None
    purchases: tuple[BudgetUse, ...]


def preview_release(unit: Unit, hold_id: uuid.UUID) -> ReleasePreview:
    """Show who would lose what, and the seats and the next bill afterwards, as of now.

    It is the release itself, taken back before anybody can see it: preview and effect cannot disagree.

    Raises:
        ForbiddenError: The actor may not open the console.
        HoldDecidedError: It was decided about.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.SEE_CONSOLE)
    unit.lock()
    hold = get_undecided(unit, hold_id)
    view = read_hold(unit, hold_id)
    people = [one for one in held_people(unit, hold_id) if one.outcome is None]
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    renewal_before = unit.billing.next_renewal() if sees_money else None
    tried = _try(unit, lambda: release_people(unit, hold))
    names = name_people(unit, tried.promoted)
    return ReleasePreview(
        hold=view,
        people=tuple(
            ReleasedPerson(
                member_id=one.member_id,
                display_name=one.display_name or "",
                user_name=one.user_name or "",
                effect=one.effect,
                from_tier=one.tier,
                to_tier=tried.after.get(one.member_id, one.tier),
            )
            for one in people
        ),
        promoted=tuple(
            PromotedPerson(member_id, names[member_id], tried.after[member_id]) for member_id in tried.promoted
        ),
        seats=tried.seats,
        renewal_before=renewal_before,
        renewal_after=tried.renewal,
        purchases=tried.purchases,
    )


def preview_drop(unit: Unit, hold_id: uuid.UUID) -> DropPreview:
    """Show who would get another seat by dropping a hold, and what would be bought, as of now.

    It is the drop itself, taken back before anybody can see it.

    Raises:
        ForbiddenError: The actor may not open the console.
        HoldDecidedError: It was decided about.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.SEE_CONSOLE)
    unit.lock()
    hold = get_undecided(unit, hold_id)
    tried = _try(unit, lambda: keep_people(unit, hold))
    moving = [member_id for member_id, tier in tried.after.items() if tried.before[member_id] != tier]
    names = name_people(unit, moving)
    return DropPreview(
        tuple(SeatMove(one, names[one], tried.before[one], tried.after[one]) for one in moving), tried.purchases
    )


def _try(unit: Unit, act: Callable[[], object]) -> _Tried:
    """Do something to the people under a hold, see what comes of it, and take it back."""
    used = {pool.tier: pool.used for pool in read_pools(unit)}
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    seq, line_grew = unit.lock().audit_seq, unit.line_grew
    step = unit.session.begin_nested()
    try:
        act()
        unit.session.flush()
        decisions = decisions_since(unit, seq)
        expected, purchases = expected_purchases(unit) if unit.line_grew else (None, ())
        bought = expected.moves if expected else ()
        before = {decision.member_id: decision.from_tier for decision in reversed(decisions)}
        before = {member_id_of(move.member_id): move.from_tier for move in bought} | before
        after = {decision.member_id: decision.to_tier for decision in decisions}
        after |= {member_id_of(move.member_id): move.to_tier for move in bought}
        moved = Counter(move.to_tier for move in bought)
        moved.subtract(move.from_tier for move in bought)
        added = Counter({use.tier: use.seats for use in purchases})
        waited = [one for one in decisions if one.occasion == Occasion.PROMOTION and one.from_tier != one.to_tier]
        served = [one.member_id for one in waited] + [member_id_of(move.member_id) for move in bought]
        return _Tried(
            before,
            after,
            tuple(dict.fromkeys(served)),
            tuple(
                TierUse(
                    pool.tier,
                    pool.name,
                    pool.total + added[pool.tier],
                    used[pool.tier],
                    pool.used + moved[pool.tier],
                )
                for pool in read_pools(unit)
            ),
            unit.billing.next_renewal() if sees_money else None,
            purchases if sees_money else (),
        )
    finally:
        step.rollback()
        unit.session.expire_all()
        unit.line_grew = line_grew


def get_undecided(unit: Unit, hold_id: uuid.UUID) -> Hold:
    """Return a hold that waits for a decision.

    Raises:
        HoldDecidedError: It was decided about.
        NotFoundError: There is no such hold here.
    """
    hold = get_hold(unit, hold_id)
    if hold.state != HoldState.OPEN:
        raise HoldDecidedError(hold.state, hold.decided_at or unit.at)
    return hold


class Seated(NamedTuple):
    """A decision about somebody's seat."""

    member_id: MemberId
    from_tier: str | None
    to_tier: str | None
    occasion: str


def decisions_since(unit: Unit, seq: int) -> list[Seated]:
    """Return the decisions about seats behind an entry of the journal, in their order."""
    rows = unit.session.execute(
        select(Decision.member_id, Decision.from_tier, Decision.to_tier, Decision.occasion)
        .where(Decision.org_id == unit.org_id, Decision.seq > seq)
        .order_by(Decision.seq)
    )
    return [Seated(*row) for row in rows]
