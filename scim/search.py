"""Finding the resources of a search, a page at a time: by index, or by cursor with keyset positions (RFC 9865)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

from scim2_models import InvalidCursorException, Resource, SearchRequest
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Integer,
    Numeric,
    Select,
    SQLColumnExpression,
    Text,
    Uuid,
    and_,
    asc,
    bindparam,
    cast,
    desc,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    tuple_,
    union_all,
)

from bridge.domain.identifiers import ConnectionId
from bridge.store.base import Instant
from bridge.store.directory import manual_connection
from bridge.store.models import Member, PageLandmark
from bridge.store.models.paging import LANDMARK_BITS
from bridge.store.nesting import has_nesting
from bridge.store.unit import Unit
from scim.attributes import GROUPS, PEOPLE, PEOPLE_IN_NESTED_GROUPS, Attributes
from scim.candidates import narrowed_by
from scim.filters import condition_of, namesake_condition, selects_one, sort_key
from scim.reading import ORG_ID, Reader
from scim.translate import Stored

_TYPES: Mapping[type, Any] = {str: Text, bool: Boolean, datetime: Instant, Decimal: Numeric}
_SOURCES: Mapping[str, tuple[int, Attributes]] = {"User": (0, PEOPLE), "Group": (1, GROUPS)}
_NAMES = {number: name for name, (number, _) in _SOURCES.items()}
_KINDS = {attributes.entity.__tablename__: number for number, attributes in _SOURCES.values()}
_DIRECTORY: BindParameter[Any] = bindparam("the_connection_id", type_=Uuid())
#: No list is as long; the database takes no larger offset than twice this.
FARTHEST = 2**62
RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Found:
    """A page: ``(name of the resource type, id)`` in order, the total (by index only), the positions beside it.

    ``stored`` has the resources themselves, in the same order, when one statement found and read them.
    """

    keys: Sequence[tuple[str, Any]]
    total: int | None
    next: dict[str, Any] | None = None
    previous: dict[str, Any] | None = None
    stored: Sequence[Stored] | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The resource that a page starts after or ends before: sort value, kind and position of arrival."""

    backwards: bool
    value: Any
    kind: int
    position: int


