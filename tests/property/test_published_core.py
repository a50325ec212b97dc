"""The published contract and what reads and writes it here agree: on every document, whole or damaged."""

import json
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import CoreEvent, CoreInvoice, CoreOrder, CoreQuote, CoreSubscription, CoreTier, EventKind, OrderState
from bridge.core import documents as written
from bridge.core.fields import FieldError
from bridge.ports import Bill, BillLine, SeatCount
from tests.published_core import PublishedContract

CONTRACT = PublishedContract()
Read = Callable[[object], object]

numbers = st.integers(-(10**15), 10**15)
counts = st.integers(0, 10**15)
seats = st.integers(0, 10**6)
tiers = st.sampled_from(["premium", "standard", "Team Lead"])
texts = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
notes = st.text(st.characters(categories=["L", "N", "P"]), max_size=20)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (bounds)
lines = st.builds(
    lambda terms, **more: BillLine(start=min(terms), end=max(terms), **more),
    terms=st.tuples(instants, instants),
    kind=texts,
    tier=tiers,
    quantity=numbers,
    unit_price=numbers,
    amount=numbers,
    formula=texts,
    exact=texts,
    explanation=notes,
    share=st.none() | texts,
)


def bills(currency: str) -> st.SearchStrategy[Bill]:
    return st.builds(
        Bill,
        type=st.sampled_from(["invoice", "credit_note"]),
        reason=texts,
        currency=st.just(currency),
        lines=st.lists(lines, max_size=2).map(tuple),
        subtotal=numbers,
        tax=numbers,
        total=numbers,
        credit_applied=numbers,
        amount_due=numbers,
    )


invoices = st.builds(CoreInvoice, id=texts, number=texts, at=instants, bill=bills("EUR"), paid=st.booleans())
subscriptions = st.builds(
    CoreSubscription,
    version=counts,
    active=st.booleans(),
    currency=st.just("EUR"),
    period_start=st.just(datetime(2026, 3, 1, tzinfo=UTC)),
    period_end=st.just(datetime(2026, 4, 1, tzinfo=UTC)),
    tiers=st.dictionaries(tiers, st.builds(CoreTier, paid=seats, next=seats, price=counts, next_price=counts)),
    credit_balance=counts,
)
orders = st.builds(
    CoreOrder,
    key=texts,
    state=st.sampled_from(OrderState),
    invoice=st.none() | invoices,
    subscription=subscriptions,
    reason=st.none() | texts,
)
quotes = st.builds(
    CoreQuote,
    id=texts,
    at=instants,
    expires_at=instants,
    currency=st.just("SEK"),
    bill=st.none() | bills("SEK"),
    seats=st.dictionaries(tiers, st.builds(SeatCount, paid=seats, next=seats)),
    renewal_at=instants,
    renewal_before=numbers,
    renewal_after=numbers,
    renewal_lines=st.lists(lines, max_size=2).map(tuple),
    sentences=st.lists(texts, max_size=2).map(tuple),
)
events = st.builds(
    CoreEvent,
    id=texts,
    kind=st.sampled_from(EventKind),
    at=instants,
    subscription=st.none() | subscriptions,
    invoice=st.none() | invoices,
    order=st.none() | orders,
)


@given(quote=quotes)
def test_a_quote_is_written_as_published_and_read_as_written(quote: CoreQuote) -> None:
    document = json.loads(json.dumps(written.quote_document(quote)))

    assert CONTRACT.problems("Quote", document) == []
    assert written.read_quote(document) == quote


@given(event=events)
def test_an_event_is_written_as_published_and_read_as_written(event: CoreEvent) -> None:
    document = json.loads(json.dumps(written.event_document(event)))

    assert CONTRACT.problems("Event", document) == []
    assert written.read_event(document) == event


