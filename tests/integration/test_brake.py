"""The brake: what a directory does to many people at once waits for an owner, and only that."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.brake import HeldEffect, HoldState, Thresholds
from bridge.domain.identifiers import GroupId, MemberId
from bridge.domain.roles import Role
from bridge.errors import (
    ForbiddenError,
    HoldChangedError,
    HoldDecidedError,
    IdempotencyConflictError,
    InvalidInputError,
)
from bridge.store.departed import departed_from
from bridge.store.directory import get_connection, get_group, get_member
from bridge.store.journal import verify
from bridge.store.models import Alert, AuditEntry, Delivery, Member
from bridge.usecases.assign_seats import assign_tier
from bridge.usecases.brake import set_thresholds, thresholds_of
from bridge.usecases.decide_holds import Decided, drop_hold, release_hold, remind_of_hold
from bridge.usecases.explain import explain_member
from bridge.usecases.people_by_hand import turn_off_member
from bridge.usecases.preview_holds import preview_release
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, remove_member, update_member
from bridge.usecases.read_holds import HoldView, held_people, open_holds
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.sign_in import admit
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group, remove_group
from tests.conftest import SettableClock
from tests.factories import Customer, set_brake
from tests.integration.test_memberships import put_in_force
from tests.sign_ins import asserted, trust
from tests.web import make_admin

RULES: dict[str, Any] = {
    "schema": 1,
    "default": "unassigned",
    "rules": [
        {"group": "Board", "expected": True, "tier": "premium"},
        {"group": "Staff", "expected": True, "tier": "standard"},
    ],
}


@pytest.fixture
def customer(make_customer: Callable[..., Customer]) -> Customer:
    """Ten people of the Staff group on Standard, one owner: with 11 active people five effects are allowed."""
    customer = make_customer(premium=3, standard=12)
    put_in_force(customer, RULES)
    return customer


@pytest.fixture
def people(customer: Customer) -> list[MemberId]:
    return [customer.push(f"p{index}@nordlys.test", displayName=f"Person {index}").id for index in range(10)]


@pytest.fixture
def staff(customer: Customer, people: list[MemberId]) -> GroupId:
    with customer.unit(customer.directory) as unit:
        return create_group(unit, customer.connection_id, GroupDraft("Staff"), texts(people)).id


def texts(ids: Collection[MemberId]) -> list[str]:
    return [str(member_id) for member_id in ids]


def say_active(customer: Customer, member_id: MemberId, active: bool, **document: Any) -> None:  # noqa: FBT001 (what is said)
    with customer.unit(customer.directory) as unit:
        member = get_member(unit, member_id)
        update_member(unit, member, PersonDraft(member.user_name, active=active, document=member.document | document))


def delete(customer: Customer, member_id: MemberId) -> None:
    with customer.unit(customer.directory) as unit:
        assert remove_member(unit, get_member(unit, member_id))


def empty(customer: Customer, group_id: GroupId) -> None:
    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, group_id), replace=())


def refill(customer: Customer, group_id: GroupId, ids: Collection[MemberId]) -> None:
    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, group_id), add=texts(ids))


def active(customer: Customer) -> int:
    """Count the active people but the owner."""
    with customer.unit() as unit:
        return (unit.session.scalar(select(func.count()).select_from(Member).where(Member.active)) or 0) - 1


def seated(customer: Customer) -> int:
    with customer.unit() as unit:
        assert reconcile_pools(unit) == []
        assert verify(unit) is None
        return unit.session.scalar(select(func.count()).select_from(Member).where(Member.tier.is_not(None))) or 0


def hold_of(customer: Customer) -> HoldView | None:
    with customer.unit() as unit:
        return next(iter(open_holds(unit)), None)


def the_hold(customer: Customer) -> HoldView:
    hold = hold_of(customer)
    assert hold is not None
    return hold


def release(customer: Customer, actor: Actor | None = None, **facts: Any) -> Decided:
    hold = the_hold(customer)
    with customer.unit(actor or customer.owner) as unit:
        return release_hold(unit, hold.id, revision=hold.revision, reason="They really left", **facts)


def drop(customer: Customer) -> Decided:
    hold = the_hold(customer)
    with customer.unit(customer.owner) as unit:
        return drop_hold(unit, hold.id, revision=hold.revision, reason="A wrong filter at the IdP")


def actions(customer: Customer) -> list[tuple[str, str]]:
    with customer.unit() as unit:
        entries = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.action.like("brake.%")).order_by(AuditEntry.seq)
        )
        return [(entry.action, entry.reason) for entry in entries]


def test_single_leavers_lose_access_at_once_and_the_sixth_within_ten_minutes_is_held(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    """Of 11 active people max(5, 20 % = 2) = 5 may go."""
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)

    assert active(customer) == 5
    assert seated(customer) == 5
    hold = the_hold(customer)
    assert hold.people == {HeldEffect.TURN_OFF: 1}
    assert (hold.counted, hold.allowed, hold.window_minutes) == (6, 5, 10)
    assert hold.sentence == ("Okta would have let go or moved 6 people within 10 minutes, more than the 5 allowed.")


def test_whoever_is_held_keeps_the_seat_while_the_directory_reads_what_it_wrote(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)

    with customer.unit() as unit:
        held = get_member(unit, people[5])
        assert (held.active, held.tier, held.is_on, held.document["active"]) == (True, "standard", False, False)
        explained = explain_member(unit, people[5])
    assert explained.held == (
        f"Okta turned off Person 5 on {held.modified_at:%Y-%m-%d at %H:%M} UTC; held for an owner's decision."
    )


def test_after_ten_quiet_minutes_single_leavers_lose_access_at_once_again(
    customer: Customer, people: list[MemberId], staff: GroupId, clock: SettableClock
) -> None:
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)
    clock.at += timedelta(minutes=11)

    say_active(customer, people[6], active=False)

    assert active(customer) == 4
    assert the_hold(customer).number == 1


def test_an_emptied_group_is_held_whole_and_single_members_are_not(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, staff), remove=texts(people[:2]))
    assert seated(customer) == 8

    empty(customer, staff)

    assert seated(customer) == 8
    assert the_hold(customer).people == {HeldEffect.RESEAT: 8}
    with customer.unit() as unit:
        assert get_group(unit, staff).version == 3


def test_a_deleted_group_is_held(customer: Customer, people: list[MemberId], staff: GroupId) -> None:
    with customer.unit(customer.directory) as unit:
        remove_group(unit, get_group(unit, staff))

    assert the_hold(customer).people == {HeldEffect.RESEAT: 10}
    assert seated(customer) == 10


def test_moves_between_tiers_are_held_upwards_too(customer: Customer, people: list[MemberId], staff: GroupId) -> None:
    set_brake(customer, minimum=2, share=1)

    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Board"), texts(people[:3]))

    assert the_hold(customer).people == {HeldEffect.RESEAT: 3}
    with customer.unit() as unit:
        assert {get_member(unit, member_id).tier for member_id in people} == {"standard"}


def test_groups_inside_a_mapped_group_are_held_as_well(customer: Customer, people: list[MemberId]) -> None:
    with customer.unit(customer.directory) as unit:
        inner = create_group(unit, customer.connection_id, GroupDraft("Team"), texts(people)).id
        outer = create_group(unit, customer.connection_id, GroupDraft("Staff"), [str(inner)]).id
    assert seated(customer) == 10

    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, outer), remove=[str(inner)])

    assert seated(customer) == 10
    assert the_hold(customer).number == 10


def test_a_group_that_is_filled_again_dissolves_the_hold_without_anybody(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    empty(customer, staff)

    refill(customer, staff, people[:4])
    assert the_hold(customer).number == 6
    refill(customer, staff, people)

    assert hold_of(customer) is None
    assert seated(customer) == 10
    assert [action for action, _ in actions(customer)][-1] == "brake.dissolved"
    with customer.unit() as unit:
        assert not unit.session.scalars(select(Alert).where(Alert.resolved_at.is_(None))).all()


def test_turning_somebody_on_again_takes_them_out_of_the_hold(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:7]:
        say_active(customer, member_id, active=False)

    say_active(customer, people[6], active=True)

    assert the_hold(customer).number == 1
    with customer.unit() as unit:
        back = get_member(unit, people[6])
        assert (back.is_on, back.hold_id, back.tier) == (True, None, "standard")


def test_a_held_deletion_is_gone_for_the_directory_and_comes_back_as_the_same_person(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:6]:
        delete(customer, member_id)
    with customer.unit() as unit:
        held = get_member(unit, people[5])
        assert held.connection_id == departed_from(customer.connection_id)
        assert (held.active, held.tier) == (True, "standard")
    assert the_hold(customer).people == {HeldEffect.REMOVE: 1}

    with customer.unit(customer.directory) as unit:
        pushed = provision_member(
            unit, customer.connection_id, PersonDraft("P5@nordlys.test", external_id="new"), Source.SCIM
        )

    assert pushed.id == people[5]
    assert hold_of(customer) is None
    with customer.unit() as unit:
        back = get_member(unit, people[5])
        assert (back.connection_id, back.tier, unit.state().has_departed) == (customer.connection_id, "standard", False)


def test_a_held_leaver_who_is_deleted_then_is_held_as_deleted(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)

    delete(customer, people[5])

    assert the_hold(customer).people == {HeldEffect.REMOVE: 1}


def test_a_deleted_namesake_of_somebody_put_aside_is_put_aside_too(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:6]:
        delete(customer, member_id)
    say_name = PersonDraft("p5@nordlys.test")
    with customer.unit(customer.directory) as unit:
        update_member(unit, get_member(unit, people[6]), say_name)

    delete(customer, people[6])

    assert the_hold(customer).people == {HeldEffect.REMOVE: 2}


def test_release_does_to_everybody_at_once_what_was_said(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)
    for member_id in people[6:8]:
        delete(customer, member_id)
    empty(customer, staff)

    done = release(customer)

    assert (done.state, done.people, done.turned_off, done.removed, done.resettled) == (HoldState.RELEASED, 5, 1, 2, 2)
    assert hold_of(customer) is None
    assert active(customer) == 2
    assert seated(customer) == 0
    with customer.unit() as unit:
        assert unit.session.get(Member, (customer.org_id, people[6])) is None
        assert not unit.state().has_departed
        assert not get_member(unit, people[5]).said_off
    assert actions(customer)[-1] == ("brake.released", "by_hand")


def test_release_serves_who_waits(customer: Customer, people: list[MemberId], staff: GroupId) -> None:
    """12 Standard seats, 10 taken: two of four newcomers get one, two wait for the leavers' seats."""
    late = [customer.push(f"late{index}@nordlys.test").id for index in range(4)]
    refill(customer, staff, late)
    for member_id in people[:5]:
        say_active(customer, member_id, active=False)
    assert seated(customer) == 9  # 14 - 5 leavers: those who waited took two of the five freed seats
    later = [customer.push(f"later{index}@nordlys.test").id for index in range(5)]
    refill(customer, staff, later)
    assert seated(customer) == 12
    for member_id in people[5:8]:
        say_active(customer, member_id, active=False)
    assert seated(customer) == 12

    hold = the_hold(customer)
    with customer.unit(customer.owner) as unit:
        preview = preview_release(unit, hold.id)
    done = release(customer)

    assert [one.member_id for one in preview.promoted] == sorted(later)[3:]
    assert [(use.tier, use.before, use.after) for use in preview.seats] == [("premium", 0, 0), ("standard", 12, 11)]
    assert done.promoted == 2
    assert seated(customer) == 11


