"""How commands show things: tables for people, ``--json`` for programs."""

import dataclasses
import datetime as dt
import enum
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 400
#: What a terminal acts on instead of showing it, what turns the order of a line round, and half a surrogate pair.
_ACTIVE = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_UNSAFE = re.compile(f"[{_ACTIVE}]")
_UNSAFE_IN_A_LINE = re.compile(f"[{_ACTIVE}\t\n]")

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

#: Adds ``--json`` to a command, as the argument ``as_json``.
json_option: Callable[[CommandT], CommandT] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs."
)
org_argument: Callable[[CommandT], CommandT] = click.argument("org")
name_argument: Callable[[CommandT], CommandT] = click.argument("name")


def print_json(value: object) -> None:
    """Print a value as JSON: dataclasses as objects, instants and identifiers as text."""
    click.echo(harmless(json.dumps(value, default=_plain, indent=2, ensure_ascii=False)))


def print_yaml(document: Mapping[str, Any]) -> None:
    """Print a document as people edit it, its fields in their order."""
    import yaml

    yaml.safe_dump(dict(document), sys.stdout, sort_keys=False, allow_unicode=True)


def harmless(text: str) -> str:
    r"""Return a text of many lines, what a terminal would act on as an escape (``\u001b``), which JSON reads too."""
    return _UNSAFE.sub(_escape, text)


def harmless_line(text: str) -> str:
    """Return the same of a text that must stay on its line."""
    return _UNSAFE_IN_A_LINE.sub(_escape, text)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one a line; nothing is wrapped, so that tokens and addresses can be copied whole."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {harmless_line(text_of(value))}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under their headings, or a sentence when there are none. Numbers stand to the right."""
    cells = [list(row) for row in rows]
    if not cells:
        click.echo(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int) and not isinstance(row[index], bool) for row in cells)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        # As texts, not as strings: those would be read as rich's markup.
        table.add_row(*(Text(harmless_line(text_of(value))) for value in row))
    # A file or a pipe has no width: lines stay whole there.
    Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(table)


def refuse_to_ask(*, as_json: bool) -> None:
    """Refuse to ask a program anything.

    Raises:
        click.UsageError: It has to answer ahead.
    """
    if as_json:
        raise click.UsageError("--json asks nothing: answer ahead with --yes")


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how far long work is, on a terminal's standard error; elsewhere nothing is written.

    Args:
        what: What is counted: "People".
        total: How many there will be; None where nobody knows.

    Returns:
        What is told how many are done.
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def text_of(value: object) -> str:
    """Write a value for people: instants in UTC to the minute, yes or no, a dash for nothing."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    return str(value)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID | enum.Enum | Fraction):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
