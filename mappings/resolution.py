"""What the rules entitle one person to, and by which rule."""

from collections.abc import Iterator
from dataclasses import dataclass

from mappings.rules import (
    MAPPABLE_ROLES,
    GroupCondition,
    MappingRule,
    MappingSet,
    OnExhausted,
    PersonFacts,
    comparison_key,
)
from mappings.tiers import HIGHEST_AVAILABLE, UNASSIGNED, TierLadder


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What the rules give a person, before anybody looks at free seats.

    Attributes:
        tier: The tier they give; None when they give no seat or say nothing.
        mapped: Whether a rule speaks of the person's seat at all. A rule for "unassigned" does.
        winning: The rule that decides about the seat.
        losing: The other rules that speak of the person's seat, in the set's order.
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


def resolve(facts: PersonFacts, mapping_set: MappingSet, ladder: TierLadder) -> Entitlement:
    """Resolve the rules for one person.

    Of several rules that speak of the seat the highest tier wins, "unassigned" loses to every tier, and a tie
    goes to the rule that stands first. A rule for a tier that the ladder does not have says nothing about the
    seat.

    Source: rule A2.
    """
    matching = tuple(_matching(facts, mapping_set))
    about_seat = [rule for rule in matching if rule.tier == UNASSIGNED or rule.tier in ladder]
    # max() and min() keep the first of equals, which is the tie-break by order.
    order = {key: place for place, key in enumerate(ladder.keys)}
    winning = min(about_seat, key=lambda rule: order.get(rule.tier or UNASSIGNED, len(order)), default=None)
    about_role = [rule for rule in matching if rule.role is not None]
    role_rule = max(about_role, key=lambda rule: MAPPABLE_ROLES.index(rule.role or ""), default=None)
    teams: dict[str, str] = {}
    for team in (team for rule in matching for team in rule.teams):
        teams.setdefault(comparison_key(team), team)
    default = mapping_set.default
    return Entitlement(
        tier=None if winning is None or winning.tier == UNASSIGNED else winning.tier,
        mapped=winning is not None,
        winning=winning,
        losing=tuple(rule for rule in about_seat if rule is not winning),
        role=None if role_rule is None else role_rule.role,
        role_rule=role_rule,
        teams=tuple(teams.values()),
        fallback=default if default == UNASSIGNED or default in ladder else HIGHEST_AVAILABLE,
        on_exhausted=None if winning is None else winning.on_exhausted,
    )


def _matching(facts: PersonFacts, mapping_set: MappingSet) -> Iterator[MappingRule]:
    groups = {comparison_key(group) for group in facts.groups}
    attributes = {comparison_key(name): comparison_key(value) for name, value in facts.attributes.items()}
    for rule in mapping_set.rules:
        condition = rule.condition
        if isinstance(condition, GroupCondition):
            if condition.key in groups:
                yield rule
        elif attributes.get(condition.attribute_key) == condition.value_key:
            yield rule
