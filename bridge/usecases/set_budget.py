"""Setting a budget: first shown with what is bought at once for who waits already, then set and charged exactly so."""

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from bridge.domain.documents import comparison_key
from bridge.domain.plan_kinds import EVALUATION
from bridge.domain.roles import Permission
from bridge.errors import BudgetNotPossibleError, InvalidInputError, PreviewStaleError
from bridge.ports import InvoiceReference
from bridge.store.journal import record
from bridge.store.models import Contract, Preview, SeatBudget
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import resolve_alerts
from bridge.usecases.budgets import BUDGETS_ENDED, Budget, BudgetKey, budget_of, read_budgets, subject_of
from bridge.usecases.buy_for_line import expected_purchases, serve_line
from bridge.usecases.previews import confirm_once, store_preview
from bridge.usecases.purses import BudgetUse, open_purse

KIND: Final = "budget"
PERIODS: Final = ("month", "period")
MAX_COST_CENTRE: Final = 255
MAX_SEATS: Final = 1_000_000
MAX_AMOUNT: Final = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDraft:
    """A budget as an owner wishes it.

    Attributes:
        tier: Of which seats.
        seats: At most so many in a period.
        amount: What is bought in a period costs at most so much for full periods, minor units before tax.
        period: ``month``, of the contract's time zone, or ``period``, of the contract.
        cost_centre: For people of this cost centre only; by default for everybody whose own has no budget.
    """

    tier: str
    seats: int | None = None
    amount: int | None = None
    period: str = "month"
    cost_centre: str = ""

    @property
    def key(self) -> BudgetKey:
        """Name the budget."""
        return self.tier, comparison_key(self.cost_centre)


@dataclass(frozen=True, slots=True)
class BudgetPreview:
    """What a budget would be, and what is bought at once for who waits, within it and the others.

    Attributes:
        budget: With what was bought in its present period already.
        seat_price: What one seat counts, minor units before tax.
        uses: What is bought at once, by budget.
    """

    id: uuid.UUID
    expires_at: datetime
    budget: Budget
    seat_price: int
    uses: tuple[BudgetUse, ...]

    @property
    def total(self) -> int:
        """What is charged at once, minor units, tax included."""
        return sum(use.total for use in self.uses)


@dataclass(frozen=True, slots=True)
class BudgetSet:
    """A budget that was set, and what that bought at once for who waited; a repeat answers the same.

    Attributes:
        seats_left: What is left of it then; None when only the amount has a cap.
        amount_left: The same in minor units, for full periods; None when only the seats have a cap.
        moved: How many people got another seat.
        invoices: What was charged.
    """

    draft: BudgetDraft
    seats_left: int | None
    amount_left: int | None
    moved: int
    invoices: tuple[InvoiceReference, ...]


