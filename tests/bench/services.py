"""The services under measurement, run as their users run them: gunicorn, one gthread worker, eight threads."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psutil

from bridge.cli.serving import _gunicorn
from bridge.config import Settings
from tests.bench import client
from tests.bench.client import BenchError, Slice

ROOT = Path(__file__).resolve().parents[2]
OURS, CEILING = "ours", "ceiling"
APPS = {OURS: "wsgi:create_app()", CEILING: "tests.bench.ceiling_sign_in:create_app()"}
THREADS = 8
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running service and how a provisioning client reaches it.

    Attributes:
        kind: ``ours`` or ``ceiling``.
        root: Path of the SCIM root, as ``/scim/v2/acme``; empty for the ceiling's.
        people: How many people its database was filled with.
        database: The name of its database.
        groups: Ids of the groups it was filled with, by size.
        sign_in_path: Where its connection's sign-in lives.
        dsn: Its database, for whoever prepares what a browser would have.
    """

    kind: str
    address: tuple[str, int]
    root: str
    token: str
    people: int
    database: str
    process: "subprocess.Popen[bytes]"
    log: Path
    groups: dict[int, str] = field(default_factory=dict)
    sign_in_path: str = ""
    dsn: str = ""

    def request(self, method: str, path: str, body: object = None) -> bytes:
        """Return the bytes of a request as a directory sends it; the path is relative to the SCIM root."""
        content = b"" if body is None else orjson.dumps(body)
        lines = [
            f"{method} {self.root}{path} HTTP/1.1",
            f"Host: {self.address[0]}:{self.address[1]}",
            "Accept: application/scim+json",
            "Accept-Charset: utf-8",
            "User-Agent: bench/1.0",
            f"Authorization: Bearer {self.token}",
        ]
        if body is not None:
            lines += ["Content-Type: application/scim+json; charset=utf-8", f"Content-Length: {len(content)}"]
        return "\r\n".join([*lines, "\r\n"]).encode() + content

    def run(self, requests: list[bytes], *, clients: int = 1, keep_bodies: bool = False) -> Slice:
        """Send requests, see :func:`tests.bench.client.run`."""
        return client.run(self.address, requests, clients=clients, keep_bodies=keep_bodies)

    def ask(self, method: str, path: str, body: object = None, *, expected: int = 200) -> dict[str, object]:
        """Send one request and return its answer.

        Raises:
            BenchError: Another status than the expected one came back.
        """
        answered = self.run([self.request(method, path, body)], keep_bodies=True)
        (status,) = answered.statuses
        if status != expected:
            raise BenchError(f"{self.kind} answered {method} {path} with {status}: {answered.bodies[0][:500]!r}")
        answer: dict[str, object] = orjson.loads(answered.bodies[0]) if answered.bodies[0] else {}
        return answer

    def worker_bytes(self) -> list[int]:
        """Return the resident memory of each worker process."""
        return [worker.memory_info().rss for worker in psutil.Process(self.process.pid).children()]


def plain_environment() -> dict[str, str]:
    """Return the environment of ``seatbridge serve`` without settings, so that every run measures the same defaults."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEATBRIDGE")}
    return {"MALLOC_ARENA_MAX": "2", **kept, "PYTHONPATH": str(ROOT)}


@contextmanager
def running(
    kind: str,
    environment: Mapping[str, str],
    folder: Path,
    *,
    root: str = "",
    token: str = "",
    people: int = 0,
    database: str = "",
    workers: int = 1,
    sign_in_path: str = "",
    dsn: str = "",
) -> Iterator[Service]:
    """Run one service on a free port of the loopback until the block ends.

    Raises:
        BenchError: It does not start; with the end of its log.
    """
    log = folder / f"{kind}-{time.monotonic_ns()}.log"
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener, log.open("wb") as output:
        settings = Settings.model_validate({"server": {"workers": workers, "threads": THREADS}})
        *flags, _ = _gunicorn(settings, listener)  # the service's own command line
        process = subprocess.Popen(
            [*flags, APPS[kind]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**plain_environment(), **environment},
            pass_fds=(listener.fileno(),),
        )
        address = listener.getsockname()
        try:
            _wait_until_ready(address, process, log)
            yield Service(kind, address, root, token, people, database, process, log, {}, sign_in_path, dsn)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(address: tuple[str, int], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"a service did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _answers(address: tuple[str, int]) -> bool:
    """Tell whether a worker answers; the listener takes connections before there is one."""
    with suppress(OSError), socket.create_connection(address, timeout=1) as connection:
        connection.sendall(f"GET /nothing HTTP/1.0\r\nHost: {address[0]}\r\n\r\n".encode())
        return connection.recv(8).startswith(b"HTTP/")
    return False
