"""The feed of events, for programs that would rather ask than be told; and the audit chain, as it stands."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.domain.webhooks import EVENT_OF, read_events
from bridge.store.models import AuditEntry, Member
from bridge.store.unit import Unit
from bridge.usecases.actors import name_actors
from bridge.usecases.event_documents import event_id_of, told_event


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event of the feed: the id and the body that endpoints get of it."""

    id: uuid.UUID
    type: str
    timestamp: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One entry of the audit chain, and who acted in words."""

    seq: int
    at: datetime
    actor: str
    actor_name: str
    action: str
    subject_kind: str
    subject_id: str
    reason: str
    request_id: str
    body: dict[str, Any]


def feed_events(unit: Unit, events: Collection[str], *, after: int, limit: int) -> tuple[list[FeedEvent], int]:
    """Return the next events behind a place of the feed, oldest first, and the place behind the last of them.

    A reader that goes on from the place it was told misses nothing: entries are numbered in the order of their commits.

    Args:
        unit: The unit.
        events: Only these; all of them when empty.
        after: The place, 0 for the beginning.
        limit: So many at most.

    Raises:
        ForbiddenError: The actor may not open the console.
        InvalidInputError: There is no such event.
    """
    unit.require(Permission.SEE_CONSOLE)
    wanted = read_events(events)
    entries = unit.session.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.org_id == unit.org_id,
            AuditEntry.seq > after,
            AuditEntry.action.in_([action for action, event in EVENT_OF.items() if event in wanted]),
        )
        .order_by(AuditEntry.seq)
        .limit(limit)
    ).all()
    people = _people(unit, entries)
    slug = unit.organization().slug
    told = [
        FeedEvent(
            id=event_id_of(unit.org_id, entry.seq),
            **told_event(slug, entry, people.get(entry.subject_id), EVENT_OF[entry.action]),
        )
        for entry in entries
    ]
    return told, entries[-1].seq if entries else after


def newest_event(unit: Unit) -> int:
    """Return the place behind everything that has happened.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    return unit.state().audit_seq


def list_audit(
    unit: Unit, *, before: int | None = None, subject_id: str | None = None, action: str | None = None, limit: int = 50
) -> list[AuditLine]:
    """Return entries of the audit chain, newest first.

    Args:
        unit: The unit.
        before: Only entries with a smaller number.
        subject_id: Only what was done to this.
        action: Only this, as ``member.created``.
        limit: So many at most.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    conditions = [AuditEntry.org_id == unit.org_id]
    if before is not None:
        conditions.append(AuditEntry.seq < before)
    if subject_id is not None:
        conditions.append(AuditEntry.subject_id == subject_id)
    if action is not None:
        conditions.append(AuditEntry.action == action)
    entries = unit.session.scalars(
        select(AuditEntry).where(*conditions).order_by(AuditEntry.seq.desc()).limit(limit)
    ).all()
    names = name_actors(unit, {entry.actor for entry in entries})
    return [
        AuditLine(
            seq=entry.seq,
            at=entry.at,
            actor=entry.actor,
            actor_name=names[entry.actor],
            action=entry.action,
            subject_kind=entry.subject_kind,
            subject_id=entry.subject_id,
            reason=entry.reason,
            request_id=entry.request_id,
            body=entry.body,
        )
        for entry in entries
    ]


def _people(unit: Unit, entries: Sequence[AuditEntry]) -> dict[str, Member]:
    """Return who these entries are about, by id; who was removed is missing."""
    ids = {MemberId(uuid.UUID(entry.subject_id)) for entry in entries}
    if not ids:
        return {}
    rows = unit.session.scalars(select(Member).where(Member.org_id == unit.org_id, Member.id.in_(ids)))
    return {str(member.id): member for member in rows}
