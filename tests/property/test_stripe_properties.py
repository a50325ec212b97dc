"""Stripe and the embedded core over random histories: the same seats, the same shares, the same renewals (rule P4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.billing.rules import charges, periods
from bridge.billing.rules.bills import Bill, BillReason, LineKind
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    ContractStatus,
    SeatCount,
    Tier,
    contract_terms,
)
from bridge.billing.rules.money import Currency
from bridge.billing.rules.refusals import RuleRefusal
from bridge.billing.rules.terms import Cycle
from bridge.billing.stripe.reading import Picture, read_bill, read_picture
from bridge.billing.stripe.steps import Change, Step, call_params, preview_params, steps_for
from bridge.errors import BillingCoreRefusedError
from tests.fakes.stripe_account import Account

TIERS = ("standard", "premium")
PRICE_IDS = {"standard": "price_standard", "premium": "price_premium"}
NOBODY: Mapping[str, int] = {}


@dataclass(frozen=True)
class Event:
    """So many seconds after the one before: seats that change, or a standard seat's holder who is upgraded."""

    seconds_later: int
    changes: Mapping[str, int]
    upgrade: bool


events = st.builds(
    Event,
    seconds_later=st.integers(0, 20 * 86_400),
    changes=st.fixed_dictionaries({}, optional={tier: st.integers(-4, 6) for tier in TIERS}),
    upgrade=st.booleans(),
)
starts = st.integers(0, 4 * 365 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def embedded_plan(start: datetime, seats: Mapping[str, int], amounts: Mapping[str, int], cycle: Cycle) -> ContractState:
    terms = contract_terms(
        ContractKind.TEAM,
        anchor=start,
        currency=Currency("EUR"),
        cycle=cycle,
        tiers=tuple(Tier(tier, tier) for tier in TIERS),
    )
    return ContractState(
        terms=terms,
        period_index=0,
        status=ContractStatus.ACTIVE,
        seats={tier: SeatCount(paid=seats[tier], next=seats[tier]) for tier in TIERS},
        prices=dict(amounts),
        next_prices=dict(amounts),
        credit_balance=0,
    )


def open_at_stripe(start: datetime, seats: Mapping[str, int], amounts: Mapping[str, int], cycle: Cycle) -> Account:
    account = Account(now=int(start.timestamp()))
    items = [
        {"price": PRICE_IDS[tier], "unit_amount": amounts[tier], "quantity": seats[tier], "name": tier}
        for tier in TIERS
    ]
    account.open_subscription(
        {"id": "sub_1", "currency": "eur", "interval": str(cycle), "start": account.now, "items": items}
    )
    return account


def picture_of(account: Account) -> Picture:
    subscription = account.subscription("sub_1")
    expanded = {**subscription, "customer": account.customer(subscription["customer"]), "test_clock": None}
    return read_picture(expanded, PRICE_IDS)


def quote_embedded(state: ContractState, event: Event, at: datetime) -> charges.SeatQuote | None:
    try:
        if event.upgrade:
            return charges.upgrade(state, "standard", "premium", at, NOBODY)
        return charges.change_seats(state, event.changes, at, NOBODY)
    except RuleRefusal:
        return None


def change_of(event: Event) -> Change:
    changes = {"premium": 1} if event.upgrade else event.changes
    return Change(changes, "standard" if event.upgrade else None, immediate_credit=False)


def newest_bill(account: Account, term: Picture) -> tuple[str, Any]:
    invoice = next(reversed(account.invoices.values()))
    return invoice["billing_reason"], read_bill(invoice, PRICE_IDS, term.term)


def net_by_tier(lines: Any) -> dict[str, int]:
    net: dict[str, int] = {}
    for line in lines:
        net[line.tier] = net.get(line.tier, 0) + line.amount
    return net


def assert_same_charge(stripe: Any, embedded: Bill) -> None:
    """Compare one change's bills.

    The embedded core charges the added seats in one line. Stripe gives back the rest of the old quantity and charges
    the new one's, each line rounded for itself: line by line that is rule P6 to the cent, and the difference of the two
    lines is never further than one cent from the one line. A tier that is exchanged has the same two lines in both.
    """
    for line in stripe.lines:
        assert line.kind in {LineKind.SEAT_CREDIT, LineKind.SEAT_PRORATION}
        # It was computed again by our own rules and came to Stripe's amount: reading it checks that.
        assert "as Stripe computed it" not in line.formula
    expected, found = net_by_tier(embedded.lines), net_by_tier(stripe.lines)
    assert found.keys() == expected.keys()
    assert all(abs(found[tier] - expected[tier]) <= 1 for tier in expected)


def renew_embedded(state: ContractState, until: datetime) -> tuple[ContractState, list[Bill]]:
    bills = []
    while state.term.end <= until:
        renewal = periods.renew(state, NOBODY)
        state = renewal.next_state
        if renewal.bill:
            bills.append(renewal.bill)
    return state, bills


@settings(max_examples=150, deadline=None)
@given(
    start=starts,
    seats=st.fixed_dictionaries({tier: st.integers(0, 12) for tier in TIERS}),
    amounts=st.fixed_dictionaries({tier: st.integers(1, 30_000) for tier in TIERS}),
    cycle=st.sampled_from(list(Cycle)),
    history=st.lists(events, max_size=8),
)
def test_p4_stripe_and_the_embedded_core_agree_on_random_histories(
    start: datetime, seats: dict[str, int], amounts: dict[str, int], cycle: Cycle, history: list[Event]
) -> None:
    state, account = embedded_plan(start, seats, amounts, cycle), open_at_stripe(start, seats, amounts, cycle)
    at = start
    for event in history:
        at += timedelta(seconds=event.seconds_later)
        known = len(account.invoices)
        account.advance(int(at.timestamp()))
        state, renewals = renew_embedded(state, at)
        picture = picture_of(account)
        renewed = [read_bill(invoice, PRICE_IDS, picture.term) for invoice in list(account.invoices.values())[known:]]
        assert [bill.total for bill in renewed] == [bill.total for bill in renewals]
        assert (picture.term.start, picture.term.end) == (state.term.start, state.term.end)
        state = carry_out(account, state, event, at)


def carry_out(account: Account, state: ContractState, event: Event, at: datetime) -> ContractState:
    """Make one change on both sides and compare; return the embedded plan afterwards."""
    picture, quote = picture_of(account), quote_embedded(state, event, at)
    if quote is None:
        assert_refused(picture, event)
        return state
    steps = steps_for(picture, change_of(event))
    proration_date = int(at.timestamp())
    previewed = None
    if steps.calls and steps.calls[0].invoiced:
        previewed = preview(account, steps.calls[0], picture, proration_date)
    for number in range(len(steps.calls)):
        params = call_params(picture, steps, number, mark="m1", proration_date=proration_date)
        account.update_subscription("sub_1", params)
    after = picture_of(account)
    assert {tier: (after.paid[tier], after.items[tier].quantity) for tier in TIERS} == {
        tier: (count.paid, count.next) for tier, count in quote.next_state.seats.items()
    }
    assert (previewed is None) == (quote.bill is None)
    if previewed is not None and quote.bill is not None:
        reason, charged = newest_bill(account, after)
        assert reason == "subscription_update"
        assert (charged.total, charged.reason) == (previewed.total, BillReason.SEAT_CHANGE)
        assert_same_charge(charged, quote.bill)
    return quote.next_state


def assert_refused(picture: Picture, event: Event) -> None:
    """Check that what our rules refuse is refused here too, as far as a core knows of it."""
    with pytest.raises(BillingCoreRefusedError, match="invalid_change"):
        steps_for(picture, change_of(event))


def preview(account: Account, step: Step, picture: Picture, proration_date: int) -> Any:
    return read_bill(account.preview(preview_params(picture, step, proration_date)), PRICE_IDS, picture.term)
