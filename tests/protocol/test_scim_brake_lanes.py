"""With lanes and without, the brake counts, holds and lets go of the same people."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bridge.store.models import Member
from bridge.usecases.decide_holds import drop_hold
from bridge.usecases.read_holds import open_holds
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.integration.test_memberships import put_in_force
from tests.protocol.test_scim_lanes import Side, Worlds, person, taken

__all__ = ["taken"]  # a fixture

RULES = {"schema": 1, "default": "unassigned", "rules": [{"group": "Staff", "expected": True, "tier": "standard"}]}
NAMES = tuple(f"p{index}" for index in range(9))


@pytest.fixture
def worlds(make_customer: Callable[..., Customer], clock: SettableClock) -> Worlds:
    """Two organizations with a seat for everybody, so that nobody waits: the first with lanes, the second without."""
    one, other = (make_customer(slug=slug, premium=2, standard=20) for slug in ("with-lanes", "lanes-less"))
    return Worlds(Side(one, "with-lanes", with_lanes=True), Side(other, "lanes-less", with_lanes=False), clock)


def a_directory(worlds: Worlds, *, mapped: bool) -> None:
    """Push nine people, in a group that gives a seat where that is wished: with the owner 10 are active, 5 may go."""
    if mapped:
        for side in worlds.sides:
            put_in_force(side.customer, RULES)
    for name in NAMES:
        worlds.send("POST", "/Users", person(name), name=name)
    worlds.send("POST", "/Groups", {"displayName": "Staff"}, name="staff")
    for name in NAMES:  # one by one: what a change of many writes is in the order of random ids
        change_staff(worlds, "add", [{"value": f"{{{name}}}"}])


def change_staff(worlds: Worlds, verb: str, value: list[dict[str, str]]) -> None:
    operation: dict[str, Any] = {"op": verb, "path": "members", "value": value}
    worlds.send("PATCH", "/Groups/{staff}", {"Operations": [operation]})


def turn(worlds: Worlds, name: str, *, on: bool) -> None:
    body = {"Operations": [{"op": "replace", "path": "active", "value": on}]}
    worlds.send("PATCH", f"/Users/{{{name}}}", body)
    worlds.send("GET", f"/Users/{{{name}}}")


def test_leavers_are_held_alike(worlds: Worlds, taken: list[tuple[str, str]]) -> None:
    a_directory(worlds, mapped=False)
    taken.clear()

    for name in NAMES:
        turn(worlds, name, on=False)
    turn(worlds, NAMES[7], on=True)
    worlds.send(
        "PATCH", f"/Users/{{{NAMES[8]}}}", {"Operations": [{"op": "replace", "path": "title", "value": "Cook"}]}
    )
    worlds.send("DELETE", f"/Users/{{{NAMES[6]}}}")
    worlds.send("GET", f"/Users/{{{NAMES[6]}}}")
    worlds.send("POST", "/Users", person(NAMES[6]))
    worlds.send("GET", "/Users?count=20")
    worlds.clock.at += timedelta(minutes=11)
    turn(worlds, NAMES[7], on=False)

    worlds.agree()
    # The first leaver has the people counted, the next four take the lane; those beyond the fifth never do.
    assert taken.count(("PATCH", "Users")) == 4


def test_members_taken_out_are_held_alike(worlds: Worlds, taken: list[tuple[str, str]]) -> None:
    a_directory(worlds, mapped=True)
    taken.clear()

    for name in NAMES:
        change_staff(worlds, "remove", [{"value": f"{{{name}}}"}])
        worlds.send("GET", f"/Users/{{{name}}}", reader=True)
    change_staff(worlds, "add", [{"value": f"{{{NAMES[8]}}}"}])

    worlds.agree()
    assert taken.count(("PATCH", "Groups")) >= 2


def test_what_was_dropped_stays_dropped_alike(worlds: Worlds, taken: list[tuple[str, str]]) -> None:
    a_directory(worlds, mapped=True)
    for name in NAMES:
        change_staff(worlds, "remove", [{"value": f"{{{name}}}"}])
    for side in worlds.sides:
        with side.customer.unit(side.customer.owner) as unit:
            (hold,) = open_holds(unit)
            drop_hold(unit, hold.id, revision=hold.revision, reason="A mistake")
    worlds.clock.at += timedelta(minutes=30)
    taken.clear()

    for path, value in (("displayName", "New"), ("title", "Cook")):
        operation = {"op": "replace", "path": path, "value": value}
        worlds.send("PATCH", f"/Users/{{{NAMES[8]}}}", {"Operations": [operation]})

    worlds.agree()
    assert taken.count(("PATCH", "Users")) >= 1
    for side in worlds.sides:
        with side.customer.unit() as unit:
            held_on = select(Member.tier).where(Member.org_id == unit.org_id, Member.user_name.startswith(NAMES[8]))
            assert unit.session.scalars(held_on).one() == "standard"
