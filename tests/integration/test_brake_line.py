"""The brake counts every move between tiers that a directory causes, also those that come through the line."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bridge.domain.actors import OPERATOR
from bridge.domain.brake import HeldEffect
from bridge.domain.identifiers import GroupId, MemberId
from bridge.store.directory import get_group, get_member
from bridge.store.models import Group, SeatBudget
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.people_by_hand import turn_off_member
from bridge.usecases.preview_holds import preview_drop, preview_release
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group
from tests.conftest import SettableClock
from tests.factories import Customer, loosen_brake, set_brake, set_budget
from tests.integration.test_brake import delete, drop, empty, hold_of, refill, release, say_active, texts, the_hold
from tests.integration.test_memberships import put_in_force

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

Seat = tuple[str | None, str | None]


def rules(*rows: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return rules: the board is on Premium, the staff on Standard, nobody else has a seat."""
    board = {"group": "Board", "expected": True, "tier": "premium"}
    staff = {"group": "Staff", "expected": True, "tier": "standard"}
    return {"schema": 1, "default": "unassigned", "rules": [*rows, board, staff], **facts}


def push(customer: Customer, number: int, **document: Any) -> list[MemberId]:
    return sorted(customer.push(f"p{index}@nordlys.test", **document).id for index in range(number))


def group(customer: Customer, name: str, ids: Collection[MemberId]) -> GroupId:
    with customer.unit(customer.directory) as unit:
        return create_group(unit, customer.connection_id, GroupDraft(name), texts(ids)).id


def seats(customer: Customer, ids: Collection[MemberId]) -> list[Seat]:
    """Return everybody's seat and what they wait for."""
    with customer.unit() as unit:
        assert reconcile_pools(unit) == []
        return [(member.tier, member.waiting_for) for member in (get_member(unit, one) for one in ids)]


def board_of(unit: Unit) -> Group:
    return unit.session.scalars(select(Group).where(Group.display_name == "Board")).one()


def used(customer: Customer) -> dict[str, int]:
    with customer.unit() as unit:
        return {pool.tier: pool.used for pool in read_pools(unit)}


@pytest.fixture
def boards(make_customer: Callable[..., Customer]) -> Callable[..., tuple[Customer, list[MemberId], GroupId]]:
    """Take a customer in whose people are all on the board and in the staff, on Premium seats."""

    def build(number: int, *, standard: int, **facts: Any) -> tuple[Customer, list[MemberId], GroupId]:
        customer = make_customer(premium=number, standard=standard)
        put_in_force(customer, rules(**facts))
        people = push(customer, number)
        board = group(customer, "Board", people)
        group(customer, "Staff", people)
        return customer, people, board

    return build


@pytest.fixture
def deadlock(make_customer: Callable[..., Customer]) -> tuple[Customer, list[MemberId], list[MemberId], MemberId]:
    """Six on Standard wait for Premium, six on Premium wait for Standard, and one more is on Premium.

    No seat is free, so that the first one that is lets all twelve move. With 14 active people five effects are allowed.
    """
    customer = make_customer(premium=7, standard=6)
    put_in_force(customer, rules())
    loosen_brake(customer)
    people = push(customer, 13)
    low, high, last = people[:6], people[6:12], people[12]
    board, staff = group(customer, "Board", [*high, last]), group(customer, "Staff", low)
    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, board), add=texts(low))
    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, staff), replace=texts(high))
        change_members(unit, get_group(unit, board), replace=texts([*low, last]))
    assert seats(customer, low) == [("standard", "premium")] * 6
    assert seats(customer, high) == [("premium", "standard")] * 6
    set_brake(customer)
    return customer, low, high, last


def test_people_who_would_be_bought_a_seat_of_another_tier_are_held(boards: Any) -> None:
    customer, people, board = boards(8, standard=0, on_exhausted="buy_up_to")
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=50)

    empty(customer, board)

    # 8 of 9 people would go from Premium to a bought Standard; max(5, 20 % of 9) = 5 may.
    assert the_hold(customer).people == {HeldEffect.RESEAT: 8}
    assert seats(customer, people) == [("premium", None)] * 8
    assert used(customer) == {"premium": 8, "standard": 0}


