"""``python -m tests.chaos``: orders at a billing core while answers are lost and processes are killed, and the sum.

Owners of many organizations buy seats one after the other, each with a browser at a ``seatbridge serve``. Between the
product and the core a line loses a share of all answers, after the core has done what was asked. Web processes (one
worker, the master, or the whole service) and background workers are killed by SIGKILL at random moments and started
again; what an owner's browser got no answer to is sent again, word for word. At the end the core's own books are
counted against what is here, and all that went over the line is held against the published contract.

Leases and pauses are sixty times shorter than in production, so that it ends in minutes; nothing else is changed.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import URL, make_url, select

from bridge.billing import BuiltinPayments
from bridge.config import Settings, generate_key
from bridge.domain.actors import OPERATOR
from bridge.runtime import EMBEDDED_ROLE, build_runtime
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.journal import verify
from bridge.store.models import BillingOrder, Invoice
from bridge.store.pools import read_pools
from bridge.store.schema import upgrade
from bridge.usecases.billing_orders import list_orders, retry_order
from tests.chaos_web import FIRST_KILL_SECONDS, Owner, Web, serving, troubled
from tests.cores import ExampleCore, Json, Line, example_core, line_to, remote_customer, with_local_cores
from tests.factories import Customer
from tests.postgres import quickest_folder
from tests.processes import ROOT

#: Of leases and pauses.
QUICKER = 60
_PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class Figures:
    """What came of it. ``lost``, ``doubled``, ``different``, ``broken_chains`` and ``unpublished`` have to be 0.

    ``confirmed`` is what the owners' browsers were told; ``unpublished`` counts what broke the core's contract.
    """

    confirmed: int
    orders: int
    placed: int
    lost: int
    doubled: int
    different: int
    broken_chains: int
    unpublished: int
    requests: int
    answers_lost: int
    workers_killed: int
    web_workers_killed: int
    web_masters_killed: int
    services_killed: int
    sent_again: int
    clicked_twice: int
    attempts: int
    most_attempts: int
    given_up_and_retried: int
    seconds: int


@dataclass
class Chaos:
    """So many orders, spread over organizations, under so much trouble."""

    orders: int
    organizations: int
    workers: int
    lost_share: float
    seconds_between_kills: float
    seed: int = 1
    killed: int = 0
    retried: int = 0
    answers_lost: int = 0
    confirmed: int = 0
    owners: list[Owner] = field(default_factory=list)

    def run(self, settings: Settings, url: URL, folder: Path) -> Figures:
        """Do it all on a fresh database, and count."""
        began = time.monotonic()
        with example_core(folder) as core, line_to(core) as line:
            runtime = build_runtime(with_local_cores(settings), url, payments=BuiltinPayments())
            try:
                customers = [
                    remote_customer(runtime, core, f"org-{number}", premium=0, standard=0)
                    for number in range(self.organizations)
                ]
                dice = random.Random(self.seed)
                line.cut = lambda _: self._cut(dice)
                environment = service_environment(settings, url)
                with serving(environment, folder / "serve.log") as web:
                    self.owners = [Owner(web, one, random.Random(f"{self.seed}:{one.slug}")) for one in customers]
                    trouble = troubled(web, pause=self.seconds_between_kills, dice=random.Random(self.seed))
                    with self._troubled_workers(environment), trouble, ThreadPoolExecutor(self.organizations) as buy:
                        list(buy.map(self._buy, self.owners, self._shares()))
                    for owner in self.owners:
                        owner.close()
                line.cut = lambda _: False
                return self._count(customers, line, core, web, folder=folder, seconds=int(time.monotonic() - began))
            finally:
                runtime.close()

    def _cut(self, dice: random.Random) -> bool:
        cut = dice.random() < self.lost_share
        self.answers_lost += cut
        return cut

    def _shares(self) -> list[int]:
        each, more = divmod(self.orders, self.organizations)
        return [each + (number < more) for number in range(self.organizations)]

    def _buy(self, owner: Owner, number: int) -> None:
        """Order one thing after the other, as an owner who waits for each would."""
        standard = 0
        for _ in range(number):
            change = {"premium": owner.dice.randint(1, 3)}
            if owner.dice.random() < 0.5:
                change = {"standard": owner.dice.randint(1, 3)}
            if standard > 3 and owner.dice.random() < 0.3:
                change = {"standard": -1}
            standard += change.get("standard", 0)
            self._order(owner, change)

    def _order(self, owner: Owner, change: dict[str, int]) -> None:
        """Preview until the core answers, confirm once, and wait until the order is settled."""
        owner.confirm(owner.preview(change))
        self.confirmed += 1
        customer = owner.customer
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (state := self._state(customer)) != "placed":
            assert time.monotonic() < deadline, f"an order of {customer.slug} is {state}"
            time.sleep(0.5)

    def _state(self, customer: Customer) -> str:
        """Return the newest order's state; put one that was given up back in line, as an operator would."""
        with customer.unit(OPERATOR) as unit:
            newest = list_orders(unit, limit=1)[0]
            if newest.state == "dead":
                self.retried += 1
                retry_order(unit, newest.id)
            return newest.state

    @contextmanager
    def _troubled_workers(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Keep workers running, and kill one of them again and again."""
        ended = threading.Event()
        processes = [start_worker(environment) for _ in range(self.workers)]
        killer = threading.Thread(target=self._kill, args=(processes, environment, ended))
        killer.start()
        try:
            yield
        finally:
            ended.set()
            killer.join()
            for process in processes:
                process.kill()
                process.wait()

    def _kill(
        self, processes: "list[subprocess.Popen[bytes]]", environment: Mapping[str, str], ended: threading.Event
    ) -> None:
        dice = random.Random(self.seed + 1)
        wait = FIRST_KILL_SECONDS
        while not ended.wait(wait):
            chosen = dice.randrange(len(processes))
            processes[chosen].kill()
            processes[chosen].wait()
            self.killed += 1
            processes[chosen] = start_worker(environment)
            wait = self.seconds_between_kills * dice.uniform(0.5, 1.5)

    def _count(
        self, customers: list[Customer], line: Line, core: ExampleCore, web: Web, *, folder: Path, seconds: int
    ) -> Figures:
        books = Counted(folder / "core.sqlite3")
        orders = [order for customer in customers for order in all_orders(customer)]
        here = {order.body["key"] for order in orders if order.state == "placed"}
        return Figures(
            confirmed=self.confirmed,
            orders=len(orders),
            placed=len(here),
            lost=len(here ^ books.placed) + sum(order.state != "placed" for order in orders),
            doubled=books.invoices_of_orders - books.placed_with_invoice,
            different=sum(differs(customer, core, books) for customer in customers),
            broken_chains=sum(chain_is_broken(customer) for customer in customers),
            unpublished=len(line.unpublished()),
            requests=len(line.requests),
            answers_lost=self.answers_lost,
            workers_killed=self.killed,
            web_workers_killed=web.killed["web worker"],
            web_masters_killed=web.killed["web master"],
            services_killed=web.killed["service"],
            sent_again=sum(owner.repeated for owner in self.owners),
            clicked_twice=sum(owner.clicked_twice for owner in self.owners),
            attempts=sum(order.attempts for order in orders),
            most_attempts=max((order.attempts for order in orders), default=0),
            given_up_and_retried=self.retried,
            seconds=seconds,
        )


class Counted:
    """The core's own books, read from its file, past everything of ours."""

    def __init__(self, file: Path) -> None:
        with closing(sqlite3.connect(file)) as database:
            orders = [json.loads(row[0]) for row in database.execute("SELECT document FROM orders")]
            self.invoices = [
                (name, json.loads(document))
                for name, document in database.execute("SELECT name, document FROM invoice")
            ]
        placed = [order for order in orders if order["state"] == "placed"]
        self.placed = {order["key"] for order in placed}
        self.placed_with_invoice = sum(order["invoice"] is not None for order in placed)
        self.invoices_of_orders = sum(invoice["reason"] == "seat_change" for _, invoice in self.invoices)

    def totals(self, name: str) -> Counter[tuple[str, int]]:
        return Counter(
            (invoice["number"], invoice["total"])
            for owner, invoice in self.invoices
            if owner == name and invoice["reason"] == "seat_change"
        )


def all_orders(customer: Customer) -> list[BillingOrder]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(BillingOrder)))


