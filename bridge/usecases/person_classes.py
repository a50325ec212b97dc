"""People as the mapping preview takes them in: grouped by the database into classes the rules cannot tell apart."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, null, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID, aggregate_order_by

from bridge.domain.documents import MAPPABLE_ATTRIBUTES
from bridge.domain.identifiers import GroupId
from bridge.store.models import Group, GroupMember, Member
from bridge.store.unit import Unit
from mappings.allocation import Grant, Holding
from mappings.people import PersonClass
from mappings.rules import MappingSet, PersonFacts, comparison_key


@dataclass(frozen=True, slots=True)
class _Relevant:
    """What some rule looks at: groups by id, and attributes by name."""

    groups: dict[GroupId, str]
    attributes: tuple[str, ...]


def person_classes(unit: Unit, sets: Collection[MappingSet]) -> list[PersonClass]:
    """Group every active member by what the rules of these sets look at, and by what the member holds.

    The database does the grouping, so that the cost grows with the people but the work of the rules only with the
    number of different people.
    """
    relevant = _relevant(unit, sets)
    classes: list[PersonClass] = []
    for row in unit.session.execute(_statement(unit, relevant)):
        group_ids, attributes = row.groups or (), row[7:]
        facts = PersonFacts(
            groups=frozenset(relevant.groups[group_id] for group_id in group_ids),
            attributes={
                name: value
                for name, value in zip(relevant.attributes, attributes, strict=True)
                if value is not None and value.strip()
            },
        )
        holding = Holding(row.tier, Grant(row.granted_by) if row.granted_by else None, row.pinned, row.waiting_for)
        classes.append(
            PersonClass(
                facts=facts,
                holding=holding,
                count=len(row.ids),
                member_ids=row.ids,
                waiting_since=row.since if row.waiting_for is not None else (),
            )
        )
    return classes


def _relevant(unit: Unit, sets: Collection[MappingSet]) -> _Relevant:
    keys = frozenset().union(*(mapping_set.groups for mapping_set in sets))
    attribute_keys = frozenset().union(*(mapping_set.attributes for mapping_set in sets))
    rows = unit.session.execute(select(Group.id, Group.display_name).where(Group.org_id == unit.org_id)) if keys else ()
    return _Relevant(
        groups={row.id: row.display_name for row in rows if comparison_key(row.display_name) in keys},
        attributes=tuple(name for name in MAPPABLE_ATTRIBUTES if comparison_key(name) in attribute_keys),
    )


def _statement(unit: Unit, relevant: _Relevant) -> Select[Any]:
    in_groups = (
        select(
            GroupMember.member_id,
            func.array_agg(aggregate_order_by(GroupMember.group_id, GroupMember.group_id)).label("groups"),
        )
        .where(GroupMember.org_id == unit.org_id, GroupMember.group_id.in_(relevant.groups))
        .group_by(GroupMember.member_id)
        .subquery()
    )
    groups: ColumnElement[Any] = in_groups.c.groups if relevant.groups else null().cast(ARRAY(UUID()))
    attributes = [Member.document[MAPPABLE_ATTRIBUTES[name]].astext.label(name) for name in relevant.attributes]
    kinds = (groups.label("groups"), Member.tier, Member.granted_by, Member.pinned, Member.waiting_for)
    statement = select(
        func.array_agg(aggregate_order_by(Member.id, Member.id)).label("ids"),
        func.array_agg(aggregate_order_by(Member.waiting_since, Member.id)).label("since"),
        *kinds,
        *attributes,
    ).where(Member.org_id == unit.org_id, Member.active)
    if relevant.groups:
        statement = statement.outerjoin(in_groups, and_(literal(value=True), in_groups.c.member_id == Member.id))
    by = [*([in_groups.c.groups] if relevant.groups else []), *kinds[1:], *attributes]
    return statement.group_by(*by)
