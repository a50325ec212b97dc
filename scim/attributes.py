"""Where the attributes of people and groups are in the database: columns, documents, rows beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from scim2_models import InvalidFilterException
from sqlalchemy import (
    ColumnElement,
    Integer,
    Numeric,
    SQLColumnExpression,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import aliased

from bridge.domain.documents import ENTERPRISE, comparison_key
from bridge.store.base import Instant
from bridge.store.models import Decision, Group, GroupMember, GroupNesting, Member, effective_membership
from scim.resources import SEAT

Condition = ColumnElement[bool]
Part = Callable[[str], "Scalar"]

#: How an instant in a document begins: what else there may be is no instant, and is not compared.
_INSTANT = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}"
#: The name of an entry itself, where entries are no objects.
ITSELF = ""


@dataclass(frozen=True, slots=True)
class Trait:
    """How the part of an entry compares: with its case or without, and as what (str, bool, datetime, Decimal)."""

    exact: bool
    kind: type


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value in SQL: its expression, and how it compares.

    ``identifier`` marks a column of our ids: it equals the one written form of an id, by its index. ``kind`` is str,
    bool, datetime or Decimal. ``native`` is a truth that is a column; in documents it is the text ``true`` or
    ``false``.
    """

    expression: SQLColumnExpression[Any]
    identifier: bool = False
    kind: type = str
    native: bool = False

    @property
    def text(self) -> SQLColumnExpression[Any]:
        """The value as text, compared by code points."""
        return cast(self.expression, Text) if self.identifier else self.expression


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a multi-valued attribute: ``any`` asks whether one of them satisfies a condition."""

    any: Callable[[Callable[[Part], Condition]], Condition]


class Attributes:
    """Where the attributes of people, or of groups, are in the database.

    Args:
        entity: Member or Group.
        nested: Whether people may be in groups through groups inside them. Where no group is inside another, asking for
            the direct ones finds the same, sooner.
    """

    def __init__(self, entity: type[Member] | type[Group], *, nested: bool = False) -> None:
        self.entity, self.nested = entity, nested
        self.scalars: Mapping[str, Scalar] = _of_people() if entity is Member else _of_groups()

    def scalar(self, steps: tuple[str, ...], *, exact: bool, kind: type) -> Scalar:
        """Return a single value by its names, as ``(urn, "manager", "value")``."""
        known = self.scalars.get(".".join(steps))
        if known is not None:
            return known
        if steps[0] == "meta":
            raise InvalidFilterException(detail=f"{'.'.join(steps)} cannot be filtered")
        source = self.entity.comparison if kind is str and not exact else self.entity.document
        return Scalar(value_of(source[steps], kind), kind=kind)

    def entries(self, steps: tuple[str, ...], traits: Mapping[str, Trait]) -> Entries:
        """Return the entries of a multi-valued attribute, of whose parts ``traits`` says how they compare."""
        if self.entity is Member and steps == ("groups",):
            return Entries(_any_group if self.nested else _any_direct_group)
        if self.entity is Group and steps == ("members",):
            return Entries(_any_member)
        return Entries(lambda condition: _any_entry(self.entity, steps, traits, condition))

    def schemas(self, everybody: Sequence[str], *, exact: bool) -> Entries:
        """Return the schemas of a resource: those that all of a kind have, and the extensions it has values of."""
        return Entries(lambda condition: _any_schema(self.entity, everybody, condition, exact=exact))


def value_of(node: ColumnElement[Any], kind: type) -> SQLColumnExpression[Any]:
    """Return a node of a document as a value that compares: an instant in any zone, a number however it is written.

    What is of another type than its attribute is no value.
    """
    # The text of the node itself: an operator of its own, for a path of names has none to a bare entry.
    text: SQLColumnExpression[Any] = node.op("#>>", return_type=Text())(cast([], ARRAY(Text)))
    if kind is datetime:
        return case((text.regexp_match(_INSTANT), cast(text, Instant)))
    if kind is Decimal:
        return case((func.jsonb_typeof(node) == "number", cast(text, Numeric)))
    return text


def _any_entry(
    entity: type[Member] | type[Group],
    steps: tuple[str, ...],
    traits: Mapping[str, Trait],
    condition: Callable[[Part], Condition],
) -> Condition:
    """Ask the entries of a list in the document, each beside its folded twin."""
    entry = (
        func.jsonb_array_elements(entity.comparison[steps])
        .table_valued("value", with_ordinality="number", name="entry")
        .render_derived()
    )
    folded = cast(entry.c.value, JSONB)
    exact = cast(entity.document[steps].op("->")(cast(entry.c.number - 1, Integer)), JSONB)

    def part(name: str) -> Scalar:
        trait = traits[name]
        source = folded if trait.kind is str and not trait.exact else exact
        return Scalar(value_of(source if name == ITSELF else source[name], trait.kind), kind=trait.kind)

    return exists(select(1).select_from(entry).where(condition(part)))


def _any_schema(
    entity: type[Member] | type[Group],
    everybody: Sequence[str],
    condition: Callable[[Part], Condition],
    *,
    exact: bool,
) -> Condition:
    """Ask the schemas of a resource: the names of extensions in the document are the ones with a colon."""
    names = func.jsonb_object_keys(entity.document).table_valued("value", name="schema").render_derived()
    name = cast(names.c.value, Text)
    written = name if exact else func.lower(name)
    extensions = exists(
        select(1).select_from(names).where(func.strpos(name, ":") > 0, condition(_always(Scalar(written))))
    )
    known = (Scalar(literal(urn if exact else comparison_key(urn))) for urn in everybody)
    return or_(*(condition(_always(each)) for each in known), extensions)


def _always(scalar: Scalar) -> Part:
    return lambda _: scalar


def _any_direct_group(condition: Callable[[Part], Condition]) -> Condition:
    """Ask the groups of a person, which are rows."""
    parts = {
        "value": Scalar(GroupMember.group_id, identifier=True),
        "display": Scalar(Group.display_name_key),
        "type": Scalar(literal("direct")),
        "$ref": Scalar(func.concat("Groups/", cast(GroupMember.group_id, Text))),
    }
    joined = (
        select(1)
        .select_from(GroupMember)
        .join(Group, and_(Group.org_id == GroupMember.org_id, Group.id == GroupMember.group_id))
    )
    mine = and_(GroupMember.org_id == Member.org_id, GroupMember.member_id == Member.id)
    return exists(joined.where(mine, condition(parts.__getitem__)).correlate(Member))


def _any_group(condition: Callable[[Part], Condition]) -> Condition:
    """Ask the groups of a person, which are rows: direct ones, and those around them."""
    ways = effective_membership.c
    parts = {
        "value": Scalar(ways.group_id, identifier=True),
        "display": Scalar(Group.display_name_key),
        "type": Scalar(case((ways.through_id.is_(None), "direct"), else_="indirect")),
        "$ref": Scalar(func.concat("Groups/", cast(ways.group_id, Text))),
    }
    joined = (
        select(1)
        .select_from(effective_membership)
        .join(Group, and_(Group.org_id == ways.org_id, Group.id == ways.group_id))
    )
    mine = and_(ways.org_id == Member.org_id, ways.member_id == Member.id)
    directly = exists(
        select(1).where(
            GroupMember.org_id == ways.org_id,
            GroupMember.group_id == ways.group_id,
            GroupMember.member_id == ways.member_id,
        )
    ).correlate(effective_membership)
    once = or_(ways.through_id.is_(None), not_(directly))
    return exists(joined.where(mine, once, condition(parts.__getitem__)).correlate(Member))


def member_parts(identifier: Any = GroupMember.member_id) -> dict[str, Scalar]:
    """Return the parts of a member, on ``member`` and whatever has its ``identifier``."""
    return {
        "value": Scalar(identifier, identifier=True),
        "display": Scalar(func.lower(Member.display_name)),
        "type": Scalar(literal("user")),
        "$ref": Scalar(func.concat("Users/", cast(identifier, Text))),
    }


def nested_parts(inner: Any, identifier: Any = GroupNesting.child_id) -> dict[str, Scalar]:
    """Return the parts of a member that is a group, on ``inner`` and whatever has its ``identifier``."""
    return {
        "value": Scalar(identifier, identifier=True),
        "display": Scalar(func.lower(inner.display_name)),
        "type": Scalar(literal("group")),
        "$ref": Scalar(func.concat("Groups/", cast(identifier, Text))),
    }


def _any_member(condition: Callable[[Part], Condition]) -> Condition:
    """Ask the members of a group, which are rows: people, and the groups inside it."""
    people = (
        select(GroupMember.org_id, GroupMember.group_id)
        .join(Member, and_(Member.org_id == GroupMember.org_id, Member.id == GroupMember.member_id))
        .where(condition(member_parts().__getitem__))
    )
    inner = aliased(Group)
    groups = (
        select(GroupNesting.org_id, GroupNesting.parent_id)
        .join(inner, and_(inner.org_id == GroupNesting.org_id, inner.id == GroupNesting.child_id))
        .where(condition(nested_parts(inner).__getitem__))
    )
    return tuple_(Group.org_id, Group.id).in_(union_all(people, groups))


def _of_people() -> Mapping[str, Scalar]:
    reason = (
        select(Decision.reason)
        .where(Decision.org_id == Member.org_id, Decision.id == Member.decision_id)
        .correlate(Member)
        .scalar_subquery()
    )
    state = case(
        (Member.tier.is_not(None), "assigned"), (Member.waiting_for.is_not(None), "waiting"), else_="unassigned"
    )
    return {
        "id": Scalar(Member.id, identifier=True),
        "userName": Scalar(Member.user_name_key),
        "externalId": Scalar(Member.external_id),
        "active": Scalar(and_(Member.active, ~Member.said_off), kind=bool, native=True),
        "meta.resourceType": Scalar(literal("User")),
        "meta.created": Scalar(Member.created_at, kind=datetime),
        "meta.lastModified": Scalar(Member.modified_at, kind=datetime),
        f"{SEAT}.tier": Scalar(Member.tier),
        f"{SEAT}.state": Scalar(state),
        f"{SEAT}.reason": Scalar(reason),
        f"{ENTERPRISE}.manager.value": Scalar(Member.document[(ENTERPRISE, "manager", "value")].astext),
    }


def _of_groups() -> Mapping[str, Scalar]:
    return {
        "id": Scalar(Group.id, identifier=True),
        "displayName": Scalar(Group.display_name_key),
        "externalId": Scalar(Group.external_id),
        "meta.resourceType": Scalar(literal("Group")),
        "meta.created": Scalar(Group.created_at, kind=datetime),
        "meta.lastModified": Scalar(Group.modified_at, kind=datetime),
    }


PEOPLE = Attributes(Member)
PEOPLE_IN_NESTED_GROUPS = Attributes(Member, nested=True)
GROUPS = Attributes(Group)
