"""Seats: pools, buying, swaps, the line, budgets, thresholds and forecasts."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.domain.scopes import Scope
from bridge.store.pools import read_pools
from bridge.usecases.budgets import list_budgets, remove_budget
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.usecases.forecast_seats import WEEKS, forecast_seats
from bridge.usecases.people import name_people
from bridge.usecases.seats import pool_views, read_contract
from bridge.usecases.set_budget import BudgetDraft, confirm_budget, preview_budget
from bridge.usecases.swap_seats import confirm_swap, preview_swap
from bridge.usecases.waiting_list import leave_line, list_waiting, move_to_front
from bridge.usecases.watch_tiers import read_thresholds, set_thresholds
from bridge.web.api.accepting import Accept, accepts, shown
from bridge.web.api.calls import Call
from bridge.web.api.money import BillShape, BudgetUseShape, InvoiceReferenceShape, OrderReferenceShape, bill_total
from bridge.web.api.operations import Resource
from bridge.web.api.shapes import Answer, Body, Page, Query

seats = Resource("Seats", "How many seats there are, who waits for one, and what more of them cost.", "/seats")


class PoolShape(Answer):
    """The seats of one tier. Prices are minor units for a seat and period, null for keys that may not see money."""

    tier: str
    name: str
    bought: int
    used: int
    free: int
    waiting: int
    lapsing: int
    price: int | None
    next_price: int | None


class Pools(Answer):
    """Every tier, best first, and how many would take a seat of any."""

    currency: str
    pools: list[PoolShape]
    waiting_for_any: int


class SeatsBody(Body):
    """More or fewer seats by tier: `{"premium": 2, "standard": -1}`."""

    changes: Annotated[dict[str, int], Field(min_length=1, max_length=100)]


class SeatCountShape(Answer):
    """Seats of a tier: paid in this period, and the next period's."""

    paid: int
    next: int


class PromotionShape(Answer):
    """Somebody in line who gets one of the seats."""

    person_id: uuid.UUID
    name: str | None
    from_tier: str | None
    to_tier: str


class SeatsPreviewShape(Answer):
    """What a change of seats costs and whom it serves, good until `expires_at` or until something changes.

    `renewal_before` and `renewal_after` are minor units before tax.
    """

    id: uuid.UUID
    expires_at: datetime
    changes: dict[str, int]
    currency: str
    bill: BillShape | None
    total_today: int
    seats: dict[str, SeatCountShape]
    renewal_at: datetime
    renewal_before: int
    renewal_after: int
    sentences: list[str]
    promotions: list[PromotionShape]


class SeatsChanged(Answer):
    """What a confirmed change did. With an `order` the rest comes when the billing core has confirmed it."""

    changes: dict[str, int]
    invoice: InvoiceReferenceShape | None
    promoted: list[uuid.UUID]
    order: OrderReferenceShape | None


class SwapBody(Body):
    """Two people who exchange what they hold."""

    first: uuid.UUID
    second: uuid.UUID


class SwapSideShape(Answer):
    """One of the two."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    user_name: str
    name: str
    from_tier: str | None
    to_tier: str | None
    waiting_for: str | None


class SwapPreviewShape(Answer):
    """What each of two people would hold after a swap; it costs nothing."""

    id: uuid.UUID
    expires_at: datetime
    sides: list[SwapSideShape]


class Swapped(Answer):
    """Who exchanged what they held."""

    people: list[uuid.UUID]


class WaitingShape(Answer):
    """Somebody in line: `place` in the whole line, `ranks` among those who would take a seat of a tier."""

    place: int
    person_id: uuid.UUID = Field(validation_alias="member_id")
    user_name: str
    name: str
    tier: str | None
    waiting_for: str
    since: datetime
    moved: bool
    ranks: dict[str, int]
    because: str


class WaitingPage(Page):
    """The line, first in line first."""

    items: list[WaitingShape]


class WhyBody(Body):
    """The reason, for the audit: without names, since it stays when people are erased."""

    why: Annotated[str, Field(min_length=1, max_length=200)]


class BudgetShape(Answer):
    """What provisioning may spend on seats of a tier in its present period, [start, end); minor units."""

    tier: str
    cost_centre: str
    seats: int | None
    amount: int | None
    period: str
    start: datetime
    end: datetime
    currency: str
    seats_bought: int
    seats_left: int | None
    amount_used: int
    amount_charged: int
    amount_left: int | None
    set_by: str
    set_at: datetime
    paused_until: datetime | None
    refused_for: str | None


class BudgetsPage(Page):
    """Every budget."""

    items: list[BudgetShape]


class BudgetBody(Body):
    """A budget: at most so many seats, or so much in minor units before tax, in a month or contract period."""

    tier: str
    seats: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    amount: Annotated[int | None, Field(ge=0, le=10**12)] = None
    period: Literal["month", "period"] = "month"
    cost_centre: str = ""


class BudgetPreviewShape(Answer):
    """What a budget would be, and what it buys at once for who waits already."""

    id: uuid.UUID
    expires_at: datetime
    budget: BudgetShape
    seat_price: int
    uses: list[BudgetUseShape]
    total_today: int


class BudgetSetShape(Answer):
    """A budget that was set, and what it bought at once."""

    seats_left: int | None
    amount_left: int | None
    moved: int
    invoices: list[InvoiceReferenceShape]


class BudgetName(Query):
    """Which budget of a tier."""

    cost_centre: Annotated[str, Field(description="The budget's; without it, that of everybody else.")] = ""


class ThresholdsShape(Answer):
    """At how many percent of a tier's seats in use the owners hear of it; 100 is full."""

    percents: list[int]
    set_at: datetime | None
    set_by: str | None


