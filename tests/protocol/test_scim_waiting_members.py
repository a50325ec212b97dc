"""Values that wait among a group's members for somebody who is here already and is given that externalId later."""

from uuid import UUID

import pytest

from bridge.store.models import Member
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.preview_mappings import preview_mappings
from tests.factories import Customer
from tests.protocol.scim_client import GROUP, USER, ScimClient, make_app, make_token

RULES = {"schema": 1, "rules": [{"group": "Team", "expected": True, "tier": "premium"}], "default": "unassigned"}


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, RULES)
        apply_mappings(unit, preview.id, acknowledged=True)
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


def tier_of(customer: Customer, person: str) -> str | None:
    with customer.unit() as unit:
        return unit.session.get_one(Member, (customer.org_id, UUID(person))).tier


@pytest.mark.parametrize("way", ["put", "patch"])
def test_a_person_whose_external_id_is_waited_for_comes_into_the_group_and_gets_its_seat(
    customer: Customer, client: ScimClient, way: str
) -> None:
    person, team = client.create_user("ann@corp.test"), client.create_group("Team", "ext-1")

    if way == "put":
        client.put(f"/Users/{person}", {"schemas": [USER], "userName": "ann@corp.test", "externalId": "ext-1"})
    else:
        client.patch(f"/Users/{person}", {"op": "add", "path": "externalId", "value": "ext-1"})

    assert client.members(team) == {person}
    assert tier_of(customer, person) == "premium"


@pytest.mark.parametrize("way", ["put", "patch"])
def test_a_group_whose_external_id_is_waited_for_is_nested_and_its_people_get_the_seats(
    customer: Customer, client: ScimClient, way: str
) -> None:
    person, team = client.create_user("ann@corp.test"), client.create_group("Team", "ext-1")
    inner = client.create_group("Inner", person)

    if way == "put":
        client.put(f"/Groups/{inner}", {"schemas": [GROUP], "displayName": "Inner", "externalId": "ext-1"})
    else:
        client.patch(f"/Groups/{inner}", {"op": "add", "path": "externalId", "value": "ext-1"})

    assert client.members(team) == {inner}
    assert tier_of(customer, person) == "premium"


def test_a_group_cannot_take_the_external_id_that_a_group_inside_it_waits_for(client: ScimClient) -> None:
    inner = client.create_group("Inner", "ext-1")
    outer = client.create_group("Outer", inner)

    answer = client.patch(f"/Groups/{outer}", {"op": "add", "path": "externalId", "value": "ext-1"})

    assert answer.status_code == 400
    assert "externalId" not in client.get(f"/Groups/{outer}").get_json(force=True)
