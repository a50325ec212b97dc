"""From an entitlement to a seat: what to try, what to give up, whether to wait.

:func:`wish` says what a person should try, without looking at free seats. The store tries the tiers by one
conditional UPDATE each, and :func:`decide` turns what it obtained into the decision. :func:`allocate` does
the same from counts, for previews. Nobody loses a seat because another tier is full, and nobody loses one to
somebody else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from mappings.reasons import SENTENCES, SeatReason, because, sentence_parts
from mappings.resolution import Entitlement
from mappings.rules import MappingRule, OnExhausted
from mappings.tiers import ANY, HIGHEST_AVAILABLE, UNASSIGNED, TierLadder

__all__ = [
    "NOTHING",
    "SENTENCES",
    "Grant",
    "Holding",
    "MemberKey",
    "Occasion",
    "SeatDecision",
    "SeatReason",
    "SeatWish",
    "Waiting",
    "allocate",
    "because",
    "deactivate",
    "decide",
    "place_by_hand",
    "promotion_order",
    "sentence_parts",
    "waiting_for_tier",
    "wish",
]


class MemberKey(Protocol):
    """A member's identifier: anything with an order (UUID, int, str), all of one kind."""

    def __lt__(self, other: Any, /) -> bool:
        """Order members by id (rule A8)."""
        ...

    def __hash__(self) -> int:
        """Let members be looked up."""
        ...


class Occasion(StrEnum):
    """Why a seat is looked at."""

    ARRIVED = "arrived"
    """Added or reactivated (rules A1, A2 and K2)."""
    REGROUPED = "regrouped"
    """The person's groups or attributes changed."""
    REMAPPED = "remapped"
    """The rules changed (rule A8)."""
    PROMOTION = "promotion"
    """A seat is free and the person waits."""


class Grant(StrEnum):
    """What gave a person the seat they hold."""

    MAPPING = "mapping"
    """A rule; withdrawn when none gives it any more (rule A5)."""
    HIGHEST = "highest"
    """The best tier that was free on arrival (rule A1)."""
    DEFAULT = "default"
    """The set's default tier."""
    MANUAL = "manual"
    """Somebody, by hand (rule A6)."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a person has now.

    Attributes:
        tier: The tier key; None without a seat.
        granted_by: What gave the seat.
        pinned: Placed by hand, so that groups and rules move the person no more (rule A6), without a seat
            included.
        waiting_for: A tier key, "any", or None when the person is not in line.
    """

    tier: str | None = None
    granted_by: Grant | None = None
    pinned: bool = False
    waiting_for: str | None = None


NOTHING: Final = Holding()
"""What somebody holds who was just added or reactivated."""


@dataclass(frozen=True, slots=True)
class SeatWish:
    """What to try for a person, and what follows from each outcome.

    Attributes:
        tiers: Try to take one seat of each in this order and stop at the first success. Never the tier
            already held.
        target: The tier the person should end with; None when there is none or any will do.
        release: Give the present seat up when no tier was obtained.
        keep: There is no seat to take or give up; only :attr:`grant` and :attr:`waiting_for` may differ from
            before.
        fresh: The person is placed as if newly added: an older pin and grant count no more (rule K2).
        reject: A new person who obtained nothing is refused (:attr:`OnExhausted.REJECT`).
        buys: Where nothing was obtained, buy a seat of the first of these tiers that a budget has left for
            (:attr:`OnExhausted.BUY_UP_TO`). Never more than one.
        grant: What is said to have given the seat when a tier was obtained, or when :attr:`keep`.
        waiting_for: What the person waits for when nothing, or only a lower tier, was obtained.
        alert: Obtaining nothing, or only a lower tier, is news that somebody has to decide about.
        obtained: Reason when the target (or any tier, where any will do) was obtained.
        lower: Reason when only a lower tier was obtained.
        missed: Reason when nothing was obtained, unless that refuses the person.
    """

    tiers: tuple[str, ...] = ()
    target: str | None = None
    release: bool = False
    keep: bool = False
    fresh: bool = False
    reject: bool = False
    buys: tuple[str, ...] = ()
    grant: Grant | None = None
    waiting_for: str | None = None
    alert: bool = False
    obtained: SeatReason = SeatReason.KEPT
    lower: SeatReason = SeatReason.NEXT_LOWER
    missed: SeatReason = SeatReason.KEPT

    def satisfied_by(self, tier: str | None) -> bool:
        """Say whether obtaining this tier ends the wait."""
        return tier is not None and self.target in {None, tier}

    def reason_for(self, tier: str | None) -> SeatReason:
        """Return the reason that goes with having obtained this tier, or None for nothing."""
        if tier is None:
            return SeatReason.REJECTED if self.reject else self.missed
        return self.obtained if self.satisfied_by(tier) else self.lower

    def first_free(self, free: Mapping[str, int]) -> str | None:
        """Return the first wished tier with a free seat; a missing count means 0."""
        for tier in self.tiers:
            if free.get(tier, 0) > 0:
                return tier
        return None


