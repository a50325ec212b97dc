"""One PostgreSQL for the whole test session, shared by all its workers, and quick copies of a prepared database."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from bridge.store.embedded import EmbeddedPostgres
from bridge.store.embedded_files import exclusively

_MEMORY = Path("/dev/shm")  # noqa: S108 (only root and we can write into our folder in it)
_ENOUGH_MEMORY_BYTES = 2_000_000_000
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex


@contextmanager
def shared_embedded_server() -> Iterator[EmbeddedPostgres]:
    """Yield the session's server; the first worker has it started, and it ends after the last one, killed or not.

    A server ends with the process that owns it, and workers come and go in any order: a small process of its own
    keeps this one for as long as somebody holds a shared lock on the folder's ``users`` file.
    """
    folder = quickest_folder() / f"sb-test-{_RUN[:12]}"
    users = _join(folder)
    try:
        server = EmbeddedPostgres(folder / "pg", durable=False)
        server.start()
        yield server
    finally:
        os.close(users)


class Server(Protocol):
    """What copying databases needs of a PostgreSQL."""

    def dsn(self, dbname: str = ...) -> str:
        """Return the address of a database; of that for maintenance by default."""


def clone_database(server: Server, template: str, name: str) -> None:
    """Create a database as a copy of another one, to which nobody may be connected.

    FILE_COPY is the quicker strategy without fsync: WAL_LOG writes every page twice.
    """
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


def drop_database(server: Server, name: str) -> None:
    """Drop a database, disconnecting whoever is still in it."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def quickest_folder() -> Path:
    """Return a folder in memory if it has room: copies take a tenth of the time there."""
    with suppress(OSError):
        facts = os.statvfs(_MEMORY)
        if os.access(_MEMORY, os.W_OK) and facts.f_bavail * facts.f_frsize > _ENOUGH_MEMORY_BYTES:
            return _MEMORY
    return Path(tempfile.gettempdir())


def _join(folder: Path) -> int:
    """Count ourselves among the users and make sure that a keeper is there."""
    while True:
        folder.mkdir(mode=0o711, exist_ok=True)
        with suppress(FileNotFoundError), exclusively(folder / "join.lock"):
            users = os.open(folder / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(users, fcntl.LOCK_SH)
            if os.fstat(users).st_nlink == 0:  # a keeper has just cleared the folder away
                os.close(users)
                continue
            _ensure_keeper(folder)
            return users


def _ensure_keeper(folder: Path) -> None:
    """Start the keeper unless there is one, and return when its server answers."""
    with (folder / "keeper.log").open("ab") as log:
        done = subprocess.run(
            [sys.executable, __file__, folder],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
    if done.returncode != 0:
        raise RuntimeError((folder / "keeper.log").read_text())


def _keep(folder: Path) -> None:
    """Start the server in a process of its own, tell the caller, and stop it when nobody uses it any more."""
    keeping = os.open(folder / "keeping", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(keeping, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # there is a keeper
    server = EmbeddedPostgres(folder / "pg", durable=False)
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.close(writer)
        sys.exit(0 if os.read(reader, 1) else 1)
    os.setsid()
    server.start()
    server.supervise()
    os.write(writer, b"x")
    with (folder / "users").open("rb") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
