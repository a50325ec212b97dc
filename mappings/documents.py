"""Mapping sets as documents for YAML or JSON, and their problems by path."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from mappings.assertion_documents import assertion_document, read_assertions
from mappings.condition_documents import (
    ATTRIBUTE_FIELDS,
    CONNECTION_FIELDS,
    GROUP_FIELDS,
    Problem,
    Reader,
    condition_document,
    connection_document,
    is_list,
)
from mappings.conditions import (
    MAX_ALL,
    AttributeCondition,
    Condition,
    ConnectionReference,
    ExpectedGroup,
    GroupCondition,
    comparison_key,
)
from mappings.naming import Directory, connection_missing, unscoped
from mappings.rules import (
    MAPPABLE_ROLES,
    MAX_PRIORITY,
    MappingRule,
    MappingSet,
    OnExhausted,
    default_key,
)
from mappings.tiers import HIGHEST_AVAILABLE, UNASSIGNED, SeatTier, TierLadder

__all__ = [
    "MAX_RULES",
    "SCHEMA",
    "UNSCOPED",
    "WHO_FIELDS",
    "MappingDocumentError",
    "Problem",
    "from_document",
    "from_stored",
    "to_document",
]

SCHEMA: Final = 2
MAX_RULES: Final = 1000
UNSCOPED: Final = "group_connection_missing"
"""The code of a rule that expects a group by a name that any connection could bring."""
MAX_TEAMS: Final = 100

#: Of schema 1, whose rules named groups by their names alone, only those are left that were never bound to a group.
_SCHEMAS: Final = (1, SCHEMA)
_SET_FIELDS: Final = ("schema", "on_exhausted", "default", "rules", "assert")
_LEAF_FIELDS: Final = (*GROUP_FIELDS, *ATTRIBUTE_FIELDS)
WHO_FIELDS: Final = (*_LEAF_FIELDS, "when", *CONNECTION_FIELDS)
"""The fields of a rule that say whom it speaks of."""
_RULE_FIELDS: Final = (
    "key",
    *WHO_FIELDS,
    "priority",
    "tier",
    "on_exhausted",
    "role",
    "teams",
)


class MappingDocumentError(ValueError):
    """A document that is not a mapping set; lists everything that is wrong with it."""

    code: Final = "mapping_document_invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def to_document(mapping_set: MappingSet) -> dict[str, Any]:
    """Return the set, without its version, as plain dicts, lists and text in the order people write them."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "on_exhausted": mapping_set.on_exhausted.value,
        "default": mapping_set.default,
        "rules": [_rule_document(rule) for rule in mapping_set.rules],
    }
    if mapping_set.assertions:
        document["assert"] = [assertion_document(assertion) for assertion in mapping_set.assertions]
    return document


def _rule_document(rule: MappingRule) -> dict[str, Any]:
    condition = rule.condition
    document: dict[str, Any] = {}
    if rule.key != rule.default_key:
        document["key"] = rule.key
    if isinstance(condition, AttributeCondition) or (
        isinstance(condition, GroupCondition | ExpectedGroup) and rule.connection is None
    ):
        document |= condition_document(condition)
    else:
        document["when"] = condition_document(condition)
    document |= connection_document(rule.connection)
    if rule.priority:
        document["priority"] = rule.priority
    if rule.tier is not None:
        document["tier"] = rule.tier
    if rule.on_exhausted is not None:
        document["on_exhausted"] = rule.on_exhausted.value
    if rule.role is not None:
        document["role"] = rule.role
    if rule.teams:
        document["teams"] = list(rule.teams)
    return document


def from_document(
    document: object, ladder: TierLadder, *, version: int = 0, directory: Directory | None = None
) -> MappingSet:
    """Read a document, as a YAML or JSON parser gives it.

    A group is meant by its id, or by its name where exactly one is called so; the set that is made knows it by its id.

    A rule without a key gets one from its condition, so that moving a rule up or down, or changing what it
    gives, leaves it the same rule.

    Args:
        document: What was parsed.
        ladder: Tiers that the document may name.
        version: Version of the set that is made.
        directory: The groups, connections and attributes that there are. None for a document that was stored: its ids
            are taken as they are, and a group without one is one to come.

    Raises:
        MappingDocumentError: With every problem, in the order of the document.
    """
    reader = _Reader(ladder, directory)
    mapping_set = reader.read(document, version)
    if mapping_set is None or reader.problems:
        raise MappingDocumentError(reader.problems)
    return mapping_set


