"""Who acts: recorded in every audit entry and decision."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.roles import FOR_SETUP_LINKS, Permission, Role, may, require
from bridge.domain.scopes import scopes_for
from bridge.errors import InsufficientScopeError


class ActorKind(StrEnum):
    """What kind of caller acts."""

    MEMBER = "member"
    DIRECTORY = "directory"
    SIGN_IN = "sign_in"
    APP = "app"
    API_KEY = "api_key"
    SETUP_LINK = "setup_link"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of a use case.

    ``id`` is the member for MEMBER, the connection for DIRECTORY and SIGN_IN, the application for APP, the key for
    API_KEY, the link for SETUP_LINK; operators and the system have none. ``within`` is what a key's scopes let through
    of what its role may do; None for everything.
    """

    kind: ActorKind
    id: uuid.UUID | None = None
    role: Role = Role.MEMBER
    within: frozenset[Permission] | None = None

    def __str__(self) -> str:
        """Give the form that audit entries keep: the kind and the identifier, never a name."""
        return f"{self.kind}:{self.id}" if self.id else str(self.kind)

    @property
    def is_customer(self) -> bool:
        """Whether somebody of the organization acts, by hand or by a program of theirs: who pays writes no price."""
        return self.kind in {ActorKind.MEMBER, ActorKind.API_KEY}

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor has a permission."""
        return may(self._role_for(permission), permission) and (self.within is None or permission in self.within)

    def require(self, permission: Permission) -> None:
        """Refuse what the actor may not do (rules Z1 to Z4).

        Raises:
            ForbiddenError: The role lacks the permission.
            InsufficientScopeError: The key's scopes lack it.
        """
        require(self._role_for(permission), permission)
        if self.within is not None and permission not in self.within:
            raise InsufficientScopeError(permission.value, scopes_for(permission))

    def _role_for(self, permission: Permission) -> Role:
        """Return the role that a permission is looked up by: a set-up link changes connections and nothing else."""
        is_guest = self.kind is ActorKind.SETUP_LINK and permission not in FOR_SETUP_LINKS
        return Role.MEMBER if is_guest else self.role


#: The operator of the installation, at its command line: has every permission.
OPERATOR = Actor(ActorKind.OPERATOR, role=Role.PRIMARY_OWNER)
#: The product itself: renewals, expiries, promotions.
SYSTEM = Actor(ActorKind.SYSTEM, role=Role.PRIMARY_OWNER)
