"""The lanes for groups change nothing but time: answers, seats, decisions and audit are the general way's."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bridge.domain.identifiers import MemberId, parse_id
from bridge.store.lane import Lane
from bridge.store.models import Member
from bridge.usecases.assign_seats import assign_tier
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.preview_mappings import preview_mappings
from scim.lanes.directory import Lanes
from tests.conftest import SettableClock
from tests.factories import Customer, loosen_brake
from tests.protocol.scim_client import GROUP
from tests.protocol.test_scim_lanes import Side, Worlds, patch, person

RULES: dict[str, Any] = {
    "schema": 1,
    "default": "unassigned",
    "on_exhausted": "unassigned",
    "rules": [
        {"group": "Engineering", "expected": True, "tier": "premium"},
        {
            "group": "Board",
            "expected": True,
            "connection": "Okta",
            "tier": "standard",
            "role": "admin",
            "teams": ["Red"],
        },
        {"attribute": "title", "equals": "Clerk", "tier": "standard"},
    ],
}


@pytest.fixture
def worlds(make_customer: Callable[..., Customer], clock: SettableClock) -> Worlds:
    """Two organizations of 2 Premium and 3 Standard seats: the first with lanes, the second without."""
    one, other = (make_customer(slug=slug, premium=2, standard=3) for slug in ("with-lanes", "lanes-less"))
    return Worlds(Side(one, "with-lanes", with_lanes=True), Side(other, "lanes-less", with_lanes=False), clock)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests about groups that a lane answered, by method."""
    requests: list[str] = []
    answer = Lanes.answer

    def noted(self: Lanes, call: Any) -> Any:
        answered = answer(self, call)
        if answered is not None and call.path.startswith("Groups"):
            requests.append(call.method)
        return answered

    monkeypatch.setattr(Lanes, "answer", noted)
    return requests


def put_in_force(worlds: Worlds, document: dict[str, Any]) -> None:
    """Apply the same rules in both worlds."""
    for side in worlds.sides:
        with side.customer.unit(side.customer.owner) as unit:
            preview = preview_mappings(unit, document)
        with side.customer.unit(side.customer.owner) as unit:
            apply_mappings(unit, preview.id, acknowledged=True, roles_acknowledged=True)
    worlds.clock.at += timedelta(seconds=1)


def people(worlds: Worlds, number: int, **facts: Any) -> list[str]:
    """Push people one after the other; return their names."""
    names = [f"p{index}" for index in range(number)]
    for name in names:
        worlds.send("POST", "/Users", person(name, **facts), name=name)
    return names


def group(worlds: Worlds, name: str, *members: str, **facts: Any) -> None:
    body = {"schemas": [GROUP], "displayName": name, "members": [{"value": f"{{{one}}}"} for one in members], **facts}
    worlds.send("POST", "/Groups", body, name=name)


def change(worlds: Worlds, name: str, verb: str, *members: str) -> None:
    """Push one change of members."""
    value = [{"value": f"{{{one}}}"} for one in members]
    worlds.send("PATCH", f"/Groups/{{{name}}}", patch((verb, "members", value)))


def test_reading_a_group_without_its_members_is_the_same(worlds: Worlds, taken: list[str]) -> None:
    # One member: in which order several are shown says nothing.
    group(worlds, "Staff", *people(worlds, 1), externalId="g-1")
    paths = [
        "/Groups/{Staff}?excludedAttributes=members",
        "/Groups/{Staff}?excludedAttributes=Members",
        "/Groups/{Staff}?excludedAttributes=members,externalId",
        "/Groups/{Staff}?attributes=displayName",
        "/Groups/{Staff}",
        "/Groups/00000000-0000-4000-8000-000000000000?excludedAttributes=members",
        '/Groups?filter=displayName eq "sTAFF"',
        '/Groups?filter=displayName eq "Staff"&excludedAttributes=members',
        '/Groups?excludedAttributes=members&startIndex=1&count=1&filter=externalId eq "g-1"',
        '/Groups?filter=externalId eq "G-1"',
        '/Groups?filter=displayName eq "nobody"',
        '/Groups?filter=id eq "x"',
        '/Groups?filter=displayName eq "Staff"&count=0',
    ]

    for path in paths:
        worlds.send("GET", path)
        worlds.send("GET", path, reader=True)

    worlds.agree()
    assert taken.count("GET") == 2 * 7


