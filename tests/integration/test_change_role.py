"""Who may give which role to whom, and that an owner is always left."""

import pytest
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidInputError
from bridge.store.directory import get_group, get_member
from bridge.store.journal import verify
from bridge.store.models import AuditEntry
from bridge.usecases.change_role import change_role
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group
from tests.factories import Customer
from tests.integration.test_memberships import put_in_force


def give(customer: Customer, member_id: MemberId, role: str, by: Actor | None = None) -> str:
    with customer.unit(by or customer.owner) as unit:
        return change_role(unit, member_id, role).role


def test_a_role_given_by_hand_is_audited_with_both_roles(customer: Customer) -> None:
    tove = customer.push("tove@nordlys.test")

    role = give(customer, tove.id, "admin")

    with customer.unit() as unit:
        entry = unit.session.scalars(select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1)).one()
        assert verify(unit) is None
    assert role == Role.ADMIN
    assert (entry.action, entry.reason, entry.body) == (
        "member.role_changed",
        "by_hand",
        {"from": "member", "to": "admin"},
    )


def test_a_role_given_by_hand_that_a_rule_gave_already_is_audited_and_stays_by_hand(customer: Customer) -> None:
    tove = customer.push("tove@nordlys.test")
    with customer.unit(customer.directory) as unit:
        group = create_group(unit, customer.connection_id, GroupDraft("Ops"), [str(tove.id)]).id
    put_in_force(customer, {"schema": 1, "rules": [{"group": "Ops", "role": "admin"}]})

    give(customer, tove.id, "admin")
    give(customer, tove.id, "admin")
    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, group), replace=())

    with customer.unit() as unit:
        found = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "member.role_changed")).all()
        by_hand = [entry.body for entry in found if entry.reason == "by_hand"]
        assert (by_hand, get_member(unit, tove.id).role) == ([{"from": "admin", "to": "admin"}], "admin")


def test_a_rule_does_not_take_over_the_same_role_that_was_given_by_hand(customer: Customer) -> None:
    tove = customer.push("tove@nordlys.test")
    put_in_force(
        customer, {"schema": 1, "rules": [{"group": "Ops", "expected": True, "connection": "Okta", "role": "admin"}]}
    )
    give(customer, tove.id, "admin")
    with customer.unit(customer.directory) as unit:
        group = create_group(unit, customer.connection_id, GroupDraft("Ops"), [str(tove.id)]).id

    with customer.unit(customer.directory) as unit:
        change_members(unit, get_group(unit, group), replace=())

    with customer.unit() as unit:
        assert get_member(unit, tove.id).role == "admin"


@pytest.mark.parametrize("role", ["primary_owner", "king", ""])
def test_only_owner_admin_and_member_can_be_given(customer: Customer, role: str) -> None:
    tove = customer.push("tove@nordlys.test")

    with pytest.raises(InvalidInputError, match="must be one of owner, admin, member"):
        give(customer, tove.id, role)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
def test_only_owners_give_roles(customer: Customer, role: Role) -> None:
    tove = customer.push("tove@nordlys.test")

    with pytest.raises(ForbiddenError):
        give(customer, tove.id, "owner", by=Actor(ActorKind.MEMBER, tove.id, role))


def test_the_last_owner_stays_owner(customer: Customer) -> None:
    with pytest.raises(InvalidInputError, match="last owner"):
        give(customer, customer.owner_id, "admin")


def test_the_primary_owner_steps_down_by_their_own_hand_once_there_is_another_owner(customer: Customer) -> None:
    tove = customer.push("tove@nordlys.test")
    give(customer, tove.id, "owner")

    with pytest.raises(InvalidInputError, match="by their own hand"):
        give(customer, customer.owner_id, "member", by=Actor(ActorKind.MEMBER, tove.id, Role.OWNER))
    stepped_down = give(customer, customer.owner_id, "member")

    assert stepped_down == Role.MEMBER
    with pytest.raises(InvalidInputError, match="last owner"):
        give(customer, tove.id, "admin", by=Actor(ActorKind.MEMBER, tove.id, Role.OWNER))


def test_an_owner_stays_owner_when_owner_is_given_again(customer: Customer) -> None:
    assert give(customer, customer.owner_id, "owner") == Role.PRIMARY_OWNER


def test_who_is_turned_off_does_not_become_an_owner(customer: Customer) -> None:
    tove = customer.push("tove@nordlys.test")
    with customer.unit() as unit:
        get_member(unit, tove.id).active = False

    with pytest.raises(InvalidInputError, match="turn it on first"):
        give(customer, tove.id, "owner")
