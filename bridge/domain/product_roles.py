"""Roles that people have in the product itself, and whether they make somebody a paid user (rules U1 and B5)."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bridge.errors import InvalidInputError

MAX_NAME: Final = 100
MAX_PERMISSIONS: Final = 200
MAX_ROLES_OF_A_PERSON: Final = 20
_KEY = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProductRole:
    """A role in the product.

    Attributes:
        key: Stable code, ``^[a-z][a-z0-9_]{0,49}$``.
        name: What people read.
        permissions: What its holders may do in the product, by codes of the same shape that the product knows.
        paid: Whether its holder is a paid user.
        built_in: Whether every organization has it, as it is.
    """

    key: str
    name: str
    permissions: tuple[str, ...]
    paid: bool
    built_in: bool = False


def _built_in(key: str, name: str, *permissions: str, paid: bool) -> tuple[str, ProductRole]:
    return key, ProductRole(key, name, permissions, paid, built_in=True)


BUILT_IN: Final[Mapping[str, ProductRole]] = MappingProxyType(
    dict(
        (
            _built_in(
                "project_administrator",
                "Project administrator",
                "manage_projects",
                "edit",
                "comment",
                "view",
                paid=True,
            ),
            _built_in("team_member", "Team member", "edit", "comment", "view", paid=True),
            _built_in("custom_role", "Custom role", paid=True),
            _built_in("client", "Client", "comment", "view", paid=False),
            _built_in("comment_only", "Comment only", "comment", "view", paid=False),
            _built_in("view_only", "View only", "view", paid=False),
        )
    )
)
"""The roles that every organization has (rule U1). ``custom_role`` stands for one that is set up in the product alone;
an organization that wants its own roles told apart, or free, defines them (rule B5)."""


def checked_role(key: str, name: str, permissions: Iterable[str], *, paid: bool) -> ProductRole:
    """Return a custom role, its permissions sorted, each once.

    Raises:
        InvalidInputError: Naming the field that is not possible.

    Source: rule B5.
    """
    wanted = tuple(sorted(set(permissions)))
    if not _KEY.fullmatch(key):
        shape = "a small letter, then at most 49 small letters, digits or '_'"
        raise InvalidInputError("role", f"{key!r} is no role's key, which is {shape}")
    if key in BUILT_IN:
        raise InvalidInputError("role", f"{key!r} is built in: it stays as it is")
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInputError("name", f"must be 1 to {MAX_NAME} printable characters")
    if len(wanted) > MAX_PERMISSIONS:
        raise InvalidInputError("permissions", f"are at most {MAX_PERMISSIONS}")
    for permission in wanted:
        if not _KEY.fullmatch(permission):
            raise InvalidInputError("permissions", f"{permission!r} does not read like manage_projects")
    return ProductRole(key, name.strip(), wanted, paid)


def checked_roles(wanted: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the keys of somebody's roles in their order of wish, each once.

    Raises:
        InvalidInputError: One is not known, or they are too many.
    """
    roles = tuple(dict.fromkeys(wanted))
    if len(roles) > MAX_ROLES_OF_A_PERSON:
        raise InvalidInputError("roles", f"are at most {MAX_ROLES_OF_A_PERSON}")
    for role in roles:
        if role not in known:
            raise InvalidInputError("roles", f"there is no role {role!r}; there is {', '.join(known)}")
    return roles


def is_paid(roles: Iterable[str], paid: Collection[str]) -> bool:
    """Tell whether somebody is a paid user: one paid role is enough (rule U1)."""
    return any(role in paid for role in roles)
