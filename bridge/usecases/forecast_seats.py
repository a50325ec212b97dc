"""When each tier will be full, what the next renewal needs and costs, and how the last twelve months went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, String, case, cast, func, literal, select

from bridge.domain.forecasts import WEEK, Trend, full_at, needed_at, trend_of
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, InvalidInputError
from bridge.store.models import AuditEntry, Contract, Decision, Invoice, Member, SeatPool
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.lines import waiting_counts
from bridge.usecases.seats import read_contract
from mappings.tiers import ANY

WEEKS = 12
MOST_WEEKS = 104
MONTHS = 12
#: Entries of the audit that say how many seats there are from then on.
_ALLOCATING = ("organization.created", "seats.changed", "contract.renewed", "plan.began", "evaluation.changed")


@dataclass(frozen=True, slots=True)
class TierForecast:
    """One tier.

    Attributes:
        seats: Seats that can be assigned.
        needed: People who hold one or wait for one, less those who hold it while they wait for a better one.
        waiting: People in line for it; on the lowest tier those too who would take any.
        weeks: How many weeks the trend looks back on; fewer than asked for in a young organization.
        trend: Seats more each week; None with too little behind us.
        full_at: When every seat will be taken; None when that is not in sight.
        full_earliest: The same if it goes on as in the steeper quarter of the slopes.
        needed_at_renewal: Seats needed at the next renewal; as many as today without a trend. None without a renewal.
        to_buy: How many of them are missing; None without a renewal.
    """

    tier: str
    name: str
    seats: int
    used: int
    needed: int
    waiting: int
    weeks: int
    trend: Trend | None
    full_at: datetime | None
    full_earliest: datetime | None
    needed_at_renewal: int | None
    to_buy: int | None


@dataclass(frozen=True, slots=True)
class RenewalForecast:
    """The next renewal, for who may see money; minor units before tax.

    Attributes:
        as_of_today: With the seats of today.
        with_trend: With the seats that the trend needs then.
        seats: Seats billed then, by tier.
    """

    at: datetime
    currency: str
    as_of_today: int
    with_trend: int
    seats: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MonthOfSeats:
    """One calendar month of the contract's time zone; the present one as it is now.

    Attributes:
        month: As ``2026-03``.
        seats: Seats that could be assigned at its end, by tier.
        used: Seats that were assigned at its end, by tier.
        invoiced: Minor units with tax, credit notes taken off; None for who may not see money.
    """

    month: str
    seats: Mapping[str, int]
    used: Mapping[str, int]
    invoiced: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to come, and what was; ``renewal`` is None for who may not see money, and where the plan ends."""

    at: datetime
    currency: str
    tiers: tuple[TierForecast, ...]
    renewal_at: datetime | None
    renewal: RenewalForecast | None
    months: tuple[MonthOfSeats, ...]


def forecast_seats(unit: Unit, *, weeks: int = WEEKS) -> Forecast:
    """Forecast seats and cost from the decisions of the last weeks (arrivals less departures, tier by tier).

    Args:
        unit: The unit.
        weeks: How many weeks to look back.

    Raises:
        ForbiddenError: The actor may not open the console.
        InvalidChangeError: The plan is not sold by seats.
        InvalidInputError: No such number of weeks.
    """
    unit.require(Permission.SEE_CONSOLE)
    if not 1 <= weeks <= MOST_WEEKS:
        raise InvalidInputError("weeks", f"must be 1 to {MOST_WEEKS}")
    pools = read_pools(unit)
    if not pools:
        raise InvalidChangeError("the plan is not sold by seats")
    contract = read_contract(unit)
    renews = contract.status == "active" and contract.auto_renew
    tiers = _tiers(unit, pools, weeks, contract.period_end if renews else None)
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    return Forecast(
        at=unit.at,
        currency=contract.currency,
        tiers=tiers,
        renewal_at=contract.period_end if renews else None,
        renewal=_renewal(unit, contract, pools, tiers) if renews and sees_money else None,
        months=_months(unit, contract, pools, sees_money=sees_money),
    )


