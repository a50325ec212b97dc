"""Mapping sets as documents for YAML or JSON, their problems by path, and what differs between two."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeGuard

from mappings.rules import (
    MAPPABLE_ROLES,
    AttributeCondition,
    Condition,
    GroupCondition,
    MappingRule,
    MappingSet,
    OnExhausted,
    comparison_key,
)
from mappings.tiers import HIGHEST_AVAILABLE, UNASSIGNED, TierLadder

SCHEMA: Final = 1
MAX_RULES: Final = 1000
MAX_TEAMS: Final = 100
MAX_TEXT: Final = 256

_SET_FIELDS: Final = ("schema", "on_exhausted", "default", "rules")
_RULE_FIELDS: Final = ("key", "group", "attribute", "equals", "tier", "on_exhausted", "role", "teams")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a document.

    Attributes:
        path: Where, as in "rules.2.tier", counted from 0; empty for the whole document.
        message: What, and what would be right.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class MappingDocumentError(ValueError):
    """A document that is not a mapping set; lists everything that is wrong with it."""

    code: Final = "mapping_document_invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def to_document(mapping_set: MappingSet) -> dict[str, Any]:
    """Return the set, without its version, as plain dicts, lists and text in the order people write them."""
    return {
        "schema": SCHEMA,
        "on_exhausted": mapping_set.on_exhausted.value,
        "default": mapping_set.default,
        "rules": [_rule_document(rule) for rule in mapping_set.rules],
    }


def _rule_document(rule: MappingRule) -> dict[str, Any]:
    condition = rule.condition
    document: dict[str, Any] = {}
    if rule.key != condition.default_rule_key:
        document["key"] = rule.key
    if isinstance(condition, GroupCondition):
        document["group"] = condition.group
    else:
        document |= {"attribute": condition.attribute, "equals": condition.value}
    if rule.tier is not None:
        document["tier"] = rule.tier
    if rule.on_exhausted is not None:
        document["on_exhausted"] = rule.on_exhausted.value
    if rule.role is not None:
        document["role"] = rule.role
    if rule.teams:
        document["teams"] = list(rule.teams)
    return document


def from_document(document: object, ladder: TierLadder, *, version: int = 0) -> MappingSet:
    """Read a document, as a YAML or JSON parser gives it.

    A rule without a key gets one from its condition, so that moving a rule up or down, or changing what it
    gives, leaves it the same rule.

    Args:
        document: What was parsed.
        ladder: Tiers that the document may name.
        version: Version of the set that is made.

    Raises:
        MappingDocumentError: With every problem, in the order of the document.
    """
    reader = _Reader(ladder)
    mapping_set = reader.read(document, version)
    if mapping_set is None or reader.problems:
        raise MappingDocumentError(reader.problems)
    return mapping_set


class _Reader:
    """Reads one document and gathers what is wrong with it."""

    def __init__(self, ladder: TierLadder) -> None:
        self.ladder = ladder
        self.problems: list[Problem] = []

    def read(self, document: object, version: int) -> MappingSet | None:
        if not isinstance(document, Mapping):
            self._problem("", "a mapping document has fields: schema, on_exhausted, default and rules")
            return None
        self._unknown_fields("", document, _SET_FIELDS)
        schema = document.get("schema")
        if schema is None:
            self._problem("schema", f"is missing; this is how it reads today: schema: {SCHEMA}")
        elif schema != SCHEMA or isinstance(schema, bool):
            self._problem("schema", f"{schema!r} is not known; this release reads {SCHEMA}")
        on_exhausted = self._policy("on_exhausted", document.get("on_exhausted"))
        default = self._tier("default", document.get("default", HIGHEST_AVAILABLE), (HIGHEST_AVAILABLE, UNASSIGNED))
        rules = self._rules(document.get("rules", []))
        if self.problems:
            return None
        return MappingSet(
            version,
            rules,
            on_exhausted or OnExhausted.UNASSIGNED,
            HIGHEST_AVAILABLE if default is None else default,
        )

    def _problem(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def _rules(self, items: object) -> tuple[MappingRule, ...]:
        if items is None:
            return ()
        if not _is_list(items):
            self._problem("rules", "must be a list")
            return ()
        if len(items) > MAX_RULES:
            self._problem("rules", f"{len(items)} rules; at most {MAX_RULES} are allowed")
            return ()
        rules: list[MappingRule] = []
        conditions: dict[str, int] = {}
        keys: dict[str, int] = {}
        for index, item in enumerate(items):
            rule = self._rule(f"rules.{index}", item)
            if rule is None:
                continue
            self._once(
                f"rules.{index}",
                conditions,
                rule.condition.default_rule_key,
                index,
                "speaks of the same people",
            )
            self._once(f"rules.{index}.key", keys, rule.key, index, "has the same key")
            rules.append(rule)
        return tuple(rules) if not self.problems else ()

    def _once(self, path: str, seen: dict[str, int], key: str, index: int, what: str) -> None:
        first = seen.setdefault(key, index)
        if first != index and not (self.problems and self.problems[-1].path == path.removesuffix(".key")):
            self._problem(path, f"rules.{first} {what}; say it in one rule")

    def _rule(self, path: str, item: object) -> MappingRule | None:
        if not isinstance(item, Mapping):
            self._problem(path, "must be a rule with fields, such as group and tier")
            return None
        before = len(self.problems)
        self._unknown_fields(f"{path}.", item, _RULE_FIELDS)
        condition = self._condition(path, item)
        key = self._text(f"{path}.key", item.get("key"))
        tier = self._tier(f"{path}.tier", item.get("tier"), (UNASSIGNED,))
        on_exhausted = self._policy(f"{path}.on_exhausted", item.get("on_exhausted"))
        role = self._role(f"{path}.role", item.get("role"))
        teams = self._teams(f"{path}.teams", item.get("teams"))
        if not any(item.get(field) for field in ("tier", "role", "teams")):
            self._problem(path, "gives nothing: add a tier, a role or teams")
        if condition is None or len(self.problems) > before:
            return None
        return MappingRule(key or condition.default_rule_key, condition, tier, role, teams, on_exhausted)

    def _condition(self, path: str, item: Mapping[Any, Any]) -> Condition | None:
        if "group" in item and ("attribute" in item or "equals" in item):
            self._problem(path, "speaks of a group and of an attribute; make two rules of it")
            return None
        if "group" in item:
            group = self._text(f"{path}.group", item["group"], needed=True)
            return None if group is None else GroupCondition(group)
        if "attribute" not in item and "equals" not in item:
            self._problem(path, "speaks of nobody: add a group, or an attribute and equals")
            return None
        attribute = self._text(f"{path}.attribute", item.get("attribute"), needed=True)
        value = self._text(f"{path}.equals", item.get("equals"), needed=True)
        return None if attribute is None or value is None else AttributeCondition(attribute, value)

    def _text(self, path: str, value: object, *, needed: bool = False) -> str | None:
        if value is None:
            if needed:
                self._problem(path, "is missing")
        elif not isinstance(value, str):
            self._problem(path, f'{value!r} is not text; put it in quotes: "{value}"')
        elif not value.strip():
            self._problem(path, "is empty")
        elif len(value) > MAX_TEXT:
            self._problem(path, f"is {len(value)} characters long; at most {MAX_TEXT} are allowed")
        elif not value.isprintable():
            self._problem(path, "contains a character that cannot be printed")
        else:
            return value.strip()
        return None

    def _choice(self, path: str, value: str, kind: str, choices: Collection[str]) -> str | None:
        if value in choices:
            return value
        self._problem(path, f'unknown {kind} "{value}" ({_hint(value, choices)})')
        return None

    def _tier(self, path: str, value: object, words: tuple[str, ...]) -> str | None:
        text = self._text(path, value)
        return None if text is None else self._choice(path, text, "tier", (*self.ladder.keys, *words))

    def _policy(self, path: str, value: object) -> OnExhausted | None:
        text = self._text(path, value)
        known = None if text is None else self._choice(path, text, "choice", [policy.value for policy in OnExhausted])
        return None if known is None else OnExhausted(known)

    def _role(self, path: str, value: object) -> str | None:
        text = self._text(path, value)
        if text is not None and "owner" in comparison_key(text):
            self._problem(path, f'"{text}" can only be given by an owner, never by a mapping')
            return None
        return None if text is None else self._choice(path, text, "role", MAPPABLE_ROLES)

    def _teams(self, path: str, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if not _is_list(value):
            self._problem(path, "must be a list, such as [platform]")
            return ()
        if len(value) > MAX_TEAMS:
            self._problem(path, f"{len(value)} teams; at most {MAX_TEAMS} are allowed")
            return ()
        teams: dict[str, str] = {}
        for index, item in enumerate(value):
            team = self._text(f"{path}.{index}", item, needed=True)
            if team is not None and teams.setdefault(comparison_key(team), team) is not team:
                self._problem(f"{path}.{index}", f'"{team}" is there twice')
        return tuple(teams.values())

    def _unknown_fields(self, prefix: str, item: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        for field in item:
            if field not in known:
                self._problem(f"{prefix}{field}", f"not permitted ({_hint(str(field), known)})")


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _hint(value: str, choices: Collection[str]) -> str:
    close = difflib.get_close_matches(comparison_key(value)[:MAX_TEXT], choices, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known: {', '.join(choices)}"


class ChangeKind(StrEnum):
    """What happened to a rule, or to the set, between two versions."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REORDERED = "reordered"
    """The rules stand in another order, which decides ties; the change names no rule."""
    SETTING = "setting"
    """The default, or what happens when a tier is full; the change names no rule."""


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
            sentence = f"{rule.condition.label}: {_gives(rule, names)}"
            changes.append(RuleChange(ChangeKind.ADDED, rule, None, sentence))
        elif before != rule:
            changes.append(RuleChange(ChangeKind.CHANGED, rule, before, _change_sentence(before, rule, names)))
    for before in old.rules:
        if before.key not in new_rules:
            sentence = f"{before.condition.label}: no rule any more, was {_gives(before, names)}"
            changes.append(RuleChange(ChangeKind.REMOVED, before, before, sentence))
    if [key for key in old_rules if key in new_rules] != [key for key in new_rules if key in old_rules]:
        changes.append(RuleChange(ChangeKind.REORDERED, None, None, "the rules stand in another order"))
    if old.on_exhausted is not new.on_exhausted:
        sentence = f"when a tier is full: {_POLICIES[old.on_exhausted]} → {_POLICIES[new.on_exhausted]}"
        changes.append(RuleChange(ChangeKind.SETTING, None, None, sentence))
    if old.default != new.default:
        sentence = f"everyone else: {_default(old.default, names)} → {_default(new.default, names)}"
        changes.append(RuleChange(ChangeKind.SETTING, None, None, sentence))
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
    """Return what a rule says of seat, full tier, role and teams, in words; None where it says nothing."""
    return (
        None if rule.tier is None else ladder.name_of(rule.tier),
        None if rule.on_exhausted is None else f"when full {_POLICIES[rule.on_exhausted]}",
        None if rule.role is None else f"role {rule.role}",
        f"teams {', '.join(rule.teams)}" if rule.teams else None,
    )


def _gives(rule: MappingRule, ladder: TierLadder) -> str:
    return ", ".join(aspect for aspect in _aspects(rule, ladder) if aspect is not None) or "nothing"


_SILENT: Final = ("nothing about the seat", "the set's way when full", "no role", "no teams")


def _change_sentence(before: MappingRule, after: MappingRule, ladder: TierLadder) -> str:
    pairs = zip(_aspects(before, ladder), _aspects(after, ladder), _SILENT, strict=True)
    parts = [f"{was or silent} → {now or silent}" for was, now, silent in pairs if was != now]
    if before.condition != after.condition:
        parts.insert(0, f"was {before.condition.label}")
    return f"{after.condition.label}: {', '.join(parts)}"
