"""Filters about ``schemas`` (RFC 7644 §3.4.2.2, figure 2): the very list that an answer shows."""

from urllib.parse import urlencode

import pytest

from tests.factories import Customer
from tests.protocol.extensions import ACME, CREW, EVERY_TYPE, OF_GROUPS, declare
from tests.protocol.scim_client import ENTERPRISE, GROUP, SEAT, USER, ScimClient, make_app, make_token


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    declare(customer, EVERY_TYPE, OF_GROUPS)
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    client.create_user("plain")
    client.create_user("clerk", **{ENTERPRISE: {"department": "Sales"}})
    client.create_user("both", **{ENTERPRISE: {"department": "Sales"}, ACME: {"badge": "B1"}})
    return client


def found(client: ScimClient, endpoint: str, scim_filter: str) -> list[str]:
    """Return the names of what a filter finds."""
    answer = client.get(f"/{endpoint}?{urlencode({'filter': scim_filter})}")
    assert answer.status_code == 200, answer.text
    return [each.get("userName", each.get("displayName")) for each in answer.get_json(force=True)["Resources"]]


ALL = ["plain", "clerk", "both"]


@pytest.mark.parametrize(
    ("scim_filter", "names"),
    [
        (f'schemas eq "{ENTERPRISE}"', ["clerk", "both"]),
        (f'schemas eq "{ACME}"', ["both"]),
        (f'schemas eq "{USER}"', ALL),
        (f'schemas eq "{SEAT}"', []),
        (f'schemas eq "{GROUP}"', []),
        (f'schemas ne "{ENTERPRISE}"', ["plain"]),
        (f'not (schemas eq "{ACME}")', ["plain", "clerk"]),
        ('schemas co "enterprise"', ["clerk", "both"]),
        ('schemas co "department"', []),
        ('schemas sw "urn:ietf:params:scim:schemas:core"', ALL),
        ('schemas ew "acme:2.0:User"', ["both"]),
        ("schemas pr", ALL),
        ("schemas eq null", []),
        (f'schemas[value eq "{ACME}"]', ["both"]),
        (f'{USER}:schemas eq "{ENTERPRISE}" and userName sw "b"', ["both"]),
    ],
)
def test_people_are_found_by_the_schemas_they_have(client: ScimClient, scim_filter: str, names: list[str]) -> None:
    assert found(client, "Users", scim_filter) == names


def test_who_sees_seats_finds_everybody_by_the_schema_of_seats(customer: Customer, client: ScimClient) -> None:
    reader = ScimClient(make_app(customer), customer.slug, make_token(customer, can_write=False))

    assert found(reader, "Users", f'schemas eq "{SEAT}"') == ALL
    assert found(reader, "Users", f'schemas ne "{SEAT}"') == []


def test_groups_are_found_by_the_schemas_they_have(client: ScimClient) -> None:
    client.create_group("Plain")
    client.create_group("Crew", **{CREW: {"costCode": "c1"}})

    assert found(client, "Groups", f'schemas eq "{CREW}"') == ["Crew"]
    assert found(client, "Groups", f'schemas eq "{GROUP}"') == ["Plain", "Crew"]


def test_a_search_of_everything_looks_at_the_schemas_of_each_kind(client: ScimClient) -> None:
    client.create_group("Plain")

    everything = client.get("/?" + urlencode({"filter": f'schemas eq "{GROUP}"'})).get_json(force=True)

    assert [each["displayName"] for each in everything["Resources"]] == ["Plain"]


def test_a_certificate_is_found_by_its_value(client: ScimClient) -> None:
    client.create_user("signed", x509Certificates=[{"value": "MIIB"}])

    assert found(client, "Users", 'x509Certificates.value eq "MIIB"') == ["signed"]
    assert found(client, "Users", 'x509Certificates[value eq "MIIC"]') == []


@pytest.mark.parametrize("name", ["meta.version", "meta.location"])
def test_what_is_computed_for_an_answer_is_refused_by_its_name(client: ScimClient, name: str) -> None:
    refused = client.get("/Users?" + urlencode({"filter": f'{name} eq "x"'})).get_json(force=True)

    assert (refused["scimType"], refused["detail"]) == ("invalidFilter", f"{name} cannot be filtered")
