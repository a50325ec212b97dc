"""Whom a rule speaks of: a small language of conditions on groups and attributes, told in words, bounded in cost."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_DEPTH: Final = 8
"""Levels of conditions inside conditions."""
MAX_CONDITIONS: Final = 50
"""Conditions that one rule may have, those inside others included."""
MAX_ALL: Final = 5000
"""Conditions that all rules together may have."""
MAX_VALUES: Final = 200
"""Values that one ``in`` may list."""


def comparison_key(text: str) -> str:
    """Return the form in which names are compared: NFC, without outer space, case folded.

    Directories disagree on the case of a group's name, and one person's "é" is another's "e" and an accent.
    """
    if text.isascii():
        return text.strip().casefold()
    return unicodedata.normalize("NFC", text).strip().casefold()


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What the rules look at.

    Attributes:
        groups: Ids of the groups the person counts as a member of.
        attributes: Values by attribute name, as the directory sent them; several values as a tuple.
        connection: Id of the connection the person belongs to; empty where no rule asks.
    """

    groups: frozenset[str] = frozenset()
    attributes: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    connection: str = ""


@dataclass(frozen=True, slots=True)
class FoldedFacts:
    """The facts of a person in the form in which they are compared."""

    groups: frozenset[str]
    attributes: Mapping[str, tuple[str, ...]]
    connection: str

    @classmethod
    def of(cls, facts: PersonFacts) -> "FoldedFacts":
        """Fold the values; a blank one is none."""
        folded: dict[str, tuple[str, ...]] = {}
        for name, said in facts.attributes.items():
            keys = (comparison_key(value) for value in ((said,) if isinstance(said, str) else said))
            folded[comparison_key(name)] = tuple(key for key in keys if key)
        return cls(facts.groups, folded, facts.connection)


@dataclass(frozen=True, slots=True)
class ConnectionReference:
    """A connection, by its id; the name is kept for reading."""

    id: str
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class GroupCondition:
    """The person is in a group, by the group's id: a new name changes nothing, and a namesake is another group.

    Attributes:
        group: The id.
        name: What the group was called when the rule was written; for reading only.
        connection: What its connection was called then; for reading only.
    """

    group: str
    name: str = field(default="", compare=False)
    connection: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.group:
            raise ValueError("a rule needs a group")

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one."""
        return f"group:{comparison_key(self.label)}"

    @property
    def label(self) -> str:
        """The condition in two words, as in "Engineering: Premium"."""
        return self.name or self.group

    def __str__(self) -> str:
        return f"the group {self.label}"

    def holds(self, facts: FoldedFacts) -> bool:
        """Tell whether it is so."""
        return self.group in facts.groups


@dataclass(frozen=True, slots=True)
class ExpectedGroup:
    """A group that no directory has pushed yet: nobody is in it until the first group of this name arrives.

    Attributes:
        name: What it will be called.
        connection: Where it will come from; None for the only connection that there is: with several, nobody's group.
    """

    name: str = field(compare=False)
    connection: ConnectionReference | None = None
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", comparison_key(self.name))
        if not self.key:
            raise ValueError("a rule needs the name of a group")

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one: as for the group itself, so that its arrival leaves the rule the same."""
        return f"group:{self.key}"

    @property
    def label(self) -> str:
        """The condition in two words."""
        return self.name

    def __str__(self) -> str:
        return f"the group {self.name}"

    def holds(self, facts: FoldedFacts) -> bool:  # noqa: ARG002 (as the other conditions)
        """Tell that it is not so."""
        return False

    def awaits(self, name: str, connection: str, *, alone: bool) -> bool:
        """Tell whether a group of this name and connection is the one.

        Args:
            name: The group's.
            connection: Its connection's id.
            alone: Whether there is no other connection that could bring a group of this name.
        """
        expected_here = alone if self.connection is None else self.connection.id == connection
        return expected_here and self.key == comparison_key(name)


