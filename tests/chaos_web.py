"""A ``seatbridge serve`` that is killed again and again, and owners who buy at it as browsers do."""

import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from bridge.domain.actors import OPERATOR
from bridge.usecases.sign_in_links import create_sign_in_link
from tests.factories import Customer
from tests.processes import ROOT, eventually
from tests.web import csrf_token

#: What is killed, and how often of ten times. The service is killed with everything below it.
KILLED = {"web worker": 6, "web master": 3, "service": 1}
#: So that the shortest run sees one.
FIRST_KILL_SECONDS = 1.0
_PREVIEW = re.compile(r"/console/seats/previews/[0-9a-f-]+")
_PATIENCE_SECONDS = 120.0
DONE = httpx.codes.SEE_OTHER


@dataclass
class Web:
    """The service on a port of its own, as production has it: a parent, a gunicorn master and its workers."""

    environment: Mapping[str, str]
    log: Path
    port: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and again where the port is still held by one that was killed; return when it answers."""
        self.port = self.port or free_port()
        own = {"SEATBRIDGE__SERVER__PORT": str(self.port), "SEATBRIDGE__SERVER__PUBLIC_URL": self.url}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "bridge.cli", "serve", "--without-worker"],
                    cwd=ROOT,
                    env={**self.environment, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            eventually(lambda: self.has_ended or self.answers(), within_seconds=60)
            if not self.has_ended:
                return
        raise AssertionError(self.log.read_text())

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz", timeout=5, trust_env=False).status_code == httpx.codes.OK
        return False

    def kill(self, what: str) -> None:
        """Kill a part of it by SIGKILL; the service itself is started again as a supervisor of services would."""
        with suppress(psutil.NoSuchProcess):
            parts = self._parts()
            if not parts.get(what):
                return
            for process in parts[what]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.killed[what] += 1
            if what == "service" and self.process is not None:
                self.process.wait()
        if self.has_ended:
            self.start()

    def _parts(self) -> dict[str, list[psutil.Process]]:
        """Find the processes of each part, as the operating system knows them."""
        assert self.process is not None
        service = psutil.Process(self.process.pid)
        masters = service.children()
        workers = [worker for master in masters for worker in master.children()]
        return {"web worker": workers[:1], "web master": masters, "service": [service, *masters, *workers]}

    def stop(self) -> None:
        """Kill what is left of it."""
        if self.process is not None:
            with suppress(psutil.NoSuchProcess):
                for process in self._parts()["service"]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            self.process.wait()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def serving(environment: Mapping[str, str], log: Path) -> Iterator[Web]:
    """Serve until the block ends."""
    web = Web(environment, log)
    web.start()
    try:
        yield web
    finally:
        web.stop()


@contextmanager
def troubled(web: Web, *, pause: float, dice: random.Random) -> Iterator[None]:
    """Kill a part of the service again and again, whenever it has served a while."""
    ended = threading.Event()

    def kill() -> None:
        wait = FIRST_KILL_SECONDS
        while not ended.wait(wait):
            eventually(lambda: ended.is_set() or web.answers(), within_seconds=_PATIENCE_SECONDS)
            [what] = dice.choices(list(KILLED), list(KILLED.values()))
            web.kill(what)
            wait = pause * dice.uniform(0.5, 1.5)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


@dataclass
class Owner:
    """An owner with a browser: signed in by a link, and stubborn: what breaks off is sent again, word for word."""

    web: Web
    customer: Customer
    dice: random.Random
    repeated: int = 0
    clicked_twice: int = 0

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.web.url, timeout=30, trust_env=False)
        while not self._signed_in():
            time.sleep(0.1)  # a link is good once: where the answer to it was lost, another one is asked for
        self._csrf = csrf_token(self._send("GET", "/me").text)

    def _signed_in(self) -> bool:
        with self.customer.unit(OPERATOR) as unit:
            path = f"/sign-in/link/{create_sign_in_link(unit, self.customer.owner_id).text}"
        self._csrf = csrf_token(self._send("GET", path).text)
        return self._send("POST", path, {}).status_code == DONE

    def preview(self, changes: Mapping[str, int]) -> str:
        """Look at what a change costs; return the preview's address."""
        form = {f"add.{tier}": str(number) for tier, number in changes.items()}
        while True:
            answer = self._send("POST", "/console/seats/previews", form)
            found = _PREVIEW.search(answer.headers.get("location", ""))
            if found is not None:
                return found[0]
            # The core's answer was lost: the form says so, and its button is pressed again.
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            time.sleep(0.05)

    def confirm(self, preview: str) -> None:
        """Confirm it, one time in ten by a double click; the preview is the key that makes it one purchase."""
        times = 2 if self.dice.random() < 0.1 else 1
        self.clicked_twice += times - 1
        for _ in range(times):
            while (answer := self._send("POST", f"{preview}/confirm", {"acknowledged": "yes"})).status_code != DONE:
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                self.repeated += 1
                time.sleep(0.1)

    def close(self) -> None:
        self._client.close()

    def _send(self, method: str, path: str, form: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a request until it is answered."""
        data = None if form is None else {**form, "csrf_token": self._csrf}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                return self._client.request(method, path, data=data)
            self.repeated += 1
            time.sleep(0.1)
        raise AssertionError(f"{method} {path} was not answered")
