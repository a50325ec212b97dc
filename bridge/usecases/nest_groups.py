"""Groups as members of groups: what may be nested in what, and who is concerned when it changes.

A value among a group's members that is the id of a group of the same directory nests that group; the type beside it is
not asked, for identity providers leave it out or get it wrong. Everybody in the inner group, and in the groups inside
it, then counts as a member of the outer one for rules and filters.
"""

import uuid
from collections.abc import Collection

from sqlalchemy import delete, select, update

from bridge.domain.identifiers import GroupId
from bridge.errors import GroupCycleError, NestingTooDeepError
from bridge.store.journal import record
from bridge.store.models import Group, ParkedMember
from bridge.store.nesting import (
    add_edges,
    ancestors_among,
    deepest_of,
    groups_below,
    levels_above,
    parents_of,
    rebuild_ancestors,
    remove_edges,
)
from bridge.store.unit import Unit

#: The most levels of groups inside groups that one way from the outermost to the innermost may have.
MAX_LEVELS = 32


def nest_groups(unit: Unit, parent: Group, ids: Collection[GroupId]) -> tuple[GroupId, ...]:
    """Put groups of the same directory into a group.

    The seats of the people in them are the caller's to settle.

    Returns:
        Those that were not directly in it, in order of their ids.

    Raises:
        GroupCycleError: One of them is the group itself, or the group is inside it.
        NestingTooDeepError: There would be more than :data:`MAX_LEVELS` levels.
    """
    if not ids:
        return ()
    unit.lock()
    if parent.id in ids:
        raise GroupCycleError(outer=str(parent.id), inner=str(parent.id))
    above = ancestors_among(unit, parent.id, ids)
    if above:
        raise GroupCycleError(outer=str(parent.id), inner=str(above[0]))
    inner, levels = deepest_of(unit, ids) or (min(ids), 0)
    if levels_above(unit, parent.id) + 1 + levels >= MAX_LEVELS:
        raise NestingTooDeepError(outer=str(parent.id), inner=str(inner), most=MAX_LEVELS)
    return tuple(add_edges(unit, parent.id, ids))


def unnest_groups(unit: Unit, parent: Group, ids: Collection[uuid.UUID]) -> tuple[GroupId, ...]:
    """Take groups out of a group; return those that were directly in it, in order of their ids."""
    return tuple(remove_edges(unit, parent.id, ids))


def adopt_parked_group(unit: Unit, group: Group) -> Collection[GroupId]:
    """Put a group into the groups of its own directory that named it by its externalId before it came, or had that one.

    A new group is empty, so nobody's seat changes; the seats of those in any other are the caller's to look at.

    Returns:
        The groups it is in now.

    Raises:
        GroupCycleError: One of them is inside it.
        NestingTooDeepError: There would be more than :data:`MAX_LEVELS` levels.
    """
    if group.external_id is None:
        return ()
    own = select(Group.id).where(
        Group.org_id == unit.org_id, Group.connection_id == group.connection_id, Group.id != group.id
    )
    parents = unit.session.scalars(
        delete(ParkedMember)
        .where(
            ParkedMember.org_id == unit.org_id,
            ParkedMember.value == group.external_id,
            ParkedMember.group_id.in_(own),
        )
        .returning(ParkedMember.group_id)
    ).all()
    for parent_id in sorted(parents):
        nest_groups(unit, unit.session.get_one(Group, (unit.org_id, parent_id)), [group.id])
    _tell_parents(unit, parents, reason="arrived", body={"groups_added": [str(group.id)]})
    return parents


def remove_with_edges(unit: Unit, group: Group) -> None:
    """Delete a group, and with it its place in the groups around it and theirs in it."""
    parents = parents_of(unit, group.id)
    below = groups_below(unit, [group.id]) - {group.id}
    group_id = group.id
    unit.session.delete(group)
    unit.session.flush()
    if below:
        rebuild_ancestors(unit, below)
    _tell_parents(unit, parents, reason="group_removed", body={"groups_removed": [str(group_id)]})


def _tell_parents(unit: Unit, parents: Collection[GroupId], *, reason: str, body: dict[str, list[str]]) -> None:
    """Move the version of groups whose members changed, with an audit entry for each."""
    if not parents:
        return
    unit.session.execute(
        update(Group)
        .where(Group.org_id == unit.org_id, Group.id.in_(parents))
        .values(version=Group.version + 1, modified_at=unit.at)
    )
    for parent_id in sorted(parents):
        record(
            unit,
            "group.members_changed",
            subject_kind="group",
            subject_id=parent_id,
            reason=reason,
            body={"added": [], "removed": [], **body},
        )
