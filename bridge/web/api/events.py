"""The feed of events: what webhooks tell, for programs that would rather ask; and the audit chain."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import Field

from bridge.domain.identifiers import MemberId
from bridge.domain.scopes import Scope
from bridge.domain.webhooks import EventType
from bridge.usecases.read_audit import AuditFilter, read_audit, verify_audit
from bridge.usecases.read_events import feed_events, newest_event
from bridge.web.api.calls import Call
from bridge.web.api.operations import Resource
from bridge.web.api.paging import cursor_at, place_of
from bridge.web.api.shapes import Answer, Document, Page, Paged, Query

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
    """One entry of the audit chain. `facts` are identifiers, never names; empty for keys that may not see money."""

    seq: int
    at: datetime
    action: str
    actor: str
    reason: str
    subject_kind: str
    subject_id: str
    subject: str | None
    request_id: str
    facts: Document


class AuditEntriesPage(Page):
    """Entries of the audit chain, newest first, 50 on a page."""

    items: list[AuditEntryShape]


class AuditQuery(Query):
    """Which entries."""

    cursor: Annotated[str | None, Field(description="Where to go on: `next_cursor` of the page before.")] = None
    topic: Annotated[str, Field(description="What they are about, as `people`, `seats`, `rules`, `connections`.")] = ""
    person_id: Annotated[uuid.UUID | None, Field(description="Only entries about this person.")] = None
    request_id: Annotated[str, Field(description="Only entries of this request.")] = ""


class Verified(Answer):
    """Whether the whole chain fits. `head` is the seal of the newest entry: written down elsewhere, it proves it."""

    intact: bool
    first_bad: int | None
    entries: int
    head: str
    keys_fit: bool


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


@audit.get(scope=Scope.AUDIT_READ, answer=AuditEntriesPage)
def list_audit_entries(call: Call, query: AuditQuery) -> object:
    """List the audit chain, newest first."""
    place = place_of(call, query)
    wanted = AuditFilter(
        topic=query.topic,
        person=None if query.person_id is None else MemberId(query.person_id),
        request=query.request_id,
        before=None if place is None else int(place[0]),
    )
    page = read_audit(call.unit, wanted)
    return {"items": page.lines, "next_cursor": None if page.older is None else cursor_at(call, query, [page.older])}


@audit.get("/verification", scope=Scope.AUDIT_READ, answer=Verified)
def verify_audit_chain(call: Call) -> object:
    """Check the whole audit chain: every seal, and that none is missing."""
    verdict = verify_audit(call.unit)
    names = ("first_bad", "entries", "head", "keys_fit")
    return {name: getattr(verdict, name) for name in names} | {"intact": verdict.first_bad is None}