def test_a_preview_shows_who_loses_what_and_the_next_bill_and_changes_nothing(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    empty(customer, staff)
    hold = the_hold(customer)

    with customer.unit(customer.owner) as unit:
        before = unit.lock().audit_seq
        preview = preview_release(unit, hold.id)
        assert unit.lock().audit_seq == before

    assert [(one.display_name, one.from_tier, one.to_tier) for one in preview.people] == [
        (f"Person {index}", "standard", None) for index in range(10)
    ]
    assert preview.renewal_before is not None
    assert preview.renewal_before == preview.renewal_after  # a team plan bills the allocation (rule R1)
    assert seated(customer) == 10
    assert the_hold(customer) == hold


def test_a_dropped_hold_changes_nothing_until_the_directory_says_something_new(
    customer: Customer, people: list[MemberId], staff: GroupId, clock: SettableClock
) -> None:
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)
    done = drop(customer)
    assert (done.state, done.people) == (HoldState.DROPPED, 1)
    clock.at += timedelta(minutes=11)

    say_active(customer, people[5], active=False, title="Clerk")
    with customer.unit() as unit:
        kept = get_member(unit, people[5])
        assert (kept.active, kept.is_on, kept.tier) == (True, False, "standard")
        told = explain_member(unit, people[5]).held
    say_active(customer, people[5], active=True)
    say_active(customer, people[5], active=False)

    assert told is not None
    assert told.endswith(
        "Olga Owner dropped that on " + f"{clock.at - timedelta(minutes=11):%Y-%m-%d}, so nothing has changed here."
    )
    assert active(customer) == 4
    assert hold_of(customer) is None


