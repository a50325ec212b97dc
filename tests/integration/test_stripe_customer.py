"""An organization that Stripe bills, through the product: connected, buying, renewed, compared (rules Q1, Q4, B1)."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import URL, select

from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.config import Settings
from bridge.jobs.reconciliation import reconcile_organization
from bridge.jobs.work import catch_up_everywhere, place_orders_due
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import Alert, AuditEntry, BillingConnection, Contract, Invoice
from bridge.store.pools import read_pools
from bridge.usecases.buy_seats import SeatsPreview, confirm_seats, preview_seats
from tests.conftest import KEY, OPERATOR, SettableClock
from tests.factories import Customer, create_customer
from tests.fakes.stripe import API_KEY, PRICES, SUBSCRIPTION, WEBHOOK_SECRET, StripeStandIn, stripe_stand_in
from tests.fakes.stripe_server import sign
from wsgi import compose

START = datetime(2026, 3, 1, tzinfo=UTC)
HALFWAY = datetime(2026, 3, 16, 12, tzinfo=UTC)
Run = Callable[..., Result]
CONNECT = (
    *("billing", "connect", "nordlys", "--stripe", SUBSCRIPTION),
    *("--price", f"standard={PRICES['standard']}", "--price", f"premium={PRICES['premium']}"),
)


@pytest.fixture
def stripe(clock: SettableClock) -> Iterator[StripeStandIn]:
    clock.at = HALFWAY
    with stripe_stand_in(START) as server:
        server.open_subscription(START, test_clock=True)
        server.move_clock(HALFWAY)
        yield server


@pytest.fixture
def settings(settings: Settings, stripe: StripeStandIn) -> Settings:
    billing = settings.billing.model_copy(update={"stripe_url": stripe.url, "internal_hosts": ("127.0.0.1",)})
    return settings.model_copy(update={"billing": billing})


@pytest.fixture
def runtime(settings: Settings, database_url: URL, clock: SettableClock) -> Iterator[Runtime]:
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments(), clock=clock)
    yield runtime
    runtime.close()


@pytest.fixture
def run(settings: Settings, database_url: URL, stripe: StripeStandIn) -> Run:
    """Run a command of the installation whose billing core is the stand-in."""
    environment = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
        "SEATBRIDGE__BILLING__STRIPE_URL": stripe.url,
        "SEATBRIDGE_CORE_TOKEN": API_KEY,
        "SEATBRIDGE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }

    def invoke(*arguments: str, **changed: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env={**environment, **changed})

    return invoke


@pytest.fixture
def customer(runtime: Runtime, run: Run) -> Customer:
    customer = create_customer(runtime, billed_by="remote", premium=0, standard=0)
    connected = run(*CONNECT)
    assert connected.exit_code == 0, connected.output
    return customer


@pytest.fixture
def client(runtime: Runtime) -> FlaskClient:
    return compose(runtime).test_client()


def pools(customer: Customer) -> dict[str, tuple[int, int]]:
    with customer.unit() as unit:
        return {pool.tier: (pool.paid, pool.total) for pool in read_pools(unit)}


def buy(customer: Customer, changes: dict[str, int]) -> SeatsPreview:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, changes)
    with customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview.id, acknowledged=True)
    return preview


def test_connecting_takes_stripe_s_seats_and_keeps_the_key_sealed(customer: Customer) -> None:
    assert pools(customer) == {"premium": (2, 2), "standard": (5, 5)}
    with customer.unit() as unit:
        connection = unit.session.get_one(BillingConnection, customer.org_id)
        entries = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "billing_core.connected")).all()
    assert connection.url == f"stripe:{SUBSCRIPTION}"
    assert connection.prices == PRICES
    assert API_KEY.encode() not in connection.token
    assert WEBHOOK_SECRET.encode() not in connection.webhook_secret
    assert [entry.body["url"] for entry in entries] == [f"stripe:{SUBSCRIPTION}"]


def test_q1_what_was_shown_is_what_stripe_charges(customer: Customer, runtime: Runtime, stripe: StripeStandIn) -> None:
    preview = buy(customer, {"premium": 1})

    settled = place_orders_due(runtime)

    assert preview.quote.bill is not None
    assert settled == 1
    assert stripe.charges() == [preview.quote.bill.total] == [7500]
    assert pools(customer) == {"premium": (3, 3), "standard": (5, 5)}
    with customer.unit() as unit:
        mirrored = unit.session.scalars(select(Invoice).where(Invoice.reason == "seat_change")).one()
    assert mirrored.total == 7500
    assert mirrored.number == stripe.state()["invoices"][-1]["number"]


def test_q4_a_declined_card_leaves_everything_as_it_was(
    customer: Customer, runtime: Runtime, stripe: StripeStandIn
) -> None:
    stripe.set_card("declining")
    buy(customer, {"premium": 1})

    place_orders_due(runtime)

    assert stripe.charges() == []
    assert pools(customer) == {"premium": (2, 2), "standard": (5, 5)}
    with customer.unit() as unit:
        alert = unit.session.scalars(select(Alert).where(Alert.code == "order_declined")).one()
    assert "card_declined" in (alert.detail or "")


def test_case_x2_a_lost_answer_is_settled_by_the_next_attempt_and_charged_once(
    customer: Customer, runtime: Runtime, stripe: StripeStandIn, clock: SettableClock
) -> None:
    buy(customer, {"premium": 1})
    stripe.break_things({"drop_answer": 1}, only="/v1/subscriptions/")
    assert place_orders_due(runtime) == 0
    stripe.break_things()
    clock.at += timedelta(minutes=5)
    stripe.move_clock(clock.at)

    assert place_orders_due(runtime) == 1
    assert stripe.charges() == [7500]
    assert pools(customer)["premium"] == (3, 3)


def test_r1_a_renewal_comes_by_signed_events(
    customer: Customer, client: FlaskClient, stripe: StripeStandIn, clock: SettableClock, runtime: Runtime
) -> None:
    buy(customer, {"standard": -2})
    place_orders_due(runtime)
    clock.at = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
    stripe.move_clock(clock.at)

    answers = [deliver(client, event, clock.at) for event in stripe.state()["events"]]

    assert {status for status, _ in answers} == {200}
    assert pools(customer) == {"premium": (2, 2), "standard": (3, 3)}
    with customer.unit() as unit:
        contract = unit.session.get_one(Contract, customer.org_id)
        renewal = unit.session.scalars(select(Invoice).where(Invoice.reason == "renewal")).one()
    assert contract.period_start == datetime(2026, 4, 1, tzinfo=UTC)
    # 3 × 25.00 + 2 × 150.00
    assert renewal.total == 37500


def deliver(client: FlaskClient, event: dict[str, object], at: datetime) -> tuple[int, str]:
    """Post an event as Stripe does; return status and what was done with it."""
    body = json.dumps(event, indent=2).encode()
    headers = {"Stripe-Signature": sign(WEBHOOK_SECRET, body, int(at.timestamp())), "Content-Type": "application/json"}
    answer = client.post("/billing/nordlys/events", data=body, headers=headers)
    return answer.status_code, answer.get_json()["status"]


def test_a_missed_event_is_caught_up_with_and_the_books_agree(
    customer: Customer, runtime: Runtime, stripe: StripeStandIn, clock: SettableClock
) -> None:
    buy(customer, {"premium": 1})
    place_orders_due(runtime)
    clock.at = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
    stripe.move_clock(clock.at)

    caught_up = catch_up_everywhere(runtime)
    compared = reconcile_organization(runtime, customer.org_id, OPERATOR)

    assert caught_up > 0
    assert compared.is_clean
    with customer.unit() as unit:
        reasons = sorted(unit.session.scalars(select(Invoice.reason)))
    assert reasons == ["renewal", "seat_change", "start"]


def test_a_declined_renewal_is_told_and_settled_when_it_is_paid(
    customer: Customer, runtime: Runtime, stripe: StripeStandIn, clock: SettableClock
) -> None:
    stripe.set_card("declining")
    clock.at = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)
    stripe.move_clock(clock.at)
    catch_up_everywhere(runtime)
    open_before = open_alerts(customer)
    stripe.do("pay", {"invoice": stripe.state()["invoices"][-1]["id"]})

    catch_up_everywhere(runtime)

    assert "renewal_payment_declined" in open_before
    assert "renewal_payment_declined" not in open_alerts(customer)


def open_alerts(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(Alert.code).where(Alert.resolved_at.is_(None))))


def test_b1_the_billing_portal_is_stripe_s_own(customer: Customer, run: Run) -> None:
    opened = run("billing", "portal", "nordlys", "--return-url", "https://app.nordlys.test/plan", "--json")

    assert opened.exit_code == 0
    assert json.loads(opened.output)["url"].startswith("https://billing.stripe.example/")


def test_what_connecting_says(customer: Customer, run: Run) -> None:
    again = run(*CONNECT)

    assert again.exit_code == 0
    assert f"Stripe, {SUBSCRIPTION}" in again.output
    assert "standard 5, premium 2" in again.output
    assert "/billing/nordlys/events" in again.output
    assert API_KEY not in again.output
    assert WEBHOOK_SECRET not in again.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--price", "standard=price_standard"), "name the price of premium too"),
        (("--price", "standard=price_1", "--price", "premium=price_2"), "no item for the price of standard, premium"),
        (("--price", "standard"), "does not read as standard=price_1AbC"),
        ((), "name the price of each tier"),
    ],
)
def test_a_connection_that_cannot_be_says_what_to_change(
    customer: Customer, run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    refused = run("billing", "connect", "nordlys", "--stripe", SUBSCRIPTION, *arguments)

    assert refused.exit_code == 1
    assert sentence in refused.output


def test_with_another_key_events_go_on_where_they_were(customer: Customer, runtime: Runtime, run: Run) -> None:
    def place() -> tuple[object, ...]:
        with customer.unit() as unit:
            connection = unit.session.get_one(BillingConnection, unit.org_id)
            return connection.core_id, connection.cursor, connection.version, connection.connected_at

    reconcile_organization(runtime, customer.org_id, OPERATOR)
    before = place()
    again = run(*CONNECT)

    assert again.exit_code == 0, again.output
    assert before[1] is not None
    assert place() == before


def test_a_key_that_is_none_is_refused_before_stripe_is_asked(customer: Customer, run: Run) -> None:
    refused = run(*CONNECT, SEATBRIDGE_CORE_TOKEN="pk_test_publishable")

    assert refused.exit_code == 1
    assert "rk_live_" in refused.output


def test_stripe_bills_team_plans_only(runtime: Runtime, stripe: StripeStandIn, run: Run) -> None:
    create_customer(runtime, kind="enterprise")

    refused = run(*CONNECT)

    assert refused.exit_code == 1
    assert "plans of kind team" in refused.output