def test_letting_people_in_and_out_is_the_same_where_no_rule_names_the_group(worlds: Worlds, taken: list[str]) -> None:
    put_in_force(worlds, RULES)
    names = people(worlds, 3)
    group(worlds, "Staff")

    for _ in range(2):
        for verb in ("add", "Add", "remove", "Remove"):
            change(worlds, "Staff", verb, names[0])
    change(worlds, "Staff", "add", names[0])
    operations = [("add", "members", [{"value": "{p1}"}]), ("remove", "members", [{"value": "{p0}"}])]
    worlds.send("PATCH", "/Groups/{Staff}", patch(*operations))
    worlds.send("PATCH", "/Groups/{Staff}", patch(("add", None, {"members": [{"value": "{p2}", "display": "P"}]})))
    worlds.send("PATCH", "/Groups/{Staff}", patch(("remove", 'members[value eq "{p2}"]', None)))
    worlds.send("GET", "/Users/{p1}")

    worlds.agree()
    assert taken.count("PATCH") >= 11


def test_what_is_not_plain_is_left_to_the_general_way(worlds: Worlds) -> None:
    put_in_force(worlds, RULES)
    people(worlds, 2)
    group(worlds, "Staff", "p0")
    group(worlds, "Inner")
    bodies = [
        patch(("add", "members", [{"value": "00000000-0000-4000-8000-000000000000"}])),
        patch(("remove", "members", [{"value": "00000000-0000-4000-8000-000000000000"}])),
        patch(("add", "members", [{"value": "nobody"}])),
        patch(("add", "members", [{"value": "{Inner}"}])),
        patch(("replace", "members", [{"value": "{p1}"}])),
        patch(("replace", "displayName", "Everybody"), ("add", "members", [{"value": "{p1}"}])),
        patch(("remove", "members", None)),
        patch(("add", "members", None)),
        patch(("add", "members", "null")),
        patch(("frobnicate", "members", [{"value": "{p0}"}])),
    ]

    for body in bodies:
        worlds.send("PATCH", "/Groups/{Staff}", body)
        worlds.send("GET", "/Groups/{Staff}?attributes=displayName")
    change(worlds, "Inner", "add", "p0")
    worlds.send("PATCH", "/Groups/00000000-0000-4000-8000-000000000000", bodies[0])

    worlds.agree()


def test_a_seat_that_a_rule_gives_and_takes_is_the_same(worlds: Worlds, taken: list[str]) -> None:
    """Rules A2, A4, A5 and A8: two Premium seats, then somebody has to wait and is served."""
    for side in worlds.sides:
        loosen_brake(side.customer)  # more than five seats are lost and moved here
    put_in_force(worlds, RULES)
    names = people(worlds, 4)
    group(worlds, "Engineering")
    group(worlds, "Board")

    for name in names:
        change(worlds, "Engineering", "add", name)
    for name in names:
        change(worlds, "Board", "add", name)
    for name in names:
        change(worlds, "Engineering", "remove", name)
        worlds.send("GET", f"/Users/{{{name}}}", reader=True)
    for name in names:
        change(worlds, "Board", "remove", name)

    worlds.agree()
    assert taken.count("PATCH") >= 7  # the first seat lost has the people counted for the brake, by the general way


