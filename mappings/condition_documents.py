"""Conditions as documents: what a rule's ``group``, ``attribute`` and ``when`` say, and their problems by path."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from mappings.conditions import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
    AllOf,
    AnyOf,
    AttributeCondition,
    Condition,
    ConnectionReference,
    ExpectedGroup,
    GroupCondition,
    Not,
    Operator,
    comparison_key,
)
from mappings.naming import Directory

MAX_TEXT: Final = 256

GROUP_FIELDS: Final = ("group", "group_id", "expected")
CONNECTION_FIELDS: Final = ("connection", "connection_id")
ATTRIBUTE_FIELDS: Final = ("attribute", *(operator.value for operator in Operator))
_COMBINATIONS: Final = ("all", "any", "not")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a document.

    Attributes:
        path: Where, as in "rules.2.tier", counted from 0; empty for the whole document.
        message: What, and what would be right.
        code: A stable one, for what a program may want to tell apart.
    """

    path: str
    message: str
    code: str = "invalid_input"

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def condition_document(condition: Condition) -> dict[str, Any]:
    """Return a condition as people write it, with the ids that it stands for."""
    if isinstance(condition, AllOf):
        return {"all": [condition_document(part) for part in condition.parts]}
    if isinstance(condition, AnyOf):
        return {"any": [condition_document(part) for part in condition.parts]}
    if isinstance(condition, Not):
        return {"not": condition_document(condition.part)}
    if isinstance(condition, AttributeCondition):
        value = list(condition.value) if isinstance(condition.value, tuple) else condition.value
        return {"attribute": condition.attribute, condition.operator.value: value}
    if isinstance(condition, ExpectedGroup):
        return {"group": condition.name, "expected": True, **connection_document(condition.connection)}
    connection = {"connection": condition.connection} if condition.connection else {}
    return {"group": condition.label, "group_id": condition.group, **connection}


def connection_document(connection: ConnectionReference | None) -> dict[str, Any]:
    """Return the fields that name a connection."""
    if connection is None:
        return {}
    return {"connection": str(connection), "connection_id": connection.id}


