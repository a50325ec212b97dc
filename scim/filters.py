"""SCIM filters and sort orders as SQL over the columns and documents of people and groups (RFC 7644 §3.4.2).

A filter means exactly what ``ScimFilter.match`` means. SQL's third truth value never shows: unknown counts as false in
AND, OR and WHERE, and negation asks ``NOT coalesce(.., false)``. Texts are compared in the form that was computed in
Python when they were stored (``comparison``); nothing is a pattern, so nothing needs escaping.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from scim2_models import CaseExact, InvalidFilterException, InvalidPathException, Resource, ScimFilter, SearchRequest
from scim2_models.path import (
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
    coerce_value,
)
from scim2_server.utils import parametrize
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Numeric,
    SQLColumnExpression,
    and_,
    cast,
    collate,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import parse_id
from bridge.store.base import Instant
from bridge.store.models import Group, Member
from scim.attributes import (
    ITSELF,
    Attributes,
    Condition,
    Entries,
    Part,
    Scalar,
    Trait,
    member_parts,
    nested_parts,
    value_of,
)
from scim.limits import check_filter_value
from scim.resources import GROUP, POLICY, SEAT, USER

#: Sort types beside text.
_SORTED: Mapping[type, Any] = {bool: Boolean, datetime: Instant, Decimal: Numeric}


class Translator(FilterVisitor[Condition]):
    """Walks a filter that is bound to one model and returns its condition."""

    def __init__(self, scim_filter: ScimFilter[Any], attributes: Attributes) -> None:
        self.filter, self.attributes = scim_filter, attributes

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        """Join the terms."""
        join = and_ if node.op == LogicalOperator.and_ else or_
        return join(*(self.visit(term) for term in node.terms))

    def visit_not(self, node: Not) -> Condition:
        """Negate what is true; what is unknown is not true."""
        return not_(func.coalesce(self.visit(node.expr), false()))

    def visit_comparison(self, node: Comparison) -> Condition:
        """Compare an attribute; of several entries one must satisfy it, for ``ne`` all."""
        binding = self.filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:
            return false()
        value = _operand(binding, node)
        steps = steps_of(binding)
        if not binding.is_multivalued:
            return compare(self._single(binding), node.op, value)
        if _is_complex(binding):
            raise InvalidFilterException(detail=f"{steps[-1]}: compare one of its sub-attributes")
        entries, part = self._entries(binding)
        if value is None:
            empty = entries.any(lambda of: of(part).expression.is_(None))
            present = entries.any(lambda _: true())
            if node.op == CompareOperator.eq:
                return or_(empty, not_(present))
            return and_(present, not_(empty)) if node.op == CompareOperator.ne else false()
        if node.op == CompareOperator.ne:
            return not_(self._some(binding, CompareOperator.eq, value))
        return self._some(binding, node.op, value)

    def visit_present(self, node: Present) -> Condition:
        """Ask whether an attribute has a value that is not empty."""
        binding = self.filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        steps = steps_of(binding)
        if binding.is_multivalued:
            if steps == ("schemas",):
                return true()
            if _is_complex(binding):
                return self._any_present(binding, steps)
            entries, part = self._entries(binding)
            return entries.any(lambda of: present(of(part)))
        if _is_complex(binding):
            return true() if steps == ("meta",) else self._object_present(steps)
        return present(self._single(binding))

    def visit_value_path(self, node: ValuePath) -> Condition:
        """Ask for one entry that satisfies the whole inner filter."""
        binding = self.filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return false()
        inner = _EntryTranslator(self.filter, node.attr_path, None if _is_complex(binding) else binding)
        entries = self._entries_at(binding, steps_of(binding))
        return entries.any(lambda of: inner.within(of, node.val_filter))

    def _single(self, binding: AttributeBinding) -> Scalar:
        if _is_complex(binding):
            raise InvalidFilterException(detail=f"{binding.urn}: compare one of its sub-attributes")
        return self.attributes.scalar(steps_of(binding), exact=binding.case_exact, kind=_kind(binding))

    def _entries(self, binding: AttributeBinding) -> tuple[Entries, str]:
        """Return the entries of a multi-valued attribute, and which part of them a path names."""
        steps = steps_of(binding)
        if binding.sub_field_name is None:
            return self._entries_at(binding, steps), ITSELF
        return self._entries_at(binding, steps[:-1]), steps[-1]

    def _entries_at(self, binding: AttributeBinding, steps: tuple[str, ...]) -> Entries:
        if steps == ("schemas",):
            return self.attributes.schemas(_schemas_of_all(binding.model), exact=binding.case_exact)
        return self.attributes.entries(steps, _traits(binding))

    def _some(self, binding: AttributeBinding, op: CompareOperator, value: Any) -> Condition:
        """Ask for an entry whose part satisfies a comparison; equality of a folded text is containment."""
        steps = steps_of(binding)
        rows = steps[0] in {"groups", "members", "schemas"}
        if op == CompareOperator.eq and isinstance(value, str) and not rows and not binding.case_exact:
            nested = _nested(steps, [value]) if binding.sub_field_name is None else None
            nested = nested or _nested(steps[:-1], [{steps[-1]: value}])
            return self.attributes.entity.comparison.contains(nested)
        entries, part = self._entries(binding)
        return entries.any(lambda of: compare(of(part), op, value))

    def _any_present(self, binding: AttributeBinding, steps: tuple[str, ...]) -> Condition:
        if steps[0] in {"groups", "members"}:
            return self.attributes.entries(steps, {}).any(lambda _: true())
        traits = _traits(binding)
        names = [name for name in traits if name != "$ref" or ":" in steps[0]]
        return self.attributes.entries(steps, traits).any(lambda of: or_(*(present(of(name)) for name in names)))

    def _object_present(self, steps: tuple[str, ...]) -> Condition:
        parts = func.jsonb_each_text(self.attributes.entity.document[steps]).table_valued("key", "value")
        return exists(select(1).select_from(parts).where(parts.c.value != ""))


class _EntryTranslator(FilterVisitor[Condition]):
    """Walks the filter between brackets, about one entry; ``value`` is the entry itself where it is no object."""

    def __init__(self, scim_filter: ScimFilter[Any], outer: AttrPath, plain: AttributeBinding | None = None) -> None:
        self.filter, self.outer, self.plain = scim_filter, outer, plain
        self.of: Part

    def within(self, of: Part, node: FilterNode) -> Condition:
        """Return the condition about the entry whose parts ``of`` gives."""
        self.of = of
        return self.visit(node)

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        join = and_ if node.op == LogicalOperator.and_ else or_
        return join(*(self.visit(term) for term in node.terms))

    def visit_not(self, node: Not) -> Condition:
        return not_(func.coalesce(self.visit(node.expr), false()))

    def visit_comparison(self, node: Comparison) -> Condition:
        binding = self._resolve(node.attr_path)
        if binding is None:
            return false()
        return compare(self.of(self._part(binding)), node.op, _operand(binding, node))

    def visit_present(self, node: Present) -> Condition:
        binding = self._resolve(node.attr_path)
        return false() if binding is None else present(self.of(self._part(binding)))

    def visit_value_path(self, node: ValuePath) -> Condition:
        raise InvalidFilterException(detail=f"{node.attr_path}: entries have no entries")

    def _resolve(self, inner: AttrPath) -> AttributeBinding | None:
        if inner.sub_attr is not None:
            return None
        if self.plain is not None:
            return self.plain if inner.attr.casefold() == "value" and inner.uri is None else None
        path = AttrPath(attr=self.outer.attr, sub_attr=inner.attr, uri=self.outer.uri)
        return self.filter.resolve(path, strict=False)

    def _part(self, binding: AttributeBinding) -> str:
        return ITSELF if self.plain is not None else steps_of(binding)[-1]


def condition_of(scim_filter: ScimFilter[Any] | None, model: type[Resource[Any]], attributes: Attributes) -> Condition:
    """Return the condition that a filter puts on the resources of one model.

    Raises:
        InvalidFilterException: The filter asks for something that cannot be answered.
    """
    if scim_filter is None:
        return true()
    bound = parametrize(ScimFilter, model)(str(scim_filter))
    return Translator(bound, attributes).visit(bound.ast)


def selects_one(node: FilterNode, *, of_people: bool) -> bool:
    """Tell whether a filter compares a unique attribute, so that at most one resource can match."""
    if isinstance(node, LogicalExpr):
        return node.op == LogicalOperator.and_ and any(selects_one(term, of_people=of_people) for term in node.terms)
    unique = {"id", "externalid", "username" if of_people else "displayname"}
    return (
        isinstance(node, Comparison)
        and node.op == CompareOperator.eq
        and isinstance(node.value, str)
        and node.attr_path.uri is None
        and node.attr_path.sub_attr is None
        and node.attr_path.attr.casefold() in unique
    )


def namesake_condition(
    scim_filter: ScimFilter[Any] | None, model: type[Resource[Any]], attributes: Attributes
) -> Condition | None:
    """Return the condition on a person of the name or address that a filter looks up, and on all else it asks for.

    None when it looks nobody up: neither ``userName eq`` nor ``emails.value eq``, alone or in an ``and``. Name and
    address count alike, as they do for the conflict of a push.
    """
    if scim_filter is None:
        return None
    bound = parametrize(ScimFilter, model)(str(scim_filter))
    node = bound.ast
    terms = node.terms if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_ else (node,)
    translator = Translator(bound, attributes)
    looked_up = [looks_up(term) for term in terms]
    if not any(looked_up):
        return None
    return and_(
        *(
            translator.visit(term)
            if value is None
            else or_(Member.user_name_key == comparison_key(value), Member.email_key == comparison_key(value))
            for term, value in zip(terms, looked_up, strict=True)
        )
    )


def looks_up(node: FilterNode) -> str | None:
    """Return the name or address that a term compares exactly: of userName, ``emails.value`` or ``emails[value]``.

    What else is asked of the same address, as its type, does not count: the conflict is about the address.
    """
    prefix = ""
    if isinstance(node, ValuePath):
        prefix, node = f"{node.attr_path}.", _about_value(node.val_filter)
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return None
    path = f"{prefix}{node.attr_path}".casefold().removeprefix(f"{USER.casefold()}:")
    return node.value if path in {"username", "emails.value"} else None


def _about_value(node: FilterNode) -> FilterNode:
    """Return the term about ``value`` among those of one entry."""
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        about = (term for term in node.terms if isinstance(term, Comparison) and str(term.attr_path).lower() == "value")
        return next((term for term in about if term.op == CompareOperator.eq), node)
    return node


def sort_key(
    request: SearchRequest[Any], model: type[Resource[Any]], attributes: Attributes
) -> tuple[ColumnElement[Any], type] | None:
    """Return what a search is sorted by and its type: text by code points, bool, datetime or Decimal; None if not.

    Of several entries the primary one counts, or else the first (RFC 7644 §3.4.2.3).

    Raises:
        InvalidPathException: Sorting by members or groups, which have no order.
    """
    binding = request.sort_binding(model)
    if binding is None:
        return None
    steps, kind = steps_of(binding), _kind(binding)
    if not binding.is_multivalued:
        scalar = attributes.scalar(steps, exact=binding.case_exact, kind=kind)
        if scalar.kind is str:
            return collate(scalar.text, "C"), str
        return cast(scalar.expression, _SORTED[scalar.kind]), scalar.kind
    if steps[0] in {"groups", "members", "schemas"} or binding.sub_field_name is None:
        raise InvalidPathException(detail=f"{steps[0]} has no order to sort by")
    exact = binding.case_exact or kind is not str
    source = (attributes.entity.document if exact else attributes.entity.comparison)[steps[:-1]]
    primary = func.jsonb_path_query_first(source, cast(literal("$[*] ? (@.primary == true)"), JSONPATH))
    entry = cast(func.coalesce(primary, source[0]), JSONB)
    value = value_of(entry[steps[-1]], kind)
    return (collate(value, "C"), str) if kind is str else (cast(value, _SORTED[kind]), kind)


def compare(scalar: Scalar, op: CompareOperator, value: Any) -> Condition:
    """Return one comparison of a value, unknown when there is none (except for ``ne`` and null)."""
    expression = scalar.expression
    if value is None:
        if op == CompareOperator.eq:
            return expression.is_(None)
        return expression.is_not(None) if op == CompareOperator.ne else false()
    if op in {CompareOperator.eq, CompareOperator.ne}:
        equal = _equal(scalar, value)
        return equal if op == CompareOperator.eq else not_(func.coalesce(equal, false()))
    if scalar.kind is str:
        return _compare_texts(scalar.text, op, value) if isinstance(value, str) else false()
    if scalar.kind in {datetime, Decimal} and isinstance(value, scalar.kind):
        return _ordered(expression, op, value)
    return false()


def present(scalar: Scalar) -> Condition:
    """Return whether there is a value that is not empty."""
    there = scalar.expression.is_not(None)
    return and_(there, scalar.expression != "") if scalar.kind is str and not scalar.identifier else there


def steps_of(binding: AttributeBinding) -> tuple[str, ...]:
    """Return the names that lead to an attribute in a document: extension, attribute, sub-attribute."""
    schema = str(getattr(binding.model, "__schema__", "") or "")
    names = tuple(binding.urn.removeprefix(f"{schema}:").split("."))
    return names if schema in {USER, GROUP, ""} else (schema, *names)


def _operand(binding: AttributeBinding, node: Comparison) -> Any:
    """Return a filter's value in the type of its attribute and the form it is compared in."""
    value = _coerced(binding, node)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str):
        check_filter_value(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value))
    return binding.comparable(value, POLICY)


