"""Groups by one statement each: read or look up one, let a few people in or out.

The functions behind it (``bridge/store/functions/memberships.sql``) do what :mod:`bridge.usecases.sync_groups` does,
for what directories push all day. What is not plain (a value that names nobody here, groups inside groups, somebody in
line, an owner who has to be told) is None here and left to the general way, which writes the very same for the rest.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, OrgId
from bridge.store.journal import Entry
from bridge.store.lane import Lane
from bridge.usecases.assign_seats import Access
from bridge.usecases.quick_cases import MAX_GROUPS, Standing, read_standing, regrouped, write_by_case
from bridge.usecases.quick_writes import Caller, Rules, as_json, known_state, sealed
from mappings.allocation import Grant, Holding

_READ = "lane_group"
_LOOK = "lane_membership"
_CHANGE = "lane_change_members"
_MOVE = "lane_move_member"


@dataclass(slots=True)
class GroupRow:
    """A group as one statement read it, named as :class:`~bridge.store.models.Group` names it."""

    id: GroupId
    display_name: str
    external_id: str | None
    document: dict[str, Any]
    version: int
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group with what an answer shows besides.

    Attributes:
        members: Who is in it, in order of arrival; None when that was not asked for, or they are too many.
        too_many: Whether they are more than were asked for.
    """

    org_id: OrgId
    connection_id: ConnectionId
    can_write: bool
    schema_version: int
    group: GroupRow
    members: Sequence[MemberId] | None = None
    too_many: bool = False


@dataclass(frozen=True, slots=True)
class NoGroup:
    """The directory has no group of that name; the credential is good."""

    can_write: bool


@dataclass(frozen=True, slots=True)
class _Delta:
    """Who comes in and who goes out, as was seen."""

    added: list[MemberId]
    removed: list[MemberId]

    @property
    def body(self) -> dict[str, list[str]]:
        return {"added": [str(i) for i in self.added], "removed": [str(i) for i in self.removed]}


def find_group(lane: Lane, caller: Caller, attribute: str, value: str, *, most: int) -> FoundGroup | NoGroup | None:
    """Find a group by ``id``, ``displayName`` (its comparison key) or ``externalId``.

    Args:
        lane: Connections.
        caller: Who asks.
        attribute: By what.
        value: Its value.
        most: How many members are read; 0 to read the group without.

    Returns:
        None when the general way has to answer: there are more members, or groups among them.
    """
    row = lane.ask(_READ, (caller.token_hash, caller.at, caller.slug, attribute, value, most))
    if row is None:
        return None
    org_id, connection_id, can_write, schema_version, *columns, member_ids = row
    if columns[0] is None:
        return NoGroup(can_write)
    members = (member_ids or ()) if most else None
    return FoundGroup(org_id, connection_id, can_write, schema_version, GroupRow(*columns), members)


def change_membership(
    lane: Lane,
    caller: Caller,
    rules: Rules,
    group_id: uuid.UUID,
    *,
    add: Collection[uuid.UUID],
    remove: Collection[uuid.UUID],
    most: int,
) -> FoundGroup | None:
    """Let people into a group or take them out, and settle the seats of whom a rule may speak (rules A4, A5, A7).

    Args:
        lane: Connections.
        caller: Who asks.
        rules: What is known of the organization.
        group_id: Which group.
        add: Who comes in.
        remove: Who goes out.
        most: How many members are read back.

    Returns:
        The group afterwards; None when nothing was done and the general way has to answer.
    """
    moved = None
    if len(add) + len(remove) == 1:
        moved = _move(lane, caller, rules, group_id, *add, *remove, comes_in=bool(add), most=most)
    return moved or _look_and_change(lane, caller, rules, group_id, add=add, remove=remove, most=most)


