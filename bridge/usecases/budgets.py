"""Budgets: what an owner lets provisioning spend on seats when a tier is full, and what is left of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from bridge.domain.documents import comparison_key
from bridge.domain.plan_kinds import EVALUATION
from bridge.domain.roles import Permission
from bridge.errors import BudgetNotPossibleError, InvalidInputError, NotFoundError
from bridge.store.journal import record
from bridge.store.models import BudgetPurchase, Contract, SeatBudget
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit

PERIODS: Final = ("month", "period")
MAX_COST_CENTRE: Final = 255
MAX_SEATS: Final = 1_000_000
MAX_AMOUNT: Final = 10**15
#: A declined payment is tried again after so long, and not with every push.
PAUSE_AFTER_DECLINE: Final = timedelta(hours=1)

BudgetKey = tuple[str, str]
"""Tier and folded cost centre."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget with what was bought within it in its present period, [start, end).

    Attributes:
        cost_centre: As it was written; empty for everybody whose own cost centre has no budget.
        seats: At most so many; None for no such cap.
        amount: At most so much, minor units before tax; None for no such cap.
        period: ``month`` or ``period`` (of the contract).
        set_by: The actor.
        paused_until: No payment is tried before; None when none was declined.
    """

    tier: str
    cost_centre: str
    seats: int | None
    amount: int | None
    period: str
    start: datetime
    end: datetime
    currency: str
    seats_bought: int
    amount_spent: int
    set_at: datetime
    set_by: str
    paused_until: datetime | None

    @property
    def key(self) -> BudgetKey:
        """Name the budget."""
        return self.tier, comparison_key(self.cost_centre)

    @property
    def name(self) -> str:
        """Name the budget as the audit does."""
        return f"{self.tier}:{self.cost_centre}" if self.cost_centre else self.tier

    @property
    def seats_left(self) -> int | None:
        """Seats that may still be bought; None when only the amount has a cap."""
        return None if self.seats is None else max(0, self.seats - self.seats_bought)

    @property
    def amount_left(self) -> int | None:
        """What may still be spent; None when only the seats have a cap."""
        return None if self.amount is None else max(0, self.amount - self.amount_spent)

    @property
    def is_used_up(self) -> bool:
        """Whether nothing can be bought, whatever a seat costs."""
        return self.seats_left == 0 or self.amount_left == 0


def set_budget(
    unit: Unit,
    tier: str,
    *,
    seats: int | None = None,
    amount: int | None = None,
    period: str = "month",
    cost_centre: str = "",
) -> Budget:
    """Let provisioning buy seats of a tier when it is full, up to a cap; who waits already is served first.

    What was bought in the present period counts, whichever budget allowed it.

    Args:
        unit: The unit.
        tier: Which.
        seats: At most so many in a period.
        amount: At most so much in a period, minor units before tax.
        period: ``month``, of the contract's time zone, or ``period``, of the contract.
        cost_centre: For people of this cost centre only; by default for everybody whose own has no budget.

    Raises:
        BudgetNotPossibleError: The plan is not sold by seats, it is an evaluation, or its billing core is elsewhere.
        ForbiddenError: The actor may not buy seats (rule Z1).
        InvalidInputError: There is no such tier or period, or no cap.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    if not len(ladder):
        raise BudgetNotPossibleError("the plan is not sold by seats")
    if unit.session.get_one(Contract, unit.org_id).kind == EVALUATION:
        raise BudgetNotPossibleError("an evaluation buys nothing: set it once the plan has begun")
    if not unit.billing.sells_at_once:
        raise BudgetNotPossibleError("its billing core is another system, which answers an order later")
    if tier not in ladder:
        raise InvalidInputError("tier", f"there is no tier {tier!r}; there is {', '.join(ladder.keys)}")
    _check(seats, amount, period, cost_centre)
    key = comparison_key(cost_centre.strip())
    row = unit.session.get(SeatBudget, (unit.org_id, tier, key), populate_existing=True)
    before = None if row is None else {"seats": row.seats, "amount": row.amount, "period": row.period}
    if row is None:
        row = SeatBudget(org_id=unit.org_id, tier=tier, cost_centre_key=key)
        unit.session.add(row)
    row.cost_centre, row.seats, row.amount, row.period = cost_centre.strip(), seats, amount, period
    row.set_at, row.set_by, row.declined_at = unit.at, str(unit.actor), None
    unit.session.flush()
    record(
        unit,
        "budget.set",
        subject_kind="budget",
        subject_id=_subject(tier, row.cost_centre),
        reason="by_hand",
        body={"before": before, "seats": seats, "amount": amount, "period": period},
    )
    unit.line_grew = True
    return next(budget for budget in read_budgets(unit) if budget.key == (tier, key))