def _coerced(binding: AttributeBinding, node: Comparison) -> Any:
    """Return a filter's value in the type of its attribute; an instant without a zone is one in UTC.

    Raises:
        InvalidFilterException: An instant that no clock shows, or a value of another type.
    """
    value = coerce_value(binding, node.value, node.op)
    if not isinstance(value, datetime):
        return value
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise InvalidFilterException(
            detail=f"{node.attr_path}: write an instant as 2026-01-31T12:00:00Z, between the years 1 and 9999"
        ) from None


def _kind(binding: AttributeBinding) -> type:
    return _kind_of(binding.target_type)


def _kind_of(python_type: Any) -> type:
    """Return what a value of the library's type compares as."""
    if python_type in {int, float}:
        return Decimal
    return next((kind for kind in (bool, datetime) if python_type is kind), str)


def _is_complex(binding: AttributeBinding) -> bool:
    return binding.sub_field_name is None and hasattr(binding.target_type, "model_fields")


def _schemas_of_all(model: Any) -> list[str]:
    """Return the schemas that every resource of a model has: its own, and the seat's where seats are shown."""
    extensions = (str(extension.__schema__) for extension in model.get_extension_models().values())
    return [str(model.__schema__), *(urn for urn in extensions if urn == SEAT)]


def _traits(binding: AttributeBinding) -> dict[str, Trait]:
    """Tell how the parts that an entry of a multi-valued attribute may have compare."""
    model: Any = binding.field_type
    if not hasattr(model, "model_fields"):
        return {ITSELF: Trait(binding.case_exact, _kind(binding))}
    return {
        field.serialization_alias or name: Trait(
            model.get_field_annotation(name, CaseExact) == CaseExact.true, _kind_of(model.get_field_root_type(name))
        )
        for name, field in model.model_fields.items()
    }