def _look_and_change(
    lane: Lane,
    caller: Caller,
    rules: Rules,
    group_id: uuid.UUID,
    *,
    add: Collection[uuid.UUID],
    remove: Collection[uuid.UUID],
    most: int,
) -> FoundGroup | None:
    """Find out who people are to the group, and then change what is to be changed."""
    mapped = rules.groups
    asked = (caller.token_hash, caller.at, caller.slug, group_id, [*add, *remove])
    row = lane.ask(_LOOK, (*asked, bool(mapped), -1))
    if row is None:
        return None
    found, upwards, is_nested, people = _read(row)
    known = {uuid.UUID(one["id"]): one for one in people}
    if found.schema_version != rules.schema_version or not known.keys() >= {*add, *remove}:
        return None
    delta = _Delta(
        sorted(MemberId(one) for one in add if not known[one]["inside"]),
        sorted(MemberId(one) for one in remove if known[one]["inside"]),
    )
    if not delta.added and not delta.removed:
        row = lane.ask(_LOOK, (*asked[:4], [], False, most))
        return None if row is None else _read(row)[0]
    settled: list[dict[str, Any]] = []
    if not mapped.isdisjoint(map(str, upwards)):
        touched = [known[member_id] for member_id in sorted((*delta.added, *delta.removed))]
        settled_or_none = None if is_nested else _settlements(caller, rules, found.group, touched)
        if settled_or_none is None:
            return None
        settled = settled_or_none
    entry = Entry("group.members_changed", "group", group_id, "directory", delta.body)
    row = lane.write(
        _CHANGE,
        (
            *known_state(caller, rules),
            group_id,
            upwards,
            delta.added,
            delta.removed,
            [str(member_id) for member_id in remove],
            caller.actor,
            caller.request_id,
            *caller.pads,
            as_json([sealed(caller, rules, entry)]),
            as_json(settled),
            most,
        ),
    )
    if row is None:
        return None
    version, member_ids, too_many = row
    group = replace(found.group, version=version, modified_at=caller.at)
    return replace(found, group=group, members=None if too_many else member_ids or (), too_many=too_many)


def _move(
    lane: Lane,
    caller: Caller,
    rules: Rules,
    group_id: uuid.UUID,
    person: uuid.UUID,
    *,
    comes_in: bool,
    most: int,
) -> FoundGroup | None:
    """Let one person in or take one out without looking first; None when nothing was done and it has to be looked."""
    if len(rules.groups) > MAX_GROUPS:
        return None
    member_id = MemberId(person)
    delta = _Delta([member_id], []) if comes_in else _Delta([], [member_id])
    entry = Entry("group.members_changed", "group", group_id, "directory", delta.body)
    seals = (caller.actor, caller.request_id, *caller.pads, as_json([sealed(caller, rules, entry)]))
    row = write_by_case(
        lane,
        _MOVE,
        caller,
        rules,
        member_id,
        asking=(group_id, comes_in),
        parameters=lambda cases: (
            *known_state(caller, rules),
            group_id,
            person,
            comes_in,
            rules.groups_array if str(group_id) in rules.groups else None,
            rules.asked_array,
            cases,
            *seals,
            most,
        ),
        decide_by=lambda facts: regrouped(rules, read_standing(rules, facts)),
    )
    if row is None:
        return None
    *columns, member_ids, too_many = row
    return FoundGroup(
        rules.org_id,
        rules.connection_id,
        can_write=True,
        schema_version=rules.schema_version,
        group=GroupRow(*columns),
        members=None if too_many else member_ids or (),
        too_many=too_many,
    )


def _read(row: Sequence[Any]) -> tuple[FoundGroup, list[uuid.UUID], bool, list[dict[str, Any]]]:
    org_id, connection_id, can_write, schema_version, *columns = row
    *columns, upwards, is_nested, people, member_ids, too_many = columns
    members = None if too_many in {None, True} else member_ids or ()
    group = GroupRow(*columns)
    found = FoundGroup(org_id, connection_id, can_write, schema_version, group, members, bool(too_many))
    return found, upwards, is_nested, people or []


def _settlements(
    caller: Caller, rules: Rules, group: GroupRow, touched: Sequence[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """Return what may become of each of the active; None where somebody is no case for the lane."""
    settled: list[dict[str, Any]] = []
    for person in touched:
        if "version" not in person:
            continue  # inactive
        one = _settlement(caller, rules, group, person)
        if one is None:
            return None
        settled.append(one)
    return settled


def _settlement(caller: Caller, rules: Rules, group: GroupRow, person: dict[str, Any]) -> dict[str, Any] | None:
    groups = [(uuid.UUID(group_id), name) for group_id, name in person["groups"] if group_id != str(group.id)]
    if not person["inside"]:
        groups.append((group.id, group.display_name))
    granted_by = Grant(person["granted_by"]) if person["granted_by"] else None
    standing = Standing(
        groups=[group_id for group_id, _ in groups],
        said=rules.said(person["document"]),
        holding=Holding(person["tier"], granted_by, person["pinned"], person["waiting_for"]),
        access=Access(person["role"], person["role_from_mapping"], person["teams"]),
    )
    case = regrouped(rules, standing)
    if case is None:
        return None
    settlement = case.settlement(caller, rules, MemberId(uuid.UUID(person["id"])))
    settlement["decision"]["groups"] = sorted({name for _, name in groups})
    return {
        **{name: person[name] for name in ("id", "version", "role", "role_from_mapping", "teams", "decision_id")},
        **settlement,
        "groups": [[str(group_id), name] for group_id, name in sorted(groups)],
    }
