"""Addresses of the application that are told of events: added, listed, given up and enabled again, removed."""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import func, select, update

from bridge.domain.identifiers import new_id, parse_id
from bridge.domain.roles import Permission
from bridge.domain.webhooks import read_events
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.journal import record
from bridge.store.models import WebhookEndpoint, WebhookMessage
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_alerts
from bridge.usecases.attempts import LEASE, MAX_ATTEMPTS

MOST_ENDPOINTS: Final = 10
LONGEST_URL: Final = 1000
#: How long a secret signs beside the one that has taken its place.
OVERLAP: Final = timedelta(hours=24)
#: An endpoint that has taken nothing for so long is told nothing any more.
GIVEN_UP_AFTER: Final = timedelta(days=3)
#: Taking an event after so long without one brings the others forward that wait for their next attempt.
_OUTAGE: Final = timedelta(minutes=5)

_REASONS: Final = {"gone": "says that it is gone", "failing": "has taken none for 3 days"}

#: Seals a secret for the endpoint's row.
Seal = Callable[[uuid.UUID], bytes]


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An endpoint as administrators see it; ``state`` is ok, failing or disabled."""

    id: uuid.UUID
    url: str
    events: tuple[str, ...]
    state: str
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_by: str | None
    pending: int
    dead: int


def add_endpoint(unit: Unit, url: str, events: Collection[str], seal: Seal) -> WebhookEndpoint:
    """Tell an address of events from now on; the caller has checked that it may be talked to.

    Raises:
        ForbiddenError: The actor may not change connections.
        InvalidInputError: There is no such event, the address is here already or too long, or there are too many.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    state = unit.lock()
    wanted = read_events(events)
    present = unit.session.scalars(select(WebhookEndpoint.url).where(WebhookEndpoint.org_id == unit.org_id)).all()
    if len(url) > LONGEST_URL:
        raise InvalidInputError("url", f"must not be longer than {LONGEST_URL:,} characters")
    if url in present:
        raise InvalidInputError("url", "is told of events already: remove it first, or give it a new secret")
    if len(present) >= MOST_ENDPOINTS:
        raise InvalidInputError("url", f"there are {MOST_ENDPOINTS} endpoints already: remove one first")
    endpoint_id = new_id()
    _record(unit, endpoint_id, "webhook.added", body={"events": [str(event) for event in wanted]})
    endpoint = WebhookEndpoint(
        org_id=unit.org_id,
        id=endpoint_id,
        url=url,
        events=[str(event) for event in wanted],
        secret=seal(endpoint_id),
        previous_secret=None,
        previous_until=None,
        created_at=unit.at,
        seen_seq=state.audit_seq,
        failing_since=None,
        disabled_at=None,
        disabled_by=None,
    )
    unit.session.add(endpoint)
    unit.session.flush()
    return endpoint


def list_endpoints(unit: Unit) -> list[EndpointView]:
    """Return the endpoints, oldest first.

    Raises:
        ForbiddenError: The actor may not change connections.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    counts: dict[tuple[uuid.UUID, str], int] = {}
    for endpoint_id, state, number in unit.session.execute(
        select(WebhookMessage.endpoint_id, WebhookMessage.state, func.count())
        .where(WebhookMessage.org_id == unit.org_id, WebhookMessage.state != "done")
        .group_by(WebhookMessage.endpoint_id, WebhookMessage.state)
    ):
        counts[endpoint_id, state] = number
    rows = unit.session.scalars(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.org_id == unit.org_id)
        .order_by(WebhookEndpoint.created_at, WebhookEndpoint.id)
    )
    return [
        EndpointView(
            id=one.id,
            url=one.url,
            events=tuple(one.events),
            state="disabled" if one.disabled_at else "failing" if one.failing_since else "ok",
            created_at=one.created_at,
            failing_since=one.failing_since,
            disabled_at=one.disabled_at,
            disabled_by=one.disabled_by,
            pending=counts.get((one.id, "pending"), 0),
            dead=counts.get((one.id, "dead"), 0),
        )
        for one in rows
    ]


def find_endpoint(unit: Unit, wanted: str) -> WebhookEndpoint:
    """Return an endpoint by its id or its address.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is none.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    named = WebhookEndpoint.id == parse_id(wanted) if parse_id(wanted) else WebhookEndpoint.url == wanted
    found = unit.session.scalars(
        select(WebhookEndpoint).where(WebhookEndpoint.org_id == unit.org_id, named)
    ).one_or_none()
    if found is None:
        raise NotFoundError("webhook endpoint", wanted)
    return found


