"""Answers of a billing core that break its published contract: refused by verb and field, and nothing is lost."""

import json
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
from bridge.errors import BillingCoreAnswerError, BillingCoreRefusedError
from bridge.jobs.work import place_orders_due, reconcile_everywhere
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import Alert, BillingOrder
from bridge.store.pools import read_pools
from bridge.usecases.attempts import LEASE
from bridge.usecases.buy_seats import confirm_seats, preview_seats
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
