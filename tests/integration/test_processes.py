"""``seatbridge serve`` with its real processes: gunicorn, the worker and the embedded PostgreSQL."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.config import Settings, generate_key
from bridge.runtime import build_runtime
from bridge.usecases.connections import issue_scim_token
from tests.conftest import KEY
from tests.factories import Customer, create_customer
from tests.processes import Product, eventually, run_seatbridge, seatbridge

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Site:
    """A service under test: how to reach it, and how to start it."""

    port: int
    environment: dict[str, str]
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serve(self, *options: str) -> Iterator[Product]:
        with seatbridge("serve", *options, environment=self.environment, folder=self.folder) as product:
            ready = eventually(lambda: "ready" in product.text or product.process.poll() is not None, within_seconds=60)
            assert ready, product.text
            yield product

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture
def site(database_url: URL, tmp_path: Path) -> Site:
    port = free_port()
    return Site(
        port,
        {
            "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
            "SEATBRIDGE__DATABASE__LOCK_TIMEOUT_SECONDS": "30",
            "SEATBRIDGE__DATABASE__STATEMENT_TIMEOUT_SECONDS": "30",
            "SEATBRIDGE__SECRETS__KEYS": KEY,
            "SEATBRIDGE__SERVER__PORT": str(port),
            "SEATBRIDGE__SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SEATBRIDGE__SERVER__WORKERS": "1",
        },
        tmp_path,
    )


@pytest.fixture
def tenant(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A customer of the present day."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield create_customer(runtime)
    runtime.close()


def token_of(tenant: Customer) -> str:
    with tenant.unit() as unit:
        return issue_scim_token(unit, tenant.connection_id).text


def push_person(site: Site, tenant: Customer, token: str, user_name: str) -> httpx.Response:
    return httpx.post(
        f"{site.url}/scim/v2/{tenant.slug}/Users",
        json={"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": user_name},
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"},
        timeout=60,
    )


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@contextmanager
def organization_held(connection: psycopg.Connection, tenant: Customer) -> Iterator[None]:
    """Hold the organization's lock, so that a request waits for us in the middle of its transaction."""
    with connection.transaction():
        connection.execute("SELECT 1 FROM organization_state WHERE org_id = %s FOR UPDATE", [tenant.org_id])
        yield


