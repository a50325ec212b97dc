"""Groups inside groups: the edges, and for each group all groups above it, which follow from the edges.

What follows is kept beside the edges and changes with them, so that nobody who reads memberships walks any tree: an
organization without nested groups pays for an empty table.
"""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Uuid,
    any_,
    delete,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId
from bridge.store.models import Group, GroupAncestor, GroupNesting, effective_membership
from bridge.store.unit import Unit


def has_nesting(unit: Unit) -> bool:
    """Tell whether any group of the organization is inside another."""
    some = select(1).select_from(GroupNesting).where(GroupNesting.org_id == unit.org_id)
    return unit.session.scalar(select(exists(some))) or False


def known_groups(unit: Unit, connection_id: ConnectionId, ids: Collection[uuid.UUID]) -> set[GroupId]:
    """Tell which of these are groups of a directory."""
    if not ids:
        return set()
    return set(
        unit.session.scalars(
            select(Group.id).where(
                Group.org_id == unit.org_id, Group.connection_id == connection_id, _one_of(Group.id, ids)
            )
        )
    )


def children_of(unit: Unit, group_id: GroupId) -> Sequence[GroupId]:
    """Return the groups directly inside a group, in order of their ids."""
    return unit.session.scalars(
        select(GroupNesting.child_id)
        .where(GroupNesting.org_id == unit.org_id, GroupNesting.parent_id == group_id)
        .order_by(GroupNesting.child_id)
    ).all()


def parents_of(unit: Unit, group_id: GroupId) -> Sequence[GroupId]:
    """Return the groups that a group is directly inside of, in order of their ids."""
    return unit.session.scalars(
        select(GroupNesting.parent_id)
        .where(GroupNesting.org_id == unit.org_id, GroupNesting.child_id == group_id)
        .order_by(GroupNesting.parent_id)
    ).all()


def ancestors_among(unit: Unit, group_id: GroupId, ids: Collection[GroupId]) -> Sequence[GroupId]:
    """Return which of these groups are above a group, in order of their ids."""
    return unit.session.scalars(
        select(GroupAncestor.ancestor_id)
        .where(
            GroupAncestor.org_id == unit.org_id,
            GroupAncestor.group_id == group_id,
            _one_of(GroupAncestor.ancestor_id, ids),
        )
        .order_by(GroupAncestor.ancestor_id)
    ).all()


def levels_above(unit: Unit, group_id: GroupId) -> int:
    """Count the groups above a group, on the longest way up."""
    return (
        unit.session.scalar(
            select(func.max(GroupAncestor.distance)).where(
                GroupAncestor.org_id == unit.org_id, GroupAncestor.group_id == group_id
            )
        )
        or 0
    )


def deepest_of(unit: Unit, ids: Collection[GroupId]) -> tuple[GroupId, int] | None:
    """Return which of these groups has most levels of groups inside it, and how many; None when none has any."""
    row = unit.session.execute(
        select(GroupAncestor.ancestor_id, GroupAncestor.distance)
        .where(GroupAncestor.org_id == unit.org_id, _one_of(GroupAncestor.ancestor_id, ids))
        .order_by(GroupAncestor.distance.desc(), GroupAncestor.ancestor_id)
        .limit(1)
    ).first()
    return None if row is None else (row[0], row[1])


def people_below(unit: Unit, ids: Collection[GroupId]) -> set[MemberId]:
    """Return who is in one of these groups, directly or through groups inside them."""
    if not ids:
        return set()
    ways = effective_membership.c
    return set(
        unit.session.scalars(
            select(ways.member_id).where(ways.org_id == unit.org_id, _one_of(ways.group_id, ids)).distinct()
        )
    )


def groups_upwards(unit: Unit, group_id: GroupId) -> Sequence[GroupId]:
    """Return a group and all groups above it: what its members count as members of."""
    above = select(GroupAncestor.ancestor_id).where(
        GroupAncestor.org_id == unit.org_id, GroupAncestor.group_id == group_id
    )
    return [group_id, *unit.session.scalars(above)]


def inherited_through(unit: Unit, member_id: MemberId) -> dict[GroupId, tuple[str, ...]]:
    """Return the groups a member is in only through groups inside them, with the names of those they are directly in.

    The names are in order.
    """
    ways = effective_membership.c
    rows = unit.session.execute(
        select(ways.group_id, func.array_agg(Group.display_name), func.bool_or(ways.through_id.is_(None)))
        .select_from(effective_membership)
        .outerjoin(Group, (Group.org_id == ways.org_id) & (Group.id == ways.through_id))
        .where(ways.org_id == unit.org_id, ways.member_id == member_id)
        .group_by(ways.group_id)
    )
    return {group_id: tuple(sorted(names)) for group_id, names, directly in rows if not directly}


