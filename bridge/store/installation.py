"""What belongs to the installation and to no organization: applications, keys, and the record of changes to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError
from bridge.store.models import InstallationEvent

#: Any number will do, as long as every process uses the same one.
_LOCK = 7_326_428_114
_ALLOWED = (ActorKind.OPERATOR, ActorKind.SYSTEM)


@dataclass(slots=True)
class Installation:
    """One transaction outside every organization; whoever opened it commits it, once.

    No row of any organization is visible in it. Only the operator, and the product itself, change anything here.

    Args:
        at: The instant of everything it writes, aware, in UTC.
    """

    session: Session
    actor: Actor
    at: datetime
    request_id: str

    def lock(self) -> None:
        """Let no other change of the installation come between: the first thing that every one of them does.

        Raises:
            ForbiddenError: The actor is neither the operator nor the product itself.
        """
        if self.actor.kind not in _ALLOWED:
            raise ForbiddenError(
                action="changing the installation", role=Role(self.actor.role), allowed=[str(one) for one in _ALLOWED]
            )
        self.session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})

    def note(
        self, action: str, *, subject_kind: str, subject_id: object, reason: str, body: dict[str, Any] | None = None
    ) -> None:
        """Append what was done to the installation's own record, which nobody can change afterwards.

        Args:
            action: What was done, as ``app.added``.
            subject_kind: What kind of thing it was done to.
            subject_id: Its identifier.
            reason: A stable code that says why.
            body: Facts; no secret and nothing about any person.
        """
        self.session.add(
            InstallationEvent(
                at=self.at,
                actor=str(self.actor),
                action=action,
                subject_kind=subject_kind,
                subject_id=str(subject_id),
                reason=reason,
                request_id=self.request_id,
                body=body or {},
            )
        )
