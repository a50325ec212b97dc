"""Tables that leave the product: exact cells, and none that runs as a formula (rule I6)."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from bridge.adapters.spreadsheets import TableFormat, write_tables
from bridge.domain.tables import Cell, Table, cell_text, write_csv
from bridge.errors import NotInstalledError

CELLS: list[tuple[Cell, str]] = [
    (None, ""),
    ("Zoë", "Zoë"),
    ("-12.50", "'-12.50"),  # a text that somebody wrote
    (Decimal("-12.50"), "-12.50"),  # an amount of ours
    (Decimal("1E+3"), "1000"),
    (-3, "-3"),
    (date(2026, 3, 1), "2026-03-01"),
    (datetime(2026, 3, 1, 10, tzinfo=UTC), "2026-03-01T10:00:00Z"),
]


def sheet(content: bytes, name: str = "xl/worksheets/sheet1.xml") -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return book.read(name).decode()


@pytest.mark.parametrize(("cell", "text"), CELLS)
def test_a_cell_is_written_as_what_it_is(cell: Cell, text: str) -> None:
    assert cell_text(cell) == text


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_i6_no_text_of_a_csv_file_begins_a_formula(begin: str) -> None:
    out = io.StringIO(newline="")

    write_csv(out, ["name"], [[f"{begin}cmd|' /C calc'!A0"]])

    (_, row) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert row[0].startswith("'" + begin)


def test_rows_are_counted_and_read_one_after_the_other() -> None:
    out = io.StringIO()
    seen: list[int] = []

    def rows() -> Iterator[list[Cell]]:
        for number in range(3):
            seen.append(out.getvalue().count("\n"))
            yield [number]

    count = write_csv(out, ["n"], rows())

    assert count == 3
    assert seen == [1, 2, 3]  # each row is written before the next one is asked for


def test_csv_is_utf_8_with_every_cell_in_quotes_and_the_file_stays_open() -> None:
    out = io.BytesIO()

    count = write_tables(out, [Table("t", ["a", "b"], [["ø", 1]])], TableFormat.CSV)

    assert count == 1
    assert out.getvalue().decode() == '"a","b"\r\n"ø","1"\r\n'


def test_i6_a_text_of_an_xlsx_file_is_a_text_however_it_begins() -> None:
    pytest.importorskip("xlsxwriter")
    out = io.BytesIO()

    write_tables(out, [Table("t", ["a"], [["=1+1"], ["https://x.test"], ["{=1}"]])], TableFormat.XLSX)

    xml = sheet(out.getvalue())
    assert "<f>" not in xml
    assert "hyperlink" not in xml
    assert xml.count('t="inlineStr"') == 4  # the header and three texts
    assert "=1+1" in xml


def test_an_xlsx_file_has_a_sheet_for_each_table_with_numbers_and_days() -> None:
    pytest.importorskip("xlsxwriter")
    out = io.BytesIO()
    first = Table("invoices", ["n", "d", "i", "e"], [[Decimal("-12.50"), date(2026, 3, 1), CELLS[-1][0], None]])

    count = write_tables(out, [first, Table("lines", ["a"], [])], TableFormat.XLSX)

    assert count == 1
    assert "<v>-12.50</v>" in sheet(out.getvalue())
    assert "lines" in sheet(out.getvalue(), "xl/workbook.xml")


def test_without_the_optional_part_xlsx_is_refused_and_csv_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)

    with pytest.raises(NotInstalledError, match="or take CSV"):
        write_tables(io.BytesIO(), [Table("t", ["a"], [])], TableFormat.XLSX)
    assert write_tables(io.BytesIO(), [Table("t", ["a"], [])], TableFormat.CSV) == 0
