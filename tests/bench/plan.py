"""What a run covers: how many people, which workloads, how long each is measured."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.client import BenchError
from tests.bench.rounds import Pace
from tests.bench.sign_ins import AGAIN, FIRST
from tests.bench.workloads import CREATE, FLOOR, PEOPLE

#: The targets beside the ceiling are for so many people.
USUAL = 10_000
#: Mappings are changed over so many.
MANY = 100_000
A_MILLION = 1_000_000
SIZES = (1_000, USUAL, MANY)
QUICK_SIZES = (1_000, USUAL)
_GROUP_SIZES = (10, 1_000, MANY)

#: What can be measured, by the name that ``--only`` takes.
TITLES = {
    FLOOR.key: "a fixed document of Flask's: what HTTP costs alone",
    **{workload.key: workload.title for workload in (*PEOPLE, AGAIN, FIRST, CREATE)},
    "member": "one member in or out of a mapped group, by the group's size",
    "group": "a group without its members, by the group's size",
    "bulk": "10,000 members in one PATCH, and the same ones again",
    "sync": "first sync: people looked up and pushed, then groups",
    "mappings": "other mappings: preview over everybody, and apply",
    "workers": "two workers beside one, on reads with 8 clients",
    "memory": "memory of each worker, after all of that",
}
_FAMILIES = {
    "lookup": ("lookup-name", "lookup-miss", "lookup-external"),
    "page": ("index", "cursor"),
    "sso": ("sso-again", "sso-first"),
}


@dataclass(frozen=True, slots=True)
class Sync:
    """One first sync: how many connections push how many people and groups."""

    clients: int
    people: int
    groups: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run covers.

    Attributes:
        sizes: Numbers of people, ascending; for each a database with a service of its own.
        only: Names of :data:`TITLES`.
        times: How often what takes seconds is repeated.
    """

    sizes: Sequence[int]
    pace: Pace
    only: Collection[str]
    syncs: Sequence[Sync]
    times: int

    @property
    def usual(self) -> int:
        """The number of people at which the ceiling runs beside us."""
        return max((size for size in self.sizes if size <= USUAL), default=self.sizes[0])

    @property
    def many(self) -> int:
        """The number of people whose mappings are changed, and from whom the measured groups are made."""
        return max((size for size in self.sizes if size <= MANY), default=self.sizes[0])

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The sizes of the measured groups: the largest has everybody, up to 100,000."""
        return tuple(sorted({min(size, self.many) for size in _GROUP_SIZES}))

    @property
    def movers(self) -> int:
        """How many people changed mappings move: a tenth."""
        return max(1, self.many // 10)


QUICK = Plan(QUICK_SIZES, Pace(3, 0.2), tuple(TITLES), (Sync(1, 300, 6),), times=1)
FULL = Plan(SIZES, Pace(5, 1.0), tuple(TITLES), (Sync(1, 10_000, 200), Sync(8, 4_000, 80)), times=3)


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """Return the workloads that names stand for; ``lookup``, ``page`` and ``sso`` stand for several.

    Raises:
        BenchError: A name is not known.
    """
    wanted: list[str] = []
    for name in names:
        if name not in TITLES and name not in _FAMILIES:
            raise BenchError(f"there is no workload {name!r}; there is {', '.join([*_FAMILIES, *TITLES])}")
        wanted += _FAMILIES.get(name, (name,))
    return tuple(dict.fromkeys(wanted))
