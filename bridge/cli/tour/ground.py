"""The ground the tour stands on: a database made anew, and the service starting over it.

Imports little: the service's own process starts before the tour has loaded the product.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import click
import psycopg
import yaml
from psycopg import sql

import bridge
from bridge.cli.tour.narration import Narrator
from bridge.cli.tour.service import listen, running, wait_until_ready, web_command, worker_command
from bridge.config.keys import KEYS_FILE_NAME, ensure_keys_file
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.embedded_files import try_lock

CONFIG_FILE = "config.yaml"
LOG_FILE = "service.log"
# The names that every other command gives the embedded database, so that they find this one (a test compares).
DATABASE = "seatbridge"
ROLE = "seatbridge_service"
_ROOT = Path(bridge.__file__).parents[1]
_TEMPLATES = "empty_"


@dataclass(frozen=True, slots=True)
class Ground:
    """A service that is starting: its address, its configuration, its database (as its own role), its log."""

    url: str
    config_file: Path
    database_url: str
    log: Path
    environment: dict[str, str] = field(repr=False)
    web: "subprocess.Popen[bytes]" = field(repr=False)

    def wait_until_ready(self) -> None:
        """Wait until the service answers.

        Raises:
            click.ClickException: It did not start.
        """
        wait_until_ready(self.web, self.url, self.log)

    def worker(self) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        """Run the worker meanwhile."""
        return running(worker_command(), self.environment, self.log)


@contextmanager
def prepare_ground(folder: Path, narrator: Narrator, *, port: int, keep: bool) -> Iterator[Ground]:
    """Start PostgreSQL, make the database anew and start the service; take all of it down again whatever happens.

    Nothing of the caller's own configuration counts: a tour must not touch a database that somebody uses.

    Args:
        folder: The demo's own folder. The database's server keeps its files there from run to run.
        narrator: Says what is done.
        port: Of the service, where it is free.
        keep: Whether the database stays afterwards.
    """
    with ExitStack() as stack:
        stack.enter_context(_alone(folder))
        with narrator.step("PostgreSQL") as notes:
            server = EmbeddedPostgres(folder / "postgres")
            stack.enter_context(server.service_lock())
            known = (server.path / "data").exists()
            notes.append(f"embedded, {_shown(server.path)}{'' if known else ' (new)'}")
            stack.enter_context(server)
        with narrator.step("database") as notes:
            notes.append("copied from an empty one" if _make_database(server) else "migrated, then copied")
            if not keep:
                stack.callback(_drop, server, DATABASE)
        listener = stack.enter_context(listen(port))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config_file = _write_config(folder, server, url)
        ensure_keys_file(server.path / KEYS_FILE_NAME)
        database_url = server.url(DATABASE, ROLE)
        environment = _environment(config_file, database_url, server.path / KEYS_FILE_NAME)
        log = folder / LOG_FILE
        log.unlink(missing_ok=True)
        web = stack.enter_context(running(web_command(listener), environment, log, keeps=(listener.fileno(),)))
        listener.close()  # the service has its own copy
        yield Ground(url, config_file, database_url, log, environment, web)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that a second tour does not take the database from under the first.

    Raises:
        click.ClickException: A tour is running.
    """
    lock = try_lock(folder / "demo.lock", wait_seconds=0)
    if lock is None:
        raise click.ClickException(
            "The demo is running already: go to the terminal it runs in, or stop it there first."
        )
    try:
        yield
    finally:
        os.close(lock)


def _make_database(server: EmbeddedPostgres) -> bool:
    """Make the database anew, as a copy of an empty one that is migrated once for each state of the migrations.

    Returns:
        Whether the empty one was there already.
    """
    template = f"{_TEMPLATES}{_fingerprint_of_migrations()}"
    draft = f"{template}_draft"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        known = {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database")}
        for name in known:
            if name == DATABASE or (name.startswith(_TEMPLATES) and name != template):
                _drop(server, name)
        if template not in known:
            # Renamed when it is complete: an interrupted run leaves nothing that looks ready.
            server.ensure_database(draft)
            _migrate(server, draft)
            _execute(connection, "ALTER DATABASE {} RENAME TO {}", draft, template)
        _execute(connection, "CREATE DATABASE {} TEMPLATE {}", DATABASE, template)
    return template in known


def _migrate(server: EmbeddedPostgres, name: str) -> None:
    from bridge.store.schema import upgrade

    upgrade(server.url(name), server.url(name, ROLE))


def _fingerprint_of_migrations() -> str:
    digest = hashlib.sha256()
    for file in sorted((_ROOT / "bridge" / "store").rglob("*")):
        if file.suffix in {".py", ".sql"}:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _drop(server: EmbeddedPostgres, name: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        _execute(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _execute(connection: "psycopg.Connection[tuple[object, ...]]", statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _write_config(folder: Path, server: EmbeddedPostgres, url: str) -> Path:
    """Write the tour's configuration, with which every other command finds the same service and database."""
    file = folder / CONFIG_FILE
    document = {
        "server": {"public_url": url, "port": int(url.rpartition(":")[2]), "workers": 1},
        "database": {"embedded_path": str(server.path)},
        "jobs": {"sweep_seconds": 5.0},
        "log": {"level": "warning", "format": "console"},
    }
    file.write_text(f"# Written by `seatbridge demo`.\n{yaml.safe_dump(document, sort_keys=False)}")
    return file


def _environment(config_file: Path, database_url: str, keys_file: Path) -> dict[str, str]:
    """Return the environment of the service's processes: they use the running database and never start one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEATBRIDGE")}
    return environment | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH")))),
        "SEATBRIDGE_CONFIG": str(config_file),
        "SEATBRIDGE__DATABASE__URL": database_url,
        "SEATBRIDGE__SECRETS__KEYS_FILE": str(keys_file),
    }


def _shown(path: Path) -> str:
    """Return a path as people would type it here."""
    try:
        return str(path.relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)
