"""What a run found, for people: tables on the terminal."""

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Ratio, Target
from tests.bench.results import Results

#: What the widest table needs.
WIDTH = 112


def show(results: Results, console: Console) -> None:
    """Print everything that was found."""
    if results.comparisons:
        console.print(_comparisons(results))
    if results.growth:
        console.print(_growth(results))
    if results.facts:
        console.print(_facts(results))
    for failure in results.failures:
        console.print(f"[red]not measured[/red] {failure.title}: {failure.reason}", highlight=False)
    for warning in results.warnings:
        console.print(f"[yellow]{warning}[/yellow]", highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in results.machine.items()), highlight=False)
    unmet = results.unmet()
    verdict = f"{len(unmet)} target(s) not met" if unmet else "every target that was measured is met"
    console.print(f"{verdict}; {results.seconds:,.0f} s", highlight=False)


def _comparisons(results: Results) -> Table:
    table = _table(
        "Beside the ceiling: requests/s, p50/p95 in ms",
        "workload",
        "clients",
        "ours",
        "",
        "ceiling",
        "",
        "ratio",
        "target",
    )
    for one in results.comparisons:
        table.add_row(
            one.title,
            str(one.clients),
            f"{one.ours.rate:,.0f}",
            f"{one.ours.p50:.1f}/{one.ours.p95:.1f}",
            f"{one.ceiling.rate:,.0f}",
            f"{one.ceiling.p50:.1f}/{one.ceiling.p95:.1f}",
            f"{'p50 ' if one.by_time else ''}{_ratio(one.ratio)}",
            _judged(one.target, met=one.met),
        )
    return table


def _growth(results: Results) -> Table:
    sizes = sorted({size for one in results.growth for size in one.milliseconds})
    columns = [f"{size:,}" for size in sizes]
    table = _table("Growth: p50 in ms by people, or by members", "workload", *columns, "ratio", "target")
    for one in results.growth:
        times = [f"{one.milliseconds[size]:.2f}" if size in one.milliseconds else "" for size in sizes]
        table.add_row(one.title, *times, _ratio(one.ratio), _judged(one.target, met=one.met))
    return table


def _facts(results: Results) -> Table:
    table = _table("By itself", "what", "", "target", "note")
    for one in results.facts:
        digits = 0 if one.value >= 100 else 2
        value = f"{one.value:,.{digits}f} {one.unit}"
        table.add_row(one.title, value, _judged(one.target, met=one.met), one.note)
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1))
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column == "note" else "right", no_wrap=True)
    return table


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} ({ratio.least:.2f}–{ratio.greatest:.2f})"


def _judged(target: Target | None, *, met: bool | None) -> str:
    if target is None:
        return ""
    return f"{target} " + ("[green]✓[/green]" if met else "[red]✗[/red]")
