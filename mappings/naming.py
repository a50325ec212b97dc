"""Groups and connections by name: which one a document means, and what a rule does when its group comes or goes."""

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mappings.assertions import PeopleCount
from mappings.conditions import (
    AllOf,
    AnyOf,
    AttributeCondition,
    Condition,
    ConnectionReference,
    ExpectedGroup,
    GroupCondition,
    Not,
    comparison_key,
    leaves,
)
from mappings.rules import MappingSet

_HINTS = 3


@dataclass(frozen=True, slots=True)
class KnownGroup:
    """A group that a directory pushed, or a sign-in named: its id, its present name and its connection's id."""

    id: str
    name: str
    connection: str


@dataclass(frozen=True, slots=True)
class Directory:
    """What rules of an organization may name.

    Attributes:
        groups: Every group.
        connections: Names of the connections, by their ids.
        attributes: Names of the attributes that rules may ask for.
        by_hand: Ids of the connections that no identity provider stands behind.
    """

    groups: tuple[KnownGroup, ...] = ()
    connections: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    by_hand: frozenset[str] = frozenset()
    by_id: Mapping[str, KnownGroup] = field(init=False, repr=False, compare=False)
    by_name: Mapping[str, tuple[KnownGroup, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: defaultdict[str, list[KnownGroup]] = defaultdict(list)
        for group in self.groups:
            named[comparison_key(group.name)].append(group)
        object.__setattr__(self, "by_id", {group.id: group for group in self.groups})
        object.__setattr__(self, "by_name", {key: tuple(found) for key, found in named.items()})

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of the connections that an identity provider stands behind."""
        return tuple(name for identifier, name in self.connections.items() if identifier not in self.by_hand)

    @property
    def several(self) -> bool:
        """Whether more than one identity provider can bring groups."""
        return len(self.providers) > 1

    def connection(self, name_or_id: str) -> ConnectionReference | None:
        """Return the connection of this name (without case) or id."""
        wanted = comparison_key(name_or_id)
        for identifier, name in self.connections.items():
            if wanted in {identifier, comparison_key(name)}:
                return ConnectionReference(identifier, name)
        return None

    def named(self, name: str, connection: ConnectionReference | None) -> tuple[KnownGroup, ...]:
        """Return the groups of this name, of one connection or of all."""
        found = self.by_name.get(comparison_key(name), ())
        return tuple(group for group in found if connection is None or group.connection == connection.id)

    def condition_for(self, group: KnownGroup) -> GroupCondition:
        """Return the condition that somebody is in a group, under its present name."""
        return GroupCondition(group.id, group.name, self.connections.get(group.connection, ""))

    def like(self, name: str, connection: ConnectionReference | None) -> tuple[str, ...]:
        """Return the names of groups that read most like one."""
        names = {
            key: found[0].name
            for key, found in self.by_name.items()
            if connection is None or any(group.connection == connection.id for group in found)
        }
        return tuple(names[key] for key in difflib.get_close_matches(comparison_key(name), names, n=_HINTS))


def unscoped(mapping_set: MappingSet, directory: Directory) -> Iterator[tuple[str, ExpectedGroup]]:
    """Find the groups that are expected by a name that anybody's directory or sign-in could bring, each with its path.

    With several connections a name alone means nobody's group; where a role follows from it, it never does.
    """
    for number, rule in enumerate(mapping_set.rules):
        if directory.several or rule.role is not None:
            yield from ((f"rules.{number}", leaf) for leaf in rule.expects if leaf.connection is None)
    for number, assertion in enumerate(mapping_set.assertions):
        inside = assertion.condition if isinstance(assertion, PeopleCount) else None
        if directory.several and inside is not None:
            expected = (leaf for leaf in leaves(inside) if isinstance(leaf, ExpectedGroup))
            yield from ((f"assert.{number}", leaf) for leaf in expected if leaf.connection is None)


def connection_missing(expected: ExpectedGroup, directory: Directory) -> str:
    """Say what to do about a group that is expected without its connection."""
    ways = " or ".join(f"connection: {name}" for name in directory.providers)
    what = f"say which with {ways}" if ways else "connect its directory first, then say so with connection: its name"
    return f'expects a group "{expected.name}" that any connection could bring; {what}'


def bound(mapping_set: MappingSet, group: KnownGroup, connection: str, *, alone: bool) -> MappingSet | None:
    """Let every rule that expects a group speak of this one; None where none does.

    Args:
        mapping_set: The rules.
        group: The group that has arrived, or has got its name.
        connection: What its connection is called.
        alone: Whether no other connection could bring such a group.
    """

    def arrive(leaf: Condition) -> Condition:
        if isinstance(leaf, ExpectedGroup) and leaf.awaits(group.name, group.connection, alone=alone):
            return GroupCondition(group.id, group.name, connection)
        return leaf

    return _changed(mapping_set, arrive)


def released(mapping_set: MappingSet, group: KnownGroup, connection: str) -> MappingSet | None:
    """Let every rule that speaks of a group that is gone expect one like it; None where none speaks of it."""

    def leave(leaf: Condition) -> Condition:
        if isinstance(leaf, GroupCondition) and leaf.group == group.id:
            return ExpectedGroup(group.name, ConnectionReference(group.connection, connection))
        return leaf

    return _changed(mapping_set, leave)


def relabelled(mapping_set: MappingSet, directory: Directory) -> MappingSet:
    """Return the same rules with the present names of their groups and connections."""

    def rename(leaf: Condition) -> Condition:
        if isinstance(leaf, GroupCondition) and leaf.group in directory.by_id:
            return directory.condition_for(directory.by_id[leaf.group])
        if isinstance(leaf, ExpectedGroup) and leaf.connection is not None:
            return replace(leaf, connection=directory.connection(leaf.connection.id) or leaf.connection)
        return leaf

    renamed = _with(mapping_set, rename)
    scoped = (
        replace(rule, connection=rule.connection and (directory.connection(rule.connection.id) or rule.connection))
        for rule in renamed.rules
    )
    return replace(renamed, rules=tuple(scoped))


def refreshed(mapping_set: MappingSet, directory: Directory) -> MappingSet:
    """Return rules of an older version as they can hold now: a group that is gone is expected, one that came is meant.

    A name alone means a group only where exactly one has it, and there is one connection.
    """

    def meet(leaf: Condition) -> Condition:
        if isinstance(leaf, GroupCondition) and leaf.group in directory.by_id:
            return directory.condition_for(directory.by_id[leaf.group])
        if isinstance(leaf, GroupCondition):
            leaf = ExpectedGroup(leaf.label, directory.connection(leaf.connection))
        if isinstance(leaf, ExpectedGroup) and (leaf.connection is not None or not directory.several):
            found = directory.named(leaf.name, leaf.connection)
            return directory.condition_for(found[0]) if len(found) == 1 else leaf
        return leaf

    return relabelled(_with(mapping_set, meet), directory)


def _changed(mapping_set: MappingSet, change: Callable[[Condition], Condition]) -> MappingSet | None:
    changed = _with(mapping_set, change)
    return None if changed == mapping_set else changed


def _with(mapping_set: MappingSet, change: Callable[[Condition], Condition]) -> MappingSet:
    """Replace every innermost condition of rules and assertions."""
    return replace(
        mapping_set,
        rules=tuple(replace(rule, condition=_mapped(rule.condition, change)) for rule in mapping_set.rules),
        assertions=tuple(
            replace(assertion, condition=_mapped(assertion.condition, change))
            if isinstance(assertion, PeopleCount) and assertion.condition is not None
            else assertion
            for assertion in mapping_set.assertions
        ),
    )


def _mapped(condition: Condition, change: Callable[[Condition], Condition]) -> Condition:
    """Rebuild a condition with every innermost one replaced."""
    if isinstance(condition, AllOf):
        return AllOf(tuple(_mapped(part, change) for part in condition.parts))
    if isinstance(condition, AnyOf):
        return AnyOf(tuple(_mapped(part, change) for part in condition.parts))
    if isinstance(condition, Not):
        return Not(_mapped(condition.part, change))
    if isinstance(condition, AttributeCondition):
        return condition
    return change(condition)