def preview_budget(unit: Unit, draft: BudgetDraft) -> BudgetPreview:
    """Show a budget and what setting it would buy at once for who waits already (rule Q1).

    Raises:
        BudgetNotPossibleError: The plan is not sold by seats, it is an evaluation, or its billing core is elsewhere.
        ForbiddenError: The actor may not buy seats (rule Z1).
        InvalidInputError: There is no such tier or period, or no cap.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    _check(unit, draft)
    budget, uses = _expected(unit, draft, unit.at)
    preview = store_preview(unit, KIND, {"draft": asdict(draft), "uses": _charged(uses)})
    price = open_purse(unit).seat_price(draft.tier)
    return BudgetPreview(preview.id, preview.expires_at, budget, price, uses)


def confirm_budget(unit: Unit, preview_id: uuid.UUID, *, acknowledged: bool) -> BudgetSet:
    """Set a budget as it was shown, and buy exactly what was shown.

    Raises:
        AcknowledgementMissingError: The tick is missing.
        ForbiddenError: The actor may not buy seats (rule Z1).
        NotFoundError: There is no such preview here.
        PaymentFailedError: The payment was declined; the unit must roll back, and the budget is not set (rule Q4).
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: Something else would be bought by now.
    """

    def act(preview: Preview) -> dict[str, Any]:
        draft = BudgetDraft(**preview.request["draft"])
        _check(unit, draft)
        _, uses = _expected(unit, draft, preview.at)
        if _charged(uses) != preview.request["uses"]:
            raise PreviewStaleError
        _write(unit, draft)
        served = serve_line(unit, priced_at=preview.at)
        served.refuse_partial()
        unit.line_grew = False
        if _charged(served.uses) != preview.request["uses"]:
            raise PreviewStaleError
        left = next(one for one in read_budgets(unit) if one.key == draft.key)
        return {
            "draft": asdict(draft),
            "seats_left": left.seats_left,
            "amount_left": left.amount_left,
            "moved": len(served.moved),
            "invoices": [asdict(each) for each in served.invoices],
        }

    done = confirm_once(unit, preview_id, KIND, acknowledged=acknowledged, key=None, do="confirm_budget", act=act)
    invoices = tuple(InvoiceReference(**each) for each in done["invoices"])
    return BudgetSet(**{**done, "draft": BudgetDraft(**done["draft"]), "invoices": invoices})


def _expected(unit: Unit, draft: BudgetDraft, priced_at: datetime) -> tuple[Budget, tuple[BudgetUse, ...]]:
    """Return the budget as it would be, and what would be bought at once."""
    contract = unit.session.get_one(Contract, unit.org_id)
    row = SeatBudget(org_id=unit.org_id, tier=draft.tier, cost_centre_key=draft.key[1])
    _fill(row, draft, unit)
    budget = budget_of(unit, row, contract)
    purse = open_purse(unit, priced_at=priced_at, instead=budget)
    return budget, expected_purchases(unit, purse)[1]


def _write(unit: Unit, draft: BudgetDraft) -> None:
    row = unit.session.get(SeatBudget, (unit.org_id, *draft.key), populate_existing=True)
    before = None if row is None else {"seats": row.seats, "amount": row.amount, "period": row.period}
    if row is None:
        row = SeatBudget(org_id=unit.org_id, tier=draft.tier, cost_centre_key=draft.key[1])
        unit.session.add(row)
    _fill(row, draft, unit)
    unit.session.flush()
    resolve_alerts(unit, BUDGETS_ENDED)
    record(
        unit,
        "budget.set",
        subject_kind="budget",
        subject_id=subject_of(draft.tier, row.cost_centre),
        reason="by_hand",
        body={"before": before, "seats": draft.seats, "amount": draft.amount, "period": draft.period},
    )


def _fill(row: SeatBudget, draft: BudgetDraft, unit: Unit) -> None:
    row.cost_centre, row.seats, row.amount, row.period = draft.cost_centre, draft.seats, draft.amount, draft.period
    row.set_at, row.set_by, row.declined_at, row.refused_for = unit.at, str(unit.actor), None, None


def _charged(uses: Iterable[BudgetUse]) -> list[list[Any]]:
    """Return what a confirmation promises of purchases, in JSON values."""
    return [[use.tier, use.cost_centre, use.seats, use.total, use.amount_due, use.full_amount] for use in uses]


def _check(unit: Unit, draft: BudgetDraft) -> None:
    ladder = ladder_of(read_pools(unit))
    if not len(ladder):
        raise BudgetNotPossibleError("the plan is not sold by seats")
    if unit.session.get_one(Contract, unit.org_id).kind == EVALUATION:
        raise BudgetNotPossibleError("an evaluation buys nothing: set it once the plan has begun")
    if not unit.billing.sells_at_once:
        raise BudgetNotPossibleError("its billing core is another system, which answers an order later")
    if draft.tier not in ladder:
        raise InvalidInputError("tier", f"there is no tier {draft.tier!r}; there is {', '.join(ladder.keys)}")
    if draft.seats is None and draft.amount is None:
        raise InvalidInputError("budget", "needs a cap: a number of seats, an amount, or both")
    if draft.seats is not None and not 0 <= draft.seats <= MAX_SEATS:
        raise InvalidInputError("seats", f"must be 0 to {MAX_SEATS:,}")
    if draft.amount is not None and not 0 <= draft.amount <= MAX_AMOUNT:
        raise InvalidInputError("amount", f"must be 0 to {MAX_AMOUNT:,} minor units")
    if draft.period not in PERIODS:
        raise InvalidInputError("period", f"{draft.period!r} is not one of {', '.join(PERIODS)}")
    centre = draft.cost_centre
    if len(centre) > MAX_COST_CENTRE or not centre.isprintable() or centre != centre.strip():
        raise InvalidInputError(
            "cost_centre", f"must be at most {MAX_COST_CENTRE} printable characters, no outer space"
        )
