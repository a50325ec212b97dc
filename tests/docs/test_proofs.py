"""Every rule and every case that a page numbers is proven by a test that says so."""

import re
from pathlib import Path

import pytest

from tests.proofs import numbers_of, proofs

DOCS = Path(__file__).resolve().parents[2] / "docs"
RULES = [DOCS / "reference" / name for name in ("seat-rules.md", "billing-rules.md", "access-rules.md")]
PERMISSIONS = re.compile(r"^\| (Z\d) \|", flags=re.MULTILINE)


def numbered() -> set[str]:
    """Read the numbers of the pages: rules in bold where a paragraph begins, permissions and cases by their tables."""
    texts = [page.read_text(encoding="utf-8") for page in RULES]
    rules = {number for text in texts for number in re.findall(r"^\*\*([A-Z]\d{1,2})\b", text, flags=re.MULTILINE)}
    permissions = {number for text in texts for number in PERMISSIONS.findall(text)}
    cases = re.findall(r"^\| ([A-Z]\d{1,2}) \|", _reliability(), flags=re.MULTILINE)
    return rules | permissions | {f"case {number}" for number in cases}


def planned() -> set[str]:
    """Read which rules a page says are not in this version: "**B2** (planned"."""
    return {
        number
        for page in RULES
        for number in re.findall(r"^\*\*([A-Z]\d{1,2})\*\* \(planned", page.read_text("utf-8"), flags=re.MULTILINE)
    }


def _reliability() -> str:
    return (DOCS / "explanation" / "reliability.md").read_text(encoding="utf-8")


def test_every_rule_and_every_case_has_a_test_that_names_it() -> None:
    assert sorted(numbered() - planned() - proofs().keys()) == []


def test_the_pages_have_the_numbers_they_are_read_for() -> None:
    assert {"A9", "P8", "T12", "Z4", "B7", "case C1", "case X8"} <= numbered()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_p8_the_first_of_march", ["P8"]),
        ("test_d1_d2_a_reduction", ["D1", "D2"]),
        ("test_c3_and_x1_a_credit", ["C3", "X1"]),
        ("test_case_c1_200_parallel_creates", ["case C1"]),
        ("test_case_x2_x3_killed", ["case X2", "case X3"]),
        ("test_r3_case_x11_a_boundary", ["R3", "case X11"]),
        ("test_a_person_who_is_known", []),
    ],
)
def test_a_name_says_what_it_proves(name: str, numbers: list[str]) -> None:
    assert list(numbers_of(name)) == numbers
