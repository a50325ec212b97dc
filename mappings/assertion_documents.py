"""Assertions as documents: what stands under ``assert``, and its problems by path."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from mappings.assertions import MAX_ASSERTIONS, Assertion, CostAtMost, NobodyLosesSeat, PeopleCount, PersonHas
from mappings.condition_documents import Reader, condition_document, is_list
from mappings.conditions import AllOf, AttributeCondition, Condition, Operator
from mappings.tiers import UNASSIGNED, TierLadder

_NOBODY_LOSES: Final = "nobody_loses_seat"
_KINDS: Final = ("people", "person", "cost_at_most")
_BOUNDS: Final = ("at_least", "at_most", "exactly")
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,3})?")
_MOST_PEOPLE: Final = 10_000_000


def assertion_document(assertion: Assertion) -> object:
    """Return an assertion as people write it."""
    if isinstance(assertion, NobodyLosesSeat):
        return _NOBODY_LOSES
    if isinstance(assertion, CostAtMost):
        return {"cost_at_most": str(assertion.amount)}
    if isinstance(assertion, PersonHas):
        return {"person": assertion.person, "tier": assertion.tier}
    people: dict[str, Any] = {} if assertion.tier is None else {"tier": assertion.tier}
    if assertion.condition is not None:
        said = _equalities(assertion.condition)
        people |= {"when": condition_document(assertion.condition)} if said is None else said
    if assertion.at_least == assertion.at_most:
        return {"people": people, "exactly": assertion.at_most}
    bounds = {"at_least": assertion.at_least, "at_most": assertion.at_most}
    return {"people": people, **{name: bound for name, bound in bounds.items() if bound is not None}}


def _equalities(condition: Condition) -> dict[str, str] | None:
    """Return attributes and values where a condition is nothing but them; None for any other."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    said: dict[str, str] = {}
    for part in parts:
        if not isinstance(part, AttributeCondition) or not isinstance(part.value, str):
            return None
        if part.operator is not Operator.EQUALS or part.attribute in {*said, "tier", "when"}:
            return None
        said[part.attribute] = part.value
    return said


def read_assertions(reader: Reader, ladder: TierLadder, items: object) -> tuple[Assertion, ...]:
    """Read what stands under ``assert``; problems are left with the reader."""
    if items is None:
        return ()
    if not is_list(items):
        reader.problem("assert", "must be a list")
        return ()
    if len(items) > MAX_ASSERTIONS:
        reader.problem("assert", f"{len(items)} assertions; at most {MAX_ASSERTIONS} are allowed")
        return ()
    read = [_assertion(reader, ladder, f"assert.{index}", item) for index, item in enumerate(items)]
    return tuple(assertion for assertion in read if assertion is not None)


def _assertion(reader: Reader, ladder: TierLadder, path: str, item: object) -> Assertion | None:
    if item == _NOBODY_LOSES:
        return NobodyLosesSeat()
    kinds = [kind for kind in _KINDS if kind in item] if isinstance(item, Mapping) else []
    if not isinstance(item, Mapping) or len(kinds) != 1:
        reader.problem(path, f"must be {_NOBODY_LOSES}, or have one of {', '.join(_KINDS)}")
        return None
    if kinds == ["people"]:
        return _people(reader, ladder, path, item)
    return _person(reader, ladder, path, item) if kinds == ["person"] else _cost(reader, path, item)


def _person(reader: Reader, ladder: TierLadder, path: str, item: Mapping[Any, Any]) -> Assertion | None:
    reader.unknown_fields(f"{path}.", item, ("person", "tier"))
    person = reader.text(f"{path}.person", item["person"], needed=True)
    tier = _tier(reader, ladder, f"{path}.tier", item.get("tier"), needed=True)
    return None if person is None or tier is None else PersonHas(person, tier)


def _cost(reader: Reader, path: str, item: Mapping[Any, Any]) -> Assertion | None:
    reader.unknown_fields(f"{path}.", item, ("cost_at_most",))
    amount = reader.text(f"{path}.cost_at_most", item["cost_at_most"], needed=True)
    if amount is None:
        return None
    if not _AMOUNT.fullmatch(amount):
        reader.problem(f"{path}.cost_at_most", 'must be an amount in quotes, such as "500.00"')
        return None
    return CostAtMost(Decimal(amount))


def _people(reader: Reader, ladder: TierLadder, path: str, item: Mapping[Any, Any]) -> Assertion | None:
    before = len(reader.problems)
    reader.unknown_fields(f"{path}.", item, ("people", *_BOUNDS))
    whom = item["people"]
    if not isinstance(whom, Mapping):
        reader.problem(f"{path}.people", "must say whom: a tier, attributes, or a when")
        return None
    tier = _tier(reader, ladder, f"{path}.people.tier", whom.get("tier"))
    condition = _whom(reader, f"{path}.people", whom)
    bounds = {name: _number(reader, f"{path}.{name}", item[name]) for name in _BOUNDS if name in item}
    exactly = bounds.pop("exactly", None)
    if ("exactly" in item) == bool(bounds):
        reader.problem(path, "says no number: add at_least, at_most or exactly (alone)")
    if len(reader.problems) > before:
        return None
    counted = PeopleCount(bounds.get("at_least"), bounds.get("at_most"), tier, condition)
    return counted if exactly is None else replace(counted, at_least=exactly, at_most=exactly)


def _whom(reader: Reader, path: str, whom: Mapping[Any, Any]) -> Condition | None:
    parts: list[Condition | None] = []
    if "when" in whom:
        parts.append(reader.condition(f"{path}.when", whom["when"]))
    for name, value in whom.items():
        if name not in {"tier", "when"}:
            where = f"{path}.{name}"
            attribute = reader.known_attribute(where, str(name))
            text = reader.text(where, value, needed=True)
            said = attribute is not None and text is not None
            parts.append(AttributeCondition(attribute or "", text or "") if said else None)
    known = tuple(part for part in parts if part is not None)
    return None if not known else known[0] if len(known) == 1 else AllOf(known)


def _tier(reader: Reader, ladder: TierLadder, path: str, value: object, *, needed: bool = False) -> str | None:
    text = reader.text(path, value, needed=needed)
    return None if text is None else reader.choice(path, text, "tier", (*ladder.keys, UNASSIGNED))


def _number(reader: Reader, path: str, value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_PEOPLE:
        return value
    reader.problem(path, "must be a whole number of people")
    return None
