"""Tables that leave the product: named columns, rows one after the other, no cell that runs as a formula (rule I6)."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TextIO

#: Text is what people wrote; numbers are exact; None is an empty cell.
Cell = str | int | Decimal | date | datetime | None
_NEUTRALISED = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Table:
    """A table under a name; its columns keep their names and their order from version to version."""

    name: str
    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]


def neutralise(cell: str) -> str:
    """Keep a spreadsheet from running a cell as a formula: what begins like one gets an apostrophe before it."""
    return f"'{cell}" if cell.startswith(_NEUTRALISED) else cell


def cell_text(cell: Cell) -> str:
    """Write a cell: text neutralised, numbers plain, days as 2026-03-01, instants in UTC as 2026-03-01T10:00:00Z."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return neutralise(cell)
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return str(cell)


def write_csv(out: TextIO, columns: Sequence[str], rows: Iterable[Sequence[Cell]], delimiter: str = ",") -> int:
    """Write a CSV file, row by row; return how many rows stand below its first one."""
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow([neutralise(column) for column in columns])
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 (the last number is the answer)
        writer.writerow([cell_text(cell) for cell in row])
    return count


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[Cell]], delimiter: str = ",") -> str:
    """Return the same as text, for what is small."""
    text = io.StringIO()
    write_csv(text, columns, rows, delimiter)
    return text.getvalue()
