"""A request's id goes where its consequences go: to what workers do because of it, in log lines, audit and trace."""

import ast
import io
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from sqlalchemy import URL

from bridge.adapters.tracing import REQUEST_ID, Tracing, start_tracing
from bridge.adapters.webhooks import new_webhook_secret
from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.jobs.containing import on_behalf_of
from bridge.jobs.webhooks import tell_applications
from bridge.jobs.work import deliver_due
from bridge.observability import bound_ids, configure_logging
from bridge.runtime import Runtime, build_runtime
from bridge.store.journal import record
from bridge.store.models import BillingOrder, Delivery
from bridge.usecases.alerts import raise_alert
from bridge.usecases.billing_orders import claim_order
from bridge.usecases.deliver import claim_delivery
from bridge.usecases.webhook_endpoints import add_endpoint
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.processes import ROOT
from wsgi import compose

CAUSE = "req-the-cause-0001"


class Mailer:
    """A mailer that takes everything."""

    def send(self, message: object) -> None:
        """Take it."""


@pytest.fixture
def log_lines() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(stream=stream)
    return stream


def lines(stream: io.StringIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == event]


def test_a_workers_lines_about_a_mail_carry_the_request_that_caused_it(
    runtime: Runtime, customer: Customer, log_lines: io.StringIO
) -> None:
    configure_logging(stream=log_lines)
    runtime.mailer = Mailer()
    deliver_due(runtime)  # the first invoice's
    with bound_ids(request_id=CAUSE), customer.unit() as unit:
        raise_alert(unit, "tier_threshold")

    deliver_due(runtime)

    assert [line["request_id"] for line in lines(log_lines, "delivery.done")][-1] == CAUSE


def test_a_workers_lines_about_an_event_carry_the_request_that_caused_it(
    runtime: Runtime, customer: Customer, log_lines: io.StringIO
) -> None:
    configure_logging(stream=log_lines)
    webhooks = runtime.settings.webhooks.model_copy(update={"internal_hosts": ("127.0.0.1",)})
    runtime.settings = runtime.settings.model_copy(update={"webhooks": webhooks})
    with customer.unit() as unit:
        # Nobody listens there: what the worker says of that is what is looked at.
        add_endpoint(
            unit,
            "http://127.0.0.1:9/events",
            ("user.created",),
            lambda row: runtime.sealed_webhook_secret(customer.org_id, row, new_webhook_secret()),
        )
    with bound_ids(request_id=CAUSE):
        customer.push("ada@nordlys.test")

    tell_applications(runtime)

    assert [line["request_id"] for line in lines(log_lines, "webhook.postponed")] == [CAUSE]


def test_an_order_is_brought_under_the_request_that_ordered(customer: Customer, clock: SettableClock) -> None:
    order_id = uuid.uuid4()
    with bound_ids(request_id=CAUSE), customer.unit() as unit:
        record(unit, "seats.ordered", subject_kind="order", subject_id=order_id, reason="seat_change")
        unit.session.add(order(customer, order_id, clock))

    with customer.unit() as unit:
        claimed = claim_order(unit, order_id)

    assert claimed is not None
    assert claimed.request_id == CAUSE


def order(customer: Customer, order_id: uuid.UUID, clock: SettableClock) -> BillingOrder:
    body = {
        "key": f"seatbridge:{order_id}",
        "quote": "q1",
        "changes": {"premium": 1},
        "total": 15000,
        "currency": "EUR",
        "confirmed_at": clock.at.isoformat(),
    }
    return BillingOrder(
        org_id=customer.org_id,
        id=order_id,
        key="preview:1",
        body=body,
        quote={},
        held_back={},
        member_id=None,
        tier=None,
        state="pending",
        attempts=0,
        created_at=clock.at,
        created_by="member",
        next_attempt_at=clock.at,
        closed_at=None,
        last_error=None,
        invoice_id=None,
    )