def groups_below(unit: Unit, ids: Collection[GroupId]) -> set[GroupId]:
    """Return these groups and all groups inside them, at any level."""
    below = unit.session.scalars(
        select(GroupAncestor.group_id).where(
            GroupAncestor.org_id == unit.org_id, _one_of(GroupAncestor.ancestor_id, ids)
        )
    )
    return {*ids, *below}


def add_edges(unit: Unit, parent_id: GroupId, ids: Collection[GroupId]) -> list[GroupId]:
    """Put groups into a group; return those that were not directly in it yet, in order of their ids.

    None of them is the parent or above it: the caller has seen to that under the lock.
    """
    rows = [
        {"org_id": unit.org_id, "parent_id": parent_id, "child_id": child_id, "added_at": unit.at}
        for child_id in sorted(ids)
    ]
    if not rows:
        return []
    added = sorted(
        unit.session.scalars(insert(GroupNesting).on_conflict_do_nothing().returning(GroupNesting.child_id), rows)
    )
    if added:
        _extend_ancestors(unit, parent_id, added)
    return added


def remove_edges(unit: Unit, parent_id: GroupId, ids: Collection[uuid.UUID]) -> list[GroupId]:
    """Take groups out of a group; return those that were directly in it, in order of their ids."""
    if not ids:
        return []
    removed = sorted(
        unit.session.scalars(
            delete(GroupNesting)
            .where(
                GroupNesting.org_id == unit.org_id,
                GroupNesting.parent_id == parent_id,
                _one_of(GroupNesting.child_id, ids),
            )
            .returning(GroupNesting.child_id)
        )
    )
    if removed:
        rebuild_ancestors(unit, groups_below(unit, removed))
    return removed


def _extend_ancestors(unit: Unit, parent_id: GroupId, added: Collection[GroupId]) -> None:
    """Write what follows from new edges below one parent: everything in the children is now below all above it.

    A way that uses one of these edges uses exactly one and no other of them, so the longest is one edge between the
    longest below it and the longest above it.
    """
    mine = GroupAncestor.org_id == unit.org_id
    nothing = literal(0, BigInteger)
    below = union_all(
        select(GroupAncestor.group_id.label("id"), GroupAncestor.distance.label("levels")).where(
            mine, _one_of(GroupAncestor.ancestor_id, added)
        ),
        select(func.unnest(_array(added)), nothing),
    ).subquery()
    above = union_all(
        select(GroupAncestor.ancestor_id.label("id"), GroupAncestor.distance.label("levels")).where(
            mine, GroupAncestor.group_id == parent_id
        ),
        select(literal(parent_id, Uuid), nothing),
    ).subquery()
    pairs = (
        select(literal(unit.org_id, Uuid), below.c.id, above.c.id, func.max(below.c.levels + 1 + above.c.levels))
        .join_from(below, above, literal(value=True))
        .group_by(below.c.id, above.c.id)
    )
    statement = insert(GroupAncestor).from_select(["org_id", "group_id", "ancestor_id", "distance"], pairs)
    unit.session.execute(
        statement.on_conflict_do_update(
            index_elements=["org_id", "group_id", "ancestor_id"],
            set_={"distance": func.greatest(GroupAncestor.distance, statement.excluded.distance)},
        )
    )


def rebuild_ancestors(unit: Unit, ids: Collection[GroupId]) -> None:
    """Write anew what is above these groups, after edges above them went.

    Args:
        unit: The unit.
        ids: Every group below the edges that went: what is above the others has not changed.
    """
    unit.session.execute(
        delete(GroupAncestor)
        .where(GroupAncestor.org_id == unit.org_id, _one_of(GroupAncestor.group_id, ids))
        .execution_options(synchronize_session=False)
    )
    mine = GroupNesting.org_id == unit.org_id
    up = (
        select(
            GroupNesting.child_id.label("id"),
            GroupNesting.parent_id.label("above"),
            literal(1, BigInteger).label("levels"),
        )
        .where(mine, _one_of(GroupNesting.child_id, ids))
        .cte("up", recursive=True)
    )
    up = up.union(
        select(up.c.id, GroupNesting.parent_id, up.c.levels + 1)
        .join_from(up, GroupNesting, GroupNesting.child_id == up.c.above)
        .where(mine)
    )
    ways = select(literal(unit.org_id, Uuid), up.c.id, up.c.above, func.max(up.c.levels)).group_by(up.c.id, up.c.above)
    unit.session.execute(
        insert(GroupAncestor).from_select(["org_id", "group_id", "ancestor_id", "distance"], ways),
        execution_options={"synchronize_session": False},
    )


def _one_of(column: Any, ids: Collection[uuid.UUID]) -> ColumnElement[bool]:
    """Compare with an array in one parameter: a list of parameters has an end."""
    condition: ColumnElement[bool] = column == any_(_array(ids))
    return condition


def _array(ids: Collection[uuid.UUID]) -> ColumnElement[Any]:
    return literal(list(ids), ARRAY(Uuid))
