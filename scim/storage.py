"""The directory of one connection as the library's storage: people and groups are rows, use cases change them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import structlog
from scim2_models import (
    ForbiddenException,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
)
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy import func, select, union_all, update

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, parse_id
from bridge.errors import UnavailableError
from bridge.store.directory import manual_connection
from bridge.store.models import Decision, Group, GroupMember, GroupNesting, Member, effective_membership
from bridge.store.unit import Unit
from bridge.usecases.provision_member import Source, adopt_member, provision_member, remove_member, update_member
from bridge.usecases.sync_groups import (
    MembershipChange,
    change_members,
    create_group,
    remove_group,
    update_group,
)
from scim.errors import as_scim
from scim.extensions import NO_EXTENSIONS, Extensions
from scim.filters import MemberConditions
from scim.memberships import MembersDelta
from scim.reading import GroupReader, PersonReader, Reader, read_by_id
from scim.resources import SEAT, model_of
from scim.search import Found, find
from scim.translate import (
    Stored,
    StoredGroup,
    StoredPerson,
    digest_of_groups,
    group_draft,
    member_values,
    person_draft,
    to_resource,
)

log = structlog.get_logger()


class MemberStorage(ScimStorage):
    """People and groups of one connection, inside one unit of work; nothing of other directories is visible.

    People whom no directory manages (the organization's manual connection) show to a look-up by id, userName or
    address only, never in a list: a push of them conflicts, and whoever is told so must be able to find them.

    Args:
        unit: The unit; the caller commits it.
        connection_id: The directory.
        provider: Its models are what resources are given as.
        writing: Whether operations change something: the organization is then locked first, so that what an operation
            reads is what it changes (no false 412 between parallel pushes).
        several: Whether the request has several operations, of which each fails alone (Bulk).
        own: The organization's own extensions, by the name of the resource type.
        schema_version: The version of them that the request was read by; None does not look.
    """

    supports_cursors = True

    def __init__(
        self,
        unit: Unit,
        connection_id: ConnectionId,
        provider: ScimProvider,
        *,
        writing: bool = True,
        several: bool = True,
        own: Mapping[str, Extensions] = MappingProxyType({}),
        schema_version: int | None = None,
    ) -> None:
        self.unit, self.connection_id, self.provider = unit, connection_id, provider
        self.writing, self.several = writing, several
        self.own, self.schema_version = own, schema_version
        self.shows_seat = any(schema.id == SEAT for schema in provider.schemas)

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Enclose one operation."""
        if self.writing and self.schema_version not in {None, self.unit.lock().schema_version}:
            # Somebody changed the extension schemas or the mode meanwhile: what was read by the old ones may not fit.
            raise UnavailableError("The organization's schema", retry_after_seconds=1)
        if self.writing and self.several:
            with self.unit.savepoint():
                yield
            return
        if self.writing:
            self.unit.lock()
        yield

    # What the library calls.

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Return a resource; members of a group and groups of a person only when the answer shows them."""
        stored = self.read(resource_type, resource_id, related=shows_related(resource_type, response_parameters))
        return self.resource(resource_type, stored)

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """Return one page of what matches."""
        found, stored = self.find(resource_types, search_request, position=position)
        types = {resource_type.name: resource_type for resource_type in resource_types}
        resources = [self.resource(types[name], each) for (name, _), each in zip(found.keys, stored, strict=True)]
        return SearchPage(found.total, resources, found.next, found.previous)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Take a person or group in."""
        return self.resource(resource_type, self.add(resource_type, resource))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Write the whole new state of a person or group."""
        stored = self.read(resource_type, resource.id or "", related=False)
        self._expect(stored, expected_version)
        if isinstance(stored, StoredGroup):
            self.write_group(stored.group, resource)
            self.change_members(stored.group, replace=member_values(resource) or [])
        else:
            self.write_person(stored.member, resource)
        return self.resource(resource_type, self.read(resource_type, resource.id or ""))

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Remove a person or group; an owner stays (the use case tells the owners)."""
        self.unit.lock()
        stored = self.read(resource_type, resource_id, related=False)
        self._expect(stored, expected_version)
        self.remove(stored)

    # What the handler calls besides: rows instead of models, memberships instead of whole groups.

    def read(
        self, resource_type: ResourceType, resource_id: str, *, related: bool = True, named: bool = True
    ) -> Stored:
        """Return a stored resource by its id.

        Args:
            resource_type: Users or Groups.
            resource_id: As it was sent.
            related: Whether the groups of a person, or the members of a group, are read too.
            named: Whether the members' names are, when nothing is to be changed.

        Raises:
            NotFoundException: No such resource in this directory; another's is just as unknown.
        """
        identifier = parse_id(resource_id)
        name = str(resource_type.name)
        stored = [] if identifier is None else self.load(name, [identifier], related=related, named=named)
        if not stored:
            raise NotFoundException(detail=f"There is no {resource_type.name} {resource_id!r}")
        return stored[0]

    def find(
        self,
        resource_types: Sequence[ResourceType],
        request: SearchRequest[Any],
        *,
        position: Any = None,
        named: bool = True,
    ) -> tuple[Found, list[Stored]]:
        """Return one page of what matches, as rows."""
        models = {str(each.name): model_of(self.provider, each) for each in resource_types}
        readers = {
            str(each.name): self._reader(str(each.name), related=shows_related(each, request), named=named)
            for each in resource_types
        }
        reader = next(iter(readers.values())) if len(readers) == 1 else None
        found = find(self.unit, self.connection_id, models, request, position, reader)
        if found.stored is not None:
            return found, list(found.stored)
        loaded: dict[tuple[str, Any], Stored] = {}
        for name in models:
            ids = [identifier for kind, identifier in found.keys if kind == name]
            for stored in self._rows(readers[name], ids):
                loaded[name, _id_of(stored)] = stored
        return found, [loaded[key] for key in found.keys]

    def load(self, name: str, ids: Sequence[Any], *, related: bool, named: bool = True) -> list[Stored]:
        """Return people or groups by their ids, in any order: as entities where they may be changed, else as rows."""
        if not ids:
            return []
        if not self.writing:
            return self._rows(self._reader(name, related=related, named=named), ids)
        return list(self._load_people(ids, related=related) if name == "User" else self._load_groups(ids, related))

    def _reader(self, name: str, *, related: bool, named: bool) -> Reader:
        if name == "User":
            return PersonReader(shows_seat=self.shows_seat, related=related)
        return GroupReader(related=related, named=named)

    def _rows(self, reader: Reader, ids: Sequence[Any]) -> list[Stored]:
        if not ids:
            return []
        people = isinstance(reader, PersonReader)
        connections = [self.connection_id, *([manual_connection(self.unit).id] if people else [])]
        return read_by_id(self.unit, reader, connections, ids)

    def add(self, resource_type: ResourceType, resource: Resource[Any]) -> Stored:
        """Take a person or group in and return it as stored."""
        with as_scim():
            if resource_type.name == "User":
                member = provision_member(self.unit, self.connection_id, person_draft(resource), Source.SCIM)
                return self.read(resource_type, str(member.id))
            values = member_values(resource) or []
            group = create_group(self.unit, self.connection_id, group_draft(resource))
            self.change_members(group, add=values, touch=False)
        return self.read(resource_type, str(group.id))

    def remove(self, stored: Stored) -> bool:
        """Remove a person or group; tell whether it is gone, for an owner stays."""
        if isinstance(stored, StoredGroup):
            remove_group(self.unit, stored.group)
            return True
        if not self.manages(stored.member):
            raise ForbiddenException(detail="No directory manages this person: they are removed in the console only")
        left = select(GroupMember.group_id).where(
            GroupMember.org_id == self.unit.org_id, GroupMember.member_id == stored.member.id
        )
        group_ids = self.unit.session.scalars(left).all()
        removed = remove_member(self.unit, stored.member)
        if removed and group_ids:
            self.unit.session.execute(
                update(Group)
                .where(Group.org_id == self.unit.org_id, Group.id.in_(group_ids))
                .values(version=Group.version + 1, modified_at=self.unit.at)
            )
        return removed

    def manages(self, member: Member) -> bool:
        """Tell whether a person is this directory's, and not one whom no directory manages."""
        return member.connection_id == self.connection_id

    def waits_for_word(self, member: Member) -> bool:
        """Tell whether a directory says something of a person by naming them, even if it changes nothing of them."""
        return not self.manages(member) or member.provisional_until is not None

    def write_person(self, member: Member, resource: Resource[Any]) -> None:
        """Write the whole new state of a person; whom no directory manages yet is taken over as by a POST."""
        with as_scim():
            draft = person_draft(resource, stored=member, own=self.own.get("User", NO_EXTENSIONS))
            if self.manages(member):
                update_member(self.unit, member, draft)
            else:
                adopt_member(self.unit, member, self.connection_id, draft)

    def write_group(self, group: Group, resource: Resource[Any]) -> None:
        """Write the new state of a group, its members apart."""
        with as_scim():
            own = self.own.get("Group", NO_EXTENSIONS)
            update_group(self.unit, group, group_draft(resource, stored=group, own=own))

    def change_members(
        self,
        group: Group,
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        replace: Iterable[str] | None = None,
        touch: bool = True,
    ) -> MembershipChange:
        """Change memberships by rows; who is not here yet is parked until they arrive, and the log says so."""
        add, remove = list(dict.fromkeys(add)), list(dict.fromkeys(remove))
        if replace is None and not add and not remove:
            return MembershipChange()
        with as_scim():
            change = change_members(
                self.unit,
                group,
                add=add,
                remove=remove,
                replace=None if replace is None else list(dict.fromkeys(replace)),
                touch=touch,
            )
        if change.unknown:
            log.info("scim.members_parked", group_id=str(group.id), count=len(change.unknown))
        return change

    def select_members(self, group: Group, asked: MemberConditions, delta: MembersDelta) -> list[str]:
        """Return the ids of a group's members that satisfy conditions, as the group is after a change not yet written.

        Args:
            group: The group.
            asked: The conditions.
            delta: The change.
        """
        ids = [identifier for identifier in map(parse_id, delta.pending) if identifier is not None]
        queries = [
            select(Member.id).where(Member.org_id == self.unit.org_id, Member.id.in_(ids), asked.person),
            select(Group.id).where(Group.org_id == self.unit.org_id, Group.id.in_(ids), asked.group),
        ]
        if delta.whole is None:
            queries += [
                select(GroupMember.member_id)
                .join(Member, (Member.org_id == GroupMember.org_id) & (Member.id == GroupMember.member_id))
                .where(GroupMember.org_id == self.unit.org_id, GroupMember.group_id == group.id, asked.person),
                select(GroupNesting.child_id)
                .join(Group, (Group.org_id == GroupNesting.org_id) & (Group.id == GroupNesting.child_id))
                .where(GroupNesting.org_id == self.unit.org_id, GroupNesting.parent_id == group.id, asked.group),
            ]
        found = (str(identifier) for query in queries for identifier in self.unit.session.scalars(query))
        return [each for each in dict.fromkeys(found) if each not in delta.removed]

    def has_more_members(self, group: Group, than: int) -> bool:
        """Tell whether a group has more members than a number, looking at no more than that."""
        people = select(GroupMember.member_id).where(
            GroupMember.org_id == self.unit.org_id, GroupMember.group_id == group.id
        )
        groups = select(GroupNesting.child_id).where(
            GroupNesting.org_id == self.unit.org_id, GroupNesting.parent_id == group.id
        )
        some = union_all(people, groups).limit(than + 1).subquery()
        return (self.unit.session.scalar(select(func.count()).select_from(some)) or 0) > than

    def resource(self, resource_type: ResourceType, stored: Stored) -> Resource[Any]:
        """Return a stored resource as the library's model."""
        return to_resource(stored, model_of(self.provider, resource_type))

    def _load_people(self, ids: Sequence[Any], *, related: bool) -> Iterator[StoredPerson]:
        direct: dict[MemberId, list[tuple[GroupId, str]]] = {}
        inherited: dict[MemberId, list[tuple[GroupId, str]]] = {}
        # Read even when they are not shown: the version is the same whatever part of a person is asked for.
        ways = effective_membership.c
        memberships = (
            select(ways.member_id, Group.id, Group.display_name, func.bool_or(ways.through_id.is_(None)))
            .join_from(effective_membership, Group, (Group.org_id == ways.org_id) & (Group.id == ways.group_id))
            .where(ways.org_id == self.unit.org_id, ways.member_id.in_(ids))
            .group_by(ways.member_id, Group.org_id, Group.id)
            .order_by(Group.display_name_key)
        )
        for member_id, group_id, name, is_direct in self.unit.session.execute(memberships):
            (direct if is_direct else inherited).setdefault(member_id, []).append((group_id, name))
        people = (
            select(Member, Decision.reason)
            .outerjoin(Decision, (Decision.org_id == Member.org_id) & (Decision.id == Member.decision_id))
            .where(
                Member.org_id == self.unit.org_id,
                Member.connection_id.in_((self.connection_id, manual_connection(self.unit).id)),
                Member.id.in_(ids),
            )
            .execution_options(populate_existing=True)
        )
        for member, reason in self.unit.session.execute(people):
            mine, around = direct.get(member.id, []), inherited.get(member.id, [])
            digest = digest_of_groups(mine, around)
            if related:
                yield StoredPerson(member, mine, reason, self.shows_seat, digest, around)
            else:
                yield StoredPerson(member, [], reason, self.shows_seat, digest)

    def _load_groups(self, ids: Sequence[Any], related: bool) -> Iterator[StoredGroup]:  # noqa: FBT001 (private)
        members: dict[GroupId, list[tuple[MemberId, str]]] = {}
        nested: dict[GroupId, list[tuple[GroupId, str]]] = {}
        if related:
            nestings = (
                select(GroupNesting.parent_id, Group.id, Group.display_name)
                .join(Group, (Group.org_id == GroupNesting.org_id) & (Group.id == GroupNesting.child_id))
                .where(GroupNesting.org_id == self.unit.org_id, GroupNesting.parent_id.in_(ids))
                .order_by(Group.position)
            )
            for group_id, child_id, name in self.unit.session.execute(nestings):
                nested.setdefault(group_id, []).append((child_id, name))
            memberships = (
                select(GroupMember.group_id, Member.id, Member.display_name)
                .join(Member, (Member.org_id == GroupMember.org_id) & (Member.id == GroupMember.member_id))
                .where(GroupMember.org_id == self.unit.org_id, GroupMember.group_id.in_(ids))
                .order_by(Member.position)
            )
            for group_id, member_id, name in self.unit.session.execute(memberships):
                members.setdefault(group_id, []).append((member_id, name))
        groups = (
            select(Group)
            .where(Group.org_id == self.unit.org_id, Group.connection_id == self.connection_id, Group.id.in_(ids))
            .execution_options(populate_existing=True)
        )
        for group in self.unit.session.scalars(groups):
            yield StoredGroup(group, members.get(group.id, []) if related else None, nested.get(group.id, []))

    @staticmethod
    def _expect(stored: Stored, version: str | None) -> None:
        if version is not None and version != stored.version:
            raise PreconditionFailedException


def shows_related(resource_type: ResourceType, parameters: ResponseParameters[Any] | None) -> bool:
    """Tell whether an answer shows the members of a group, or the groups of a person."""
    if parameters is None:
        return True
    related = "members" if resource_type.name == "Group" else "groups"
    if parameters.attributes:
        return any(_names(path, related) for path in parameters.attributes)
    return not any(_names(path, related) and len(path.parts) == 1 for path in parameters.excluded_attributes or ())


def _names(path: Any, attribute: str) -> bool:
    return bool(path.parts) and str(path.parts[0]).casefold() == attribute


def _id_of(stored: Stored) -> Any:
    return stored.group.id if isinstance(stored, StoredGroup) else stored.member.id
