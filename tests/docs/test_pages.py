"""The pages are complete and true: links lead somewhere, numbers have no gaps, commands exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from bridge.errors import BridgeError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def anchors_of(page: Path) -> set[str]:
    """The anchors that a Markdown viewer makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> Iterator[tuple[str, str]]:
    """Each local link's path and anchor."""
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            file, _, anchor = target.partition("#")
            yield unquote(file), anchor


@each_page
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(path: Path) -> None:
    broken = []
    for target, anchor in links_of(path):
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            broken.append(f"{target}#{anchor}")

    assert broken == []


@each_page
def test_every_page_begins_with_its_only_title(path: Path) -> None:
    text = FENCE.sub("", path.read_text())

    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        here = waiting.pop()
        if here in reached:
            continue
        reached.add(here)
        if here.suffix == ".md":
            waiting += [(here.parent / target).resolve() for target, _ in links_of(here) if target]

    assert set(PAGES) - reached == set()


def decisions() -> list[Path]:
    return sorted((DOCS / "decisions").glob("[0-9]*.md"))


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in decisions()]

    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", decisions(), ids=lambda path: path.name[:4])
def test_a_decision_says_its_context_its_choice_and_what_was_given_up(path: Path) -> None:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)

    assert headings[0].startswith(f"{int(path.name[:4])}. ")
    assert headings[1:] == ["Context", "Choice", "What we gave up"]


def test_every_decision_is_in_the_list_under_its_title() -> None:
    listed = (DOCS / "decisions" / "README.md").read_text()

    for path in decisions():
        number, title = path.read_text().splitlines()[0].removeprefix("# ").split(". ", 1)
        assert f"| {number} | [{title}]({path.name}) |" in listed


def refusals(of: type[BridgeError] = BridgeError) -> Iterator[type[BridgeError]]:
    for refusal in of.__subclasses__():
        if refusal.__module__ == "bridge.errors":
            yield refusal
        yield from refusals(refusal)


def test_every_code_of_a_refusal_is_explained_and_no_other() -> None:
    text = (DOCS / "reference" / "error-codes.md").read_text()

    explained = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)

    assert explained == sorted({refusal.code for refusal in refusals()})


@each_page
def test_every_command_of_the_product_that_a_page_names_exists(path: Path) -> None:
    from bridge.cli import main  # noqa: PLC0415 - only this test needs the whole product

    named = re.findall(r"(?:`|bin/|\$ )seatbridge ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", path.read_text())

    context = click.Context(main)
    missing = []
    for name, below in named:
        command = main.get_command(context, name)
        if isinstance(command, click.Group) and below:
            command = command.get_command(context, below)
        if command is None:
            missing.append(f"{name} {below}".strip())

    assert missing == []


@each_page
def test_every_command_of_the_script_that_a_page_names_exists(path: Path) -> None:
    known = subprocess.run([ROOT / "dev", "--help"], capture_output=True, text=True, check=True).stdout

    named = set(re.findall(r"\./dev ([a-z]+)", path.read_text()))

    assert {command for command in named if not re.search(rf"^  {command} ", known, flags=re.MULTILINE)} == set()


RULES = {
    "seat-rules.md": {"G": 3, "S": 7, "A": 9, "K": 2, "Z": 4},
    "billing-rules.md": {"P": 9, "Q": 6, "D": 7, "C": 3, "X": 1, "R": 7, "U": 7, "W": 8, "B": 7},
}


# A rule's number after the word rule or rules, or as the beginning of a parenthesis.
CITATION = re.compile(r"(?:\brules? |\()((?:[A-Z]\d+(?:, | and | to )?)+)")


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_there_with_its_number_and_in_order(name: str) -> None:
    text = (DOCS / "reference" / name).read_text()

    stated = re.findall(r"(?:^|^\| |\. )\*{0,2}([A-Z]\d+)(?= ?[|*]|\b[^,;)]*\*\*)", text, flags=re.MULTILINE)

    assert stated == [f"{letter}{n}" for letter, last in RULES[name].items() for n in range(1, last + 1)]


def test_every_rule_that_the_code_cites_is_stated() -> None:
    text = "".join((DOCS / "reference" / name).read_text() for name in (*RULES, "access-rules.md"))
    stated = set(re.findall(r"\*\*([A-Z]\d+)", text)) | {"Z1", "Z2", "Z3", "Z4"}
    cited = {
        rule
        for top in ("bridge", "mappings", "scim")
        for source in (ROOT / top).rglob("*.py")
        for phrase in CITATION.findall(source.read_text())
        for rule in re.findall(r"[A-Z]\d+", phrase)
    }

    assert cited - stated == set()


def test_the_newest_entry_of_the_changelog_is_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)

    assert headings[0] == "[Unreleased]"


@each_page
def test_no_page_names_a_place_of_the_machine_it_was_written_on(path: Path) -> None:
    named = re.findall(r"(?:/tmp|/work|/root|/home|/opt)/\S+", path.read_text())

    assert named == []


def test_every_specification_is_shown_by_tests_that_exist() -> None:
    rows = re.findall(
        r"^\| (?!specification |section |---)(.+?) \|.*\| ([^|]+) \|$",
        (DOCS / "specifications.md").read_text(),
        flags=re.MULTILINE,
    )
    present = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]

    wrong = []
    for specification, shown_by in rows:
        # The second one of a row may leave its folder out.
        named = re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", shown_by)
        if not named or not all(any(f"/{path}".endswith(f"/{name}") for path in present) for name in named):
            wrong.append(specification)

    assert len(rows) > 50
    assert wrong == []
