"""Whatever bytes are called a CSV file: an answer, never an exception, and never a formula on the way out."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.people_files import Column, column_of, read_people, write_problems
from bridge.domain.tables import neutralise, write_rows

CELLS = st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=40)
NASTY = st.lists(
    st.sampled_from(
        ["email", "userName", "groups", "active", "a@x.test", ",", ";", "\t", '"', "\n", "\r", "=", "'", " "]
    ),
    max_size=60,
).map("".join)


@given(st.binary(max_size=400))
def test_any_bytes_are_answered(raw: bytes) -> None:
    file = read_people(raw)

    assert file.problems or file.header


@given(NASTY | st.text(max_size=200))
def test_any_text_is_answered_and_its_problems_can_be_written(text: str) -> None:
    file = read_people(("email,groups\n" + text).encode("utf-8", "replace"))

    report = list(csv.reader(io.StringIO(write_problems(file, file.problems), newline=""), delimiter=file.delimiter))

    assert report[0][:2] == ["row", "problem"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in report for cell in row)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20), st.sampled_from(",;\t"))
def test_what_is_written_is_read_again(cells: list[tuple[str, str]], delimiter: str) -> None:
    rows = [[f"p{number}@x.test", *pair] for number, pair in enumerate(cells)]
    text = write_rows(["email", "title", "department"], rows, delimiter)

    file = read_people(text.encode())

    assert not file.problems
    assert [
        (person.user_name, person.values.get(Column.TITLE, ""), person.values.get(Column.DEPARTMENT, ""))
        for person in file.people
    ] == [(row[0], neutralise(row[1]).strip(), neutralise(row[2]).strip()) for row in rows]


@given(st.text(max_size=30))
def test_any_name_of_a_column_is_known_or_not(name: str) -> None:
    assert column_of(name) in {None, *Column}
