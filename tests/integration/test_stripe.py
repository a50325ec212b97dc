"""Seats that Stripe bills: Stripe's own SDK against a stand-in in a process of its own."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from bridge.billing.stripe import StripeBillingService
from bridge.core import BillingService, CoreEvent, EventKind, OrderState, SeatQuestion
from bridge.errors import BillingCoreRefusedError, BillingCoreUnreachableError, WebhookRefusedError
from bridge.store.models import StripeOrder
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.fakes.stripe import (
    API_KEY,
    CHANGES,
    PRICES,
    SUBSCRIPTION,
    WEBHOOK_SECRET,
    StripeStandIn,
    order,
    request_of,
    service_of,
    stripe_stand_in,
)
from tests.fakes.stripe_server import sign
from tests.integration.test_core_contract import BillingServiceContract

#: A period of 31 days, half of which is over at noon of the 16th.
START = datetime(2026, 3, 1, tzinfo=UTC)
HALFWAY = datetime(2026, 3, 16, 12, tzinfo=UTC)


@pytest.fixture
def stripe(clock: SettableClock) -> Iterator[StripeStandIn]:
    clock.at = HALFWAY
    with stripe_stand_in(START) as server:
        server.open_subscription(START)
        server.move_clock(HALFWAY)
        yield server


@pytest.fixture
def service(customer: Customer, stripe: StripeStandIn) -> StripeBillingService:
    return service_of(customer.runtime, customer.org_id, stripe.url)


def test_q2_a_purchase_is_charged_as_it_was_quoted_however_late_it_is_confirmed(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock
) -> None:
    quote = service.quote(SeatQuestion({"premium": 1}), key="quote")
    service.reserve(request_of(service, quote, "order-1", {"premium": 1}))
    clock.at = HALFWAY + timedelta(hours=8)
    stripe.move_clock(clock.at)

    placed = service.confirm("order-1")

    # One Premium seat for half of the period: 3 × 150.00 ÷ 2 − 2 × 150.00 ÷ 2 = 225.00 − 150.00 = 75.00.
    assert quote.bill is not None
    assert [line.amount for line in quote.bill.lines] == [-15000, 22500]
    assert placed.state is OrderState.PLACED
    assert placed.invoice is not None
    assert placed.invoice.bill == quote.bill
    assert placed.invoice.paid
    assert stripe.charges() == [7500]
    assert stripe.quantities() == {"standard": 5, "premium": 3}
    assert placed.subscription is not None
    assert placed.subscription.tiers["premium"].paid == 3


def test_a_quote_says_seats_and_renewal_before_and_after(service: StripeBillingService) -> None:
    quote = service.quote(SeatQuestion({"standard": 2}), key="quote")

    assert (quote.seats["standard"].paid, quote.seats["standard"].next) == (7, 7)
    # 5 × 25.00 + 2 × 150.00 = 425.00; two more Standard seats: 475.00.
    assert (quote.renewal_before, quote.renewal_after) == (42500, 47500)
    assert quote.renewal_at == datetime(2026, 4, 1, tzinfo=UTC)
    assert "2,678,400 s" in quote.bill.lines[0].formula if quote.bill else False


def test_d2_a_reduction_waits_for_the_renewal_and_credits_nothing(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock
) -> None:
    _, placed = order(service, "order-1", {"standard": -2})
    clock.at = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
    stripe.move_clock(clock.at)
    renewed = service.subscription()

    assert placed.state is OrderState.PLACED
    assert placed.invoice is None
    assert placed.subscription is not None
    assert (placed.subscription.tiers["standard"].paid, placed.subscription.tiers["standard"].next) == (5, 3)
    assert (renewed.tiers["standard"].paid, renewed.tiers["standard"].next) == (3, 3)
    # 3 × 25.00 + 2 × 150.00
    assert stripe.charges() == [37500]


def test_d4_an_increase_takes_back_lapsing_seats_for_nothing_and_charges_the_rest(
    service: StripeBillingService, stripe: StripeStandIn
) -> None:
    order(service, "order-1", {"standard": -2})

    _, placed = order(service, "order-2", {"standard": 3})

    # Two are paid for until the end; one for half a period: 4 × 25.00 ÷ 2 − 3 × 25.00 ÷ 2 = 12.50.
    assert stripe.charges() == [1250]
    assert placed.subscription is not None
    assert (placed.subscription.tiers["standard"].paid, placed.subscription.tiers["standard"].next) == (6, 6)
    assert stripe.quantities() == {"standard": 6, "premium": 2}


def test_d4_taking_back_alone_costs_nothing(service: StripeBillingService, stripe: StripeStandIn) -> None:
    order(service, "order-1", {"standard": -2})

    _, placed = order(service, "order-2", {"standard": 2})

    assert placed.invoice is None
    assert stripe.charges() == []
    assert stripe.quantities() == {"standard": 5, "premium": 2}


def test_q4_a_declined_card_changes_nothing(service: StripeBillingService, stripe: StripeStandIn) -> None:
    order(service, "order-1", {"standard": -2})
    stripe.set_card("declining")

    _, declined = order(service, "order-2", {"standard": 3})

    assert (declined.state, declined.reason) == (OrderState.DECLINED, "card_declined")
    assert stripe.quantities() == {"standard": 3, "premium": 2}
    assert service.subscription().tiers["standard"].paid == 5
    assert service.confirm("order-2") == declined


def test_q4_a_customer_without_a_payment_method_is_declined_too(
    service: StripeBillingService, stripe: StripeStandIn
) -> None:
    stripe.set_card("cardless")

    _, declined = order(service, "order-1", {"standard": 1})

    assert (declined.state, declined.reason) == (OrderState.DECLINED, "no_payment_method")


def test_p7_an_upgrade_exchanges_one_seat_for_another(service: StripeBillingService, stripe: StripeStandIn) -> None:
    order(service, "order-1", {"premium": 1}, upgrade_from="standard")

    # Half of 150.00 − 25.00.
    assert stripe.charges() == [6250]
    assert stripe.quantities() == {"standard": 4, "premium": 3}


def test_d5_an_immediate_credit_goes_to_the_balance_and_is_used_before_money(
    customer: Customer, stripe: StripeStandIn
) -> None:
    service = service_of(customer.runtime, customer.org_id, stripe.url, immediate_credit=True)

    _, credited = order(service, "order-1", {"standard": -2})
    order(service, "order-2", {"premium": 1})

    # Half of 2 × 25.00 comes back; half of 150.00 less that is charged.
    assert credited.invoice is not None
    assert (credited.invoice.bill.type, credited.invoice.bill.total) == ("credit_note", -2500)
    assert credited.subscription is not None
    assert credited.subscription.credit_balance == 2500
    assert stripe.charges() == [5000]


def test_q5_a_repeated_confirmation_answers_the_same_and_charges_once(
    service: StripeBillingService, stripe: StripeStandIn
) -> None:
    _, first = order(service, "order-1", {"premium": 1})

    again = service.confirm("order-1")

    assert again == first
    assert len(stripe.charges()) == 1


def test_q5_a_key_orders_one_thing(service: StripeBillingService) -> None:
    quote = service.quote(SeatQuestion({"premium": 1}), key="quote")
    service.reserve(request_of(service, quote, "order-1", {"premium": 1}))
    other = service.quote(SeatQuestion({"premium": 2}), key="other")

    with pytest.raises(BillingCoreRefusedError) as refused:
        service.reserve(request_of(service, other, "order-1", {"premium": 2}))

    assert refused.value.core_code == "idempotency_conflict"


def break_off(service: StripeBillingService, stripe: StripeStandIn, fault: str) -> None:
    """Confirm ``order-1`` in a way that only the change itself meets the fault."""
    stripe.break_things(only=CHANGES, faults={fault: 1})
    with pytest.raises(BillingCoreUnreachableError):
        service.confirm("order-1")
    stripe.break_things()


def keys_of_changes(stripe: StripeStandIn) -> list[str]:
    """Return the idempotency keys that changes were sent with, in order."""
    asked = stripe.state()["requests"]
    return [each["key"] for each in asked if each["method"] == "POST" and each["path"].startswith(CHANGES)]


def reserved(service: StripeBillingService, **changes: int) -> None:
    quote = service.quote(SeatQuestion(changes), key="quote")
    service.reserve(request_of(service, quote, "order-1", changes))


@pytest.mark.parametrize("days", [0, 3])
def test_case_x2_a_change_whose_answer_was_lost_is_charged_once_within_and_after_a_day(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock, days: int
) -> None:
    reserved(service, premium=1)
    break_off(service, stripe, "drop_answer")
    assert stripe.charges() == [7500]
    clock.at += timedelta(days=days)
    stripe.move_clock(clock.at)

    placed = service.confirm("order-1")

    assert placed.state is OrderState.PLACED
    assert placed.invoice is not None
    assert placed.invoice.bill.total == 7500
    assert stripe.charges() == [7500]
    assert stripe.quantities() == {"standard": 5, "premium": 3}


@pytest.mark.parametrize("days", [0, 3])
def test_a_change_that_never_arrived_is_sent_again_within_and_after_a_day(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock, days: int
) -> None:
    reserved(service, premium=1)
    break_off(service, stripe, "drop_request")
    assert stripe.charges() == []
    clock.at += timedelta(days=days)
    stripe.move_clock(clock.at)

    service.confirm("order-1")

    assert stripe.charges() == [7500]
    # Within a day exactly the stored request goes out under its key; afterwards a new one does.
    assert len(set(keys_of_changes(stripe))) == (1 if days == 0 else 2)


@pytest.mark.parametrize("fault", ["fail", "fail_late"])
def test_after_a_status_500_stripe_is_asked_before_a_new_key_is_used(
    service: StripeBillingService, stripe: StripeStandIn, fault: str
) -> None:
    reserved(service, premium=1)
    break_off(service, stripe, fault)

    placed = service.confirm("order-1")

    assert placed.state is OrderState.PLACED
    assert stripe.charges() == [7500]
    assert stripe.quantities() == {"standard": 5, "premium": 3}


def test_a_rate_limit_is_waited_out_under_the_same_key(service: StripeBillingService, stripe: StripeStandIn) -> None:
    reserved(service, premium=1)
    break_off(service, stripe, "limit")

    service.confirm("order-1")

    assert stripe.charges() == [7500]
    assert len(set(keys_of_changes(stripe))) == 1


def test_a_change_by_hand_meanwhile_is_not_overwritten(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock
) -> None:
    reserved(service, premium=1)
    break_off(service, stripe, "drop_request")
    stripe.do("quantity", {"subscription": SUBSCRIPTION, "price": PRICES["premium"], "quantity": 9})
    with pytest.raises(BillingCoreUnreachableError) as waiting:
        service.confirm("order-1")
    assert waiting.value.why == "in_flight"
    clock.at += timedelta(minutes=3)

    service.confirm("order-1")

    assert stripe.quantities() == {"standard": 5, "premium": 10}


def test_a_quote_whose_price_is_no_longer_so_is_declined(service: StripeBillingService, stripe: StripeStandIn) -> None:
    reserved(service, premium=1)
    stripe.do("price", {"price": PRICES["premium"], "unit_amount": 16000})

    declined = service.confirm("order-1")

    assert (declined.state, declined.reason) == (OrderState.DECLINED, "quote_stale")
    assert stripe.charges() == []


def test_an_order_that_was_not_sent_can_be_cancelled_and_never_comes_back(
    service: StripeBillingService, stripe: StripeStandIn
) -> None:
    reserved(service, premium=1)

    cancelled = service.cancel("order-1")

    assert cancelled.state is OrderState.CANCELLED
    assert service.confirm("order-1").state is OrderState.CANCELLED
    assert stripe.charges() == []


def test_an_unknown_order_that_is_cancelled_can_never_be_reserved(service: StripeBillingService) -> None:
    service.cancel("order-1")
    quote = service.quote(SeatQuestion({"premium": 1}), key="quote")

    late = service.reserve(request_of(service, quote, "order-1", {"premium": 1}))

    assert late.state is OrderState.CANCELLED


def test_cancelling_an_order_that_arrived_finds_it_placed(service: StripeBillingService, stripe: StripeStandIn) -> None:
    reserved(service, premium=1)
    break_off(service, stripe, "drop_answer")

    found = service.cancel("order-1")

    assert found.state is OrderState.PLACED
    assert stripe.charges() == [7500]


def test_cancelling_an_order_that_may_be_on_its_way_waits(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock
) -> None:
    reserved(service, premium=1)
    break_off(service, stripe, "drop_request")
    with pytest.raises(BillingCoreUnreachableError):
        service.cancel("order-1")
    clock.at += timedelta(minutes=3)

    cancelled = service.cancel("order-1")

    assert cancelled.state is OrderState.CANCELLED


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, "invalid_change"), ({"gold": 1}, "invalid_change"), ({"standard": -6}, "invalid_change")],
)
def test_d3_what_makes_no_sense_is_refused(service: StripeBillingService, changes: dict[str, int], code: str) -> None:
    with pytest.raises(BillingCoreRefusedError) as refused:
        service.quote(SeatQuestion(changes), key="quote")

    assert refused.value.core_code == code


def test_invoices_are_stripe_s_with_its_numbers(service: StripeBillingService) -> None:
    order(service, "order-1", {"premium": 1})

    invoices = service.invoices()

    assert [(invoice.bill.reason, invoice.bill.total, invoice.paid) for invoice in invoices] == [
        ("start", 42500, True),
        ("seat_change", 7500, True),
    ]
    assert service.document(invoices[1].id) == f"%PDF-1.4 /file/invoice/{invoices[1].id}/pdf".encode()


def test_a_renewal_is_told_by_polling_once(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock
) -> None:
    _, cursor = service.events(None)
    clock.at = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
    stripe.move_clock(clock.at)

    events, behind = service.events(cursor)

    assert [event.kind for event in events] == [
        EventKind.PRICE_CHANGED,
        EventKind.RENEWED,
        EventKind.INVOICE_PAID,
    ]
    renewal = events[1]
    assert renewal.subscription is not None
    assert renewal.invoice is not None
    assert renewal.subscription.period_start == datetime(2026, 4, 1, tzinfo=UTC)
    assert (renewal.invoice.bill.reason, renewal.invoice.bill.total) == ("renewal", 42500)
    assert service.events(behind)[0] == []


def test_r5_a_subscription_that_ran_out_has_ended(
    service: StripeBillingService, stripe: StripeStandIn, clock: SettableClock
) -> None:
    stripe.do("cancel_at_period_end", {"subscription": SUBSCRIPTION})
    forecast = service.quote(SeatQuestion({"premium": 1}), key="quote")
    clock.at = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
    stripe.move_clock(clock.at)

    ended = service.subscription()

    assert (forecast.renewal_before, forecast.renewal_after, forecast.renewal_lines) == (0, 0, ())
    assert not ended.active
    with pytest.raises(BillingCoreUnreachableError):
        service.quote(SeatQuestion({"premium": 1}), key="quote")


def test_a_wrong_key_is_said_so_and_shows_no_secret(customer: Customer, stripe: StripeStandIn) -> None:
    service = service_of(customer.runtime, customer.org_id, stripe.url, api_key="sk_test_of_somebody_else")

    with pytest.raises(BillingCoreUnreachableError) as refused:
        service.subscription()

    assert refused.value.why == "unauthorized"
    assert "sk_test" not in str(refused.value)


def test_a_test_clock_is_the_time(customer: Customer, clock: SettableClock) -> None:
    with stripe_stand_in(START) as stripe:
        stripe.open_subscription(START, test_clock=True)
        stripe.move_clock(HALFWAY)
        clock.at = datetime(2027, 1, 1, tzinfo=UTC)

        quote = service_of(customer.runtime, customer.org_id, stripe.url).quote(
            SeatQuestion({"premium": 1}), key="quote"
        )

    assert quote.at == HALFWAY


def signed(event: dict[str, object], at: datetime, secret: str = WEBHOOK_SECRET) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an event as Stripe sends it."""
    body = json.dumps(event, indent=2).encode()
    return {"stripe-signature": sign(secret, body, int(at.timestamp()))}, body


