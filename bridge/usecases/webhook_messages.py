"""Events on their way to the application: made from the audit chain, brought out one by one, seen and sent again.

The entry in the audit chain is the row that is written in the transaction of the change itself, whichever way it came:
a request of its own, a lane, many people at once. Events are made from the entries behind it, in their order, so that
organizations without endpoints pay nothing, and no change can forget to tell.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import Permission
from bridge.domain.webhooks import EVENT_OF, TEST
from bridge.errors import NotFoundError
from bridge.store.models import AuditEntry, Member, WebhookEndpoint, WebhookMessage
from bridge.store.queue import wake_workers
from bridge.store.unit import Unit
from bridge.usecases.attempts import MAX_ATTEMPTS, claim, postpone
from bridge.usecases.event_documents import event_id_of, told_event, written_event
from bridge.usecases.webhook_endpoints import GIVEN_UP_AFTER, note_failure, note_late, note_success

#: Entries of the chain that one transaction looks at for one endpoint.
ENTRIES_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event that this worker brings out now; the secrets are sealed, the one that signs from now on in front.

    ``request_id`` is the request that caused what it tells of; None of a test.
    """

    message_id: uuid.UUID
    event_id: uuid.UUID
    endpoint_id: uuid.UUID
    attempt: int
    created_at: datetime
    url: str
    secrets: tuple[bytes, ...]
    body: bytes
    request_id: str | None


@dataclass(frozen=True, slots=True)
class MessageView:
    """An event in an endpoint's log."""

    id: uuid.UUID
    event: str
    at: datetime
    state: str
    attempts: int
    status: int | None
    last_error: str | None
    next_attempt_at: datetime | None
    done_at: datetime | None


def make_events(unit: Unit) -> int:
    """Make the events of what has happened since each endpoint was last told; return how many.

    An endpoint that another worker is at is left to it.
    """
    endpoints = unit.session.scalars(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.org_id == unit.org_id, WebhookEndpoint.disabled_at.is_(None))
        .order_by(WebhookEndpoint.id)
        .with_for_update(skip_locked=True)
    ).all()
    return sum(_make_for(unit, endpoint) for endpoint in endpoints)


def _make_for(unit: Unit, endpoint: WebhookEndpoint) -> int:
    last = endpoint.seen_seq + ENTRIES_AT_ONCE
    head = unit.session.scalar(
        select(func.max(AuditEntry.seq)).where(
            AuditEntry.org_id == unit.org_id, AuditEntry.seq > endpoint.seen_seq, AuditEntry.seq <= last
        )
    )
    if head is None:
        return 0
    actions = [action for action, event in EVENT_OF.items() if event in endpoint.events]
    entries = unit.session.execute(
        select(AuditEntry.seq, AuditEntry.action, AuditEntry.at)
        .where(
            AuditEntry.org_id == unit.org_id,
            AuditEntry.seq > endpoint.seen_seq,
            AuditEntry.seq <= head,
            AuditEntry.action.in_(actions),
        )
        .order_by(AuditEntry.seq)
    ).all()
    endpoint.seen_seq = head
    if entries:
        unit.session.execute(
            insert(WebhookMessage),
            [_row(unit, endpoint.id, seq, EVENT_OF[action], at) for seq, action, at in entries],
        )
    return len(entries)


def _row(unit: Unit, endpoint_id: uuid.UUID, seq: int, event: str, at: datetime) -> dict[str, Any]:
    message_id = new_id()
    return {
        "org_id": unit.org_id,
        "id": message_id,
        "event_id": event_id_of(unit.org_id, seq) if seq else message_id,
        "endpoint_id": endpoint_id,
        "seq": seq,
        "event": str(event),
        "at": at,
        "state": "pending",
        "attempts": 0,
        "created_at": unit.at,
        "next_attempt_at": unit.at,
        "done_at": None,
        "status": None,
        "last_error": None,
    }


def queue_test(unit: Unit, endpoint: WebhookEndpoint) -> uuid.UUID:
    """Write an event that tells of nothing, to see whether an endpoint takes it; return its id."""
    unit.require(Permission.MANAGE_CONNECTIONS)
    row = _row(unit, endpoint.id, 0, TEST, unit.at)
    unit.session.execute(insert(WebhookMessage), [row])
    message_id: uuid.UUID = row["id"]
    return message_id


