"""The reference of the command line is what the commands say of themselves."""

from pathlib import Path

from bridge.cli.reference import generate_reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "command-line.md"


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == generate_reference(), (
        "run: python -m bridge.cli.reference > docs/reference/command-line.md"
    )
