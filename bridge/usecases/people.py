"""The list of people: found, filtered and paged by the database."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    Uuid,
    and_,
    any_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId
from bridge.domain.product_roles import ProductRole
from bridge.domain.roles import Permission
from bridge.store.directory import get_member
from bridge.store.models import Decision, Group, Member, WebSession, effective_membership
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.explain import stored_because
from bridge.usecases.held_roles import roles_of_people
from bridge.usecases.lines import PlaceInLine, places_in_line
from mappings.tiers import UNASSIGNED, TierLadder

PAGE_LENGTH = 50
LONGEST_SEARCH = 200


class PersonState(StrEnum):
    """Which people a list shows."""

    ACTIVE = "active"
    WAITING = "waiting"
    PINNED = "pinned"
    PROVISIONAL = "provisional"
    DEACTIVATED = "deactivated"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """What a list of people is narrowed to; None and "" narrow nothing.

    Args:
        search: Part of a name, mail address, userName or group name, or a whole externalId.
        tier: A tier, or ``unassigned``.
        source: ``scim``, ``jit`` or ``manual``.
        state: Active people by default.
        page: From 1.
    """

    search: str = ""
    tier: str | None = None
    source: str | None = None
    state: PersonState = PersonState.ACTIVE
    page: int = 1


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
class HeadCounts:
    """How many people there are: active ones in all and by tier (None: no seat), and the other states."""

    active: int
    by_tier: dict[str | None, int]
    waiting: int
    pinned: int
    provisional: int
    deactivated: int

    @property
    def seated(self) -> int:
        """Active people who have a seat."""
        return self.active - self.by_tier.get(None, 0)


@dataclass(frozen=True, slots=True)
class PeopleList:
    """One page of people, and where it lies: ``first`` to ``last`` of ``total``, counted from 1."""

    ladder: TierLadder
    counts: HeadCounts
    rows: tuple[PersonRow, ...]
    filter: PeopleFilter
    total: int

    @property
    def first(self) -> int:
        """Number of the first row shown; 0 without any."""
        return (self.filter.page - 1) * PAGE_LENGTH + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """Number of the last row shown."""
        return (self.filter.page - 1) * PAGE_LENGTH + len(self.rows)

    @property
    def has_more(self) -> bool:
        """Whether there is a next page."""
        return self.last < self.total and bool(self.rows)


def list_people(unit: Unit, wanted: PeopleFilter) -> PeopleList:
    """List people, those who need a decision first: who waits, in order of the line; then by name.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    ladder = ladder_of(read_pools(unit))
    condition = _condition(unit, wanted)
    total = unit.session.scalar(select(func.count()).select_from(Member).where(condition)) or 0
    return PeopleList(
        ladder=ladder,
        counts=count_people(unit),
        rows=_read_rows(unit, _page(condition, wanted), ladder),
        filter=wanted,
        total=total,
    )


