"""Usage over a quarter or the present period, for the review with the account manager (rule B6).

Everything is counted from the journal, the decisions and the invoices, which nobody can change afterwards: a quarter
that is over has the same numbers whenever it is asked for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.domain.usage import Level, Span, level, quarter, quarter_of
from bridge.errors import InvalidInputError
from bridge.store.models import AuditEntry, Contract, Decision, Invoice, LicenceHolder
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.journal_facts import holders_at
from bridge.usecases.people import name_people

IDLE_DAYS = 30
MOST_IDLE_DAYS = 3650
_SEATS_SET = (
    "organization.created",
    "billing_core.connected",
    "seats.changed",
    "contract.renewed",
    "plan.ended",
    "plan.began",
    "evaluation.changed",
    "contract.plan_changed",
)


@dataclass(frozen=True, slots=True)
class TierUsage:
    """Seats of one tier: paid for, and held by people."""

    tier: str
    name: str
    bought: Level
    used: Level


@dataclass(frozen=True, slots=True)
class IdlePerson:
    """Somebody who holds a seat and has not signed in for long; ``last_sign_in`` is None for never."""

    member_id: MemberId
    name: str
    tier: str
    last_sign_in: datetime | None


@dataclass(frozen=True, slots=True)
class Moves:
    """Decisions that moved somebody: got a seat, lost it, changed the tier; one person may move several times."""

    given: int
    taken: int
    changed: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What was invoiced, minor units: before tax, tax, credits used, and how many documents."""

    currency: str
    invoices: int
    subtotal: int
    tax: int
    total: int
    credit_applied: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage over a span.

    Attributes:
        span: Which; it ends now when it is not over.
        complete: Whether it is over and no boundary of the contract is due, so that its numbers stay.
        tiers: Best first; empty for plans that are not sold by seats.
        idle: Who held a seat at the end and had not signed in for ``idle_days``.
        licences: ``{month: licence holders billed}``, for licences.
        users: Paid and free users as the newest entry about the fee in the span says; None for other plans.
    """

    span: Span
    complete: bool
    tiers: tuple[TierUsage, ...]
    moves: Moves
    idle_days: int
    idle: tuple[IdlePerson, ...]
    licences: Mapping[str, int]
    users: Mapping[str, int] | None
    cost: Cost


def read_usage(unit: Unit, *, of: str | None = None, idle_days: int = IDLE_DAYS) -> Usage:
    """Sum up the usage of a quarter.

    Args:
        unit: The unit.
        of: As "2026Q3", in the organization's time zone; ``period`` for the contract's present period; the present
            quarter by default.
        idle_days: Who has not signed in for so many days is idle.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        InvalidInputError: It is no quarter, or one that has not begun; or the days are not possible.
    """
    unit.require(Permission.SEE_BILLING)
    if not 1 <= idle_days <= MOST_IDLE_DAYS:
        raise InvalidInputError("idle_days", f"must be 1 to {MOST_IDLE_DAYS}")
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    zone = unit.organization().time_zone
    if of is None:
        span = quarter_of(unit.at, zone)
    elif of == "period":
        span = Span("period", contract.period_start, contract.period_end)
    else:
        span = quarter(of, zone)
    if span.start > unit.at:
        raise InvalidInputError("quarter", f"{span.name} has not begun")
    # A boundary that is due is passed by the next write: until then its bill and its seats are not in the books.
    complete = span.end <= unit.at and (contract.status == "ended" or contract.period_end > unit.at)
    return _sum_up(unit, contract, span.until(unit.at), complete=complete, idle_days=idle_days)


def _sum_up(unit: Unit, contract: Contract, span: Span, *, complete: bool, idle_days: int) -> Usage:
    ladder = ladder_of(read_pools(unit))
    bought, used = _bought(unit), _used(unit)
    gone = sorted(tier for tier, steps in {**bought, **used}.items() if tier not in ladder and any(n for _, n in steps))
    return Usage(
        span=span,
        complete=complete,
        tiers=tuple(
            TierUsage(tier, ladder.name_of(tier), level(bought.get(tier, ()), span), level(used.get(tier, ()), span))
            for tier in (*ladder.keys, *gone)
        ),
        moves=_moves(unit, span),
        idle_days=idle_days,
        idle=_idle(unit, span, idle_days),
        licences=_licences(unit, span),
        users=_users(unit, span),
        cost=_cost(unit, contract, span),
    )


def _bought(unit: Unit) -> dict[str, list[tuple[datetime, int]]]:
    """Return how many seats were paid for from when on, by tier."""
    entries = unit.session.execute(
        select(AuditEntry.at, AuditEntry.action, AuditEntry.body)
        .where(AuditEntry.org_id == unit.org_id, AuditEntry.action.in_(_SEATS_SET))
        .order_by(AuditEntry.seq)
    )
    found: dict[str, list[tuple[datetime, int]]] = {}
    for at, action, body in entries:
        when = datetime.fromisoformat(body["boundary"]) if "boundary" in body else at
        for tier, number in _seats_set(action, body, found):
            found.setdefault(tier, []).append((when, number))
    return found


def _seats_set(action: str, body: Mapping[str, Any], known: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    if action in {"plan.ended", "plan.began"}:
        yield from ((tier, 0) for tier in known)
    for tier, number in (body.get("seats") or {}).items():
        # A change of seats keeps what is paid for now and what stays; every other entry one number.
        yield tier, number[0] if isinstance(number, list) else number


def _used(unit: Unit) -> dict[str, list[tuple[datetime, int]]]:
    """Return how many people held a seat from when on, by tier."""
    decisions = unit.session.execute(
        select(Decision.at, Decision.from_tier, Decision.to_tier)
        .where(Decision.org_id == unit.org_id, Decision.from_tier.is_distinct_from(Decision.to_tier))
        .order_by(Decision.seq)
    )
    held: Counter[str] = Counter()
    found: dict[str, list[tuple[datetime, int]]] = {}
    for at, before, after in decisions:
        for tier, change in ((before, -1), (after, 1)):
            if tier is not None:
                held[tier] += change
                found.setdefault(tier, []).append((at, held[tier]))
    return found


def _moves(unit: Unit, span: Span) -> Moves:
    given, taken, changed = unit.session.execute(
        select(
            func.count().filter(Decision.from_tier.is_(None)),
            func.count().filter(Decision.to_tier.is_(None)),
            func.count().filter(Decision.from_tier.is_not(None), Decision.to_tier.is_not(None)),
        ).where(
            Decision.org_id == unit.org_id,
            Decision.at >= span.start,
            Decision.at < span.end,
            Decision.from_tier.is_distinct_from(Decision.to_tier),
        )
    ).one()
    return Moves(given=given, taken=taken, changed=changed)


def _idle(unit: Unit, span: Span, idle_days: int) -> tuple[IdlePerson, ...]:
    last = unit.session.scalar(
        select(func.max(AuditEntry.seq)).where(AuditEntry.org_id == unit.org_id, AuditEntry.at < span.end)
    )
    holders = {
        decision.member_id: (tier, decision.at)
        for tier, some in holders_at(unit, last or 0).items()
        for decision in some
    }
    if not holders:
        return ()
    sign_ins = unit.session.execute(
        select(AuditEntry.subject_id, func.max(AuditEntry.at))
        .where(AuditEntry.org_id == unit.org_id, AuditEntry.action == "session.opened", AuditEntry.at < span.end)
        .group_by(AuditEntry.subject_id)
    )
    signed_in: dict[str, datetime] = {row[0]: row[1] for row in sign_ins}
    since = span.end - timedelta(days=idle_days)
    names = name_people(unit, list(holders))
    idle = []
    for member_id, (tier, placed) in holders.items():
        seen = signed_in.get(str(member_id))
        # Who got the seat only lately had no time to be idle.
        if placed < since and (seen is None or seen < since):
            idle.append(IdlePerson(member_id, names.get(member_id, "somebody who has left"), tier, seen))
    return tuple(sorted(idle, key=lambda one: (one.name.casefold(), one.member_id)))


def _licences(unit: Unit, span: Span) -> dict[str, int]:
    rows = unit.session.execute(
        select(LicenceHolder.month, func.count())
        .join(Invoice, (Invoice.org_id == LicenceHolder.org_id) & (Invoice.id == LicenceHolder.invoice_id))
        .where(LicenceHolder.org_id == unit.org_id, Invoice.at > span.start, Invoice.at <= span.end)
        .group_by(LicenceHolder.month)
        .order_by(LicenceHolder.month)
    )
    return {row[0]: row[1] for row in rows}


def _users(unit: Unit, span: Span) -> Mapping[str, int] | None:
    body = unit.session.scalars(
        select(AuditEntry.body)
        .where(
            AuditEntry.org_id == unit.org_id,
            AuditEntry.at < span.end,
            AuditEntry.action.in_(["contract.renewed", "contract.amended", "plan.began"]),
            AuditEntry.body.has_key("users"),
        )
        .order_by(AuditEntry.seq.desc())
        .limit(1)
    ).one_or_none()
    return None if body is None else body["users"]


def _cost(unit: Unit, contract: Contract, span: Span) -> Cost:
    sums = (Invoice.subtotal, Invoice.tax, Invoice.total, Invoice.credit_applied)
    # A month of licences is billed at its end, and belongs to the span that it is the end of; all else begins there.
    within = case(
        (Invoice.reason == "month", (Invoice.at > span.start) & (Invoice.at <= span.end)),
        else_=(Invoice.at >= span.start) & (Invoice.at < span.end),
    )
    found = unit.session.execute(
        select(func.count(), *(func.coalesce(func.sum(column), 0) for column in sums)).where(
            Invoice.org_id == unit.org_id, within
        )
    ).one()
    return Cost(contract.currency, *(int(number) for number in found))
