"""Why somebody has the seat they have: one code for each reason and one sentence for people."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from mappings.rules import MappingRule
from mappings.tiers import ANY, TierLadder


class SeatReason(StrEnum):
    """Why a decision about a seat came out as it did."""

    MAPPING = "mapping"
    """A rule gives the tier (rule A2)."""
    HIGHEST_AVAILABLE = "highest_available"
    """No rule speaks; the best tier that had a free seat (rule A1)."""
    DEFAULT = "default"
    """No rule speaks; the set's default says so."""
    MAPPED_UNASSIGNED = "mapped_unassigned"
    """A rule says that there is no seat."""
    MAPPING_WITHDRAWN = "mapping_withdrawn"
    """The rule that gave the seat, or the place in line, no longer does (rule A5)."""
    TIER_EXHAUSTED = "tier_exhausted"
    """The tier is full and the person has no seat (rule A4)."""
    NO_SEAT_LEFT = "no_seat_left"
    """No rule speaks and every tier is full (rules A1 and A3)."""
    NEXT_LOWER = "next_lower"
    """The tier is full; a lower one until it frees (option of rule A4)."""
    REJECTED = "rejected"
    """Full, and new people are refused then (option of rule A4)."""
    KEPT = "kept"
    """Nothing to do (rule A7)."""
    KEPT_EXHAUSTED = "kept_exhausted"
    """The tier is full; the present seat stays (rule A4)."""
    MANUAL = "manual"
    """Placed by hand (rule A6)."""
    PROMOTED = "promoted"
    """First in line when a seat became free."""
    BOUGHT = "bought"
    """The tier was full, and a seat was bought within an owner's budget (:attr:`OnExhausted.BUY_UP_TO`)."""
    PURCHASED = "purchased"
    """The seat was bought for this person (rule Q6)."""
    SWAPPED = "swapped"
    """Exchanged by hand with another member's, which costs nothing (rule S4)."""
    OUT_OF_LINE = "out_of_line"
    """Taken out of the line by hand; what the person holds stays."""
    DEACTIVATED = "deactivated"
    """The person was turned off, which frees the seat (rule K1)."""
    PLAN_ENDED = "plan_ended"
    """The plan ended without a renewal (rule R5)."""
    PLAN_BEGAN = "plan_began"
    """Another plan began, and it has no such seat left for this person (rule R5)."""
    NOT_BY_SEATS = "not_by_seats"
    """The plan has no tiers: what the person may use is not sold by seats (rule G1)."""


SENTENCES: Final[Mapping[SeatReason, str]] = {
    SeatReason.MAPPING: "%(rule)s gives %(tier)s",
    SeatReason.HIGHEST_AVAILABLE: "no mapping applies, so the best tier with a free seat",
    SeatReason.DEFAULT: "no mapping applies, so the default: %(tier)s",
    SeatReason.MAPPED_UNASSIGNED: "%(rule)s gives no seat",
    SeatReason.MAPPING_WITHDRAWN: "no mapping gives %(before)s any more",
    SeatReason.TIER_EXHAUSTED: "%(rule)s gives %(wanted)s, and every %(wanted)s seat is taken; waits in line",
    SeatReason.NO_SEAT_LEFT: "no mapping applies and every seat is taken; waits in line",
    SeatReason.NEXT_LOWER: "%(rule)s gives %(wanted)s, which is full; %(tier)s meanwhile, and in line",
    SeatReason.REJECTED: "every seat this person could have is taken, and new people are refused then",
    SeatReason.KEPT: "nothing to change",
    SeatReason.KEPT_EXHAUSTED: "%(rule)s gives %(wanted)s, which is full; keeps %(tier)s and waits in line",
    SeatReason.MANUAL: "placed by hand",
    SeatReason.PROMOTED: "first in line when a %(tier)s seat became free",
    SeatReason.BOUGHT: "every %(tier)s seat was taken, so one was bought within the budget",
    SeatReason.PURCHASED: "a %(tier)s seat was bought for this person",
    SeatReason.SWAPPED: "exchanged by hand with another member",
    SeatReason.OUT_OF_LINE: "taken out of the line by hand",
    SeatReason.DEACTIVATED: "turned off, which frees the seat",
    SeatReason.PLAN_ENDED: "the plan has ended",
    SeatReason.PLAN_BEGAN: "another plan began, which has no %(before)s seat for this person",
    SeatReason.NOT_BY_SEATS: "the plan is not sold by seats, so nobody needs one",
}
"""Templates with named parts, so that a page can look up its own language's before the parts go in."""


def sentence_parts(
    ladder: TierLadder,
    *,
    tier: str | None,
    rule: MappingRule | str | None = None,
    wanted: str | None = None,
    before: str | None = None,
) -> dict[str, str]:
    """Return the named parts of :data:`SENTENCES`, in words.

    Args:
        ladder: Gives the tiers their names.
        tier: The seat the person has now.
        rule: The deciding rule, or what it speaks of in words ("the group Engineering"), as a stored decision
            keeps it.
        wanted: The tier the person should get or waits for, or "any".
        before: The seat before; None reads as "a seat".
    """
    about = rule.about if isinstance(rule, MappingRule) else rule
    return {
        "rule": "the default" if about is None else str(about),
        "tier": ladder.name_of(tier),
        "wanted": "any tier" if wanted == ANY else ladder.name_of(wanted),
        "before": "a seat" if before is None else ladder.name_of(before),
    }


def because(
    reason: SeatReason,
    ladder: TierLadder,
    *,
    tier: str | None,
    rule: MappingRule | str | None = None,
    wanted: str | None = None,
    before: str | None = None,
) -> str:
    """Explain a decision in English, to stand after "because": "the group Engineering gives Premium".

    The arguments are those of :func:`sentence_parts`.
    """
    return SENTENCES[reason] % sentence_parts(ladder, tier=tier, rule=rule, wanted=wanted, before=before)
