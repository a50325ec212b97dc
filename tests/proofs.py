"""``python -m tests.proofs [NUMBER ...]``: which tests prove which rule and which case.

A test's name begins with what it proves: ``test_p8_…`` rule P8 of ``docs/reference``, ``test_case_c1_…`` case C1 of
``docs/explanation/reliability.md``, whose letters rules have too. It may name several, rules before cases:
``test_d1_d2_…``, ``test_r3_case_x11_…``.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).parent
_NUMBERS = r"(?:[a-z]\d{1,2}_(?:and_)?)"
_NAME = re.compile(rf"test_({_NUMBERS}*)(?:case_({_NUMBERS}+))?")
_ONE = re.compile(r"[a-z]\d{1,2}(?=_)")


def numbers_of(name: str) -> Sequence[str]:
    """Return what a test's name says it proves: ``P8`` for a rule, ``case C1`` for a case."""
    found = _NAME.match(name)
    rules, cases = found.groups(default="") if found else ("", "")
    return [
        *(number.upper() for number in _ONE.findall(rules)),
        *(f"case {number.upper()}" for number in _ONE.findall(cases)),
    ]


def proofs() -> Mapping[str, Sequence[str]]:
    """Return the tests, as pytest takes them, by what they prove."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for test in _tests_in(ast.parse(file.read_text(encoding="utf-8"))):
            for number in numbers_of(test.rpartition("::")[2]):
                found[number].append(f"{file.relative_to(TESTS.parent)}::{test}")
    return found


def _tests_in(node: ast.Module | ast.ClassDef, within: str = "") -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield from _tests_in(child, f"{within}{child.name}::")
        elif isinstance(child, ast.FunctionDef) and child.name.startswith("test_"):
            yield f"{within}{child.name}"


def main(wanted: Sequence[str]) -> None:
    """Print the tests of the numbers, or of all."""
    found = proofs()
    chosen = [name.replace("CASE", "case").replace("-", " ") for name in map(str.upper, wanted)] or sorted(found)
    for number in chosen:
        print(number)  # noqa: T201 (what the command is for)
        for test in found.get(number, ["nothing"]):
            print(f"  {test}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