def from_stored(document: Mapping[str, Any], ladder: TierLadder, *, version: int = 0) -> MappingSet:
    """Read a document that was valid when it was stored; the plan's tiers may be others since.

    A rule for a tier that is gone stays in the set and says nothing about the seat (:func:`resolve`), until a plan has
    that tier again.

    Raises:
        MappingDocumentError: As :func:`from_document`, but not for a tier that is gone.
    """
    gone = sorted(set(_tiers_named(document)) - {*ladder.keys, UNASSIGNED, HIGHEST_AVAILABLE})
    lowest = min((tier.rank for tier in ladder), default=0)
    every = TierLadder([*ladder, *(SeatTier(key, key, lowest - place) for place, key in enumerate(gone, 1))])
    return from_document(document, every if gone else ladder, version=version)


def _tiers_named(value: object) -> Iterator[str]:
    """Find every tier that a stored document names: of rules, of assertions, and of the default."""
    if isinstance(value, Mapping):
        yield from (value[name] for name in ("tier", "default") if isinstance(value.get(name), str))
    if isinstance(value, Mapping | list):
        for inside in value.values() if isinstance(value, Mapping) else value:
            yield from _tiers_named(inside)


class _Reader(Reader):
    """Reads one document and gathers what is wrong with it."""

    def __init__(self, ladder: TierLadder, directory: Directory | None) -> None:
        super().__init__(directory)
        self.ladder = ladder

    def read(self, document: object, version: int) -> MappingSet | None:
        if not isinstance(document, Mapping):
            self.problem("", "a mapping document has fields: schema, on_exhausted, default and rules")
            return None
        self.unknown_fields("", document, _SET_FIELDS)
        schema = document.get("schema")
        if schema is None:
            self.problem("schema", f"is missing; this is how it reads today: schema: {SCHEMA}")
        elif schema not in _SCHEMAS or isinstance(schema, bool):
            self.problem("schema", f"{schema!r} is not known; this release reads {_SCHEMAS[0]} and {SCHEMA}")
        on_exhausted = self._policy("on_exhausted", document.get("on_exhausted"))
        default = self._tier("default", document.get("default", HIGHEST_AVAILABLE), (HIGHEST_AVAILABLE, UNASSIGNED))
        rules = self._rules(document.get("rules", []))
        assertions = read_assertions(self, self.ladder, document.get("assert"))
        if self.problems:
            return None
        mapping_set = MappingSet(
            version,
            rules,
            on_exhausted or OnExhausted.UNASSIGNED,
            HIGHEST_AVAILABLE if default is None else default,
            assertions,
        )
        if self.directory is not None:
            for path, expected in unscoped(mapping_set, self.directory):
                self.problems.append(Problem(path, connection_missing(expected, self.directory), UNSCOPED))
        return mapping_set

    def _rules(self, items: object) -> tuple[MappingRule, ...]:
        if items is None:
            return ()
        if not is_list(items):
            self.problem("rules", "must be a list")
            return ()
        if len(items) > MAX_RULES:
            self.problem("rules", f"{len(items)} rules; at most {MAX_RULES} are allowed")
            return ()
        rules: list[MappingRule] = []
        whom: dict[tuple[Condition, ConnectionReference | None], int] = {}
        keys: dict[str, int] = {}
        for index, item in enumerate(items):
            rule = self._rule(f"rules.{index}", item)
            if rule is None:
                continue
            self._once(f"rules.{index}", whom, (rule.condition, rule.connection), index, "speaks of the same people")
            rule = _with_own_key(rule, item, keys)
            self._once(f"rules.{index}.key", keys, rule.key, index, "has the same key")
            rules.append(rule)
        if self.conditions > MAX_ALL:
            self.problem("rules", f"{self.conditions} conditions; at most {MAX_ALL} are allowed")
        return tuple(rules) if not self.problems else ()

    def _once(self, path: str, seen: dict[Any, int], key: object, index: int, what: str) -> None:
        first = seen.setdefault(key, index)
        if first != index and not (self.problems and self.problems[-1].path == path.removesuffix(".key")):
            self.problem(path, f"rules.{first} {what}; say it in one rule")

    def _rule(self, path: str, item: object) -> MappingRule | None:
        if not isinstance(item, Mapping):
            self.problem(path, "must be a rule with fields, such as group and tier")
            return None
        before = len(self.problems)
        self.unknown_fields(f"{path}.", item, _RULE_FIELDS)
        condition, connection = self._who(path, item)
        priority = self._priority(f"{path}.priority", item.get("priority", 0))
        key = self.text(f"{path}.key", item.get("key"))
        tier = self._tier(f"{path}.tier", item.get("tier"), (UNASSIGNED,))
        on_exhausted = self._policy(f"{path}.on_exhausted", item.get("on_exhausted"))
        role = self._role(f"{path}.role", item.get("role"))
        teams = self._teams(f"{path}.teams", item.get("teams"))
        if not any(item.get(field) for field in ("tier", "role", "teams")):
            self.problem(path, "gives nothing: add a tier, a role or teams")
        if condition is None or len(self.problems) > before:
            return None
        key = key or default_key(condition, connection)
        return MappingRule(key, condition, tier, role, teams, on_exhausted, priority, connection)

    def _who(self, path: str, item: Mapping[Any, Any]) -> tuple[Condition | None, ConnectionReference | None]:
        """Read whom a rule speaks of: one condition beside its other fields, or a ``when``."""
        said = [name for name in ("group", "attribute", "when") if name in item]
        if len(said) > 1 or ("group" in item and any(name in item for name in ATTRIBUTE_FIELDS)):
            self.problem(path, "speaks of several things at once; put them together in a when, with all or any")
            return None, None
        if "when" in item and any(name in item for name in _LEAF_FIELDS):
            self.problem(path, "has conditions beside its when; put them inside it")
            return None, None
        if "group" in item:
            return self.group(path, item), None
        connection = self.connection(path, item)
        if "when" in item:
            return self.condition(f"{path}.when", item["when"], connection), connection
        if not any(name in item for name in ATTRIBUTE_FIELDS):
            self.problem(path, "speaks of nobody: add a group, an attribute and its value, or a when")
            return None, None
        return self.attribute(path, item), connection

    def _priority(self, path: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_PRIORITY:
            self.problem(path, f"must be a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}")
            return 0
        return value

    def _tier(self, path: str, value: object, words: tuple[str, ...]) -> str | None:
        text = self.text(path, value)
        return None if text is None else self.choice(path, text, "tier", (*self.ladder.keys, *words))

    def _policy(self, path: str, value: object) -> OnExhausted | None:
        text = self.text(path, value)
        known = None if text is None else self.choice(path, text, "choice", [policy.value for policy in OnExhausted])
        return None if known is None else OnExhausted(known)

    def _role(self, path: str, value: object) -> str | None:
        text = self.text(path, value)
        if text is not None and "owner" in comparison_key(text):
            self.problem(path, f'"{text}" can only be given by an owner, never by a mapping')
            return None
        return None if text is None else self.choice(path, text, "role", MAPPABLE_ROLES)

    def _teams(self, path: str, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if not is_list(value):
            self.problem(path, "must be a list, such as [platform]")
            return ()
        if len(value) > MAX_TEAMS:
            self.problem(path, f"{len(value)} teams; at most {MAX_TEAMS} are allowed")
            return ()
        teams: dict[str, str] = {}
        for index, item in enumerate(value):
            team = self.text(f"{path}.{index}", item, needed=True)
            if team is not None and teams.setdefault(comparison_key(team), team) is not team:
                self.problem(f"{path}.{index}", f'"{team}" is there twice')
        return tuple(teams.values())


def _with_own_key(rule: MappingRule, item: object, keys: Mapping[str, int]) -> MappingRule:
    """Tell groups of one name apart: a rule to which nobody gave a key gets its connection's name behind it."""
    if rule.key not in keys or not isinstance(rule.condition, GroupCondition | ExpectedGroup):
        return rule
    connection = rule.condition.connection
    if (isinstance(item, Mapping) and item.get("key") is not None) or not connection:
        return rule
    return replace(rule, key=f"{rule.key}@{comparison_key(str(connection))}")
