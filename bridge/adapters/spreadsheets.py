"""Tables as files: CSV always, XLSX by xlsxwriter, which is an optional part. Neither holds a table in memory."""

import io
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import IO, Any

from bridge.domain.tables import Cell, Table, write_csv
from bridge.errors import InvalidInputError, NotInstalledError

#: Rows of a sheet, the first one with the names of the columns included.
_MOST_ROWS = 1_048_576
_WIDTH = 18


class TableFormat(StrEnum):
    """How tables are written."""

    CSV = "csv"
    XLSX = "xlsx"

    @property
    def media_type(self) -> str:
        """What an answer says of it."""
        if self is TableFormat.CSV:
            return "text/csv; charset=utf-8"
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def write_tables(out: IO[bytes], tables: Sequence[Table], form: TableFormat) -> int:
    """Write tables: one as CSV in UTF-8, any number as the sheets of an XLSX file.

    Returns:
        How many rows there are in all of them.

    Raises:
        NotInstalledError: XLSX, where its part is not installed.
        InvalidInputError: More rows than a sheet has.
    """
    if form is TableFormat.XLSX:
        return _write_xlsx(out, tables)
    (table,) = tables
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    try:
        return write_csv(text, table.columns, table.rows)
    finally:
        text.detach()


def _write_xlsx(out: IO[bytes], tables: Sequence[Table]) -> int:
    try:
        import xlsxwriter  # noqa: PLC0415 (an optional part)
    except ImportError:
        raise NotInstalledError("XLSX files", "pip install 'seatbridge[documents]', or take CSV") from None
    count = 0
    with xlsxwriter.Workbook(out, {"constant_memory": True, "strings_to_formulas": False}) as book:
        bold = book.add_format({"bold": True})
        styles: dict[type, Any] = {
            date: book.add_format({"num_format": "yyyy-mm-dd"}),
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        for table in tables:
            sheet = book.add_worksheet(table.name)
            sheet.freeze_panes(1, 0)
            sheet.set_column(0, len(table.columns) - 1, _WIDTH)
            for place, column in enumerate(table.columns):
                sheet.write_string(0, place, column, bold)
            for row, cells in enumerate(table.rows, 1):
                if row >= _MOST_ROWS:
                    raise InvalidInputError("format", f"a sheet has {_MOST_ROWS - 1:,} rows at most: take CSV")
                for place, cell in enumerate(cells):
                    _write_cell(sheet, row, place, cell, styles)
                count += 1
    return count


def _write_cell(sheet: Any, row: int, place: int, cell: Cell, styles: dict[type, Any]) -> None:
    """Write a cell as what it is: a text stays a text, however it begins (rule I6)."""
    if isinstance(cell, str):
        sheet.write_string(row, place, cell)
    elif isinstance(cell, datetime):
        sheet.write_datetime(row, place, cell.replace(tzinfo=None), styles[datetime])
    elif isinstance(cell, date):
        sheet.write_datetime(row, place, cell, styles[date])
    elif isinstance(cell, int | Decimal):
        sheet.write_number(row, place, cell)
