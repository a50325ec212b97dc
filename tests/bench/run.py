"""One run of the benchmark: services on databases of every size, then each workload in interleaved rounds."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench import targets
from tests.bench.figures import Ratio, Reading, ratio_of_rates, ratio_of_times
from tests.bench.many import bulk_members, first_sync, ratio_of_syncs, remap
from tests.bench.plan import A_MILLION, MANY, Plan, Sync
from tests.bench.results import Comparison, Fact, Failure, Growth, Results
from tests.bench.rounds import Side, UnexpectedAnswerError, interleave
from tests.bench.services import CEILING, OURS, Service
from tests.bench.sign_ins import AGAIN, FIRST
from tests.bench.workloads import CREATE, FLOOR, PEOPLE, READS, Directory, Workload, of_groups
from tests.bench.worlds import World

_BULK = 10_000


@dataclass(slots=True)
class Run:
    """A run in progress.

    Attributes:
        say: Told what is being done.
        ours: Our service at each number of people.
        ceilings: The ceiling, at the numbers of people where it runs beside us.
    """

    world: World
    plan: Plan
    say: Callable[[str], None]
    results: Results = field(default_factory=Results)
    ours: dict[int, Service] = field(default_factory=dict)
    ceilings: dict[int, Service] = field(default_factory=dict)
    directories: dict[int, Directory] = field(default_factory=dict)

    def all(self) -> Results:
        """Measure everything that is planned, and return what was found."""
        started = time.monotonic()
        self._fill()
        self._floor()
        for workload in PEOPLE:
            self._workload(workload)
        self._groups()
        self._workers()
        self._workload(AGAIN)
        self._workload(FIRST)
        self._workload(CREATE)  # what comes after these has more people than planned
        self._bulk()
        self._mappings()
        for sync in self.plan.syncs:
            self._sync(sync)
        self._memory()
        self.results.seconds = time.monotonic() - started
        return self.results

    def _fill(self) -> None:
        plan = self.plan
        beside = {plan.usual, plan.many} if {"member", "group"} & set(plan.only) else {plan.usual}
        for size in plan.sizes:
            groups, movers = (plan.group_sizes, plan.movers) if size == plan.many else ((), 1)
            if size in {plan.sizes[0], plan.sizes[-1]} and not groups:
                # Everybody is in a group at the largest of the others: what grows must be the people alone.
                groups = (size,)
            self.say(f"filling databases with {size:,} people")
            self.ours[size] = self.world.ours(size, groups, movers=movers)
            if size in beside:
                self.ceilings[size] = self.world.ceiling(size, groups)

    @contextmanager
    def _measuring(self, key: str, title: str) -> Iterator[bool]:
        """Say what is measured, if it is wanted; what cannot be is kept as a failure, and the rest goes on."""
        wanted = key in self.plan.only
        if wanted:
            self.say(title)
        try:
            yield wanted
        except UnexpectedAnswerError as error:
            self.results.failures.append(Failure(key, title, str(error)))

    def _side(self, workload: Workload, service: Service) -> Side:
        directory = self.directories.setdefault(service.address[1], Directory(service))
        return Side(service, lambda number: workload.requests(directory, number), workload.statuses)

    def _interleave(self, workload: Workload, services: Mapping[str, Service], clients: int) -> dict[str, Reading]:
        sides = {name: self._side(workload, service) for name, service in services.items()}
        return interleave(sides, self.plan.pace, clients=clients)

    def _floor(self) -> None:
        with self._measuring(FLOOR.key, FLOOR.title) as wanted:
            for clients in FLOOR.clients if wanted else ():
                services = {CEILING: self.ceilings[self.plan.usual]}
                rate = self._interleave(FLOOR, services, clients)[CEILING].rate
                self.results.facts.append(Fact(FLOOR.key, _with_clients(FLOOR.title, clients), rate, "requests/s"))

    def _workload(self, workload: Workload) -> None:
        """Compare with the ceiling at the usual number of people, and with ourselves at the others."""
        for clients in workload.clients:
            with self._measuring(workload.key, _with_clients(workload.title, clients)) as wanted:
                if not wanted:
                    return
                usual = self.plan.usual
                sizes = self.plan.sizes if clients == 1 else (usual,)
                services = {f"{OURS} {size}": self.ours[size] for size in sizes}
                readings = self._interleave(workload, {**services, CEILING: self.ceilings[usual]}, clients)
                self._compare(workload, usual, clients, readings[f"{OURS} {usual}"], readings[CEILING])
                if len(sizes) > 1:
                    self._grown(workload.key, workload.title, {size: readings[f"{OURS} {size}"] for size in sizes})
                if workload.key == "index" and A_MILLION in sizes:
                    p50 = readings[f"{OURS} {A_MILLION}"].p50
                    title = "index page of 100, deep in a million"
                    self.results.facts.append(Fact("index", title, p50, "ms", targets.INDEX_AT_A_MILLION))

    def _compare(self, workload: Workload, people: int, clients: int, ours: Reading, ceiling: Reading) -> None:
        if workload.by_time:
            ratio, target = ratio_of_times(ours, ceiling), targets.TIMES.get(workload.key)
        else:
            ratio, target = ratio_of_rates(ours, ceiling), targets.RATES.get(workload.key, {}).get(clients)
        self.results.comparisons.append(
            Comparison(workload.key, workload.title, people, clients, ours, ceiling, ratio, workload.by_time, target)
        )

    def _grown(self, key: str, title: str, readings: Mapping[int, Reading]) -> None:
        smallest, largest = min(readings), max(readings)
        times = {size: reading.p50 for size, reading in readings.items()}
        ratio = ratio_of_times(readings[largest], readings[smallest])
        self.results.growth.append(Growth(key, title, times, ratio, targets.GROWTH.get(key)))

    def _groups(self) -> None:
        """Compare each size of group with the ceiling, and the sizes with each other."""
        many = self.plan.many
        kinds = {size: of_groups(size) for size in self.plan.group_sizes}
        for place, title in enumerate(("one member in or out", "a group without its members")):
            workloads = {size: kind[place] for size, kind in kinds.items()}
            key = next(iter(workloads.values())).key
            with self._measuring(key, title) as wanted:
                if not wanted:
                    continue
                sides = {
                    f"{service.kind} {size}": self._side(workload, service)
                    for size, workload in workloads.items()
                    for service in (self.ours[many], self.ceilings[many])
                }
                readings = interleave(sides, self.plan.pace)
                for size, workload in workloads.items():
                    self._compare(workload, many, 1, readings[f"{OURS} {size}"], readings[f"{CEILING} {size}"])
                self._grown(key, title, {size: readings[f"{OURS} {size}"] for size in workloads})

    def _workers(self) -> None:
        with self._measuring("workers", "two workers beside one, on reads") as wanted:
            if not wanted:
                return
            one = self.ours[self.plan.usual]
            two = self.world.serve_ours(one.database, one.token, one.people, workers=2)
            for workload in READS:
                readings = self._interleave(workload, {"one": one, "two": two}, 8)
                ratio = ratio_of_rates(readings["two"], readings["one"])
                title = f"two workers over one, {workload.title}"
                self.results.facts.append(Fact("workers", title, ratio.value, "×", targets.TWO_WORKERS, _spread(ratio)))

    def _bulk(self) -> None:
        with self._measuring("bulk", "many members in one PATCH") as wanted:
            if not wanted:
                return
            service = self.ours[self.plan.many]
            number = min(_BULK, service.people)
            first, again = bulk_members(service, number, self.plan.times)
            limits = (targets.BULK_SECONDS, targets.BULK_AGAIN_SECONDS) if number == _BULK else (None, None)
            for title, seconds, target in zip(("in one PATCH", "again"), (first, again), limits, strict=True):
                self.results.facts.append(Fact("bulk", f"{number:,} members {title}", seconds, "s", target))

    def _mappings(self) -> None:
        with self._measuring("mappings", "other mappings") as wanted:
            if not wanted:
                return
            plan = self.plan
            found = remap(self.world, self.ours[plan.many], self.ours[plan.sizes[0]])
            judged = plan.many == MANY
            for title, value, unit, target in (
                (f"preview over {plan.many:,} people", found.preview_seconds, "s", targets.PREVIEW_SECONDS),
                (f"preview over {plan.many:,}, memory", found.preview_megabytes, "MB", targets.PREVIEW_MEGABYTES),
                (f"apply moving {found.moved:,}", found.apply_seconds, "s", targets.APPLY_SECONDS),
            ):
                self.results.facts.append(Fact("mappings", title, value, unit, target if judged else None))

    def _sync(self, sync: Sync) -> None:
        title = _with_clients(f"first sync of {sync.people:,} people, {sync.groups:,} groups", sync.clients)
        with self._measuring("sync", title) as wanted:
            if not wanted:
                return
            mine, other = first_sync(
                [self.world.ours(0), self.world.ceiling(0)], sync.people, sync.groups, clients=sync.clients
            )
            ratio = ratio_of_syncs(mine, other)
            note = f"{mine.rate:,.0f} people/s, ceiling {other.rate:,.0f}; {_spread(ratio)}"
            self.results.facts.append(Fact("sync", title, ratio.value, "×", targets.SYNC, note))

    def _memory(self) -> None:
        with self._measuring("memory", "memory of a worker") as wanted:
            for size, service in self.ours.items() if wanted else ():
                for resident in service.worker_bytes():
                    title = f"memory of the worker over {size:,} people"
                    self.results.facts.append(Fact("memory", title, resident / 1e6, "MB", targets.WORKER_MEGABYTES))


def _with_clients(title: str, clients: int) -> str:
    return f"{title}, {clients} client{'s' if clients > 1 else ''}"


def _spread(ratio: Ratio) -> str:
    return f"{ratio.least:.2f} to {ratio.greatest:.2f}"