LINE = {
    "kind": "seat",
    "tier": "premium",
    "quantity": 1,
    "from": "2026-03-02T09:00:00Z",
    "to": "2026-04-02T09:00:00+02:00",
    "unit_price": 15000,
    "amount": 15000,
    "formula": "1 × 150.00",
    "exact": "15000",
    "explanation": "",
}
BILL = {
    "type": "invoice",
    "reason": "seat_change",
    "lines": [LINE],
    "subtotal": 15000,
    "tax": 0,
    "total": 15000,
    "credit_applied": 0,
    "amount_due": 15000,
}
SUBSCRIPTION = {
    "version": 3,
    "status": "active",
    "currency": "EUR",
    "period": {"start": "2026-03-02T09:00:00Z", "end": "2026-04-02T09:00:00Z"},
    "tiers": {"premium": {"paid": 3, "next": 3, "price": 15000, "next_price": 15000}},
    "credit_balance": 0,
}
INVOICE = {"id": "inv_1", "number": "C-1", "at": "2026-03-02T09:00:00Z", "currency": "EUR", "paid": True, **BILL}
ORDER = {"key": "order-1", "state": "placed", "invoice": INVOICE, "subscription": SUBSCRIPTION, "reason": None}
QUOTE = {
    "id": "quote_1",
    "at": "2026-03-02T09:00:00Z",
    "expires_at": "2026-03-02T09:15:00Z",
    "currency": "EUR",
    "bill": BILL,
    "seats": {"premium": {"paid": 3, "next": 3}},
    "renewal": {"at": "2026-04-02T09:00:00Z", "before": 42500, "after": 57500, "lines": [LINE]},
    "sentences": ["Nothing else."],
}
EVENT = {
    "id": "evt_1",
    "type": "order.placed",
    "at": "2026-03-02T09:00:00Z",
    "data": {"subscription": SUBSCRIPTION, "invoice": INVOICE, "order": ORDER},
}
INVOICES = {"invoices": [INVOICE], "next": "1", "more": False}
EVENTS = {"events": [EVENT], "next": None, "more": True}
OTHERS: tuple[object, ...] = (
    None,
    "",
    "x",
    "eur",
    "2026-03-02",
    "1969-12-31T23:59:59Z",
    "3000-01-01T00:00:00Z",
    "a\x00b",
    "a\nb",
    "x" * 201,
    "x" * 2001,
    -1,
    1.5,
    10**6 + 1,
    10**16,
    True,
    False,
    [],
    {},
    ["x"],
)
_GONE = object()
#: Checked by themselves, and therefore not again inside of others.
WHOLE = (SUBSCRIPTION, INVOICE, ORDER)

ANSWERS: dict[str, tuple[str | dict[str, Any], Any, Read]] = {
    "quote": ("Quote", QUOTE, written.read_quote),
    "order": ("Order", ORDER, written.read_core_order),
    "subscription": ("Subscription", SUBSCRIPTION, written.read_subscription),
    "invoice": ("Invoice", INVOICE, written.read_invoice),
    "invoices": (
        CONTRACT.document["paths"]["/invoices"]["get"]["responses"]["200"]["content"]["application/json"]["schema"],
        INVOICES,
        lambda page: written.read_page(page, "invoices", written.read_invoice),
    ),
    "events": (
        CONTRACT.document["paths"]["/events"]["get"]["responses"]["200"]["content"]["application/json"]["schema"],
        EVENTS,
        lambda page: written.read_page(page, "events", written.read_event),
    ),
}


def places(document: Any, closed: Collection[object]) -> Iterator[tuple[Any, ...]]:
    """Name every place in a document, from the outside in, but for what stands inside of those that are closed."""
    items = dict(enumerate(document)) if isinstance(document, list) else document
    for name, value in items.items() if isinstance(items, dict) else ():
        yield (name,)
        if value not in closed:
            yield from ((name, *inner) for inner in places(value, closed))


def damaged(document: Any, place: tuple[Any, ...], other: object) -> Any:
    """Return a copy of a document with something else in one place, or nothing."""
    damaged = json.loads(json.dumps(document))
    holder = damaged
    for name in place[:-1]:
        holder = holder[name]
    if other is not _GONE:
        holder[place[-1]] = other
    elif isinstance(holder, dict):
        del holder[place[-1]]
    return damaged


@pytest.mark.parametrize("what", ANSWERS)
def test_what_breaks_the_schema_is_refused_by_its_field_and_nothing_else_is(what: str) -> None:
    schema, sample, read = ANSWERS[what]
    differently = []

    for place in places(sample, [one for one in WHOLE if one != sample]):
        for other in (*OTHERS, _GONE):
            document = damaged(sample, place, other)
            fits = not CONTRACT.problems(schema, document)
            refusal = refused(read, document)
            if fits != (refusal is None) or not names(refusal, place):
                differently.append((place, other, fits, refusal and str(refusal)))

    assert CONTRACT.problems(schema, sample) == []
    assert differently == []


def refused(read: Read, document: object) -> FieldError | None:
    try:
        read(document)
    except FieldError as error:
        return error
    return None


def names(refusal: FieldError | None, place: tuple[Any, ...]) -> bool:
    """Tell whether a refusal is of this place, or of what stands inside."""
    return refusal is None or refusal.path[: len(place)] == tuple(map(str, place))
