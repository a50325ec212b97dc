"""The quickest client we could think of: prepared bytes over kept-alive sockets, one loop for all connections.

It runs in the benchmark's own process, apart from the services. What it costs is measured with every slice
(:attr:`Slice.client_cpu_seconds`), so that a report can show that it was not what held the service up.
"""

import gc
import re
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

#: Longer than any request may take before the benchmark gives up.
PATIENCE_SECONDS = 120
_READ_BYTES = 262_144
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NO_BODY = frozenset({204, 304})


class BenchError(Exception):
    """The benchmark cannot go on; its text says why."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some requests in a row over some connections.

    Attributes:
        seconds: From the first byte sent to the last one received.
        latencies: Seconds of each request, in the order in which they ended.
        client_cpu_seconds: Processor time this process spent meanwhile.
        statuses: How often each status was answered.
        bodies: The answers in the order of the requests, when they were asked for.
        sample: The first answer of each status.
    """

    seconds: float
    latencies: tuple[float, ...]
    client_cpu_seconds: float
    statuses: Counter[int]
    bodies: tuple[bytes, ...] = ()
    sample: dict[int, bytes] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


class _Connection:
    """One kept-alive connection with at most one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE_SECONDS)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Blocking with a limit in the kernel: a timeout of Python's own would cost a poll() with every recv().
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE_SECONDS, 0))
        self.received = b""
        self.number = -1
        self.started = 0.0

    def send(self, number: int, request: bytes) -> None:
        """Send a request."""
        self.number, self.started = number, time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Read what has arrived; return status and body once the answer is complete."""
        try:
            arrived = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            raise BenchError(f"no answer within {PATIENCE_SECONDS} seconds") from None
        if not arrived:
            raise BenchError("the service closed a connection in the middle of an answer")
        self.received = data = self.received + arrived if self.received else arrived
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        status = int(data[9:12])
        length = _LENGTH.search(data, 0, end)
        if length is None and status not in _NO_BODY:
            raise BenchError("an answer without Content-Length cannot be read here")
        if len(data) < end + 4 + (int(length.group(1)) if length else 0):
            return None
        self.received = b""
        return status, data[end + 4 :]


def _exchange(
    connections: Sequence[_Connection], requests: Sequence[bytes]
) -> Iterator[tuple[_Connection, int, bytes]]:
    """Yield each answer as it is complete, then send that connection's next request."""
    if len(connections) == 1:
        (only,) = connections
        for number, request in enumerate(requests):
            only.send(number, request)
            while (answer := only.receive()) is None:
                pass
            yield only, *answer
        return
    waiting = iter(enumerate(requests))
    with selectors.DefaultSelector() as selector:
        for connection, (number, request) in zip(connections, waiting, strict=False):
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(number, request)
        under_way = len(connections)
        while under_way:
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                raise BenchError(f"no answer within {PATIENCE_SECONDS} seconds")
            for key, _ in ready:
                connection = key.data
                answer = connection.receive()
                if answer is None:
                    continue
                yield connection, *answer
                following = next(waiting, None)
                if following is None:
                    selector.unregister(connection.socket)
                    under_way -= 1
                else:
                    connection.send(*following)


def run(address: tuple[str, int], requests: Sequence[bytes], *, clients: int = 1, keep_bodies: bool = False) -> Slice:
    """Send all requests, each connection its next one as soon as the last is answered.

    Args:
        address: Host and port.
        requests: Whole HTTP/1.1 requests.
        clients: Connections at once.
        keep_bodies: Whether the answers are kept.

    Raises:
        BenchError: The service cannot be reached, or breaks off.
    """
    try:
        connections = [_Connection(address) for _ in range(min(clients, len(requests)))]
    except OSError as error:
        raise BenchError(f"nothing answers at {address[0]}:{address[1]}: {error}") from error
    bodies: list[bytes] = [b""] * len(requests) if keep_bodies else []
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    sample: dict[int, bytes] = {}
    collecting = gc.isenabled()
    gc.disable()
    try:
        cpu, started = time.process_time(), time.perf_counter()
        for connection, status, body in _exchange(connections, requests):
            latencies.append(time.perf_counter() - connection.started)
            statuses[status] += 1
            if status not in sample:
                sample[status] = body
            if keep_bodies:
                bodies[connection.number] = body
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    except (ConnectionError, OSError) as error:
        raise BenchError(f"the service at {address[0]}:{address[1]} broke off: {error}") from error
    finally:
        if collecting:
            gc.enable()
        for connection in connections:
            connection.socket.close()
    return Slice(seconds, tuple(latencies), cpu, statuses, tuple(bodies), sample)
