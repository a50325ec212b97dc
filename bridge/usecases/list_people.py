"""Lists of people: found and filtered by the database, page by page from where the last one ended.

A list has up to three bands: who waits, in the order of the line; who has no seat; who has one. Within the last two,
people stand by name. Every band is read from an index in its order, so that the hundred-thousandth person comes as
quickly as the first: no page is counted up to.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, SQLColumnExpression, and_, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, undefer

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import GroupId, MemberId
from bridge.domain.product_roles import ProductRole
from bridge.domain.roles import Permission
from bridge.store.directory import get_member
from bridge.store.models import Decision, Group, Member, WebSession, effective_membership
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.explain import stored_because
from bridge.usecases.held_roles import roles_of_people
from bridge.usecases.lines import PlaceInLine, places_in_line
from bridge.usecases.people import HeadCounts, count_people
from mappings.tiers import UNASSIGNED, TierLadder

PAGE_LENGTH: Final = 50
LONGEST_SEARCH: Final = 200
GROUPS_FOUND: Final = 5
#: Who was not seen for so many days is idle.
IDLE_DAYS: Final = 60


class PersonState(StrEnum):
    """Which people a list shows."""

    ACTIVE = "active"
    WAITING = "waiting"
    PINNED = "pinned"
    IDLE = "idle"
    PROVISIONAL = "provisional"
    DEACTIVATED = "deactivated"


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """What a list of people is narrowed to; None and "" narrow nothing.

    Args:
        search: Part of a name, mail address, userName, externalId or name of a group that the person is in.
        tier: A tier, or ``unassigned``.
        source: ``scim``, ``jit`` or ``manual``.
        group: Members of this group, through groups inside it as well.
        state: Active people by default.
        after: The page behind this person; ``before``: the page that ends before this one.
    """

    search: str = ""
    tier: str | None = None
    source: str | None = None
    group: GroupId | None = None
    state: PersonState = PersonState.ACTIVE
    after: MemberId | None = None
    before: MemberId | None = None

    @property
    def narrows(self) -> bool:
        """Whether it shows anybody less than everybody who is active."""
        return bool(self.search.strip() or self.tier or self.source or self.group) or self.state != PersonState.ACTIVE


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person of the list; ``because`` is empty for somebody about whom nothing was decided.

    ``roles`` are those in the product, on plans that are not sold by seats.
    """

    member: Member
    because: str
    place: PlaceInLine | None
    last_seen_at: datetime | None
    roles: tuple[ProductRole, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleList:
    """One page of people.

    Attributes:
        has_previous: Whether somebody stands before the first row; ``has_next``: behind the last.
        group: The name of the group that it is narrowed to.
        groups: Groups whose names have what was searched for, by id.
    """

    ladder: TierLadder
    counts: HeadCounts
    rows: tuple[PersonRow, ...]
    filter: PeopleFilter
    has_previous: bool
    has_next: bool
    group: str | None
    groups: tuple[tuple[GroupId, str], ...]


@dataclass(frozen=True, slots=True)
class _Band:
    """Part of a list: who stands in it, and in which order.

    Attributes:
        tiers: The tiers that its index is read by, one after the other; None where an index has all of it in order.
        holds: Whether somebody stands in it.
    """

    conditions: tuple[SQLColumnExpression[bool], ...]
    order: tuple[InstrumentedAttribute[Any], ...]
    tiers: Sequence[str | None] | None = None
    holds: Callable[[Member], bool] = lambda _: True


def list_people(unit: Unit, wanted: PeopleFilter) -> PeopleList:
    """List people, those who need a decision first: who waits, in order of the line; who has no seat; then by name.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    ladder = ladder_of(read_pools(unit))
    groups = _groups_found(unit, wanted.search.strip())
    narrowing = tuple(_narrowing(unit, wanted, [group_id for group_id, _ in groups]))
    ids, has_previous, has_next = _page(unit, wanted, narrowing, ladder)
    return PeopleList(
        ladder=ladder,
        counts=count_people(unit),
        rows=_rows_of(unit, ids, ladder),
        filter=wanted,
        has_previous=has_previous,
        has_next=has_next,
        group=_name_of_group(unit, wanted.group),
        groups=groups,
    )


def browse_people(
    unit: Unit, wanted: PeopleFilter, *, in_any_state: bool = False, limit: int = PAGE_LENGTH
) -> tuple[PersonRow, ...]:
    """Return the next people behind one, in the order of their ids: for programs, which read a list to its end.

    Args:
        unit: The unit.
        wanted: Which people, behind which one.
        in_any_state: Whoever has no access included, whatever state is wanted.
        limit: So many at most.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    ladder = ladder_of(read_pools(unit))
    conditions: list[SQLColumnExpression[bool]] = [Member.org_id == unit.org_id]
    if wanted.after is not None:
        conditions.append(Member.id > wanted.after)
    groups = [group_id for group_id, _ in _groups_found(unit, wanted.search.strip())]
    conditions += _narrowing(unit, wanted, groups)
    if not in_any_state:
        conditions.append(or_(*map(_standing_in, _bands(unit, wanted, ladder))))
    elif wanted.tier is not None:
        conditions += _of_tier(None if wanted.tier == UNASSIGNED else wanted.tier)
    ids = unit.session.scalars(select(Member.id).where(*conditions).order_by(Member.id).limit(limit)).all()
    return _rows_of(unit, ids, ladder)


def read_person(unit: Unit, member_id: MemberId) -> PersonRow:
    """Return one person as lists show them.

    Raises:
        ForbiddenError: The actor may not open the console.
        NotFoundError: There is no such member here.
    """
    unit.require(Permission.SEE_CONSOLE)
    return _rows_of(unit, [get_member(unit, member_id).id], ladder_of(read_pools(unit)))[0]


def _standing_in(band: _Band) -> ColumnElement[bool]:
    tiers = () if band.tiers is None else (or_(*(condition for one in band.tiers for condition in _of_tier(one))),)
    return and_(*band.conditions, *tiers)


def _rows_of(unit: Unit, ids: Sequence[MemberId], ladder: TierLadder) -> tuple[PersonRow, ...]:
    newest = and_(Decision.org_id == Member.org_id, Decision.id == Member.decision_id)
    found = {
        member.id: (member, decision)
        for member, decision in unit.session.execute(
            select(Member, Decision).outerjoin(Decision, newest).where(Member.org_id == unit.org_id, Member.id.in_(ids))
        )
    }
    places = places_in_line(unit, ids)
    seen = _last_seen(unit, ids)
    roles = {} if ladder.keys else roles_of_people(unit, ids)
    return tuple(
        PersonRow(
            member=member,
            because="" if member.decision_id is None else stored_because(decision, ladder),
            place=places.get(member.id),
            last_seen_at=seen.get(member.id),
            roles=roles.get(member.id, ()),
        )
        for member, decision in (found[member_id] for member_id in ids)
    )


def _page(
    unit: Unit, wanted: PeopleFilter, narrowing: tuple[SQLColumnExpression[bool], ...], ladder: TierLadder
) -> tuple[list[MemberId], bool, bool]:
    """Return the ids of the page, and whether anybody stands before and behind it."""
    backward = wanted.before is not None and wanted.after is None
    bands = list(_bands(unit, wanted, ladder))
    anchor = _anchor(unit, wanted.before if backward else wanted.after)
    place = None if anchor is None else next((n for n, band in enumerate(bands) if band.holds(anchor)), None)
    if anchor is None or place is None:
        anchor, place, backward = None, 0, False
    ids: list[MemberId] = []
    for band in bands[place::-1] if backward else bands[place:]:
        here = anchor if band is bands[place] else None
        ids += _read(unit, band, narrowing, here, PAGE_LENGTH + 1 - len(ids), backward=backward)
        if len(ids) > PAGE_LENGTH:
            break
    more, ids = len(ids) > PAGE_LENGTH, ids[:PAGE_LENGTH]
    if backward:
        return ids[::-1], more, bool(ids)
    return ids, anchor is not None and bool(ids), more


def _anchor(unit: Unit, member_id: MemberId | None) -> Member | None:
    if member_id is None:
        return None
    return unit.session.scalar(
        select(Member)
        .options(undefer(Member.list_key))
        .where(Member.org_id == unit.org_id, Member.id == member_id)
        .execution_options(populate_existing=True)
    )


def _bands(unit: Unit, wanted: PeopleFilter, ladder: TierLadder) -> Iterator[_Band]:
    """Part the list; the tiers of a band are those that the wish leaves."""
    by_name, tiers = (Member.list_key, Member.id), [tier.key for tier in ladder]
    seated = tiers if wanted.tier is None else [tier for tier in tiers if tier == wanted.tier]
    unseated = [None] if wanted.tier in {None, UNASSIGNED} else []
    held = () if wanted.tier is None else _of_tier(None if unseated else wanted.tier)
    if wanted.state in {PersonState.ACTIVE, PersonState.WAITING}:
        in_line = (Member.waiting_for.is_not(None), *held)
        yield _Band(in_line, (Member.waiting_since, Member.id), holds=lambda one: one.waiting_for is not None)
    if wanted.state == PersonState.ACTIVE:
        rest = (Member.active, Member.waiting_for.is_(None))
        yield _Band(rest, by_name, unseated, lambda one: one.tier is None)
        yield _Band(rest, by_name, seated)
    elif wanted.state in {PersonState.PINNED, PersonState.PROVISIONAL}:
        few = Member.pinned if wanted.state == PersonState.PINNED else Member.provisional_until.is_not(None)
        yield _Band((Member.active, few, *held), by_name)
    elif wanted.state == PersonState.DEACTIVATED:
        yield _Band((Member.active.is_(False),), by_name, [*unseated, *seated])
    elif wanted.state == PersonState.IDLE:
        since = unit.at - timedelta(days=IDLE_DAYS)
        seen = exists().where(
            WebSession.org_id == Member.org_id, WebSession.member_id == Member.id, WebSession.last_seen_at >= since
        )
        yield _Band((Member.active, Member.created_at < since, ~seen), by_name, [*unseated, *seated])


def _read(
    unit: Unit,
    band: _Band,
    narrowing: tuple[SQLColumnExpression[bool], ...],
    anchor: Member | None,
    limit: int,
    *,
    backward: bool,
) -> list[MemberId]:
    """Read a band in its order from behind the anchor, or backward from before it; for each tier by its own index."""
    conditions = [Member.org_id == unit.org_id, *band.conditions, *narrowing]
    if anchor is not None:
        here = tuple_(*(literal(getattr(anchor, column.key), column.type) for column in band.order))
        conditions.append(tuple_(*band.order) < here if backward else tuple_(*band.order) > here)
    parts = [
        select(*band.order)
        .where(*conditions, *narrowed)
        .order_by(*(column.desc() if backward else column for column in band.order))
        .limit(limit)
        for narrowed in ([()] if band.tiers is None else map(_of_tier, band.tiers))
    ]
    rows: list[Row[Any]] = []
    for part in parts:
        rows += unit.session.execute(part).all()
    return [row[-1] for row in sorted(rows, reverse=backward)[:limit]]


def _of_tier(tier: str | None) -> tuple[SQLColumnExpression[bool], ...]:
    """Narrow to who has a seat of a tier, or none (None)."""
    return (Member.tier.is_(None) if tier is None else Member.tier == tier,)


def _narrowing(unit: Unit, wanted: PeopleFilter, groups: Collection[GroupId]) -> Iterator[SQLColumnExpression[bool]]:
    """Give the conditions of the wish that every band is read under.

    Args:
        unit: The unit.
        wanted: The wish.
        groups: Those whose names have what is searched for: who is in one is found.
    """
    if wanted.source:
        yield Member.source == wanted.source
    if wanted.group is not None:
        yield _in_any(unit, [wanted.group])
    text = wanted.search.strip()[:LONGEST_SEARCH]
    if text:
        # Wildcards of LIKE are ordinary letters (I2).
        forms = dict.fromkeys((text.lower(), comparison_key(text), text))
        found = [Member.search_key.contains(form, autoescape=True) for form in forms]
        yield or_(*found, *([_in_any(unit, groups)] if groups else []))


def _in_any(unit: Unit, groups: Collection[GroupId]) -> ColumnElement[bool]:
    membership = effective_membership.c
    return Member.id.in_(
        select(membership.member_id).where(membership.org_id == unit.org_id, membership.group_id.in_(groups))
    )


def _name_of_group(unit: Unit, group_id: GroupId | None) -> str | None:
    if group_id is None:
        return None
    return unit.session.scalar(select(Group.display_name).where(Group.org_id == unit.org_id, Group.id == group_id))


def _groups_found(unit: Unit, text: str) -> tuple[tuple[GroupId, str], ...]:
    if not text:
        return ()
    rows = unit.session.execute(
        select(Group.id, Group.display_name)
        .where(
            Group.org_id == unit.org_id,
            Group.display_name_key.contains(comparison_key(text[:LONGEST_SEARCH]), autoescape=True),
        )
        .order_by(Group.display_name_key, Group.id)
        .limit(GROUPS_FOUND)
    )
    return tuple((row[0], row[1]) for row in rows)


def _last_seen(unit: Unit, ids: Sequence[MemberId]) -> dict[MemberId, datetime]:
    if not ids:
        return {}
    rows = unit.session.execute(
        select(WebSession.member_id, func.max(WebSession.last_seen_at))
        .where(WebSession.org_id == unit.org_id, WebSession.member_id.in_(ids))
        .group_by(WebSession.member_id)
    )
    return {row[0]: row[1] for row in rows}
