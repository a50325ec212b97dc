"""What the rows of a file do, person by person: who is here already is changed, newcomers are taken in together."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Text, Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from bridge.domain.documents import comparison_key, display_name, mappable_attributes
from bridge.domain.identifiers import ConnectionId, GroupId, MemberId
from bridge.domain.people_files import Column, PeopleFile, PersonRow, RowProblem
from bridge.domain.people_rows import changed_attributes, laid_over
from bridge.domain.roles import Role
from bridge.errors import (
    AdoptionRefusedError,
    BridgeError,
    InvalidInputError,
    NoSeatAvailableError,
    OwnerProtectedError,
    UniquenessError,
)
from bridge.store.directory import get_member, manual_connection
from bridge.store.journal import Entry, record_many
from bridge.store.models import Connection, Group, GroupMember, Member
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import place_member, promote_waiting
from bridge.usecases.provision_many import Newcomer, provision_many
from bridge.usecases.provision_member import (
    PersonDraft,
    Source,
    asks_for_change,
    check_display_name,
    provision_member,
    update_member,
    write_person,
)
from bridge.usecases.provisional import keep_member
from bridge.usecases.reevaluate import reevaluate
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group
from mappings.tiers import UNASSIGNED

_PROGRESS_EVERY = 100


@dataclass(frozen=True, slots=True)
class AddedPerson:
    """Somebody who comes new.

    Attributes:
        row: Of the file.
        tier: The seat they get; None without one.
        waiting_for: What they wait for instead, or besides.
        reason: The decision's code; None for somebody inactive, who gets no decision.
        because: The same as a sentence.
    """

    row: int
    user_name: str
    name: str
    tier: str | None
    waiting_for: str | None
    reason: str | None
    because: str | None


@dataclass(frozen=True, slots=True)
class ChangedPerson:
    """Somebody who is here and becomes other than before.

    Attributes:
        attributes: Which of theirs.
        joined: Names of groups they come into.
        left: Names of groups they leave.
        adopted: Nobody managed them, and from now on the directory does.
        tier_before: The seat they hold now.
        tier: The seat they hold afterwards.
    """

    row: int
    user_name: str
    name: str
    attributes: tuple[str, ...]
    joined: tuple[str, ...]
    left: tuple[str, ...]
    adopted: bool
    tier_before: str | None
    tier: str | None


@dataclass(frozen=True, slots=True)
class ImportEffect:
    """What a file does to everybody it names."""

    added: tuple[AddedPerson, ...] = ()
    changed: tuple[ChangedPerson, ...] = ()
    unchanged: int = 0
    groups_created: tuple[str, ...] = ()

    @property
    def changes_something(self) -> bool:
        """Whether anything becomes other than before."""
        return bool(self.added or self.changed or self.groups_created)


@dataclass(slots=True)
class _Touched:
    """Somebody who is here already, on their way through the import.

    ``asks`` says that a rule looks at something of theirs that became other than before.
    """

    person: PersonRow
    member_id: MemberId
    name: str
    tier_before: str | None
    attributes: tuple[str, ...] = ()
    joined: set[GroupId] = field(default_factory=set)
    left: set[GroupId] = field(default_factory=set)
    adopted: bool = False
    placed: bool = False
    asks: bool = False

    @property
    def is_changed(self) -> bool:
        return bool(self.attributes or self.joined or self.left or self.adopted or self.placed)


class Importer:
    """One way of a file's people through the use cases; what cannot be done is collected in :attr:`problems`.

    Where there are problems the caller takes everything back: what was done for a row before it failed is still there.
    """

    def __init__(
        self,
        unit: Unit,
        file: PeopleFile,
        connection_id: ConnectionId,
        people: Collection[PersonRow],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.unit, self.file, self.people = unit, file, people
        self.connection_id = connection_id
        manual = manual_connection(unit).id
        self.source = Source.MANUAL if connection_id == manual else Source.SCIM
        self.problems: list[RowProblem] = []
        self._progress = progress
        self._done = 0
        self._ladder = ladder_of(read_pools(unit))
        self._keys = [person.user_name_key for person in people]
        self._here = {member.user_name_key: member for member in self._members(Member.connection_id == connection_id)}
        self._elsewhere = self._read_elsewhere() if self.source is Source.MANUAL else {}
        self._unmanaged = self._read_unmanaged(manual) if self.source is Source.SCIM else frozenset()
        self._external_ids = self._read_external_ids()
        self._groups: dict[str, Group] = {}
        self._group_names: dict[GroupId, str] = {}
        self._created: list[str] = []
        self._updates: list[Entry] = []

    def run(self) -> ImportEffect:
        """Do what the rows say: first for who is here, then for who comes new."""
        self._make_groups()
        memberships = self._read_memberships()
        touched: list[_Touched] = []
        newcomers: list[tuple[PersonRow, Newcomer]] = []
        for person in self.people:
            try:
                member = self._here.get(person.user_name_key)
                if member is None and self._is_adopted(person):
                    touched.append(self._adopt(person))
                elif member is None:
                    newcomers.append((person, self._newcomer(person)))
                else:
                    touched.append(self._change(person, member, memberships.get(member.id, {})))
            except BridgeError as refusal:
                self._refuse(person, refusal)
            self._advance()
        if self.problems:
            return ImportEffect()
        self.unit.session.flush()
        record_many(self.unit, self._updates)
        self._regroup(touched)
        self._place_by_hand(touched)
        added = self._take_in(newcomers)
        changed = self._changed(touched)
        return ImportEffect(added, changed, len(touched) - len(changed), tuple(self._created))

    # Reading what is here, once for everybody.

    def _members(self, condition: ColumnElement[bool]) -> Collection[Member]:
        return self.unit.session.scalars(
            select(Member)
            .where(Member.org_id == self.unit.org_id, condition, _among(Member.user_name_key, self._keys))
            .execution_options(populate_existing=True)
        ).all()

    def _read_elsewhere(self) -> dict[str, str]:
        """Return which other directory has these userNames already."""
        rows = self.unit.session.execute(
            select(Member.user_name_key, Connection.name)
            .join(Connection, (Connection.org_id == Member.org_id) & (Connection.id == Member.connection_id))
            .where(
                Member.org_id == self.unit.org_id,
                Member.connection_id != self.connection_id,
                _among(Member.user_name_key, self._keys),
            )
        )
        return {row[0]: row[1] for row in rows}

    def _read_unmanaged(self, manual: ConnectionId) -> frozenset[str]:
        """Return names and addresses of the people whom no directory manages, as a push would find them."""
        rows = self.unit.session.execute(
            select(Member.user_name_key, Member.email_key).where(
                Member.org_id == self.unit.org_id,
                (Member.connection_id == manual)
                | ((Member.connection_id == self.connection_id) & (Member.source == Source.JIT)),
            )
        )
        return frozenset(key for row in rows for key in row if key)

    def _read_external_ids(self) -> dict[str, MemberId]:
        wanted = [person.external_id for person in self.people if person.external_id is not None]
        if not wanted:
            return {}
        rows = self.unit.session.execute(
            select(Member.external_id, Member.id).where(
                Member.org_id == self.unit.org_id,
                Member.connection_id == self.connection_id,
                _among(Member.external_id, wanted),
            )
        )
        return {external_id: member_id for external_id, member_id in rows if external_id is not None}

    def _read_memberships(self) -> dict[MemberId, dict[GroupId, str]]:
        """Return the groups of this directory that people are directly in, with what made each group."""
        ids = [member.id for member in self._here.values()]
        if not ids or not any(person.groups is not None for person in self.people):
            return {}
        found: defaultdict[MemberId, dict[GroupId, str]] = defaultdict(dict)
        rows = self.unit.session.execute(
            select(GroupMember.member_id, Group.id, Group.source, Group.display_name)
            .join(Group, (Group.org_id == GroupMember.org_id) & (Group.id == GroupMember.group_id))
            .where(
                GroupMember.org_id == self.unit.org_id,
                Group.connection_id == self.connection_id,
                GroupMember.member_id == any_(literal(ids, ARRAY(Uuid))),
            )
        )
        for member_id, group_id, source, name in rows:
            found[member_id][group_id] = source
            self._group_names[group_id] = name
        return found

    def _make_groups(self) -> None:
        names = {comparison_key(name): name for person in self.people for name in person.groups or ()}
        if not names:
            return
        present = self.unit.session.scalars(
            select(Group).where(
                Group.org_id == self.unit.org_id,
                Group.connection_id == self.connection_id,
                _among(Group.display_name_key, list(names)),
            )
        )
        self._groups = {group.display_name_key: group for group in present}
        for key, name in sorted(names.items()):
            if key not in self._groups:
                draft = GroupDraft(name)
                self._groups[key] = create_group(self.unit, self.connection_id, draft, source=Source.MANUAL)
                self._created.append(name)
        self._group_names |= {group.id: group.display_name for group in self._groups.values()}

    # One row.

    def _change(self, person: PersonRow, member: Member, memberships: Mapping[GroupId, str]) -> _Touched:
        """Bring somebody who is here in line with a row; their groups follow for all together."""
        if person.active is False and Role(member.role).is_owner:
            raise OwnerProtectedError(member.user_name)
        by_hand, tier = self._tier(person)
        is_kept = keep_member(self.unit, member, reason="import")
        before = member.document
        facts_before = mappable_attributes(before)
        turned = person.active not in {None, member.active}
        draft = PersonDraft(
            user_name=member.user_name,
            external_id=person.external_id or member.external_id,
            # What a directory says of access stays as it said it, also where the brake keeps it from taking effect.
            active=not member.active if turned else member.is_on,
            document=laid_over(person, before),
        )
        self._check(draft, but=member)
        touched = _Touched(person, member.id, member.display_name, member.tier, asks=is_kept)
        if draft.full_document() != before or turned:
            self._write(member, draft, turned=turned)
            touched.attributes = changed_attributes(before, member.document)
            touched.asks = is_kept or asks_for_change(self.unit, facts_before, member)
            touched.name = member.display_name
        if by_hand and not member.active:
            raise InvalidInputError("tier", "is given to somebody who is deactivated")
        touched.placed = by_hand and not (member.pinned and member.tier == tier)
        wanted = self._groups_of(person)
        if wanted is not None:
            touched.joined = set(wanted - memberships.keys())
            touched.left = {
                group_id
                for group_id, source in memberships.items()
                if source == Source.MANUAL and group_id not in wanted
            }
        return touched

    def _write(self, member: Member, draft: PersonDraft, *, turned: bool) -> None:
        """Write a person's attributes; audit and seat follow for all together, unless somebody is turned on or off."""
        if turned or Role(member.role).is_owner:
            update_member(self.unit, member, draft, settle=False, reason="import")
            return
        changed = write_person(self.unit, member, draft)
        self._updates.append(Entry("member.updated", "member", member.id, "import", {"attributes": changed}))

    def _is_adopted(self, person: PersonRow) -> bool:
        keys = {person.user_name_key, comparison_key(person.values.get(Column.EMAIL, ""))}
        return not self._unmanaged.isdisjoint(keys)

    def _adopt(self, person: PersonRow) -> _Touched:
        """Let the directory take over somebody whom none manages, exactly as its push would."""
        by_hand, _ = self._tier(person)
        draft = self._draft(person)
        member = provision_member(self.unit, self.connection_id, draft, Source.SCIM)
        touched = _Touched(person, member.id, member.display_name, member.tier, adopted=True, placed=by_hand)
        touched.joined = set(self._groups_of(person) or ())
        return touched

    def _newcomer(self, person: PersonRow) -> Newcomer:
        other = self._elsewhere.get(person.user_name_key)
        if other is not None:
            raise UniquenessError(
                attribute="userName", value=person.user_name, taken_by=f"somebody whom the directory {other} manages"
            )
        by_hand, tier = self._tier(person)
        draft = self._draft(person)
        if by_hand and not draft.active:
            raise InvalidInputError("tier", "is given to somebody who is deactivated")
        return Newcomer(draft, self._groups_of(person) or frozenset(), by_hand, tier)

    def _draft(self, person: PersonRow) -> PersonDraft:
        active = person.active is not False
        draft = PersonDraft(person.user_name, person.external_id, active, laid_over(person, {}))
        self._check(draft, but=None)
        return draft

    def _check(self, draft: PersonDraft, *, but: Member | None) -> None:
        holder = None if draft.external_id is None else self._external_ids.get(draft.external_id)
        if holder is not None and (but is None or holder != but.id):
            raise UniquenessError(attribute="externalId", value=draft.external_id or "", taken_by=str(holder))
        if but is None or display_name(draft.full_document()) != but.display_name:
            check_display_name(draft)

    def _groups_of(self, person: PersonRow) -> frozenset[GroupId] | None:
        if person.groups is None:
            return None
        return frozenset(self._groups[comparison_key(name)].id for name in person.groups)

    def _tier(self, person: PersonRow) -> tuple[bool, str | None]:
        """Return whether the row places the person by hand, and on which tier."""
        if person.tier is None:
            return False, None
        wanted = comparison_key(person.tier)
        if wanted in {UNASSIGNED, "none"}:
            return True, None
        for tier in self._ladder:
            if wanted in {comparison_key(tier.key), comparison_key(tier.name)}:
                return True, tier.key
        raise InvalidInputError("tier", f"there is no tier {person.tier!r}; there is {', '.join(self._ladder.keys)}")

    # Everybody together.

    def _regroup(self, touched: Collection[_Touched]) -> None:
        joining: defaultdict[GroupId, list[str]] = defaultdict(list)
        leaving: defaultdict[GroupId, list[str]] = defaultdict(list)
        for one in touched:
            for group_id in one.joined:
                joining[group_id].append(str(one.member_id))
            for group_id in one.left:
                leaving[group_id].append(str(one.member_id))
        for group_id in sorted({*joining, *leaving}, key=str):
            group = self.unit.session.get_one(Group, (self.unit.org_id, group_id))
            change_members(self.unit, group, add=joining[group_id], remove=leaving[group_id])
        reevaluate(self.unit, {one.member_id for one in touched if one.asks})

    def _place_by_hand(self, touched: Collection[_Touched]) -> None:
        freed: list[str | None] = []
        for one in touched:
            if not one.placed:
                continue
            _, tier = self._tier(one.person)
            try:
                member = get_member(self.unit, one.member_id)
                freed.append(place_member(self.unit, member, tier, buy_if_needed=False, key=None))
            except NoSeatAvailableError as refusal:
                self._refuse(one.person, refusal)
        promote_waiting(self.unit, freed)

    def _take_in(self, newcomers: Collection[tuple[PersonRow, Newcomer]]) -> tuple[AddedPerson, ...]:
        if self.problems or not newcomers:
            return ()
        rows = [person for person, _ in newcomers]
        given = provision_many(self.unit, self.connection_id, [one for _, one in newcomers], self.source)
        for place in given.without_seat:
            self._refuse(rows[place], NoSeatAvailableError(rows[place].tier or "suitable"))
        added: list[AddedPerson] = []
        for place, (person, newcomer) in enumerate(newcomers):
            seat = given.seats.get(place)
            added.append(
                AddedPerson(
                    row=person.row,
                    user_name=person.user_name,
                    name=display_name(newcomer.draft.full_document()),
                    tier=seat.decision.tier if seat else None,
                    waiting_for=seat.decision.waiting_for if seat else None,
                    reason=str(seat.decision.reason) if seat else None,
                    because=seat.decision.because(self._ladder, seat.rule) if seat else None,
                )
            )
        return tuple(added)

    def _changed(self, touched: Collection[_Touched]) -> tuple[ChangedPerson, ...]:
        changed = [one for one in touched if one.is_changed]
        self.unit.session.flush()
        ids = [one.member_id for one in changed]
        rows = self.unit.session.execute(
            select(Member.id, Member.tier).where(
                Member.org_id == self.unit.org_id, Member.id == any_(literal(ids, ARRAY(Uuid)))
            )
        )
        tiers: dict[MemberId, str | None] = {row[0]: row[1] for row in rows}
        return tuple(
            ChangedPerson(
                row=one.person.row,
                user_name=one.person.user_name,
                name=one.name,
                attributes=one.attributes,
                joined=tuple(sorted(self._group_names[group_id] for group_id in one.joined)),
                left=tuple(sorted(self._group_names[group_id] for group_id in one.left)),
                adopted=one.adopted,
                tier_before=one.tier_before,
                tier=tiers.get(one.member_id),
            )
            for one in changed
        )

    def _advance(self) -> None:
        self._done += 1
        if self._progress is not None and (self._done % _PROGRESS_EVERY == 0 or self._done == len(self.people)):
            self._progress(self._done)

    def _refuse(self, person: PersonRow, refusal: BridgeError) -> None:
        column, message = _explained(refusal)
        name = None if column is None else self.file.name_of(column)
        self.problems.append(RowProblem(person.row, name, message))


def _explained(refusal: BridgeError) -> tuple[Column | None, str]:
    """Return which column a refusal is about, and its sentence."""
    if isinstance(refusal, AdoptionRefusedError):
        told = f"{refusal.value!r} is here already, and nothing proves that it is the same person: verify the domain"
        return Column.USER_NAME, f"{told} (taken by {refusal.taken_by})"
    if isinstance(refusal, UniquenessError):
        column = Column.EXTERNAL_ID if refusal.attribute == "externalId" else Column.USER_NAME
        return column, f"{refusal.value!r} is already taken by {refusal.taken_by}"
    if isinstance(refusal, InvalidInputError):
        return next((column for column in Column if column == refusal.field), None), refusal.problem
    if isinstance(refusal, OwnerProtectedError):
        return Column.ACTIVE, str(refusal)
    if isinstance(refusal, NoSeatAvailableError):
        return Column.TIER, f"{refusal} ({refusal.code})"
    return None, str(refusal)


def _among(column: InstrumentedAttribute[Any], values: Collection[str]) -> ColumnElement[bool]:
    """Compare with an array in one parameter: a list of parameters has an end."""
    return column == any_(literal(list(values), ARRAY(Text)))
