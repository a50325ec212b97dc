"""Who may do what, by role (rules Z1 to Z4)."""

import pytest

from bridge.domain.roles import Permission, Role, may

OWNERS = {Role.PRIMARY_OWNER, Role.OWNER}


def allowed(permission: Permission) -> set[Role]:
    return {role for role in Role if may(role, permission)}


@pytest.mark.parametrize("permission", [Permission.MANAGE_BILLING, Permission.SEE_BILLING, Permission.DECIDE_HOLDS])
def test_z1_what_costs_and_what_the_brake_holds_is_the_owners(permission: Permission) -> None:
    assert allowed(permission) == OWNERS


@pytest.mark.parametrize("permission", [Permission.ASSIGN_SEATS, Permission.EDIT_MAPPINGS])
def test_z2_administrators_reassign_tiers_and_edit_mappings(permission: Permission) -> None:
    assert allowed(permission) == OWNERS | {Role.ADMIN}


def test_z3_administrators_remove_people() -> None:
    assert allowed(Permission.MANAGE_PEOPLE) == OWNERS | {Role.ADMIN}


def test_a9_administrators_switch_the_provisioning_mode() -> None:
    assert allowed(Permission.SWITCH_PROVISIONING) == OWNERS | {Role.ADMIN}


def test_z4_members_may_nothing_at_all() -> None:
    assert [permission for permission in Permission if may(Role.MEMBER, permission)] == []
