"""Mapping rules: which group or attribute gives which seat, role and teams."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

from mappings.tiers import HIGHEST_AVAILABLE, UNASSIGNED

MAPPABLE_ROLES: Final = ("member", "admin")
"""Roles that a rule may give, weakest first."""


def comparison_key(text: str) -> str:
    """Return the form in which names are compared: NFC, without outer space, case folded.

    Directories disagree on the case of a group's name, and one person's "é" is another's "e" and an accent.
    """
    if text.isascii():
        return text.strip().casefold()
    return unicodedata.normalize("NFC", text).strip().casefold()


class RoleNotMappableError(ValueError):
    """A rule would give a role that only people may give: a mapping never makes an owner (rule T10)."""

    code: ClassVar[str] = "role_not_mappable"

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(f"a mapping cannot give the role {role!r}; it can give {' or '.join(MAPPABLE_ROLES)}")


class OnExhausted(StrEnum):
    """What happens when the tier a person should get is full (rule A4)."""

    UNASSIGNED = "unassigned"
    """No seat for now; the person waits in line."""
    NEXT_LOWER = "next_lower"
    """The next lower tier with a free seat; the person works at once and stays in line."""
    BUY_UP_TO = "buy_up_to"
    """A seat is bought within the budget that an owner has set; beyond it the person waits in line."""
    REJECT = "reject"
    """A new person is refused; a present one keeps the seat they have and waits."""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What the rules look at.

    Attributes:
        groups: Display names, as the directory sent them.
        attributes: Values by attribute name, as the directory sent them.
    """

    groups: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupCondition:
    """The person is in a group, by its display name."""

    group: str
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", comparison_key(self.group))
        if not self.key:
            raise ValueError("a rule needs the name of a group")

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one."""
        return f"group:{self.key}"

    @property
    def label(self) -> str:
        """The condition in two words, as in "Engineering: Premium"."""
        return self.group

    def __str__(self) -> str:
        return f"the group {self.group}"


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """An attribute of the person has a value."""

    attribute: str
    value: str
    attribute_key: str = field(init=False, repr=False, compare=False)
    value_key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attribute_key", comparison_key(self.attribute))
        object.__setattr__(self, "value_key", comparison_key(self.value))
        if not self.attribute_key or not self.value_key:
            raise ValueError("a rule needs an attribute and its value")

    @property
    def default_rule_key(self) -> str:
        """A rule's key when nobody gave one."""
        return f"attribute:{self.attribute_key}={self.value_key}"

    @property
    def label(self) -> str:
        """The condition in two words, as in "department Sales: Standard"."""
        return f"{self.attribute} {self.value}"

    def __str__(self) -> str:
        return f"the {self.attribute} {self.value}"


Condition = GroupCondition | AttributeCondition


@dataclass(frozen=True, slots=True)
class MappingRule:
    """One line of a mapping set: who it speaks of, and what they get.

    Attributes:
        key: Names the rule across versions of the set.
        condition: Whom the rule speaks of.
        tier: A tier key, "unassigned" (gives no seat), or None (says nothing about the seat).
        role: "member", "admin", or None (says nothing about the role).
        teams: Teams the person joins.
        on_exhausted: What happens when the tier is full; None leaves it to the set.

    Raises:
        RoleNotMappableError: The role is another one, an owner's above all.
        ValueError: The key is empty.
    """

    key: str
    condition: Condition
    tier: str | None = None
    role: str | None = None
    teams: tuple[str, ...] = ()
    on_exhausted: OnExhausted | None = None

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("a rule needs a key")
        if self.role is not None and self.role not in MAPPABLE_ROLES:
            raise RoleNotMappableError(self.role)


@dataclass(frozen=True, slots=True)
class MappingSet:
    """Every rule of an organization at one moment.

    Attributes:
        version: Grows by one with every applied change; 0 before the first.
        rules: In the order in which ties are broken.
        on_exhausted: What happens when a tier is full and the rule does not say.
        default: What a new person gets of whom no rule speaks: "highest_available" (rule A1), a tier key, or
            "unassigned".

    Raises:
        ValueError: Two rules share a key.
    """

    version: int = 0
    rules: tuple[MappingRule, ...] = ()
    on_exhausted: OnExhausted = OnExhausted.UNASSIGNED
    default: str = HIGHEST_AVAILABLE

    def __post_init__(self) -> None:
        if len({rule.key for rule in self.rules}) != len(self.rules):
            raise ValueError("two rules have the same key")

    def rule(self, key: str) -> MappingRule | None:
        """Return the rule of this key, or None."""
        return next((rule for rule in self.rules if rule.key == key), None)

    def number_of(self, key: str) -> int | None:
        """Return the rule's place as people count it, from 1, or None when the set has no such rule."""
        return next((number for number, rule in enumerate(self.rules, 1) if rule.key == key), None)

    @property
    def groups(self) -> frozenset[str]:
        """Comparison keys of the groups that some rule speaks of."""
        return frozenset(rule.condition.key for rule in self.rules if isinstance(rule.condition, GroupCondition))

    @property
    def attributes(self) -> frozenset[str]:
        """Comparison keys of the attributes that some rule speaks of."""
        return frozenset(
            rule.condition.attribute_key for rule in self.rules if isinstance(rule.condition, AttributeCondition)
        )

    @property
    def tiers(self) -> frozenset[str]:
        """Tier keys that some rule or the default names."""
        named = {rule.tier for rule in self.rules if rule.tier is not None} | {self.default}
        return frozenset(named - {UNASSIGNED, HIGHEST_AVAILABLE})