class ThresholdsBody(Body):
    """Percentages; none at all for never."""

    percents: Annotated[list[int], Field(max_length=5)]


class TrendShape(Answer):
    """Seats more each week: the median of all slopes, and the quarters around it."""

    per_week: float
    low: float
    high: float


class TierForecastShape(Answer):
    """When a tier will be full, and what the next renewal needs."""

    tier: str
    name: str
    seats: int
    used: int
    waiting: int
    weeks: int
    trend: TrendShape | None
    full_at: datetime | None
    full_earliest: datetime | None
    needed_at_renewal: int | None
    to_buy: int | None


class RenewalForecastShape(Answer):
    """The next renewal, minor units before tax."""

    at: datetime
    currency: str
    as_of_today: int
    with_trend: int
    seats: dict[str, int]


class MonthShape(Answer):
    """One calendar month; `invoiced` is null for keys that may not see money."""

    month: str
    seats: dict[str, int]
    used: dict[str, int]
    invoiced: int | None


class ForecastShape(Answer):
    """What is to come, and how the last twelve months went."""

    at: datetime
    currency: str
    tiers: list[TierForecastShape]
    renewal_at: datetime | None
    renewal: RenewalForecastShape | None
    months: list[MonthShape]


class ForecastQuery(Query):
    """How far the trend looks back."""

    weeks: Annotated[int, Field(ge=1, le=104)] = WEEKS


@seats.get(scope=Scope.SEATS_READ, answer=Pools)
def list_pools(call: Call) -> object:
    """Read how many seats of each tier are bought, used and free, and who waits."""
    sees_money = call.unit.actor.may(Permission.SEE_BILLING)
    pools, waiting_for_any = pool_views(call.unit, read_pools(call.unit))
    return {
        "currency": read_contract(call.unit).currency,
        "pools": [
            {name: getattr(pool, name) for name in ("tier", "name", "bought", "used", "free", "waiting", "lapsing")}
            | {
                "price": pool.price if sees_money else None,
                "next_price": pool.next_price if sees_money else None,
            }
            for pool in pools
        ],
        "waiting_for_any": waiting_for_any,
    }


@seats.preview("/previews", scope=Scope.BILLING_WRITE, answer=SeatsPreviewShape)
def preview_seat_change(call: Call, body: SeatsBody) -> object:
    """Show what more or fewer seats cost, with the formula, and whom they serve.

    The moment that the cost counts from is pinned: applying charges exactly what is shown, or nothing.
    """
    preview = preview_seats(call.unit, body.changes)
    quote = preview.quote
    names = name_people(call.unit, [one.member_id for one in preview.promotions])
    return {
        "id": preview.id,
        "expires_at": preview.expires_at,
        "changes": quote.change.changes,
        "currency": quote.currency,
        "bill": quote.bill,
        "total_today": shown(call.unit, preview.id, bill_total(quote.bill), quote.currency),
        "seats": quote.seats,
        "renewal_at": quote.renewal_at,
        "renewal_before": quote.renewal_before,
        "renewal_after": quote.renewal_after,
        "sentences": quote.sentences,
        "promotions": [
            {
                "person_id": one.member_id,
                "name": names.get(one.member_id),
                "from_tier": one.from_tier,
                "to_tier": one.to_tier,
            }
            for one in preview.promotions
        ],
    }


