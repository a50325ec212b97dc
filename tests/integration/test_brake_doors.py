"""What a hold keeps, and a drop, is kept at every door: imports, sign-ins, adoption, renewals."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.brake import HeldEffect
from bridge.domain.identifiers import GroupId, MemberId
from bridge.domain.people_files import PeopleFile, read_people
from bridge.errors import InvalidInputError
from bridge.store.directory import get_connection, get_member
from bridge.usecases.import_people import ImportReport, import_people, preview_import
from bridge.usecases.preview_holds import preview_release
from bridge.usecases.provision_member import PersonDraft, Source, add_member, provision_member, update_member
from bridge.usecases.sign_in import admit
from bridge.usecases.sync_groups import GroupDraft, create_group
from tests.conftest import SettableClock
from tests.factories import Customer, loosen_brake, set_brake
from tests.integration.test_brake import delete, drop, empty, hold_of, say_active, texts, the_hold
from tests.integration.test_memberships import put_in_force
from tests.sign_ins import asserted, trust

RULES: dict[str, Any] = {
    "schema": 1,
    "default": "unassigned",
    "rules": [{"group": "Staff", "expected": True, "tier": "premium"}],
}


@pytest.fixture
def customer(make_customer: Callable[..., Customer]) -> Customer:
    """Eight people of the staff on Premium; one effect is allowed."""
    customer = make_customer(premium=8, standard=8)
    put_in_force(customer, RULES)
    return customer


@pytest.fixture
def people(customer: Customer) -> list[MemberId]:
    names = [f"p{index}@nordlys.test" for index in range(8)]
    return [
        customer.push(name, title="Engineer", emails=[{"value": name, "type": "work", "primary": True}]).id
        for name in names
    ]


@pytest.fixture
def staff(customer: Customer, people: list[MemberId]) -> GroupId:
    with customer.unit(customer.directory) as unit:
        return create_group(unit, customer.connection_id, GroupDraft("Staff"), texts(people)).id


def rows(*lines: str) -> PeopleFile:
    return read_people("\n".join(lines).encode())


def imported(customer: Customer, file: PeopleFile) -> ImportReport:
    with customer.unit(customer.owner) as unit:
        shown = preview_import(unit, file, customer.connection_id)
    with customer.unit(customer.owner) as unit:
        import_people(unit, file, customer.connection_id)
    return shown


def sign_in(customer: Customer, name: str, clock: SettableClock) -> MemberId:
    subject = asserted(customer, f"{name}@nordlys.test", None)
    with customer.unit(Actor(ActorKind.SIGN_IN, customer.connection_id)) as unit:
        return admit(unit, subject).member.id


def rename(customer: Customer, member_id: MemberId, name: str) -> None:
    with customer.unit(customer.directory) as unit:
        member = get_member(unit, member_id)
        update_member(unit, member, PersonDraft(f"{name}@nordlys.test", member.external_id))


def test_an_import_of_what_no_rule_looks_at_keeps_the_seats_that_a_drop_kept(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    empty(customer, staff)
    drop(customer)

    shown = imported(customer, rows("userName,title", "p0@nordlys.test,Manager", "p1@nordlys.test,Manager"))

    assert [(one.attributes, one.tier_before, one.tier) for one in shown.effect.changed] == [
        (("title",), "premium", "premium")
    ] * 2
    with customer.unit() as unit:
        assert {get_member(unit, one).tier for one in people} == {"premium"}


def test_an_import_that_says_nothing_of_access_leaves_what_the_directory_said_of_it(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    set_brake(customer, minimum=1, share=1)
    for one in people[:2]:
        say_active(customer, one, active=False)

    shown = imported(customer, rows("userName,title,active", "p1@nordlys.test,Engineer,", "p2@nordlys.test,Engineer,"))

    assert (shown.effect.changed, shown.effect.unchanged) == ((), 2)
    with customer.unit() as unit:
        held = get_member(unit, people[1])
        assert (held.active, held.said_off, held.document["active"]) == (True, True, False)


def test_an_import_turns_somebody_off_whom_the_brake_holds(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    set_brake(customer, minimum=1, share=1)
    for one in people[:2]:
        say_active(customer, one, active=False)

    imported(customer, rows("userName,active", "p1@nordlys.test,false"))

    assert hold_of(customer) is None
    with customer.unit() as unit:
        assert not get_member(unit, people[1]).active


def test_t14_whom_the_directory_gives_a_name_signs_in_by_it_and_not_whom_it_deleted(
    customer: Customer, people: list[MemberId], staff: GroupId, clock: SettableClock
) -> None:
    assert sign_in(customer, "p1", clock) == people[1]
    set_brake(customer, minimum=1, share=1)
    for one in people[:3]:
        delete(customer, one)

    rename(customer, people[7], "p1")
    drop(customer)

    clock.at += timedelta(minutes=1)
    assert sign_in(customer, "p1", clock) == people[7]
    assert sign_in(customer, "p2", clock) == people[2]


def test_a_mass_of_people_whom_a_directory_takes_over_is_counted(
    make_customer: Callable[..., Customer], clock: SettableClock
) -> None:
    customer = make_customer(premium=4, standard=4)
    put_in_force(
        customer,
        {
            "schema": 2,
            "default": "unassigned",
            "rules": [
                {"when": {"not": {"attribute": "title", "equals": "Visitor"}}, "tier": "premium"},
                {"attribute": "title", "equals": "Visitor", "tier": "standard"},
            ],
        },
    )
    loosen_brake(customer)
    with customer.unit() as unit:
        get_connection(unit, customer.connection_id).jit_enabled = True
    trust(customer)
    people = [sign_in(customer, f"p{index}", clock) for index in range(3)]
    set_brake(customer, minimum=1, share=1)

    with customer.unit(customer.directory) as unit:
        for index in range(3):
            draft = PersonDraft(f"p{index}@nordlys.test", document={"title": "Visitor"})
            provision_member(unit, customer.connection_id, draft, Source.SCIM)

    assert the_hold(customer).people == {HeldEffect.RESEAT: 2}
    with customer.unit() as unit:
        assert [get_member(unit, one).tier for one in people] == ["standard", "premium", "premium"]


def test_r7_a_hold_names_the_renewal_that_bills_the_seats_of_who_is_held(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(kind="enterprise", premium=4, standard=0)
    people = [customer.push(f"p{index}@nordlys.test").id for index in range(4)]
    set_brake(customer, minimum=1, share=1)
    for one in people:
        say_active(customer, one, active=False)

    with customer.unit(customer.owner) as unit:
        hold = preview_release(unit, the_hold(customer).id).hold
        boundary = unit.billing.next_renewal()

    assert boundary is not None
    assert hold.deadline is not None
    assert hold.deadline.startswith(
        f"The plan renews on {hold.bills_at:%Y-%m-%d at %H:%M} UTC with the seats in use then"
    )


def test_r7_a_hold_names_no_renewal_of_a_plan_that_renews_what_was_bought(
    customer: Customer, people: list[MemberId], staff: GroupId
) -> None:
    set_brake(customer, minimum=1, share=1)
    for one in people[:2]:
        say_active(customer, one, active=False)

    assert the_hold(customer).deadline is None


@pytest.mark.parametrize("name", ["Ann\tBerg", "Ann\x07", "Ann\nBerg"])
def test_a_person_added_by_hand_has_a_name_that_can_be_printed(customer: Customer, name: str) -> None:
    draft = PersonDraft("ann@nordlys.test", document={"displayName": name})

    with pytest.raises(InvalidInputError, match="printable"), customer.unit(customer.owner) as unit:
        add_member(unit, draft, tier=None)
