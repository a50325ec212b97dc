"""Who acts: recorded in every audit entry and decision."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.roles import Role


class ActorKind(StrEnum):
    """What kind of caller acts."""

    MEMBER = "member"
    DIRECTORY = "directory"
    SIGN_IN = "sign_in"
    APP = "app"
    SETUP_LINK = "setup_link"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of a use case.

    ``id`` is the member for MEMBER, the connection for DIRECTORY and SIGN_IN, the application for APP, the link for
    SETUP_LINK; operators and the system have none.
    """

    kind: ActorKind
    id: uuid.UUID | None = None
    role: Role = Role.MEMBER

    def __str__(self) -> str:
        """Give the form that audit entries keep: the kind and the identifier, never a name."""
        return f"{self.kind}:{self.id}" if self.id else str(self.kind)


#: The operator of the installation, at its command line: has every permission.
OPERATOR = Actor(ActorKind.OPERATOR, role=Role.PRIMARY_OWNER)
#: The product itself: renewals, expiries, promotions.
SYSTEM = Actor(ActorKind.SYSTEM, role=Role.PRIMARY_OWNER)
