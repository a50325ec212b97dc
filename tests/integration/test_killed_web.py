"""The web's process killed by SIGKILL at every named point of a purchase in the console (X1, X3)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import URL, func, select

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.jobs.work import place_orders_due
from bridge.runtime import build_runtime
from bridge.store.models import BillingOrder, Preview
from bridge.store.pools import read_pools
from tests.chaos import service_environment
from tests.chaos_web import Owner, Web, free_port
from tests.cores import ExampleCore, example_core, remote_customer, with_local_cores
from tests.factories import Customer
from tests.integration.deadly_web import POINT_FILE, POINTS
from tests.processes import ROOT, eventually


@contextmanager
def deadly_web(settings: Settings, url: URL, folder: Path) -> Iterator[Web]:
    """Serve with processes of which one dies where the file ``point`` in the folder says."""
    web = Web({}, folder / "web.log", port=free_port())
    environment = {
        **service_environment(settings, url),
        POINT_FILE: str(folder / "point"),
        "SEATBRIDGE__SERVER__PUBLIC_URL": web.url,
    }
    # Two of them: while one is started again, the other one answers.
    flags = ["--no-control-socket", f"--bind=127.0.0.1:{web.port}", "--workers=2", "--threads=2", "--preload"]
    with web.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *flags, "tests.integration.deadly_web:app()"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        assert eventually(web.answers, within_seconds=90), web.log.read_text()
        yield web
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_case_x1_x3_killed_at_any_point_of_a_purchase_in_the_console_orders_and_charges_once(
    settings: Settings, database_url: URL, tmp_path: Path
) -> None:
    runtime = build_runtime(with_local_cores(settings), database_url, payments=BuiltinPayments())
    runtime.closing.callback(runtime.engine.dispose)
    found = {}

    with example_core(tmp_path) as core, deadly_web(settings, database_url, tmp_path) as web:
        customer = remote_customer(runtime, core)
        owner = Owner(web, customer, Random(7))  # noqa: S311 (repeatable on purpose)
        for point in POINTS:
            owner.repeated = 0
            before = counted(customer, core)
            (tmp_path / "point").write_text(point)
            owner.confirm(owner.preview({"premium": 1}))
            died = not (tmp_path / "point").exists()
            place_orders_due(runtime)
            found[point] = (
                died,
                owner.repeated,
                *(now - was for now, was in zip(counted(customer, core), before, strict=True)),
            )
        owner.close()
    runtime.close()

    # Died there, sent again once; previews, orders, charges at the core, Premium seats that came of it. A preview that
    # was written and whose answer was lost is made once more: it is nothing but a look.
    seen_twice = {"preview.after_commit", "preview.before_answer"}
    assert found == {point: (True, 1, 2 if point in seen_twice else 1, 1, 1, 1) for point in POINTS}


def counted(customer: Customer, core: ExampleCore) -> tuple[int, int, int, int]:
    """Count previews, orders, charges at the core, and Premium seats."""
    with customer.unit() as unit:
        previews = unit.session.scalar(select(func.count()).select_from(Preview)) or 0
        orders = unit.session.scalar(select(func.count()).select_from(BillingOrder)) or 0
        premium = next(pool.total for pool in read_pools(unit) if pool.tier == "premium")
    return previews, orders, len(core.invoices(customer.slug)), premium
