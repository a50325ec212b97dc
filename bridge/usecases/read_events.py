"""The feed of events: what endpoints are told, for programs that would rather ask."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.domain.webhooks import EVENT_OF, read_events
from bridge.store.models import AuditEntry, Member
from bridge.store.unit import Unit
from bridge.usecases.event_documents import event_id_of, told_event


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event of the feed: the id and the body that endpoints get of it."""

    id: uuid.UUID
    type: str
    timestamp: str
    data: dict[str, Any]


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


def _people(unit: Unit, entries: Sequence[AuditEntry]) -> dict[str, Member]:
    """Return who these entries are about, by id; who was removed is missing."""
    ids = {MemberId(uuid.UUID(entry.subject_id)) for entry in entries}
    if not ids:
        return {}
    rows = unit.session.scalars(select(Member).where(Member.org_id == unit.org_id, Member.id.in_(ids)))
    return {str(member.id): member for member in rows}
