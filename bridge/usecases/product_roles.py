"""Users by role: who has which role in the product, at no cost (rules U1, U2, U3 and B5)."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from bridge.domain.identifiers import MemberId
from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE
from bridge.domain.product_roles import BUILT_IN, ProductRole, checked_role, checked_roles, is_paid
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, InvalidInputError
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import Contract, Member, ProductRoleHolder
from bridge.store.models import ProductRole as StoredRole
from bridge.store.pools import read_pools
from bridge.store.teams import find_licence_plan
from bridge.store.unit import Unit
from bridge.usecases.held_roles import known_roles, roles_of
from bridge.usecases.manage_access import reactivate_member
from bridge.usecases.people_by_hand import turn_off_member
from bridge.usecases.provision_member import PersonDraft, add_member, checked_user_name
from bridge.usecases.tier_review import review_tier

MAX_CUSTOM_ROLES = 100


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a role in the product; ``roles`` stand in the order of :func:`list_roles`."""

    member_id: MemberId
    user_name: str
    display_name: str
    active: bool
    roles: tuple[str, ...]
    paid: bool


def list_roles(unit: Unit) -> tuple[ProductRole, ...]:
    """List the roles people may have: the built-in ones, then the organization's own by key (rules U1, B5).

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    return tuple(known_roles(unit).values())


def define_role(unit: Unit, key: str, name: str, permissions: Iterable[str], *, paid: bool) -> ProductRole:
    """Define a custom role of the organization, or define it anew: its holders are paid or free from then on.

    Args:
        unit: The unit.
        key: Its stable code.
        name: What people read.
        permissions: Codes that the product knows.
        paid: Whether it makes its holder a paid user.

    Raises:
        ForbiddenError: The actor is no owner.
        InvalidInputError: A field is not possible, the role is built in, or there are too many.
        InvalidChangeError: The plan is sold in another way.

    Source: rule B5.
    """
    unit.require(Permission.DEFINE_PRODUCT_ROLES)
    unit.lock()
    _require_fixed_fee(unit)
    role = checked_role(key, name, permissions, paid=paid)
    stored = unit.session.get(StoredRole, (unit.org_id, role.key), populate_existing=True)
    if stored is None:
        if len(known_roles(unit)) - len(BUILT_IN) >= MAX_CUSTOM_ROLES:
            raise InvalidInputError("role", f"an organization defines at most {MAX_CUSTOM_ROLES} roles of its own")
        stored = StoredRole(
            org_id=unit.org_id, key=role.key, name=role.name, permissions=[], paid=paid, created_at=unit.at
        )
        unit.session.add(stored)
    elif (stored.name, tuple(stored.permissions), stored.paid) == (role.name, role.permissions, role.paid):
        return role
    stored.name, stored.permissions, stored.paid = role.name, list(role.permissions), role.paid
    record(
        unit,
        "product_role.defined",
        subject_kind="product_role",
        subject_id=role.key,
        reason="by_hand",
        body={"permissions": list(role.permissions), "paid": role.paid},
    )
    unit.session.flush()
    review_tier(unit)
    return role


def add_user(unit: Unit, draft: PersonDraft, roles: Iterable[str], *, member_id: MemberId | None = None) -> Member:
    """Let a person use the product in some roles; it costs nothing (rule U2).

    Somebody who was removed before is let in again, with these roles.

    Args:
        unit: The unit.
        draft: Who.
        roles: At least one.
        member_id: As for :func:`bridge.usecases.provision_member.provision_member`.

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: No role, an unknown one, or something of the person is not possible.
        InvalidChangeError: The plan is sold by seats.
        UniquenessError: The userName is taken by somebody who has access.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    _require_fixed_fee(unit)
    wanted = checked_roles(roles, known_roles(unit))
    if not wanted:
        raise InvalidInputError("roles", "a user has at least one role")
    member = _removed(unit, draft.user_name)
    if member is None:
        member = add_member(unit, draft, tier=None, member_id=member_id)
        _give(unit, member, wanted)
    else:
        _give(unit, member, wanted, review=False)
        reactivate_member(unit, member, reason="by_hand")
    return member