class Operator(StrEnum):
    """How a value of an attribute is compared, without case and without outer space."""

    EQUALS = "equals"
    IN = "in"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    CONTAINS = "contains"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """An attribute of the person has a value; of several values it is enough that one has it.

    Attributes:
        attribute: Its name.
        value: A text; for ``in`` several; for ``present`` whether there must be one.
        operator: How they are compared.
    """

    attribute: str
    value: str | tuple[str, ...] | bool
    operator: Operator = Operator.EQUALS
    attribute_key: str = field(init=False, repr=False, compare=False)
    value_keys: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        said = self.value
        values: tuple[str, ...] = () if isinstance(said, bool) else (said,) if isinstance(said, str) else said
        object.__setattr__(self, "attribute_key", comparison_key(self.attribute))
        object.__setattr__(self, "value_keys", tuple(map(comparison_key, values)))
        if not self.attribute_key or not all(self.value_keys):
            raise ValueError("a rule needs an attribute and its value")
        kinds: dict[Operator, type] = {Operator.IN: tuple, Operator.PRESENT: bool}
        if not isinstance(said, kinds.get(self.operator, str)) or (isinstance(said, tuple) and not said):
            raise ValueError(f"{self.operator} cannot be compared with {said!r}")

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one."""
        if self.operator is Operator.EQUALS:
            return f"attribute:{self.attribute_key}={self.value_keys[0]}"
        said = self.value if isinstance(self.value, bool) else "|".join(self.value_keys)
        return short_key(f"attribute:{self.attribute_key} {self.operator} {said}")

    @property
    def label(self) -> str:
        """The condition in two words, as in "department Sales: Standard"."""
        return f"{self.attribute} {self.value}" if self.operator is Operator.EQUALS else str(self)

    def __str__(self) -> str:
        if self.operator is Operator.EQUALS:
            return f"the {self.attribute} {self.value}"
        if isinstance(self.value, bool):
            return f"any {self.attribute}" if self.value else f"no {self.attribute}"
        if isinstance(self.value, tuple):
            return f"the {self.attribute} {_either(self.value)}"
        return f"the {self.attribute} {_VERBS[self.operator]} {self.value}"

    def holds(self, facts: FoldedFacts) -> bool:
        """Tell whether it is so."""
        values = facts.attributes.get(self.attribute_key, ())
        if self.operator is Operator.PRESENT:
            return bool(values) is self.value
        if self.operator in {Operator.EQUALS, Operator.IN}:
            return any(value in self.value_keys for value in values)
        wanted = self.value_keys[0]
        if self.operator is Operator.STARTS_WITH:
            return any(value.startswith(wanted) for value in values)
        if self.operator is Operator.ENDS_WITH:
            return any(value.endswith(wanted) for value in values)
        return any(wanted in value for value in values)


_VERBS: Final[Mapping[Operator, str]] = {
    Operator.STARTS_WITH: "starting with",
    Operator.ENDS_WITH: "ending with",
    Operator.CONTAINS: "containing",
}


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of several conditions holds."""

    parts: tuple["Condition", ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one."""
        return short_key(f"all({','.join(part.default_rule_key for part in self.parts)})")

    @property
    def label(self) -> str:
        """The condition in words."""
        return str(self)

    def __str__(self) -> str:
        return " and ".join(_inner(part) for part in self.parts)

    def holds(self, facts: FoldedFacts) -> bool:
        """Tell whether it is so."""
        return all(part.holds(facts) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of several conditions holds."""

    parts: tuple["Condition", ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one."""
        return short_key(f"any({','.join(part.default_rule_key for part in self.parts)})")

    @property
    def label(self) -> str:
        """The condition in words."""
        return str(self)

    def __str__(self) -> str:
        return " or ".join(_inner(part) for part in self.parts)

    def holds(self, facts: FoldedFacts) -> bool:
        """Tell whether it is so."""
        return any(part.holds(facts) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """A condition does not hold."""

    part: "Condition"

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one."""
        return short_key(f"not({self.part.default_rule_key})")

    @property
    def label(self) -> str:
        """The condition in words."""
        return str(self)

    def __str__(self) -> str:
        return f"not {_inner(self.part)}"

    def holds(self, facts: FoldedFacts) -> bool:
        """Tell whether it is so."""
        return not self.part.holds(facts)


Condition = GroupCondition | ExpectedGroup | AttributeCondition | AllOf | AnyOf | Not

_LONGEST_KEY: Final = 120


def short_key(key: str) -> str:
    """Return a key as it is, or its beginning and a digest of the rest when it is long."""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 13]}~{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def leaves(condition: Condition) -> Iterator[GroupCondition | ExpectedGroup | AttributeCondition]:
    """Go through the conditions that are inside a condition and have none inside, itself if it has none."""
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from leaves(part)
    elif isinstance(condition, Not):
        yield from leaves(condition.part)
    else:
        yield condition


def _check_parts(parts: tuple[Condition, ...]) -> None:
    if not parts:
        raise ValueError("a combination needs conditions to combine")


def _inner(part: Condition) -> str:
    return f"({part})" if isinstance(part, AllOf | AnyOf) and len(part.parts) > 1 else str(part)


def _either(values: tuple[str, ...]) -> str:
    *some, last = values
    return f"{', '.join(some)} or {last}" if some else last
