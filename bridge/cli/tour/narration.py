"""What the tour says: few words, whom it happened to and why, and a mark beside everything that was checked."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bridge.simulator.wire import Exchange

_INDENT = (0, 0, 0, 3)


@dataclass(slots=True)
class Narrator:
    """Prints the tour, and keeps what did not hold in ``failures``."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    failures: list[str] = field(default_factory=list)
    held: int = 0
    _chapters: int = 0

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step of the preparation; what the block appends to the list is said beside its name."""
        notes: list[str] = []
        started = time.perf_counter()
        yield notes
        seconds = time.perf_counter() - started
        self.console.print(f"  {name:<14} {escape(', '.join(notes)):<58} [dim]{seconds:6.1f} s[/]", soft_wrap=True)

    def note(self, name: str, note: str) -> None:
        """Print a line of the preparation that took no time."""
        self.console.print(f"  {name:<14} {escape(note)}", soft_wrap=True)

    def chapter(self, title: str, about: str = "") -> None:
        """Begin a chapter."""
        self._chapters += 1
        dimmed = f"  [dim]{escape(about)}[/]" if about else ""
        self.console.print(f"\n[bold]{self._chapters}  {escape(title)}[/]{dimmed}")

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self.console.print(f"   {escape(sentence)}")

    def exchanges(self, exchanges: Sequence[Exchange]) -> None:
        """Print requests and the status of their answers."""
        table = Table.grid(padding=(0, 2))
        for exchange in exchanges:
            colour = "green" if exchange.accepted else "red"
            table.add_row(
                f"   [{colour}]{exchange.status}[/]",
                f"{exchange.method} [dim]{escape(_short(exchange.path))}[/]",
                f"[dim]{escape(_short(exchange.about))}[/]",
            )
        self.console.print(table)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table, the last column as wide as it needs."""
        table = Table(box=None, header_style="dim", padding=_INDENT)
        for column in columns:
            table.add_column(column, no_wrap=column != columns[-1])
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.console.print(table)

    def check(self, claim: str, actual: object, expected: object) -> None:
        """Check that something is as it must be, and say so."""
        if actual == expected:
            self.held += 1
            self.console.print(f"   [green]✓[/] {escape(claim)}")
        else:
            self.failures.append(f"{claim}: expected {expected!r}, got {actual!r}")
            self.console.print(
                f"   [bold red]✗[/] {escape(claim)}: expected {escape(repr(expected))}, got {escape(repr(actual))}"
            )

    def verdict(self) -> None:
        """Sum up: everything held, or what did not."""
        if not self.failures:
            self.console.print(f"\n[bold green]All {self.held} checks hold.[/]")
            return
        self.console.print(f"\n[bold red]{len(self.failures)} of {self.held + len(self.failures)} checks failed:[/]")
        for failure in self.failures:
            self.console.print(f"   ✗ {escape(failure)}")


def _short(text: str, longest: int = 64) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
