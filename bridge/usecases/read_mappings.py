"""The group mappings in force as the page shows them: rules with the people each decides for, groups without a rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import distinct, func, select

from bridge.domain.identifiers import GroupId
from bridge.domain.roles import Permission
from bridge.store.directory import mapping_set_in_force
from bridge.store.models import Connection, Group, MappingVersion, Member, effective_membership
from bridge.store.nesting import has_nesting
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.actors import name_actors
from bridge.usecases.mapping_versions import read_directory
from bridge.usecases.person_classes import person_classes
from mappings.documents import to_document
from mappings.naming import relabelled
from mappings.resolution import resolve
from mappings.rules import GroupCondition, MappingRule, MappingSet, comparison_key
from mappings.tiers import TierLadder

#: Of more people than this, counting by rule takes longer than a page may.
FEW_PEOPLE: Final = 5_000


@dataclass(frozen=True, slots=True)
class GroupCount:
    """A group and how many active people are in it, directly or through groups inside it.

    Attributes:
        label: The name; with the connection's behind it where another connection has a group of the same name.
    """

    id: str
    name: str
    people: int
    connection: str
    label: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule: its number from 1, whom it decides for now, and the group it speaks of if that is all it does."""

    number: int
    rule: MappingRule
    decides_for: int
    group: GroupCount | None


@dataclass(frozen=True, slots=True)
class MappingsView:
    """Rules, heads and versions; the heads of all rules, of nobody's rule and the pinned add up to ``people``.

    Without ``counted`` every number of people is 0: who has rules for many people to show counts them afterwards.
    """

    ladder: TierLadder
    mapping_set: MappingSet
    document: dict[str, Any]
    rules: tuple[RuleView, ...]
    decided_by_none: int
    pinned: int
    people: int
    unmapped: tuple[GroupCount, ...]
    groups: tuple[GroupCount, ...]
    applied_at: datetime | None
    applied_by: str | None
    counted: bool = True


def are_few(unit: Unit) -> bool:
    """Tell whether people are counted so quickly that nobody has to wait for it."""
    return unit.state().member_position <= FEW_PEOPLE


def read_mappings(unit: Unit, *, counted: bool = True) -> MappingsView:
    """Read the rules in force, and count the people each decides for.

    Raises:
        ForbiddenError: The actor may not edit mappings.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    ladder = ladder_of(read_pools(unit))
    mapping_set = mapping_set_in_force(unit, ladder)
    heads, pinned = _count_heads(unit, mapping_set, ladder) if counted else ({}, 0)
    groups = count_groups(unit) if counted else name_groups(unit)
    by_id = {group.id: group for group in groups}
    mapping_set = relabelled(mapping_set, read_directory(unit))
    stored = unit.session.get(MappingVersion, (unit.org_id, mapping_set.version)) if mapping_set.version else None
    return MappingsView(
        ladder=ladder,
        mapping_set=mapping_set,
        document=to_document(mapping_set),
        rules=tuple(
            RuleView(
                number,
                rule,
                heads.get(rule.key, 0),
                by_id.get(rule.condition.group) if isinstance(rule.condition, GroupCondition) else None,
            )
            for number, rule in enumerate(mapping_set.rules, 1)
        ),
        decided_by_none=heads.get(None, 0),
        pinned=pinned,
        people=sum(heads.values()) + pinned,
        unmapped=tuple(group for group in groups if group.id not in mapping_set.groups),
        groups=tuple(groups),
        applied_at=stored.at if stored else None,
        applied_by=name_actors(unit, [stored.actor])[stored.actor] if stored else None,
        counted=counted,
    )


def _count_heads(unit: Unit, mapping_set: MappingSet, ladder: TierLadder) -> tuple[dict[str | None, int], int]:
    """Count the people by the key of the rule that decides for them, None for no rule, and who was placed by hand."""
    heads: dict[str | None, int] = {}
    pinned = 0
    for kind in person_classes(unit, [mapping_set]):
        if kind.holding.pinned:
            pinned += kind.count
            continue
        winning = resolve(kind.facts, mapping_set, ladder).winning
        key = None if winning is None else winning.key
        heads[key] = heads.get(key, 0) + kind.count
    return heads, pinned


def identity_providers(unit: Unit) -> dict[str, str]:
    """Return the names of the connections that can bring a group to come, by their ids.

    Raises:
        ForbiddenError: The actor may not edit mappings.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    directory = read_directory(unit)
    return {key: name for key, name in directory.connections.items() if key not in directory.by_hand}


def count_groups(unit: Unit) -> list[GroupCount]:
    """Return every group with its active people, the largest first."""
    membership = effective_membership.c
    # Only somebody who is in a group by several ways is there more than once.
    people = func.count(distinct(Member.id) if has_nesting(unit) else Member.id)
    rows = unit.session.execute(
        select(Group.id, Group.display_name, people, Connection.name)
        .join(Connection, (Connection.org_id == Group.org_id) & (Connection.id == Group.connection_id))
        .outerjoin(effective_membership, (membership.org_id == Group.org_id) & (membership.group_id == Group.id))
        .outerjoin(
            Member,
            (Member.org_id == membership.org_id) & (Member.id == membership.member_id) & Member.active,
        )
        .where(Group.org_id == unit.org_id)
        .group_by(Group.id, Group.display_name, Connection.name)
        .order_by(people.desc(), Group.display_name, Connection.name)
    ).all()
    return _labelled([(row[0], row[1], row[2], row[3]) for row in rows])


def name_groups(unit: Unit) -> list[GroupCount]:
    """Return every group, by name; nobody is counted."""
    rows = unit.session.execute(
        select(Group.id, Group.display_name, Connection.name)
        .join(Connection, (Connection.org_id == Group.org_id) & (Connection.id == Group.connection_id))
        .where(Group.org_id == unit.org_id)
        .order_by(Group.display_name_key, Connection.name, Group.id)
    ).all()
    return _labelled([(row[0], row[1], 0, row[2]) for row in rows])


def _labelled(rows: Sequence[tuple[GroupId, str, int, str]]) -> list[GroupCount]:
    names = Counter(comparison_key(name) for _, name, _, _ in rows)
    return [
        GroupCount(
            str(group_id),
            name,
            number,
            connection,
            name if names[comparison_key(name)] == 1 else f"{name} ({connection})",
        )
        for group_id, name, number, connection in rows
    ]