def test_released_they_are_bought_their_seats(boards: Any) -> None:
    customer, people, board = boards(8, standard=0, on_exhausted="buy_up_to")
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=50)
    empty(customer, board)
    with customer.unit(customer.owner) as unit:
        shown = preview_release(unit, the_hold(customer).id)

    release(customer)

    assert seats(customer, people) == [("standard", None)] * 8
    assert {one.to_tier for one in shown.people} == {"standard"}
    assert [(use.tier, use.seats) for use in shown.purchases] == [("standard", 8)]
    assert {use.tier: use.after for use in shown.seats} == used(customer) == {"premium": 0, "standard": 8}


def test_few_who_are_bought_a_seat_of_another_tier_are_counted_once(boards: Any) -> None:
    customer, people, board = boards(5, standard=0, on_exhausted="buy_up_to")
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=50)

    empty(customer, board)

    assert hold_of(customer) is None
    assert seats(customer, people) == [("standard", None)] * 5
    with customer.unit() as unit:
        assert sum(unit.state().brake_counts.values()) == 5


def test_a_chain_of_moves_up_the_line_is_held_whole(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(premium=6, standard=7)
    loosen_brake(customer)
    everybody = push(customer, 12)
    low, high = everybody[:6], everybody[6:]
    swap = group(customer, "Swap", ())
    for ids, department in ((low, "S"), (high, "P")):
        for one in ids:
            say_active(customer, one, active=True, **{ENTERPRISE: {"department": department}})
    to_premium = {"all": [{"group": "Swap", "expected": True}, {"attribute": "department", "equals": "S"}]}
    to_standard = {"all": [{"group": "Swap", "expected": True}, {"attribute": "department", "equals": "P"}]}
    put_in_force(
        customer,
        {
            "schema": 2,
            "default": "unassigned",
            "rules": [
                {"when": to_premium, "tier": "premium", "priority": 10},
                {"when": to_standard, "tier": "standard", "priority": 10},
                {"attribute": "department", "equals": "S", "tier": "standard"},
                {"attribute": "department", "equals": "P", "tier": "premium"},
            ],
        },
    )
    set_brake(customer)

    refill(customer, swap, everybody)

    # One Standard seat is free: the first takes it, and every seat that is left lets the next one move.
    assert the_hold(customer).people == {HeldEffect.RESEAT: 12}
    assert seats(customer, everybody) == [("standard", None)] * 6 + [("premium", None)] * 6


def test_seats_that_held_people_do_not_take_let_nobody_else_pass_uncounted(boards: Any) -> None:
    customer, _, board = boards(12, standard=6)

    empty(customer, board)

    # 6 of the 12 would take the free Standard seats; held, they leave them to the other 6, who are held as well.
    assert the_hold(customer).people == {HeldEffect.RESEAT: 12}
    assert used(customer) == {"premium": 12, "standard": 0}


def test_a_single_leaver_loses_access_at_once_and_the_moves_it_starts_are_held(deadlock: Any) -> None:
    customer, low, high, last = deadlock

    say_active(customer, last, active=False)

    assert the_hold(customer).people == {HeldEffect.PROMOTE: 12}
    assert seats(customer, [last]) == [(None, None)]
    assert seats(customer, low) == [("standard", "premium")] * 6
    assert seats(customer, high) == [("premium", "standard")] * 6
    with customer.unit() as unit:
        assert not get_member(unit, last).active


def test_a_person_deleted_starts_no_uncounted_moves_either(deadlock: Any) -> None:
    customer, low, _, last = deadlock

    delete(customer, last)

    assert the_hold(customer).people == {HeldEffect.PROMOTE: 12}
    assert seats(customer, low) == [("standard", "premium")] * 6


def test_somebody_regrouped_who_would_start_many_moves_is_held_instead(deadlock: Any) -> None:
    customer, low, high, last = deadlock

    with customer.unit(customer.directory) as unit:
        change_members(unit, board_of(unit), remove=texts([last]))

    assert the_hold(customer).people == {HeldEffect.RESEAT: 1}
    assert the_hold(customer).counted == 13
    assert seats(customer, [*low, *high, last])[-1] == ("premium", None)


def test_the_moves_up_the_line_are_released_in_order_of_the_line(deadlock: Any) -> None:
    customer, low, high, last = deadlock
    say_active(customer, last, active=False)
    with customer.unit(customer.owner) as unit:
        preview = preview_release(unit, the_hold(customer).id)

    done = release(customer)

    assert done.promoted == 12
    assert {(one.from_tier, one.to_tier) for one in preview.people} == {
        ("standard", "premium"),
        ("premium", "standard"),
    }
    assert seats(customer, low) == [("premium", None)] * 6
    assert seats(customer, high) == [("standard", None)] * 6


def test_dropped_the_people_in_line_keep_seat_and_place(deadlock: Any) -> None:
    customer, low, high, last = deadlock
    say_active(customer, last, active=False)

    drop(customer)

    assert hold_of(customer) is None
    assert seats(customer, low) == [("standard", "premium")] * 6
    assert seats(customer, high) == [("premium", "standard")] * 6


def test_somebody_who_would_start_many_moves_by_a_bought_seat_is_held_instead(deadlock: Any) -> None:
    customer, low, _, last = deadlock
    ops = buy_for_ops(customer, seats=1)

    refill(customer, ops, [last])

    assert the_hold(customer).people == {HeldEffect.RESEAT: 1}
    assert seats(customer, [last, low[0]]) == [("premium", None), ("standard", "premium")]


def test_a_seat_bought_in_a_later_push_starts_no_uncounted_moves(deadlock: Any) -> None:
    customer, low, _, last = deadlock
    loosen_brake(customer)
    ops = buy_for_ops(customer, seats=0)
    refill(customer, ops, [last])
    assert seats(customer, [last]) == [("premium", "standard")]
    set_brake(customer)
    with customer.unit() as unit:
        set_by = {"set_at": unit.at, "set_by": str(OPERATOR), "period": "month"}
        row = SeatBudget(org_id=unit.org_id, tier="standard", cost_centre_key="", cost_centre="", seats=2, **set_by)
        unit.session.add(row)  # by itself: an owner who sets it serves who waits

    refill(customer, ops, [customer.push("new@nordlys.test").id])

    # The last one, first in line, goes to a bought Standard seat. What that sets free would let 12 others move.
    assert seats(customer, [last]) == [("standard", None)]
    assert the_hold(customer).people == {HeldEffect.PROMOTE: 12}
    assert seats(customer, low) == [("standard", "premium")] * 6


def test_who_waits_without_a_seat_moves_up_while_the_brake_is_on(boards: Any) -> None:
    customer, people, _ = boards(3, standard=1)
    set_brake(customer, minimum=1, share=1)
    waiting = customer.push("later@nordlys.test").id
    with customer.unit(customer.directory) as unit:
        change_members(unit, board_of(unit), add=texts([waiting]))

    say_active(customer, people[0], active=False)

    assert hold_of(customer) is None
    assert seats(customer, [waiting]) == [("premium", None)]


def test_a_seat_that_became_free_goes_to_who_waits_when_the_hold_is_dropped(make_customer: Any) -> None:
    customer, seated, waiting = queue(make_customer)
    with customer.unit(customer.owner) as unit:
        turn_off_member(unit, seated[1])
    assert used(customer)["premium"] == 1

    done = drop(customer)

    assert done.promoted == 1
    assert used(customer)["premium"] == 2
    assert seats(customer, waiting[:1]) == [("premium", None)]


def test_a_seat_that_became_free_goes_to_who_waits_when_the_directory_takes_it_back(make_customer: Any) -> None:
    customer, seated, waiting = queue(make_customer)
    with customer.unit(customer.owner) as unit:
        turn_off_member(unit, seated[1])

    say_active(customer, waiting[0], active=True)

    assert seats(customer, waiting[:1]) == [("premium", None)]


def test_a8_rules_changed_during_a_hold_reach_who_was_to_leave_when_it_is_dropped(boards: Any) -> None:
    customer, people, _ = boards(4, standard=4)
    set_brake(customer, minimum=1, share=1)
    for one in people[:3]:
        say_active(customer, one, active=False)
    put_in_force(
        customer,
        {"schema": 1, "default": "unassigned", "rules": [{"group": "Board", "expected": True, "tier": "standard"}]},
    )
    assert seats(customer, people[1:3]) == [("premium", None)] * 2

    done = drop(customer)

    # The first left at once; the other two were held, and follow the rules as everybody else does.
    assert done.resettled == 2
    assert seats(customer, people[1:]) == [("standard", None)] * 3
    assert "2 people follow the rules that were changed meanwhile." in done.sentences


def test_q1_a_drop_shows_what_it_buys_and_tells_it_afterwards(boards: Any) -> None:
    customer, people, _ = boards(4, standard=1)
    set_brake(customer, minimum=1, share=1)
    for one in people[:3]:
        say_active(customer, one, active=False)
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=5)
    board = {"group": "Board", "expected": True, "tier": "standard", "on_exhausted": "buy_up_to"}
    put_in_force(customer, {"schema": 2, "default": "unassigned", "rules": [board]})

    with customer.unit(customer.owner) as unit:
        shown = preview_drop(unit, the_hold(customer).id)
    done = drop(customer)

    # Of the three who are left, the one who is not held took the free Standard seat; two are bought one.
    assert {one.member_id: (one.from_tier, one.to_tier) for one in shown.moves} == dict.fromkeys(
        people[1:3], ("premium", "standard")
    )
    assert [(use.tier, use.seats) for use in shown.purchases] == [("standard", 2)]
    assert (done.bought, len(done.invoices)) == (2, 1)
    assert f"2 seats were bought within the budgets (invoice {done.invoices[0]})." in done.sentences
    assert seats(customer, people[1:]) == [("standard", None)] * 3


