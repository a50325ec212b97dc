"""Migrations: the schema they build is the models', one process at a time, resumable, all or nothing (X10)."""

import multiprocessing
import os
import re
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

import bridge.store.models  # noqa: F401 (the tables register themselves)
from bridge.errors import ConfigurationError
from bridge.runtime import EMBEDDED_ROLE
from bridge.store.base import Base
from bridge.store.database import build_engine, check_database
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.schema import MIGRATION_LOCK, alembic_config, known_revisions, newest_revision, upgrade
from tests.postgres import drop_database
from tests.processes import ROOT, eventually

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def empty_url(postgres_server: EmbeddedPostgres) -> Iterator[URL]:
    """An empty database, as its owner."""
    name = f"t_{uuid.uuid4().hex}"
    postgres_server.ensure_database(name)
    yield make_url(postgres_server.url(name))
    drop_database(postgres_server, name)


def connect(url: URL) -> psycopg.Connection:
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(conninfo, autocommit=True)


def tables(url: URL) -> int:
    with connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert row is not None
    return int(row[0])


def upgrade_here(url: str) -> None:
    upgrade(url, make_url(url).set(username=EMBEDDED_ROLE))


def start(url: URL) -> "multiprocessing.context.SpawnProcess":
    process = SPAWN.Process(target=upgrade_here, args=(url.render_as_string(hide_password=False),))
    process.start()
    return process


def test_the_migrated_schema_is_the_one_of_the_models(owner_url: URL) -> None:
    engine = create_engine(owner_url, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: not (kind == "table" and str(name).startswith("procrastinate_")),
            },
        )

        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_a_second_run_changes_nothing(owner_url: URL) -> None:
    before = tables(owner_url)

    revision = upgrade(owner_url, owner_url.set(username=EMBEDDED_ROLE))

    assert revision == newest_revision()
    assert tables(owner_url) == before


def test_case_x10_two_processes_at_once_take_turns(empty_url: URL) -> None:
    both = [start(empty_url), start(empty_url)]
    for process in both:
        process.join(300)

    assert [process.exitcode for process in both] == [0, 0]
    with connect(empty_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest_revision(),)]


def test_case_x10_a_process_waits_while_another_one_migrates(empty_url: URL) -> None:
    with connect(empty_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        process = start(empty_url)
        waits = eventually(
            lambda: (
                other.execute(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                ).fetchone()
                == (1,)
            )
        )
        nothing_yet = tables(empty_url)
        other.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
    process.join(300)

    assert (waits, nothing_yet, process.exitcode) == (True, 0, 0)


def test_case_x10_a_killed_run_leaves_nothing_and_the_next_one_finishes(empty_url: URL) -> None:
    process = start(empty_url)
    with connect(empty_url) as watcher:
        begun = eventually(
            lambda: (
                watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND state IN ('active', 'idle in transaction') AND xact_start IS NOT NULL"
                ).fetchone()
                == (1,)
            )
        )
        time.sleep(0.05)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        gone = eventually(
            lambda: (
                watcher.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).fetchone()
                == (0,)
            )
        )
    left_over = tables(empty_url)

    upgrade_here(empty_url.render_as_string(hide_password=False))

    assert (begun, gone) == (True, True)
    assert left_over == 0
    assert tables(empty_url) > len(Base.metadata.tables)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DELETE FROM alembic_version", r"the schema is at nothing .* run `seatbridge db upgrade`"),
        ("UPDATE alembic_version SET version_num = '9999'", r"upgraded by a newer version: install that version"),
    ],
)
def test_a_schema_of_another_version_is_refused_with_what_helps(
    database_url: URL, owner_connection: psycopg.Connection, change: str, problem: str
) -> None:
    owner_connection.execute(change)
    engine = build_engine(
        database_url, pool_size=1, pool_overflow=0, statement_timeout_seconds=5, lock_timeout_seconds=5
    )

    with pytest.raises(ConfigurationError, match=problem):
        check_database(engine)

    engine.dispose()


def test_the_roles_of_the_deployment_page_suffice_on_a_cluster_of_its_own(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "deploy-with-postgresql.md").read_text()
    (statements,) = re.findall(r"^```sql\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    with EmbeddedPostgres(tmp_path / "pg", durable=False) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            for statement in filter(None, map(str.strip, statements.split(";"))):
                admin.execute(statement)
        owner = make_url(server.url("seatbridge", "seatbridge_owner"))
        service = make_url(server.url("seatbridge", "seatbridge"))

        first, again = upgrade(owner, service), upgrade(owner, service)

        engine = build_engine(
            service, pool_size=1, pool_overflow=0, statement_timeout_seconds=5, lock_timeout_seconds=5
        )
        check_database(engine)
        with engine.connect() as connection:
            organizations = connection.scalar(text("SELECT count(*) FROM list_organizations()"))
        engine.dispose()

    assert (first, again, organizations) == (newest_revision(), newest_revision(), 0)


def test_the_files_of_the_migrations_are_numbered_as_alembic_chains_them() -> None:
    script = ScriptDirectory.from_config(alembic_config())

    chained = [one.revision for one in script.walk_revisions()]

    assert list(reversed(chained)) == list(known_revisions())
    assert script.get_current_head() == newest_revision()