class TestStripeBillingService(BillingServiceContract):
    """What every billing core keeps, over a subscription at Stripe that has just begun."""

    @pytest.fixture
    def service(self, customer: Customer, clock: SettableClock) -> Iterator[StripeBillingService]:
        with stripe_stand_in(clock.at) as server:
            server.open_subscription(clock.at)
            yield service_of(customer.runtime, customer.org_id, server.url)

    def test_an_event_is_believed_by_its_signature(self, service: BillingService) -> None:
        assert isinstance(service, StripeBillingService)
        now = service.clock.now()
        paid = service.invoices()[0]
        event = {
            "id": "evt_1",
            "object": "event",
            "type": "invoice.paid",
            "created": int(now.timestamp()),
            "data": {"object": {"id": paid.id, "object": "invoice", "subscription": SUBSCRIPTION}},
        }

        verified = service.verify(*signed(event, now), now)

        assert verified == CoreEvent("evt_1", EventKind.INVOICE_PAID, now, invoice=paid)

    def test_an_event_that_was_altered_is_old_or_not_signed_is_refused(self, service: BillingService) -> None:
        now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        event: dict[str, object] = {
            "id": "evt_1",
            "type": "invoice.paid",
            "created": 1,
            "data": {"object": {"id": "in_1"}},
        }
        headers, body = signed(event, now)
        old, _ = signed(event, now - timedelta(minutes=6))
        foreign, _ = signed(event, now, "whsec_of_somebody_else")

        for sent_headers, sent in (
            (headers, body + b" "),
            (old, body),
            (foreign, body),
            ({"stripe-signature": "t=x,v1=00"}, body),
            ({"stripe-signature": headers["stripe-signature"].replace("v1=", "v0=")}, body),
            ({}, body),
            signed({"id": "evt_1"}, now),
        ):
            with pytest.raises(WebhookRefusedError):
                service.verify(sent_headers, sent, now)

    def test_an_event_about_something_else_says_nothing(self, service: BillingService) -> None:
        now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        thing = {"id": "in_9", "object": "invoice", "subscription": "sub_of_somebody_else"}
        events: list[dict[str, object]] = [
            {"id": "evt_1", "type": "invoice.paid", "created": 1, "data": {"object": thing}},
            {"id": "evt_2", "type": "charge.succeeded", "created": 1, "data": {"object": {"id": "ch_1"}}},
        ]

        assert [service.verify(*signed(event, now), now) for event in events] == [None, None]


