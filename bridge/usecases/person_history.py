"""Every change of a person, from the audit chain (rule B4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.store.models import AuditEntry
from bridge.store.unit import Unit
from bridge.usecases.explain import name_actors

#: The lists of people that an entry about something else may keep.
LISTS = ("added", "removed", "members")


@dataclass(frozen=True, slots=True)
class PersonChange:
    """One entry of the audit chain; ``actor`` is in words, ``body`` as it is sealed: identifiers, never names."""

    seq: int
    at: datetime
    action: str
    actor: str
    reason: str
    subject_kind: str
    subject_id: str
    request_id: str
    body: Mapping[str, Any]


def read_person_history(unit: Unit, member_id: MemberId) -> list[PersonChange]:
    """Return every change of a person, the oldest first, the groups they were let into and out of included.

    It tells of people who were removed too: the chain outlasts them.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    entries = unit.session.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.org_id == unit.org_id,
            or_(
                AuditEntry.subject_id == str(member_id),
                *(AuditEntry.body[name].contains([str(member_id)]) for name in LISTS),
            ),
        )
        .order_by(AuditEntry.seq)
    ).all()
    actors = name_actors(unit, {entry.actor for entry in entries})
    return [
        PersonChange(
            seq=entry.seq,
            at=entry.at,
            action=entry.action,
            actor=actors[entry.actor],
            reason=entry.reason,
            subject_kind=entry.subject_kind,
            subject_id=entry.subject_id,
            request_id=entry.request_id,
            body=entry.body,
        )
        for entry in entries
    ]
