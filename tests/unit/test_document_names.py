"""The files of invoices: a core of the customer's own numbers as it likes, and no number leads anywhere else."""

import uuid
from dataclasses import replace
from pathlib import PurePath

import pytest

from tests.documents import document


@pytest.mark.parametrize("number", ["NORDLYS-000007", "inv-7", "2026.03_1"])
def test_a_plain_number_names_the_file(number: str) -> None:
    assert replace(document(), number=number).file_name == f"invoice-{number}"


@pytest.mark.parametrize(
    ("number", "rest"),
    [
        ("/../../../etc/evil", "-etc-evil"),
        ("..", ""),
        ("A/1", "-A-1"),
        ("A\\1", "-A-1"),
        ("C:evil", "-C-evil"),
        ("A\nB", "-A-B"),
        ("ÅÄÖ", ""),
        ("x" * 200, "-" + "x" * 60),
        ("7.", "-7"),
    ],
)
def test_any_other_number_keeps_what_is_plain_of_it_behind_a_part_of_the_id(number: str, rest: str) -> None:
    name = replace(document(credit_note=True), number=number).file_name

    assert name == f"credit-note-000000000007{rest}"
    assert PurePath(name).name == name


def test_two_numbers_of_which_the_same_is_plain_are_two_files() -> None:
    one = replace(document(), number="A/1")
    other = replace(document(), number="A:1", id=uuid.UUID(int=8))

    assert one.file_name != other.file_name
