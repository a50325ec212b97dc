"""The example billing core as its own process, a line to it that tests can cut, and organizations billed by it."""

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from bridge.adapters.core_http import HttpBillingService
from bridge.adapters.webhooks import new_webhook_secret
from bridge.config import Settings
from bridge.domain.actors import OPERATOR
from bridge.runtime import Runtime
from bridge.usecases.connect_core import connect_core
from tests.factories import Customer, create_customer
from tests.processes import ROOT, eventually
from tests.published_core import Message, PublishedContract

EXAMPLE = ROOT / "docs" / "how-to" / "example_core.py"
TOKEN = "core-token"
SECRET = new_webhook_secret()
PREMIUM, STANDARD = 15000, 2500
Json = dict[str, Any]


class LaterClock:
    """The real time, for the sake of a core in a process of its own, and ahead of it by as much as a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def with_local_cores(settings: Settings) -> Settings:
    """Return the same settings with cores on this machine allowed."""
    billing = settings.billing.model_copy(update={"internal_hosts": ("127.0.0.1",), "timeout_seconds": 5.0})
    return settings.model_copy(update={"billing": billing})


@dataclass
class ExampleCore:
    """A running example core."""

    url: str
    process: "subprocess.Popen[bytes]"
    reached_by: str = ""

    def subscription_url(self, name: str) -> str:
        return f"{self.reached_by or self.url}/v1/subscriptions/{name}"

    def service(self, name: str) -> HttpBillingService:
        return HttpBillingService(
            self.subscription_url(name), TOKEN, SECRET, timeout_seconds=5.0, internal_hosts=("127.0.0.1",)
        )

    def act(self, method: str, name: str, verb: str = "", body: object = None) -> Json:
        """Do what only whoever runs the core does."""
        answer = httpx.request(
            method,
            f"{self.url}/v1/subscriptions/{name}{verb}",
            json=body or {},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=10,
        )
        document: Json = answer.raise_for_status().json()
        return document

    def open(self, name: str, *, premium: int = 2, standard: int = 5, **more: object) -> Json:
        """Open a subscription as whoever runs the core would."""
        tiers = {
            "premium": {"seats": premium, "price": PREMIUM},
            "standard": {"seats": standard, "price": STANDARD},
        }
        return self.act("PUT", name, body={"tiers": tiers, **more})

    def invoices(self, name: str) -> list[Json]:
        """Return the invoices of changes, as the core has them."""
        found, cursor = [], ""
        while True:
            page = self.act("GET", name, f"/invoices?after={cursor}")
            found += page["invoices"]
            if not page["more"]:
                return [invoice for invoice in found if invoice["reason"] == "seat_change"]
            cursor = page["next"]


@contextmanager
def example_core(folder: Path) -> Iterator[ExampleCore]:
    """Run the example core until the block ends."""
    command = [
        sys.executable,
        str(EXAMPLE),
        "--port",
        "0",
        "--token",
        TOKEN,
        "--database",
        str(folder / "core.sqlite3"),
    ]
    output = folder / "core.log"
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            assert eventually(lambda: "listening" in output.read_text() or process.poll() is not None)
            found = re.search(r"http://[0-9.:]+", output.read_text())
            assert found, output.read_text()
            yield ExampleCore(found[0], process)
        finally:
            process.kill()
            process.wait()


@dataclass
class Line:
    """A line to the core: every request arrives; whether the answer comes back, the test decides.

    ``cut`` is asked for each request with its first line and says whether its answer is lost; ``alter`` gets the first
    line and the body of an answer, and returns the body that arrives. While ``down``, nothing arrives at all; while
    ``answer_500``, the line itself answers so. What the core was asked and answered stands in ``exchanges``.
    """

    url: str
    cut: Callable[[str], bool] = field(default=lambda _: False)
    alter: Callable[[str, bytes], bytes] = field(default=lambda _, body: body)
    down: bool = False
    answer_500: bool = False
    stalled: threading.Event = field(default_factory=threading.Event)
    slow: bool = False
    requests: list[str] = field(default_factory=list)
    exchanges: list[tuple[Message, Message]] = field(default_factory=list)

    def unpublished(self) -> list[str]:
        """Say everything that went over the line and is not as the contract was published."""
        contract = PublishedContract()
        return [problem for exchange in self.exchanges for problem in contract.judge(*exchange)[1]]


@contextmanager
def line_to(core: ExampleCore) -> Iterator[Line]:
    """Put a line between the product and a core."""
    host, port = core.url.removeprefix("http://").split(":")
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listener:
        line = Line(f"http://127.0.0.1:{listener.getsockname()[1]}")
        accepting = threading.Thread(target=_accept, args=(listener, (host, int(port)), line), daemon=True)
        accepting.start()
        core.reached_by = line.url
        yield line
        line.stalled.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    accepting.join(10)


def _accept(listener: socket.socket, core: tuple[str, int], line: Line) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_carry, args=(caller, core, line), daemon=True).start()


def _carry(caller: socket.socket, core: tuple[str, int], line: Line) -> None:
    with caller, suppress(OSError):
        caller.settimeout(10)
        if line.down:
            return
        request = _read_message(caller)
        first = request.split(b"\r\n", 1)[0].decode()
        line.requests.append(first)
        if line.slow:
            line.stalled.wait(30)
            return
        if line.answer_500:
            caller.sendall(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with socket.create_connection(core, timeout=10) as onward:
            onward.sendall(request)
            answer = _read_message(onward)
        line.exchanges.append((Message.parse(request), Message.parse(answer)))
        if not line.cut(first):
            caller.sendall(_altered(answer, lambda body: line.alter(first, body)))


def _altered(answer: bytes, alter: Callable[[bytes], bytes]) -> bytes:
    """Return an answer with another body, and the length of that."""
    head, _, body = answer.partition(b"\r\n\r\n")
    other = alter(body)
    length = b"Content-Length: " + str(len(other)).encode()
    return re.sub(rb"(?i)content-length: *\d+", length, head) + b"\r\n\r\n" + other


def _read_message(connection: socket.socket) -> bytes:
    """Read one HTTP message whose length its head says."""
    message = b""
    while b"\r\n\r\n" not in message:
        message += _some(connection)
    head, _, body = message.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    length = int(found[1]) if found else 0
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise ConnectionResetError
    return part


def remote_customer(runtime: Runtime, core: ExampleCore, slug: str = "nordlys", **seats: int) -> Customer:
    """Create an organization that the example core bills, with the seats its subscription has."""
    core.open(slug, **seats)
    customer = create_customer(runtime, slug, billed_by="remote", premium=0, standard=0)
    url = core.subscription_url(slug)
    address = runtime.sealed_address(customer.org_id, url, token=TOKEN, webhook_secret=SECRET)
    subscription, invoices = core.service(slug).subscription(), core.service(slug).invoices()
    with runtime.unit(customer.org_id, OPERATOR) as unit:
        connect_core(unit, address, subscription, invoices)
    return customer