def test_a_dropped_change_of_groups_outlives_a_new_name_and_ends_with_a_fact_that_rules_ask_for(
    customer: Customer, people: list[MemberId], staff: GroupId, clock: SettableClock
) -> None:
    asking = {"attribute": "title", "equals": "Head", "tier": "premium"}
    put_in_force(customer, RULES | {"rules": [*RULES["rules"], asking]})
    empty(customer, staff)
    drop(customer)
    clock.at += timedelta(minutes=30)

    say_active(customer, people[0], active=True, displayName="Renamed", locale="nb")
    after_new_name = seated(customer)
    say_active(customer, people[0], active=True, title="Head")
    say_active(customer, people[1], active=True, title="Clerk")

    assert after_new_name == 10
    with customer.unit() as unit:
        assert [get_member(unit, each).tier for each in people[:3]] == ["premium", None, "standard"]
    assert seated(customer) == 9


def test_a_dropped_deletion_that_is_pushed_again_outlives_a_new_title(
    customer: Customer, people: list[MemberId], staff: GroupId, clock: SettableClock
) -> None:
    for member_id in people[:6]:
        delete(customer, member_id)
    drop(customer)
    clock.at += timedelta(minutes=30)
    with customer.unit(customer.directory) as unit:
        provision_member(unit, customer.connection_id, PersonDraft("p5@nordlys.test"), Source.SCIM)

    say_active(customer, people[5], active=True, title="Clerk")

    with customer.unit() as unit:
        assert get_member(unit, people[5]).tier == "standard"