def buy_for_ops(customer: Customer, *, seats: int) -> GroupId:
    """Let the rules buy Standard seats for a new group, within a budget; return the group."""
    ops = {"group": "Ops", "expected": True, "tier": "standard", "on_exhausted": "buy_up_to", "priority": 5}
    put_in_force(customer, {**rules(ops), "schema": 2})
    if seats:
        with customer.unit(customer.owner) as unit:
            set_budget(unit, "standard", seats=seats)
    return group(customer, "Ops", ())


def queue(make_customer: Callable[..., Customer]) -> tuple[Customer, list[MemberId], list[MemberId]]:
    """Take a customer in with two on Premium and two who wait for it, all of whom the brake holds but the second."""
    customer = make_customer(premium=2, standard=0)
    put_in_force(customer, rules())
    people = push(customer, 5)
    group(customer, "Board", people)
    seated = [one for one, seat in zip(people, seats(customer, people), strict=True) if seat[0]]
    waiting = [one for one, seat in zip(people, seats(customer, people), strict=True) if seat[1]]
    set_brake(customer, minimum=1, share=1)
    say_active(customer, waiting[2], active=False)
    for one in (*waiting[:2], seated[0]):
        say_active(customer, one, active=False)
    assert the_hold(customer).people == {HeldEffect.TURN_OFF: 3}
    return customer, seated, waiting[:2]


def test_a_tripped_brake_holds_one_mover_of_a_long_line_and_serves_who_has_no_seat(
    make_customer: Any, clock: SettableClock
) -> None:
    customer = make_customer(premium=2, standard=6)
    put_in_force(customer, rules())
    loosen_brake(customer)
    people = push(customer, 8)
    board = group(customer, "Board", people[:2])
    group(customer, "Staff", people[2:])
    refill(customer, board, people[2:])
    assert seats(customer, people[2:]) == [("standard", "premium")] * 6
    clock.at += timedelta(minutes=1)
    newest = customer.push("newest@nordlys.test").id
    refill(customer, board, [newest])
    set_brake(customer, minimum=1, share=1)

    say_active(customer, people[0], active=False)

    # The leaver is the one effect that is allowed. Six with a seat wait longer; one would have moved.
    assert the_hold(customer).people == {HeldEffect.PROMOTE: 1}
    assert seats(customer, [newest]) == [("premium", None)]
