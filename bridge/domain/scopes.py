"""What a key of the programming interface may be used for: scopes, each a share of the one policy (rules Z1 to Z4)."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType

from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError


class Scope(StrEnum):
    """A share of what may be done; one that writes also reads the same."""

    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    SEATS_READ = "seats:read"
    SEATS_WRITE = "seats:write"
    MAPPINGS_READ = "mappings:read"
    MAPPINGS_WRITE = "mappings:write"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    CONNECTIONS_READ = "connections:read"
    CONNECTIONS_WRITE = "connections:write"
    EVENTS_READ = "events:read"
    AUDIT_READ = "audit:read"

    @property
    def reading(self) -> "Scope":
        """The scope that reads the same."""
        return Scope(self.value.replace(":write", ":read"))


_SEES = frozenset({Permission.SEE_CONSOLE})
_PEOPLE = _SEES | {Permission.REVIEW_ACCESS}
_BILLING = _SEES | {Permission.SEE_BILLING}
#: Looking at endpoints and log-ins asks for the permission to change them; what changes asks for the writing scope too.
_CONNECTIONS = _SEES | {Permission.MANAGE_CONNECTIONS}

GRANTED: Mapping[Scope, frozenset[Permission]] = MappingProxyType(
    {
        Scope.PEOPLE_READ: _PEOPLE,
        Scope.PEOPLE_WRITE: _PEOPLE
        | {
            Permission.MANAGE_PEOPLE,
            Permission.CHANGE_ROLES,
            Permission.END_OWNERS_SESSIONS,
            Permission.ASSIGN_PRODUCT_ROLES,
            Permission.DEFINE_PRODUCT_ROLES,
            Permission.DECIDE_HOLDS,
        },
        Scope.SEATS_READ: _SEES,
        Scope.SEATS_WRITE: _SEES | {Permission.ASSIGN_SEATS},
        Scope.MAPPINGS_READ: _SEES | {Permission.EDIT_MAPPINGS},
        Scope.MAPPINGS_WRITE: _SEES | {Permission.EDIT_MAPPINGS},
        Scope.BILLING_READ: _BILLING,
        Scope.BILLING_WRITE: _BILLING | {Permission.MANAGE_BILLING},
        Scope.CONNECTIONS_READ: _CONNECTIONS,
        Scope.CONNECTIONS_WRITE: _CONNECTIONS | {Permission.ENFORCE_SSO, Permission.SWITCH_PROVISIONING},
        Scope.EVENTS_READ: _SEES,
        Scope.AUDIT_READ: _PEOPLE,
    }
)
"""What each scope lets through of what the key's role may do."""


def read_scopes(names: Collection[str]) -> tuple[Scope, ...]:
    """Read which scopes are wanted, in one order.

    Raises:
        InvalidInputError: There is no such scope, or none is named.
    """
    unknown = sorted(set(names) - set(Scope))
    if unknown:
        raise InvalidInputError("scopes", f"{unknown[0]!r} is none of {', '.join(Scope)}")
    if not names:
        raise InvalidInputError("scopes", f"name at least one of {', '.join(Scope)}")
    return tuple(scope for scope in Scope if scope in names)


def includes(scopes: Collection[Scope], wanted: Scope) -> bool:
    """Tell whether scopes include one: itself, or the one that writes the same."""
    return wanted in scopes or any(scope.reading is wanted for scope in scopes)


def permissions_of(scopes: Collection[Scope]) -> frozenset[Permission]:
    """Return what scopes let through together."""
    return frozenset().union(*(GRANTED[scope] for scope in scopes))


def scopes_for(permission: Permission) -> tuple[Scope, ...]:
    """Return the scopes that let a permission through, those that only read first."""
    return tuple(scope for scope in Scope if permission in GRANTED[scope])
