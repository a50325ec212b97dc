"""The feed of events: what webhooks tell, for programs that would rather ask; and the audit chain."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import Field

from bridge.domain.scopes import Scope
from bridge.domain.webhooks import EventType
from bridge.store.journal import verify
from bridge.usecases.read_events import feed_events, list_audit, newest_event
from bridge.web.api.calls import Call
from bridge.web.api.operations import Resource
from bridge.web.api.paging import cursor_at, place_of
from bridge.web.api.shapes import Answer, Document, Page, Paged

events = Resource("Events", "What happened to people and seats, in its order, as webhooks tell it.", "/events")
audit = Resource("Audit", "Every change with who, what and why, each sealed onto the one before.", "/audit")


class EventShape(Answer):
    """An event, with the id and the body that webhooks send of it."""

    id: uuid.UUID
    type: str
    timestamp: str
    data: Document


class EventsPage(Answer):
    """Events, oldest first. `next_cursor` is always there: come back with it for what happens later."""

    items: list[EventShape]
    next_cursor: str
    has_more: bool


class EventsQuery(Paged):
    """Which events."""

    type: Annotated[tuple[EventType, ...], Field(description="Only these; repeat it for several.")] = ()
    from_now: Annotated[bool, Field(description="Begin with what happens from now on, not with the past.")] = False


class AuditEntryShape(Answer):
    """One entry of the audit chain; `body` holds identifiers, never names."""

    seq: int
    at: datetime
    actor: str
    actor_name: str
    action: str
    subject_kind: str
    subject_id: str
    reason: str
    request_id: str
    body: Document


class AuditPage(Page):
    """Entries of the audit chain, newest first."""

    items: list[AuditEntryShape]


class AuditQuery(Paged):
    """Which entries."""

    subject: Annotated[str | None, Field(description="Only what was done to this, by its id.")] = None
    action: Annotated[str | None, Field(description="Only this, as `member.created`.")] = None


class Verified(Answer):
    """Whether the whole chain fits; `first_broken` is the number of the first entry that does not."""

    intact: bool
    first_broken: int | None
    entries: int


@events.get(scope=Scope.EVENTS_READ, answer=EventsPage)
def list_events(call: Call, query: EventsQuery) -> object:
    """Read events in their order, and come back for more.

    Keep `next_cursor` and ask again with it: nothing is told twice, and nothing is left out.
    """
    place = place_of(call, query)
    after = int(place[0]) if place is not None else newest_event(call.unit) if query.from_now else 0
    told, last = feed_events(call.unit, query.type, after=after, limit=query.limit + 1)
    more = len(told) > query.limit
    told = told[: query.limit]
    if more:
        last = told[-1].data["sequence"]
    return {"items": told, "next_cursor": cursor_at(call, query, [last]), "has_more": more}


@audit.get(scope=Scope.AUDIT_READ, answer=AuditPage)
def list_audit_entries(call: Call, query: AuditQuery) -> object:
    """List the audit chain, newest first."""
    place = place_of(call, query)
    before = None if place is None else int(place[0])
    rows = list_audit(call.unit, before=before, subject_id=query.subject, action=query.action, limit=query.limit + 1)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return {"items": rows, "next_cursor": cursor_at(call, query, [rows[-1].seq]) if more else None}


@audit.get("/verification", scope=Scope.AUDIT_READ, answer=Verified)
def verify_audit_chain(call: Call) -> object:
    """Check the whole audit chain: every seal, and that none is missing."""
    broken = verify(call.unit)
    return {"intact": broken is None, "first_broken": broken, "entries": newest_event(call.unit)}
