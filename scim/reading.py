"""People and groups as plain rows with all that an answer shows of them: no entities, no statement for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import orjson
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Dialect,
    Row,
    SQLColumnExpression,
    Subquery,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    null,
    select,
    type_coerce,
)
from sqlalchemy import cast as cast_as
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlalchemy.types import TypeDecorator

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId, GroupId
from bridge.store.models import Decision, Group, GroupMember, GroupNesting, Member, effective_membership
from bridge.store.unit import Unit
from scim.members import MemberIds, Members
from scim.translate import Stored, StoredGroup, StoredPerson, digest_of_groups

#: The organization, in statements that are made once: a value for each run.
ORG_ID: BindParameter[Any] = bindparam("the_org_id", type_=Uuid())


class JsonText(TypeDecorator[Any]):
    """JSON that travels as text and is read by the quicker library."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read the text; none is None."""
        del dialect
        return None if value is None else orjson.loads(value)


def _read_quickly(expression: SQLColumnExpression[Any]) -> ColumnElement[Any]:
    return type_coerce(cast_as(expression, Text), JsonText())


@dataclass(frozen=True)
class PersonReader:
    """Reads people: what their answers need and nothing else.

    Groups are read even when they do not show: the version is the same whatever part of a person is asked for.

    Args:
        shows_seat: Whether answers show the seat.
        related: Whether answers show the groups.
    """

    shows_seat: bool
    related: bool
    entity: ClassVar[type[Member]] = Member
    #: What a statement reads of each person, named as :class:`Member` names it.
    columns: ClassVar[Sequence[Any]] = (
        Member.connection_id,
        Member.user_name,
        Member.external_id,
        and_(Member.active, ~Member.said_off).label("is_on"),
        _read_quickly(Member.document).label("document"),
        Member.version,
        Member.created_at,
        Member.modified_at,
        Member.tier,
        Member.waiting_for,
        Member.decision_id,
    )

    def beside(self, page: Subquery) -> Sequence[ColumnElement[Any]]:
        """Return what is read beside the rows of a page: looked up for each, so that no plan reads all there are."""
        ways = effective_membership.c
        groups = (
            select(cast_as(func.json_agg(func.json_build_array(Group.id, Group.display_name, ways.through_id)), Text))
            .join_from(effective_membership, Group, and_(Group.org_id == ways.org_id, Group.id == ways.group_id))
            .where(ways.org_id == ORG_ID, ways.member_id == page.c.id)
            .correlate(page)
            .scalar_subquery()
        )
        reason = (
            select(Decision.reason)
            .where(Decision.org_id == ORG_ID, Decision.id == page.c.decision_id)
            .correlate(page)
            .scalar_subquery()
        )
        return (
            type_coerce(groups, JsonText()).label("groups"),
            (reason if self.shows_seat else cast_as(null(), Text)).label("reason"),
        )

    def stored(self, row: Row[Any]) -> StoredPerson:
        """Return a person from a row of a page and what is beside it."""
        direct, inherited = _groups(row.groups or ())
        digest = digest_of_groups(direct, inherited)
        member = cast("Member", row)  # it has every name that an answer reads
        if not self.related:
            return StoredPerson(member, (), row.reason, self.shows_seat, digest)
        return StoredPerson(member, direct, row.reason, self.shows_seat, digest, inherited)


@dataclass(frozen=True)
class GroupReader:
    """Reads groups: what their answers need and nothing else.

    Args:
        related: Whether answers show the members.
        named: Whether they show the members' names, for which every one of them is looked up.
    """

    related: bool
    named: bool = True
    entity: ClassVar[type[Group]] = Group
    #: What a statement reads of each group, named as :class:`Group` names it.
    columns: ClassVar[Sequence[Any]] = (
        Group.connection_id,
        Group.display_name,
        Group.external_id,
        _read_quickly(Group.document).label("document"),
        Group.version,
        Group.created_at,
        Group.modified_at,
    )

    def beside(self, page: Subquery) -> Sequence[ColumnElement[Any]]:
        """Return what is read beside the rows of a page: the members as one text for each group."""
        if not self.related:
            return ()
        inside = aliased(Group)
        inner = func.json_build_array(inside.id, inside.display_name)
        nested = (
            select(cast_as(func.json_agg(aggregate_order_by(inner, inside.position)), Text))
            .join_from(
                GroupNesting, inside, and_(inside.org_id == GroupNesting.org_id, inside.id == GroupNesting.child_id)
            )
            .where(GroupNesting.org_id == ORG_ID, GroupNesting.parent_id == page.c.id)
            .correlate(page)
            .scalar_subquery()
        )
        people = select(
            cast_as(func.json_agg(func.json_build_array(Member.id, Member.display_name)), Text)
            if self.named
            else func.string_agg(cast_as(GroupMember.member_id, Text), "")
        ).select_from(GroupMember)
        if self.named:
            people = people.join(Member, and_(Member.org_id == GroupMember.org_id, Member.id == GroupMember.member_id))
        members = (
            people.where(GroupMember.org_id == ORG_ID, GroupMember.group_id == page.c.id)
            .correlate(page)
            .scalar_subquery()
        )
        return members.label("members"), type_coerce(nested, JsonText()).label("nested")

    def stored(self, row: Row[Any]) -> StoredGroup:
        """Return a group from a row of a page and what is beside it."""
        group = cast("Group", row)  # it has every name that an answer reads
        if not self.related:
            return StoredGroup(group, None)
        members: Members = [] if self.named else MemberIds("")
        if row.members is not None:
            members = orjson.loads(row.members) if self.named else MemberIds(row.members)
        return StoredGroup(group, members, row.nested or ())


Reader = PersonReader | GroupReader


def read_by_id(unit: Unit, reader: Reader, connection_ids: Sequence[ConnectionId], ids: Sequence[Any]) -> list[Stored]:
    """Return people or groups of some directories by their ids, in any order."""
    entity = reader.entity
    page = (
        select(entity.id, *reader.columns)
        .where(entity.org_id == ORG_ID, entity.connection_id.in_(connection_ids), entity.id.in_(ids))
        .subquery("page")
    )
    rows = unit.session.execute(select(page, *reader.beside(page)), {ORG_ID.key: unit.org_id})
    return [reader.stored(row) for row in rows]


def _groups(
    found: Sequence[tuple[str, str, str | None]],
) -> tuple[list[tuple[GroupId, str]], list[tuple[GroupId, str]]]:
    """Sort somebody's groups into direct and inherited ones, each once and by name."""
    if not found:
        return [], []
    names = {identifier: name for identifier, name, _ in found}
    direct = {identifier for identifier, _, through in found if through is None}
    ordered = sorted(names.items(), key=lambda group: comparison_key(group[1])) if len(names) > 1 else names.items()
    # Ids stay as they are written: an answer writes them, nothing else is done with them.
    mine = [cast("tuple[GroupId, str]", group) for group in ordered if group[0] in direct]
    around = [cast("tuple[GroupId, str]", group) for group in ordered if group[0] not in direct]
    return mine, around
