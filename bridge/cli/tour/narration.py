"""What the tour says: few words, whom it happened to and why, and a mark beside everything that was checked."""

import re
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from bridge.simulator.wire import Exchange

_INDENT = (0, 0, 0, 3)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class Narrator:
    """Prints the tour, and keeps what did not hold in ``failures``."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    failures: list[str] = field(default_factory=list)
    held: int = 0
    _chapters: int = 0
    _began: float = field(default_factory=time.perf_counter)

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
        self.console.print(f"\n[bold]{self._chapters}  {escape(title)}[/]")
        if about:
            self._print(f"[dim]{escape(about)}[/]")

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._print(escape(sentence))

    def exchanges(self, exchanges: Sequence[Exchange]) -> None:
        """Print requests and the status of their answers."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=3)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=42)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=27)
        for exchange in exchanges:
            colour = "green" if exchange.accepted else "red"
            table.add_row(
                f"[{colour}]{exchange.status}[/]",
                f"{exchange.method} [dim]{escape(_UUID.sub(_shortened, exchange.path))}[/]",
                f"[dim]{escape(exchange.about)}[/]",
            )
        self._print(table)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table."""
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, ratio=None, min_width=len(column))
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._print(table)

    def check(self, claim: str, actual: object, expected: object) -> None:
        """Check that something is as it must be, and say so."""
        if actual == expected:
            self.held += 1
            mark, words = "[green]✓[/]", claim
        else:
            mark, words = "[bold red]✗[/]", f"{claim}: expected {expected!r}, got {actual!r}"
            self.failures.append(words)
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(mark, escape(words))
        self._print(line)

    def _print(self, content: RenderableType) -> None:
        self.console.print(Padding(content, _INDENT, expand=False))

    def broke(self, error: Exception) -> None:
        """Say that a chapter ended in the middle, and where."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = f"chapter {self._chapters} stopped: {type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        self.failures.append(words)
        self._print(f"[bold red]✗[/] {escape(words)}")

    def verdict(self) -> None:
        """Sum up: everything held and how long it took, or what did not."""
        seconds = time.perf_counter() - self._began
        if not self.failures:
            self.console.print(f"\n[bold green]All {self.held} checks hold.[/] [dim]{seconds:.1f} s[/]")
            return
        self.console.print(f"\n[bold red]{len(self.failures)} of {self.held + len(self.failures)} checks failed:[/]")
        for failure in self.failures:
            self.console.print(f"   ✗ {escape(failure)}")


def _shortened(identifier: "re.Match[str]") -> str:
    return f"{identifier[0][:8]}…"
