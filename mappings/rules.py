"""Mapping rules: which group or attribute gives which seat, role and teams."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from mappings.assertions import Assertion, conditions_of
from mappings.conditions import (
    AttributeCondition,
    Condition,
    ConnectionReference,
    ExpectedGroup,
    FoldedFacts,
    GroupCondition,
    PersonFacts,
    comparison_key,
    leaves,
)
from mappings.tiers import HIGHEST_AVAILABLE, UNASSIGNED

__all__ = [
    "MAPPABLE_ROLES",
    "MAX_PRIORITY",
    "AttributeCondition",
    "Condition",
    "ExpectedGroup",
    "GroupCondition",
    "MappingRule",
    "MappingSet",
    "OnExhausted",
    "PersonFacts",
    "RoleNotMappableError",
    "comparison_key",
]

MAPPABLE_ROLES: Final = ("member", "admin")
"""Roles that a rule may give, weakest first."""

MAX_PRIORITY: Final = 1000
"""The highest priority of a rule; the lowest is its negative."""


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
class MappingRule:
    """One line of a mapping set: who it speaks of, and what they get.

    Attributes:
        key: Names the rule across versions of the set.
        condition: Whom the rule speaks of.
        tier: A tier key, "unassigned" (gives no seat), or None (says nothing about the seat).
        role: "member", "admin", or None (says nothing about the role).
        teams: Teams the person joins.
        on_exhausted: What happens when the tier is full; None leaves it to the set.
        priority: A rule of a higher priority wins whatever the tiers; between equal ones the highest tier does.
        connection: Speaks only of people of this connection; None for those of every one.

    Raises:
        RoleNotMappableError: The role is another one, an owner's above all.
        ValueError: The key is empty, or the priority out of range.
    """

    key: str
    condition: Condition
    tier: str | None = None
    role: str | None = None
    teams: tuple[str, ...] = ()
    on_exhausted: OnExhausted | None = None
    priority: int = 0
    connection: ConnectionReference | None = None

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("a rule needs a key")
        if abs(self.priority) > MAX_PRIORITY:
            raise ValueError(f"a priority is at most {MAX_PRIORITY}")
        if self.role is not None and self.role not in MAPPABLE_ROLES:
            raise RoleNotMappableError(self.role)

    @property
    def about(self) -> str:
        """Whom it speaks of, as in "the group Engineering"."""
        return str(self.condition) if self.connection is None else f"{self.condition} in {self.connection}"

    @property
    def label(self) -> str:
        """The same in fewer words, as in "Engineering: Premium"."""
        label = self.condition.label
        return label if self.connection is None else f"{label} in {self.connection}"

    @property
    def default_key(self) -> str:
        """Its key when nobody gave one."""
        return default_key(self.condition, self.connection)

    @property
    def expects(self) -> tuple[ExpectedGroup, ...]:
        """The groups it speaks of that no directory has pushed yet."""
        return tuple(leaf for leaf in leaves(self.condition) if isinstance(leaf, ExpectedGroup))

    def speaks_of(self, facts: FoldedFacts) -> bool:
        """Tell whether it speaks of somebody."""
        return (self.connection is None or self.connection.id == facts.connection) and self.condition.holds(facts)


def default_key(condition: Condition, connection: ConnectionReference | None) -> str:
    """Return the key of a rule to which nobody gave one."""
    key = condition.default_rule_key
    return key if connection is None else f"{key}@{comparison_key(str(connection))}"


@dataclass(frozen=True, slots=True)
class MappingSet:
    """Every rule of an organization at one moment.

    Attributes:
        version: Grows by one with every applied change; 0 before the first.
        rules: In the order in which ties are broken.
        on_exhausted: What happens when a tier is full and the rule does not say.
        default: What a new person gets of whom no rule speaks: "highest_available" (rule A1), a tier key, or
            "unassigned".
        assertions: What must be so once the rules are applied; says nothing about anybody's seat.

    Raises:
        ValueError: Two rules share a key.
    """

    version: int = 0
    rules: tuple[MappingRule, ...] = ()
    on_exhausted: OnExhausted = OnExhausted.UNASSIGNED
    default: str = HIGHEST_AVAILABLE
    assertions: tuple[Assertion, ...] = ()

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
        """Ids of the groups that some rule speaks of."""
        return frozenset(
            leaf.group for rule in self.rules for leaf in leaves(rule.condition) if isinstance(leaf, GroupCondition)
        )

    @property
    def expected(self) -> tuple[ExpectedGroup, ...]:
        """The groups that some rule or assertion speaks of and that no directory has pushed yet."""
        inside = (*(rule.condition for rule in self.rules), *conditions_of(self.assertions))
        return tuple(leaf for each in inside for leaf in leaves(each) if isinstance(leaf, ExpectedGroup))

    @property
    def attributes(self) -> frozenset[str]:
        """Comparison keys of the attributes that some rule speaks of."""
        return frozenset(
            leaf.attribute_key
            for rule in self.rules
            for leaf in leaves(rule.condition)
            if isinstance(leaf, AttributeCondition)
        )

    @property
    def asks_connection(self) -> bool:
        """Whether some rule speaks of the people of one connection only."""
        return any(rule.connection is not None for rule in self.rules)

    @property
    def tiers(self) -> frozenset[str]:
        """Tier keys that some rule or the default names."""
        named = {rule.tier for rule in self.rules if rule.tier is not None} | {self.default}
        return frozenset(named - {UNASSIGNED, HIGHEST_AVAILABLE})
