"""The provisioning mode as directories meet it: their writes refused or taken, with lanes and without (rule A9)."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from bridge.domain.request_log import Mark
from bridge.store.models import Alert, LoggedRequest
from scim.edge import scim_blueprint
from scim.resend import replay_request
from tests.factories import Customer, switch_mode_to
from tests.protocol.scim_client import GROUP, USER, ScimClient, make_token

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


@pytest.fixture(params=[True, False], ids=["lanes", "no-lanes"])
def client(customer: Customer, request: pytest.FixtureRequest) -> ScimClient:
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(customer.runtime, with_lanes=request.param))
    return ScimClient(app, customer.slug, make_token(customer))


@pytest.fixture
def ada(client: ScimClient) -> str:
    """A person who was pushed, by a process that has learned the rules of its caller."""
    person = client.create_user("ada@nordlys.test", externalId="00u1", displayName="Ada")
    client.patch(f"/Users/{person}", {"op": "replace", "path": "title", "value": "Engineer"})
    return person


@pytest.fixture
def staff(client: ScimClient, ada: str) -> str:
    return client.create_group("Staff", ada)


def writes(client: ScimClient, person: str, group: str) -> dict[str, Any]:
    """Send one write of every kind, those that change nothing included; return the answers."""
    same = {"op": "replace", "path": "displayName", "value": "Ada"}
    inside = {"op": "add", "path": "members", "value": [{"value": person}]}
    operation = {"method": "DELETE", "path": f"/Users/{person}"}
    return {
        "create": client.post("/Users", {"schemas": [USER], "userName": "eva@nordlys.test"}),
        "replace": client.put(f"/Users/{person}", {"schemas": [USER], "userName": "ada@nordlys.test", "active": False}),
        "same again": client.patch(f"/Users/{person}", same),
        "on already": client.patch(f"/Users/{person}", {"op": "replace", "path": "active", "value": True}),
        "off": client.patch(f"/Users/{person}", {"op": "replace", "path": "active", "value": False}),
        "change": client.patch(f"/Users/{person}", {"op": "replace", "path": "displayName", "value": "Countess"}),
        "delete": client.delete(f"/Users/{person}"),
        "new group": client.post("/Groups", {"schemas": [GROUP], "displayName": "Sales"}),
        "inside already": client.patch(f"/Groups/{group}", inside),
        "out of the group": client.patch(f"/Groups/{group}", {"op": "remove", "path": f'members[value eq "{person}"]'}),
        "delete the group": client.delete(f"/Groups/{group}"),
        "bulk": client.post("/Bulk", {"schemas": [BULK], "Operations": [operation]}),
        "unreadable": client.patch(f"/Users/{person}", {"op": "replace", "path": "active", "value": {"a": 1}}),
    }


def facts_of(customer: Customer) -> tuple[int, list[Alert]]:
    with customer.unit() as unit:
        return unit.state().audit_seq, list(unit.session.scalars(select(Alert)))


@pytest.mark.parametrize("mode", ["manual", "jit"])
def test_a9_every_write_of_a_directory_is_refused_and_changes_nothing_where_the_mode_takes_no_pushes(
    customer: Customer, client: ScimClient, ada: str, staff: str, mode: str
) -> None:
    switch_mode_to(customer, mode)
    before = facts_of(customer)[0], client.get(f"/Users/{ada}").text, client.get(f"/Groups/{staff}").text

    client.post("/Users/.search", {"schemas": [SEARCH], "count": 0})
    answers = writes(client, ada, staff)

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 403)
    error = answers["change"].get_json(force=True)
    assert error["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert f"mode of this organization is '{mode}'" in error["detail"]
    assert "seatbridge provisioning set" in error["detail"]
    assert before == (facts_of(customer)[0], client.get(f"/Users/{ada}").text, client.get(f"/Groups/{staff}").text)
    assert facts_of(customer)[1] == []


def test_a9_reading_searching_and_discovery_go_on_in_every_mode(
    customer: Customer, client: ScimClient, ada: str, staff: str
) -> None:
    paths = (
        f"/Users/{ada}",
        '/Users?filter=userName eq "ada@nordlys.test"',
        "/Users",
        f"/Groups/{staff}",
        '/Groups?filter=displayName eq "Staff"',
        "/Schemas",
        "/ServiceProviderConfig",
    )
    before = [client.get(path).get_json(force=True) for path in paths]

    switch_mode_to(customer, "manual")

    assert [client.get(path).get_json(force=True) for path in paths] == before
    searched = client.post("/Users/.search", {"schemas": [SEARCH], "filter": 'externalId eq "00u1"'})
    assert searched.get_json(force=True)["totalResults"] == 1


def test_a9_whoever_was_pushed_is_found_again_under_the_same_id_when_pushes_are_taken_again(
    customer: Customer, client: ScimClient, ada: str
) -> None:
    switch_mode_to(customer, "manual")
    assert client.delete(f"/Users/{ada}").status_code == 403
    switch_mode_to(customer, "scim")

    again = client.post("/Users", {"schemas": [USER], "userName": "ada@nordlys.test", "externalId": "00u1"})
    found = client.get('/Users?filter=userName eq "ada@nordlys.test"').get_json(force=True)["Resources"]
    changed = client.patch(f"/Users/{ada}", {"op": "replace", "path": "displayName", "value": "Countess"})

    assert again.status_code == 409
    assert [one["id"] for one in found] == [ada]
    assert (changed.status_code, changed.get_json(force=True)["displayName"]) == (200, "Countess")


def test_a9_the_log_marks_what_the_mode_refused_and_a_replay_is_refused_the_same_way(
    customer: Customer, client: ScimClient, ada: str
) -> None:
    switch_mode_to(customer, "jit")
    refused = client.delete(f"/Users/{ada}")
    customer.runtime.closing.close()  # writes what waits

    replayed = replay_request(customer.runtime, customer.org_id, refused.headers["X-Request-Id"])

    with customer.unit() as unit:
        entry = unit.session.scalars(select(LoggedRequest).where(LoggedRequest.method == "DELETE")).one()
    assert (entry.status, entry.mark) == (403, Mark.PUSHES_REFUSED)
    assert replayed.status == 403
