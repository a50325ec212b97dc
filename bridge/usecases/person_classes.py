"""People as the rules take them in, many at once: by classes that the rules cannot tell apart, or one by one."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Text,
    Uuid,
    and_,
    any_,
    collate,
    distinct,
    func,
    literal,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID, aggregate_order_by

from bridge.domain.documents import MAPPABLE, MAPPABLE_LISTS, mappable_value
from bridge.domain.identifiers import GroupId, MemberId
from bridge.store.models import Member, effective_membership
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import Access
from mappings.allocation import Grant, Holding
from mappings.conditions import AttributeCondition, Condition, GroupCondition, leaves
from mappings.people import Person, PersonClass
from mappings.rules import MappingSet, PersonFacts, comparison_key

#: What the database may take to sort everybody in memory: some 100 bytes for each of 500,000 people.
_SORTING_MEGABYTES = 64


@dataclass(frozen=True, slots=True)
class _Relevant:
    """What some rule looks at: groups by id, attributes by name, and the connection if one asks for it."""

    groups: frozenset[GroupId]
    attributes: tuple[str, ...]
    connection: bool

    def facts(self, group_ids: Collection[uuid.UUID | str], values: Sequence[str | None]) -> PersonFacts:
        """Return what the rules see of somebody in these groups, with these values of :attr:`columns`."""
        *said, connection = values if self.connection else (*values, "")
        attributes: dict[str, str | tuple[str, ...]] = {}
        for name, value in zip(self.attributes, said, strict=True):
            read = orjson.loads(value) if value is not None and name in MAPPABLE_LISTS else value
            known = None if read is None else mappable_value(name, read)
            if known is not None:
                attributes[name] = known
        return PersonFacts(frozenset(map(str, group_ids)), attributes, connection or "")

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """What is read of each person: the attributes as texts, then the connection."""
        texts: list[ColumnElement[Any]] = [Member.document[MAPPABLE[name]].astext for name in self.attributes]
        return [*texts, Member.connection_id.cast(Text)] if self.connection else texts

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return (*self.attributes, "connection") if self.connection else self.attributes


@dataclass(frozen=True, slots=True)
class TouchedPerson:
    """An active member whose seat, role and teams are looked at again; ``is_held`` says that they are under a hold."""

    member_id: MemberId
    person: Person
    access: Access
    is_held: bool = False


def person_classes(unit: Unit, sets: Collection[MappingSet], asked: Iterable[Condition] = ()) -> list[PersonClass]:
    """Group every active member by what the rules of these sets look at, and by what the member holds.

    Who is under a hold of the brake stays as they are until an owner decides, and is not among them.

    The database does the grouping, so that the cost grows with the people but the work of the rules only with the
    number of different people.

    Args:
        unit: The unit.
        sets: The rules.
        asked: Conditions that are asked about people besides.
    """
    relevant = _relevant(sets, asked)
    unit.session.execute(text(f"SET LOCAL work_mem = '{_SORTING_MEGABYTES}MB'"))
    return [
        PersonClass(
            facts=relevant.facts((row.groups or "").split(), row[7:]),
            holding=_holding(row.tier, row.granted_by, row.pinned, row.waiting_for),
            count=len(row.ids),
            member_ids=row.ids,
            waiting_since=row.since if row.waiting_for is not None else (),
        )
        for row in unit.session.execute(_classes(unit, relevant))
    ]


def touched_people(unit: Unit, member_ids: Collection[MemberId], mapping_set: MappingSet) -> list[TouchedPerson]:
    """Read the active of these people, in order of their ids, by one statement.

    People of whom the rules see the same share one object of facts, so that who works through them works once.
    """
    relevant = _relevant((mapping_set,))
    facts: dict[tuple[Any, ...], PersonFacts] = {}
    holdings: dict[tuple[Any, ...], Holding] = {}
    people: list[TouchedPerson] = []
    for row in unit.session.execute(_touched(unit, relevant, member_ids)):
        member_id, since, role, role_from_mapping, teams, until, groups, hold_id, *rest = row
        seen = (tuple(groups or ()), *rest[4:])
        if seen not in facts:
            facts[seen] = relevant.facts(groups or (), rest[4:])
        held = tuple(rest[:4])
        if held not in holdings:
            holdings[held] = _holding(*held)
        person = Person(member_id, facts[seen], holdings[held], since)
        access = Access(role, role_from_mapping, teams, until is not None)
        people.append(TouchedPerson(member_id, person, access, is_held=hold_id is not None))
    return people


def _holding(tier: str | None, granted_by: str | None, pinned: bool, waiting_for: str | None) -> Holding:  # noqa: FBT001 (a row's columns)
    return Holding(tier, Grant(granted_by) if granted_by else None, pinned, waiting_for)


def _relevant(sets: Collection[MappingSet], asked: Iterable[Condition] = ()) -> _Relevant:
    inside = [leaf for condition in asked for leaf in leaves(condition)]
    groups = {leaf.group for leaf in inside if isinstance(leaf, GroupCondition)}
    attributes = {leaf.attribute_key for leaf in inside if isinstance(leaf, AttributeCondition)}
    groups.update(*(mapping_set.groups for mapping_set in sets))
    attributes.update(*(mapping_set.attributes for mapping_set in sets))
    return _Relevant(
        groups=frozenset(GroupId(uuid.UUID(group)) for group in groups),
        attributes=tuple(name for name in MAPPABLE if comparison_key(name) in attributes),
        connection=any(mapping_set.asks_connection for mapping_set in sets),
    )


def _in_groups(unit: Unit, relevant: _Relevant, member_ids: Collection[MemberId] | None = None) -> Subquery:
    """Select the relevant groups of everybody, or of these people, in order of the groups' ids."""
    membership = effective_membership.c
    statement = select(
        membership.member_id,
        func.array_agg(aggregate_order_by(distinct(membership.group_id), membership.group_id)).label("groups"),
    ).where(membership.org_id == unit.org_id, membership.group_id.in_(relevant.groups))
    if member_ids is not None:
        statement = statement.where(membership.member_id == any_(literal(list(member_ids), ARRAY(Uuid))))
    return statement.group_by(membership.member_id).subquery()