def test_the_same_sign_in_again_leaves_a_dropped_change_of_groups_dropped(
    customer: Customer, clock: SettableClock
) -> None:
    def sign_in(name: str, *groups: str) -> MemberId:
        subject = asserted(customer, f"{name}@nordlys.test", None, groups=frozenset(groups))
        with customer.unit(Actor(ActorKind.SIGN_IN, customer.connection_id)) as unit:
            return admit(unit, subject).member.id

    trust(customer)
    with customer.unit() as unit:
        get_connection(unit, customer.connection_id).jit_enabled = True
    people = [sign_in(f"j{index}", "Staff") for index in range(10)]
    for index in range(10):
        sign_in(f"j{index}")
    held = drop(customer).people
    left = seated(customer)
    clock.at += timedelta(minutes=30)

    sign_in("j9")
    after_sign_in = seated(customer)
    say_active(customer, people[9], active=True, displayName="Managed by the directory from now on")

    assert held > 0
    assert (after_sign_in, seated(customer)) == (left, left - 1)


def test_dropping_does_not_make_room_for_more_but_releasing_does(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)
    drop(customer)
    say_active(customer, people[6], active=False)
    assert active(customer) == 5

    release(customer)
    say_active(customer, people[7], active=False)

    assert active(customer) == 3
    assert hold_of(customer) is None


def test_what_an_admin_does_by_hand_is_never_held_and_settles_what_is(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:7]:
        say_active(customer, member_id, active=False)
    with customer.unit(customer.owner) as unit:
        for member_id in people[5:]:
            turn_off_member(unit, member_id)

    assert active(customer) == 0
    assert hold_of(customer) is None


