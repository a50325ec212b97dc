"""Who may do what in an organization (rules Z1 to Z4)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from bridge.errors import ForbiddenError


class Role(StrEnum):
    """A member's role in the organization, from most to least."""

    PRIMARY_OWNER = "primary_owner"
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"

    @property
    def is_owner(self) -> bool:
        """Whether the directory may not remove, deactivate or rename the holder."""
        return self in OWNERS


OWNERS = (Role.PRIMARY_OWNER, Role.OWNER)
ADMINS = (*OWNERS, Role.ADMIN)


class Permission(StrEnum):
    """Something that only some roles may do."""

    MANAGE_BILLING = "buying and reducing seats"  # Z1
    SEE_BILLING = "seeing invoices and prices"  # Z1
    DECIDE_HOLDS = "deciding about what the brake holds"  # as Z1
    ASSIGN_SEATS = "reassigning seats"  # Z2
    EDIT_MAPPINGS = "editing group mappings"  # Z2
    MANAGE_PEOPLE = "adding and removing people"  # Z3
    CHANGE_ROLES = "changing roles"
    END_OWNERS_SESSIONS = "ending sessions and sign-in links of owners"  # as changing roles
    ASSIGN_PRODUCT_ROLES = "giving roles in the product"  # as Z2
    DEFINE_PRODUCT_ROLES = "defining roles in the product"  # B5
    MANAGE_CONNECTIONS = "changing connections"
    ENFORCE_SSO = "enforcing single sign-on"  # as Z1
    SWITCH_PROVISIONING = "switching the provisioning mode"  # as Z2 and Z3
    REVIEW_ACCESS = "exporting the access review"  # B4
    SEE_CONSOLE = "opening the console"


ALLOWED: Mapping[Permission, tuple[Role, ...]] = MappingProxyType(
    {
        Permission.MANAGE_BILLING: OWNERS,
        Permission.SEE_BILLING: OWNERS,
        Permission.DECIDE_HOLDS: OWNERS,
        Permission.ASSIGN_SEATS: ADMINS,
        Permission.EDIT_MAPPINGS: ADMINS,
        Permission.MANAGE_PEOPLE: ADMINS,
        Permission.CHANGE_ROLES: OWNERS,
        Permission.END_OWNERS_SESSIONS: OWNERS,
        Permission.ASSIGN_PRODUCT_ROLES: ADMINS,
        Permission.DEFINE_PRODUCT_ROLES: OWNERS,
        Permission.MANAGE_CONNECTIONS: ADMINS,
        Permission.ENFORCE_SSO: OWNERS,
        Permission.SWITCH_PROVISIONING: ADMINS,
        Permission.REVIEW_ACCESS: ADMINS,
        Permission.SEE_CONSOLE: ADMINS,
    }
)


#: What whoever holds a set-up link may do, of the one connection that it is about.
FOR_SETUP_LINKS = frozenset({Permission.MANAGE_CONNECTIONS})


def may(role: Role, permission: Permission) -> bool:
    """Tell whether a role has a permission."""
    return role in ALLOWED[permission]


def require(role: Role, permission: Permission) -> None:
    """Refuse what a role may not do.

    Raises:
        ForbiddenError: When the role lacks the permission.

    Source: rules Z1 to Z4.
    """
    if not may(role, permission):
        raise ForbiddenError(action=permission.value, role=role, allowed=ALLOWED[permission])
