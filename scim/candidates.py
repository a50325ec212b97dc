"""Whom a filter can be about at all, by an index: the filter itself then decides about those few.

Under row-level security the planner enters an index only by comparisons that cannot leak what they see, so a condition
on a document never finds anybody by itself. What identity providers ask for by value has a column or a row of its own.
"""

from typing import Any

from scim2_models import ScimFilter
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator, ValuePath
from sqlalchemy import CompoundSelect, Select, select, union_all

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import OrgId, parse_id
from bridge.store.models import Group, GroupMember, GroupNesting, Member, MemberEmail, effective_membership
from scim.attributes import Condition
from scim.filters import selects_one
from scim.resources import GROUP, USER

Candidates = list[Select[Any]]


def narrowed_by(
    scim_filter: ScimFilter[Any] | None, entity: type[Member] | type[Group], org_id: OrgId
) -> tuple[Condition, ...]:
    """Return the conditions that let an index find whom a filter is about; none where no index can.

    Every resource that the filter selects satisfies them.
    """
    if scim_filter is None or selects_one(scim_filter.ast, of_people=entity is Member):
        return ()
    found = _candidates(scim_filter.ast, entity, org_id)
    if not found:
        return ()
    chosen: Select[Any] | CompoundSelect[Any] = union_all(*found) if len(found) > 1 else found[0]
    return (entity.id.in_(chosen),)


def _candidates(node: FilterNode, entity: type[Member] | type[Group], org_id: OrgId) -> Candidates | None:
    """Return look-ups that together find everybody a term can select; None when only a look at everybody does."""
    if isinstance(node, LogicalExpr):
        each = [_candidates(term, entity, org_id) for term in node.terms]
        if node.op == LogicalOperator.and_:
            return next((found for found in each if found is not None), None)
        if any(found is None for found in each):
            return None
        return [lookup for found in each for lookup in found or ()]
    if isinstance(node, ValuePath):
        value = _value_between_brackets(node.val_filter)
        return None if value is None else _by_value(f"{node.attr_path}.value", value, entity, org_id)
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return None
    return _by_value(str(node.attr_path), node.value, entity, org_id)


def _value_between_brackets(node: FilterNode) -> str | None:
    """Return the ``value`` that every entry chosen by a filter between brackets has."""
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        return next((value for value in map(_value_between_brackets, node.terms) if value is not None), None)
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return None
    return node.value if str(node.attr_path).casefold() == "value" else None


def _by_value(path: str, value: str, entity: type[Member] | type[Group], org_id: OrgId) -> Candidates | None:
    folded = path.casefold()
    for schema in (USER, GROUP):
        folded = folded.removeprefix(f"{schema.casefold()}:")
    return _of_people(folded, value, org_id) if entity is Member else _of_groups(folded, value, org_id)


def _of_people(path: str, value: str, org_id: OrgId) -> Candidates | None:
    mine = select(Member.id).where(Member.org_id == org_id)
    key = comparison_key(value)
    match path:
        case "username":
            return [mine.where(Member.user_name_key == key)]
        case "externalid":
            return [mine.where(Member.external_id == value)]
        case "id":
            return [mine.where(Member.id == parse_id(value))]
        case "emails.value":
            further = select(MemberEmail.member_id).where(MemberEmail.org_id == org_id, MemberEmail.value_key == key)
            return [mine.where(Member.email_key == key), further]
        case "groups.value":
            ways = effective_membership.c
            return [select(ways.member_id).where(ways.org_id == org_id, ways.group_id == parse_id(value))]
    return None


def _of_groups(path: str, value: str, org_id: OrgId) -> Candidates | None:
    mine = select(Group.id).where(Group.org_id == org_id)
    match path:
        case "displayname":
            return [mine.where(Group.display_name_key == comparison_key(value))]
        case "externalid":
            return [mine.where(Group.external_id == value)]
        case "id":
            return [mine.where(Group.id == parse_id(value))]
        case "members.value":
            inside = parse_id(value)
            return [
                select(GroupMember.group_id).where(GroupMember.org_id == org_id, GroupMember.member_id == inside),
                select(GroupNesting.parent_id).where(GroupNesting.org_id == org_id, GroupNesting.child_id == inside),
            ]
    return None
