"""What a billing core tells by itself, and comparing the books with it (rules R4, R5, X8)."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import URL, func, select, text

from bridge.adapters.webhooks import sign
from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.core import CoreEvent, CoreInvoice, EventKind
from bridge.core.documents import event_document
from bridge.domain.actors import SYSTEM
from bridge.jobs.reconciliation import catch_up, reconcile_organization
from bridge.jobs.work import catch_up_everywhere, reconcile_everywhere, renew_due
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import Alert, Contract, CoreEventApplied, Invoice, Payment
from bridge.store.pools import read_pools
from bridge.usecases.core_events import apply_event
from tests.conftest import OPERATOR
from tests.cores import SECRET, ExampleCore, example_core, remote_customer, with_local_cores
from tests.factories import Customer
from wsgi import compose


@pytest.fixture
def runtime(settings: Settings, database_url: URL) -> Iterator[Runtime]:
    """The product at the real time, as the core has it."""
    runtime = build_runtime(with_local_cores(settings), database_url, payments=BuiltinPayments())
    yield runtime
    runtime.close()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[ExampleCore]:
    with example_core(tmp_path) as core:
        yield core


@pytest.fixture
def customer(runtime: Runtime, core: ExampleCore) -> Customer:
    return remote_customer(runtime, core)


@pytest.fixture
def client(runtime: Runtime) -> FlaskClient:
    return compose(runtime).test_client()


def send(client: FlaskClient, event: CoreEvent, secret: str = SECRET, slug: str = "nordlys") -> tuple[int, str]:
    """Post an event as a core does; return status and code."""
    body = json.dumps(event_document(event)).encode()
    headers = {**sign(secret, event.id, datetime.now(UTC), body), "Content-Type": "application/json"}
    answer = client.post(f"/billing/{slug}/events", data=body, headers=headers)
    document = answer.get_json()
    return answer.status_code, document.get("code") or document["status"]


def pools(customer: Customer) -> dict[str, tuple[int, int, int]]:
    with customer.unit() as unit:
        return {pool.tier: (pool.paid, pool.price, pool.next_price) for pool in read_pools(unit)}


def count(customer: Customer, table: type) -> int:
    with customer.unit() as unit:
        return unit.session.scalar(select(func.count()).select_from(table)) or 0


def newest_event(core: ExampleCore) -> CoreEvent:
    events, _ = core.service("nordlys").events(None)
    return events[-1]


def test_r4_a_renewal_at_the_core_sets_period_prices_and_ledger(
    customer: Customer, core: ExampleCore, client: FlaskClient
) -> None:
    core.act("POST", "nordlys", "/prices", {"premium": 20000})
    priced = send(client, newest_event(core))
    meanwhile = pools(customer)
    core.act("POST", "nordlys", "/renew")
    renewed = send(client, newest_event(core))

    assert (priced, renewed) == ((200, "applied"), (200, "applied"))
    assert meanwhile["premium"] == (2, 15000, 20000)
    assert pools(customer)["premium"] == (2, 20000, 20000)
    subscription = core.service("nordlys").subscription()
    with customer.unit() as unit:
        contract = unit.session.get_one(Contract, customer.org_id)
        invoice = unit.session.scalars(select(Invoice).where(Invoice.reason == "renewal")).one()
    assert (contract.period_start, contract.period_end) == (subscription.period_start, subscription.period_end)
    # 2 x 200.00 + 5 x 25.00.
    assert invoice.total == 52500


def test_an_event_is_applied_once_however_often_it_comes(
    customer: Customer, core: ExampleCore, client: FlaskClient
) -> None:
    core.act("POST", "nordlys", "/renew")
    event = newest_event(core)

    answers = [send(client, event) for _ in range(3)]

    assert answers == [(200, "applied"), (200, "known"), (200, "known")]
    assert count(customer, CoreEventApplied) == 1
    assert count(customer, Invoice) == 1


def test_an_older_picture_never_replaces_a_newer_one(
    customer: Customer, core: ExampleCore, client: FlaskClient
) -> None:
    core.act("POST", "nordlys", "/prices", {"premium": 20000})
    first = newest_event(core)
    core.act("POST", "nordlys", "/prices", {"premium": 30000})
    second = newest_event(core)

    send(client, second)
    send(client, first)

    assert pools(customer)["premium"] == (2, 15000, 30000)


@pytest.mark.parametrize("slug", ["nordlys", "nobody"])
def test_an_event_that_is_not_signed_by_the_core_is_refused_alike_whoever_it_names(
    customer: Customer, client: FlaskClient, slug: str
) -> None:
    event = CoreEvent("evt_1", EventKind.ENDED, datetime.now(UTC))
    other = "whsec_" + "A" * 44

    answer = send(client, event, other, slug)

    assert answer == (401, "webhook_refused")
    assert count(customer, CoreEventApplied) == 0


def test_another_organization_s_core_has_no_authority_here(
    customer: Customer, runtime: Runtime, core: ExampleCore, client: FlaskClient
) -> None:
    remote_customer(runtime, core, "other")
    with runtime.unit(customer.org_id, SYSTEM) as unit:
        connection = unit.session.execute(text("SELECT token FROM billing_connection")).one()
    assert connection.token
    event = CoreEvent("evt_1", EventKind.ENDED, datetime.now(UTC))

    answer = send(client, event, "whsec_" + "B" * 44, "other")

    assert answer == (401, "webhook_refused")


def test_r5_a_subscription_that_ends_takes_every_seat(customer: Customer, core: ExampleCore) -> None:
    customer.push("ada@nordlys.test")
    now = core.service("nordlys").subscription()
    ended = replace(now, version=now.version + 1, active=False)

    with customer.unit(SYSTEM) as unit:
        apply_event(unit, CoreEvent("evt_1", EventKind.ENDED, datetime.now(UTC), subscription=ended))

    with customer.unit() as unit:
        assert [pool.used for pool in read_pools(unit)] == [0, 0]
        assert unit.session.get_one(Contract, customer.org_id).status == "ended"
        assert "plan_ended" in unit.session.scalars(select(Alert.code)).all()


def test_seats_that_people_hold_stay_when_the_core_has_fewer(customer: Customer, core: ExampleCore) -> None:
    for number in range(3):
        customer.push(f"u{number}@nordlys.test")
    now = core.service("nordlys").subscription()
    tiers = {key: type(tier)(0, 0, tier.price, tier.next_price) for key, tier in now.tiers.items()}
    fewer = replace(now, version=now.version + 1, tiers=tiers)

    with customer.unit(SYSTEM) as unit:
        apply_event(unit, CoreEvent("evt_1", EventKind.RENEWED, datetime.now(UTC), subscription=fewer))

    with customer.unit() as unit:
        assert {pool.tier: (pool.used, pool.total) for pool in read_pools(unit)} == {
            "premium": (2, 2),
            "standard": (1, 1),
        }
        assert sorted(unit.session.scalars(select(Alert.code))) == ["seats_over_core", "seats_over_core"]


def test_payments_are_noted_and_failures_told(customer: Customer, core: ExampleCore) -> None:
    core.act("POST", "nordlys", "/renew")
    invoice = newest_event(core).invoice
    assert invoice is not None
    unpaid = CoreInvoice(invoice.id, invoice.number, invoice.at, invoice.bill)

    with customer.unit(SYSTEM) as unit:
        apply_event(unit, CoreEvent("evt_1", EventKind.PAYMENT_FAILED, datetime.now(UTC), invoice=unpaid))
    failed, before = open_alerts(customer), count(customer, Payment)
    with customer.unit(SYSTEM) as unit:
        apply_event(unit, CoreEvent("evt_2", EventKind.INVOICE_PAID, datetime.now(UTC), invoice=invoice))

    assert (failed, before) == (["renewal_payment_declined"], 0)
    assert (open_alerts(customer), count(customer, Payment)) == ([], 1)


def open_alerts(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(Alert.code).where(Alert.resolved_at.is_(None))))


def test_a_missed_webhook_is_caught_up_and_only_once(customer: Customer, core: ExampleCore, runtime: Runtime) -> None:
    core.act("POST", "nordlys", "/renew")
    core.act("POST", "nordlys", "/prices", {"standard": 3000})

    new = [catch_up_everywhere(runtime), catch_up(runtime, customer.org_id)]

    assert new == [2, 0]
    assert pools(customer)["standard"] == (5, 2500, 3000)


def test_our_own_clock_renews_no_remote_plan(customer: Customer, runtime: Runtime) -> None:
    with customer.unit() as unit:
        unit.session.execute(text("UPDATE contract SET period_end = now() - interval '1 day'"))

    renewed = renew_due(runtime)
    pushed = customer.push("ada@nordlys.test")

    assert renewed == 0
    assert pushed.tier == "premium"


def test_reconciliation_finds_nothing_where_nothing_differs(customer: Customer, core: ExampleCore) -> None:
    first = reconcile_organization(customer.runtime, customer.org_id, OPERATOR)

    second = reconcile_organization(customer.runtime, customer.org_id, OPERATOR)

    # The first period's invoice was issued at the core before it was connected.
    assert [(one.code, one.repaired) for one in first.differences] == [("invoice_missing", True)]
    assert second.differences == ()
    assert reconcile_everywhere(customer.runtime) == 0


def test_reconciliation_says_every_difference_and_leaves_seats_alone(customer: Customer, core: ExampleCore) -> None:
    reconcile_organization(customer.runtime, customer.org_id, OPERATOR)
    with customer.unit() as unit:
        unit.session.execute(text("UPDATE seat_pool SET paid = 9, total = 9 WHERE tier = 'premium'"))
        unit.session.execute(text("UPDATE billing_connection SET version = version - 1"))
    found = reconcile_organization(customer.runtime, customer.org_id, OPERATOR)
    kept = pools(customer)["premium"]

    adopted = reconcile_organization(customer.runtime, customer.org_id, OPERATOR, adopt=True)
    after = reconcile_organization(customer.runtime, customer.org_id, OPERATOR)

    assert [one.code for one in found.differences] == ["pool_differs"]
    assert "9 of 9 seats can be assigned here, 2 of 2 by the core's picture" in found.differences[0].sentence
    assert not found.is_clean
    assert kept[0] == 9
    assert adopted.is_clean
    assert after.differences == ()
    assert pools(customer)["premium"][0] == 2