class Reader:
    """Reads texts and conditions of one document and gathers what is wrong with it.

    Args:
        directory: What the document may name. None for one that was stored: its ids are taken as they are, and a group
            without one is a group to come.
    """

    def __init__(self, directory: Directory | None) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self.conditions = 0

    def problem(self, path: str, message: str) -> None:
        """Note what is wrong."""
        self.problems.append(Problem(path, message))

    def text(self, path: str, value: object, *, needed: bool = False) -> str | None:
        """Read one text; None with a problem, or where there is none."""
        if value is None:
            if needed:
                self.problem(path, "is missing")
        elif not isinstance(value, str):
            self.problem(path, f'{value!r} is not text; put it in quotes: "{value}"')
        elif not value.strip():
            self.problem(path, "is empty")
        elif len(value) > MAX_TEXT:
            self.problem(path, f"is {len(value)} characters long; at most {MAX_TEXT} are allowed")
        elif not value.isprintable():
            self.problem(path, "contains a character that cannot be printed")
        else:
            return value.strip()
        return None

    def choice(self, path: str, value: str, kind: str, choices: Collection[str]) -> str | None:
        """Read one of several words."""
        if value in choices:
            return value
        self.problem(path, f'unknown {kind} "{value}" ({hint(value, choices)})')
        return None

    def unknown_fields(self, prefix: str, item: Mapping[Any, Any], known: Sequence[str]) -> None:
        """Refuse fields that mean nothing."""
        for field in item:
            if field not in known:
                self.problem(f"{prefix}{field}", f"not permitted ({hint(str(field), known)})")

    def connection(self, path: str, item: Mapping[Any, Any]) -> ConnectionReference | None:
        """Read which connection is meant; None where none is, or with a problem."""
        name = self.text(f"{path}.connection", item.get("connection"))
        identifier = self.text(f"{path}.connection_id", item.get("connection_id"))
        wanted = identifier or name
        if wanted is None:
            return None
        if self.directory is None:
            return ConnectionReference(wanted, name or "")
        found = self.directory.connection(wanted)
        if found is None:
            field = "connection_id" if identifier else "connection"
            known = sorted(self.directory.connections.values())
            self.problem(f"{path}.{field}", f'there is no connection "{wanted}" ({hint(wanted, known)})')
        return found

    def condition(self, path: str, item: object, scope: ConnectionReference | None = None) -> Condition | None:
        """Read a ``when``: a condition, or several combined.

        Args:
            path: Where it stands.
            item: What stands there.
            scope: The connection in which groups are looked for by name unless they say another.
        """
        self._counted = 0
        return self._nested(path, item, scope, 1)

    def _nested(self, path: str, item: object, scope: ConnectionReference | None, depth: int) -> Condition | None:
        self._counted += 1
        self.conditions += 1
        if not isinstance(item, Mapping):
            self.problem(path, "must be a condition: a group, an attribute, all, any or not")
            return None
        if depth > MAX_DEPTH:
            self.problem(path, f"conditions stand inside each other; at most {MAX_DEPTH} levels are allowed")
            return None
        if self._counted > MAX_CONDITIONS:
            if self._counted == MAX_CONDITIONS + 1:
                self.problem(path, f"is one condition too many; a rule may have {MAX_CONDITIONS}")
            return None
        said = [name for name in ("group", "attribute", *_COMBINATIONS) if name in item]
        if len(said) != 1:
            what = f"has {' and '.join(said)}" if said else "says nothing"
            self.problem(path, f"{what}; a condition has one of group, attribute, all, any and not")
            return None
        fields = {"group": (*GROUP_FIELDS, *CONNECTION_FIELDS), "attribute": ATTRIBUTE_FIELDS}
        self.unknown_fields(f"{path}.", item, fields.get(said[0], said))
        return self._one(path, item, said[0], scope, depth)

    def _one(
        self, path: str, item: Mapping[Any, Any], kind: str, scope: ConnectionReference | None, depth: int
    ) -> Condition | None:
        if kind == "group":
            return self.group(path, item, scope)
        if kind == "attribute":
            return self.attribute(path, item)
        if kind == "not":
            part = self._nested(f"{path}.not", item["not"], scope, depth + 1)
            return None if part is None else Not(part)
        return self._combined(f"{path}.{kind}", item[kind], scope, depth, AllOf if kind == "all" else AnyOf)

    def _combined(
        self, path: str, items: object, scope: ConnectionReference | None, depth: int, kind: type[AllOf | AnyOf]
    ) -> Condition | None:
        if not is_list(items) or not items:
            self.problem(path, "must be a list of conditions")
            return None
        parts = [self._nested(f"{path}.{index}", item, scope, depth + 1) for index, item in enumerate(items)]
        known = tuple(part for part in parts if part is not None)
        return kind(known) if len(known) == len(parts) else None

    def group(self, path: str, item: Mapping[Any, Any], scope: ConnectionReference | None = None) -> Condition | None:
        """Read which group is meant: by its id, else by its name where that names exactly one."""
        before = len(self.problems)
        name = self.text(f"{path}.group", item.get("group"), needed=True)
        identifier = self.text(f"{path}.group_id", item.get("group_id"))
        expected = item.get("expected", False)
        if not isinstance(expected, bool):
            self.problem(f"{path}.expected", "must be true or false")
        connection = None if identifier and self.directory is None else self.connection(path, item)
        if name is None or len(self.problems) > before:
            return None
        if self.directory is None:
            if identifier is None:
                return ExpectedGroup(name, connection)
            return GroupCondition(identifier, name, str(item.get("connection") or ""))
        if identifier is not None:
            return self._group_by_id(path, identifier, connection)
        return self._group_by_name(path, name, connection or scope, expected=expected is True)

    def _group_by_id(self, path: str, identifier: str, connection: ConnectionReference | None) -> Condition | None:
        assert self.directory is not None
        known = self.directory.by_id.get(identifier)
        if known is None:
            self.problem(f"{path}.group_id", "there is no such group here; leave it out to go by the name")
            return None
        if connection is not None and connection.id != known.connection:
            own = self.directory.connections.get(known.connection, "another connection")
            self.problem(f"{path}.connection", f'the group "{known.name}" belongs to {own}')
            return None
        return self.directory.condition_for(known)

    def _group_by_name(
        self, path: str, name: str, connection: ConnectionReference | None, *, expected: bool
    ) -> Condition | None:
        assert self.directory is not None
        if expected and connection is None and self.directory.several:
            return ExpectedGroup(name)  # which is refused, also when one connection has such a group already
        found = self.directory.named(name, connection)
        if len(found) == 1:
            return self.directory.condition_for(found[0])
        if found:
            names = sorted(self.directory.connections.get(group.connection, "?") for group in found)
            said = " or ".join(f"connection: {one}" for one in names)
            self.problem(f"{path}.group", f'{len(found)} groups are called "{name}"; say which with {said}')
            return None
        if expected:
            return ExpectedGroup(name, connection)
        where = "" if connection is None else f" in {connection}"
        like = " or ".join(f'"{one}"' for one in self.directory.like(name, connection))
        guess = f"did you mean {like}? " if like else ""
        self.problem(
            f"{path}.group",
            f'no group is called "{name}"{where} ({guess}for one that has yet to come add expected: true)',
        )
        return None

    def attribute(self, path: str, item: Mapping[Any, Any]) -> Condition | None:
        """Read an attribute and how its value is compared."""
        attribute = self.text(f"{path}.attribute", item.get("attribute"), needed=True)
        if attribute is not None:
            attribute = self.known_attribute(f"{path}.attribute", attribute)
        said = [operator for operator in Operator if operator.value in item]
        if len(said) != 1:
            words = ", ".join(operator.value for operator in Operator)
            how = f"in {len(said)} ways" if said else "with nothing"
            self.problem(path, f"compares an attribute {how}; say one of {words}")
            return None
        value = self._operand(f"{path}.{said[0]}", said[0], item[said[0].value])
        return None if attribute is None or value is None else AttributeCondition(attribute, value, said[0])

    def known_attribute(self, path: str, attribute: str) -> str | None:
        """Read the name of an attribute that rules may ask for."""
        if self.directory is None:
            return attribute
        names = {comparison_key(name): name for name in self.directory.attributes}
        found = names.get(comparison_key(attribute))
        if found is None:
            self.problem(path, f'rules cannot ask for "{attribute}" ({hint(attribute, self.directory.attributes)})')
        return found

    def _operand(self, path: str, operator: Operator, value: object) -> str | tuple[str, ...] | bool | None:
        if operator is Operator.PRESENT:
            if isinstance(value, bool):
                return value
            self.problem(path, "must be true (there is a value) or false (there is none)")
            return None
        if operator is not Operator.IN:
            return self.text(path, value, needed=True)
        if not is_list(value) or not value:
            self.problem(path, "must be a list of values, such as [Sales, Marketing]")
            return None
        if len(value) > MAX_VALUES:
            self.problem(path, f"{len(value)} values; at most {MAX_VALUES} are allowed")
            return None
        texts = [self.text(f"{path}.{index}", one, needed=True) for index, one in enumerate(value)]
        known = tuple(text for text in texts if text is not None)
        return known if len(known) == len(texts) else None


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Tell whether a parser read a list."""
    return isinstance(value, list | tuple)


def hint(value: str, choices: Collection[str]) -> str:
    """Say which word was probably meant, or which there are."""
    folded = {comparison_key(choice): choice for choice in choices}
    close = difflib.get_close_matches(comparison_key(value)[:MAX_TEXT], folded, n=1)
    return f'did you mean "{folded[close[0]]}"?' if close else f"known: {', '.join(choices)}"