def test_nothing_of_what_is_sent_to_stripe_reaches_the_log(
    service: StripeBillingService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    order(service, "order-1", {"premium": 1})

    assert not [record for record in caplog.records if record.name == "stripe"]
    assert API_KEY not in caplog.text
    assert API_KEY not in repr(service)
    assert WEBHOOK_SECRET not in repr(service)


def test_an_order_that_only_stripe_remembers_is_found_by_its_mark(
    customer: Customer, service: StripeBillingService
) -> None:
    _, placed = order(service, "order-1", {"premium": 1})
    with customer.unit() as unit:
        unit.session.execute(delete(StripeOrder))

    found = service.order_by_key("order-1")

    assert found == placed


def test_an_order_left_halfway_is_brought_to_its_end_before_the_next(
    service: StripeBillingService, stripe: StripeStandIn
) -> None:
    reserved(service, premium=1)
    quote = service.quote(SeatQuestion({"standard": 2}), key="quote")
    service.reserve(request_of(service, quote, "order-2", {"standard": 2}))
    break_off(service, stripe, "drop_request")

    service.confirm("order-2")

    # The seat of the first order, then two Standard seats: half of 150.00, and half of 2 × 25.00.
    assert stripe.charges() == [7500, 2500]
    found = service.order_by_key("order-1")
    assert found is not None
    assert found.state is OrderState.PLACED
    assert stripe.quantities() == {"standard": 7, "premium": 3}


def test_a_new_connection_asks_for_the_last_days_only_and_an_old_cursor_for_all(
    service: StripeBillingService, stripe: StripeStandIn
) -> None:
    # The subscription was opened fifteen days ago.
    fresh, _ = service.events(None)
    forgotten, _ = service.events("evt_of_last_year")

    assert list(fresh) == []
    assert [event.kind for event in forgotten] == [EventKind.INVOICE_PAID]
    assert stripe.state()["events"][0]["type"] == "invoice.finalized"
