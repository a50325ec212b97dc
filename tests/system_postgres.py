"""The PostgreSQL that the machine has installed, 15 or newer: what production runs on is tested too."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.postgres import quickest_folder

OLDEST = 15
_START_SECONDS = 30
_INITDB = ("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")


def system_programs() -> Path | None:
    """Find the newest PostgreSQL of the machine that we support; None when there is none."""
    candidates = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    if on_path:
        candidates.append(Path(os.path.realpath(on_path)).parent)
    found = {_version(folder): folder for folder in candidates if (folder / "initdb").exists()}
    newest = max(found, default=0)
    return found[newest] if newest >= OLDEST else None


def _version(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+)(\.|devel|beta|rc|\s)", said)
    return int(found.group(1)) if found else 0


class SystemPostgres:
    """A throw-away cluster of the machine's own PostgreSQL, on a socket in a folder of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.path = folder / "cluster"
        self._programs, self._folder = programs, folder
        self._process: subprocess.Popen[bytes] | None = None
        as_root = os.geteuid() == 0
        self._user = pwd.getpwnam("nobody") if as_root else None

    def start(self) -> None:
        """Make the cluster and start it."""
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        subprocess.run(
            [self._programs / "initdb", "-D", self.path, "-U", "postgres", "--auth=trust", *_INITDB],
            check=True,
            capture_output=True,
            **self._as_user(),
        )
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        settings = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self.path, *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as_user(),
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.dsn()).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End the server at once; its data is thrown away."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def dsn(self, dbname: str = "postgres", user: str = "postgres") -> str:
        """Return a connection URI for psycopg."""
        return f"postgresql://{user}@/{dbname}?host={self._folder}"

    def url(self, dbname: str = "postgres", user: str = "postgres") -> str:
        """Return the same as a SQLAlchemy URL."""
        return self.dsn(dbname, user).replace("postgresql://", "postgresql+psycopg://", 1)

    def ensure_database(self, name: str) -> bool:
        """Create a database unless it exists; tell whether it was created."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return False
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return True

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def system_server() -> Iterator[SystemPostgres | None]:
    """Run the machine's PostgreSQL meanwhile; None when it has none."""
    programs = system_programs()
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="sb-sys-", dir=quickest_folder()))
    server = SystemPostgres(programs, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