@dataclass(frozen=True, slots=True)
class SeatDecision:
    """What a person ends with, and why.

    Attributes:
        tier: The seat from now on; None for no seat.
        reason: Why.
        granted_by: What gave the seat; None without one, unless somebody took it by hand.
        waiting_for: What the person waits for from now on.
        alert: Somebody should be told that seats ran out.
        alert_tier: Which: a tier key or "any"; None without an alert.
        from_tier: The seat before.
        rejected: The person must not be added at all (:attr:`OnExhausted.REJECT`).
        buys: Tiers of which a seat is bought for the person who waits, as far as budgets go; the first of them that
            has something left (:attr:`OnExhausted.BUY_UP_TO`).
        pinned: Whether groups and rules move the person no more.
    """

    tier: str | None
    reason: SeatReason
    granted_by: Grant | None
    waiting_for: str | None
    alert: bool
    alert_tier: str | None
    from_tier: str | None
    rejected: bool = False
    pinned: bool = False
    buys: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether the seat is another one than before."""
        return self.tier != self.from_tier

    @property
    def holding(self) -> Holding:
        """What the person has after the decision."""
        return Holding(self.tier, self.granted_by, self.pinned, self.waiting_for)

    def alters(self, holding: Holding) -> bool:
        """Say whether there is anything to store (rule A7)."""
        return self.holding != holding

    def because(self, ladder: TierLadder, rule: MappingRule | str | None = None) -> str:
        """Explain the decision in English; the rule is :attr:`Entitlement.winning` or its stored words."""
        wanted = self.waiting_for or self.alert_tier
        return because(self.reason, ladder, tier=self.tier, rule=rule, wanted=wanted, before=self.from_tier)


def wish(
    entitlement: Entitlement,
    holding: Holding,
    occasion: Occasion,
    ladder: TierLadder,
    on_exhausted: OnExhausted = OnExhausted.UNASSIGNED,
) -> SeatWish:
    """Say what a person should try.

    A seat that somebody was given for want of a rule counts as the rule's as soon as a rule gives the same
    tier: most directories send a person first and the groups afterwards, and leaving the group must still
        withdraw the seat (rule A5).

    Args:
        entitlement: What the rules give.
        holding: What the person has.
        occasion: Why the seat is looked at.
        ladder: The organization's tiers.
        on_exhausted: The set's answer to a full tier; the winning rule's own comes first.

    Raises:
        ValueError: Somebody arrives who already holds a seat; deactivation frees it (rule K1).

    Source: rules A1 to A8, K1 and K2.
    """
    policy = entitlement.on_exhausted or on_exhausted
    if occasion is Occasion.ARRIVED:
        if holding.tier is not None:
            raise ValueError("somebody who arrives cannot hold a seat already")
        if entitlement.mapped:
            return replace(_mapped(entitlement, NOTHING, ladder, policy, arriving=True), fresh=True)
        return replace(_unmapped_arrival(entitlement, ladder, policy), fresh=True)
    if occasion is Occasion.PROMOTION:
        return _promotion(entitlement, holding, ladder, policy)
    if holding.pinned:
        return _unchanged(holding)
    if entitlement.mapped:
        return _mapped(entitlement, holding, ladder, policy)
    return _unmapped(entitlement, holding)


def _unchanged(holding: Holding) -> SeatWish:
    return SeatWish(keep=True, grant=holding.granted_by, waiting_for=holding.waiting_for)


def _leave_line(holding: Holding) -> SeatWish:
    return SeatWish(keep=True, grant=holding.granted_by)


def _mapped(
    entitlement: Entitlement,
    holding: Holding,
    ladder: TierLadder,
    policy: OnExhausted,
    *,
    arriving: bool = False,
) -> SeatWish:
    """Follow the winning rule (rules A2 and A4)."""
    target = entitlement.tier
    if target is None:
        had_none = holding.tier is None and not arriving
        settled = had_none and holding.waiting_for is None
        return SeatWish(
            release=holding.tier is not None,
            keep=had_none,
            missed=SeatReason.KEPT if settled else SeatReason.MAPPED_UNASSIGNED,
        )
    if holding.tier == target:
        settled = holding.granted_by is Grant.MAPPING and holding.waiting_for is None
        return SeatWish(
            target=target,
            keep=True,
            grant=Grant.MAPPING,
            missed=SeatReason.KEPT if settled else SeatReason.MAPPING,
        )
    reject = arriving and policy is OnExhausted.REJECT
    return SeatWish(
        tiers=_ways_to(target, holding.tier, ladder, policy),
        target=target,
        reject=reject,
        buys=(target,) if policy is OnExhausted.BUY_UP_TO else (),
        grant=Grant.MAPPING,
        waiting_for=None if reject else target,
        alert=holding.waiting_for != target,
        obtained=SeatReason.MAPPING,
        missed=SeatReason.TIER_EXHAUSTED if holding.tier is None else SeatReason.KEPT_EXHAUSTED,
    )


def _ways_to(target: str, present: str | None, ladder: TierLadder, policy: OnExhausted) -> tuple[str, ...]:
    """Return the target and, where allowed, the lower tiers that are better than the present seat."""
    if policy is not OnExhausted.NEXT_LOWER:
        return (target,)
    return (
        target,
        *(tier for tier in ladder.below(target) if ladder.is_better(tier, present)),
    )


def _unmapped_arrival(entitlement: Entitlement, ladder: TierLadder, policy: OnExhausted) -> SeatWish:
    """Place a new person of whom no rule speaks (rules A1 and A3).

    A plan without tiers is not sold by seats: nobody is refused, waits or is told of for want of one.
    """
    if not len(ladder):
        return SeatWish(missed=SeatReason.NOT_BY_SEATS)
    reject = policy is OnExhausted.REJECT
    fallback = entitlement.fallback
    if fallback == UNASSIGNED:
        return SeatWish(missed=SeatReason.DEFAULT)
    if fallback == HIGHEST_AVAILABLE:
        return SeatWish(
            tiers=ladder.keys,
            reject=reject,
            buys=ladder.keys if policy is OnExhausted.BUY_UP_TO else (),
            grant=Grant.HIGHEST,
            waiting_for=None if reject else ANY,
            alert=True,
            obtained=SeatReason.HIGHEST_AVAILABLE,
            missed=SeatReason.NO_SEAT_LEFT,
        )
    return SeatWish(
        tiers=_ways_to(fallback, None, ladder, policy),
        target=fallback,
        reject=reject,
        buys=(fallback,) if policy is OnExhausted.BUY_UP_TO else (),
        grant=Grant.DEFAULT,
        waiting_for=None if reject else fallback,
        alert=True,
        obtained=SeatReason.DEFAULT,
        missed=SeatReason.TIER_EXHAUSTED,
    )


def _unmapped(entitlement: Entitlement, holding: Holding) -> SeatWish:
    """Look again at a present person of whom no rule speaks (rule A5; rule A1 speaks only of being added)."""
    if holding.granted_by is Grant.MAPPING and holding.tier is not None:
        return SeatWish(release=True, missed=SeatReason.MAPPING_WITHDRAWN)
    waits_on = _waits_by_default(entitlement, holding)
    leaves_line = holding.waiting_for is not None and not waits_on
    return SeatWish(
        keep=True,
        grant=holding.granted_by,
        waiting_for=holding.waiting_for if waits_on else None,
        missed=SeatReason.MAPPING_WITHDRAWN if leaves_line and holding.tier is None else SeatReason.KEPT,
    )


def _waits_by_default(entitlement: Entitlement, holding: Holding) -> bool:
    """Say whether an unmapped person waits for what the default gives, not for what a rule once gave."""
    if holding.waiting_for == ANY:
        return holding.tier is None
    return holding.waiting_for is not None and holding.waiting_for == entitlement.fallback


def _promotion(entitlement: Entitlement, holding: Holding, ladder: TierLadder, policy: OnExhausted) -> SeatWish:
    """Offer a free seat to somebody in line, by what the rules say now."""
    waiting_for = holding.waiting_for
    if waiting_for is None:
        return _unchanged(holding)
    if entitlement.mapped and not holding.pinned:
        asked = _mapped(entitlement, holding, ladder, policy)
        if not asked.tiers:
            return asked if asked.keep else _leave_line(holding)
        grant = Grant.MAPPING
    elif holding.pinned or _waits_by_default(entitlement, holding):
        tiers = ladder.keys if waiting_for == ANY else _ways_to(waiting_for, holding.tier, ladder, policy)
        tiers = tuple(tier for tier in tiers if tier != holding.tier)
        asked = SeatWish(
            tiers=tiers,
            buys=tiers if policy is OnExhausted.BUY_UP_TO else (),
            target=None if waiting_for == ANY else waiting_for,
            waiting_for=waiting_for,
        )
        grant = Grant.HIGHEST if waiting_for == ANY else Grant.DEFAULT
        if holding.pinned:
            grant = Grant.MANUAL
    else:
        return _leave_line(holding)
    return replace(asked, grant=grant, alert=False, obtained=SeatReason.PROMOTED, lower=SeatReason.PROMOTED)


def decide(wish: SeatWish, obtained: str | None, holding: Holding) -> SeatDecision:
    """Turn what was obtained into the decision.

    Args:
        wish: What was tried.
        obtained: The tier of which a seat was taken; None when there was none, or none was wished.
        holding: What the person had when the wish was made.

    Raises:
        ValueError: A tier was obtained that was not wished.
    """
    if obtained is not None and obtained not in wish.tiers:
        raise ValueError(f"a {obtained!r} seat was taken, which was not wished")
    if obtained is not None:
        tier, granted_by = obtained, wish.grant
    elif wish.release or wish.fresh:
        tier, granted_by = None, None
    else:
        tier, granted_by = holding.tier, wish.grant if wish.keep else holding.granted_by
    short = bool(wish.tiers) and not wish.satisfied_by(obtained)
    alert = short and wish.alert
    return SeatDecision(
        tier=tier,
        reason=wish.reason_for(obtained),
        granted_by=granted_by,
        waiting_for=wish.waiting_for if short or wish.keep else None,
        alert=alert,
        alert_tier=(wish.target or ANY) if alert else None,
        from_tier=holding.tier,
        rejected=wish.reject and obtained is None,
        buys=wish.buys if obtained is None else (),
        pinned=holding.pinned and not wish.fresh,
    )


def allocate(wish: SeatWish, free: Mapping[str, int], holding: Holding) -> SeatDecision:
    """Decide from counts of free seats, as the store would from its pools; a missing count means 0."""
    return decide(wish, wish.first_free(free), holding)


def place_by_hand(
    tier: str | None, holding: Holding, reason: SeatReason = SeatReason.MANUAL, *, pinned: bool = True
) -> SeatDecision:
    """Return a decision made by hand; that a seat is free has been seen to by then (rules S5 and A6)."""
    return SeatDecision(
        tier=tier,
        reason=reason,
        granted_by=Grant.MANUAL,
        waiting_for=None,
        alert=False,
        alert_tier=None,
        from_tier=holding.tier,
        pinned=pinned,
    )


def deactivate(holding: Holding, reason: SeatReason = SeatReason.DEACTIVATED) -> SeatDecision:
    """Return the decision that frees whatever the person had: seat, place in line and pin (rule K1)."""
    return SeatDecision(
        tier=None,
        reason=reason,
        granted_by=None,
        waiting_for=None,
        alert=False,
        alert_tier=None,
        from_tier=holding.tier,
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A person's place in line.

    Attributes:
        member_id: Breaks ties between people who began to wait at the same instant.
        since: When the wait began; a wait that goes over to another tier keeps its beginning.
        waiting_for: A tier key, or "any".
        also: Lower tiers that the person would take meanwhile (:attr:`OnExhausted.NEXT_LOWER`).
    """

    member_id: MemberKey
    since: datetime
    waiting_for: str
    also: frozenset[str] = frozenset()

    def can_use(self, tier: str) -> bool:
        """Say whether a free seat of this tier is of use to the person."""
        return self.waiting_for in {tier, ANY} or tier in self.also


def promotion_order(waiting: Iterable[Waiting]) -> tuple[Waiting, ...]:
    """Order people as they get free seats: longest wait first, then by id. Nobody is evicted for them."""
    return tuple(sorted(waiting, key=lambda person: (person.since, person.member_id)))


def waiting_for_tier(waiting: Iterable[Waiting], tier: str) -> tuple[Waiting, ...]:
    """Return who could use a free seat of this tier, in the order in which they get it."""
    return promotion_order(person for person in waiting if person.can_use(tier))
