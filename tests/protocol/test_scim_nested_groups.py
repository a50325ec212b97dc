"""Groups as members of groups on the wire: every form of a membership, what answers show, what filters find."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from bridge.store.models import GroupNesting, Member, ParkedMember
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.preview_mappings import preview_mappings
from tests.factories import Customer
from tests.protocol.scim_client import GROUP, ScimClient, make_app, make_token
from tests.protocol.scim_live import live_server
from tests.protocol.test_scim_races import HttpClient, at_once

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


def show(client: ScimClient, path: str) -> dict[str, Any]:
    response = client.get(path)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.get_json(force=True)
    return shown


def found(client: ScimClient, endpoint: str, condition: str) -> set[str]:
    listed = show(client, f"/{endpoint}?filter={quote(condition)}")
    assert listed["totalResults"] == len(listed.get("Resources", []))
    return {each["id"] for each in listed.get("Resources", [])}


def groups_of(client: ScimClient, person: str) -> dict[str, str]:
    """Return the groups that a person shows, with their type."""
    return {each["display"]: each["type"] for each in show(client, f"/Users/{person}").get("groups", [])}


# Every form of a membership.


def posted(client: ScimClient, inner: str) -> str:
    return client.create_group("Outer", inner)


def put(client: ScimClient, inner: str) -> str:
    outer = client.create_group("Outer")
    client.put(f"/Groups/{outer}", {"schemas": [GROUP], "displayName": "Outer", "members": [{"value": inner}]})
    return outer


def patched(*, op: str, path: str | None, shape: Callable[[str], Any]) -> Callable[[ScimClient, str], str]:
    def push(client: ScimClient, inner: str) -> str:
        outer = client.create_group("Outer")
        operation = {"op": op, "value": shape(inner)} | ({"path": path} if path else {})
        response = client.patch(f"/Groups/{outer}", operation)
        assert response.status_code == 200, response.text
        return outer

    return push


def bulk_patched(client: ScimClient, inner: str) -> str:
    outer = client.create_group("Outer")
    operation = {"op": "add", "path": "members", "value": [{"value": inner, "type": "Group"}]}
    step = {"method": "PATCH", "path": f"/Groups/{outer}", "data": {"Operations": [operation]}}
    client.post("/Bulk", {"schemas": [BULK], "Operations": [step]})
    return outer


def bulk_posted(client: ScimClient, inner: str) -> str:
    data = {"schemas": [GROUP], "displayName": "Outer", "members": [{"value": inner}]}
    step = {"method": "POST", "path": "/Groups", "bulkId": "o", "data": data}
    answer = client.post("/Bulk", {"schemas": [BULK], "Operations": [step]}).get_json(force=True)
    return str(answer["Operations"][0]["location"].rpartition("/")[2])


FORMS = {
    "POST": posted,
    "PUT": put,
    "add a list": patched(op="add", path="members", shape=lambda inner: [{"value": inner, "type": "Group"}]),
    "add one": patched(op="Add", path="members", shape=lambda inner: {"value": inner}),
    "add a bare text": patched(op="add", path="members", shape=lambda inner: [inner]),
    "replace": patched(op="replace", path="members", shape=lambda inner: [{"value": inner}]),
    "add without a path": patched(op="add", path=None, shape=lambda inner: {"members": [{"value": inner}]}),
    "replace without a path": patched(op="replace", path=None, shape=lambda inner: {"members": [{"value": inner}]}),
    "with the wrong type": patched(op="add", path="members", shape=lambda inner: [{"value": inner, "type": "User"}]),
    "with a $ref": patched(
        op="add", path="members", shape=lambda inner: [{"value": inner, "$ref": f"https://x.test/Groups/{inner}"}]
    ),
    "Bulk PATCH": bulk_patched,
    "Bulk POST": bulk_posted,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_group_becomes_a_member_by_every_form(client: ScimClient, form: str) -> None:
    person = client.create_user("a@corp.test")
    inner = client.create_group("Inner", person)

    outer = FORMS[form](client, inner)

    root = show(client, f"/Groups/{outer}")["meta"]["location"].removesuffix(f"/Groups/{outer}")
    assert show(client, f"/Groups/{outer}")["members"] == [
        {"value": inner, "$ref": f"{root}/Groups/{inner}", "type": "Group"}
    ]
    assert groups_of(client, person) == {"Inner": "direct", "Outer": "indirect"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": 'members[value eq "{inner}"]'},
        {"op": "Remove", "path": "members", "value": [{"value": "{inner}"}]},
        {"op": "remove", "path": 'members[type eq "Group"]'},
        {"op": "remove", "path": 'members[display eq "inner"]'},
        {"op": "remove", "path": 'members[value eq "{inner}" and type eq "Group"]'},
        {"op": "replace", "path": "members", "value": [{"value": "{person}"}]},
        {"op": "replace", "value": {"members": [{"value": "{person}"}]}},
    ],
    ids=str,
)
def test_a_group_leaves_by_every_form_and_people_stay(client: ScimClient, operation: dict[str, Any]) -> None:
    person, inside = client.create_user("a@corp.test"), client.create_user("b@corp.test")
    inner = client.create_group("Inner", inside)
    outer = client.create_group("Outer", person, inner)

    response = client.patch(f"/Groups/{outer}", filled(operation, inner=inner, person=person))

    assert response.status_code == 200, response.text
    assert client.members(outer) == {person}
    assert groups_of(client, inside) == {"Inner": "direct"}


def filled(operation: Any, **ids: str) -> Any:
    """Put ids where they are named."""
    if isinstance(operation, dict):
        return {name: filled(value, **ids) for name, value in operation.items()}
    if isinstance(operation, list):
        return [filled(value, **ids) for value in operation]
    for name, value in ids.items():
        operation = operation.replace(f"{{{name}}}", value)
    return operation


def test_removing_all_members_takes_people_and_groups_out(client: ScimClient) -> None:
    outer = client.create_group("Outer", client.create_user("a@corp.test"), client.create_group("Inner"))

    client.patch(f"/Groups/{outer}", {"op": "remove", "path": "members"})

    assert client.members(outer) == set()


def test_a_filter_that_asks_for_people_takes_no_group_out(client: ScimClient) -> None:
    inner = client.create_group("Inner")
    outer = client.create_group("Outer", client.create_user("a@corp.test"), inner)

    client.patch(f"/Groups/{outer}", {"op": "remove", "path": 'members[type eq "User"]'})

    assert client.members(outer) == {inner}


def test_members_are_people_and_then_groups_these_in_the_order_of_their_arrival(client: ScimClient) -> None:
    first, person = client.create_group("Z"), client.create_user("a@corp.test")
    second, other = client.create_group("A"), client.create_user("b@corp.test")

    outer = client.create_group("Outer", second, other, first, person)

    listed = show(client, f"/Groups/{outer}")["members"]
    assert {each["value"] for each in listed[:2]} == {person, other}
    assert [each["value"] for each in listed[2:]] == [first, second]
    assert [each["type"] for each in listed] == ["User", "User", "Group", "Group"]


def test_an_excluded_or_chosen_attribute_counts_for_nested_groups_too(client: ScimClient) -> None:
    inner = client.create_group("Inner")
    outer = client.create_group("Outer", inner)

    without = show(client, f"/Groups/{outer}?excludedAttributes=members")
    chosen = show(client, f"/Groups/{outer}?attributes=members.display,members.value")

    assert "members" not in without
    assert chosen["members"] == [{"value": inner, "display": "Inner"}]


def test_the_version_of_a_person_moves_with_an_inherited_group_and_is_the_same_by_every_way(
    client: ScimClient,
) -> None:
    person = client.create_user("a@corp.test")
    inner, outer = client.create_group("Inner", person), client.create_group("Outer")
    before = show(client, f"/Users/{person}")["meta"]["version"]

    client.patch(f"/Groups/{outer}", {"op": "add", "path": "members", "value": [{"value": inner}]})

    nested = show(client, f"/Users/{person}")
    part = show(client, f"/Users/{person}?attributes=meta")
    condition = quote('userName eq "a@corp.test"')
    looked_up = show(client, f"/Users?filter={condition}")["Resources"][0]
    assert nested["meta"]["version"] != before
    assert part["meta"]["version"] == looked_up["meta"]["version"] == nested["meta"]["version"]
    assert looked_up["groups"] == nested["groups"]
    assert client.get(f"/Users/{person}", headers={"If-None-Match": before}).status_code == 200
    assert client.get(f"/Users/{person}", headers={"If-None-Match": nested["meta"]["version"]}).status_code == 304


def test_only_the_outer_groups_version_moves_and_a_redundant_add_moves_nothing(client: ScimClient) -> None:
    inner, outer = client.create_group("Inner"), client.create_group("Outer")
    add = {"op": "add", "path": "members", "value": [{"value": inner, "display": "anything"}]}
    versions = [[show(client, f"/Groups/{each}")["meta"]["version"] for each in (inner, outer)]]

    for _ in range(2):
        client.patch(f"/Groups/{outer}", add)
        versions.append([show(client, f"/Groups/{each}")["meta"]["version"] for each in (inner, outer)])

    assert versions[1][0] == versions[0][0]
    assert versions[1][1] != versions[0][1]
    assert versions[2] == versions[1]


def test_deleting_an_inner_group_takes_it_out_of_the_outer_one_and_moves_its_version(client: ScimClient) -> None:
    person = client.create_user("a@corp.test")
    inner = client.create_group("Inner", person)
    outer = client.create_group("Outer", inner)
    before = show(client, f"/Groups/{outer}")["meta"]["version"]

    client.delete(f"/Groups/{inner}")

    after = show(client, f"/Groups/{outer}")
    assert "members" not in after
    assert after["meta"]["version"] != before
    assert groups_of(client, person) == {}


# Filters.


def test_filters_find_by_inherited_groups_and_by_nested_members(client: ScimClient) -> None:
    inside, both, beside = (client.create_user(f"{name}@corp.test") for name in "abc")
    inner = client.create_group("Inner", inside, both)
    outer = client.create_group("Outer", inner, both)
    other = client.create_group("Other", beside)

    assert found(client, "Users", f'groups.value eq "{outer}"') == {inside, both}
    assert found(client, "Users", f'groups[value eq "{outer}" and type eq "indirect"]') == {inside}
    assert found(client, "Users", f'groups[value eq "{outer}" and type eq "direct"]') == {both}
    assert found(client, "Users", 'groups.type eq "INDIRECT"') == {inside}
    assert found(client, "Users", 'groups.type eq "direct"') == {inside, both, beside}
    assert found(client, "Users", 'groups.display eq "outer"') == {inside, both}
    assert found(client, "Users", f'not (groups.value eq "{outer}")') == {beside}
    assert found(client, "Groups", f'members.value eq "{inner}"') == {outer}
    assert found(client, "Groups", f'members eq "{inner}"') == {outer}
    assert found(client, "Groups", f'members.value eq "{both}"') == {inner, outer}
    assert found(client, "Groups", 'members[type eq "Group"]') == {outer}
    assert found(client, "Groups", 'members.type eq "group"') == {outer}
    assert found(client, "Groups", 'members[type eq "User" and display eq "c@corp.test"]') == {other}
    assert found(client, "Groups", f'id eq "{outer}" and members.value eq "{inner}"') == {outer}
    assert found(client, "Groups", f'not (members.value eq "{inner}")') == {inner, other}
    assert found(client, "Groups", f'members[$ref eq "Groups/{inner}"]') == {outer}
    assert found(client, "Groups", "members pr") == {inner, outer, other}


# Refusals, and what is not known.


def test_a_circle_is_400_invalid_value_with_both_groups_named_and_nothing_applied(
    customer: Customer, client: ScimClient
) -> None:
    person = client.create_user("a@corp.test")
    inner = client.create_group("Inner")
    middle = client.create_group("Middle", inner)
    outer = client.create_group("Outer", middle)
    before = show(client, f"/Groups/{inner}")

    refused = client.patch(
        f"/Groups/{inner}",
        {"op": "replace", "path": "displayName", "value": "Renamed"},
        {"op": "add", "path": "members", "value": [{"value": person}, {"value": NOBODY}, {"value": outer}]},
    )

    answer = refused.get_json(force=True)
    assert (refused.status_code, answer["scimType"]) == (400, "invalidValue")
    assert answer["detail"] == (
        f"group {outer} cannot be a member of group {inner}, which is inside it: groups would form a circle"
    )
    assert show(client, f"/Groups/{inner}") == before
    with customer.unit() as unit:
        assert unit.session.scalars(select(ParkedMember)).all() == []


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_group_as_its_own_member_is_400(client: ScimClient, method: str) -> None:
    group = client.create_group("G")
    body: dict[str, Any] = {"schemas": [GROUP], "displayName": "G", "members": [{"value": group}]}
    if method == "PATCH":
        body = {"Operations": [{"op": "add", "path": "members", "value": [{"value": group}]}]}

    refused = client.send(method, f"/Groups/{group}", body)

    assert refused.status_code == 400
    assert refused.get_json(force=True)["detail"] == f"group {group} cannot have itself as a member"


def test_a_bulk_that_closes_a_circle_by_two_steps_fails_the_second_only(client: ScimClient) -> None:
    a, b = client.create_group("A"), client.create_group("B")
    steps = [
        {
            "method": "PATCH",
            "path": f"/Groups/{outer}",
            "data": {"Operations": [{"op": "add", "path": "members", "value": [{"value": inner}]}]},
        }
        for outer, inner in ((a, b), (b, a))
    ]

    answer = client.post("/Bulk", {"schemas": [BULK], "Operations": steps}).get_json(force=True)

    assert [str(step["status"]) for step in answer["Operations"]] == ["200", "400"]
    assert (client.members(a), client.members(b)) == ({b}, set())


def test_bulk_steps_nest_a_group_that_the_same_request_creates(client: ScimClient) -> None:
    inner = {"method": "POST", "path": "/Groups", "bulkId": "in", "data": {"schemas": [GROUP], "displayName": "In"}}
    outer = {
        "method": "POST",
        "path": "/Groups",
        "bulkId": "out",
        "data": {"schemas": [GROUP], "displayName": "Out", "members": [{"value": "bulkId:in", "type": "Group"}]},
    }

    answer = client.post("/Bulk", {"schemas": [BULK], "Operations": [inner, outer]}).get_json(force=True)

    created, around = (str(step["location"].rpartition("/")[2]) for step in answer["Operations"])
    assert show(client, f"/Groups/{around}")["members"][0]["value"] == created


@pytest.mark.slow
def test_two_patches_at_once_cannot_close_a_circle_together(customer: Customer) -> None:
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        groups = [
            client.send("POST", "/Groups", {"schemas": [GROUP], "displayName": name})[1]["id"] for name in ("A", "B")
        ]

        answers = at_once(
            lambda number: client.send(
                "PATCH",
                f"/Groups/{groups[number % 2]}",
                {"Operations": [{"op": "add", "path": "members", "value": [{"value": groups[1 - number % 2]}]}]},
            ),
            20,
        )

    # Whichever comes first wins: its nine repetitions change nothing, the ten the other way round are refused.
    assert Counter(status for status, _ in answers) == {200: 10, 400: 10}
    assert {answer["scimType"] for status, answer in answers if status == 400} == {"invalidValue"}


def test_t3_a_group_of_another_organization_is_answered_like_a_value_nobody_knows(
    client: ScimClient, make_customer: Callable[..., Customer], customer: Customer
) -> None:
    rival = make_customer(slug="rival")
    theirs = ScimClient(make_app(rival), rival.slug, make_token(rival)).create_group("Theirs")
    group = client.create_group("G")
    answers = [
        client.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": value}]})
        for value in (NOBODY, theirs)
    ]

    conditions = [quote(f'members.value eq "{value}"') for value in (NOBODY, theirs)]
    listings = [client.get(f"/Groups?filter={condition}") for condition in conditions]

    assert answers[0].data == answers[1].data
    assert listings[0].data == listings[1].data
    with customer.unit() as unit:
        assert unit.session.scalars(select(GroupNesting)).all() == []
        parked = unit.session.scalars(select(ParkedMember.value)).all()
    assert set(parked) == {NOBODY, theirs}


def test_a_push_of_somebody_inside_gives_the_seat_that_the_outer_group_gives(
    customer: Customer, client: ScimClient
) -> None:
    rules = [{"group": "Outer", "expected": True, "tier": "standard"}]
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 1, "rules": rules, "default": "unassigned"})
        apply_mappings(unit, preview.id, acknowledged=True)
    client.create_group("Outer", client.create_group("Inner", "ext-late"))

    person = client.create_user("a@corp.test", externalId="ext-late")
    for active in (False, True):
        client.patch(f"/Users/{person}", {"op": "replace", "path": "active", "value": active})

    assert groups_of(client, person) == {"Inner": "direct", "Outer": "indirect"}
    with customer.unit() as unit:
        pushed = unit.session.scalars(select(Member).where(Member.user_name == "a@corp.test")).one()
    assert pushed.tier == "standard"
