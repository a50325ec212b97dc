"""Measuring in interleaved rounds: a short slice of each side by turns, so that whatever the machine does hits all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.client import BenchError, Slice
from tests.bench.figures import Reading, Round, percentile
from tests.bench.services import Service

_FIRST = 6
_MOST_REQUESTS = 6_000
_LEAST_REQUESTS = 10


class UnexpectedAnswerError(BenchError):
    """A service answered something else than the workload expects: there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Side:
    """What is sent to one service."""

    service: Service
    make: Callable[[int], list[bytes]]
    statuses: frozenset[int]

    def run(self, number: int, clients: int) -> Slice:
        """Run one slice.

        Raises:
            UnexpectedAnswerError: Any answer has a status that is not expected.
        """
        done = self.service.run(self.make(number), clients=clients)
        for status, body in done.sample.items():
            if status not in self.statuses:
                raise UnexpectedAnswerError(
                    f"{self.service.kind} answered {status}: {body[:200].decode(errors='replace')}"
                )
        return done


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure: rounds, and seconds of each slice in them."""

    rounds: int
    seconds: float


def interleave(sides: Mapping[str, Side], pace: Pace, *, clients: int = 1) -> dict[str, Reading]:
    """Measure sides against each other; every second round runs them in the opposite order.

    Each side is warmed up first: the services prepare their statements, and its speed says how many requests make a
    slice.

    Raises:
        UnexpectedAnswerError: A side cannot be measured.
    """
    sizes = {name: _warm_up(side, pace, clients) for name, side in sides.items()}
    slices: dict[str, list[Slice]] = {name: [] for name in sides}
    for number in range(pace.rounds):
        for name in sides if number % 2 == 0 else reversed(list(sides)):
            slices[name].append(sides[name].run(sizes[name], clients))
    return {name: reading_of(done) for name, done in slices.items()}


def reading_of(slices: list[Slice]) -> Reading:
    """Sum up a side's slices."""
    rounds = tuple(
        Round(done.rate, percentile(done.latencies, 0.5) * 1000, percentile(done.latencies, 0.95) * 1000)
        for done in slices
    )
    return Reading(rounds, max(done.client_cpu_seconds / done.seconds for done in slices))


def _warm_up(side: Side, pace: Pace, clients: int) -> int:
    """Run until the statements of every connection are prepared, or a slice's time is up; return a slice's requests."""
    rate = side.run(_FIRST * clients, clients).rate
    more = min(int(rate * pace.seconds), 20 * clients)
    if more >= _LEAST_REQUESTS:
        rate = side.run(more, clients).rate
    return max(_LEAST_REQUESTS, 2 * clients, min(int(rate * pace.seconds), _MOST_REQUESTS))
