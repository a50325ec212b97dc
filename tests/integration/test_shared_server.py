import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bridge.store.embedded import EmbeddedPostgres
from tests.postgres import clone_database, drop_database, shared_embedded_server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    with shared_embedded_server() as server:
        yield server


@pytest.fixture
def template(server: EmbeddedPostgres) -> Iterator[str]:
    name = f"template_{uuid.uuid4().hex[:8]}"
    server.ensure_database(name)
    with psycopg.connect(server.dsn(name)) as connection:
        connection.execute("CREATE TABLE seat AS SELECT 50 AS total")
    yield name
    drop_database(server, name)


def test_a_copy_of_a_database_holds_what_its_template_holds(server: EmbeddedPostgres, template: str) -> None:
    name = f"{template}_copy"
    clone_database(server, template, name)

    with psycopg.connect(server.dsn(name)) as connection:
        total = connection.execute("SELECT total FROM seat").fetchone()

    drop_database(server, name)
    assert total == (50,)


def test_a_database_is_dropped_while_somebody_is_connected(server: EmbeddedPostgres, template: str) -> None:
    name = f"{template}_copy"
    clone_database(server, template, name)

    with psycopg.connect(server.dsn(name)):
        drop_database(server, name)

    with psycopg.connect(server.dsn()) as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None


def test_workers_of_one_run_share_a_server_that_ends_after_the_last() -> None:
    program = textwrap.dedent(
        """
        import sys, time
        from tests.postgres import shared_embedded_server
        with shared_embedded_server() as server:
            print(server._postmaster_pid(), server.path, flush=True)
            sys.stdin.readline()
        """
    )
    run = uuid.uuid4().hex
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT), "PYTEST_XDIST_TESTRUNUID": run},
        )
        for _ in range(3)
    ]
    answers = {worker.stdout.readline() for worker in workers if worker.stdout}

    workers[0].kill()
    for worker in workers:
        worker.communicate()

    assert len(answers) == 1
    folder = Path(answers.pop().split()[1]).parent
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
