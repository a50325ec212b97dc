"""What the rules entitle one person to, and by which rule."""

from dataclasses import dataclass
from enum import StrEnum

from mappings.conditions import FoldedFacts
from mappings.rules import (
    MAPPABLE_ROLES,
    MappingRule,
    MappingSet,
    OnExhausted,
    PersonFacts,
    comparison_key,
)
from mappings.tiers import HIGHEST_AVAILABLE, UNASSIGNED, TierLadder


class WonBy(StrEnum):
    """What made one of several rules win."""

    PRIORITY = "priority"
    """The others have a lower priority."""
    TIER = "tier"
    """The others give a lower tier (rule A2)."""
    ORDER = "order"
    """Another gives the same tier and stands behind."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What the rules give a person, before anybody looks at free seats.

    Attributes:
        tier: The tier they give; None when they give no seat or say nothing.
        mapped: Whether a rule speaks of the person's seat at all. A rule for "unassigned" does.
        winning: The rule that decides about the seat.
        losing: The other rules that speak of the person's seat, the best first.
        role: The strongest role that a rule gives, or None.
        role_rule: The rule that gives it.
        teams: Every team that a rule gives, in the set's order, each once.
        fallback: What a new person gets when no rule speaks of the seat (:attr:`MappingSet.default`).
        on_exhausted: The winning rule's own answer to a full tier; None leaves it to the set.
    """

    tier: str | None
    mapped: bool
    winning: MappingRule | None = None
    losing: tuple[MappingRule, ...] = ()
    role: str | None = None
    role_rule: MappingRule | None = None
    teams: tuple[str, ...] = ()
    fallback: str = HIGHEST_AVAILABLE
    on_exhausted: OnExhausted | None = None

    @property
    def won_by(self) -> WonBy | None:
        """What put the winning rule before the next best; None where no other speaks of the seat."""
        if self.winning is None or not self.losing:
            return None
        if self.winning.priority != self.losing[0].priority:
            return WonBy.PRIORITY
        return WonBy.ORDER if self.winning.tier == self.losing[0].tier else WonBy.TIER


def resolve(facts: PersonFacts, mapping_set: MappingSet, ladder: TierLadder) -> Entitlement:
    """Resolve the rules for one person.

    Of several rules that speak of the seat one of the highest priority wins, among those the one for the highest tier,
    "unassigned" behind every tier, and a tie goes to the rule that stands first. The role is decided likewise, by
    priority and then by strength; teams come from every rule. A rule for a tier that the ladder does not have says
    nothing about the seat.

    Source: rule A2.
    """
    folded = FoldedFacts.of(facts)
    matching = [rule for rule in mapping_set.rules if rule.speaks_of(folded)]
    order = {key: place for place, key in enumerate(ladder.keys)}
    about_seat = [rule for rule in matching if rule.tier == UNASSIGNED or rule.tier in ladder]
    # Sorting and max() keep the order of equals, which is the tie-break.
    about_seat.sort(key=lambda rule: (-rule.priority, order.get(rule.tier or UNASSIGNED, len(order))))
    winning, losing = (about_seat[0], tuple(about_seat[1:])) if about_seat else (None, ())
    about_role = [rule for rule in matching if rule.role is not None]
    role_rule = max(about_role, key=lambda rule: (rule.priority, MAPPABLE_ROLES.index(rule.role or "")), default=None)
    teams: dict[str, str] = {}
    for team in (team for rule in matching for team in rule.teams):
        teams.setdefault(comparison_key(team), team)
    default = mapping_set.default
    return Entitlement(
        tier=None if winning is None or winning.tier == UNASSIGNED else winning.tier,
        mapped=winning is not None,
        winning=winning,
        losing=losing,
        role=None if role_rule is None else role_rule.role,
        role_rule=role_rule,
        teams=tuple(teams.values()),
        fallback=default if default == UNASSIGNED or default in ladder else HIGHEST_AVAILABLE,
        on_exhausted=None if winning is None else winning.on_exhausted,
    )
