"""The waiting list as people see it, and what an admin may do to it. Nobody is ever evicted for somebody in line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotWaitingError
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import Decision, Member
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import read_placement, take_out_of_line
from bridge.usecases.explain import stored_because
from bridge.usecases.waiting_people import waiting_people
from mappings.allocation import Occasion, wish
from mappings.resolution import resolve

MAX_WHY = 200
_ONE_TURN = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class WaitingMember:
    """Somebody in line.

    Attributes:
        place: In the whole line, from 1: who can use a free seat and stands first gets it.
        ranks: The place among those who would take a free seat of a tier, from 1, by tier; only tiers the person
            would take.
        tier: The seat held meanwhile; None without one.
        waiting_for: A tier, or ``any``.
        since: When the wait began.
        moved: Whether somebody moved the person to the front since.
        because: Why the person waits, to stand after "because".
    """

    place: int
    member_id: MemberId
    user_name: str
    name: str
    tier: str | None
    waiting_for: str
    since: datetime
    moved: bool
    ranks: Mapping[str, int]
    because: str


def list_waiting(unit: Unit) -> list[WaitingMember]:
    """Return the line, first in line first.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    placement = read_placement(unit)
    people = waiting_people(unit)
    members = {member.id: member for member in _members(unit)}
    decisions = _decisions(unit, [member.decision_id for member in members.values()])
    ahead: Counter[str] = Counter()
    line: list[WaitingMember] = []
    for place, person in enumerate(people, 1):
        member = members[MemberId(person.member_id)]  # type: ignore[arg-type] # the store's people have the store's ids
        entitlement = resolve(person.facts, placement.mapping_set, placement.ladder)
        policy = placement.mapping_set.on_exhausted
        takes = wish(entitlement, person.holding, Occasion.PROMOTION, placement.ladder, policy).tiers
        ahead.update(takes)
        decision = decisions.get(member.decision_id)
        line.append(
            WaitingMember(
                place=place,
                member_id=member.id,
                user_name=member.user_name,
                name=member.display_name,
                tier=member.tier,
                waiting_for=member.waiting_for or "",
                since=member.waited_from or member.waiting_since or member.created_at,
                moved=member.waited_from is not None,
                ranks={tier: ahead[tier] for tier in takes},
                because=stored_because(decision, placement.ladder) if decision else "every seat is taken",
            )
        )
    return line


def move_to_front(unit: Unit, member_id: MemberId, why: str) -> None:
    """Let somebody in line be served next; who waits stays behind in the order they had.

    Args:
        unit: The unit.
        member_id: Whom.
        why: A sentence for the audit, without names: it stays when people are erased.

    Raises:
        ForbiddenError: The actor may not assign seats (rule Z2).
        InvalidInputError: No reason is given.
        NotFoundError: There is no such member here.
        NotWaitingError: The person does not wait.
    """
    member = _in_line(unit, member_id, why)
    first = unit.session.execute(
        select(func.min(Member.waiting_since)).where(
            Member.org_id == unit.org_id, Member.waiting_for.is_not(None), Member.id != member.id
        )
    ).scalar_one()
    if first is not None and member.waiting_since is not None and first <= member.waiting_since:
        member.waited_from = member.waited_from or member.waiting_since
        member.waiting_since = first - _ONE_TURN
    _note(unit, member, "seat.moved_to_front", why)


def leave_line(unit: Unit, member_id: MemberId, why: str) -> None:
    """Take somebody out of the line by hand; the seat they hold, if any, stays, and groups no longer put them back.

    Args:
        unit: The unit.
        member_id: Whom.
        why: A sentence for the audit, without names: it stays when people are erased.

    Raises:
        ForbiddenError: The actor may not assign seats (rule Z2).
        InvalidInputError: No reason is given.
        NotFoundError: There is no such member here.
        NotWaitingError: The person does not wait.
    """
    member = _in_line(unit, member_id, why)
    _note(unit, member, "seat.taken_out_of_line", why)
    take_out_of_line(unit, member)


def _in_line(unit: Unit, member_id: MemberId, why: str) -> Member:
    unit.require(Permission.ASSIGN_SEATS)
    if not why.strip() or len(why) > MAX_WHY or not why.isprintable():
        raise InvalidInputError("why", f"must be 1 to {MAX_WHY} printable characters: the audit keeps the reason")
    unit.lock()
    member = get_member(unit, member_id)
    if member.waiting_for is None:
        raise NotWaitingError(str(member_id))
    return member


def _note(unit: Unit, member: Member, action: str, why: str) -> None:
    record(
        unit,
        action,
        subject_kind="member",
        subject_id=member.id,
        reason="by_hand",
        body={"waiting_for": member.waiting_for, "why": why.strip()},
    )
    unit.session.flush()


def _members(unit: Unit) -> Sequence[Member]:
    return unit.session.scalars(
        select(Member).where(Member.org_id == unit.org_id, Member.active, Member.waiting_for.is_not(None))
    ).all()


def _decisions(unit: Unit, ids: Sequence[object]) -> dict[object, Decision]:
    rows = unit.session.scalars(select(Decision).where(Decision.org_id == unit.org_id, Decision.id.in_(ids)))
    return {decision.id: decision for decision in rows}