def _tiers(unit: Unit, pools: Sequence[SeatPool], weeks: int, renewal: datetime | None) -> tuple[TierForecast, ...]:
    behind = min(weeks, (unit.at - unit.organization().created_at) // WEEK)
    changes = _weekly_changes(unit, pools[-1].tier, behind)
    waiting = Counter(waiting_counts(unit))
    waiting[pools[-1].tier] += waiting.pop(ANY, 0)
    upgrades = _waiting_with_a_seat(unit)
    found: list[TierForecast] = []
    for pool in pools:
        # Who waits for a better tier and holds this one needs it no more once the better one is there.
        needed = pool.used - upgrades.get(pool.tier, 0) + waiting[pool.tier]
        trend = trend_of(_levels(needed, [changes[pool.tier, week] for week in range(behind)]))
        slope = trend.per_week if trend else Fraction(0)
        then = None if renewal is None else needed_at(needed, slope, unit.at, renewal)
        found.append(
            TierForecast(
                tier=pool.tier,
                name=pool.name,
                seats=pool.total,
                used=pool.used,
                needed=needed,
                waiting=waiting[pool.tier],
                weeks=behind,
                trend=trend,
                full_at=full_at(needed, pool.total, slope, unit.at),
                full_earliest=full_at(needed, pool.total, trend.high if trend else slope, unit.at),
                needed_at_renewal=then,
                to_buy=None if then is None else max(0, then - pool.total),
            )
        )
    return tuple(found)


def _levels(now: int, changes: Sequence[int]) -> list[int]:
    """Return how many were needed at the end of each week, oldest first; changes stand newest first."""
    levels = [now]
    for change in changes:
        levels.append(levels[-1] - change)
    return levels[::-1]


def _waiting_with_a_seat(unit: Unit) -> dict[str, int]:
    rows = unit.session.execute(
        select(Member.tier, func.count())
        .where(Member.org_id == unit.org_id, Member.tier.is_not(None), Member.waiting_for.is_not(None))
        .group_by(Member.tier)
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}


def _weekly_changes(unit: Unit, lowest: str, weeks: int) -> Counter[tuple[str, int]]:
    """Count by tier and week (0 is the last one) how many more people needed a seat of it than before."""
    since = unit.at - WEEK * weeks
    waited = func.lag(Decision.waiting_for).over(partition_by=Decision.member_id, order_by=Decision.seq)
    steps = (
        select(
            Decision.at,
            _need(Decision.waiting_for, Decision.to_tier, lowest).label("after"),
            _need(waited, Decision.from_tier, lowest).label("before"),
        )
        .where(Decision.org_id == unit.org_id, Decision.at > since, Decision.at <= unit.at)
        .subquery()
    )
    week = func.floor(func.extract("epoch", literal(unit.at) - steps.c.at) / WEEK.total_seconds())
    changes: Counter[tuple[str, int]] = Counter()
    for side, sign in ((steps.c.after, 1), (steps.c.before, -1)):
        rows = unit.session.execute(
            select(side, week, func.count()).where(steps.c.after.is_distinct_from(steps.c.before)).group_by(side, week)
        )
        for tier, number, count in rows:
            if tier is not None:
                changes[tier, int(number)] += sign * count
    return changes


def _need(waiting_for: Any, tier: Any, lowest: str) -> ColumnElement[str | None]:
    """Return the tier that somebody needs: what they wait for, else what they hold."""
    return case(
        (waiting_for == ANY, cast(literal(lowest), String)), (waiting_for.is_not(None), waiting_for), else_=tier
    )


def _renewal(
    unit: Unit, contract: Contract, pools: Sequence[SeatPool], tiers: Sequence[TierForecast]
) -> RenewalForecast:
    bill = unit.billing.next_renewal()
    seats: dict[str, int] = {}
    for pool, one in zip(pools, tiers, strict=True):
        needed = one.needed_at_renewal or 0
        least = contract.contract_minimum.get(pool.tier, 0) if contract.renewal_basis == "in_use" else pool.total
        seats[pool.tier] = max(needed, least)
    return RenewalForecast(
        at=contract.period_end,
        currency=contract.currency,
        as_of_today=bill.subtotal if bill else 0,
        with_trend=sum(pool.next_price * seats[pool.tier] for pool in pools),
        seats=seats,
    )


def _months(unit: Unit, contract: Contract, pools: Sequence[SeatPool], *, sees_money: bool) -> tuple[MonthOfSeats, ...]:
    zone = ZoneInfo(contract.time_zone)
    starts = [_month_start(unit.at.astimezone(zone), back) for back in range(MONTHS - 1, -1, -1)]
    ends = [*starts[1:], unit.at + timedelta(microseconds=1)]
    allocated, used = _allocations(unit), _used(unit, ends)
    invoiced = _invoiced(unit, zone, starts[0]) if sees_money else None
    found: list[MonthOfSeats] = []
    for start, end, then in zip(starts, ends, used, strict=True):
        month = f"{start:%Y-%m}"
        current = start == starts[-1]
        seats = {pool.tier: pool.total for pool in pools} if current else _as_of(allocated, end)
        held = {pool.tier: pool.used for pool in pools} if current else then
        found.append(
            MonthOfSeats(
                month=month,
                seats={pool.tier: seats.get(pool.tier, 0) for pool in pools},
                used={pool.tier: min(held.get(pool.tier, 0), seats.get(pool.tier, 0)) for pool in pools},
                invoiced=None if invoiced is None else invoiced.get(month, 0),
            )
        )
    return tuple(found)


def _month_start(local: datetime, back: int) -> datetime:
    number = local.year * 12 + local.month - 1 - back
    return local.replace(
        year=number // 12, month=number % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0
    )


def _allocations(unit: Unit) -> list[tuple[datetime, Mapping[str, int]]]:
    """Return the seats by tier after each change of the allocation, oldest first, as the audit has them."""
    rows = unit.session.execute(
        select(AuditEntry.at, AuditEntry.body)
        .where(
            AuditEntry.org_id == unit.org_id,
            AuditEntry.action.in_(_ALLOCATING),
        )
        .order_by(AuditEntry.seq)
    )
    return [
        (at, {tier: min(count) if isinstance(count, list) else count for tier, count in body["seats"].items()})
        for at, body in rows
    ]


def _as_of(allocated: Sequence[tuple[datetime, Mapping[str, int]]], end: datetime) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for at, seats in allocated:
        if at >= end:
            break
        found |= seats
    return found


def _used(unit: Unit, ends: Sequence[datetime]) -> list[Mapping[str, int]]:
    """Return the seats that were assigned after the last decision before each of these instants."""
    newest = [
        select(Decision.pools)
        .where(Decision.org_id == unit.org_id, Decision.at < end)
        .order_by(Decision.at.desc(), Decision.seq.desc())
        .limit(1)
        .scalar_subquery()
        for end in ends
    ]
    row = unit.session.execute(select(*newest)).one()
    return [{tier: count["used"] for tier, count in (pools or {}).items()} for pools in row]


def _invoiced(unit: Unit, zone: ZoneInfo, since: datetime) -> dict[str, int]:
    month = func.to_char(func.timezone(str(zone), Invoice.at), "YYYY-MM")
    rows = unit.session.execute(
        select(month, func.sum(Invoice.total)).where(Invoice.org_id == unit.org_id, Invoice.at >= since).group_by(month)
    )
    return {row[0]: int(row[1]) for row in rows}
