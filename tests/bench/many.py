"""What is measured as a whole and not by the request: a first sync, ten thousand members at once, changed mappings."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from urllib.parse import quote

import orjson

from tests.bench.client import BenchError, Slice
from tests.bench.figures import Ratio, ratio
from tests.bench.people import BULK, group, id_of, patch, person, synced_group, user_name
from tests.bench.rounds import UnexpectedAnswerError
from tests.bench.services import ROOT, Service, plain_environment
from tests.bench.worlds import World

#: So many people are pushed to one service before it is the other's turn.
_SYNC_SLICE = 250


@dataclass(frozen=True, slots=True)
class Sync:
    """A first sync of one service: seconds, slice by slice."""

    people: int
    seconds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """People a second, their groups included."""
        return self.people / sum(self.seconds)


def first_sync(services: list[Service], people: int, groups: int, *, clients: int = 1) -> list[Sync]:
    """Push people and then groups to empty services, by turns: as Okta does, who looks for everybody before it pushes.

    Raises:
        UnexpectedAnswerError: A service refuses something.
    """
    seconds: list[list[float]] = [[] for _ in services]
    ids: list[list[str]] = [[] for _ in services]
    for turn, start in enumerate(range(0, people, _SYNC_SLICE)):
        numbers = range(start, min(start + _SYNC_SLICE, people))
        order = list(enumerate(services))
        for place, service in order if turn % 2 == 0 else reversed(order):
            done = _expected(service, list(_pushes(service, numbers)), {200, 201}, clients)
            seconds[place].append(done.seconds)
            ids[place] += [str(orjson.loads(body)["id"]) for body in done.bodies[1::2]]
    size = max(1, people // groups)
    for place, service in enumerate(services):
        made = _expected(
            service,
            [service.request("POST", "/Groups", group(synced_group(number))) for number in range(groups)],
            {201},
            clients,
        )
        added = _expected(
            service,
            [
                service.request(
                    "PATCH",
                    f"/Groups/{orjson.loads(body)['id']}",
                    patch({"op": "add", "path": "members", "value": _values(ids[place][number * size :][:size])}),
                )
                for number, body in enumerate(made.bodies)
            ],
            {200, 204},
            clients,
        )
        seconds[place] += [made.seconds, added.seconds]
    return [Sync(people, tuple(each)) for each in seconds]


def ratio_of_syncs(mine: Sync, other: Sync) -> Ratio:
    """Compare people a second of two syncs; the spread is that of the slices of people."""
    singles = ratio(other.seconds[:-2], mine.seconds[:-2])
    return Ratio(mine.rate / other.rate, singles.least, singles.greatest)


def bulk_members(service: Service, number: int, times: int) -> tuple[float, float]:
    """Put so many people into a mapped group by one PATCH, and the same ones again.

    Returns:
        Median seconds of the first and of the second, over ``times`` groups that are made and removed.
    """
    body = patch({"op": "add", "path": "members", "value": _values([id_of(each) for each in range(number)])})
    first: list[float] = []
    again: list[float] = []
    for _ in range(times):
        path = f"/Groups/{service.ask('POST', '/Groups', group(BULK), expected=201)['id']}"
        for taken in (first, again):
            taken.append(_expected(service, [service.request("PATCH", path, body)], {200, 204}, 1).seconds)
        _expected(service, [service.request("DELETE", path)], {204}, 1)
    return median(first), median(again)


@dataclass(frozen=True, slots=True)
class Remapping:
    """A changed mapping: seconds and megabytes of its preview, seconds of applying it, and how many people moved."""

    preview_seconds: float
    preview_megabytes: float
    apply_seconds: float
    moved: int


def remap(world: World, large: Service, small: Service) -> Remapping:
    """Preview and apply other mappings, see :mod:`tests.bench.remapping`."""
    urls = [world.url(service.database).render_as_string(hide_password=False) for service in (small, large)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.remapping", *urls, world.key],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=plain_environment(),
    )
    if done.returncode:
        raise BenchError(f"changed mappings cannot be measured:\n{done.stderr[-1000:]}")
    return Remapping(**json.loads(done.stdout))


def _pushes(service: Service, numbers: range) -> Iterator[bytes]:
    for number in numbers:
        condition = f'userName eq "{user_name(number)}"'
        yield service.request("GET", f"/Users?filter={quote(condition)}")
        yield service.request("POST", "/Users", person(number))


def _values(ids: list[str]) -> list[dict[str, str]]:
    return [{"value": each} for each in ids]


def _expected(service: Service, requests: list[bytes], statuses: set[int], clients: int) -> Slice:
    done = service.run(requests, clients=clients, keep_bodies=True)
    for status, body in done.sample.items():
        if status not in statuses:
            raise UnexpectedAnswerError(f"{service.kind} answered {status}: {body[:200].decode(errors='replace')}")
    return done
