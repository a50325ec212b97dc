"""Bulk over HTTP (RFC 7644 §3.7): references in any order and any place, failures that stay alone, alerts."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from bridge.store.models import Alert, Member
from tests.factories import Customer
from tests.protocol.extensions import ACME, EVERY_TYPE, declare
from tests.protocol.scim_client import ENTERPRISE, GROUP, USER, ScimClient, make_app, make_token

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    declare(customer, EVERY_TYPE)
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


def run(client: ScimClient, *operations: dict[str, Any], **facts: Any) -> list[dict[str, Any]]:
    """Send a Bulk request and return the outcomes."""
    answer = client.post("/Bulk", {"schemas": [BULK], "Operations": list(operations), **facts})
    assert answer.status_code == 200, answer.text
    return list(answer.get_json(force=True)["Operations"])


def person(name: str, **attributes: Any) -> dict[str, Any]:
    data = {"schemas": [USER], "userName": name, **attributes}
    return {"method": "POST", "path": "/Users", "bulkId": name, "data": data}


def group(name: str, *members: str) -> dict[str, Any]:
    listed = [{"value": member} for member in members]
    return {"method": "POST", "path": "/Groups", "bulkId": name, "data": {"displayName": name, "members": listed}}


def identifier(outcome: dict[str, Any]) -> str:
    return str(outcome["location"]).rpartition("/")[2]


def test_a_group_may_come_before_its_members(client: ScimClient) -> None:
    crew, ann, bob = run(client, group("crew", "bulkId:ann", "bulkId:bob"), person("ann"), person("bob"))

    assert [each["status"] for each in (crew, ann, bob)] == ["201", "201", "201"]
    assert client.members(identifier(crew)) == {identifier(ann), identifier(bob)}


def test_references_are_resolved_in_managers_paths_patches_and_own_attributes(client: ScimClient) -> None:
    titled = {"Operations": [{"op": "add", "path": "title", "value": "Dr"}]}
    joined = {"Operations": [{"op": "add", "path": "members", "value": [{"value": "bulkId:ann"}]}]}
    replaced = {"schemas": [USER], "userName": "boss", "title": "CEO"}
    operations = [
        {"method": "PATCH", "path": "/Users/bulkId:ann", "data": titled},
        {"method": "PATCH", "path": "/Groups/bulkId:crew", "data": joined},
        person("ann", **{ENTERPRISE: {"manager": {"value": "bulkId:boss"}}, ACME: {"badge": "bulkId:boss"}}),
        {"method": "PUT", "path": "/Users/bulkId:boss", "data": replaced},
        person("boss"),
        group("crew"),
    ]

    outcomes = run(client, *operations)

    assert [each["status"] for each in outcomes] == ["200", "200", "201", "200", "201", "201"]
    ann, boss, crew = (identifier(outcomes[number]) for number in (2, 4, 5))
    shown = client.get(f"/Users/{ann}").get_json(force=True)
    assert (shown["title"], shown[ENTERPRISE]["manager"]["value"], shown[ACME]["badge"]) == ("Dr", boss, boss)
    assert client.members(crew) == {ann}
    assert client.get(f"/Users/{boss}").get_json(force=True)["title"] == "CEO"


def test_a_circle_is_refused_and_what_is_outside_it_is_done(client: ScimClient) -> None:
    ann, bob, cleo = run(
        client,
        person("ann", **{ENTERPRISE: {"manager": {"value": "bulkId:bob"}}}),
        person("bob", **{ENTERPRISE: {"manager": {"value": "bulkId:ann"}}}),
        person("cleo"),
    )

    assert (ann["status"], bob["status"], cleo["status"]) == ("409", "409", "201")


def test_each_operation_fails_alone_and_so_does_what_refers_to_it(client: ScimClient) -> None:
    outcomes = run(
        client,
        person("ann", title="first"),
        person("ANN") | {"bulkId": "again"},
        group("crew", "bulkId:again"),
        {"method": "DELETE", "path": "/Users/00000000-0000-4000-8000-000000000000"},
        person("bob"),
    )

    assert [each["status"] for each in outcomes] == ["201", "409", "409", "404", "201"]
    assert client.get("/Users").get_json(force=True)["totalResults"] == 2
    assert client.get("/Groups").get_json(force=True)["totalResults"] == 0


def test_the_rest_is_left_undone_after_as_many_failures_as_accepted(client: ScimClient) -> None:
    outcomes = run(client, person("ann"), person("ANN") | {"bulkId": "x"}, person("bob"), failOnErrors=1)

    assert [each["status"] for each in outcomes] == ["201", "409"]
    assert client.get("/Users").get_json(force=True)["totalResults"] == 1


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("PATCH", {"Operations": [{"op": "replace", "path": "members", "value": None}]}),
        ("PUT", {"schemas": [GROUP], "displayName": "crew", "members": None}),
    ],
)
def test_a_shape_nobody_knows_fails_alone_and_tells_the_owners(
    client: ScimClient, customer: Customer, method: str, data: dict[str, Any]
) -> None:
    group_id = client.create_group("crew", client.create_user("ann"))

    outcomes = run(client, {"method": method, "path": f"/Groups/{group_id}", "data": data}, person("bob"))

    assert [each["status"] for each in outcomes] == ["400", "201"]
    assert len(client.members(group_id)) == 1
    with customer.unit() as unit:
        assert unit.session.scalars(select(Alert.code).where(Alert.org_id == customer.org_id)).all() == [
            "unreadable_push"
        ]


def test_what_was_not_reached_tells_nobody(client: ScimClient, customer: Customer) -> None:
    odd = {"method": "POST", "path": "/Users", "bulkId": "b", "data": {"userName": "b", "active": "who knows"}}

    run(client, person("ann"), person("ANN") | {"bulkId": "x"}, odd, failOnErrors=1)

    with customer.unit() as unit:
        assert unit.session.scalars(select(Alert.code).where(Alert.org_id == customer.org_id)).all() == []


def test_the_announced_limits_are_the_enforced_ones(client: ScimClient) -> None:
    announced = client.get("/ServiceProviderConfig").get_json(force=True)
    bulk, page = announced["bulk"], announced["pagination"]
    too_many = [{"method": "DELETE", "path": f"/Users/{number}"} for number in range(bulk["maxOperations"] + 1)]
    padding = b" " * bulk["maxPayloadSize"]

    crowded = client.post("/Bulk", {"schemas": [BULK], "Operations": too_many})
    heavy = client.send("POST", "/Bulk", data=b"{}" + padding)
    listed = client.get(f"/Users?count={page['maxPageSize'] + 50}&startIndex=1").get_json(force=True)

    assert bulk["maxPayloadSize"] == 2 * 1024 * 1024
    assert (crowded.status_code, heavy.status_code) == (413, 413)
    assert page["maxPageSize"] == announced["filter"]["maxResults"]
    assert listed["itemsPerPage"] <= page["maxPageSize"]


def test_discovery_is_answered_304_to_whom_it_is_nothing_new(client: ScimClient) -> None:
    for path in ("/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{ACME}"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        other = client.get(path, headers={"If-None-Match": 'W/"other"'})

        assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
        assert first.get_json(force=True) == other.get_json(force=True)
        assert again.data == b""


def test_a_filter_on_discovery_is_forbidden(client: ScimClient) -> None:
    for path in ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas", f"/Schemas/{ACME}"):
        assert client.get(f'{path}?filter=id%20eq%20"x"').status_code == 403


@pytest.mark.parametrize(("path", "total"), [("/.search", 2), ("/Users/.search", 1), ("/Groups/.search", 1)])
def test_a_search_by_post_works_at_every_level(client: ScimClient, path: str, total: int) -> None:
    client.create_group("ann", client.create_user("ann", displayName="ann"))

    answer = client.post(path, {"filter": 'displayName eq "ANN"', "startIndex": 1, "count": 10})

    assert (answer.status_code, answer.get_json(force=True)["totalResults"]) == (200, total)


def test_removing_an_owner_is_answered_by_200_and_the_place_where_the_person_still_is(
    customer: Customer, client: ScimClient
) -> None:
    person, other = client.create_user("ann@corp.test"), client.create_user("bob@corp.test")
    with customer.unit() as unit:
        unit.session.get_one(Member, (customer.org_id, UUID(person))).role = "owner"

    kept, removed = run(client, *({"method": "DELETE", "path": f"/Users/{each}"} for each in (person, other)))

    assert (kept["status"], removed["status"]) == ("200", "204")
    assert kept["location"].endswith(f"/Users/{person}")
    assert client.get(f"/Users/{person}").status_code == 200