def differs(customer: Customer, core: ExampleCore, books: Counted) -> bool:
    """Tell whether pools, ledger or the sum of what was ordered is not what the core says."""
    subscription: Json = core.act("GET", customer.slug, "/subscription")
    there = {tier: (one["paid"], min(one["paid"], one["next"])) for tier, one in subscription["tiers"].items()}
    bought = Counter[str]()
    for order in all_orders(customer):
        bought.update(order.body["changes"])
    with customer.unit() as unit:
        here = {pool.tier: (pool.paid, pool.total) for pool in read_pools(unit)}
        ledger = Counter(
            (row.number, row.total)
            for row in unit.session.execute(
                select(Invoice.number, Invoice.total).where(Invoice.reason == "seat_change")
            )
        )
    allocation = {tier: one["next"] for tier, one in subscription["tiers"].items()}
    return (
        here != there
        or ledger != books.totals(customer.slug)
        or any(allocation[tier] != bought[tier] for tier in allocation)
    )


def chain_is_broken(customer: Customer) -> bool:
    with customer.unit() as unit:
        return verify(unit) is not None


def service_environment(settings: Settings, url: URL) -> dict[str, str]:
    """Return what the processes of the product run in."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEATBRIDGE")}
    return environment | {
        "PYTHONPATH": str(ROOT),
        "SEATBRIDGE__DATABASE__URL": url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": settings.secrets.keys[0].get_secret_value(),
        "SEATBRIDGE__BILLING__INTERNAL_HOSTS": "127.0.0.1",
        "SEATBRIDGE__JOBS__SWEEP_SECONDS": "0.3",
        "SEATBRIDGE__LOG__LEVEL": "error",
    }


def start_worker(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a worker as production has it, but for its shorter leases and pauses."""
    command = [sys.executable, "-m", "tests.hurried_worker", str(QUICKER)]
    return subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL)


