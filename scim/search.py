"""Finding the resources of a search, a page at a time: by index, or by cursor with keyset positions (RFC 9865)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from scim2_models import InvalidCursorException, Resource, SearchRequest
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Numeric,
    Select,
    Text,
    and_,
    asc,
    cast,
    desc,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    union_all,
)

from bridge.domain.identifiers import ConnectionId
from bridge.store.base import Instant
from bridge.store.directory import manual_connection
from bridge.store.models import Member
from bridge.store.unit import Unit
from scim.attributes import GROUPS, PEOPLE, Attributes
from scim.filters import condition_of, namesake_condition, selects_one, sort_key

_TYPES: Mapping[type, Any] = {str: Text, bool: Boolean, datetime: Instant, Decimal: Numeric}
_SOURCES: Mapping[str, tuple[int, Attributes]] = {"User": (0, PEOPLE), "Group": (1, GROUPS)}
_NAMES = {number: name for name, (number, _) in _SOURCES.items()}
#: No list is as long; the database takes no larger offset than twice this.
_FARTHEST = 2**62


@dataclass(frozen=True, slots=True)
class Found:
    """A page: ``(name of the resource type, id)`` in order, the total (by index only), the positions beside it."""

    keys: Sequence[tuple[str, Any]]
    total: int | None
    next: dict[str, Any] | None = None
    previous: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Anchor:
    """The resource that a page starts after or ends before: sort value, kind and position of arrival."""

    backwards: bool
    value: Any
    kind: int
    position: int


def find(
    unit: Unit,
    connection_id: ConnectionId,
    models: Mapping[str, type[Resource[Any]]],
    request: SearchRequest[Any],
    position: Any,
) -> Found:
    """Find one page of a search in a connection's directory.

    Equal sort values, and resources without one, follow in the order of their arrival, so pages are stable. Without a
    value a resource comes last ascending and first descending (RFC 7644 §3.4.2.3).

    Args:
        unit: The unit.
        connection_id: Only its people and groups are found.
        models: The model of each resource type that is searched, by its name.
        request: What is searched, with bounded count.
        position: Where a cursor page starts; None for the first page.

    Raises:
        InvalidFilterException: The filter cannot be answered.
        InvalidCursorException: The position is none that an earlier page gave.
    """
    search = _Search(unit, connection_id, models, request)
    found = search.by_index() if request.cursor is None else search.by_cursor(position)
    first = position is None and (request.start_index or 1) == 1
    if found.keys or found.total or not first or "User" not in models or request.filter is None:
        return found
    return _unmanaged(unit, models["User"], request) or found


def _unmanaged(unit: Unit, model: type[Resource[Any]], request: SearchRequest[Any]) -> Found | None:
    """Find the one person whom no directory manages and of whom a push of this name or address is a conflict."""
    condition = namesake_condition(request.filter, model, PEOPLE)
    if condition is None:
        return None
    mine = (Member.org_id == unit.org_id, Member.connection_id == manual_connection(unit).id)
    member_id = unit.session.scalar(select(Member.id).where(*mine, condition).order_by(Member.position).limit(1))
    if member_id is None:
        return None
    return Found([("User", member_id)] if request.count != 0 else [], 1 if request.cursor is None else None)


class _Search:
    """One search: the rows it covers as ``kind, id, position, sort``."""

    def __init__(
        self,
        unit: Unit,
        connection_id: ConnectionId,
        models: Mapping[str, type[Resource[Any]]],
        request: SearchRequest[Any],
    ) -> None:
        self.unit, self.request = unit, request
        self.descending = request.sort_by is not None and request.sort_order == SearchRequest.SortOrder.descending
        keys = {name: sort_key(request, model, _SOURCES[name][1]) for name, model in models.items()}
        self.sort_type = next((key[1] for key in keys.values() if key is not None), None)
        selects = []
        for name, model in models.items():
            number, attributes = _SOURCES[name]
            entity, key = attributes.entity, keys[name]
            selects.append(
                select(
                    literal_column(str(number), Integer).label("kind"),
                    entity.id.label("id"),
                    entity.position.label("position"),
                    self._typed(key[0] if key else None).label("sort"),
                ).where(
                    entity.org_id == unit.org_id,
                    entity.connection_id == connection_id,
                    condition_of(request.filter, model, attributes),
                )
            )
        self.several, self.of_people = len(selects) > 1, "User" in models
        rows = union_all(*selects).subquery("found") if self.several else selects[0].subquery("found")
        self.rows = rows
        self.kind, self.position, self.sort = rows.c.kind, rows.c.position, rows.c.sort

    def _typed(self, expression: ColumnElement[Any] | None) -> ColumnElement[Any]:
        if expression is None:
            return cast(null(), _TYPES[self.sort_type or str])
        return expression

    def by_index(self) -> Found:
        """Return the page that starts at startIndex, and the number of all that match."""
        offset, count = min((self.request.start_index or 1) - 1, _FARTHEST), self.request.count
        keys: list[tuple[str, Any]] = []
        if count != 0:
            rows = self._one() if self._selects_one() else self._page(offset, count)
            keys = [(_NAMES[row.kind], row.id) for row in rows]
        if count != 0 and (count is None or len(keys) < count) and (keys or offset == 0):
            return Found(keys, offset + len(keys))
        total = self._count()
        return Found(keys, total)

    def by_cursor(self, position: Any) -> Found:
        """Return the page at a position and the positions beside it; counting would cost what the cursor saves."""
        anchor = _read(position, self.sort_type) if position is not None else None
        if self.request.count == 0:
            return Found([], None)
        backwards = anchor is not None and anchor.backwards
        statement = self._ordered(reverse=backwards)
        if anchor is not None:
            statement = statement.where(self._beyond(anchor, greater=backwards == self.descending))
        count = self.request.count
        rows = list(self.unit.session.execute(statement if count is None else statement.limit(count + 1)).all())
        more = count is not None and len(rows) > count
        rows = rows[:count]
        if backwards:
            rows.reverse()
        if not rows:
            return Found([], None)
        has_next, has_previous = (True, more) if backwards else (more, anchor is not None)
        return Found(
            [(_NAMES[row.kind], row.id) for row in rows],
            None,
            next=_written("next", rows[-1]) if has_next else None,
            previous=_written("previous", rows[0]) if has_previous else None,
        )

    def _selects_one(self) -> bool:
        """Tell whether at most one row can match and is on this page."""
        if self.several or self.request.filter is None or (self.request.start_index or 1) != 1:
            return False
        return selects_one(self.request.filter.ast, of_people=self.of_people)

    def _one(self) -> Sequence[Any]:
        """Return the only row: without an order, which would tempt the planner away from the unique index."""
        return self.unit.session.execute(select(self.rows)).all()

    def _page(self, offset: int, count: int | None) -> Sequence[Any]:
        statement = self._ordered(reverse=False).offset(offset)
        return self.unit.session.execute(statement if count is None else statement.limit(count)).all()

    def _count(self) -> int:
        return self.unit.session.scalar(select(func.count()).select_from(self.rows)) or 0

    def _ordered(self, *, reverse: bool) -> Select[Any]:
        down = self.descending != reverse
        direction = desc if down else asc
        order: list[ColumnElement[Any]] = []
        if self.sort_type is not None:
            order.append(direction(self.sort).nulls_first() if down else direction(self.sort).nulls_last())
        if self.several:
            order.append(direction(self.kind))
        return select(self.rows).order_by(*order, direction(self.position))

    def _beyond(self, anchor: _Anchor, *, greater: bool) -> ColumnElement[bool]:
        """Return what is past the anchor in ascending order (greater), or before it."""
        place = literal(anchor.position, BigInteger)
        if self.several:
            mine, its = tuple_(self.kind, self.position), tuple_(literal(anchor.kind), place)
            tie = mine > its if greater else mine < its
        else:
            tie = self.position > place if greater else self.position < place
        if self.sort_type is None:
            return tie
        if anchor.value is None:
            same = and_(self.sort.is_(None), tie)
            return same if greater else or_(self.sort.is_not(None), same)
        value = literal(anchor.value, _TYPES[self.sort_type]())
        same = and_(self.sort == value, tie)
        if greater:
            return or_(self.sort > value, self.sort.is_(None), same)
        return or_(self.sort < value, same)


def _written(direction: str, row: Any) -> dict[str, Any]:
    value = row.sort.isoformat() if isinstance(row.sort, datetime) else row.sort
    value = str(value) if isinstance(value, Decimal) else value
    return {"d": direction, "v": value, "k": row.kind, "p": row.position}


def _read(position: Any, sort_type: type | None) -> _Anchor:
    try:
        direction, value, kind, place = (position[name] for name in ("d", "v", "k", "p"))
        if value is not None and sort_type is datetime:
            value = datetime.fromisoformat(value)
        elif value is not None and sort_type is Decimal:
            value = Decimal(value)
    except (KeyError, TypeError, ValueError, InvalidOperation):
        raise InvalidCursorException from None
    fits = value is None or (sort_type is not None and isinstance(value, sort_type))
    if direction not in {"next", "previous"} or not fits or not isinstance(place, int):
        raise InvalidCursorException
    return _Anchor(direction == "previous", value, kind, place)
