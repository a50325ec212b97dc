"""The requests that are measured: what a directory sends to one service, prepared as bytes before the clock runs."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any
from urllib.parse import quote

from tests.bench.people import ENGINEERING, OUTSIDERS, department_of, external_id, id_of, patch, person, user_name
from tests.bench.services import CEILING, Service

#: Numbers of people who come during a run; the seeded ones stay below.
FIRST_NEW = 2_000_000
PAGE = 100
#: How many people are turned off before the first of them is turned on again: more than there are clients.
_TURNED_OFF = 64
#: A cursor is found by walking; this many pages are far enough from the start.
_MOST_PAGES_WALKED = 200
_CURSORS = 20


class Directory:
    """Makes the requests that a directory sends to one service; any two choose the same people in the same order."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.random = Random(20260302)  # noqa: S311 (which person comes next is no secret)
        self.new = itertools.count(FIRST_NEW)
        self.turn = itertools.count(1)
        self.cursors: list[str] = []

    def fixed(self, number: int) -> list[bytes]:
        """Ask the ceiling for its fixed document."""
        return [self.service.request("GET", "/fixed")] * number

    def create(self, number: int) -> list[bytes]:
        """Push new people, each of whom the mappings give a seat."""
        return [self.service.request("POST", "/Users", person(next(self.new))) for _ in range(number)]

    def lookup(self, number: int, attribute: str, *, hit: bool = True) -> list[bytes]:
        """Look people up by userName or externalId, as directories do before they push somebody."""
        value = user_name if attribute == "userName" else external_id
        numbers = (
            itertools.islice(self._people(), number) if hit else (FIRST_NEW + 5_000_000 + i for i in range(number))
        )
        filters = (f'{attribute} eq "{value(each)}"' for each in numbers)
        return [self.service.request("GET", f"/Users?filter={quote(each)}") for each in filters]

    def get(self, number: int) -> list[bytes]:
        """Read people by id."""
        return [self.service.request("GET", f"/Users/{id_of(each)}") for each in self._chosen(number)]

    def title(self, number: int) -> list[bytes]:
        """Give people another title."""
        return self._patches(number, lambda turn: [_replace("title", f"Engineer {turn}")])

    def names(self, number: int) -> list[bytes]:
        """Give people another family name."""
        return self._patches(
            number,
            lambda turn: [_replace("displayName", f"Given Family{turn}"), _replace("name.familyName", f"Family{turn}")],
        )

    def listed(self, number: int) -> list[bytes]:
        """Change an address by a path with a filter."""
        return self._patches(
            number, lambda turn: [_replace('emails[type eq "work"].value', f"person.{turn}@bench.example.com")]
        )

    def any(self, number: int) -> list[bytes]:
        """Replace a whole list, which goes through the library's models."""
        return self._patches(
            number, lambda turn: [_replace("phoneNumbers", [{"value": f"+47 {turn:07}", "type": "mobile"}])]
        )

    def active(self, number: int) -> list[bytes]:
        """Turn people off, which frees their seats, and on again, which takes them; half of the requests do either."""
        requests: list[bytes] = []
        for people in _batched(self._chosen(-(-number // 2)), _TURNED_OFF):
            for active in (False, True):
                body = patch(_replace("active", active))
                requests += [self.service.request("PATCH", f"/Users/{id_of(each)}", body) for each in people]
        return requests

    def put(self, number: int) -> list[bytes]:
        """Replace people, with another title."""
        return [
            self.service.request(
                "PUT", f"/Users/{id_of(each)}", {**person(each), "title": f"Engineer {next(self.turn)}"}
            )
            for each in self._chosen(number)
        ]

    def index(self, number: int) -> list[bytes]:
        """Ask for pages of 100 near the end."""
        last = max(1, self.service.people - PAGE)
        starts = (self.random.randint(max(1, last * 8 // 10), last) for _ in range(number))
        return [self.service.request("GET", f"/Users?startIndex={start}&count={PAGE}") for start in starts]

    def cursor(self, number: int) -> list[bytes]:
        """Ask for pages of 100 by cursors that lie far from the start."""
        if not self.cursors:
            self.cursors = self._walk()
        return [
            self.service.request("GET", f"/Users?cursor={quote(self.cursors[i % len(self.cursors)])}&count={PAGE}")
            for i in range(number)
        ]

    def member(self, number: int, size: int) -> list[bytes]:
        """Put somebody into a mapped group, which gives a seat, and take them out, which frees it, by turns."""
        path = f"/Groups/{self.service.groups[size]}"
        requests: list[bytes] = []
        for _ in range(-(-number // 2)):
            outsider = id_of(self.service.people + next(self.turn) % OUTSIDERS)
            for operation in ("add", "remove"):
                listed = {"op": operation, "path": "members", "value": [{"value": outsider}]}
                requests.append(self.service.request("PATCH", path, patch(listed)))
        return requests

    def group(self, number: int, size: int) -> list[bytes]:
        """Read a group without its members."""
        path = f"/Groups/{self.service.groups[size]}?excludedAttributes=members"
        return [self.service.request("GET", path)] * number

    def _people(self) -> Iterator[int]:
        """Choose seeded people with a Standard seat, for ever."""
        while True:
            number = self.random.randrange(self.service.people)
            if department_of(number, self.service.people) == ENGINEERING:
                yield number

    def _chosen(self, number: int) -> list[int]:
        return list(itertools.islice(self._people(), number))

    def _patches(self, number: int, operations: Callable[[int], list[dict[str, Any]]]) -> list[bytes]:
        return [
            self.service.request("PATCH", f"/Users/{id_of(each)}", patch(*operations(next(self.turn))))
            for each in self._chosen(number)
        ]

    def _walk(self) -> list[str]:
        """Follow the cursors up to four fifths of the people or 200 pages, and keep the last twenty."""
        pages = max(2, min(_MOST_PAGES_WALKED, self.service.people * 8 // 10 // PAGE))
        cursors: list[str] = []
        for _ in range(pages):
            path = f"/Users?cursor={quote(cursors[-1]) if cursors else ''}&count={PAGE}"
            cursors.append(str(self.service.ask("GET", path)["nextCursor"]))
        return cursors[-_CURSORS:]


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request.

    Attributes:
        key: As ``--only`` names it.
        make: Prepares a number of requests (rounded up where they come in pairs).
        statuses: What the services may answer.
        clients: Connections at once, each measured for itself.
        of_ceiling: What the ceiling is asked instead, where it has nothing of the kind.
        by_time: Whether p50 is compared, and not requests a second.
        grows: Whether it is measured at every number of people.
    """

    key: str
    title: str
    make: Callable[[Directory, int], list[bytes]]
    statuses: frozenset[int] = frozenset({200})
    clients: tuple[int, ...] = (1, 8)
    of_ceiling: Callable[[Directory, int], list[bytes]] | None = None
    by_time: bool = False
    grows: bool = True

    def requests(self, directory: Directory, number: int) -> list[bytes]:
        """Prepare requests for a service."""
        if self.of_ceiling is not None and directory.service.kind == CEILING:
            return self.of_ceiling(directory, number)
        return self.make(directory, number)


_CHANGED = frozenset({200, 204})

#: In the order in which they run; none of them changes how many people there are.
PEOPLE: Sequence[Workload] = (
    Workload("get", "GET by id", Directory.get),
    Workload("lookup-name", "lookup userName eq", partial(Directory.lookup, attribute="userName")),
    Workload("lookup-miss", "lookup userName eq, nobody", partial(Directory.lookup, attribute="userName", hit=False)),
    Workload("lookup-external", "lookup externalId eq", partial(Directory.lookup, attribute="externalId")),
    Workload("index", "index page of 100, deep", Directory.index, clients=(1,), by_time=True),
    Workload("cursor", "cursor page of 100, deep", Directory.cursor, clients=(1,), by_time=True),
    Workload("title", "PATCH title", Directory.title, _CHANGED),
    Workload("names", "PATCH names", Directory.names, _CHANGED),
    Workload("active", "PATCH active, off and on", Directory.active, _CHANGED),
    Workload("listed", "PATCH emails[...].value", Directory.listed, _CHANGED, of_ceiling=Directory.title),
    Workload("any", "PATCH any path", Directory.any, _CHANGED, of_ceiling=Directory.title),
    Workload("put", "PUT a person", Directory.put),
)
#: Apart, because it adds people.
CREATE = Workload("create", "create, with a seat", Directory.create, frozenset({201}))
#: What a second worker is measured on.
READS: Sequence[Workload] = PEOPLE[:2]
FLOOR = Workload("floor", "Flask, fixed document", Directory.fixed, grows=False)


def of_groups(size: int) -> tuple[Workload, Workload]:
    """Return what is measured on a group of so many members."""
    return (
        Workload(
            "member", f"one in or out of {size:,}", partial(Directory.member, size=size), _CHANGED, (1,), by_time=True
        ),
        Workload(
            "group", f"group of {size:,}, no members", partial(Directory.group, size=size), clients=(1,), by_time=True
        ),
    )


def _replace(path: str, value: object) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def _batched(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