def test_placing_somebody_by_hand_settles_what_their_groups_were_to_change(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    empty(customer, staff)
    with customer.unit(customer.owner) as unit:
        assign_tier(unit, people[0], "premium")

    done = release(customer)

    assert done.people == 9

    with customer.unit() as unit:
        assert get_member(unit, people[0]).tier == "premium"
    assert seated(customer) == 1


def test_changed_mappings_leave_those_under_a_hold_as_they_are(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    """Rule A8 reaches them with the release."""
    empty(customer, staff)

    put_in_force(
        customer,
        {"schema": 1, "default": "unassigned", "rules": [{"group": "Board", "expected": True, "tier": "premium"}]},
    )

    assert seated(customer) == 10
    assert release(customer).resettled == 10
    assert seated(customer) == 0


def test_only_an_owner_decides(customer: Customer, people: list[MemberId], staff: GroupId) -> None:
    """Rule Z1."""
    empty(customer, staff)
    admin = Actor(ActorKind.MEMBER, make_admin(customer).id, Role.ADMIN)

    with pytest.raises(ForbiddenError):
        release(customer, admin)
    with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
        set_thresholds(unit, Thresholds(minimum=100))


def test_nobody_decides_about_people_they_have_not_seen(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    for member_id in people[:6]:
        say_active(customer, member_id, active=False)
    seen = the_hold(customer)
    say_active(customer, people[6], active=False)

    with pytest.raises(HoldChangedError), customer.unit(customer.owner) as unit:
        release_hold(unit, seen.id, revision=seen.revision, reason="They left")

    assert the_hold(customer).number == 2


def test_a_decision_needs_a_reason_is_made_once_and_a_repeated_key_answers_the_same(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    """Rule Q5."""
    empty(customer, staff)
    hold = the_hold(customer)
    with pytest.raises(InvalidInputError), customer.unit(customer.owner) as unit:
        release_hold(unit, hold.id, revision=hold.revision, reason=" ")

    first = release(customer, key="k")
    with customer.unit(customer.owner) as unit:
        again = release_hold(unit, hold.id, revision=hold.revision, reason="They really left", key="k")
    with pytest.raises(IdempotencyConflictError), customer.unit(customer.owner) as unit:
        drop_hold(unit, hold.id, revision=hold.revision, reason="They really left", key="k")
    with pytest.raises(HoldDecidedError), customer.unit(customer.owner) as unit:
        drop_hold(unit, hold.id, revision=hold.revision, reason="Too late")

    assert again == first


def test_somebody_who_has_become_an_owner_is_spared_by_the_release(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    """T11."""
    for member_id in people[:7]:
        say_active(customer, member_id, active=False)
    with customer.unit(customer.owner) as unit:
        get_member(unit, people[5]).role = "owner"

    done = release(customer)

    assert (done.people, done.turned_off) == (1, 1)
    with customer.unit() as unit:
        assert get_member(unit, people[5]).active


def test_the_owners_are_told_once_for_each_hold_and_reminded_daily(
    customer: Customer, people: list[MemberId], staff: GroupId, clock: SettableClock
) -> None:
    empty(customer, staff)
    for member_id in people:
        say_active(customer, member_id, active=False)

    def mails() -> list[str]:
        with customer.unit() as unit:
            return list(
                unit.session.scalars(
                    select(Delivery.kind).where(Delivery.kind != "invoice_mail").order_by(Delivery.created_at)
                )
            )

    assert mails() == ["alert_mail"]
    with customer.unit() as unit:
        assert not remind_of_hold(unit)
    clock.at += timedelta(days=1)
    with customer.unit() as unit:
        assert remind_of_hold(unit)
        assert not remind_of_hold(unit)
    assert mails() == ["alert_mail", "hold_reminder"]


def test_thresholds_have_bounds_and_their_change_is_kept_in_the_audit(customer: Customer) -> None:
    with pytest.raises(InvalidInputError), customer.unit(customer.owner) as unit:
        set_thresholds(unit, Thresholds(share=0))

    set_brake(customer, minimum=50, share=30, window_minutes=60)

    with customer.unit() as unit:
        assert thresholds_of(unit.state()) == Thresholds(50, 30, 60)
    assert actions(customer) == [("brake.set", "by_hand")]


def test_a_larger_share_lets_more_go(customer: Customer, people: list[MemberId], staff: GroupId) -> None:
    """80 % of 11 active people are 8."""
    set_brake(customer, share=80)

    for member_id in people[:9]:
        say_active(customer, member_id, active=False)

    assert active(customer) == 2
    assert the_hold(customer).number == 1


def test_names_of_those_under_a_hold_can_be_read(customer: Customer, people: list[MemberId], staff: GroupId) -> None:
    empty(customer, staff)

    with customer.unit(customer.owner) as unit:
        found = held_people(unit, the_hold(customer).id)

    assert [one.display_name for one in found] == [f"Person {index}" for index in range(10)]
    assert {one.directory for one in found} == {"Okta"}
