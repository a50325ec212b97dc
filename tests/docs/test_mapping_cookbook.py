"""Every recipe of the cookbook does to the cookbook's company what its table says, as the preview tells."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.runtime import Runtime
from bridge.store.models import Member
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.mapping_documents import preview_document
from bridge.usecases.preview_mappings import preview_mappings
from tests.factories import Customer, create_customer
from tests.integration.test_rules_by_group import push_group
from tests.protocol.scim_client import ENTERPRISE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "mapping-cookbook.md").read_text()
ROW = re.compile(r"^\| (\w+) \| (.+?) \|(?: (.+?) \|)?$", flags=re.MULTILINE)
SOME = re.compile(r"^\| (\d+) of ([\w, ]+) \| Premium \|$", flags=re.MULTILINE)
TIERS = {"Premium": "premium", "Standard": "standard", "no seat": None}
SEATS = re.search(r"has (\d+) Premium and (\d+) Standard seats", PAGE)


def recipes() -> dict[str, tuple[Any, dict[str, str | None]]]:
    """Each recipe's document and what its table says, by its heading."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        (document,) = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        table = {person: TIERS[then] for person, then, _ in ROW.findall(text) if then in TIERS}
        found[heading] = (yaml.safe_load(document), table)
    return found


def cast() -> dict[str, tuple[list[str], dict[str, Any]]]:
    """The company's people: groups and attributes, as a directory pushes them."""
    people = {}
    for name, groups, told in ROW.findall(PAGE.partition("## ")[0]):
        if told and name != "person":
            pairs = [one.split(" ", 1) for one in told.split(", ")]
            facts: dict[str, Any] = {key: value for key, value in pairs if key in {"title", "userType"}}
            facts[ENTERPRISE] = {key: value for key, value in pairs if key in {"department", "costCenter"}}
            people[name] = (groups.split(", "), facts)
    return people


@pytest.fixture
def company(runtime: Runtime) -> Customer:
    """The cookbook's company, everybody with Standard."""
    assert SEATS is not None
    customer = create_customer(runtime, "nordlys", premium=int(SEATS[1]), standard=int(SEATS[2]))
    with customer.unit() as unit:
        first = preview_mappings(unit, {"schema": 2, "default": "standard", "rules": []})
    with customer.unit() as unit:
        apply_mappings(unit, first.id, acknowledged=True)
    members: dict[str, list[Member]] = {}
    for name, (groups, facts) in cast().items():
        member = customer.push(f"{name}@nordlys.example", displayName=name, **facts)
        for group in groups:
            members.setdefault(group, []).append(member)
    for group, people in members.items():
        push_group(customer, group, people)
    return customer


def test_the_page_has_a_dozen_recipes_and_a_cast() -> None:
    assert len(recipes()) >= 12
    assert all(table for heading, (_, table) in recipes().items() if not heading.startswith("When the better tier"))
    assert len(cast()) == 7


def test_every_recipe_does_what_its_table_says(company: Customer) -> None:
    told = {}
    for heading, (document, _) in recipes().items():
        with company.unit() as unit:
            shown = preview_document(preview_mappings(unit, document), buy=False)
        assert all(finding.holds for finding in shown["assertions"]), heading
        told[heading] = {move["name"]: move["to"] for move in shown["moves"]}

    some = told.pop("When the better tier is full, take the next one")
    ((number, people),) = SOME.findall(PAGE)
    assert told == {heading: table for heading, (_, table) in recipes().items() if heading in told}
    assert (set(some.values()), len(some)) == ({"premium"}, int(number))
    assert some.keys() <= set(people.split(", "))
