"""What owners see where a billing core of their own bills: quotes, an order on its way, and a core that is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.jobs.work import place_orders_due
from bridge.runtime import Runtime, build_runtime
from tests.cores import ExampleCore, example_core, remote_customer, with_local_cores
from tests.factories import Customer
from tests.web import Browser, sign_in
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
def browser(runtime: Runtime, customer: Customer) -> Browser:
    return sign_in(compose(runtime), customer)


def test_seats_are_ordered_from_the_preview_and_come_when_the_core_has_confirmed(
    browser: Browser, customer: Customer
) -> None:
    preview = browser.post("/console/seats/previews", {"add.premium": "2", "add.standard": "0"})
    shown = browser.get(preview.location)
    done = browser.post(f"{preview.location}/confirm", {"acknowledged": "yes"})
    waiting = browser.get(done.location)
    second = browser.post("/console/seats/previews", {"add.premium": "1"})
    place_orders_due(customer.runtime)
    after = browser.get("/console/seats")

    assert (preview.status, shown.status) == (303, 200)
    assert "2 × 150.00" in shown.text
    assert done.status == 303
    assert "The seats are ordered. They come when your billing core has confirmed." in waiting.text
    assert "is on its way to your billing core: +2 Premium." in waiting.text
    assert (second.status, "An order of seats is on its way to the billing core" in second.text) == (409, True)
    assert "on its way" not in after.text
    assert "C-NORDLYS-00002" in after.text


def test_a_seat_for_somebody_is_ordered_and_given_when_the_core_has_confirmed(
    browser: Browser, customer: Customer
) -> None:
    people = [customer.push(f"u{number}@nordlys.test", displayName=f"User {number}") for number in range(8)]
    page = browser.post(f"/console/people/{people[7].id}/seat", {"tier": "premium"})
    path = page.text.partition('action="/console/people/seat-previews/')[2].partition('"')[0]

    done = browser.post(f"/console/people/seat-previews/{path}", {"acknowledged": "yes"})
    told = browser.get(done.location)
    place_orders_due(customer.runtime)
    after = browser.get(done.location)

    assert "Buy 1 seat for" in page.text
    assert "The seat is ordered. User 7 gets it when your billing core has confirmed." in told.text
    assert "Premium" in after.text


def test_case_x8_a_core_that_is_away_is_said_beside_the_form(browser: Browser, core: ExampleCore) -> None:
    core.process.kill()
    core.process.wait()

    page = browser.post("/console/seats/previews", {"add.premium": "2"})

    assert page.status == 503
    assert "gave no usable answer (connection); provisioning and sign-in go on without it" in page.text


def test_case_x8_a_probe_says_how_long_orders_wait(browser: Browser, customer: Customer) -> None:
    preview = browser.post("/console/seats/previews", {"add.premium": "1"})
    browser.post(f"{preview.location}/confirm", {"acknowledged": "yes"})

    waiting = browser.client.get("/readyz").get_json()["waiting"]

    assert (waiting["orders"], waiting["orders_given_up"]) == (1, 0)
    assert 0 <= waiting["oldest_order_seconds"] < 60
