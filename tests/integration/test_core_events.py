"""What a billing core tells by itself, and comparing the books with it (rules R4, R5, X8)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import URL, func, select, text

from bridge.adapters.core_http import HttpBillingService
from bridge.adapters.fetch import Answer
from bridge.adapters.webhooks import sign
from bridge.billing import BuiltinPayments
from bridge.billing.documents import find_by_number, list_ids, read_document
from bridge.billing.pdf import to_html
from bridge.billing.why_invoice import why_invoice
from bridge.config import Settings
from bridge.core import CoreEvent, CoreInvoice, EventKind
from bridge.core.documents import event_document
from bridge.domain.actors import SYSTEM, Actor, ActorKind
from bridge.domain.roles import Role
from bridge.errors import BillingCoreUnreachableError, InvalidChangeError, NotFoundError
from bridge.jobs.reconciliation import catch_up, reconcile_organization
from bridge.jobs.work import catch_up_everywhere, place_orders_due, reconcile_everywhere, renew_due
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import Alert, BillingConnection, Contract, CoreEventApplied, Invoice, Payment
from bridge.store.pools import read_pools
from bridge.usecases.alerts import raise_alert
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.usecases.change_plan import PlanDraft, agree_plan_change
from bridge.usecases.connect_core import connect_core
from bridge.usecases.core_events import apply_event
from bridge.usecases.mirror_core import core_invoice_id, mirror_invoice
from bridge.usecases.overview import read_overview
from bridge.usecases.reconcile_core import reconcile_books
from tests.conftest import OPERATOR
from tests.cores import SECRET, TOKEN, ExampleCore, example_core, remote_customer, with_local_cores
from tests.factories import Customer, create_customer
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


def test_r4_a_failure_that_is_told_after_the_payment_opens_nothing(customer: Customer, core: ExampleCore) -> None:
    core.act("POST", "nordlys", "/renew")
    invoice = newest_event(core).invoice
    assert invoice is not None
    other = replace(invoice, id="inv_other", number="C-OTHER", paid=False)

    with customer.unit(SYSTEM) as unit:
        apply_event(unit, CoreEvent("evt_1", EventKind.INVOICE_PAID, datetime.now(UTC), invoice=invoice))
        late = replace(invoice, paid=False)
        apply_event(unit, CoreEvent("evt_2", EventKind.PAYMENT_FAILED, datetime.now(UTC), invoice=late))
        after_late = [alert.code for alert in unit.session.scalars(select(Alert))]
        apply_event(unit, CoreEvent("evt_3", EventKind.PAYMENT_FAILED, datetime.now(UTC), invoice=other))
        apply_event(unit, CoreEvent("evt_4", EventKind.INVOICE_PAID, datetime.now(UTC), invoice=invoice))

    # The payment of one invoice says nothing of another one.
    assert (after_late, open_alerts(customer)) == ([], ["renewal_payment_declined"])


def test_an_event_of_an_unknown_type_stops_no_other(
    customer: Customer, core: ExampleCore, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = HttpBillingService._get

    def with_another(service: HttpBillingService, path: str) -> Answer:
        answer = ask(service, path)
        document = json.loads(answer.body)
        if path.startswith("/events"):
            document["events"].insert(0, {"id": "evt_new", "type": "customer.updated", "data": {"size": 3}})
        return replace(answer, body=json.dumps(document).encode())

    monkeypatch.setattr(HttpBillingService, "_get", with_another)
    core.act("POST", "nordlys", "/prices", {"standard": 3000})
    body = b'{"id": "evt_new", "type": "customer.updated", "data": {}}'
    headers = {**sign(SECRET, "evt_new", datetime.now(UTC), body), "Content-Type": "application/json"}

    new = catch_up(customer.runtime, customer.org_id)
    pushed = client.post("/billing/nordlys/events", data=body, headers=headers)

    assert (new, pools(customer)["standard"]) == (1, (5, 2500, 3000))
    assert (pushed.status_code, pushed.get_json()) == (200, {"status": "ignored"})


@pytest.mark.parametrize("currency", ["JPY", "ZZZ"])
def test_another_currency_is_not_taken_over_and_is_named(customer: Customer, core: ExampleCore, currency: str) -> None:
    reconcile_organization(customer.runtime, customer.org_id, OPERATOR)
    core.act("POST", "nordlys", "/renew")
    event = newest_event(core)
    assert event.invoice is not None
    assert event.subscription is not None
    subscription = replace(event.subscription, currency=currency)
    invoice = replace(event.invoice, bill=replace(event.invoice.bill, currency=currency))

    with customer.unit(SYSTEM) as unit:
        apply_event(unit, replace(event, subscription=subscription, invoice=invoice))
        contract = unit.session.get_one(Contract, customer.org_id)
        period = contract.period_start
        found = reconcile_books(unit, subscription, [invoice], adopt=True)

    assert period < subscription.period_start
    assert count(customer, Invoice) == 1
    named = [one.sentence for one in found if one.code == "other_currency"]
    assert [sentence.split(" is in ")[0] for sentence in named] == [
        f"Invoice {invoice.number} of the core",
        "The core's subscription",
    ]
    assert all(f"in {currency}, the contract in EUR" in sentence for sentence in named)


def test_a_core_cannot_be_connected_while_a_change_is_agreed_ahead(runtime: Runtime, core: ExampleCore) -> None:
    customer = create_customer(runtime, "nordlys")
    with customer.unit(customer.owner) as unit:
        agree_plan_change(unit, PlanDraft("team", "year"))
    core.open("nordlys")
    url = core.subscription_url("nordlys")
    address = runtime.sealed_address(customer.org_id, url, token=TOKEN, webhook_secret=SECRET)

    with pytest.raises(InvalidChangeError, match="cancel it first"), customer.unit(OPERATOR) as unit:
        connect_core(unit, address, core.service("nordlys").subscription(), [])


def test_the_tax_of_a_mirrored_invoice_is_named_without_a_rate(customer: Customer, core: ExampleCore) -> None:
    core.act("POST", "nordlys", "/renew")
    event = newest_event(core)
    assert event.invoice is not None
    bill = event.invoice.bill
    taxed = replace(bill, tax=1234, total=bill.subtotal + 1234, amount_due=bill.subtotal + 1234)

    with customer.unit(SYSTEM) as unit:
        apply_event(unit, replace(event, invoice=replace(event.invoice, bill=taxed)))
    with customer.unit(customer.owner) as unit:
        [invoice_id] = list_ids(unit)
        document = read_document(unit, invoice_id)
        page = to_html(document)

    # 2 x 150.00 + 5 x 25.00, and what the core says of the tax.
    assert (document.tax_label, document.tax_formula, document.tax) == ("VAT", "", 1234)
    assert "0 %" not in page
    assert "VAT on €425.00" in page


def test_an_event_without_a_length_is_not_read_beyond_the_most(customer: Customer, client: FlaskClient) -> None:
    answer = client.post(
        f"/billing/{customer.slug}/events",
        input_stream=BytesIO(b"x" * 300_000),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert (answer.status_code, answer.get_json()["code"]) == (413, "too_large")


def test_why_compares_with_the_invoice_issued_before_in_whatever_order_they_came(
    customer: Customer, core: ExampleCore
) -> None:
    found = []
    for _ in range(2):
        core.act("POST", "nordlys", "/renew")
        event = newest_event(core)
        assert event.invoice is not None
        found.append(event)
    first, second = found
    with customer.unit(SYSTEM) as unit:
        apply_event(unit, second)
    with customer.unit(SYSTEM) as unit:
        apply_event(unit, first)

    with customer.unit(customer.owner) as unit:
        compared = {why.view.invoice.number: why.before for why in (why_invoice(unit, one) for one in list_ids(unit))}

    assert first.invoice is not None
    assert second.invoice is not None
    assert compared == {first.invoice.number: None, second.invoice.number: first.invoice.number}


def connect(customer: Customer, core: ExampleCore, name: str, url: str = "") -> None:
    """Connect the organization to a subscription of the core, as the operator does."""
    service = core.service(name)
    address = customer.runtime.sealed_address(
        customer.org_id, url or core.subscription_url(name), token=TOKEN, webhook_secret=SECRET
    )
    with customer.unit(OPERATOR) as unit:
        connect_core(unit, address, service.subscription(), service.invoices())


def buy(customer: Customer, core: ExampleCore, **changes: int) -> None:
    with customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview_seats(unit, changes).id, acknowledged=True)
    place_orders_due(customer.runtime)


def differences(customer: Customer) -> list[str]:
    found = reconcile_organization(customer.runtime, customer.org_id, OPERATOR).differences
    return [one.code for one in found if not one.repaired]


def numbers(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(Invoice.number).order_by(Invoice.number)))


def test_x10_a_core_that_was_restored_goes_on_when_it_is_connected_anew(customer: Customer, core: ExampleCore) -> None:
    buy(customer, core, premium=1)
    before = numbers(customer)
    with customer.unit() as unit:
        # As if the core had told of much that its back-up knows nothing of.
        connection = unit.session.get_one(BillingConnection, unit.org_id)
        connection.version, connection.cursor = 50, None
        connection.subscription = connection.subscription | {"version": 50}

    found = differences(customer)
    connect(customer, core, "nordlys")
    anew = differences(customer)
    buy(customer, core, premium=3)

    assert (found, anew, differences(customer)) == (["version_went_back"], [], [])
    assert pools(customer)["premium"][0] == 6
    # The start's invoice was missing here; nothing was mirrored twice.
    assert len(numbers(customer)) == len(before) + 2


def test_ids_count_within_a_core_and_a_core_is_known_by_its_invoices(customer: Customer, core: ExampleCore) -> None:
    buy(customer, core, premium=1)
    differences(customer)
    first = newest_event(core)
    invoice = core.service("nordlys").invoices()[-1]
    core.open("second", premium=5, standard=9)

    connect(customer, core, "second")
    moved = differences(customer)
    # The other core has the same ids for something else.
    other = replace(invoice, number="B-1", bill=replace(invoice.bill, total=99_900, amount_due=99_900))
    with customer.unit() as unit:
        mirrored = mirror_invoice(unit, other, reason="event")
        applied = apply_event(unit, replace(first, order=None, subscription=None, invoice=None))
        with pytest.raises(NotFoundError):
            core_invoice_id(unit, find_by_number(unit, invoice.number))
    known = numbers(customer)
    connect(customer, core, "nordlys", url="http://127.0.0.1:1/v1/subscriptions/renamed")
    with customer.unit() as unit:
        own_id = core_invoice_id(unit, find_by_number(unit, invoice.number))
        again = apply_event(unit, first)
        repeated = mirror_invoice(unit, invoice, reason="event")

    assert moved == []
    assert mirrored is not None
    assert repeated is not None
    assert (mirrored.number, mirrored.total) == ("B-1", 99_900)
    assert (applied, again) == (True, False)
    assert (own_id, repeated.number) == (invoice.id, invoice.number)
    assert numbers(customer) == known


def connect_knowing(customer: Customer, core: ExampleCore, *invoices: CoreInvoice) -> None:
    """Connect the core as one that has these invoices."""
    service = core.service("nordlys")
    url = core.subscription_url("nordlys")
    address = customer.runtime.sealed_address(customer.org_id, url, token=TOKEN, webhook_secret=SECRET)
    with customer.unit(OPERATOR) as unit:
        connect_core(unit, address, service.subscription(), invoices)


def later(invoice: CoreInvoice, core_id: str, days: int, total: int, number: str = "") -> CoreInvoice:
    """Return another invoice of a core."""
    bill, at = replace(invoice.bill, total=total, amount_due=total), invoice.at + timedelta(days=days)
    return replace(invoice, id=core_id, number=number or f"N-{core_id}", at=at, bill=bill)


def test_x10_a_restored_core_that_gives_ids_again_loses_no_invoice_and_no_event(
    customer: Customer, core: ExampleCore
) -> None:
    issued = core.service("nordlys").invoices()[0]
    one, two = later(issued, "1", 0, 100), later(issued, "2", 1, 200)
    told = CoreEvent("7", EventKind.PRICE_CHANGED, issued.at)
    with customer.unit() as unit:
        for invoice in (one, two):
            mirror_invoice(unit, invoice, reason="event")
        apply_event(unit, told)

    # The back-up knows the first invoice; the next one of another day is its second.
    connect_knowing(customer, core, one)
    anew = later(issued, "2", 9, 99_900)
    with customer.unit() as unit:
        written, repeated = (mirror_invoice(unit, anew, reason="event") for _ in range(2))
        known = mirror_invoice(unit, one, reason="event")
        events = [apply_event(unit, each) for each in (told, replace(told, at=anew.at))]
    with customer.unit() as unit:
        own_id = core_invoice_id(unit, find_by_number(unit, "N-2/2"))
        with pytest.raises(NotFoundError):
            core_invoice_id(unit, find_by_number(unit, "N-2"))
        compared = reconcile_books(unit, core.service("nordlys").subscription(), [one, anew])

    assert written is not None
    assert known is not None
    assert repeated == written
    assert (written.number, written.total, known.total, own_id) == ("N-2/2", 99_900, 100, "2")
    assert numbers(customer) == ["N-1", "N-2", "N-2/2"]
    assert events == [False, True]
    assert [one.code for one in compared] == ["invoice_unknown"]


def test_x10_one_equal_invoice_makes_no_two_cores_one(customer: Customer, core: ExampleCore) -> None:
    issued = core.service("nordlys").invoices()[0]
    one = later(issued, "1", 0, 42_500)
    with customer.unit() as unit:
        for invoice in (one, later(issued, "2", 1, 15_000)):
            mirror_invoice(unit, invoice, reason="event")
    other = later(issued, "2", 3, 99_900, "B-2")

    connect_knowing(customer, core, replace(one, number="N-1"), other)
    with customer.unit() as unit:
        written = [mirror_invoice(unit, invoice, reason="event") for invoice in (one, other)]

    assert [invoice.number for invoice in written if invoice is not None] == ["N-1/2", "B-2"]
    assert numbers(customer) == ["B-2", "N-1", "N-1/2", "N-2"]


def test_x10_another_sum_of_the_same_invoice_is_told_and_changes_nothing(customer: Customer, core: ExampleCore) -> None:
    invoice = later(core.service("nordlys").invoices()[0], "1", 0, 42_500)
    with customer.unit() as unit:
        mirror_invoice(unit, invoice, reason="event")

    with customer.unit() as unit:
        again = mirror_invoice(unit, later(invoice, "1", 0, 1), reason="event")
        alert = unit.session.scalars(select(Alert)).one()

    assert again is not None
    assert again.total == 42_500
    assert alert.code == "core_invoice_changed"
    assert alert.detail == "Invoice N-1 is another sum at the billing core than here: ask who keeps its books"


def test_z1_administrators_read_of_alerts_about_money_no_sum_and_no_invoice(customer: Customer) -> None:
    detail = "The payment of invoice N-5 was declined: it is still to be paid"
    with customer.unit() as unit:
        raise_alert(unit, "renewal_payment_declined", detail=detail, told_apart=True)

    told = {}
    for role in (Role.OWNER, Role.ADMIN):
        with customer.unit(Actor(ActorKind.MEMBER, customer.owner.id, role)) as unit:
            told[role] = [alert.detail for alert in read_overview(unit).alerts]

    assert told == {
        Role.OWNER: [detail],
        Role.ADMIN: ["The payment of a renewal was declined: its invoice is still to be paid"],
    }


@pytest.mark.parametrize("name", ["second", "nordlys"])
def test_what_a_core_said_just_before_it_was_replaced_or_connected_anew_is_not_taken(
    customer: Customer, core: ExampleCore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    core.open("second", premium=5, standard=9)
    ask = HttpBillingService.events

    def and_then_replaced(service: HttpBillingService, after: str | None) -> tuple[Sequence[CoreEvent], str | None]:
        told = ask(service, after)
        connect(customer, core, name)
        return told

    monkeypatch.setattr(HttpBillingService, "events", and_then_replaced)

    with pytest.raises(BillingCoreUnreachableError, match="connected before"):
        catch_up(customer.runtime, customer.org_id)

    assert count(customer, CoreEventApplied) == 0
    assert pools(customer)["premium"][0] == {"second": 5, "nordlys": 2}[name]


def test_numbers_of_a_core_are_found_in_any_case_and_told_apart(customer: Customer, core: ExampleCore) -> None:
    buy(customer, core, premium=1)
    invoice = core.service("nordlys").invoices()[-1]
    with customer.unit() as unit:
        for core_id, number in (("1", "inv-7"), ("2", "INV-7"), ("3", "INV-70")):
            mirror_invoice(unit, replace(invoice, id=core_id, number=number), reason="event")
    said = [replace(invoice, id=core_id, number=number) for core_id, number in (("1", "inv-7"), ("3", "INV-7"))]

    with customer.unit() as unit:
        found = [read_document(unit, find_by_number(unit, number)).number for number in ("INV-7", "inv-7/2", "Inv-70")]
        compared = reconcile_books(unit, core.service("nordlys").subscription(), [*said, invoice])

    assert found == ["inv-7", "INV-7/2", "INV-70"]
    assert [one.sentence.split()[1] for one in compared if one.code == "invoice_differs"] == ["INV-70"]
