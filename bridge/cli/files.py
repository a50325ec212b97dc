"""Files that commands write: tables as CSV or XLSX, to a place of the caller's choice."""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import print_facts, print_json

if TYPE_CHECKING:
    from bridge.domain.tables import Table
    from bridge.store.unit import Unit


def table_options(command: Any) -> Any:
    """Add ``--format`` and ``--output``, as the arguments ``form`` and ``output``."""
    command = click.option(
        "--output",
        type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
        help="The file; - for standard output. Default: a name after the organization, here.",
    )(command)
    choices = click.Choice(["csv", "xlsx"])
    return click.option("--format", "form", type=choices, default="csv", show_default=True, help="Kind of file.")(
        command
    )


def export_tables(
    org: str,
    make: "Callable[[Unit], Sequence[Table]]",
    *,
    what: str,
    name: str,
    form: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write tables of an organization to a file, note that in the audit chain, and say what was written.

    Args:
        org: The organization's slug or id.
        make: Reads the tables; several are for XLSX only.
        what: What is exported, as the audit chain calls it.
        name: The file's name without an ending, where ``output`` names none.
        form: csv or xlsx.
        output: Where to; ``-`` is standard output.
        as_json: Whether to say it as JSON.
    """
    from bridge.adapters.spreadsheets import TableFormat, write_tables
    from bridge.cli.opening import open_organization
    from bridge.usecases.exports import record_export

    to_stdout = str(output) == "-"
    if to_stdout and as_json:
        raise click.UsageError("--output - writes the file itself: leave --json out")
    file = output or Path(f"{name}.{form}")
    with open_organization(org) as (_, unit):
        tables = make(unit)
        if to_stdout:
            rows = write_tables(sys.stdout.buffer, tables, TableFormat(form))
        else:
            rows = _write(file, lambda out: write_tables(out, tables, TableFormat(form)))
        record_export(unit, what, form=form, rows=rows)
    if to_stdout:
        return
    if as_json:
        print_json({"file": str(file), "rows": rows})
    else:
        print_facts({"file": file, "rows": f"{rows:,}"})


def write_file(file: Path, content: bytes) -> None:
    """Write a file, making its folder.

    Raises:
        InvalidInputError: It cannot be written.
    """
    _write(file, lambda out: out.write(content))


def _write(file: Path, write: Callable[[io.BufferedWriter], int]) -> int:
    from bridge.errors import InvalidInputError

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            return write(out)
    except OSError as error:
        raise InvalidInputError("output", f"{file} cannot be written ({error.strerror})") from None
