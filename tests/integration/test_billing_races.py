"""Exactly once: under concurrency, and when the process is killed at the worst moment (rules G3 and Q5, X1, X2)."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import URL, func, select, update
from sqlalchemy.exc import IntegrityError

from bridge.errors import BridgeError, PreviewStaleError
from bridge.store.models import Invoice, Payment, SeatPool
from bridge.store.pools import read_pools
from bridge.usecases.buy_seats import SeatsConfirmation, change_seats, confirm_seats, preview_seats
from tests.conftest import KEY
from tests.factories import Customer

ResultT = TypeVar("ResultT")

CHILD = Path(__file__).with_name("killed_buyer.py")


def at_once(count: int, act: Callable[[int], ResultT]) -> list[ResultT]:
    """Run an action in threads that start together."""
    barrier = Barrier(count)

    def run(number: int) -> ResultT:
        barrier.wait(10)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def ledger(customer: Customer) -> tuple[int, int]:
    """Count invoices and payments beside the first ones."""
    with customer.unit() as unit:
        invoices = unit.session.scalar(select(func.count()).select_from(Invoice)) or 0
        payments = unit.session.scalar(select(func.count()).select_from(Payment)) or 0
    return invoices - 1, payments - 1


def paid(customer: Customer) -> dict[str, int]:
    with customer.unit() as unit:
        return {pool.tier: pool.paid for pool in read_pools(unit)}


def test_q5_eight_callers_with_one_key_make_one_invoice_and_get_one_answer(customer: Customer) -> None:
    def buy(_: int) -> SeatsConfirmation:
        with customer.unit(customer.owner) as unit:
            return change_seats(unit, {"premium": 1}, "order-1")

    answers = at_once(8, buy)

    assert all(answer == answers[0] for answer in answers)
    assert ledger(customer) == (1, 1)
    assert paid(customer) == {"premium": 3, "standard": 5}


def test_q5_eight_clicks_on_one_confirmation_buy_once(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})

    def confirm(_: int) -> SeatsConfirmation:
        with customer.unit(customer.owner) as unit:
            return confirm_seats(unit, preview.id, acknowledged=True)

    answers = at_once(8, confirm)

    assert len(set(map(str, answers))) == 1
    assert ledger(customer) == (1, 1)


def test_two_buyers_at_once_both_get_their_seats(customer: Customer) -> None:
    def buy(number: int) -> SeatsConfirmation:
        with customer.unit(customer.owner) as unit:
            return change_seats(unit, {"premium": 1 + number})

    at_once(2, buy)

    # 2 + 1 + 2 Premium seats.
    assert paid(customer) == {"premium": 5, "standard": 5}
    with customer.unit() as unit:
        numbers = unit.session.scalars(select(Invoice.number).order_by(Invoice.number)).all()
    assert numbers == ["NORDLYS-000001", "NORDLYS-000002", "NORDLYS-000003"]


def test_q3_of_two_previews_confirmed_at_once_one_is_stale(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        previews = [preview_seats(unit, {"premium": 1}) for _ in range(2)]

    def confirm(number: int) -> str:
        try:
            with customer.unit(customer.owner) as unit:
                confirm_seats(unit, previews[number].id, acknowledged=True)
        except BridgeError as refusal:
            return refusal.code
        return "confirmed"

    outcomes = at_once(2, confirm)

    assert sorted(outcomes) == ["confirmed", PreviewStaleError.code]
    assert ledger(customer) == (1, 1)


def test_g3_buyers_and_arrivals_at_once_never_over_allocate(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(premium=0, standard=0)

    def act(number: int) -> None:
        if number % 2:
            customer.push(f"u{number}@nordlys.test")
        else:
            with customer.unit(customer.owner) as unit:
                change_seats(unit, {"standard": 1})

    at_once(8, act)

    with customer.unit() as unit:
        pools = {pool.tier: (pool.paid, pool.total, pool.used) for pool in read_pools(unit)}
    assert pools == {"premium": (0, 0, 0), "standard": (4, 4, 4)}


def buy_and_be_killed(customer: Customer, url: URL, moment: str) -> None:
    """Buy one Premium seat in a process that is killed ``before`` or ``after`` its commit."""
    facts = {
        "url": url.render_as_string(hide_password=False),
        "key": KEY,
        "org": str(customer.org_id),
        "moment": moment,
        "at": customer.runtime.clock.now().isoformat(),
    }
    done = subprocess.run(
        [sys.executable, str(CHILD), json.dumps(facts)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("moment", "charged"), [("before", 0), ("after", 1)])
def test_case_x1_a_killed_process_has_charged_nothing_or_once_and_a_retry_completes(
    customer: Customer, database_url: URL, moment: str, charged: int
) -> None:
    buy_and_be_killed(customer, database_url, moment)

    assert ledger(customer) == (charged, charged)
    assert paid(customer)["premium"] == 2 + charged

    with customer.unit(customer.owner) as unit:
        change_seats(unit, {"premium": 1}, "order-1")

    assert ledger(customer) == (1, 1)
    assert paid(customer)["premium"] == 3
    with customer.unit() as unit:
        numbers = unit.session.scalars(select(Invoice.number).order_by(Invoice.number)).all()
    assert numbers == ["NORDLYS-000001", "NORDLYS-000002"]


@pytest.mark.parametrize(
    ("used", "total", "constraint"),
    [(3, 2, "used_within_total"), (-1, 2, "used_within_total"), (0, 3, "total_within_paid")],
)
def test_g3_the_database_itself_refuses_more_seats_than_there_are(
    customer: Customer, used: int, total: int, constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint), customer.unit() as unit:
        unit.session.execute(
            update(SeatPool)
            .where(SeatPool.org_id == unit.org_id, SeatPool.tier == "premium")
            .values(used=used, total=total)
        )


def test_a_second_invoice_of_one_business_fact_is_impossible(customer: Customer) -> None:
    with customer.unit() as unit:
        first = unit.session.scalars(select(Invoice)).one()
        copied = {column.key: getattr(first, column.key) for column in Invoice.__mapper__.columns}

    with pytest.raises(IntegrityError, match="key"), customer.unit() as unit:
        unit.session.add(Invoice(**copied | {"id": unit.org_id, "number": "NORDLYS-000099"}))
