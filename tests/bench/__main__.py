"""``python -m tests.bench``: measure the running service on PostgreSQL, beside the ceiling."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import psutil
from rich.console import Console

from tests.bench.client import BenchError
from tests.bench.console import PEOPLE, QUICK_PEOPLE, TIMES, bench_console, show_pages
from tests.bench.plan import A_MILLION, FULL, QUICK, TITLES, Plan, chosen
from tests.bench.report import WIDTH, show
from tests.bench.results import Results
from tests.bench.run import Run
from tests.bench.services import ROOT
from tests.bench.worlds import World, world

#: More load than this on a processor before we begin, and the figures say little.
_BUSY = 0.3
#: The client may need so much of a processor before it could be what holds a service up.
_CLIENT_SHARE = 0.5
_LEAST_PEOPLE = 100
_LIST = """./dev bench scim       the SCIM service on PostgreSQL, beside the ceiling; 13 minutes, --quick 90 seconds
./dev bench console    what the server needs for each page of the console, with 100,000 people; 2 minutes

What `scim` measures, by the names that --only takes:
"""


class Parser(argparse.ArgumentParser):
    """Explains itself in the form of the other commands of ``./dev``."""

    def format_help(self) -> str:
        """Begin as they do."""
        return super().format_help().replace("usage:", "Usage:", 1)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = Parser(prog="./dev bench", description="Measure the service; without arguments: what there is.")
    made.add_argument(
        "what", choices=["scim", "console"], help="the SCIM service beside the ceiling, or the pages of the console"
    )
    made.add_argument("--quick", action="store_true", help="some 90 seconds: 1,000 and 10,000 people, short slices")
    made.add_argument("--only", metavar="NAMES", help="workloads, separated by commas, as ./dev bench lists them")
    made.add_argument("--sizes", metavar="NUMBERS", help="numbers of people, separated by commas")
    made.add_argument("--million", action="store_true", help="1,000,000 people as well")
    made.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found into a file")
    made.add_argument("--check", action="store_true", help="end with 1 when a target is not met")
    return made


def plan_of(options: argparse.Namespace) -> Plan:
    """Return what the options ask for.

    Raises:
        BenchError: A workload is not known, or a size is no number.
    """
    plan = QUICK if options.quick else FULL
    if options.sizes:
        try:
            plan = replace(plan, sizes=tuple(sorted({int(size) for size in options.sizes.split(",")})))
        except ValueError:
            raise BenchError(f"--sizes wants numbers such as 1000,10000, not {options.sizes!r}") from None
    if options.million:
        plan = replace(plan, sizes=tuple(sorted({*plan.sizes, A_MILLION})))
    if plan.sizes[0] < _LEAST_PEOPLE or plan.sizes[-1] > A_MILLION:
        raise BenchError(f"a size is from {_LEAST_PEOPLE:,} to {A_MILLION:,} people")
    return replace(plan, only=chosen(options.only.split(","))) if options.only else plan


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark and return its exit status."""
    console = Console(width=max(WIDTH, Console().width))
    if not arguments:
        console.print(_LIST + "\n".join(f"  {name:<16} {title}" for name, title in TITLES.items()), highlight=False)
        return 0
    options = parser().parse_args(arguments)
    try:
        plan = plan_of(options)
        busy, began = os.getloadavg()[0], time.monotonic()

        def say(text: str) -> None:
            console.print(f"{time.monotonic() - began:5.0f} s  {text}", style="dim", highlight=False)

        with world(ROOT / ".dev") as built:
            if options.what == "console":
                return _pages(built, options, console, say)
            results = Run(built, plan, say).all()
            describe(results, built, busy)
    except BenchError as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    show(results, console)
    if options.json:
        options.json.write_text(json.dumps(results.document(), indent=1) + "\n")
    return 1 if options.check and results.unmet() else 0


def _pages(built: World, options: argparse.Namespace, console: Console, say: Callable[[str], None]) -> int:
    """Measure the pages of the console, and return the exit status."""
    people = (
        int(options.sizes) if options.sizes and options.sizes.isdigit() else QUICK_PEOPLE if options.quick else PEOPLE
    )
    found = bench_console(built, people, TIMES, say)
    show_pages(found, people, console)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return 1 if options.check and not all(one.is_met for one in found) else 0


def describe(results: Results, built: World, busy: float) -> None:
    """Add what machine this was, and what makes its figures doubtful."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    results.machine = {
        "cores": str(cores),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "Python": platform.python_version(),
        **built.facts(),
    }
    if busy > _BUSY * cores:
        results.warnings.append(f"The machine was busy when it began (load {busy:.1f}): believe no single figure.")
    greedy = max((max(one.ours.client_share, one.ceiling.client_share) for one in results.comparisons), default=0.0)
    results.machine["client"] = f"at most {greedy:.0%} of a processor"
    if greedy > _CLIENT_SHARE:
        results.warnings.append(f"The client used {greedy:.0%} of a processor: it may have held a service up.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