def claim_message(unit: Unit, message_id: uuid.UUID) -> Outgoing | None:
    """Claim a due event for a lease and write what is sent; None when another worker has it or it is done."""
    attempt = claim(unit, WebhookMessage, message_id)
    if attempt is None:
        return None
    message = unit.session.get_one(WebhookMessage, (unit.org_id, message_id), populate_existing=True)
    endpoint = unit.session.get_one(WebhookEndpoint, (unit.org_id, message.endpoint_id))
    entry = unit.session.get(AuditEntry, (unit.org_id, message.seq))
    previous = endpoint.previous_secret if (endpoint.previous_until or unit.at) > unit.at else None
    return Outgoing(
        message_id=message_id,
        event_id=message.event_id,
        endpoint_id=endpoint.id,
        attempt=attempt,
        created_at=message.created_at,
        url=endpoint.url,
        secrets=tuple(secret for secret in (endpoint.secret, previous) if secret is not None),
        body=json.dumps(_document(unit, message, entry), separators=(",", ":")).encode(),
        request_id=None if entry is None else entry.request_id,
    )


def _document(unit: Unit, message: WebhookMessage, entry: AuditEntry | None) -> dict[str, Any]:
    """Write an event as it is now; nothing of somebody removed."""
    slug = unit.organization().slug
    if entry is None:
        return written_event(slug, message.event, message.at)
    member = unit.session.get(Member, (unit.org_id, MemberId(uuid.UUID(entry.subject_id))))
    return told_event(slug, entry, member, message.event)


def finish_message(unit: Unit, outgoing: Outgoing, status: int) -> None:
    """Note that an endpoint took an event."""
    unit.session.execute(
        update(WebhookMessage)
        .where(WebhookMessage.org_id == unit.org_id, WebhookMessage.id == outgoing.message_id)
        .values(state="done", done_at=unit.at, status=status, last_error=None)
        .execution_options(synchronize_session=False)
    )
    endpoint = unit.session.get(WebhookEndpoint, (unit.org_id, outgoing.endpoint_id))
    if endpoint is not None:
        note_success(unit, endpoint)


def postpone_message(unit: Unit, outgoing: Outgoing, error_code: str, status: int | None) -> None:
    """Try again later, and tell the owners when hours have passed; what is not taken in three days is dead.

    Nothing dies of an endpoint that takes nothing at all: that is given up itself, and its events wait for it.
    """
    endpoint = unit.session.get(WebhookEndpoint, (unit.org_id, outgoing.endpoint_id))
    if endpoint is None:
        return
    note_failure(unit, endpoint, gone=status == 410)  # noqa: PLR2004 (Gone, RFC 9110 §15.5.11)
    is_late = outgoing.attempt >= MAX_ATTEMPTS
    is_last = is_late and endpoint.disabled_at is None and unit.at - outgoing.created_at >= GIVEN_UP_AFTER
    postpone(unit, WebhookMessage, outgoing.message_id, outgoing.attempt, error_code, is_last=is_last)
    if is_late and endpoint.disabled_at is None:
        note_late(unit, endpoint)
    unit.session.execute(
        update(WebhookMessage)
        .where(WebhookMessage.org_id == unit.org_id, WebhookMessage.id == outgoing.message_id)
        .values(status=status)
        .execution_options(synchronize_session=False)
    )


def list_messages(
    unit: Unit, endpoint: WebhookEndpoint, *, state: str | None = None, limit: int = 50
) -> list[MessageView]:
    """Return the newest events of an endpoint, newest first; of one state only where it is named.

    Raises:
        ForbiddenError: The actor may not change connections.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    rows = unit.session.scalars(
        select(WebhookMessage)
        .where(
            WebhookMessage.org_id == unit.org_id,
            WebhookMessage.endpoint_id == endpoint.id,
            *([] if state is None else [WebhookMessage.state == state]),
        )
        .order_by(WebhookMessage.at.desc(), WebhookMessage.seq.desc(), WebhookMessage.id)
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return [
        MessageView(
            id=one.event_id,
            event=one.event,
            at=one.at,
            state=one.state,
            attempts=one.attempts,
            status=one.status,
            last_error=one.last_error,
            next_attempt_at=one.next_attempt_at if one.state == "pending" else None,
            done_at=one.done_at,
        )
        for one in rows
    ]


def replay(unit: Unit, endpoint: WebhookEndpoint, event_id: uuid.UUID | None = None) -> Sequence[uuid.UUID]:
    """Put events back in line, under the same webhook-id: the dead ones, or one whatever became of it.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: The endpoint has no such event.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    which = WebhookMessage.state == "dead" if event_id is None else WebhookMessage.event_id == event_id
    again = unit.session.scalars(
        update(WebhookMessage)
        .where(WebhookMessage.org_id == unit.org_id, WebhookMessage.endpoint_id == endpoint.id, which)
        .values(state="pending", attempts=0, next_attempt_at=unit.at)
        .returning(WebhookMessage.event_id)
        .execution_options(synchronize_session=False)
    ).all()
    if event_id is not None and not again:
        raise NotFoundError("event of the endpoint", str(event_id))
    if again:
        wake_workers(unit.session)
    return again
