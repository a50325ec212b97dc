"""The brake as identity providers meet it: answered as ever, and read back as written, with lanes and without."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from bridge.domain.brake import HeldEffect
from bridge.domain.identifiers import MemberId
from bridge.store.directory import get_member
from bridge.store.models import HeldPerson, LoggedRequest, Member
from bridge.usecases.decide_holds import drop_hold, release_hold
from bridge.usecases.read_holds import HoldView, open_holds
from bridge.usecases.read_requests import read_request
from scim.edge import scim_blueprint
from tests.conftest import SettableClock
from tests.factories import Customer, set_brake
from tests.integration.test_memberships import put_in_force
from tests.protocol.scim_client import GROUP, USER, ScimClient, make_token

RULES = {"schema": 1, "default": "unassigned", "rules": [{"group": "Staff", "expected": True, "tier": "standard"}]}
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


@pytest.fixture
def customer(make_customer: Callable[..., Customer]) -> Customer:
    """Nine people on Standard: with the owner 10 are active, and 5 may go."""
    customer = make_customer(premium=1, standard=20)
    put_in_force(customer, RULES)
    return customer


@pytest.fixture(params=[True, False], ids=["lanes", "no-lanes"])
def client(customer: Customer, request: pytest.FixtureRequest) -> ScimClient:
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(customer.runtime, with_lanes=request.param))
    client = ScimClient(app, customer.slug, make_token(customer))
    client.get("/Users?count=0")
    return client


@pytest.fixture
def people(client: ScimClient) -> list[str]:
    return [client.create_user(f"p{index}@nordlys.test", externalId=f"00u{index}") for index in range(9)]


@pytest.fixture
def staff(client: ScimClient, people: list[str]) -> str:
    return client.create_group("Staff", *people)


def entra_disables(client: ScimClient, person: str) -> Any:
    return client.patch(f"/Users/{person}", {"op": "Replace", "path": "active", "value": "False"})


def okta_disables(client: ScimClient, person: str) -> Any:
    document = client.get(f"/Users/{person}").get_json()
    kept = {name: document[name] for name in ("userName", "externalId") if name in document}
    return client.put(f"/Users/{person}", {"schemas": [USER], **kept, "active": False})


def okta_catalogue_disables(client: ScimClient, person: str) -> Any:
    return client.patch(f"/Users/{person}", {"op": "replace", "value": {"active": False}})


def effects(customer: Customer) -> dict[str, HeldEffect]:
    with customer.unit() as unit:
        rows = unit.session.execute(select(HeldPerson.member_id, HeldPerson.effect).where(HeldPerson.outcome.is_(None)))
        return {str(member_id): HeldEffect(effect) for member_id, effect in rows}


def seated(customer: Customer) -> set[str]:
    with customer.unit() as unit:
        held = select(Member.id).where(Member.tier.is_not(None), Member.active)
        return {str(member_id) for member_id in unit.session.scalars(held)}


def the_hold(customer: Customer) -> HoldView:
    with customer.unit() as unit:
        return open_holds(unit)[0]


@pytest.mark.parametrize("disable", [entra_disables, okta_disables, okta_catalogue_disables])
def test_deactivations_are_answered_as_ever_and_held_beyond_the_fifth(
    customer: Customer, client: ScimClient, people: list[str], staff: str, disable: Callable[[ScimClient, str], Any]
) -> None:
    for person in people[:7]:
        answer = disable(client, person)
        assert answer.status_code == 200
        assert answer.get_json()["active"] is False

    assert effects(customer) == {people[5]: HeldEffect.TURN_OFF, people[6]: HeldEffect.TURN_OFF}
    assert seated(customer) == set(people[5:])
    listed = client.get("/Users").get_json()["Resources"]
    assert [one["active"] for one in listed if one["id"] in people] == [False] * 7 + [True] * 2
    off = client.get("/Users?filter=active eq false").get_json()["Resources"]
    assert {one["id"] for one in off} == set(people[:7])


def test_a_repeated_deactivation_changes_nothing_and_stays_held(
    customer: Customer, client: ScimClient, people: list[str], staff: str, clock: SettableClock
) -> None:
    for person in people[:6]:
        entra_disables(client, person)
    before = client.get(f"/Users/{people[5]}").get_json()
    clock.at += timedelta(hours=1)

    entra_disables(client, people[5])
    okta_disables(client, people[5])

    after = client.get(f"/Users/{people[5]}").get_json()
    assert (after["active"], after["meta"]["created"]) == (False, before["meta"]["created"])
    assert effects(customer) == {people[5]: HeldEffect.TURN_OFF}


def test_a_put_that_leaves_active_out_neither_turns_on_nor_off_who_is_held(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    for person in people[:6]:
        entra_disables(client, person)

    answer = client.put(f"/Users/{people[5]}", {"schemas": [USER], "userName": "p5@nordlys.test", "title": "Clerk"})

    assert answer.get_json()["active"] is False
    assert answer.get_json()["title"] == "Clerk"
    assert effects(customer) == {people[5]: HeldEffect.TURN_OFF}


def test_deletions_are_gone_on_the_wire_and_a_new_push_is_the_same_person(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    assert [client.delete(f"/Users/{person}").status_code for person in people[:7]] == [204] * 7

    assert client.get(f"/Users/{people[6]}").status_code == 404
    assert client.delete(f"/Users/{people[6]}").status_code == 404
    assert client.members(staff) == set(people[7:])
    assert client.get('/Users?filter=userName eq "p6@nordlys.test"').get_json()["totalResults"] == 0
    assert seated(customer) == set(people[5:])
    again = client.post("/Users", {"schemas": [USER], "userName": "p6@nordlys.test", "externalId": "00u6"})
    assert (again.status_code, again.get_json()["id"]) == (201, people[6])
    assert effects(customer) == {people[5]: HeldEffect.REMOVE}


@pytest.mark.parametrize(
    "body",
    [
        {"Operations": [{"op": "remove", "path": "members"}]},
        {"Operations": [{"op": "replace", "path": "members", "value": []}]},
        {"schemas": [GROUP], "displayName": "Staff", "members": []},
    ],
    ids=["remove-all", "replace-by-none", "put-empty"],
)
def test_a_mapped_group_that_loses_everybody_is_held_whole(
    customer: Customer, client: ScimClient, people: list[str], staff: str, body: dict[str, Any]
) -> None:
    answer = client.send("PATCH" if "Operations" in body else "PUT", f"/Groups/{staff}", body)

    assert answer.status_code == 200
    assert client.members(staff) == set()
    assert effects(customer) == dict.fromkeys(people, HeldEffect.RESEAT)
    assert seated(customer) == set(people)


def test_a_deleted_mapped_group_is_held_whole(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    assert client.delete(f"/Groups/{staff}").status_code == 204

    assert client.get(f"/Groups/{staff}").status_code == 404
    assert effects(customer) == dict.fromkeys(people, HeldEffect.RESEAT)


def test_members_removed_one_by_one_are_held_beyond_the_fifth(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    for person in people[:7]:
        removal = {"op": "Remove", "path": "members", "value": [{"value": person}]}
        assert client.patch(f"/Groups/{staff}", removal).status_code == 200

    assert client.members(staff) == set(people[7:])
    assert effects(customer) == {people[5]: HeldEffect.RESEAT, people[6]: HeldEffect.RESEAT}
    assert seated(customer) == set(people[5:])


def test_a_nested_group_that_is_taken_out_is_held(customer: Customer, client: ScimClient, people: list[str]) -> None:
    team = client.create_group("Team", *people)
    staff = client.create_group("Staff", team)
    assert seated(customer) == set(people)

    client.patch(f"/Groups/{staff}", {"op": "remove", "path": f'members[value eq "{team}"]'})

    assert client.members(staff) == set()
    assert effects(customer) == dict.fromkeys(people, HeldEffect.RESEAT)


def test_the_steps_of_a_bulk_request_are_held_beyond_the_fifth(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    operations = [
        {
            "method": "PATCH",
            "path": f"/Users/{person}",
            "data": {"Operations": [{"op": "replace", "path": "active", "value": False}]},
        }
        for person in people
    ]

    answer = client.post("/Bulk", {"schemas": [BULK], "Operations": operations})

    assert [step["status"] for step in answer.get_json()["Operations"]] == ["200"] * 9
    assert effects(customer) == dict.fromkeys(people[5:], HeldEffect.TURN_OFF)


def test_the_provisioning_log_marks_what_is_held(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    for person in people[:6]:
        entra_disables(client, person)
    customer.runtime.closing.close()

    with customer.unit(customer.owner) as unit:
        marked = unit.session.scalars(select(LoggedRequest).where(LoggedRequest.mark == "held")).all()
        story = read_request(unit, str(marked[0].id))
    assert [entry.path for entry in marked] == [f"/Users/{people[5]}"]
    assert story.hold_id == the_hold(customer).id


def test_after_a_release_the_directory_reads_the_same_and_people_have_lost_access(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    for person in people:
        entra_disables(client, person)
    before = [client.get(f"/Users/{person}").get_json()["active"] for person in people]
    hold = the_hold(customer)

    with customer.unit(customer.owner) as unit:
        release_hold(unit, hold.id, revision=hold.revision, reason="They left")

    assert [client.get(f"/Users/{person}").get_json()["active"] for person in people] == before == [False] * 9
    assert seated(customer) == set()


def test_after_a_drop_the_directory_reads_the_same_and_turning_on_and_off_counts_again(
    customer: Customer, client: ScimClient, people: list[str], staff: str, clock: SettableClock
) -> None:
    for person in people[:6]:
        entra_disables(client, person)
    hold = the_hold(customer)
    with customer.unit(customer.owner) as unit:
        drop_hold(unit, hold.id, revision=hold.revision, reason="A mistake")
    clock.at += timedelta(minutes=11)

    assert client.get(f"/Users/{people[5]}").get_json()["active"] is False
    entra_disables(client, people[5])
    assert people[5] in seated(customer)
    client.patch(f"/Users/{people[5]}", {"op": "Replace", "path": "active", "value": "True"})
    entra_disables(client, people[5])

    assert people[5] not in seated(customer)
    with customer.unit() as unit:
        member = get_member(unit, MemberId(uuid.UUID(people[5])))
        assert (member.active, member.said_off) == (False, False)


def test_two_processes_cannot_pass_the_threshold_together(customer: Customer, people: list[str], staff: str) -> None:
    def serve(index: int) -> int:
        app = Flask(__name__)
        app.register_blueprint(scim_blueprint(customer.runtime))
        client = ScimClient(app, customer.slug, make_token(customer))
        return int(entra_disables(client, people[index]).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(serve, range(9))) == {200}

    assert len(seated(customer)) == 4
    assert len(effects(customer)) == 4


def test_a_loosened_brake_lets_everybody_go(
    customer: Customer, client: ScimClient, people: list[str], staff: str
) -> None:
    set_brake(customer, minimum=1000)

    client.delete(f"/Groups/{staff}")

    assert effects(customer) == {}
    assert seated(customer) == set()