def somebody_waits(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0


def people(connection: psycopg.Connection, user_name: str) -> int:
    row = connection.execute("SELECT count(*) FROM member WHERE user_name = %s", [user_name]).fetchone()
    assert row is not None
    return int(row[0])


def child(product: Product, name: str) -> psutil.Process:
    """The service's own child with this word in its command line."""
    found = psutil.Process(product.process.pid).children()
    return next(process for process in found if name in process.cmdline())


def test_case_x4_term_finishes_the_request_under_way_before_everything_ends(
    site: Site, tenant: Customer, owner_connection: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    token = token_of(tenant)
    with site.serve() as product:
        with organization_held(owner_connection, tenant):
            answer = threads.submit(push_person, site, tenant, token, "ada@nordlys.test")
            waits = eventually(lambda: somebody_waits(owner_connection))
            product.process.send_signal(signal.SIGTERM)
            time.sleep(1.5)
            still_there = product.process.poll() is None
        response = answer.result(30)
        status = product.process.wait(60)

    assert (waits, still_there, response.status_code, status) == (True, True, 201, 0), product.text
    assert people(owner_connection, "ada@nordlys.test") == 1
    assert not site.answers()


def test_case_x1_a_web_process_killed_before_its_commit_leaves_nothing_and_a_retry_succeeds(
    site: Site, tenant: Customer, owner_connection: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    token = token_of(tenant)
    with site.serve("--without-worker") as product:
        with organization_held(owner_connection, tenant):
            answer = threads.submit(push_person, site, tenant, token, "ada@nordlys.test")
            waits = eventually(lambda: somebody_waits(owner_connection))
            for process in child(product, "gunicorn").children():
                process.kill()
            broken = answer.exception(30)
        gone = eventually(lambda: not somebody_waits(owner_connection))
        left_over = people(owner_connection, "ada@nordlys.test")
        back = eventually(site.answers)
        retried = push_person(site, tenant, token, "ada@nordlys.test")
        again = push_person(site, tenant, token, "ada@nordlys.test")

    assert (waits, gone, left_over, back) == (True, True, 0, True), product.text
    assert isinstance(broken, httpx.HTTPError)
    assert (retried.status_code, again.status_code) == (201, 409)


def test_a_part_that_is_killed_is_started_again_and_requests_wait_for_it(site: Site, tenant: Customer) -> None:
    with site.serve() as product:
        web, worker = child(product, "gunicorn"), child(product, "worker")
        web.kill()
        worker.kill()
        # The socket is the service's own: this request waits in line until the web is back.
        answer = httpx.get(f"{site.url}/readyz", timeout=60)
        back = eventually(lambda: product.text.count("process.restarted") == 2)

    assert (answer.status_code, back) == (200, True), product.text


def test_what_the_service_started_ends_with_it_even_when_it_is_killed(site: Site, tenant: Customer) -> None:
    with site.serve() as first:
        started = psutil.Process(first.process.pid).children(recursive=True)
        first.kill()
        ended = eventually(lambda: not any(is_alive(process) for process in started))

    with site.serve() as second:
        serves_again = site.answers()

    assert (ended, serves_again) == (True, True), second.text


def test_the_embedded_database_serves_without_any_setting_and_keeps_its_data(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "SEATBRIDGE__DATABASE__EMBEDDED_PATH": str(tmp_path / "pg"),
        "SEATBRIDGE__SERVER__PORT": str(port),
        "SEATBRIDGE__SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SEATBRIDGE__SERVER__WORKERS": "1",
    }
    site = Site(port, environment, tmp_path)
    with site.serve() as product:
        facts = ("--name", "Nordlys", "--tier", "premium=1@10.00", "--owner-email", "olga@nordlys.test")
        created = run_seatbridge("org", "create", "nordlys", *facts, environment=environment)
        link = re.search(r"http://\S+/sign-in/link/\S+", created.stdout)
        signed_in = httpx.get(link.group(), timeout=30) if link else None
        second = run_seatbridge("serve", environment={**environment, "SEATBRIDGE__SERVER__PORT": str(free_port())})
        taken = run_seatbridge("serve", environment={**environment, **_other_folder(tmp_path)})
        status = product.stop()

    listed = run_seatbridge("org", "list", environment=environment)

    assert status == 0, product.text
    assert f"Seatbridge is ready: http://127.0.0.1:{port}\n" in product.text
    assert signed_in is not None, created.stderr
    assert signed_in.status_code == 200
    assert (second.returncode, f"another Seatbridge (process {product.process.pid})" in second.stderr) == (2, True)
    assert (taken.returncode, f"127.0.0.1:{port} cannot be listened on" in taken.stderr) == (2, True)
    assert "nordlys" in listed.stdout


def test_case_x5_a_crash_of_the_embedded_database_is_over_within_ten_seconds(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "SEATBRIDGE__DATABASE__EMBEDDED_PATH": str(tmp_path / "pg"),
        "SEATBRIDGE__SERVER__PORT": str(port),
        "SEATBRIDGE__SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SEATBRIDGE__SERVER__WORKERS": "1",
        "SEATBRIDGE__JOBS__SWEEP_SECONDS": "0.5",
    }
    site = Site(port, environment, tmp_path)
    with site.serve() as product:
        worker = child(product, "worker")
        for process in psutil.Process(product.process.pid).children(recursive=True):
            if process.name().startswith("postgres"):
                process.kill()
        serves_again = eventually(site.answers, within_seconds=10)
        facts = ("--name", "Nordlys", "--tier", "premium=1@10.00", "--owner-email", "olga@nordlys.test")
        created = run_seatbridge("org", "create", "nordlys", *facts, environment=environment)
        delivers = eventually(lambda: "delivery.done" in product.text, within_seconds=20)
        same_worker = is_alive(worker)

    assert (serves_again, created.returncode, delivers, same_worker) == (True, 0, True, True), product.text


def test_a_back_up_of_the_embedded_database_is_restored_elsewhere(tmp_path: Path) -> None:
    here, there = ({"SEATBRIDGE__DATABASE__EMBEDDED_PATH": str(tmp_path / name)} for name in ("here", "there"))
    file = tmp_path / "seatbridge.dump"
    facts = ("--name", "Nordlys", "--tier", "premium=1@10.00", "--owner-email", "olga@nordlys.test")
    run_seatbridge("org", "create", "nordlys", *facts, environment=here)

    written = run_seatbridge("db", "backup", str(file), environment=here)
    twice = run_seatbridge("db", "backup", str(file), environment=here)
    restored = run_seatbridge("db", "restore", str(file), "--yes", environment=there)

    shown = run_seatbridge("seats", "show", "nordlys", environment=there)
    checked = run_seatbridge("doctor", environment=there)
    assert (written.returncode, twice.returncode) == (0, 1), written.stderr
    assert file.stat().st_mode & 0o077 == 0
    assert restored.returncode == 0, restored.stderr
    assert "Premium" in shown.stdout
    assert "cannot bypass row-level security" in checked.stdout


def test_a_database_that_the_service_cannot_work_on_is_refused_with_the_repair(site: Site, owner_url: URL) -> None:
    superuser = owner_url.render_as_string(hide_password=False)

    refused = run_seatbridge("serve", environment={**site.environment, "SEATBRIDGE__DATABASE__URL": superuser})

    assert refused.returncode == 2
    assert "could bypass row-level security" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_keys_that_the_data_was_not_written_with_are_named_at_the_start(
    site: Site, tenant: Customer, tmp_path: Path
) -> None:
    other = {**site.environment, "SEATBRIDGE__SECRETS__KEYS": generate_key()}
    with seatbridge("serve", environment=other, folder=tmp_path) as product:
        said = eventually(lambda: "keys.do_not_belong_to_the_data" in product.text)
        ready = eventually(lambda: "Seatbridge is ready" in product.text)

    assert (said, ready) == (True, True), product.text
    assert str(tenant.org_id) in product.text


def _other_folder(tmp_path: Path) -> dict[str, str]:
    return {"SEATBRIDGE__DATABASE__EMBEDDED_PATH": str(tmp_path / "other")}


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