def rotate_secret(unit: Unit, endpoint: WebhookEndpoint, seal: Seal) -> datetime:
    """Sign with a new secret from now on, and for a day with the one before too; return until when.

    Raises:
        InvalidInputError: It was done within a day: the receiver may still have the secret that would be dropped.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    if endpoint.previous_until is not None and unit.at < endpoint.previous_until:
        raise InvalidInputError(
            "endpoint",
            f"has two secrets until {endpoint.previous_until:%Y-%m-%d %H:%M} UTC, and a third would drop the older, "
            "which the receiver may still have: rotate again after that. If the newest is lost or known to others, "
            "remove the endpoint and add it again",
        )
    endpoint.previous_secret, endpoint.previous_until = endpoint.secret, unit.at + OVERLAP
    endpoint.secret = seal(endpoint.id)
    _record(unit, endpoint.id, "webhook.secret_rotated")
    return endpoint.previous_until


def remove_endpoint(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Tell an address nothing any more; what is on its way is dropped."""
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    _record(unit, endpoint.id, "webhook.removed")
    _settle_alert(unit, endpoint)
    unit.session.delete(endpoint)


def enable_endpoint(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Go on telling an address of events, from where it was left."""
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    if endpoint.disabled_at is None:
        return
    endpoint.disabled_at = endpoint.disabled_by = endpoint.failing_since = None
    _record(unit, endpoint.id, "webhook.enabled")
    _settle_alert(unit, endpoint)


def disable_endpoint(unit: Unit, endpoint: WebhookEndpoint, *, reason: str = "by_hand") -> None:
    """Tell an address nothing until somebody enables it; events go on being kept for it."""
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    if endpoint.disabled_at is not None:
        return
    endpoint.disabled_at, endpoint.disabled_by = unit.at, reason
    _record(unit, endpoint.id, "webhook.disabled", reason=reason)
    resolve_alerts(unit, "webhook_not_taken", details=[_late(endpoint)])
    if reason in _REASONS:
        raise_alert(unit, "webhook_disabled", detail=_told(endpoint, reason), told_apart=True)


def note_success(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Note that an endpoint takes events; what waits since it took none is due at once."""
    since, endpoint.failing_since = endpoint.failing_since, None
    waiting = (
        WebhookMessage.org_id == unit.org_id,
        WebhookMessage.endpoint_id == endpoint.id,
        WebhookMessage.state == "pending",
        WebhookMessage.attempts > 0,
    )
    if since is not None and unit.at - since >= _OUTAGE:
        unit.session.execute(
            update(WebhookMessage)
            .where(*waiting, WebhookMessage.next_attempt_at > unit.at + LEASE)  # nobody is at it now
            .values(next_attempt_at=unit.at)
            .execution_options(synchronize_session=False)
        )
    late = select(WebhookMessage.id).where(*waiting, WebhookMessage.attempts >= MAX_ATTEMPTS).limit(1)
    if unit.session.scalars(late).first() is None:
        resolve_alerts(unit, "webhook_not_taken", details=[_late(endpoint)])


def note_late(unit: Unit, endpoint: WebhookEndpoint) -> None:
    """Tell the owners that an event could not be brought to an endpoint for hours."""
    raise_alert(unit, "webhook_not_taken", detail=_late(endpoint), told_apart=True)


def note_failure(unit: Unit, endpoint: WebhookEndpoint, *, gone: bool) -> None:
    """Note that an endpoint did not take an event; give it up when it says so (410), or after three days of that."""
    if endpoint.failing_since is None:
        endpoint.failing_since = unit.at
    if gone:
        disable_endpoint(unit, endpoint, reason="gone")
    elif unit.at - endpoint.failing_since >= GIVEN_UP_AFTER:
        disable_endpoint(unit, endpoint, reason="failing")


def _told(endpoint: WebhookEndpoint, reason: str) -> str:
    host = urlsplit(endpoint.url).hostname
    return f"Events no longer go to {host}, which {_REASONS[reason]}: mend it, then enable webhook {endpoint.id}"


def _late(endpoint: WebhookEndpoint) -> str:
    host = urlsplit(endpoint.url).hostname
    return f"{host} has not taken an event for hours, see webhook {endpoint.id}: it is tried every three hours"


def _settle_alert(unit: Unit, endpoint: WebhookEndpoint) -> None:
    resolve_alerts(unit, "webhook_not_taken", details=[_late(endpoint)])
    resolve_alerts(unit, "webhook_disabled", details=[_told(endpoint, reason) for reason in _REASONS])


def _record(
    unit: Unit, endpoint_id: uuid.UUID, action: str, *, reason: str = "by_hand", body: dict[str, object] | None = None
) -> None:
    record(
        unit,
        action,
        subject_kind="webhook_endpoint",
        subject_id=endpoint_id,
        reason=reason,
        body=body,
        touches_seats=False,
    )
