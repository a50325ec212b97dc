"""``./dev bench console``: how long the server takes for each page of the console, with many people in it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from bridge.domain.actors import OPERATOR
from bridge.runtime import Runtime
from bridge.store.gate import list_organizations
from bridge.store.models import Group, Member
from bridge.usecases.manage_access import owners_of
from bridge.usecases.sign_in_links import create_sign_in_link
from tests.bench.client import BenchError
from tests.bench.figures import Target, at_most, percentile
from tests.bench.worlds import World, open_runtime
from tests.web import Browser
from wsgi import compose

PEOPLE = 100_000
QUICK_PEOPLE = 10_000
#: Milliseconds of the server for one page: half of the requests take no longer.
PAGE_MILLISECONDS = at_most(100.0)
_WARM_UP = 2
#: Each page is opened so often.
TIMES = 9

#: What is opened, by the name of its row.
PAGES: Mapping[str, str] = {
    "overview": "/console",
    "people": "/console/people",
    "people: searched": "/console/people?q=lovelace",
    "people: by a group's name": "/console/people?q=movers",
    "people: in a group": "/console/people?group={group}",
    "people: idle": "/console/people?state=idle",
    "people: far behind": "/console/people?after={person}",
    "people: without a seat": "/console/people?tier=unassigned",
    "person": "/console/people/{person}",
    "mappings": "/console/mappings",
    "mappings: editor": "/console/mappings/edit",
    "drafts": "/console/mappings/drafts",
    "seats": "/console/seats",
    "waiting line": "/console/seats/line",
    "swap": "/console/seats/swap",
    "seats: add": "/console/seats/change",
    "requests": "/console/approvals",
    "provisioning log": "/console/provisioning-log",
    "connections": "/console/connections",
    "audit": "/console/audit",
    "audit: of seats": "/console/audit?topic=seats",
    "settings": "/console/settings",
    "webhooks": "/console/settings/webhooks",
    "versions of the rules": "/console/mappings/versions",
    "import": "/console/people/import",
    "brake": "/console/brake",
    "provisioning mode": "/console/provisioning",
    "billing details": "/console/billing-details",
    "own page": "/me",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """One page: its name, p50 and p95 in milliseconds, and how many bytes it has."""

    page: str
    p50: float
    p95: float
    size: int

    @property
    def is_met(self) -> bool:
        """Whether the page keeps the target."""
        return PAGE_MILLISECONDS.is_met(self.p50)


def bench_console(
    world: World, people: int, times: int, say: Callable[[str], None], pages: Mapping[str, str] = PAGES
) -> list[Timing]:
    """Fill a database and open every page in it.

    Args:
        world: Where the database is made.
        people: How many.
        times: How often each page is opened, after it was opened twice to warm up.
        say: Told what is being done.
        pages: What is opened.

    Raises:
        BenchError: A page did not come.
    """
    say(f"filling a database with {people:,} people")
    service = world.ours(people, (min(people, 1_000), people))
    with open_runtime(world.url(service.database), world.key) as runtime:
        return list(time_pages(runtime, times, say, pages))


def time_pages(
    runtime: Runtime, times: int, say: Callable[[str], None], pages: Mapping[str, str] = PAGES
) -> Iterator[Timing]:
    """Open pages as a signed-in owner, in this process: what is measured is the application with its database."""
    ((org_id, _, _),) = runtime.ask_gate(list_organizations)
    with runtime.unit(org_id, OPERATOR) as unit:
        (owner,) = owners_of(unit)
        link = create_sign_in_link(unit, owner.id).text
        person = unit.session.scalars(
            select(Member.id).where(Member.org_id == org_id).order_by(Member.position.desc()).limit(1)
        ).one()
        group = unit.session.scalars(select(Group.id).order_by(Group.position).limit(1)).one()
    browser = Browser(compose(runtime).test_client())
    browser.get(f"/sign-in/link/{link}")
    browser.post(f"/sign-in/link/{link}")
    say("opening every page")
    for name, path in pages.items():
        yield _time(browser, name, path.format(person=person, group=group), times)


def _time(browser: Browser, name: str, path: str, times: int) -> Timing:
    taken: list[float] = []
    size = 0
    for _ in range(_WARM_UP + times):
        started = time.perf_counter()
        page = browser.get(path)
        taken.append((time.perf_counter() - started) * 1000)
        if page.status != 200:
            raise BenchError(f"{path} was answered by {page.status}")
        size = len(page.text.encode())
    measured = taken[_WARM_UP:]
    return Timing(name, percentile(measured, 0.5), percentile(measured, 0.95), size)


def show_pages(found: Sequence[Timing], people: int, console: Console, target: Target = PAGE_MILLISECONDS) -> None:
    """Print what was measured."""
    table = Table(title=f"Pages of the console, {people:,} people", title_justify="left")
    table.add_column("page")
    for column in ("p50 ms", "p95 ms", "kB", f"target {target}"):
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(
            one.page, f"{one.p50:.0f}", f"{one.p95:.0f}", f"{one.size / 1000:.0f}", "met" if one.is_met else "MISSED"
        )
    console.print(table)
