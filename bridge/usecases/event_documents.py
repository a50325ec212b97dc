"""What an event says, to whoever is told of it: an endpoint, or a program that reads the feed."""

import uuid
from datetime import datetime
from typing import Any, Final

from bridge.domain.identifiers import OrgId
from bridge.domain.webhooks import EventType
from bridge.store.models import AuditEntry, Member

_SEATS: Final = frozenset({EventType.SEAT_ASSIGNED, EventType.SEAT_RELEASED, EventType.SEAT_WAITING})


def event_id_of(org_id: OrgId, seq: int) -> uuid.UUID:
    """Return the id of the event that an audit entry stands for: the same for everybody who is told of it."""
    return uuid.uuid5(org_id, f"event {seq}")


def told_event(slug: str, entry: AuditEntry, member: Member | None, event: str) -> dict[str, Any]:
    """Write the event of an audit entry: what is in the entry, and the person as they are now."""
    facts: dict[str, Any] = {
        "sequence": entry.seq,
        "reason": entry.reason,
        "user": {
            "id": entry.subject_id,
            "userName": None if member is None else member.user_name,
            "active": member is not None and member.active,
            "tier": None if member is None else member.tier,
        },
    }
    if event in _SEATS:
        facts["seat"] = {name: entry.body.get(name) for name in ("from", "to", "waiting_for")}
    elif event == EventType.SESSION_ENDED:
        facts["session"] = {"id": entry.body.get("session")}
    return written_event(slug, event, entry.at, facts)


def written_event(slug: str, event: str, at: datetime, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write an event of an organization with its facts."""
    stamp = at.isoformat().replace("+00:00", "Z")
    return {"type": event, "timestamp": stamp, "data": {"organization": slug} | (facts or {})}
