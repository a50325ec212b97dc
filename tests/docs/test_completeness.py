"""The reference is complete: every setting, event, alert and metric that the product has is on its page."""

import re
from pathlib import Path

from bridge.config import Settings
from bridge.config.sources import dotted, setting_paths, variable_name
from bridge.domain.webhooks import TEST, EventType
from bridge.usecases.alerts import SENTENCES

#: Scopes, events and fields whose names begin as a section's does.
NO_SETTINGS = {"scim.read", "scim.write", "session.ended", "session.id"}
DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_setting_is_explained_with_its_variable_and_no_other() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text()

    explained = re.findall(r"^\| `([\w.]+)`<br>`(\w+)` \|", page, flags=re.MULTILINE)

    assert explained == [(dotted(path), variable_name(path)) for path in setting_paths(Settings)]


def test_every_setting_that_a_page_names_exists() -> None:
    sections = {str(path[0]) for path in setting_paths(Settings)}
    known = {dotted(path) for path in setting_paths(Settings)}
    named = {
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"`((?:[a-z]+)\.[a-z_]+)`", page.read_text())
        if name.partition(".")[0] in sections
    }

    assert {name for name in named if name not in known} == NO_SETTINGS


def test_every_event_is_explained_and_no_other() -> None:
    page = (DOCS / "reference" / "webhooks.md").read_text()

    explained = re.findall(r"^\| `(\w+\.\w+)` \|", page, flags=re.MULTILINE)

    assert explained == [*EventType, TEST]


def test_every_alert_is_explained_in_its_own_words_and_no_other() -> None:
    page = (DOCS / "reference" / "alerts.md").read_text()

    explained = re.findall(r"^\| `(\w+)` \| (.+?)\. \| .+ \|$", page, flags=re.MULTILINE)

    assert explained == list(SENTENCES.items())