def test_who_is_off_or_placed_by_hand_is_the_same(worlds: Worlds) -> None:
    """Rule A6."""
    put_in_force(worlds, RULES)
    people(worlds, 3)
    for number, side in enumerate(worlds.sides):
        with side.customer.unit(side.customer.owner) as unit:
            assign_tier(unit, _member_id(worlds.names["p0"][number]), "standard")
    worlds.send("PATCH", "/Users/{p1}", patch(("replace", "active", False)))
    group(worlds, "Engineering")

    for name in ("p0", "p1", "p2"):
        change(worlds, "Engineering", "add", name)
    for name in ("p0", "p1", "p2"):
        change(worlds, "Engineering", "remove", name)

    worlds.agree()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions that lanes called, but for who calls."""
    called: list[str] = []
    call = Lane._call

    def noted(self: Lane, function: str, *parameters: Any, **facts: Any) -> Any:
        called.append(function)
        return call(self, function, *parameters, **facts)

    monkeypatch.setattr(Lane, "_call", noted)
    return called


def test_whoever_is_like_somebody_before_takes_one_statement(worlds: Worlds, statements: list[str]) -> None:
    for side in worlds.sides:
        loosen_brake(side.customer)
    put_in_force(worlds, RULES)
    names = people(worlds, 3, title="Clerk")
    group(worlds, "Board")
    for name in names[:2]:  # the first seat lost has the people counted for the brake, by the general way
        for verb in ("add", "remove"):
            change(worlds, "Board", verb, name)
    turned = [("PATCH", f"/Users/{{{names[0]}}}", patch(("replace", "active", on))) for on in (False, True)]
    for request in turned:
        worlds.send(*request)
    statements.clear()

    for verb in ("add", "remove"):
        change(worlds, "Board", verb, names[2])
    for request in turned:
        worlds.send(*request)

    worlds.agree()
    by_lane = [function for function in statements if function.startswith("lane_")]
    assert by_lane == ["lane_move_member"] * 2 + ["lane_turn_person"] * 2


def test_every_kind_of_people_is_told_apart(worlds: Worlds, taken: list[str]) -> None:
    """More kinds than are remembered: by attribute, by groups, by what they hold, by the role a rule gave."""
    for side in worlds.sides:
        loosen_brake(side.customer)
    put_in_force(
        worlds, {**RULES, "rules": [*RULES["rules"], {"attribute": "roles", "equals": "Lead", "tier": "premium"}]}
    )
    facts: list[dict[str, Any]] = [
        {"title": "Clerk"},
        {"title": "clerk "},
        {"title": ""},
        {"roles": [{"value": "Lead"}, {"value": "Lead 2"}]},
        {"roles": [{"value": "lead"}]},
        {"roles": [], "active": False},
        {},
    ]
    for number, each in enumerate(facts):
        worlds.send("POST", "/Users", person(f"p{number}", **each), name=f"p{number}")
    for name in ("Staff", "Board", "Engineering", "Åse's"):
        group(worlds, name)
    change(worlds, "Åse's", "add", "p1")

    for name in ("Staff", "Board", "Engineering"):
        for verb in ("add", "remove", "add"):
            for number in range(len(facts)):
                change(worlds, name, verb, f"p{number}")
    for on in (False, True, True):
        for number in range(len(facts)):
            worlds.send("PATCH", f"/Users/{{p{number}}}", patch(("replace", "active", on)))

    worlds.agree()
    assert taken.count("PATCH") >= 30


def test_whom_nobody_may_decide_about_by_kind_is_decided_about_alike(worlds: Worlds) -> None:
    """Nested groups, people by hand, people who wait."""
    put_in_force(worlds, RULES)
    people(worlds, 4)
    group(worlds, "Inner")
    group(worlds, "Engineering")
    worlds.send("PATCH", "/Groups/{Engineering}", patch(("add", "members", [{"value": "{Inner}", "type": "Group"}])))
    for number, side in enumerate(worlds.sides):
        with side.customer.unit(side.customer.owner) as unit:
            assign_tier(unit, _member_id(worlds.names["p0"][number]), "standard")
            deactivate_member(
                unit,
                unit.session.get_one(Member, (unit.org_id, _member_id(worlds.names["p1"][number]))),
                reason="by_hand",
            )

    for name in ("p0", "p1", "p2", "p3"):
        change(worlds, "Inner", "add", name)
        worlds.send("PATCH", f"/Users/{{{name}}}", patch(("replace", "active", False)))
        worlds.send("PATCH", f"/Users/{{{name}}}", patch(("replace", "active", True)))
        change(worlds, "Engineering", "add", name)
        change(worlds, "Inner", "remove", name)

    worlds.agree()


@pytest.mark.parametrize("seed", range(5))
def test_any_history_of_memberships_is_the_same_with_lanes_and_without(
    worlds: Worlds, seed: int, taken: list[str]
) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's choices)
    policy = chance.choice(["unassigned", "next_lower", "reject"])
    put_in_force(worlds, {**RULES, "on_exhausted": policy})
    names = people(worlds, 6)
    groups = ("Engineering", "Board", "Staff")
    for name in groups:
        group(worlds, name)

    for _ in range(50):
        kind = chance.choice(["add", "add", "add", "remove", "remove", "remove", "active", "title"])
        name = chance.choice(names)
        if kind == "active":
            worlds.send("PATCH", f"/Users/{{{name}}}", patch(("replace", "active", chance.random() < 0.7)))
        elif kind == "title":
            worlds.send("PATCH", f"/Users/{{{name}}}", patch(("replace", "title", chance.choice(["Clerk", "Cook"]))))
        else:
            change(worlds, chance.choice(groups), kind, name)

    worlds.agree()
    assert taken


def _member_id(text: str) -> MemberId:
    identifier = parse_id(text)
    assert identifier is not None
    return MemberId(identifier)
