"""Answers of a billing core that break its published contract: refused by verb and field, and nothing is lost."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, select

from bridge.adapters.core_http import HttpBillingService
from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.core import CoreQuote, OrderRequest, SeatQuestion
from bridge.core.documents import event_document, read_event
from bridge.domain.actors import OPERATOR, SYSTEM
from bridge.errors import BillingCoreAnswerError, BillingCoreRefusedError
from bridge.jobs.reconciliation import reconcile_organization
from bridge.jobs.work import place_orders_due, reconcile_everywhere
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import Alert, BillingOrder
from bridge.store.pools import read_pools
from bridge.usecases.attempts import LEASE
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.usecases.core_events import apply_event
from tests.cores import ExampleCore, LaterClock, Line, example_core, line_to, remote_customer, with_local_cores
from tests.factories import Customer

Alter = Callable[[Any], Any]
Ask = Callable[[HttpBillingService, OrderRequest], object]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExampleCore]:
    folder: Path = tmp_path_factory.mktemp("core")
    with example_core(folder) as core:
        yield core


@pytest.fixture
def line(core: ExampleCore) -> Iterator[Line]:
    with line_to(core) as line:
        yield line


@pytest.fixture
def clock() -> LaterClock:
    return LaterClock()


@pytest.fixture
def runtime(settings: Settings, database_url: URL, clock: LaterClock) -> Iterator[Runtime]:
    runtime = build_runtime(with_local_cores(settings), database_url, payments=BuiltinPayments(), clock=clock)
    yield runtime
    runtime.close()


@pytest.fixture
def customer(runtime: Runtime, core: ExampleCore, line: Line) -> Customer:
    return remote_customer(runtime, core, f"n-{uuid.uuid4()}")


def answering(alter: Alter, *, only: str = "") -> Callable[[str, bytes], bytes]:
    """Alter the documents that are answered to requests whose first line has a word in it."""

    def change(first: str, body: bytes) -> bytes:
        if only not in first:
            return body
        document = json.loads(body)
        changed = alter(document)
        return json.dumps(document if changed is None else changed).encode()

    return change


def setting(*path: Any, to: object) -> Alter:
    """Put something else into a place of a document."""

    def alter(document: Any) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = to

    return alter


def without(name: str) -> Alter:
    """Leave a field of a document out."""

    def alter(document: Any) -> None:
        del document[name]

    return alter


def capitalized(document: Any) -> None:
    """Call the tiers by other names."""
    subscription = document["subscription"]
    subscription["tiers"] = {name.capitalize(): tier for name, tier in subscription["tiers"].items()}


def list_of(document: object) -> object:
    """Put a document into a list."""
    return [document]


def ordered(quote: CoreQuote) -> OrderRequest:
    total = quote.bill.total if quote.bill else 0
    return OrderRequest(f"order-{uuid.uuid4()}", quote.id, {"premium": 1}, None, total, "EUR", quote.at)


ASKED: dict[str, Ask] = {
    "quote": lambda core, _: core.quote(SeatQuestion({"premium": 1}), key=f"quote-{uuid.uuid4()}"),
    "reserve": lambda core, order: core.reserve(order),
    "confirm": lambda core, order: (core.reserve(order), core.confirm(order.key)),
    "cancel": lambda core, order: core.cancel(order.key),
    "order_by_key": lambda core, order: (core.reserve(order), core.order_by_key(order.key)),
    "subscription": lambda core, _: core.subscription(),
    "invoices": lambda core, _: core.invoices(),
    "events": lambda core, order: (core.reserve(order), core.confirm(order.key), core.events(None)),
}
WORDS = {
    "reserve": "/orders HTTP",
    "confirm": "/confirm",
    "cancel": "/cancel",
    "order_by_key": "GET",
    "quote": "/quotes",
}


@pytest.mark.parametrize(
    ("verb", "alter", "problem"),
    [
        ("quote", setting("bill", "lines", 0, "amount", to="5.00"), "bill.lines.0.amount must be a whole number"),
        ("quote", without("expires_at"), "expires_at must be an instant with its offset, as 2026-03-02T09:00:00Z"),
        ("quote", list_of, "the document must be an object"),
        ("reserve", setting("state", to="done"), "state must be reserved, placed, declined, cancelled"),
        ("reserve", setting("key", to=7), "key must be a text of 1 to 2000 characters"),
        ("confirm", setting("subscription", to=None), "subscription must come with a placed order"),
        (
            "confirm",
            setting("subscription", "tiers", "premium", "paid", to=-1),
            "subscription.tiers.premium.paid must not be negative",
        ),
        (
            "confirm",
            setting("subscription", "tiers", "premium", "paid", to=10**13),
            "subscription.tiers.premium.paid must be at most 1,000,000",
        ),
        (
            "confirm",
            setting("subscription", "period", "end", to="9999-12-31T23:59:59Z"),
            "subscription.period.end must be in the years 1970 to 2999",
        ),
        (
            "confirm",
            setting("invoice", "lines", 0, "to", to="2001-01-01T00:00:00Z"),
            "invoice.lines.0.to must not come before from",
        ),
        ("quote", setting("seats", "premium", "paid", to=10**6 + 1), "seats.premium.paid must be at most 1,000,000"),
        ("confirm", setting("invoice", "total", to=1.5), "invoice.total must be a whole number"),
        ("confirm", setting("invoice", "currency", to="euro"), "invoice.currency must be a code of ISO 4217"),
        ("cancel", without("state"), "state must be reserved, placed, declined, cancelled"),
        ("order_by_key", without("key"), "key must be a text of 1 to 2000 characters"),
        (
            "subscription",
            setting("period", "end", to="2020-01-01T00:00:00Z"),
            "period.end must come after period.start",
        ),
        ("subscription", setting("tiers", to=[]), "tiers must be an object"),
        ("invoices", without("more"), "more must be true or false"),
        ("invoices", setting("invoices", 0, "paid", to="yes"), "invoices.0.paid must be true or false"),
        ("invoices", setting("invoices", 0, "number", to="A\nBcc: b@x"), "invoices.0.number must be one line without"),
        ("invoices", setting("invoices", 0, "id", to="x" * 201), "invoices.0.id must have at most 200 characters"),
        ("events", setting("events", to={}), "events must be a list"),
        ("events", setting("events", 0, "data", "order", "state", to=""), "events.0.data.order.state must be reserved"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_refused_by_verb_and_field(
    core: ExampleCore, line: Line, verb: str, alter: Alter, problem: str
) -> None:
    name = f"s-{uuid.uuid4()}"
    core.open(name)
    service = core.service(name)
    order = ordered(service.quote(SeatQuestion({"premium": 1}), key=f"quote-{name}"))
    line.alter = answering(alter, only=WORDS.get(verb, verb))

    with pytest.raises(BillingCoreAnswerError) as refusal:
        ASKED[verb](service, order)

    assert (refusal.value.code, refusal.value.verb) == ("billing_core_answer_invalid", verb)
    assert refusal.value.problem.startswith(problem)
    assert f"answered {verb} with what its contract does not allow: {problem}" in str(refusal.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000])
def test_i1_an_answer_that_is_no_json_is_refused(core: ExampleCore, line: Line, body: bytes) -> None:
    name = f"s-{uuid.uuid4()}"
    core.open(name)
    line.alter = lambda _, __: body

    with pytest.raises(BillingCoreAnswerError, match="the body must be JSON"):
        core.service(name).subscription()


def test_a_document_that_is_no_pdf_is_refused(core: ExampleCore, line: Line) -> None:
    name = f"s-{uuid.uuid4()}"
    core.open(name)
    invoice = core.service(name).invoices()[0]
    line.alter = lambda _, __: b"<html>sign in first</html>"

    with pytest.raises(BillingCoreAnswerError, match="the body must be a PDF"):
        core.service(name).document(invoice.id)


def test_i1_a_refusal_is_read_by_the_contract_too(core: ExampleCore, line: Line) -> None:
    name = f"s-{uuid.uuid4()}"
    core.open(name)
    service = core.service(name)
    told: list[str] = []
    for alter in (
        setting("code", to="no\x00way"),
        setting("code", to="no\u2028way"),
        setting("code", to="x" * 201),
        setting("detail", to="not\x00shown"),
    ):
        line.alter = answering(alter)
        with pytest.raises((BillingCoreAnswerError, BillingCoreRefusedError)) as refusal:
            service.quote(SeatQuestion({"gold": 1}, None), key=f"quote-{uuid.uuid4()}")
        told.append(str(refusal.value).partition(": ")[2].split(". ")[0])

    assert told == [
        "code must be a text of 1 to 2000 characters",
        "code must be a text of 1 to 2000 characters",
        "code must have at most 200 characters",
        # Of no use to the buyer, but a refusal all the same.
        "invalid_change",
    ]


def buy(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})
    with customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview.id, acknowledged=True)


def standing(customer: Customer) -> tuple[list[tuple[str, str | None]], int, list[str]]:
    """Return the orders with what they last met, the Premium seats, and what the owners are told."""
    with customer.unit() as unit:
        orders = [(one.state, one.last_error) for one in unit.session.scalars(select(BillingOrder))]
        premium = next(pool.total for pool in read_pools(unit) if pool.tier == "premium")
        told = list(unit.session.scalars(select(Alert.detail).where(Alert.resolved_at.is_(None))))
    return orders, premium, told


@pytest.mark.parametrize(
    ("verb", "alter", "field"),
    [
        ("reserve", setting("state", to="done"), "state must be reserved"),
        ("confirm", setting("invoice", "lines", 0, "amount", to=None), "invoice.lines.0.amount must be a whole number"),
        ("confirm", setting("key", to="order-of-somebody"), "key must be that of the order"),
        ("confirm", setting("state", to="reserved"), "state must be placed, declined or cancelled"),
        ("confirm", capitalized, "subscription.tiers must have premium, standard, under the same names as here"),
        ("confirm", setting("subscription", "currency", to="USD"), "subscription.currency must be EUR"),
    ],
)
def test_case_x2_an_order_that_was_answered_so_stays_pending_and_is_placed_once_when_the_core_is_mended(
    customer: Customer, core: ExampleCore, line: Line, clock: LaterClock, *, verb: str, alter: Alter, field: str
) -> None:
    buy(customer)
    line.alter = answering(alter, only=WORDS[verb])
    place_orders_due(customer.runtime)
    waiting = standing(customer)

    line.alter = lambda _, body: body
    clock.ahead = LEASE
    place_orders_due(customer.runtime)

    assert waiting[:2] == ([("pending", "answer_invalid")], 2)
    assert len(waiting[2]) == 1
    assert waiting[2][0].startswith(f"The billing core answered {verb} with what its contract does not allow: {field}")
    assert standing(customer) == ([("placed", None)], 3, [])
    assert len(core.invoices(customer.slug)) == 1


def test_q2_a_placed_order_that_brings_other_seats_is_told_and_named_until_it_is_accepted(
    customer: Customer, line: Line
) -> None:
    buy(customer)
    line.alter = answering(setting("subscription", "version", to=0), only=WORDS["confirm"])
    place_orders_due(customer.runtime)
    orders, premium, told = standing(customer)
    line.alter = lambda _, body: body

    found = reconcile_organization(customer.runtime, customer.org_id, OPERATOR, adopt=True)
    again = reconcile_organization(customer.runtime, customer.org_id, OPERATOR)

    # 2 seats and the one that was bought.
    [sentence] = told
    assert (orders, premium) == ([("placed", None)], 2)
    assert "was confirmed to make it 3 Premium seats, and the billing core has 2 after it" in sentence
    [named] = [one for one in found.differences if one.code == "order_placed_otherwise"]
    assert (named.sentence.split(". ")[0], named.repaired) == (sentence, True)
    assert again.is_clean
    assert standing(customer) == ([("placed", None)], 3, [])


def test_q2_a_credit_note_is_not_the_invoice_that_was_confirmed(customer: Customer, line: Line) -> None:
    buy(customer)
    line.alter = answering(setting("invoice", "type", to="credit_note"), only=WORDS["confirm"])

    place_orders_due(customer.runtime)

    orders, premium, [told] = standing(customer)
    assert (orders, premium) == ([("placed", None)], 3)
    assert re.search(r"confirmed for ([\d.,]+) EUR, and the billing core charged a credit note of \1 EUR", told)


def test_a_quote_without_a_tier_of_the_plan_is_refused(customer: Customer, line: Line) -> None:
    line.alter = answering(without_premium, only=WORDS["quote"])

    with pytest.raises(BillingCoreAnswerError, match=r"quote with what .* allow: seats must have premium"):
        buy(customer)


def without_premium(document: Any) -> None:
    del document["seats"]["premium"]


@pytest.mark.parametrize("alter", [capitalized, setting("subscription", "currency", to="USD")])
def test_r2_an_event_with_a_picture_that_cannot_be_the_plans_takes_no_seat_and_holds_no_event_up(
    customer: Customer, core: ExampleCore, alter: Alter
) -> None:
    core.act("POST", customer.slug, "/renew")
    events, _ = core.service(customer.slug).events(None)
    document = event_document(events[-1])
    alter(document["data"])
    before = standing(customer)[1]

    with customer.unit(SYSTEM) as unit:
        new = apply_event(unit, read_event(document))
    [told] = standing(customer)[2]
    reconcile_everywhere(customer.runtime)

    assert (new, before, standing(customer)[1]) == (True, 2, 2)
    assert told.startswith("The billing core told of a subscription that cannot be taken over: subscription.")
    assert standing(customer)[2] == []


def test_x8_the_nightly_comparison_tells_once_of_a_picture_that_cannot_be_the_plans(
    customer: Customer, line: Line
) -> None:
    def alter(document: Any) -> None:
        capitalized({"subscription": document})

    line.alter = answering(alter, only="/subscription HTTP")
    reconcile_everywhere(customer.runtime)
    first = standing(customer)
    found = reconcile_organization(customer.runtime, customer.org_id, OPERATOR, adopt=True)
    second = standing(customer)
    line.alter = lambda _, body: body
    reconcile_everywhere(customer.runtime)

    assert [(one.code, one.repaired) for one in found.differences] == [("subscription_unfit", False)]
    assert first == second
    assert (first[1], len(first[2])) == (2, 1)
    assert standing(customer) == ([], 2, [])


def test_case_x8_the_nightly_comparison_tells_of_such_answers_until_they_are_mended(
    customer: Customer, line: Line
) -> None:
    line.alter = answering(without("more"), only="/invoices")
    reconcile_everywhere(customer.runtime)
    _, _, told = standing(customer)

    line.alter = lambda _, body: body
    reconcile_everywhere(customer.runtime)

    assert [sentence.split(". ")[0] for sentence in told] == [
        "The billing core answered invoices with what its contract does not allow: more must be true or false"
    ]
    assert standing(customer)[2] == []