@contextmanager
def fresh_database(folder: Path) -> Iterator[tuple[Settings, URL]]:
    """Give a migrated database of a server of its own."""
    with EmbeddedPostgres(folder / "pg", durable=False) as server:
        server.ensure_database("chaos")
        owner = make_url(server.url("chaos"))
        url = owner.set(username=EMBEDDED_ROLE)
        upgrade(owner, url)
        yield (
            Settings.model_validate(
                {
                    "database": {"url": SecretStr(url.render_as_string(hide_password=False)), "pool_size": 60},
                    "secrets": {"keys": (generate_key(),)},
                }
            ),
            url,
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--organizations", type=int, default=40)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--lost", type=float, default=0.2, help="share of the core's answers")
    parser.add_argument(
        "--kill-every", type=float, default=4.0, help="seconds, on the average: a worker, and a part of the web"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chaos = Chaos(
        options.orders, options.organizations, options.workers, options.lost, options.kill_every, seed=options.seed
    )
    with tempfile.TemporaryDirectory(dir=quickest_folder()) as name, fresh_database(Path(name)) as (settings, url):
        figures = chaos.run(settings, url, Path(name))
    for fact, number in asdict(figures).items():
        sys.stdout.write(f"{fact.replace('_', ' '):<22} {number:>8,}\n")
    wrong = figures.lost + figures.doubled + figures.different + figures.broken_chains + figures.unpublished
    return 1 if wrong or not figures.confirmed == figures.placed == options.orders else 0


if __name__ == "__main__":
    sys.exit(main())
