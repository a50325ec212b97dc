"""Budgets: what an owner lets provisioning spend on seats when a tier is full, and what is left of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select

from bridge.domain.documents import comparison_key
from bridge.domain.roles import Permission
from bridge.errors import NotFoundError
from bridge.store.journal import record
from bridge.store.models import BudgetPurchase, Contract, SeatBudget, SeatPool
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert

#: A purchase that was refused is tried again after so long, and not with every push.
PAUSE_AFTER_DECLINE: Final = timedelta(hours=1)
#: The alert of budgets that ended with their plan, until one is set, or the next boundary.
BUDGETS_ENDED: Final = "budgets_ended"

BudgetKey = tuple[str, str]
"""Tier and folded cost centre."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget with what was bought within it in its present period, [start, end).

    A seat counts by what it costs for a full period of the contract, however late in one it is bought, and also when
    it is taken back free of charge: that is what it costs from the next renewal on.

    Attributes:
        cost_centre: As it was written; empty for everybody whose own cost centre has no budget.
        seats: At most so many; None for no such cap.
        amount: At most so much for full periods of what is bought, minor units before tax; None for no such cap.
        period: ``month`` or ``period`` (of the contract).
        amount_used: What the bought seats cost for full periods, minor units before tax.
        amount_charged: What was charged for them when they were bought; never more.
        set_by: The actor.
        paused_until: No purchase is tried before; None when none was refused.
        refused_for: The code of that refusal.
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
    amount_used: int
    amount_charged: int
    set_at: datetime
    set_by: str
    paused_until: datetime | None
    refused_for: str | None

    @property
    def key(self) -> BudgetKey:
        """Name the budget."""
        return self.tier, comparison_key(self.cost_centre)

    @property
    def name(self) -> str:
        """Name the budget as the audit does."""
        return subject_of(self.tier, self.cost_centre)

    @property
    def seats_left(self) -> int | None:
        """Seats that may still be bought; None when only the amount has a cap."""
        return None if self.seats is None else max(0, self.seats - self.seats_bought)

    @property
    def amount_left(self) -> int | None:
        """What more seats may cost for a full period; None when only the seats have a cap."""
        return None if self.amount is None else max(0, self.amount - self.amount_used)

    @property
    def is_used_up(self) -> bool:
        """Whether nothing can be bought, whatever a seat costs."""
        return self.seats_left == 0 or self.amount_left == 0


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
        raise NotFoundError("budget", subject_of(tier, cost_centre))
    unit.session.delete(row)
    unit.session.flush()
    record(
        unit, "budget.removed", subject_kind="budget", subject_id=subject_of(tier, row.cost_centre), reason="by_hand"
    )


def end_budgets(unit: Unit) -> list[str]:
    """End every budget with the plan that it was set for, and tell the owners; return their names.

    They were set for its prices: under another plan nothing is bought that was not shown (rules Q1 and Q2).
    """
    names = [budget.name for budget in read_budgets(unit)]
    if names:
        unit.session.execute(delete(SeatBudget).where(SeatBudget.org_id == unit.org_id))
        unit.session.flush()
        raise_alert(unit, BUDGETS_ENDED, detail=f"Budgets ended with the plan ({', '.join(names)}): set them anew")
    return names


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
    found = [budget_of(unit, row, contract) for row in rows]
    return sorted(found, key=lambda budget: (order[budget.tier], budget.key[1]))


def budget_of(unit: Unit, row: SeatBudget, contract: Contract) -> Budget:
    """Return a budget with what was bought within it, also one that is not stored."""
    start, end = _period(row.period, contract, unit.at)
    price = select(SeatPool.price).where(SeatPool.org_id == unit.org_id, SeatPool.tier == row.tier).scalar_subquery()
    by_price = func.coalesce(BudgetPurchase.full_amount, BudgetPurchase.seats * price)
    seats, charged, used = unit.session.execute(
        select(
            func.coalesce(func.sum(BudgetPurchase.seats), 0),
            func.coalesce(func.sum(BudgetPurchase.amount), 0),
            func.coalesce(func.sum(by_price), 0),
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
        amount_used=int(used),
        amount_charged=int(charged),
        set_at=row.set_at,
        set_by=row.set_by,
        paused_until=row.declined_at + PAUSE_AFTER_DECLINE if row.declined_at else None,
        refused_for=row.refused_for,
    )


def _period(period: str, contract: Contract, at: datetime) -> tuple[datetime, datetime]:
    """Return the present period of a budget, [start, end)."""
    if period == "period":
        return contract.period_start, contract.period_end
    first = at.astimezone(ZoneInfo(contract.time_zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first.astimezone(at.tzinfo), following.astimezone(at.tzinfo)


def subject_of(tier: str, cost_centre: str) -> str:
    """Name a budget as the audit does."""
    return f"{tier}:{cost_centre}" if cost_centre else tier


def by_key(budgets: Sequence[Budget]) -> dict[BudgetKey, Budget]:
    """Return budgets by tier and folded cost centre."""
    return {budget.key: budget for budget in budgets}