def remove_budget(unit: Unit, tier: str, *, cost_centre: str = "") -> None:
    """Let provisioning buy no more under a budget; what was bought stays.

    Raises:
        ForbiddenError: The actor may not buy seats (rule Z1).
        NotFoundError: There is no such budget.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    row = unit.session.get(SeatBudget, (unit.org_id, tier, comparison_key(cost_centre.strip())))
    if row is None:
        raise NotFoundError("budget", _subject(tier, cost_centre))
    unit.session.delete(row)
    unit.session.flush()
    record(unit, "budget.removed", subject_kind="budget", subject_id=_subject(tier, row.cost_centre), reason="by_hand")


def list_budgets(unit: Unit) -> list[Budget]:
    """Return every budget with what is left of it, best tier first.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    return read_budgets(unit)


def read_budgets(unit: Unit) -> list[Budget]:
    """Return the budgets for deciding, without asking who wants to know."""
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    order = {tier: place for place, tier in enumerate(ladder_of(read_pools(unit)).keys)}
    rows = unit.session.scalars(
        select(SeatBudget).where(SeatBudget.org_id == unit.org_id).execution_options(populate_existing=True)
    ).all()
    found = [_budget(unit, row, contract) for row in rows]
    return sorted(found, key=lambda budget: (order[budget.tier], budget.key[1]))


def _budget(unit: Unit, row: SeatBudget, contract: Contract) -> Budget:
    start, end = _period(row.period, contract, unit.at)
    seats, amount = unit.session.execute(
        select(
            func.coalesce(func.sum(BudgetPurchase.seats), 0), func.coalesce(func.sum(BudgetPurchase.amount), 0)
        ).where(
            BudgetPurchase.org_id == unit.org_id,
            BudgetPurchase.tier == row.tier,
            BudgetPurchase.cost_centre_key == row.cost_centre_key,
            BudgetPurchase.at >= start,
            BudgetPurchase.at < end,
        )
    ).one()
    return Budget(
        tier=row.tier,
        cost_centre=row.cost_centre,
        seats=row.seats,
        amount=row.amount,
        period=row.period,
        start=start,
        end=end,
        currency=contract.currency,
        seats_bought=int(seats),
        amount_spent=int(amount),
        set_at=row.set_at,
        set_by=row.set_by,
        paused_until=row.declined_at + PAUSE_AFTER_DECLINE if row.declined_at else None,
    )


def _period(period: str, contract: Contract, at: datetime) -> tuple[datetime, datetime]:
    """Return the present period of a budget, [start, end)."""
    if period == "period":
        return contract.period_start, contract.period_end
    first = at.astimezone(ZoneInfo(contract.time_zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first.astimezone(at.tzinfo), following.astimezone(at.tzinfo)


def _check(seats: int | None, amount: int | None, period: str, cost_centre: str) -> None:
    if seats is None and amount is None:
        raise InvalidInputError("budget", "needs a cap: a number of seats, an amount, or both")
    if seats is not None and not 0 <= seats <= MAX_SEATS:
        raise InvalidInputError("seats", f"must be 0 to {MAX_SEATS:,}")
    if amount is not None and not 0 <= amount <= MAX_AMOUNT:
        raise InvalidInputError("amount", f"must be 0 to {MAX_AMOUNT:,} minor units")
    if period not in PERIODS:
        raise InvalidInputError("period", f"{period!r} is not one of {', '.join(PERIODS)}")
    if len(cost_centre) > MAX_COST_CENTRE or not cost_centre.isprintable():
        raise InvalidInputError("cost_centre", f"must be at most {MAX_COST_CENTRE} printable characters")


def _subject(tier: str, cost_centre: str) -> str:
    return f"{tier}:{cost_centre}" if cost_centre else tier


def by_key(budgets: Sequence[Budget]) -> dict[BudgetKey, Budget]:
    """Return budgets by tier and folded cost centre."""
    return {budget.key: budget for budget in budgets}
