"""The operations of one PATCH of a group, one after the other, and every path that may name its members."""

from typing import Any

import pytest
from sqlalchemy import select

from bridge.store.models import Alert, ParkedMember
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_app, make_token


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


class Team:
    """A group of Ann and Bob, with Cid outside; operations and members are written with their first names."""

    def __init__(self, client: ScimClient) -> None:
        self.client = client
        self.ids = {name: client.create_user(f"{name}@corp.test", displayName=name) for name in ("ann", "bob", "cid")}
        self.group = client.create_group("Team", self.ids["ann"], self.ids["bob"])

    def named(self, value: Any) -> Any:
        """Write ids for names."""
        if isinstance(value, dict):
            return {name: self.named(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.named(item) for item in value]
        for name, identifier in self.ids.items() if isinstance(value, str) else ():
            value = value.replace(f"<{name}>", identifier)
        return value

    def patch(self, *operations: dict[str, Any]) -> tuple[int, str | None, list[str]]:
        """Send operations; return the status, the scimType and who is in the group then."""
        answer = self.client.patch(f"/Groups/{self.group}", *self.named(list(operations)))
        members = self.client.members(self.group)
        body = answer.get_json(force=True, silent=True) or {}
        kind = body.get("scimType")
        return answer.status_code, kind, sorted(name for name, i in self.ids.items() if i in members)


@pytest.fixture
def team(client: ScimClient) -> Team:
    return Team(client)


def op(verb: str, path: str, *value: Any) -> dict[str, Any]:
    """Return one operation, with or without a value."""
    return {"op": verb, "path": path, **({"value": value[0]} if value else {})}


CID = [{"value": "<cid>"}]


@pytest.mark.parametrize("selects_cid", ['value eq "<cid>"', 'display eq "CID"', 'value eq "<cid>" and type eq "User"'])
@pytest.mark.parametrize(("first", "left"), [("add", ["ann", "bob"]), ("replace", [])])
def test_a_filter_selects_among_the_members_that_the_operations_before_it_left(
    team: Team, first: str, left: list[str], selects_cid: str
) -> None:
    found = team.patch(op(first, "members", CID), op("remove", f"members[{selects_cid}]"))

    assert found == (200, None, left)


def test_who_was_removed_before_is_selected_no_more_and_comes_back_by_a_later_operation(team: Team) -> None:
    gone = op("remove", 'members[display eq "ann"]')

    assert team.patch(gone, op("replace", 'members[value eq "<ann>"]', CID)) == (400, "noTarget", ["ann", "bob"])
    assert team.patch(gone, op("add", "members", [{"value": "<ann>"}])) == (200, None, ["ann", "bob"])
    assert team.patch(op("remove", "members"), op("add", "members", CID), gone) == (200, None, ["cid"])


def test_a_group_among_the_members_is_selected_like_a_person(client: ScimClient, team: Team) -> None:
    inner = client.create_group("Inner")

    added = [{"value": inner}, {"value": "<cid>"}]
    found = team.patch(op("add", "members", added), op("remove", 'members[type eq "Group"]'))

    assert found == (200, None, ["ann", "bob", "cid"])
    assert inner not in client.members(team.group)


def test_a_value_that_waits_for_somebody_is_taken_back_by_a_filter_that_names_it(
    customer: Customer, team: Team
) -> None:
    team.patch(op("add", "members", [{"value": "ext-1"}]))

    team.patch(op("remove", 'members[value eq "ext-1"]'))

    with customer.unit() as unit:
        assert unit.session.scalars(select(ParkedMember)).all() == []


def test_the_selected_members_are_replaced_by_the_given_ones(team: Team) -> None:
    assert team.patch(op("replace", 'members[value eq "<ann>"]', {"value": "<cid>"})) == (200, None, ["bob", "cid"])
    assert team.patch(op("replace", 'members[value eq "<bob>"].value', "<ann>")) == (200, None, ["ann", "cid"])
    assert team.patch(op("replace", 'members[type eq "User"]', [{"value": "<bob>"}])) == (200, None, ["bob"])


def test_replacing_a_member_that_is_not_there_is_no_target(team: Team) -> None:
    assert team.patch(op("replace", 'members[value eq "<cid>"]', {"value": "<cid>"})) == (
        400,
        "noTarget",
        ["ann", "bob"],
    )


def test_adding_at_a_filter_that_selects_nobody_adds(team: Team) -> None:
    assert team.patch(op("add", 'members[value eq "<cid>"]', {"value": "<cid>"})) == (200, None, ["ann", "bob", "cid"])


@pytest.mark.parametrize(
    ("operation", "left"),
    [
        (op("add", "members.value", "<cid>"), ["ann", "bob", "cid"]),
        (op("add", "Members.Value", ["<cid>"]), ["ann", "bob", "cid"]),
        (op("remove", "members.value", "<ann>"), ["bob"]),
        (op("replace", "members.value", ["<cid>"]), ["cid"]),
        (op("remove", "urn:ietf:params:scim:schemas:core:2.0:Group:members.value", ["<ann>"]), ["bob"]),
        (op("remove", 'members[value eq "<ann>"].value'), ["bob"]),
        ({"op": "add", "value": {"members.value": "<cid>"}}, ["ann", "bob", "cid"]),
    ],
)
def test_members_value_means_the_members_themselves(team: Team, operation: dict[str, Any], left: list[str]) -> None:
    assert team.patch(operation) == (200, None, left)


@pytest.mark.parametrize(
    "operation",
    [
        op("remove", "members.value"),
        op("remove", "members.value", None),
        op("replace", "members.value", "<cid>"),
        op("replace", 'members[value eq "<ann>"].value', []),
    ],
)
def test_a_path_to_the_value_that_names_nobody_is_refused_and_told_to_the_owners(
    customer: Customer, team: Team, operation: dict[str, Any]
) -> None:
    assert team.patch(operation) == (400, "invalidValue", ["ann", "bob"])
    with customer.unit() as unit:
        assert list(unit.session.scalars(select(Alert.code))) == ["unreadable_push"]


@pytest.mark.parametrize("path", ["members.display", 'members[value eq "<ann>"].display', "members.type"])
@pytest.mark.parametrize("verb", ["add", "remove", "replace"])
def test_a_part_of_a_member_that_is_not_ours_to_change_changes_nothing(team: Team, verb: str, path: str) -> None:
    operation = op(verb, path) if verb == "remove" else op(verb, path, "x")

    assert team.patch(operation) == (200, None, ["ann", "bob"])
