"""What differs between two mapping sets, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mappings.conditions import ExpectedGroup
from mappings.rules import GroupCondition, MappingRule, MappingSet, OnExhausted
from mappings.tiers import HIGHEST_AVAILABLE, TierLadder


class ChangeKind(StrEnum):
    """What happened to a rule, or to the set, between two versions."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REORDERED = "reordered"
    """The rules stand in another order, which decides ties; the change names no rule."""
    SETTING = "setting"
    """The default, what happens when a tier is full, or what is asserted; the change names no rule."""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One difference between two mapping sets.

    Attributes:
        kind: What happened.
        rule: The rule as it is afterwards; as it was, for one that was removed.
        before: The rule as it was; None for one that was added.
        sentence: The change in English: "Data & insights: Premium → Standard".
    """

    kind: ChangeKind
    rule: MappingRule | None
    before: MappingRule | None
    sentence: str


def difference(old: MappingSet, new: MappingSet, ladder: TierLadder | None = None) -> list[RuleChange]:
    """List what is different: rules in the new order, then removed ones, then the order and the settings.

    Args:
        old: The set before.
        new: The set afterwards.
        ladder: Gives the tiers their names in the sentences; without it they go by their keys.
    """
    names = ladder or TierLadder([])
    old_rules = {rule.key: rule for rule in old.rules}
    new_rules = {rule.key: rule for rule in new.rules}
    changes: list[RuleChange] = []
    for rule in new.rules:
        before = old_rules.get(rule.key)
        if before is None:
            sentence = f"{rule.label}: {gives(rule, names)}"
            changes.append(RuleChange(ChangeKind.ADDED, rule, None, sentence))
        elif before != rule:
            changes.append(RuleChange(ChangeKind.CHANGED, rule, before, _change_sentence(before, rule, names)))
    for before in old.rules:
        if before.key not in new_rules:
            sentence = f"{before.label}: no rule any more, was {gives(before, names)}"
            changes.append(RuleChange(ChangeKind.REMOVED, before, before, sentence))
    return changes + _other_changes(old, new, names)


def _other_changes(old: MappingSet, new: MappingSet, names: TierLadder) -> list[RuleChange]:
    """List what is different besides the rules themselves: their order, the settings, what is asserted."""
    old_rules, new_rules = {rule.key for rule in old.rules}, {rule.key for rule in new.rules}
    changes: list[RuleChange] = []
    if [rule.key for rule in old.rules if rule.key in new_rules] != [
        rule.key for rule in new.rules if rule.key in old_rules
    ]:
        changes.append(RuleChange(ChangeKind.REORDERED, None, None, "the rules stand in another order"))
    if old.on_exhausted is not new.on_exhausted:
        sentence = f"when a tier is full: {_POLICIES[old.on_exhausted]} → {_POLICIES[new.on_exhausted]}"
        changes.append(RuleChange(ChangeKind.SETTING, None, None, sentence))
    if old.default != new.default:
        sentence = f"everyone else: {_default(old.default, names)} → {_default(new.default, names)}"
        changes.append(RuleChange(ChangeKind.SETTING, None, None, sentence))
    asserted = [f"asserted: {one.told(names)}" for one in new.assertions if one not in old.assertions]
    dropped = [f"no longer asserted: {one.told(names)}" for one in old.assertions if one not in new.assertions]
    changes += [RuleChange(ChangeKind.SETTING, None, None, sentence) for sentence in (*asserted, *dropped)]
    return changes


_POLICIES: Final[Mapping[OnExhausted, str]] = {
    OnExhausted.UNASSIGNED: "wait",
    OnExhausted.NEXT_LOWER: "next tier down",
    OnExhausted.BUY_UP_TO: "buy within the budget",
    OnExhausted.REJECT: "refuse new people",
}


def _default(default: str, ladder: TierLadder) -> str:
    return "highest free seat" if default == HIGHEST_AVAILABLE else ladder.name_of(default)


def _aspects(rule: MappingRule, ladder: TierLadder) -> tuple[str | None, ...]:
    """Return what a rule says of seat, full tier, role, teams and priority, in words; None where it says nothing."""
    return (
        None if rule.tier is None else ladder.name_of(rule.tier),
        None if rule.on_exhausted is None else f"when full {_POLICIES[rule.on_exhausted]}",
        None if rule.role is None else f"role {rule.role}",
        f"teams {', '.join(rule.teams)}" if rule.teams else None,
        f"priority {rule.priority}" if rule.priority else None,
    )


def gives(rule: MappingRule, ladder: TierLadder) -> str:
    """Say what a rule gives, as in "Premium, role admin"."""
    return ", ".join(aspect for aspect in _aspects(rule, ladder) if aspect is not None) or "nothing"


_SILENT: Final = ("nothing about the seat", "the set's way when full", "no role", "no teams", "no priority")


def _change_sentence(before: MappingRule, after: MappingRule, ladder: TierLadder) -> str:
    pairs = zip(_aspects(before, ladder), _aspects(after, ladder), _SILENT, strict=True)
    parts = [f"{was or silent} → {now or silent}" for was, now, silent in pairs if was != now]
    if (before.condition, before.connection) != (after.condition, after.connection):
        parts.insert(0, _meant_before(before, after))
    return f"{after.label}: {', '.join(parts)}"


def _meant_before(before: MappingRule, after: MappingRule) -> str:
    """Say how a rule speaks of other people than before, also where it reads the same."""
    match before.condition, after.condition:
        case ExpectedGroup(), GroupCondition():
            return "the group has arrived"
        case GroupCondition(), ExpectedGroup():
            return "the group is gone and expected again"
    return f"was {before.label}" if before.label != after.label else "means other groups or another connection"