def _classes(unit: Unit, relevant: _Relevant) -> Select[Any]:
    in_groups = _in_groups(unit, relevant)
    # The groups stand as one text: sorting arrays takes ten times as long.
    groups = func.array_to_string(in_groups.c.groups, " ") if relevant.groups else null().cast(Text)
    held: tuple[Any, ...] = (groups, Member.tier, Member.granted_by, Member.waiting_for)
    # People are only told apart here, by code points: comparing by the rules of a language takes longer than all else.
    apart: list[ColumnElement[Any]] = [collate(each, "C") for each in (*held, *relevant.columns)]
    names = ("groups", "tier", "granted_by", "waiting_for", *relevant.names)
    statement: Select[Any] = select(
        func.array_agg(aggregate_order_by(Member.id, Member.id)).label("ids"),
        func.array_agg(aggregate_order_by(Member.waiting_since, Member.id)).label("since"),
        Member.pinned,
        *(each.label(name) for each, name in zip(apart, names, strict=True)),
    ).where(Member.org_id == unit.org_id, Member.active, Member.hold_id.is_(None))
    if relevant.groups:
        statement = statement.outerjoin(in_groups, and_(literal(value=True), in_groups.c.member_id == Member.id))
    return statement.group_by(*apart, Member.pinned)


def _touched(unit: Unit, relevant: _Relevant, member_ids: Collection[MemberId]) -> Select[Any]:
    in_groups = _in_groups(unit, relevant, member_ids)
    groups: ColumnElement[Any] = in_groups.c.groups if relevant.groups else null().cast(ARRAY(UUID()))
    statement = select(
        Member.id,
        Member.waiting_since,
        Member.role,
        Member.role_from_mapping,
        Member.teams,
        Member.provisional_until,
        groups.label("groups"),
        Member.hold_id,
        Member.tier,
        Member.granted_by,
        Member.pinned,
        Member.waiting_for,
        *relevant.columns,
    ).where(Member.org_id == unit.org_id, Member.active, Member.id == any_(literal(list(member_ids), ARRAY(Uuid))))
    if relevant.groups:
        statement = statement.outerjoin(in_groups, and_(literal(value=True), in_groups.c.member_id == Member.id))
    return statement.order_by(Member.id)
