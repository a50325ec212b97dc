"""A person's own token: /Me and discovery, nothing else, and no longer than the person's access (RFC 7644 §3.11)."""

import uuid

import pytest

from bridge.domain.identifiers import MemberId
from bridge.errors import InvalidInputError, TokenLimitError
from bridge.store.models import Member
from bridge.usecases.connections import issue_personal_token, live_tokens, personal_tokens
from bridge.usecases.manage_access import deactivate_member, reactivate_member
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_app, make_token


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    """The directory's own client."""
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


@pytest.fixture
def ann(client: ScimClient) -> str:
    """The id of a person."""
    return client.create_user("ann@corp.test", title="CEO")


@pytest.fixture
def me(client: ScimClient, customer: Customer, ann: str) -> ScimClient:
    """A client with the person's own token."""
    with customer.unit() as unit:
        token = issue_personal_token(unit, customer.connection_id, MemberId(uuid.UUID(ann)))
    return ScimClient(client.client.application, customer.slug, token.text)


def test_me_is_the_person_at_the_permanent_address(client: ScimClient, me: ScimClient, ann: str) -> None:
    answer = me.get("/Me")
    part = me.get("/Me?attributes=userName").get_json(force=True)

    address = client.get(f"/Users/{ann}").headers["Content-Location"]
    document = answer.get_json(force=True)
    assert (answer.status_code, document["id"], document["title"]) == (200, ann, "CEO")
    assert (answer.headers["Content-Location"], answer.headers["Location"]) == (address, address)
    assert document["meta"]["location"] == address
    assert part["userName"] == "ann@corp.test"
    assert "title" not in part
    assert me.get("/Me", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/ResourceTypes/User"])
def test_a_person_s_token_reads_what_is_offered(me: ScimClient, path: str) -> None:
    assert me.get(path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/Me"),
        ("PATCH", "/Me"),
        ("DELETE", "/Me"),
        ("POST", "/Me"),
        ("GET", "/Users"),
        ("GET", "/Users/{ann}"),
        ("GET", '/Users?filter=userName%20eq%20"ann@corp.test"'),
        ("GET", "/Groups"),
        ("GET", "/"),
        ("POST", "/.search"),
        ("POST", "/Users/.search"),
        ("POST", "/Users"),
        ("PATCH", "/Users/{ann}"),
        ("PUT", "/Users/{ann}"),
        ("DELETE", "/Users/{ann}"),
        ("POST", "/Groups"),
        ("POST", "/Bulk"),
    ],
)
def test_a_person_s_token_opens_nothing_else(me: ScimClient, ann: str, method: str, path: str) -> None:
    bodies = {
        "/Bulk": {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{"method": "DELETE", "path": f"/Users/{ann}"}],
        },
        "/.search": {},
        "/Users/.search": {},
    }
    patch = {"Operations": [{"op": "replace", "path": "title", "value": "Queen"}]}
    body = bodies.get(path, patch if method == "PATCH" else {"userName": "ann@corp.test"})

    answer = me.send(method, path.format(ann=ann), None if method in {"GET", "DELETE"} else body)

    assert answer.status_code == 403, answer.text
    assert me.get("/Me").get_json(force=True)["title"] == "CEO"


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", {"userName": "x"}), ("POST", {"userName": "x"})])
def test_a_client_s_token_is_nobody_s_me(client: ScimClient, method: str, body: object) -> None:
    answer = client.send(method, "/Me", body)

    assert answer.status_code == 404
    assert "provisioning client" in answer.get_json(force=True)["detail"]


def test_a_read_only_client_changes_nothing_at_me_either(customer: Customer, client: ScimClient) -> None:
    reader = ScimClient(client.client.application, customer.slug, make_token(customer, can_write=False))

    assert (reader.get("/Me").status_code, reader.put("/Me", {"userName": "x"}).status_code) == (404, 403)


def test_t18_turning_access_off_ends_the_token_for_good(me: ScimClient, customer: Customer, ann: str) -> None:
    with customer.unit() as unit:
        member = unit.session.get_one(Member, (customer.org_id, uuid.UUID(ann)))
        deactivate_member(unit, member, reason="admin")
    off = me.get("/Me").status_code
    with customer.unit() as unit:
        member = unit.session.get_one(Member, (customer.org_id, uuid.UUID(ann)))
        reactivate_member(unit, member, reason="admin")

    assert (off, me.get("/Me").status_code, me.get("/Schemas").status_code) == (401, 401, 401)


@pytest.mark.parametrize("times", [1, 2])
def test_t18_a_push_that_turns_access_off_ends_the_token_too(
    client: ScimClient, me: ScimClient, ann: str, times: int
) -> None:
    for number in range(times):  # the first request of a client takes the general way, the next one its lane
        client.patch(f"/Users/{ann}", {"op": "replace", "path": "title", "value": f"CEO {number}"})
    client.patch(f"/Users/{ann}", {"op": "replace", "path": "active", "value": False})
    off = me.get("/Me").status_code
    client.patch(f"/Users/{ann}", {"op": "replace", "path": "active", "value": True})

    assert (off, me.get("/Me").status_code) == (401, 401)


def test_t18_the_token_goes_with_the_person(client: ScimClient, me: ScimClient, customer: Customer, ann: str) -> None:
    client.delete(f"/Users/{ann}")

    with customer.unit() as unit:
        assert personal_tokens(unit) == []
    assert me.get("/Me").status_code == 401


def test_a_person_has_at_most_two_and_they_are_not_the_client_s(customer: Customer, me: ScimClient, ann: str) -> None:
    with customer.unit() as unit:
        issue_personal_token(unit, customer.connection_id, MemberId(uuid.UUID(ann)))
        with pytest.raises(TokenLimitError):
            issue_personal_token(unit, customer.connection_id, MemberId(uuid.UUID(ann)))

        assert len(personal_tokens(unit, MemberId(uuid.UUID(ann)))) == 2
        assert len(live_tokens(unit, customer.connection_id)) == 1


def test_nobody_whose_access_is_off_gets_one(client: ScimClient, customer: Customer, ann: str) -> None:
    client.patch(f"/Users/{ann}", {"op": "replace", "path": "active", "value": False})

    with customer.unit() as unit, pytest.raises(InvalidInputError, match="deactivated: turn their access on"):
        issue_personal_token(unit, customer.connection_id, MemberId(uuid.UUID(ann)))
