"""Killed by SIGKILL at every named point of an order's way: nothing lost, nothing charged twice (X1, X2, X3)."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, func, select

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.jobs.work import place_orders_due
from bridge.runtime import Runtime, build_runtime
from bridge.store.journal import verify
from bridge.store.models import BillingOrder, Invoice
from bridge.store.pools import read_pools
from bridge.usecases.attempts import LEASE
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from tests.chaos import Chaos, Figures
from tests.conftest import KEY
from tests.cores import ExampleCore, LaterClock, example_core, remote_customer, with_local_cores
from tests.factories import Customer
from tests.integration.killed_order_worker import POINTS

CHILD = Path(__file__).with_name("killed_order_worker.py")


@pytest.fixture
def clock() -> LaterClock:
    return LaterClock()


@pytest.fixture
def runtime(settings: Settings, database_url: URL, clock: LaterClock) -> Iterator[Runtime]:
    runtime = build_runtime(with_local_cores(settings), database_url, payments=BuiltinPayments(), clock=clock)
    yield runtime
    runtime.close()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[ExampleCore]:
    with example_core(tmp_path) as core:
        yield core


@pytest.fixture
def customer(runtime: Runtime, core: ExampleCore) -> Customer:
    return remote_customer(runtime, core)


def be_killed(customer: Customer, url: URL, point: str, preview_id: uuid.UUID) -> None:
    facts = {
        "url": url.render_as_string(hide_password=False),
        "key": KEY,
        "org": str(customer.org_id),
        "preview": str(preview_id),
        "point": point,
    }
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, str(CHILD), json.dumps(facts)], check=False, env=environment, timeout=60)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", POINTS)
def test_case_x2_x3_killed_at_any_point_an_order_is_placed_and_charged_once(
    customer: Customer, core: ExampleCore, clock: LaterClock, database_url: URL, point: str
) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})
    if not point.startswith("confirmation"):
        with customer.unit(customer.owner) as unit:
            confirm_seats(unit, preview.id, acknowledged=True)

    be_killed(customer, database_url, point, preview.id)
    before_repeat = orders(customer)
    if point.startswith("confirmation"):
        with customer.unit(customer.owner) as unit:
            confirm_seats(unit, preview.id, acknowledged=True)
    clock.ahead = LEASE + timedelta(seconds=1)
    place_orders_due(customer.runtime)
    place_orders_due(customer.runtime)

    expected = 0 if point in {"confirmation.before_the_order_is_written", "confirmation.before_commit"} else 1
    assert before_repeat == expected
    assert orders(customer) == 1
    assert len(core.invoices("nordlys")) == 1
    with customer.unit() as unit:
        assert {pool.tier: (pool.paid, pool.total) for pool in read_pools(unit)} == {
            "premium": (3, 3),
            "standard": (5, 5),
        }
        assert unit.session.scalars(select(BillingOrder.state)).all() == ["placed"]
        mirrored = unit.session.scalars(select(Invoice.number).where(Invoice.reason == "seat_change")).all()
        assert verify(unit) is None
    assert mirrored == [core.invoices("nordlys")[0]["number"]]


def orders(customer: Customer) -> int:
    with customer.unit() as unit:
        return unit.session.scalar(select(func.count()).select_from(BillingOrder)) or 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_case_x8_sixty_orders_with_lost_answers_and_killed_web_and_worker_processes_are_all_placed_once(
    settings: Settings, database_url: URL, tmp_path: Path
) -> None:
    chaos = Chaos(orders=60, organizations=10, workers=2, lost_share=0.2, seconds_between_kills=10.0)

    figures = chaos.run(settings, database_url, tmp_path)

    right = {"confirmed": 60, "orders": 60, "placed": 60}
    wrong = dict.fromkeys(("lost", "doubled", "different", "broken_chains", "unpublished"), 0)
    assert figures == Figures(**{**vars(figures), **right, **wrong})
    assert min(figures.answers_lost, figures.workers_killed) > 0
    assert figures.web_workers_killed + figures.web_masters_killed + figures.services_killed > 0
