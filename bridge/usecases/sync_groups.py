"""Groups of a directory: memberships are rows, and a change re-evaluates exactly the people it touched."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Text, Uuid, all_, any_, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bridge.domain.documents import comparison_document, comparison_key
from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, new_id, parse_id
from bridge.errors import InvalidInputError, UniquenessError
from bridge.store.directory import direct_groups_of
from bridge.store.journal import Entry, record, record_many
from bridge.store.memberships import let_in
from bridge.store.models import Group, GroupMember, Member, ParkedMember
from bridge.store.nesting import children_of, groups_upwards, known_groups, people_below
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.mapping_versions import bind_group, release_group
from bridge.usecases.nest_groups import adopt_parked_group, nest_groups, remove_with_edges, unnest_groups
from bridge.usecases.provisional import confirm_named
from bridge.usecases.reevaluate import reevaluate, speaks_of


@dataclass(frozen=True, slots=True)
class GroupDraft:
    """A group as a directory describes it; ``document`` has the SCIM attributes without id, meta and members."""

    display_name: str
    external_id: str | None = None
    document: dict[str, Any] = field(default_factory=dict)

    def full_document(self) -> dict[str, Any]:
        """Return the document as it is stored."""
        full = {**self.document, "displayName": self.display_name}
        if self.external_id is not None:
            full["externalId"] = self.external_id
        return full


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """What a change of memberships did: people and groups added and removed, and values that name nobody here."""

    added: tuple[MemberId, ...] = ()
    removed: tuple[MemberId, ...] = ()
    unknown: tuple[str, ...] = ()
    groups_added: tuple[GroupId, ...] = ()
    groups_removed: tuple[GroupId, ...] = ()

    def __bool__(self) -> bool:
        """Whether anybody, or any group, is a member now who was not, or the other way round."""
        return bool(self.added or self.removed or self.groups_added or self.groups_removed)

    @property
    def body(self) -> dict[str, list[str]]:
        """What the audit says of it; it speaks of groups only where groups are nested."""
        body = {"added": [str(i) for i in self.added], "removed": [str(i) for i in self.removed]}
        if self.groups_added:
            body["groups_added"] = [str(i) for i in self.groups_added]
        if self.groups_removed:
            body["groups_removed"] = [str(i) for i in self.groups_removed]
        return body


def create_group(
    unit: Unit,
    connection_id: ConnectionId,
    draft: GroupDraft,
    members: Collection[str] = (),
    *,
    source: str = "scim",
) -> Group:
    """Create a group with its members.

    Raises:
        UniquenessError: Another group of the directory has this displayName or externalId.
    """
    state = unit.lock()
    key = _checked_name(draft.display_name)
    _check_unique(unit, connection_id, draft, key)
    state.group_position += 1
    document = draft.full_document()
    group = Group(
        org_id=unit.org_id,
        id=GroupId(new_id()),
        connection_id=connection_id,
        source=source,
        position=state.group_position,
        display_name=draft.display_name,
        display_name_key=key,
        external_id=draft.external_id,
        document=document,
        comparison=comparison_document(document),
        version=1,
        created_at=unit.at,
        modified_at=unit.at,
    )
    unit.session.add(group)
    unit.session.flush()
    record(unit, "group.created", subject_kind="group", subject_id=group.id, reason=source)
    bind_group(unit, group)
    adopt_parked_group(unit, group)
    if members:
        change_members(unit, group, add=members, touch=False)
    return group


def update_group(unit: Unit, group: Group, draft: GroupDraft) -> bool:
    """Write what a directory says of a group now.

    Rules know a group by its id, so that a new name moves nobody, unless a rule expects a group of that name: it then
    speaks of this one, and its members are looked at. A new externalId puts it into the groups that waited for a group
    of that one, as if it came now.

    Returns:
        Whether anything changed; version and lastModified move only then.

    Raises:
        GroupCycleError: One of the groups that waited for it is inside it.
        UniquenessError: Another group of the directory has the new displayName or externalId.
    """
    unit.lock()
    document = draft.full_document()
    if document == group.document and draft.external_id == group.external_id:
        return False
    key = _checked_name(draft.display_name)
    _check_unique(unit, group.connection_id, draft, key, but=group.id)
    is_renamed = key != group.display_name_key
    is_waited_for = draft.external_id not in {None, group.external_id}
    group.display_name, group.display_name_key = draft.display_name, key
    group.external_id = draft.external_id
    group.document, group.comparison = document, comparison_document(document)
    _touch(unit, group)
    unit.session.flush()
    record(unit, "group.updated", subject_kind="group", subject_id=group.id, reason="directory")
    is_bound = is_renamed and bind_group(unit, group)
    is_nested = is_waited_for and bool(adopt_parked_group(unit, group))
    if is_bound or (is_nested and speaks_of(unit, groups_upwards(unit, group.id))):
        reevaluate(unit, people_below(unit, [group.id]))
    return True


def remove_group(unit: Unit, group: Group) -> None:
    """Remove a group; its members, and those of the groups inside it, are re-evaluated without it."""
    unit.lock()
    touched = people_below(unit, [group.id]) if speaks_of(unit, groups_upwards(unit, group.id)) else ()
    remove_with_edges(unit, group)
    record(unit, "group.removed", subject_kind="group", subject_id=group.id, reason="directory")
    release_group(unit, group)
    reevaluate(unit, touched)


def change_members(
    unit: Unit,
    group: Group,
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    replace: Collection[str] | None = None,
    touch: bool = True,
) -> MembershipChange:
    """Change who is in a group, by rows: the cost does not grow with the group.

    A value that names a group of the directory nests it. A value that names nobody of the directory is parked until
    that person or group arrives; the others count. So is one that names somebody whom only a sign-in made, while
    nothing proves that the directory means them (T14). What is already so changes nothing: no version, no audit, no
    seat. Owners are told of a group that lost its members to a replacement in which nobody is known.

    Args:
        unit: The unit.
        group: Which group.
        add: Ids of people and groups to add, as the directory sent them.
        remove: Ids of people and groups to remove.
        replace: The whole new membership; ``add`` and ``remove`` are then not used.
        touch: Whether version and lastModified move when something changed.

    Raises:
        GroupCycleError: A group would be inside itself; nothing of the change may stay (the unit rolls back).
        NestingTooDeepError: Too many levels of groups inside groups.
    """
    unit.lock()
    unit.session.flush()
    wanted = add if replace is None else replace
    named = confirm_named(unit, group, _split(wanted)[0])
    added, groups_added, unknown = _add(unit, group, wanted, waiting=named.unproven)
    if replace is None:
        removed, groups_removed = _remove(unit, group, remove)
    else:
        removed, groups_removed = _remove_others(unit, group, replace, parked=unknown)
    change = MembershipChange(added, removed, unknown, groups_added, groups_removed)
    if not change:
        reevaluate(unit, named.kept)
        return change
    if replace and not named.unproven and len(unknown) == len(set(replace)):
        raise_alert(unit, "members_unknown")
    if touch:
        _touch(unit, group)
    record(
        unit,
        "group.members_changed",
        subject_kind="group",
        subject_id=group.id,
        reason="directory",
        body=change.body,
    )
    unit.session.flush()
    touched = set(named.kept)
    if speaks_of(unit, groups_upwards(unit, group.id)):
        touched.update(added, removed, people_below(unit, [*groups_added, *groups_removed]))
    reevaluate(unit, touched)
    return change


def _add(
    unit: Unit, group: Group, values: Collection[str], *, waiting: Collection[MemberId]
) -> tuple[tuple[MemberId, ...], tuple[GroupId, ...], tuple[str, ...]]:
    """Let in whom the values name; who waits for proof is parked as who is not here yet."""
    if not values:
        return (), (), ()
    ids, strange = _split(values)
    added, others = let_in(unit, group, ids.difference(waiting))
    groups = known_groups(unit, group.connection_id, others)
    unknown = sorted({*strange, *(str(identifier) for identifier in (others - groups).union(waiting))})
    nested = nest_groups(unit, group, groups)
    if unknown:
        parked = func.unnest(literal(unknown, ARRAY(Text))).column_valued("value")
        row = {"org_id": unit.org_id, "group_id": group.id, "parked_at": unit.at}
        columns = (literal(value, ParkedMember.__table__.c[name].type) for name, value in row.items())
        unit.session.execute(
            insert(ParkedMember).from_select(["value", *row], select(parked, *columns)).on_conflict_do_nothing()
        )
    return tuple(added), nested, tuple(unknown)


def _remove(unit: Unit, group: Group, values: Collection[str]) -> tuple[tuple[MemberId, ...], tuple[GroupId, ...]]:
    if not values:
        return (), ()
    ids, _ = _split(values)
    _unpark(unit, group, ParkedMember.value == any_(literal(list(values), ARRAY(Text))))
    removed = _take_out(unit, group, GroupMember.member_id == any_(_array(ids)))
    return removed, unnest_groups(unit, group, ids)


def _remove_others(
    unit: Unit, group: Group, values: Collection[str], *, parked: Collection[str]
) -> tuple[tuple[MemberId, ...], tuple[GroupId, ...]]:
    """Take out whoever a replacement does not name; of the values that wait for somebody only these stay."""
    ids, _ = _split(values)
    _unpark(unit, group, ParkedMember.value != all_(literal(list(parked), ARRAY(Text))))
    removed = _take_out(unit, group, GroupMember.member_id != all_(_array(ids)))
    return removed, unnest_groups(unit, group, set(children_of(unit, group.id)).difference(ids))


def _take_out(unit: Unit, group: Group, who: ColumnElement[bool]) -> tuple[MemberId, ...]:
    removed = unit.session.scalars(
        delete(GroupMember)
        .where(GroupMember.org_id == unit.org_id, GroupMember.group_id == group.id, who)
        .returning(GroupMember.member_id)
        .execution_options(synchronize_session=False)
    )
    return tuple(sorted(removed))


def _unpark(unit: Unit, group: Group, which: ColumnElement[bool]) -> None:
    unit.session.execute(
        delete(ParkedMember)
        .where(ParkedMember.org_id == unit.org_id, ParkedMember.group_id == group.id, which)
        .execution_options(synchronize_session=False)
    )


def _array(ids: Collection[uuid.UUID]) -> ColumnElement[Any]:
    """Pass ids as one parameter: a list of parameters has an end."""
    return literal(list(ids), ARRAY(Uuid))


def _split(values: Iterable[str]) -> tuple[set[MemberId], set[str]]:
    """Part what can be one of our ids from what cannot."""
    ids: set[MemberId] = set()
    strange: set[str] = set()
    for value in values:
        parsed = parse_id(value)
        if parsed is None:
            strange.add(value)
        else:
            ids.add(MemberId(parsed))
    return ids, strange


def sync_claimed_groups(unit: Unit, connection_id: ConnectionId, member: Member, names: Collection[str]) -> bool:
    """Bring a person's groups in line with what their sign-in asserted; tell whether any is other than before.

    Only for people whom no SCIM push manages: what SCIM knows wins over claims. Groups are created as they are named;
    a group that SCIM pushed takes the person in as well, and only a push takes them out of it again.
    """
    unit.lock()
    wanted = {comparison_key(name): name for name in names if name.strip()}
    named = select(Group).where(
        Group.org_id == unit.org_id, Group.connection_id == connection_id, Group.display_name_key.in_(wanted)
    )
    present = {group.display_name_key: group for group in unit.session.scalars(named)} if wanted else {}
    for key, name in sorted(wanted.items()):
        if key not in present:
            present[key] = create_group(unit, connection_id, GroupDraft(name), source="jit")
    sources = {group.id: group.source for group in direct_groups_of(unit, member.id)}
    target = {group.id for group in present.values()}
    added = target - sources.keys()
    removed = {group_id for group_id, source in sources.items() if source == "jit"} - target
    if not added and not removed:
        return False
    for group_id in sorted(added):
        unit.session.add(GroupMember(org_id=unit.org_id, group_id=group_id, member_id=member.id, added_at=unit.at))
    unit.session.flush()
    unit.session.execute(
        delete(GroupMember).where(
            GroupMember.org_id == unit.org_id,
            GroupMember.member_id == member.id,
            GroupMember.group_id.in_(removed),
        )
    )
    unit.session.execute(
        update(Group)
        .where(Group.org_id == unit.org_id, Group.id.in_(added | removed))
        .values(version=Group.version + 1, modified_at=unit.at)
    )
    record_many(unit, [claimed_entry(member.id, added=added, removed=removed)])
    return True


def claimed_entry(member_id: MemberId, *, added: Iterable[GroupId], removed: Iterable[GroupId] = ()) -> Entry:
    """Return what the audit says of groups that somebody joined or left by a sign-in."""
    body = {"added": sorted(map(str, added)), "removed": sorted(map(str, removed))}
    return Entry("member.groups_claimed", "member", member_id, "sign_in", body)


def _touch(unit: Unit, group: Group) -> None:
    group.version += 1
    group.modified_at = unit.at


def _checked_name(display_name: str) -> str:
    if not display_name.strip():
        raise InvalidInputError("displayName", "must not be empty")
    return comparison_key(display_name)


def _check_unique(
    unit: Unit, connection_id: ConnectionId, draft: GroupDraft, key: str, *, but: GroupId | None = None
) -> None:
    same = (Group.display_name_key == key) | (
        (Group.external_id == draft.external_id) if draft.external_id is not None else False
    )
    for other in unit.session.scalars(
        select(Group).where(Group.org_id == unit.org_id, Group.connection_id == connection_id, same)
    ):
        if other.id == but:
            continue
        if other.display_name_key == key:
            raise UniquenessError(attribute="displayName", value=draft.display_name, taken_by=str(other.id))
        raise UniquenessError(attribute="externalId", value=draft.external_id or "", taken_by=str(other.id))