def find(  # noqa: PLR0917 (what is searched, and who reads it)
    unit: Unit,
    connection_id: ConnectionId,
    models: Mapping[str, type[Resource[Any]]],
    request: SearchRequest[Any],
    position: Any,
    reader: Reader | None = None,
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
        reader: Reads what is found by the same statement, when one resource type is searched.

    Raises:
        InvalidFilterException: The filter cannot be answered.
        InvalidCursorException: The position is none that an earlier page gave.
    """
    unit.session.flush()
    search = _Search(unit, connection_id, models, request, reader)
    if request.filter is not None:
        # What a filter selects depends on its values: a plan for any value would read a directory for one person.
        unit.session.execute(text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"))
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
    """One search: the rows it covers as ``kind, id, position, sort``, and what a reader needs of each."""

    def __init__(
        self,
        unit: Unit,
        connection_id: ConnectionId,
        models: Mapping[str, type[Resource[Any]]],
        request: SearchRequest[Any],
        reader: Reader | None,
    ) -> None:
        self.unit, self.connection_id, self.request = unit, connection_id, request
        self.names, self.reader = list(models), reader if len(models) == 1 else None
        self.descending = request.sort_by is not None and request.sort_order == SearchRequest.SortOrder.descending
        keys = {name: sort_key(request, model, _SOURCES[name][1]) for name, model in models.items()}
        self.sort_type = next((key[1] for key in keys.values() if key is not None), None)
        selects = [self._covered(name, model, keys[name]) for name, model in models.items()]
        self.several, self.of_people = len(selects) > 1, "User" in models
        self.kind: SQLColumnExpression[Any]
        self.position: SQLColumnExpression[Any]
        self.sort: SQLColumnExpression[Any]
        if self.several:
            rows = union_all(*selects).subquery("found")
            self.covered = select(rows)
            self.kind, self.position, self.sort = rows.c.kind, rows.c.position, rows.c.sort
        else:
            self.covered = selects[0]
            number, attributes = _SOURCES[self.names[0]]
            key = keys[self.names[0]]
            self.kind, self.position = literal_column(str(number), Integer), attributes.entity.position
            self.sort = self._typed(key[0] if key else None)

    def _covered(
        self, name: str, model: type[Resource[Any]], key: tuple[ColumnElement[Any], type] | None
    ) -> Select[Any]:
        """Return the rows of one kind that match."""
        number, attributes = _SOURCES[name]
        if name == "User" and _speaks_of_groups(self.request) and has_nesting(self.unit):
            attributes = PEOPLE_IN_NESTED_GROUPS
        entity = attributes.entity
        condition = condition_of(self.request.filter, model, attributes)
        return select(
            literal_column(str(number), Integer).label("kind"),
            entity.id.label("id"),
            entity.position.label("position"),
            self._typed(key[0] if key else None).label("sort"),
            *(self.reader.columns if self.reader is not None else ()),
        ).where(
            entity.org_id == self.unit.org_id,
            entity.connection_id == self.connection_id,
            condition,
            *narrowed_by(self.request.filter, entity, self.unit.org_id),
        )

    def _typed(self, expression: ColumnElement[Any] | None) -> ColumnElement[Any]:
        if expression is None:
            return cast(null(), _TYPES[self.sort_type or str])
        return expression

    def by_index(self) -> Found:
        """Return the page that starts at startIndex, and the number of all that match."""
        offset, count = min((self.request.start_index or 1) - 1, FARTHEST), self.request.count
        if count == 0:
            return Found([], self._count())
        if self.request.filter is None and self.sort_type is None and not self.several:
            rows = self._by_landmarks(offset, count)
            return self._found(rows, rows[0].total if rows else self._count())
        rows = self._read(self.covered) if self._selects_one() else self._page(offset, count)
        if (count is None or len(rows) < count) and (rows or offset == 0):
            return self._found(rows, offset + len(rows))
        return self._found(rows, self._count())

    def by_cursor(self, position: Any) -> Found:
        """Return the page at a position and the positions beside it; counting would cost what the cursor saves."""
        anchor = anchor_at(position, self.sort_type)
        if self.request.count == 0:
            return Found([], None)
        backwards = anchor is not None and anchor.backwards
        count = self.request.count
        rows = self._beyond(anchor, down=self.descending != backwards, limit=None if count is None else count + 1)
        kept, has_next, has_previous = one_page(rows, count, anchor)
        return self._found(
            kept,
            None,
            following=_written("next", kept[-1]) if has_next else None,
            previous=_written("previous", kept[0]) if has_previous else None,
        )

    def _found(
        self,
        rows: Sequence[Any],
        total: int | None,
        *,
        following: dict[str, Any] | None = None,
        previous: dict[str, Any] | None = None,
    ) -> Found:
        stored = None if self.reader is None else [self.reader.stored(row) for row in rows]
        return Found([(_NAMES[row.kind], row.id) for row in rows], total, following, previous, stored)

    def _selects_one(self) -> bool:
        """Tell whether at most one row can match and is on this page: without an order, the unique index is taken."""
        if self.several or self.request.filter is None or (self.request.start_index or 1) != 1:
            return False
        return selects_one(self.request.filter.ast, of_people=self.of_people)

    def _page(self, offset: int, count: int | None) -> list[Any]:
        statement = self.covered.order_by(*self._order(down=self.descending)).offset(offset)
        return self._read(_limited(statement, count))

    def _by_landmarks(self, offset: int, count: int | None) -> list[Any]:
        assert self.reader is not None
        return self._run(_page_of_everybody(self.reader, count), offset=offset)

    def _run(self, statement: Select[Any], **values: Any) -> list[Any]:
        """Run a statement that is made once, for this organization and directory."""
        scope = {ORG_ID.key: self.unit.org_id, _DIRECTORY.key: self.connection_id}
        return list(self.unit.session.execute(statement, {**scope, **values}).all())

    def _landmarks(self) -> tuple[ColumnElement[bool], ...]:
        kinds = [_SOURCES[name][1].entity.__tablename__ for name in self.names]
        return (
            PageLandmark.org_id == self.unit.org_id,
            PageLandmark.connection_id == self.connection_id,
            PageLandmark.kind.in_(kinds),
        )

    def _count(self) -> int:
        if self.request.filter is None:
            statement = select(cast(func.sum(PageLandmark.n), BigInteger)).where(*self._landmarks())
        else:
            statement = select(func.count()).select_from(self.covered.subquery("found"))
        return self.unit.session.scalar(statement) or 0

    def _read(self, statement: Select[Any]) -> list[Any]:
        """Run the statement of a page and read, for its rows only, what is beside them."""
        if self.reader is None:
            return list(self.unit.session.execute(statement).all())
        # Nothing is joined to the page, so its rows come in its order.
        page = statement.subquery("page")
        statement = select(page, *self.reader.beside(page))
        return list(self.unit.session.execute(statement, {ORG_ID.key: self.unit.org_id}).all())

    def _order(self, *, down: bool) -> list[Any]:
        direction = desc if down else asc
        order: list[Any] = []
        if self.sort_type is not None:
            order.append(direction(self.sort).nulls_first() if down else direction(self.sort).nulls_last())
        return order + self._arrival(down=down)

    def _arrival(self, *, down: bool) -> list[Any]:
        direction = desc if down else asc
        return [*([direction(self.kind)] if self.several else []), direction(self.position)]

    def _beyond(self, anchor: Anchor | None, *, down: bool, limit: int | None) -> list[Any]:
        """Return what follows an anchor: who has a sort value and who has none one after the other, each by its index.

        Without a value one comes last going up and first going down.
        """
        if self.sort_type is None and self.request.filter is None and self.reader is not None:
            place = anchor.position if anchor is not None else -1
            return self._run(_page_past(self.reader, limit, down=down), place=place)
        if self.sort_type is None:
            statement = self.covered if anchor is None else self.covered.where(self._past(anchor, down=down))
            return self._read(_limited(statement.order_by(*self._arrival(down=down)), limit))
        rows: list[Any] = []
        for empty in (True, False) if down else (False, True):
            if anchor is not None and empty != (anchor.value is None):
                if empty == down:
                    continue  # The anchor is past all of these.
                conditions: list[ColumnElement[bool]] = []
            else:
                conditions = [] if anchor is None else [self._following(anchor, down=down)]
            kept = self.sort.is_(None) if empty else self.sort.is_not(None)
            direction = desc if down else asc
            order = [*([] if empty else [direction(self.sort)]), *self._arrival(down=down)]
            statement = self.covered.where(kept, *conditions).order_by(*order)
            rows += self._read(_limited(statement, None if limit is None else limit - len(rows)))
            if limit is not None and len(rows) >= limit:
                break
        return rows

    def _following(self, anchor: Anchor, *, down: bool) -> ColumnElement[bool]:
        """Return what follows an anchor among those of its kind: with a value, or without one."""
        past = self._past(anchor, down=down)
        if anchor.value is None:
            return past
        assert self.sort_type is not None
        value = literal(anchor.value, _TYPES[self.sort_type]())
        # Said twice, for the first part is what an index can be entered by.
        if down:
            return and_(self.sort <= value, or_(self.sort < value, past))
        return and_(self.sort >= value, or_(self.sort > value, past))

    def _past(self, anchor: Anchor, *, down: bool) -> ColumnElement[bool]:
        """Return what arrived after the anchor, or before it."""
        place = literal(anchor.position, BigInteger)
        if not self.several:
            return self.position < place if down else self.position > place
        mine, its = tuple_(self.kind, self.position), tuple_(literal(anchor.kind), place)
        past: ColumnElement[bool] = mine < its if down else mine > its
        return past


@lru_cache(maxsize=512)
def _page_of_everybody(reader: Reader, count: int | None) -> Select[Any]:
    """Make the statement of an index page without filter: a running sum finds the bucket in which it starts.

    Fewer than 1,024 rows are skipped, wherever the page is. Making it costs more than running it, so it is made once.
    """
    entity = reader.entity
    marks = (
        select(
            PageLandmark.bucket,
            PageLandmark.n,
            cast(func.sum(PageLandmark.n).over(order_by=PageLandmark.bucket), BigInteger).label("upto"),
        )
        .where(
            PageLandmark.org_id == ORG_ID,
            PageLandmark.connection_id == _DIRECTORY,
            PageLandmark.kind == entity.__tablename__,
        )
        .cte("marks")
    )
    offset = bindparam("offset", type_=BigInteger())
    start = (
        select(marks.c.bucket, (marks.c.upto - marks.c.n).label("before"))
        .where(marks.c.upto > offset)
        .order_by(marks.c.bucket)
        .limit(1)
        .cte("start")
    )
    first = select(start.c.bucket * 2**LANDMARK_BITS).scalar_subquery()
    skipped = offset - select(start.c.before).scalar_subquery()
    statement = _everybody(reader).where(entity.position >= first).order_by(entity.position).offset(skipped)
    total = select(cast(func.sum(marks.c.n), BigInteger)).scalar_subquery()
    page = _limited(statement, count).subquery("page")
    return select(page, *reader.beside(page), total.label("total"))


@lru_cache(maxsize=512)
def _page_past(reader: Reader, limit: int | None, *, down: bool) -> Select[Any]:
    """Make the statement of a cursor page without filter and sort order."""
    entity = reader.entity
    place = bindparam("place", type_=BigInteger())
    past = entity.position < place if down else entity.position > place
    statement = _everybody(reader).where(past).order_by(desc(entity.position) if down else entity.position)
    page = _limited(statement, limit).subquery("page")
    return select(page, *reader.beside(page))


def _everybody(reader: Reader) -> Select[Any]:
    """Return all people, or groups, of a directory."""
    entity = reader.entity
    return select(
        literal_column(str(_KINDS[entity.__tablename__]), Integer).label("kind"),
        entity.id.label("id"),
        entity.position.label("position"),
        cast(null(), Text).label("sort"),
        *reader.columns,
    ).where(entity.org_id == ORG_ID, entity.connection_id == _DIRECTORY)


def _limited(statement: Select[Any], count: int | None) -> Select[Any]:
    """Limit a page; the number is part of the statement's text, so that its plan is one for so many rows."""
    return statement if count is None else statement.limit(literal_column(str(int(count)), Integer))


def _speaks_of_groups(request: SearchRequest[Any]) -> bool:
    return request.filter is not None and "groups" in str(request.filter).casefold()


def one_page(rows: Sequence[RowT], count: int | None, anchor: Anchor | None) -> tuple[Sequence[RowT], bool, bool]:
    """Return a page by cursor in its order, and whether there is a next and a previous one.

    Args:
        rows: What was found from the anchor on, one more than the page holds where there is more.
        count: What the page holds.
        anchor: Where it starts, or ends.
    """
    more = count is not None and len(rows) > count
    page = rows[:count]
    if not page:
        return page, False, False
    if anchor is not None and anchor.backwards:
        return page[::-1], True, more
    return page, more, anchor is not None


def _written(direction: str, row: Any) -> dict[str, Any]:
    value = row.sort.isoformat() if isinstance(row.sort, datetime) else row.sort
    value = str(value) if isinstance(value, Decimal) else value
    return position_of(direction, row.kind, row.position, value)


def position_of(direction: str, kind: int, place: int, value: Any = None) -> dict[str, Any]:
    """Return what a cursor holds: which way it leads, and past which resource."""
    return {"d": direction, "v": value, "k": kind, "p": place}


def anchor_at(position: Any, sort_type: type | None = None) -> Anchor | None:
    """Return the resource that a cursor leads past; None at the start.

    Raises:
        InvalidCursorException: The position is none that an earlier page gave.
    """
    if position is None:
        return None
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
    return Anchor(direction == "previous", value, kind, place)