def browse_people(
    unit: Unit, wanted: PeopleFilter, *, after: MemberId | None = None, limit: int = PAGE_LENGTH
) -> tuple[PersonRow, ...]:
    """Return the next people behind one, in the order of their ids: for programs, which read a list to its end.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    condition = _condition(unit, wanted)
    if after is not None:
        condition = and_(condition, Member.id > after)
    return _read_rows(unit, _with_decision(condition).order_by(Member.id).limit(limit), ladder_of(read_pools(unit)))


def read_person(unit: Unit, member_id: MemberId) -> PersonRow:
    """Return one person as lists show them.

    Raises:
        ForbiddenError: The actor may not open the console.
        NotFoundError: There is no such member here.
    """
    unit.require(Permission.SEE_CONSOLE)
    member = get_member(unit, member_id)
    condition = and_(Member.org_id == unit.org_id, Member.id == member.id)
    return _read_rows(unit, _with_decision(condition), ladder_of(read_pools(unit)))[0]


def _read_rows(unit: Unit, statement: Select[Member, Decision | None], ladder: TierLadder) -> tuple[PersonRow, ...]:
    rows = unit.session.execute(statement).all()
    ids = [member.id for member, _ in rows]
    places = places_in_line(unit, ids)
    seen = _last_seen(unit, ids)
    roles = {} if ladder.keys else roles_of_people(unit, ids)
    return tuple(
        PersonRow(
            member=member,
            because=stored_because(decision, ladder) if decision is not None else "",
            place=places.get(member.id),
            last_seen_at=seen.get(member.id),
            roles=roles.get(member.id, ()),
        )
        for member, decision in rows
    )


def count_people(unit: Unit) -> HeadCounts:
    """Count people by state and tier in one pass."""
    rows = unit.session.execute(
        select(
            Member.active,
            Member.tier,
            func.count(),
            func.count().filter(Member.waiting_for.is_not(None)),
            func.count().filter(Member.pinned),
            func.count().filter(Member.provisional_until.is_not(None)),
        )
        .where(Member.org_id == unit.org_id)
        .group_by(Member.active, Member.tier)
    ).all()
    by_tier = {tier: count for active, tier, count, *_ in rows if active}
    return HeadCounts(
        active=sum(by_tier.values()),
        by_tier=by_tier,
        waiting=sum(row[3] for row in rows),
        pinned=sum(row[4] for row in rows if row[0]),
        provisional=sum(row[5] for row in rows if row[0]),
        deactivated=sum(row[2] for row in rows if not row[0]),
    )


def _page(condition: ColumnElement[bool], wanted: PeopleFilter) -> Select[Member, Decision | None]:
    return (
        _with_decision(condition)
        .order_by(
            case((Member.waiting_for.is_not(None), 0), (Member.tier.is_(None), 1), else_=2),
            Member.waiting_since,
            case((Member.waiting_for.is_not(None), Member.id)),
            func.lower(Member.display_name),
            Member.id,
        )
        .limit(PAGE_LENGTH)
        .offset((wanted.page - 1) * PAGE_LENGTH)
    )


def _with_decision(condition: ColumnElement[bool]) -> Select[Member, Decision | None]:
    newest = and_(Decision.org_id == Member.org_id, Decision.id == Member.decision_id)
    return select(Member, Decision).outerjoin(Decision, newest).where(condition)


def _condition(unit: Unit, wanted: PeopleFilter) -> ColumnElement[bool]:
    states = {
        PersonState.ACTIVE: Member.active,
        PersonState.WAITING: Member.waiting_for.is_not(None),
        PersonState.PINNED: and_(Member.active, Member.pinned),
        PersonState.PROVISIONAL: and_(Member.active, Member.provisional_until.is_not(None)),
        PersonState.DEACTIVATED: Member.active.is_(False),
        PersonState.ALL: true(),
    }
    conditions: list[SQLColumnExpression[bool]] = [Member.org_id == unit.org_id, states[wanted.state]]
    if wanted.tier == UNASSIGNED:
        conditions.append(Member.tier.is_(None))
    elif wanted.tier:
        conditions.append(Member.tier == wanted.tier)
    if wanted.source:
        conditions.append(Member.source == wanted.source)
    if wanted.search.strip():
        conditions.append(_found_by(wanted.search.strip()[:LONGEST_SEARCH]))
    return and_(*conditions)


def _found_by(text: str) -> SQLColumnExpression[bool]:
    """Match names and addresses anywhere in the text; wildcards of LIKE are ordinary letters (I2)."""
    key = comparison_key(text)
    in_group = exists().where(
        effective_membership.c.org_id == Member.org_id,
        effective_membership.c.member_id == Member.id,
        Group.org_id == effective_membership.c.org_id,
        Group.id == effective_membership.c.group_id,
        Group.display_name_key.contains(key, autoescape=True),
    )
    return or_(
        func.lower(Member.display_name).contains(text.lower(), autoescape=True),
        Member.user_name_key.contains(key, autoescape=True),
        Member.email_key.contains(key, autoescape=True),
        Member.external_id == text,
        in_group,
    )


def _last_seen(unit: Unit, ids: list[MemberId]) -> dict[MemberId, datetime]:
    if not ids:
        return {}
    rows = unit.session.execute(
        select(WebSession.member_id, func.max(WebSession.last_seen_at))
        .where(WebSession.org_id == unit.org_id, WebSession.member_id.in_(ids))
        .group_by(WebSession.member_id)
    )
    return {row[0]: row[1] for row in rows}


def name_people(unit: Unit, ids: Collection[MemberId]) -> dict[MemberId, str]:
    """Return what pages call these people; who has left is missing."""
    if not ids:
        return {}
    rows = unit.session.execute(
        select(Member.id, Member.display_name).where(
            Member.org_id == unit.org_id, Member.id == any_(literal(list(ids), ARRAY(Uuid)))
        )
    )
    return {row[0]: row[1] for row in rows}
