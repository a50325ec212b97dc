"""The waiting list: its order, who moves up by whatever frees a seat, and what an admin may do to it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.errors import (
    BridgeError,
    ForbiddenError,
    InvalidChangeError,
    InvalidInputError,
    NotWaitingError,
    PreviewStaleError,
)
from bridge.ports import FeeDraft
from bridge.store.directory import get_member
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Member
from bridge.usecases.assign_seats import assign_tier
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.people_by_hand import turn_off_member
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_member import PersonDraft, remove_member, update_member
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.swap_seats import confirm_swap, preview_swap
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group
from bridge.usecases.waiting_list import leave_line, list_waiting, move_to_front
from tests.conftest import SettableClock
from tests.factories import Customer

MakeCustomer = Callable[..., Customer]


def arrive(customer: Customer, clock: SettableClock, *names: str) -> list[MemberId]:
    """Push people one second after the other."""
    ids = []
    for name in names:
        ids.append(customer.push(f"{name}@nordlys.test").id)
        clock.at += timedelta(seconds=1)
    return ids


def line(customer: Customer) -> list[MemberId]:
    with customer.unit() as unit:
        return [one.member_id for one in list_waiting(unit)]


def tier_of(customer: Customer, member_id: MemberId) -> str | None:
    with customer.unit() as unit:
        return get_member(unit, member_id).tier


def map_group(customer: Customer, members: list[MemberId], tier: str = "premium") -> None:
    """Map a group with these people to a tier."""
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Engineering"), [str(each) for each in members])
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 1, "rules": [{"group": "Engineering", "tier": tier}]})
        apply_mappings(unit, preview.id, acknowledged=True)


def test_the_line_says_the_place_for_each_tier_since_when_for_what_and_why(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=1, standard=0)
    began = clock.at
    _, anyone, mapped = arrive(customer, clock, "holder", "anyone", "mapped")

    map_group(customer, [mapped])

    with customer.unit() as unit:
        first, second = list_waiting(unit)
    assert (first.place, first.member_id, first.waiting_for, first.ranks) == (
        1,
        anyone,
        "any",
        {"premium": 1, "standard": 1},
    )
    assert (second.place, second.member_id, second.waiting_for, second.ranks) == (2, mapped, "premium", {"premium": 2})
    assert (first.since, second.since) == (began + timedelta(seconds=1), began + timedelta(seconds=2))
    assert first.because == "no mapping applies and every seat is taken; waits in line"
    assert second.because == "the group Engineering gives Premium, and every Premium seat is taken; waits in line"


def deactivate(customer: Customer, holder: MemberId) -> None:
    with customer.unit(customer.directory) as unit:
        member = get_member(unit, holder)
        update_member(unit, member, PersonDraft(member.user_name, active=False))


def delete(customer: Customer, holder: MemberId) -> None:
    with customer.unit(customer.directory) as unit:
        remove_member(unit, get_member(unit, holder))


def turn_off(customer: Customer, holder: MemberId) -> None:
    with customer.unit(customer.owner) as unit:
        turn_off_member(unit, holder)


def reassign(customer: Customer, holder: MemberId) -> None:
    with customer.unit(customer.owner) as unit:
        assign_tier(unit, holder, "unassigned")


def buy(customer: Customer, _: MemberId) -> None:
    with customer.unit(customer.owner) as unit:
        change_seats(unit, {"premium": 1})


def change_the_rules(customer: Customer, holder: MemberId) -> None:
    map_group(customer, [holder], "unassigned")


def leave_the_group(customer: Customer, holder: MemberId) -> None:
    with customer.unit(customer.directory) as unit:
        group = create_group(unit, customer.connection_id, GroupDraft("Sales"), [str(holder)])
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 1, "rules": [{"group": "Sales", "tier": "premium"}]})
        apply_mappings(unit, preview.id, acknowledged=True)
    with customer.unit(customer.directory) as unit:
        change_members(unit, unit.session.merge(group), add=[], remove=[str(holder)])


@pytest.mark.parametrize(
    "free",
    [deactivate, delete, turn_off, reassign, buy, change_the_rules, leave_the_group],
    ids=lambda free: free.__name__,
)
def test_s2_whoever_waits_longest_has_the_seat_however_it_came(
    make_customer: MakeCustomer, clock: SettableClock, free: Callable[[Customer, MemberId], None]
) -> None:
    customer = make_customer(premium=1, standard=0)
    holder, first, second = arrive(customer, clock, "holder", "first", "second")

    free(customer, holder)

    assert (tier_of(customer, first), tier_of(customer, second)) == ("premium", None)
    with customer.unit() as unit:
        assert reconcile_pools(unit) == []


def test_d4_seats_taken_back_before_they_lapse_go_to_the_line(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=2, standard=0)
    arrive(customer, clock, "holder")
    with customer.unit(customer.owner) as unit:
        change_seats(unit, {"premium": -1})
    first, second = arrive(customer, clock, "first", "second")

    with customer.unit(customer.owner) as unit:
        done = change_seats(unit, {"premium": 1})

    assert (done.invoice, done.promoted) == (None, (first,))
    assert (tier_of(customer, first), tier_of(customer, second)) == ("premium", None)


def test_case_c8_seats_bought_go_to_the_line_in_its_order_once(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=0, standard=0)
    first, second, third = arrive(customer, clock, "first", "second", "third")

    with customer.unit(customer.owner) as unit:
        done = change_seats(unit, {"premium": 2})

    assert done.promoted == (first, second)
    assert line(customer) == [third]


def test_whoever_is_moved_to_the_front_is_served_next_and_the_wait_keeps_its_beginning(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=1, standard=0)
    holder, first, second, third = arrive(customer, clock, "holder", "first", "second", "third")
    with customer.unit() as unit:
        since = {one.member_id: one.since for one in list_waiting(unit)}

    with customer.unit(customer.owner) as unit:
        move_to_front(unit, third, "starts on Monday")

    assert line(customer) == [third, first, second]
    with customer.unit() as unit:
        moved = list_waiting(unit)[0]
    assert (moved.moved, moved.since) == (True, since[third])
    delete(customer, holder)
    with customer.unit() as unit:
        member = get_member(unit, third)
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "seat.moved_to_front")).one()
    assert (member.tier, member.waiting_since, member.waited_from) == ("premium", None, None)
    assert entry.body == {"waiting_for": "any", "why": "starts on Monday"}
    assert entry.actor == f"member:{customer.owner_id}"


def test_the_last_one_moved_to_the_front_stands_before_those_moved_earlier(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=0, standard=0)
    first, second, third = arrive(customer, clock, "first", "second", "third")

    for member_id in (second, third, third):
        with customer.unit(customer.owner) as unit:
            move_to_front(unit, member_id, "urgent")

    assert line(customer) == [third, second, first]


def test_whoever_is_taken_out_of_line_keeps_the_seat_and_groups_do_not_put_them_back(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=1, standard=1)
    _, person = arrive(customer, clock, "holder", "person")
    map_group(customer, [person])
    assert line(customer) == [person]

    with customer.unit(customer.owner) as unit:
        leave_line(unit, person, "standard is enough")

    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Others"), [str(person)])
    with customer.unit() as unit:
        member = get_member(unit, person)
        assert verify(unit) is None
    assert (member.tier, member.waiting_for, member.pinned) == ("standard", None, True)
    assert line(customer) == []


@pytest.mark.parametrize("change", [move_to_front, leave_line])
def test_z2_members_do_not_change_the_line_and_a_reason_is_needed(
    make_customer: MakeCustomer, clock: SettableClock, change: Callable[..., None]
) -> None:
    customer = make_customer(premium=1, standard=0)
    holder, waits = arrive(customer, clock, "holder", "waits")

    with pytest.raises(ForbiddenError), customer.unit(Actor(ActorKind.MEMBER, waits, Role.MEMBER)) as unit:
        change(unit, waits, "me first")
    with pytest.raises(InvalidInputError, match="why"), customer.unit(customer.owner) as unit:
        change(unit, waits, " ")
    with pytest.raises(NotWaitingError), customer.unit(customer.owner) as unit:
        change(unit, holder, "mistaken")


def test_nobody_is_evicted_for_somebody_in_line(make_customer: MakeCustomer, clock: SettableClock) -> None:
    customer = make_customer(premium=1, standard=0)
    holder, waits = arrive(customer, clock, "holder", "waits")

    with customer.unit(customer.owner) as unit:
        move_to_front(unit, waits, "urgent")

    assert (tier_of(customer, holder), tier_of(customer, waits)) == ("premium", None)


class TestSwap:
    def swap(self, customer: Customer, first: MemberId, second: MemberId) -> None:
        with customer.unit(customer.owner) as unit:
            preview = preview_swap(unit, first, second)
        with customer.unit(customer.owner) as unit:
            confirm_swap(unit, preview.id)

    def test_s4_two_members_exchange_full_tiers_for_nothing(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=1, standard=1)
        first, second = arrive(customer, clock, "first", "second")

        self.swap(customer, first, second)

        assert (tier_of(customer, first), tier_of(customer, second)) == ("standard", "premium")
        with customer.unit() as unit:
            entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "seats.swapped")).one()
            reasons = unit.session.scalars(
                select(AuditEntry.reason).where(AuditEntry.seq > entry.seq).order_by(AuditEntry.seq)
            ).all()
            assert reconcile_pools(unit) == []
            assert verify(unit) is None
        assert (entry.subject_id, entry.body) == (
            str(first),
            {"with": str(second), "gives": "premium", "gets": "standard"},
        )
        assert reasons == ["swapped", "swapped"]

    def test_a_holder_gives_the_seat_to_a_chosen_person_in_line(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=1, standard=0)
        holder, first, chosen = arrive(customer, clock, "holder", "first", "chosen")

        self.swap(customer, holder, chosen)

        assert (tier_of(customer, holder), tier_of(customer, chosen)) == (None, "premium")
        assert line(customer) == [first]

    def test_a_repeated_confirmation_swaps_once(self, make_customer: MakeCustomer, clock: SettableClock) -> None:
        customer = make_customer(premium=1, standard=1)
        first, second = arrive(customer, clock, "first", "second")
        with customer.unit(customer.owner) as unit:
            preview = preview_swap(unit, first, second)

        for _ in range(2):
            with customer.unit(customer.owner) as unit:
                confirm_swap(unit, preview.id)

        assert (tier_of(customer, first), tier_of(customer, second)) == ("standard", "premium")

    def test_what_cannot_be_swapped_is_refused_by_a_code_of_its_own(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=2, standard=1)
        first, same, gone, member = arrive(customer, clock, "first", "same", "gone", "member")
        turn_off(customer, gone)
        codes = []

        for pair in ((first, same), (first, gone), (first, first)):
            with pytest.raises(BridgeError) as refused, customer.unit(customer.owner) as unit:
                preview_swap(unit, *pair)
            codes.append(refused.value.code)
        with pytest.raises(ForbiddenError), customer.unit(Actor(ActorKind.MEMBER, member, Role.MEMBER)) as unit:
            preview_swap(unit, first, member)

        assert codes == ["same_tier", "member_inactive", "invalid_input"]

    def test_a_plan_without_seats_has_nothing_to_swap(self, make_customer: MakeCustomer) -> None:
        customer = make_customer(fee=FeeDraft(annual_fee=1_000_000, tier="Blue", paid_users=10))
        first, second = customer.push("a@nordlys.test").id, customer.push("b@nordlys.test").id

        with pytest.raises(InvalidChangeError, match="not sold by seats"), customer.unit(customer.owner) as unit:
            preview_swap(unit, first, second)

    def test_a_preview_of_seats_that_changed_meanwhile_is_stale(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=1, standard=1)
        first, second = arrive(customer, clock, "first", "second")
        with customer.unit(customer.owner) as unit:
            preview = preview_swap(unit, first, second)
        reassign(customer, second)

        with pytest.raises(PreviewStaleError), customer.unit(customer.owner) as unit:
            confirm_swap(unit, preview.id)

        with customer.unit() as unit:
            seats = unit.session.scalars(select(Member.tier).where(Member.id.in_([first, second]))).all()
        assert sorted(seats, key=str) == [None, "premium"]
