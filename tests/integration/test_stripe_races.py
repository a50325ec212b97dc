"""Many orders at once for one subscription at Stripe, whose quantities are absolute: none is lost, none is doubled."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import URL, select

from bridge.core import SeatQuestion
from bridge.domain.actors import SYSTEM
from bridge.store.models import StripeOrder
from tests.conftest import KEY, SettableClock
from tests.factories import Customer
from tests.fakes.stripe import StripeStandIn, request_of, service_of, stripe_stand_in
from tests.processes import ROOT, eventually

WORKER = Path(__file__).with_name("stripe_worker.py")
START = datetime(2026, 3, 1, tzinfo=UTC)
#: Half of the 31 days: each Premium seat costs exactly 75.00, whatever the number of seats before it.
HALFWAY = datetime(2026, 3, 16, 12, tzinfo=UTC)
ORDERS = 80


@pytest.fixture
def stripe(clock: SettableClock) -> Iterator[StripeStandIn]:
    clock.at = HALFWAY
    with stripe_stand_in(START) as server:
        server.open_subscription(START)
        server.move_clock(HALFWAY)
        yield server


def reserve_orders(customer: Customer, stripe: StripeStandIn, orders: int) -> None:
    """Reserve orders of one Premium seat each, all on one quote."""
    service = service_of(customer.runtime, customer.org_id, stripe.url)
    quote = service.quote(SeatQuestion({"premium": 1}), key="quote")
    for number in range(orders):
        service.reserve(request_of(service, quote, f"order-{number}", {"premium": 1}))


def start_worker(customer: Customer, url: URL, stripe: StripeStandIn) -> "subprocess.Popen[bytes]":
    facts = {
        "url": url.render_as_string(hide_password=False),
        "key": KEY,
        "org": str(customer.org_id),
        "stripe": stripe.url,
        "at": HALFWAY.isoformat(),
        "threads": 4,
    }
    return subprocess.Popen(
        [sys.executable, str(WORKER), json.dumps(facts)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def states(customer: Customer) -> Counter[str]:
    with customer.unit(SYSTEM) as unit:
        return Counter(unit.session.scalars(select(StripeOrder.state)))


def are_placed(customer: Customer, number: int) -> bool:
    return states(customer)["placed"] >= number


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_30_orders_at_once_over_two_processes_are_30_seats_and_30_charges(
    customer: Customer, database_url: URL, stripe: StripeStandIn
) -> None:
    reserve_orders(customer, stripe, 30)

    workers = [start_worker(customer, database_url, stripe) for _ in range(2)]
    assert [worker.wait(240) for worker in workers] == [0, 0]

    assert states(customer) == {"placed": 30}
    assert stripe.quantities() == {"standard": 5, "premium": 2 + 30}
    assert stripe.charges() == [7500] * 30


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_case_x2_80_orders_with_lost_answers_and_killed_workers_are_80_seats_and_80_charges(
    customer: Customer, database_url: URL, stripe: StripeStandIn
) -> None:
    reserve_orders(customer, stripe, ORDERS)
    # A fifth of what is posted is carried out without an answer, a twentieth each is lost, limited, or answered by 500.
    faults = {"drop_answer": 0.2, "drop_request": 0.05, "limit": 0.05, "fail": 0.05, "fail_late": 0.05}
    stripe.break_things(faults, seed=7)
    chance = random.Random(7)  # noqa: S311 - repeatable on purpose

    with ExitStack() as stack:
        workers = [stack.enter_context(start_worker(customer, database_url, stripe)) for _ in range(2)]
        for placed in range(8, ORDERS, 8):
            assert eventually(partial(are_placed, customer, placed), within_seconds=120)
            # One of the two is killed wherever it is, and another takes its place.
            place = chance.randrange(2)
            workers[place].kill()
            workers[place] = stack.enter_context(start_worker(customer, database_url, stripe))
        assert eventually(lambda: not states(customer)["reserved"], within_seconds=120)

    assert states(customer) == {"placed": ORDERS}
    assert stripe.quantities() == {"standard": 5, "premium": 2 + ORDERS}
    assert stripe.charges() == [7500] * ORDERS
    invoices = service_of(customer.runtime, customer.org_id, stripe.url).invoices()
    assert len(invoices) == ORDERS + 1