def test_what_a_function_of_the_database_wrote_is_brought_out_under_its_request_too(
    customer: Customer, clock: SettableClock
) -> None:
    member = customer.push("ada@nordlys.test")
    delivery_id = uuid.uuid4()
    clock.at += timedelta(minutes=1)
    with bound_ids(request_id=CAUSE), customer.unit() as unit:
        record(unit, "session.ended", subject_kind="member", subject_id=member.id, reason="signed_out")
        unit.session.add(logout(customer, delivery_id, member.id, clock))

    with customer.unit() as unit:
        claimed = claim_delivery(unit, delivery_id)

    assert claimed is not None
    assert claimed.request_id == CAUSE


def logout(customer: Customer, delivery_id: uuid.UUID, member_id: uuid.UUID, clock: SettableClock) -> Delivery:
    return Delivery(
        org_id=customer.org_id,
        id=delivery_id,
        kind="app_logout",
        key="app_logout:1",
        subject_id=f"{uuid.uuid4()} {member_id}",
        request_id=None,
        state="pending",
        attempts=0,
        created_at=clock.at,
        next_attempt_at=clock.at,
        done_at=None,
        last_error=None,
    )


# --- Traces ---------------------------------------------------------------------------------------


@pytest.fixture
def spans() -> Iterator[tuple[Tracing, InMemorySpanExporter]]:
    kept = InMemorySpanExporter()
    tracing = Tracing(kept)
    yield tracing, kept
    tracing.close()


def test_a_request_and_its_statements_are_one_trace_under_its_id_and_without_people(
    spans: tuple[Tracing, InMemorySpanExporter], settings: Settings, database_url: URL
) -> None:
    tracing, kept = spans
    traced = build_runtime(settings, database_url, payments=BuiltinPayments())
    app = compose(traced)
    tracing.watch(app)

    answer = app.test_client().get(
        '/scim/v2/nordlys/Users?filter=userName eq "ada@nordlys.test"',
        headers={"X-Request-Id": CAUSE, "Authorization": "Bearer sbscim_secret", "User-Agent": "ada@nordlys.test"},
    )
    traced.close()

    found = kept.get_finished_spans()
    request = next(span for span in found if span.kind is SpanKind.SERVER)
    # What a new connection asks at first, in a thread of its pool, belongs to no request.
    statements = [span for span in found if span is not request and span.parent is not None]
    assert answer.status_code == 401
    assert dict(request.attributes or {})[REQUEST_ID] == CAUSE
    assert str(dict(request.attributes or {})["http.route"]).startswith("/scim/v2/<")
    assert {span.context.trace_id for span in (*statements, request)} == {request.context.trace_id}
    assert all(dict(span.attributes or {})["db.statement"] for span in statements)
    assert statements
    told = "".join(span.to_json() for span in found)
    assert not any(secret in told for secret in ("ada@", "sbscim_secret", "nordlys"))


def test_an_exceptions_words_stay_here(spans: tuple[Tracing, InMemorySpanExporter]) -> None:
    tracing, kept = spans
    with pytest.raises(ValueError, match="ada"), tracing.work("deliver alert_mail"):
        raise ValueError("ada@nordlys.test is wrong")

    (span,) = kept.get_finished_spans()

    assert [dict(event.attributes or {}) for event in span.events] == [{"exception.type": "ValueError"}]
    assert "ada" not in span.to_json()


def test_background_work_is_traced_under_the_request_that_caused_it(
    spans: tuple[Tracing, InMemorySpanExporter], runtime: Runtime
) -> None:
    tracing, kept = spans
    runtime.traced = tracing.work

    with on_behalf_of(runtime, "place order", CAUSE):
        pass

    (span,) = (one for one in kept.get_finished_spans() if one.name == "place order")
    assert dict(span.attributes or {}) == {REQUEST_ID: CAUSE}


def test_nothing_of_opentelemetry_is_loaded_unless_it_is_turned_on() -> None:
    # Elsewhere import-linter keeps it out; here it is imported inside functions alone.
    module = ast.parse((ROOT / "bridge" / "adapters" / "tracing.py").read_text())

    at_once = [one for one in module.body if isinstance(one, ast.Import | ast.ImportFrom)]

    assert [
        one.module for one in at_once if isinstance(one, ast.ImportFrom) and "opentelemetry" in str(one.module)
    ] == []


def test_tracing_is_off_by_default(settings: Settings) -> None:
    assert start_tracing(settings) is None
