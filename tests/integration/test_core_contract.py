"""What every billing core keeps, whichever adapter talks to it: one class of tests, run over each adapter."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.adapters.webhooks import sign
from bridge.core import BillingService, CoreEvent, CoreQuote, EventKind, OrderRequest, OrderState, SeatQuestion
from bridge.core.documents import event_document
from bridge.errors import BillingCoreRefusedError, BillingCoreUnreachableError, WebhookRefusedError
from tests.cores import SECRET, ExampleCore, Line, example_core, line_to
from tests.published_core import PublishedContract


def new_key(what: str) -> str:
    return f"{what}-{uuid.uuid4()}"


def request_for(quote: CoreQuote, key: str, **changes: int) -> OrderRequest:
    return OrderRequest(
        key=key,
        quote_id=quote.id,
        changes=changes,
        upgrade_from=None,
        total=quote.bill.total if quote.bill else 0,
        currency=quote.currency,
        confirmed_at=quote.at,
    )


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExampleCore]:
    folder: Path = tmp_path_factory.mktemp("core")
    with example_core(folder) as core:
        yield core


@pytest.fixture(scope="module")
def line(core: ExampleCore) -> Iterator[Line]:
    """A line that hears everything: what goes over it is held against the published contract."""
    with line_to(core) as line:
        yield line


class BillingServiceContract:
    """A subscription of 2 Premium at 150.00 and 5 Standard at 25.00, in EUR, that has just begun."""

    def ordered(self, service: BillingService, key: str, **changes: int) -> OrderRequest:
        quote = service.quote(SeatQuestion(changes), key=new_key("quote"))
        return request_for(quote, key, **changes)

    def test_q2_a_quote_names_price_seats_and_renewal_and_changes_nothing(self, service: BillingService) -> None:
        before = service.subscription()

        quote = service.quote(SeatQuestion({"premium": 2}), key=new_key("quote"))

        assert quote.bill is not None
        # 2 x 150.00 for what is left of the period, which has just begun.
        assert 0 < quote.bill.total <= 30000
        assert sum(line.amount for line in quote.bill.lines) == quote.bill.subtotal
        assert quote.seats["premium"].paid == 4
        # 2 x 150 + 5 x 25 = 425.00, and 4 x 150 + 5 x 25 = 725.00.
        assert (quote.renewal_before, quote.renewal_after) == (42500, 72500)
        assert quote.expires_at > quote.at
        assert service.subscription() == before

    def test_q5_a_repeated_key_is_answered_the_same(self, service: BillingService) -> None:
        key = new_key("quote")

        first = service.quote(SeatQuestion({"premium": 1}), key=key)
        again = service.quote(SeatQuestion({"premium": 1}), key=key)

        assert again == first

    def test_q4_an_order_is_reserved_then_confirmed_and_charges_what_was_quoted(self, service: BillingService) -> None:
        request = self.ordered(service, new_key("order"), premium=1)

        reserved = service.reserve(request)
        untouched = service.subscription()
        placed = service.confirm(request.key)

        assert reserved.state is OrderState.RESERVED
        assert untouched.tiers["premium"].paid == 2
        assert placed.state is OrderState.PLACED
        assert placed.invoice is not None
        assert placed.invoice.bill.total == request.total
        assert placed.subscription is not None
        assert placed.subscription.tiers["premium"].paid == 3
        assert placed.subscription.version > untouched.version
        assert service.subscription() == placed.subscription

    def test_q5_reserving_and_confirming_again_charges_nothing_more(self, service: BillingService) -> None:
        request = self.ordered(service, new_key("order"), premium=1)
        service.reserve(request)
        placed = service.confirm(request.key)

        again = [service.confirm(request.key), service.reserve(request), service.order_by_key(request.key)]

        assert again == [placed] * 3
        assert len([one for one in service.invoices() if one.bill.reason == "seat_change"]) == 1

    def test_an_order_that_never_arrived_is_unknown(self, service: BillingService) -> None:
        assert service.order_by_key(new_key("order")) is None

    def test_a_cancelled_order_is_never_placed(self, service: BillingService) -> None:
        request = self.ordered(service, new_key("order"), premium=1)
        service.reserve(request)

        cancelled = service.cancel(request.key)
        late = service.confirm(request.key)

        assert (cancelled.state, late.state) == (OrderState.CANCELLED, OrderState.CANCELLED)
        assert service.subscription().tiers["premium"].paid == 2

    def test_an_order_that_is_cancelled_before_it_arrives_stays_so(self, service: BillingService) -> None:
        request = self.ordered(service, new_key("order"), premium=1)

        service.cancel(request.key)
        late = service.reserve(request)

        assert late.state is OrderState.CANCELLED

    def test_a_placed_order_is_not_cancelled(self, service: BillingService) -> None:
        request = self.ordered(service, new_key("order"), premium=1)
        service.reserve(request)
        service.confirm(request.key)

        assert service.cancel(request.key).state is OrderState.PLACED

    def test_d2_a_reduction_costs_nothing_and_counts_from_the_renewal(self, service: BillingService) -> None:
        request = self.ordered(service, new_key("order"), standard=-2)
        service.reserve(request)

        placed = service.confirm(request.key)

        assert (request.total, placed.invoice) == (0, None)
        assert placed.subscription is not None
        standard = placed.subscription.tiers["standard"]
        assert (standard.paid, standard.next) == (5, 3)

    def test_q3_a_quote_from_before_another_change_is_refused(self, service: BillingService) -> None:
        stale = self.ordered(service, new_key("order"), premium=1)
        other = self.ordered(service, new_key("order"), standard=1)
        service.reserve(other)
        service.confirm(other.key)

        with pytest.raises(BillingCoreRefusedError) as refusal:
            service.reserve(stale)

        assert refusal.value.core_code == "quote_stale"

    def test_q1_an_order_of_another_price_than_quoted_is_refused(self, service: BillingService) -> None:
        request = self.ordered(service, new_key("order"), premium=1)
        cheaper = OrderRequest(request.key, request.quote_id, request.changes, None, 1, "EUR", request.confirmed_at)

        with pytest.raises(BillingCoreRefusedError):
            service.reserve(cheaper)

    def test_a_change_that_makes_no_sense_is_refused(self, service: BillingService) -> None:
        with pytest.raises(BillingCoreRefusedError) as refusal:
            service.quote(SeatQuestion({"gold": 1}), key=new_key("quote"))

        assert refusal.value.core_code == "invalid_change"

    def test_an_invoice_can_be_printed(self, service: BillingService) -> None:
        assert service.document(service.invoices()[0].id).startswith(b"%PDF")

    def test_events_are_walked_by_a_cursor(self, service: BillingService) -> None:
        _, start = service.events(None)
        request = self.ordered(service, new_key("order"), premium=1)
        service.reserve(request)
        service.confirm(request.key)

        events, cursor = service.events(start)
        nothing, same = service.events(cursor)

        assert [event.kind for event in events] == [EventKind.ORDER_PLACED]
        assert events[0].order == service.order_by_key(request.key)
        assert (list(nothing), same) == ([], cursor)

    def test_units_are_reported_once_for_each_key(self, service: BillingService) -> None:
        at = datetime(2026, 3, 2, tzinfo=UTC)

        service.report_units({"premium": 1}, at, key="units-1")
        service.report_units({"premium": 1}, at, key="units-1")

    def test_an_event_is_believed_by_its_signature(self, service: BillingService) -> None:
        now = datetime.now(UTC)
        event = CoreEvent("evt_1", EventKind.RENEWED, now, subscription=service.subscription())
        body = json.dumps(event_document(event)).encode()

        verified = service.verify(sign(SECRET, "evt_1", now, body), body, now)

        assert verified == event

    def test_an_event_that_was_altered_is_old_or_not_signed_is_refused(self, service: BillingService) -> None:
        now = datetime.now(UTC)
        body = json.dumps(event_document(CoreEvent("evt_1", EventKind.RENEWED, now))).encode()
        signed = sign(SECRET, "evt_1", now, body)
        old = sign(SECRET, "evt_1", now - timedelta(minutes=6), body)

        for headers, sent in (
            (signed, body + b" "),
            (signed | {"webhook-id": "evt_2"}, body),
            (old, body),
            (signed | {"webhook-timestamp": "x"}, body),
            (signed | {"webhook-signature": "v1,AAAA"}, body),
            ({}, body),
        ):
            with pytest.raises(WebhookRefusedError):
                service.verify(headers, sent, now)


class TestHttpBillingService(BillingServiceContract):
    """Over HTTP, against the example core in a process of its own."""

    @pytest.fixture
    def service(self, core: ExampleCore, line: Line) -> Iterator[BillingService]:
        name = f"s-{uuid.uuid4()}"
        core.open(name)
        line.exchanges.clear()
        yield core.service(name)
        assert line.unpublished() == []

    def test_every_verb_is_spoken_and_answered_as_published(self, service: BillingService, line: Line) -> None:
        placed, given_up = (self.ordered(service, new_key("order"), premium=1) for _ in range(2))
        service.reserve(placed)
        service.cancel(given_up.key)
        service.confirm(placed.key)
        service.order_by_key(placed.key)
        service.subscription()
        service.document(service.invoices()[0].id)
        service.report_units({"premium": 1}, datetime(2026, 3, 2, tzinfo=UTC), key=new_key("units"))
        service.events(None)

        judged = [PublishedContract().judge(*exchange) for exchange in line.exchanges]

        assert [problem for _, problems in judged for problem in problems] == []
        assert {verb for verb, _ in judged} == verbs_of_the_port() - {"verify"}

    def test_refusals_are_answered_as_published(self, service: BillingService, line: Line) -> None:
        order = self.ordered(service, new_key("order"), premium=1)
        unlike = OrderRequest(order.key, order.quote_id, {"premium": 2}, None, order.total, "EUR", order.confirmed_at)

        with pytest.raises(BillingCoreRefusedError) as refusal:
            service.reserve(unlike)
        unknown = service.order_by_key(new_key("order"))

        assert (refusal.value.core_code, unknown) == ("quote_differs", None)
        assert [answer.first.split(" ")[1] for _, answer in line.exchanges] == ["200", "409", "404"]
        assert line.unpublished() == []

    def test_a_wrong_token_is_no_answer(self, core: ExampleCore) -> None:
        service = core.service("nordlys")
        stranger = type(service)(service.url, "wrong", SECRET, internal_hosts=("127.0.0.1",))

        with pytest.raises(BillingCoreUnreachableError) as refusal:
            stranger.subscription()

        assert refusal.value.why == "unauthorized"

    def test_i8_a_core_on_this_machine_is_talked_to_only_if_the_operator_says_so(self, core: ExampleCore) -> None:
        service = core.service("nordlys")
        guarded = type(service)(service.url, service.token, SECRET)

        with pytest.raises(BillingCoreUnreachableError) as refusal:
            guarded.subscription()

        assert refusal.value.why == "address_not_allowed"


def verbs_of_the_port() -> set[str]:
    return {name for name in vars(BillingService) if not name.startswith("_")}


def test_the_published_contract_has_every_verb_of_the_port_and_no_other() -> None:
    contract = PublishedContract().document
    items = [*contract["paths"].values(), *contract["webhooks"].values()]

    verbs = {operation["operationId"] for item in items for operation in item.values() if isinstance(operation, dict)}

    assert verbs == verbs_of_the_port()