def change_roles(unit: Unit, member_id: MemberId, roles: Iterable[str]) -> Member:
    """Give a person these roles in the product instead of those they have; it costs nothing (rule U2).

    With none they stay a person of the organization and are no user of the product. What a directory pushes leaves
    them alone.

    Raises:
        ForbiddenError: The actor may not give roles.
        InvalidInputError: One is not known.
        InvalidChangeError: The plan is sold by seats.
        NotFoundError: There is no such member here.
    """
    unit.require(Permission.ASSIGN_PRODUCT_ROLES)
    unit.lock()
    _require_fixed_fee(unit)
    member = get_member(unit, member_id)
    _give(unit, member, checked_roles(roles, known_roles(unit)))
    return member


def remove_user(unit: Unit, member_id: MemberId) -> Member:
    """Take the product from a person: access is off and sessions end, data and history stay (rules U2 and K1).

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidChangeError: The plan is sold by seats.
        NotFoundError: There is no such member here.
        OwnerProtectedError: The person is an owner.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    _require_fixed_fee(unit)
    return turn_off_member(unit, member_id)


def list_users(unit: Unit) -> list[User]:
    """List everybody with a role in the product, those turned off included, by name.

    Raises:
        ForbiddenError: The actor may not open the console.
        InvalidChangeError: The plan is sold in another way.
    """
    unit.require(Permission.SEE_CONSOLE)
    unit.session.flush()
    _require_fixed_fee(unit)
    known = known_roles(unit)
    order = {key: place for place, key in enumerate(known)}
    paid = {key for key, role in known.items() if role.paid}
    people: dict[MemberId, tuple[Member, list[str]]] = {}
    rows = unit.session.execute(
        select(Member, ProductRoleHolder.role)
        .join(
            ProductRoleHolder,
            (ProductRoleHolder.org_id == Member.org_id) & (ProductRoleHolder.member_id == Member.id),
        )
        .where(Member.org_id == unit.org_id)
        .order_by(Member.display_name, Member.id)
    )
    for member, role in rows:
        people.setdefault(member.id, (member, []))[1].append(role)
    return [
        User(
            member_id=member.id,
            user_name=member.user_name,
            display_name=member.display_name,
            active=member.active,
            roles=tuple(sorted(roles, key=order.__getitem__)),
            paid=is_paid(roles, paid),
        )
        for member, roles in people.values()
    ]


def _require_fixed_fee(unit: Unit) -> None:
    kind = unit.session.scalar(select(Contract.kind).where(Contract.org_id == unit.org_id))
    tries_roles = kind == EVALUATION and not read_pools(unit) and find_licence_plan(unit) is None
    if kind != FIXED_FEE and not tries_roles:
        raise InvalidChangeError(f"people have roles in the product on a fixed-fee contract; this is a {kind} plan")


def _removed(unit: Unit, user_name: str) -> Member | None:
    """Return somebody of this userName whose access is off."""
    return unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.user_name_key == checked_user_name(user_name),
            Member.active.is_(False),
        )
        .order_by(Member.position)
        .limit(1)
    ).one_or_none()


def _give(unit: Unit, member: Member, roles: tuple[str, ...], *, review: bool = True) -> None:
    before = [role.key for role in roles_of(unit, member.id)]
    if set(before) == set(roles):
        return
    unit.session.execute(
        delete(ProductRoleHolder)
        .where(
            ProductRoleHolder.org_id == unit.org_id,
            ProductRoleHolder.member_id == member.id,
            ProductRoleHolder.role.not_in(roles),
        )
        .execution_options(synchronize_session=False)
    )
    new = [role for role in roles if role not in before]
    if new:
        unit.session.execute(
            insert(ProductRoleHolder),
            [{"org_id": unit.org_id, "member_id": member.id, "role": role} for role in new],
        )
    record(
        unit,
        "member.product_roles_changed",
        subject_kind="member",
        subject_id=member.id,
        reason="by_hand",
        body={"from": before, "to": list(roles)},
        touches_seats=False,
    )
    unit.session.flush()
    if review:
        review_tier(unit)
