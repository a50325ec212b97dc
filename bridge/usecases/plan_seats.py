"""Who holds which seat when a plan begins: who keeps one, who must let go, and whom the rules give another."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Uuid, and_, any_, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import MemberId
from bridge.ports import TierPrice
from bridge.store.directory import mapping_set_in_force
from bridge.store.journal import record
from bridge.store.models import Decision, Member
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.arrivals import Arrivals
from bridge.usecases.assign_seats import Placement, read_placement
from bridge.usecases.person_classes import TouchedPerson, touched_people
from bridge.usecases.release_seats import release_seats
from bridge.usecases.settle_many import settle_many
from mappings.reasons import SeatReason
from mappings.tiers import ANY, SeatTier, TierLadder


@dataclass(frozen=True, slots=True)
class TierAfter:
    """One tier of the plan that begins: its seats, who keeps one, who is given one, and who waits for it then."""

    tier: str
    name: str
    seats: int
    kept: int
    given: int
    waiting: int


@dataclass(frozen=True, slots=True)
class SeatMove:
    """Somebody who holds another seat, or none, once the plan has begun."""

    member_id: MemberId
    from_tier: str | None
    to_tier: str | None
    waiting_for: str | None


@dataclass(frozen=True, slots=True)
class SeatsUnderPlan:
    """What a plan that begins does to people.

    Attributes:
        tiers: Best first; none for a plan that is not sold by seats.
        waiting_for_any: Who waits for a seat of any tier then.
        moves: Everybody whose seat changes, in the order in which they came here.
        unspoken: Tiers that the mappings name and the plan does not have: those rules give no seat meanwhile.
    """

    tiers: tuple[TierAfter, ...]
    waiting_for_any: int
    moves: tuple[SeatMove, ...]
    unspoken: tuple[str, ...]


def seats_under_plan(unit: Unit, tiers: Collection[TierPrice]) -> SeatsUnderPlan:
    """Show who would hold which seat if a plan with these tiers began now; nothing is written."""
    seats = {tier.key: tier.seats for tier in tiers}
    ladder = TierLadder(SeatTier(tier.key, tier.name, tier.rank) for tier in tiers)
    placement = Placement(ladder, mapping_set_in_force(unit, ladder))
    letting_go = _letting_go(unit, seats)
    gone = set(letting_go)
    rows = select(Member.id, Member.tier).where(Member.org_id == unit.org_id, Member.tier.is_not(None))
    held = {row.id: row.tier for row in unit.session.execute(rows)}
    kept = Counter(tier for member_id, tier in held.items() if member_id not in gone)
    line = Counter(
        unit.session.scalars(
            select(Member.waiting_for).where(
                Member.org_id == unit.org_id, Member.waiting_for.is_not(None), Member.tier.is_not(None)
            )
        )
    )
    after: dict[MemberId, tuple[str | None, str | None]] = dict.fromkeys(letting_go, (None, None))
    arrivals = Arrivals(placement, {tier: number - kept[tier] for tier, number in seats.items()})
    given: Counter[str | None] = Counter()
    if seats:
        for one in _to_place(unit, placement, gone):
            decision = arrivals.decide(one.person.facts)
            arrivals.settle(one.member_id, one.person.facts, decision)
            after[one.member_id] = (decision.tier, decision.waiting_for)
            given[decision.tier] += 1
            line[decision.waiting_for] += 1
    return SeatsUnderPlan(
        tiers=tuple(
            TierAfter(tier.key, tier.name, seats[tier.key], kept[tier.key], given[tier.key], line[tier.key])
            for tier in ladder
        ),
        waiting_for_any=line[ANY],
        moves=tuple(
            SeatMove(member_id, held.get(member_id), tier, waiting_for)
            for member_id, (tier, waiting_for) in after.items()
            if held.get(member_id) != tier
        ),
        unspoken=tuple(sorted(placement.mapping_set.tiers - {*ladder.keys})),
    )


def let_go(unit: Unit, tiers: Collection[TierPrice], reason_code: str) -> None:
    """Take the seats that a plan that begins does not have, and places in line for them.

    Of each tier those who came here first keep theirs.
    """
    seats = {tier.key: tier.seats for tier in tiers}
    gone = _letting_go(unit, seats)
    if not gone:
        return
    entry = record(
        unit,
        "plan.seats_withdrawn",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason=reason_code,
        body={"people": len(gone)},
    )
    kept = {pool.tier: pool.used for pool in read_pools(unit)}
    whom = Member.id == any_(literal(gone, ARRAY(Uuid)))
    reason = SeatReason.PLAN_BEGAN if seats else SeatReason.NOT_BY_SEATS
    shown = {tier: {"total": number, "used": min(kept.get(tier, 0), number)} for tier, number in seats.items()}
    release_seats(unit, whom, entry, reason, shown)


def place_everybody(unit: Unit) -> None:
    """Give a seat to everybody without one, as if newly added and in the order in which they came (rules A1 to A4).

    Who was placed by hand without a seat stays so, who is under a hold waits for the decision, and somebody about whom
    nothing was ever decided, as an owner who only looks after the organization, is left alone. Who was in line before
    stands in it before all others.
    """
    placement = read_placement(unit)
    if not len(placement.ladder):
        return
    people = _to_place(unit, placement, ())
    arrivals = Arrivals(placement, {pool.tier: pool.total - pool.used for pool in read_pools(unit)})
    for one in people:
        facts = one.person.facts
        arrivals.settle(one.member_id, facts, arrivals.decide(facts))
    settle_many(unit, arrivals.effect(), placement, SeatReason.PLAN_BEGAN, touched=people)


def _to_place(unit: Unit, placement: Placement, gone: Collection[MemberId]) -> list[TouchedPerson]:
    """Return whom the rules are asked about, in the order in which they came, those included who let go now."""
    without = and_(
        Member.tier.is_(None),
        Member.pinned.is_(False),
        or_(Member.decision_id.is_not(None), Member.waiting_for.is_not(None)),
    )
    ids = unit.session.scalars(
        select(Member.id)
        .where(
            Member.org_id == unit.org_id,
            Member.active,
            Member.hold_id.is_(None),
            or_(without, Member.id == any_(literal(list(gone), ARRAY(Uuid)))),
        )
        .order_by(Member.position)
    ).all()
    people = {one.member_id: one for one in touched_people(unit, ids, placement.mapping_set) if not one.is_held}
    return [people[member_id] for member_id in ids if member_id in people]


def _letting_go(unit: Unit, seats: Mapping[str, int]) -> list[MemberId]:
    """Return who holds a seat that the plan does not have, or waits for a tier that it does not have, in order."""
    place = func.row_number().over(partition_by=Member.tier, order_by=Member.position).label("place")
    held = (
        select(Member.id, Member.tier, place).where(Member.org_id == unit.org_id, Member.tier.is_not(None)).subquery()
    )
    too_many = [and_(held.c.tier == tier, held.c.place > number) for tier, number in sorted(seats.items())]
    beyond = select(held.c.id).where(or_(held.c.tier.not_in(list(seats)), *too_many))
    ids = select(Member.id).where(Member.org_id == unit.org_id, or_(Member.id.in_(beyond), _elsewhere(seats)))
    return list(unit.session.scalars(ids.order_by(Member.position)))


def _elsewhere(seats: Mapping[str, int]) -> ColumnElement[bool]:
    """Select who waits for what there is not; where no seats are sold, everybody of whom a plan said something."""
    if seats:
        return Member.waiting_for.not_in([*seats, ANY])
    ended = exists().where(
        Decision.org_id == Member.org_id,
        Decision.id == Member.decision_id,
        Decision.reason == str(SeatReason.PLAN_ENDED),
    )
    return or_(Member.waiting_for.is_not(None), Member.pinned, ended)