def _equal(scalar: Scalar, value: Any) -> Condition:
    if scalar.identifier:
        wanted = parse_id(value) if isinstance(value, str) else None
        return false() if wanted is None else scalar.expression == wanted
    if scalar.kind is bool:
        if not isinstance(value, bool):
            return false()
        return scalar.expression == (value if scalar.native else "true" if value else "false")
    return scalar.expression == value if isinstance(value, scalar.kind) else false()


def _compare_texts(text: SQLColumnExpression[Any], op: CompareOperator, value: str) -> Condition:
    match op:
        case CompareOperator.co:
            return func.strpos(text, value) > 0
        case CompareOperator.sw:
            return func.starts_with(text, value)
        case CompareOperator.ew:
            return func.right(text, len(value)) == value
        case _:
            return _ordered(collate(text, "C"), op, value)


def _ordered(expression: SQLColumnExpression[Any], op: CompareOperator, value: Any) -> Condition:
    ordered: Condition
    match op:
        case CompareOperator.gt:
            ordered = expression > value
        case CompareOperator.ge:
            ordered = expression >= value
        case CompareOperator.lt:
            ordered = expression < value
        case _:
            ordered = expression <= value
    return ordered


def _nested(steps: tuple[str, ...], value: Any) -> Any:
    for step in reversed(steps):
        value = {step: value}
    return value


@dataclass(frozen=True, slots=True)
class MemberConditions:
    """What ``members[...]`` asks of a person (``member``) and of a nested group (``group``)."""

    person: Condition
    group: Condition


def member_conditions(model: type[Resource[Any]], val_filter: FilterNode) -> MemberConditions:
    """Return what ``members[...]`` asks of people and of nested groups."""
    bound = parametrize(ScimFilter, model)(f"members[{val_filter}]")
    people, nested = (
        _EntryTranslator(bound, AttrPath("members")).within(parts.__getitem__, val_filter)
        for parts in (member_parts(Member.id), nested_parts(Group, Group.id))
    )
    return MemberConditions(people, nested)
