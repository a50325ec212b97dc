"""What needs neither Stripe nor a database: reading, notes, quotes, signatures, and what may be connected."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.billing.stripe.connecting import check_subscription
from bridge.billing.stripe.events import read_signed
from bridge.billing.stripe.marks import mark_of
from bridge.billing.stripe.quotes import PinnedQuote, seal_of
from bridge.billing.stripe.reading import orders_note, paid_note, read_bill, read_picture
from bridge.billing.stripe.sdk import open_client
from bridge.errors import InvalidInputError, NotInstalledError, WebhookRefusedError
from tests.fakes.stripe_account import Account, Document
from tests.fakes.stripe_server import sign

START = datetime(2026, 3, 1, tzinfo=UTC)
PRICES = {"standard": "price_standard", "premium": "price_premium"}
#: What Stripe takes as one value of metadata.
LONGEST_VALUE = 500


def opened(**facts: Any) -> tuple[Account, Document]:
    """Open a subscription of 5 Standard and 2 Premium seats and return it as it is read."""
    account = Account(now=int(START.timestamp()))
    items = [
        {"price": "price_standard", "unit_amount": 2500, "quantity": 5, "name": "Standard"},
        {"price": "price_premium", "unit_amount": 15000, "quantity": 2, "name": "Premium"},
    ]
    wanted = {"id": "sub_1", "currency": "eur", "interval": "month", "start": account.now, "items": items, **facts}
    subscription = account.open_subscription(wanted)
    return account, {**subscription, "customer": account.customer(subscription["customer"]), "test_clock": None}


def test_without_the_extra_connecting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stripe", None)

    with pytest.raises(NotInstalledError, match=r"install 'seatbridge\[stripe\]'"):
        open_client("sk_test_seatbridge")


def test_d2_what_is_paid_for_is_noted_for_one_period_only() -> None:
    _, document = opened()
    now = read_picture(document, PRICES)
    noted = {**document, "metadata": {"seatbridge_paid": paid_note(now.term, {"standard": 7, "premium": 2})}}
    renewed = {**noted, "metadata": {"seatbridge_paid": "1 premium=2 standard=7"}}

    assert read_picture(noted, PRICES).paid == {"standard": 7, "premium": 2}
    assert read_picture(renewed, PRICES).paid == {"standard": 5, "premium": 2}


@pytest.mark.parametrize(
    "note", ["", "x", "1772323200 standard", "1772323200 standard=-3", "1772323200 gold=9 standard=x"]
)
def test_a_note_that_somebody_has_edited_gives_no_seat(note: str) -> None:
    _, document = opened()

    assert read_picture({**document, "metadata": {"seatbridge_paid": note}}, PRICES).paid["standard"] == 5


def test_the_marks_of_the_last_orders_fit_into_stripe_s_metadata() -> None:
    note = ""
    for number in range(100):
        note = orders_note(tuple(note.split()), mark_of("sub_1", f"order-{number}"))

    assert len(note) <= LONGEST_VALUE
    assert note.split()[-1] == mark_of("sub_1", "order-99")
    assert mark_of("sub_1", "order-1") != mark_of("sub_2", "order-1")


def test_q2_a_quote_s_id_carries_the_instant_that_it_was_pinned_to() -> None:
    pinned = PinnedQuote(START, START + timedelta(minutes=15), "base", seal_of({"premium": 1}, None, 7500, "EUR"))

    assert PinnedQuote.read(pinned.id) == pinned


@pytest.mark.parametrize("text", ["", "sq_1_2_3", "sq_x_2_3_4", "sq_99999999999999999999_2_3_4", "q_1_2_3_4"])
def test_what_is_no_quote_of_ours_is_unknown(text: str) -> None:
    assert PinnedQuote.read(text) is None


def test_q1_a_seal_fits_what_was_shown_and_nothing_else() -> None:
    shown = seal_of({"premium": 1, "standard": 0}, None, 7500, "EUR")

    assert seal_of({"premium": 1}, None, 7500, "EUR") == shown
    assert shown not in {
        seal_of({"premium": 2}, None, 7500, "EUR"),
        seal_of({"premium": 1}, "standard", 7500, "EUR"),
        seal_of({"premium": 1}, None, 7501, "EUR"),
        seal_of({"premium": 1}, None, 7500, "SEK"),
    }


def test_an_event_that_is_signed_with_two_secrets_at_a_rotation_is_believed() -> None:
    event = {"id": "evt_1", "type": "invoice.paid", "created": 1, "data": {"object": {"id": "in_1"}}}
    body = json.dumps(event).encode()
    old, new = (sign(secret, body, int(START.timestamp())) for secret in ("whsec_old", "whsec_new"))
    headers = {"stripe-signature": f"{old},{new.partition(',')[2]},v0=00"}

    assert [read_signed(headers, body, secret, START)["id"] for secret in ("whsec_old", "whsec_new")] == ["evt_1"] * 2


@pytest.mark.parametrize("header", ["", "t=1", "v1=00", "t=1,t=2,v1=00", "t=" + "9" * 40 + ",v1=00", "," * 500])
def test_a_header_that_is_no_signature_is_refused(header: str) -> None:
    with pytest.raises(WebhookRefusedError):
        read_signed({"stripe-signature": header}, b"{}", "whsec_1", START)


def test_a_line_that_somebody_added_at_stripe_keeps_its_words_and_amount() -> None:
    account, document = opened()
    invoice = next(iter(account.invoices.values()))
    by_hand = {
        "amount": 9900,
        "description": "Onboarding",
        "parent": {"type": "invoice_item_details", "invoice_item_details": {"proration": False}},
        "period": {"start": account.now, "end": account.now},
        "pricing": None,
        "quantity": 1,
    }
    invoice["lines"]["data"].append(by_hand)

    line = read_bill(invoice, PRICES, read_picture(document, PRICES).term).lines[-1]

    assert (line.kind, line.tier, line.amount) == ("other", "Onboarding", 9900)


def test_a_subscription_as_it_should_be_is_taken() -> None:
    _, document = opened()

    assert check_subscription(document, PRICES, cycle="month").paid == {"standard": 5, "premium": 2}


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"collection_method": "send_invoice"}, "charge automatically"),
        ({"currency": "isk"}, "counted in other units"),
        ({"currency": "kwd"}, "counted in other units"),
        ({"interval": "year"}, "must recur every month"),
    ],
)
def test_a_subscription_that_cannot_bill_the_plan_is_refused(facts: dict[str, str], sentence: str) -> None:
    _, document = opened(**facts)

    with pytest.raises(InvalidInputError, match=sentence):
        check_subscription(document, PRICES, cycle="month")


def test_a_price_in_steps_a_schedule_and_a_missing_item_are_refused() -> None:
    _, document = opened()
    item = document["items"]["data"][0]
    stepped = {**item, "price": {**item["price"], "unit_amount": None, "billing_scheme": "tiered"}}
    with_steps = {**document, "items": {"data": [stepped, document["items"]["data"][1]]}}

    for wrong, prices, sentence in (
        (with_steps, PRICES, "one whole amount"),
        ({**document, "schedule": "sub_sched_1"}, PRICES, "schedule"),
        (document, {**PRICES, "gold": "price_gold"}, "no item for the price of gold"),
        (document, {str(number): f"price_{number}" for number in range(6)}, "at most 5 tiers"),
        ({}, PRICES, "no subscription that can be read"),
    ):
        with pytest.raises(InvalidInputError, match=sentence):
            check_subscription(wrong, prices, cycle="month")
