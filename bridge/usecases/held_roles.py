"""The roles in the product that an organization knows, and who holds which (rules U1 and B5)."""

from collections.abc import Collection

from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import MemberId
from bridge.domain.product_roles import BUILT_IN, ProductRole
from bridge.store.models import ProductRole as StoredRole
from bridge.store.models import ProductRoleHolder
from bridge.store.unit import Unit


def known_roles(unit: Unit) -> dict[str, ProductRole]:
    """Return the roles people may have by key: the built-in ones, then the organization's own."""
    unit.session.flush()
    own = unit.session.scalars(
        select(StoredRole)
        .where(StoredRole.org_id == unit.org_id)
        .order_by(StoredRole.key)
        .execution_options(populate_existing=True)
    )
    custom = {role.key: ProductRole(role.key, role.name, tuple(role.permissions), role.paid) for role in own}
    return {**BUILT_IN, **custom}


def roles_of(unit: Unit, member_id: MemberId) -> tuple[ProductRole, ...]:
    """Return somebody's roles in the product, in the order of :func:`known_roles`."""
    return roles_of_people(unit, [member_id]).get(member_id, ())


def roles_of_people(unit: Unit, ids: Collection[MemberId]) -> dict[MemberId, tuple[ProductRole, ...]]:
    """Return the roles of these people; who has none is missing."""
    if not ids:
        return {}
    unit.session.flush()
    held: dict[MemberId, set[str]] = {}
    for member_id, role in unit.session.execute(
        select(ProductRoleHolder.member_id, ProductRoleHolder.role).where(
            ProductRoleHolder.org_id == unit.org_id,
            ProductRoleHolder.member_id == any_(literal(list(ids), ARRAY(Uuid))),
        )
    ):
        held.setdefault(member_id, set()).add(role)
    if not held:
        return {}
    known = known_roles(unit)
    return {member_id: tuple(known[key] for key in known if key in roles) for member_id, roles in held.items()}
