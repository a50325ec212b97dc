"""What only a real server shows, over gunicorn: bodies in pieces, bodies that never end, lines that are too long."""

import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from subprocess import DEVNULL, Popen

import pytest
from sqlalchemy import URL, func, select

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.runtime import build_runtime
from bridge.store.models import Member
from tests.conftest import KEY
from tests.factories import Customer, create_customer
from tests.processes import ROOT, eventually
from tests.protocol.scim_client import USER, make_token
from tests.protocol.scim_invariants import check_error

pytestmark = pytest.mark.slow

PERSON = json.dumps({"schemas": [USER], "userName": "ann@corp.test"}).encode()


class Wire:
    """Bytes to the server and back, for what no HTTP client would send."""

    def __init__(self, port: int, root: str, token: str) -> None:
        self.port, self.root, self.token = port, root, token

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """Return the lines before a body, with the token."""
        first = (f"{method} {self.root}{path} HTTP/1.1", "Host: seatbridge.test", f"Authorization: Bearer {self.token}")
        return "\r\n".join((*first, "Content-Type: application/scim+json", *lines, "", "")).encode()

    def send(self, *parts: bytes, wait_for: bytes = b"") -> tuple[int, bytes]:
        """Send the parts, after the first waiting for an interim answer if one is named; return status and body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            for number, part in enumerate(parts):
                if number == 1 and wait_for:
                    assert connection.recv(65_536).startswith(wait_for)
                try:
                    connection.sendall(part)
                except OSError:
                    break  # The server has answered and closed already: what it said is still to be read.
            received = b""
            while not _is_whole(received) and (chunk := _receive(connection)):
                received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def chunked(body: bytes, size: int = 7) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@pytest.fixture
def tenant(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A customer of the present day."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield create_customer(runtime)
    runtime.close()


@pytest.fixture
def wire(tenant: Customer, database_url: URL) -> Iterator[Wire]:
    """One gunicorn worker with threads, as `seatbridge serve` runs it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        flags = (
            "--bind",
            f"fd://{listener.fileno()}",
            "--worker-class",
            "gthread",
            "--threads",
            "4",
            "--limit-request-line",
            "8190",
        )
        process = Popen(
            [sys.executable, "-m", "gunicorn", "--no-control-socket", *flags, "wsgi:create_app()"],
            cwd=ROOT,
            pass_fds=(listener.fileno(),),
            stdout=DEVNULL,
            stderr=DEVNULL,
            env={
                "PATH": "",
                "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
                "SEATBRIDGE__SECRETS__KEYS": KEY,
                "SEATBRIDGE__SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
            },
        )
        try:
            wire = Wire(port, f"/scim/v2/{tenant.slug}", make_token(tenant))
            assert eventually(lambda: wire.send(wire.head("GET", "/Users", "Connection: close"))[0] == 200)
            yield wire
        finally:
            process.terminate()
            process.wait(30)


def people(tenant: Customer) -> int:
    with tenant.unit() as unit:
        mine = select(func.count()).where(Member.connection_id == tenant.connection_id)
        return unit.session.scalar(mine) or 0


def test_a_body_in_chunks_and_one_that_waits_to_be_asked_for_are_read(wire: Wire, tenant: Customer) -> None:
    in_chunks = wire.head("POST", "/Users", "Transfer-Encoding: chunked", "Connection: close") + chunked(PERSON)
    other = PERSON.replace(b"ann@", b"bob@")
    asking = wire.head("POST", "/Users", f"Content-Length: {len(other)}", "Expect: 100-continue", "Connection: close")

    answers = [wire.send(in_chunks), wire.send(asking, other, wait_for=b"HTTP/1.1 100")]

    assert [status for status, _ in answers] == [201, 201]
    assert [json.loads(body)["userName"] for _, body in answers] == ["ann@corp.test", "bob@corp.test"]


def test_i1_a_body_of_30_mb_is_413_at_once_and_the_service_goes_on(wire: Wire, tenant: Customer) -> None:
    size = 30_000_000
    announced = wire.head("POST", "/Users", f"Content-Length: {size}")
    in_chunks = wire.head("POST", "/Users", "Transfer-Encoding: chunked")
    ways = ([announced], [announced, b"[" * size], [in_chunks, chunked(b"[" * size, 1_000_000)])

    for parts in ways:
        started = time.monotonic()
        status, body = wire.send(*parts)

        assert time.monotonic() - started < 5  # the machine is shared: a second of it is ours
        assert status == 413
        check_error(json.loads(body), 413)
    assert wire.send(wire.head("GET", "/Users", "Connection: close"))[0] == 200
    assert people(tenant) == 0


def test_i14_a_request_line_or_header_beyond_8190_bytes_is_refused_before_the_service_sees_it(wire: Wire) -> None:
    long = "x" * 8_200

    answers = [
        wire.send(wire.head("GET", f"/Users?filter={long}", "Connection: close")),
        wire.send(wire.head("GET", "/Users", f"X-Long: {long}", "Connection: close")),
        wire.send(wire.head("GET", "/Users", *(f"X-{number}: 1" for number in range(120)), "Connection: close")),
        wire.send(wire.head("GET", f"/Users?filter=userName%20eq%20%22{'x' * 7_000}%22", "Connection: close")),
    ]

    assert [status for status, _ in answers][:3] == [414, 431, 431]
    assert answers[3][0] == 200


def test_i14_a_request_with_two_lengths_is_never_two_requests(wire: Wire, tenant: Customer) -> None:
    hidden = wire.head("POST", "/Users", f"Content-Length: {len(PERSON)}") + PERSON
    both = wire.head("GET", "/Users", "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + hidden
    twice = wire.head("GET", "/Users", "Content-Length: 0", f"Content-Length: {len(hidden)}") + hidden

    statuses = [wire.send(each)[0] for each in (both, twice)]

    assert statuses == [400, 400]
    assert people(tenant) == 0
