"""The set-up guides of the documentation are those of the console."""

from pathlib import Path

import pytest

from bridge.domain.dialects import Dialect
from bridge.web.guides import GUIDES, OTHER, Place, likely_guide
from bridge.web.guides.writing import as_html, as_markdown

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("key", GUIDES)
def test_the_page_is_the_generated_one(key: str) -> None:
    guide = GUIDES[key]

    assert (HOW_TO / f"{guide.page}.md").read_text() == as_markdown(guide), (
        f"run: python -m bridge.web.guides {key} > docs/how-to/{guide.page}.md"
    )


@pytest.mark.parametrize("key", GUIDES)
def test_every_guide_says_where_the_token_and_the_address_of_scim_go(key: str) -> None:
    values = {entry.value for part in GUIDES[key].parts for step in part.steps for entry in step.entries}

    assert {Place.SCIM_URL, Place.SCIM_TOKEN} <= values


@pytest.mark.parametrize(
    ("name", "dialect", "key"),
    [
        ("Company", Dialect.ENTRA, "entra"),
        ("Okta", Dialect.GENERIC, "okta"),
        ("Our Azure AD", Dialect.GENERIC, "entra"),
        ("authentik", Dialect.GENERIC, "keycloak"),
        ("OneLogin", Dialect.ONELOGIN, OTHER.key),
    ],
)
def test_the_guide_is_chosen_by_what_was_sent_else_by_the_name(name: str, dialect: Dialect, key: str) -> None:
    assert likely_guide(name, dialect).key == key


def test_texts_are_escaped_and_marked() -> None:
    assert as_html("*A & B* `<x>`") == "<b>A &amp; B</b> <code>&lt;x&gt;</code>"