@seats.post("/previews/<uuid:preview_id>/apply", scope=Scope.BILLING_WRITE, answer=SeatsChanged)
def apply_seat_change(call: Call, preview_id: uuid.UUID, body: Accept) -> object:
    """Do what a preview of seats showed, once, and charge exactly that; then serve who waits.

    A preview that was applied answers the same again. `accepted_total` is always needed, 0 included.
    """
    return confirm_seats(call.unit, preview_id, acknowledged=accepts(call.unit, preview_id, body.accepted_total))


@seats.preview("/swap-previews", scope=Scope.SEATS_WRITE, answer=SwapPreviewShape)
def preview_seat_swap(call: Call, body: SwapBody) -> object:
    """Show what two people would hold after a swap. One of them may hold no seat, and wait for one."""
    return preview_swap(call.unit, MemberId(body.first), MemberId(body.second))


@seats.post("/swap-previews/<uuid:preview_id>/apply", scope=Scope.SEATS_WRITE, answer=Swapped)
def apply_seat_swap(call: Call, preview_id: uuid.UUID) -> object:
    """Swap as previewed, for nothing: both seats change, or none does."""
    return {"people": [member.id for member in confirm_swap(call.unit, preview_id)]}


@seats.get("/waiting", scope=Scope.SEATS_READ, answer=WaitingPage)
def list_waiting_people(call: Call) -> object:
    """List who waits for a seat, in the order in which they get one."""
    return {"items": list_waiting(call.unit)}


@seats.post("/waiting/<uuid:person_id>/promote", scope=Scope.SEATS_WRITE, answer=WaitingShape)
def promote_waiting_person(call: Call, person_id: uuid.UUID, body: WhyBody) -> object:
    """Move somebody to the front of the line: the next seat they can use is theirs."""
    move_to_front(call.unit, MemberId(person_id), body.why)
    return next(one for one in list_waiting(call.unit) if one.member_id == person_id)


@seats.post("/waiting/<uuid:person_id>/leave", scope=Scope.SEATS_WRITE, answer=None, status=204)
def dequeue_waiting_person(call: Call, person_id: uuid.UUID, body: WhyBody) -> None:
    """Take somebody out of the line; a seat they hold stays theirs, and they count as placed by hand."""
    leave_line(call.unit, MemberId(person_id), body.why)


@seats.get("/budgets", scope=Scope.BILLING_READ, answer=BudgetsPage)
def list_seat_budgets(call: Call) -> object:
    """List every budget with what is left of it."""
    return {"items": list_budgets(call.unit)}


@seats.preview("/budget-previews", scope=Scope.BILLING_WRITE, answer=BudgetPreviewShape)
def preview_seat_budget(call: Call, body: BudgetBody) -> object:
    """Show a budget for provisioning, and what setting it buys at once for who waits already."""
    preview = preview_budget(call.unit, BudgetDraft(**_fields(body)))
    return {
        **{name: getattr(preview, name) for name in ("id", "expires_at", "budget", "seat_price", "uses")},
        "total_today": shown(call.unit, preview.id, preview.total, preview.budget.currency),
    }


@seats.post("/budget-previews/<uuid:preview_id>/apply", scope=Scope.BILLING_WRITE, answer=BudgetSetShape)
def apply_seat_budget(call: Call, preview_id: uuid.UUID, body: Accept) -> object:
    """Set a previewed budget, and buy what was shown for who waits."""
    return confirm_budget(call.unit, preview_id, acknowledged=accepts(call.unit, preview_id, body.accepted_total))


@seats.delete("/budgets/<tier>", scope=Scope.BILLING_WRITE)
def remove_seat_budget(call: Call, tier: str, query: BudgetName) -> None:
    """Let provisioning buy no more seats under a budget; what was bought stays."""
    remove_budget(call.unit, tier, cost_centre=query.cost_centre)


@seats.get("/thresholds", scope=Scope.SEATS_READ, answer=ThresholdsShape)
def get_thresholds(call: Call) -> object:
    """Read at which shares of a tier the owners hear that it fills up."""
    return read_thresholds(call.unit)


@seats.put("/thresholds", scope=Scope.SEATS_WRITE, answer=ThresholdsShape, reads=get_thresholds)
def put_thresholds(call: Call, body: ThresholdsBody) -> object:
    """Say at which shares of a tier the owners hear that it fills up."""
    return set_thresholds(call.unit, body.percents)


@seats.get("/forecast", scope=Scope.SEATS_READ, answer=ForecastShape)
def get_forecast(call: Call, query: ForecastQuery) -> object:
    """Say when each tier will be full, what the next renewal needs and costs, and how the last 12 months went."""
    return forecast_seats(call.unit, weeks=query.weeks)


def _fields(body: Body) -> dict[str, Any]:
    return body.model_dump()
