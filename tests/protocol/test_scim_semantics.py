"""What a push means where the standard leaves a choice, as docs/reference/scim-protocol.md says."""

from uuid import UUID

import pytest
from sqlalchemy import select

from bridge.store.models import Alert, Member, ParkedMember
from bridge.usecases.people_by_hand import turn_off_member
from tests.factories import Customer
from tests.protocol.scim_client import GROUP, USER, ScimClient, make_app, make_token


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


def alerts_of(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(Alert.code)))


@pytest.mark.parametrize("way", ["put", "patch"])
def test_a_membership_of_unknown_people_only_is_applied_and_told_to_the_owners(
    customer: Customer, client: ScimClient, way: str
) -> None:
    person = client.create_user("ann@corp.test")
    group = client.create_group("G", person)
    strangers = [{"value": "ext-bob"}, {"value": "00000000-0000-4000-8000-00000000ffff"}]

    if way == "put":
        client.put(f"/Groups/{group}", {"schemas": [GROUP], "displayName": "G", "members": strangers})
    else:
        client.patch(f"/Groups/{group}", {"op": "replace", "path": "members", "value": strangers})

    assert client.members(group) == set()
    assert alerts_of(customer) == ["members_unknown"]
    with customer.unit() as unit:
        assert len(unit.session.scalars(select(ParkedMember)).all()) == 2
    bob = client.create_user("bob@corp.test", externalId="ext-bob")
    assert client.members(group) == {bob}


def test_owners_are_not_bothered_about_a_membership_in_which_somebody_is_known(
    customer: Customer, client: ScimClient
) -> None:
    ann, bob = client.create_user("ann@corp.test"), client.create_user("bob@corp.test")
    group, empty = client.create_group("G", ann, bob), client.create_group("E")

    client.patch(f"/Groups/{group}", {"op": "replace", "path": "members", "value": [{"value": ann}, {"value": "x"}]})
    client.patch(f"/Groups/{group}", {"op": "replace", "path": "members", "value": []})
    client.patch(f"/Groups/{empty}", {"op": "replace", "path": "members", "value": [{"value": "y"}]})

    assert alerts_of(customer) == []


@pytest.mark.parametrize(("sent", "active"), [({"active": True}, True), ({"title": "T"}, False), ({}, False)])
def test_whom_somebody_here_turned_off_comes_back_when_the_directory_says_active_and_not_by_omission(
    customer: Customer, client: ScimClient, *, sent: dict[str, object], active: bool
) -> None:
    person = client.create_user("ann@corp.test")
    with customer.unit(customer.owner) as unit:
        turn_off_member(unit, unit.session.get_one(Member, (customer.org_id, UUID(person))).id)

    answer = client.put(f"/Users/{person}", {"schemas": [USER], "userName": "ann@corp.test", **sent})

    assert answer.get_json(force=True)["active"] is active


def test_case_r6_a_person_deleted_and_pushed_again_is_somebody_new(customer: Customer, client: ScimClient) -> None:
    old = client.create_user("ann@corp.test", externalId="a1", roles=[{"value": "admin"}], title="Head")
    group = client.create_group("G", old)
    with customer.unit() as unit:
        unit.session.get_one(Member, (customer.org_id, UUID(old))).role = "admin"
    client.delete(f"/Users/{old}")

    new = client.create_user("ann@corp.test", externalId="a1")

    shown = client.get(f"/Users/{new}").get_json(force=True)
    assert new != old
    assert {"roles", "title", "groups"} & set(shown) == set()
    assert client.members(group) == set()
    assert client.get(f"/Users/{old}").status_code == 404
    with customer.unit() as unit:
        assert unit.session.get_one(Member, (customer.org_id, UUID(new))).role == "member"
