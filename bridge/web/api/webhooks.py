"""Webhooks: endpoints, their secrets, and what became of every event."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from bridge.adapters.fetch import check_address
from bridge.adapters.webhooks import new_webhook_secret
from bridge.domain.scopes import Scope
from bridge.domain.webhooks import EventType
from bridge.errors import NotFoundError
from bridge.store.models import WebhookEndpoint
from bridge.store.queue import wake_workers
from bridge.usecases.webhook_endpoints import (
    EndpointView,
    add_endpoint,
    disable_endpoint,
    enable_endpoint,
    find_endpoint,
    list_endpoints,
    remove_endpoint,
    rotate_secret,
)
from bridge.usecases.webhook_messages import list_messages, queue_test, replay
from bridge.web.api.calls import Call
from bridge.web.api.operations import Resource
from bridge.web.api.shapes import Answer, Body, Page, Query

webhooks = Resource("Webhooks", "Addresses that are told of events, signed by Standard Webhooks.", "/webhooks")


class EndpointShape(Answer):
    """An endpoint; `state` is ok, failing or disabled. `pending` events wait for it, `dead` ones were given up."""

    id: uuid.UUID
    url: str
    events: list[str]
    state: str
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_by: str | None
    pending: int
    dead: int


class EndpointsPage(Page):
    """Endpoints, oldest first."""

    items: list[EndpointShape]


class NewEndpoint(Body):
    """An address to tell of events from now on; all of them when none is named."""

    url: Annotated[str, Field(max_length=1000)]
    events: tuple[EventType, ...] = ()


class EndpointMade(Answer):
    """The new endpoint. Its secret is shown once."""

    endpoint: EndpointShape
    secret: str


class SecretRotated(Answer):
    """The new secret, shown once; the old one signs beside it for a day."""

    secret: str
    old_secret_until: datetime


class MessageShape(Answer):
    """An event for an endpoint. `id` is its `webhook-id`, which the feed of events gives too."""

    id: uuid.UUID
    event: str
    at: datetime
    state: str
    attempts: int
    status: int | None
    last_error: str | None
    next_attempt_at: datetime | None
    done_at: datetime | None


class MessagesPage(Page):
    """Events of an endpoint, newest first."""

    items: list[MessageShape]


class MessagesQuery(Query):
    """Which events."""

    state: Literal["pending", "done", "dead"] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class Replayed(Answer):
    """Events that were put back in line, by their ids."""

    replayed: list[uuid.UUID]


class TestQueued(Answer):
    """The event that tells of nothing; the worker sends it within seconds."""

    id: uuid.UUID


@webhooks.get(scope=Scope.CONNECTIONS_READ, answer=EndpointsPage)
def list_webhooks(call: Call) -> object:
    """List the endpoints, and how many events wait for each or were given up."""
    return {"items": list_endpoints(call.unit)}


@webhooks.post(scope=Scope.CONNECTIONS_WRITE, answer=EndpointMade, status=201)
def add_webhook(call: Call, body: NewEndpoint) -> object:
    """Tell an address of events from now on. The secret they are signed with is answered once."""
    check_address(body.url, internal=call.runtime.settings.webhooks.is_internal(body.url))
    secret = new_webhook_secret()
    made = add_endpoint(
        call.unit,
        body.url,
        body.events,
        lambda endpoint_id: call.runtime.sealed_webhook_secret(call.unit.org_id, endpoint_id, secret),
    )
    return {"endpoint": _shown(call, made.id), "secret": secret}


@webhooks.get("/<uuid:webhook_id>", scope=Scope.CONNECTIONS_READ, answer=EndpointShape)
def get_webhook(call: Call, webhook_id: uuid.UUID) -> object:
    """Read one endpoint."""
    return _shown(call, webhook_id)


@webhooks.delete("/<uuid:webhook_id>", scope=Scope.CONNECTIONS_WRITE, reads=get_webhook)
def remove_webhook(call: Call, webhook_id: uuid.UUID) -> None:
    """Tell an address nothing any more; what waits for it is dropped."""
    remove_endpoint(call.unit, _endpoint(call, webhook_id))


@webhooks.post("/<uuid:webhook_id>/disable", scope=Scope.CONNECTIONS_WRITE, answer=EndpointShape, reads=get_webhook)
def disable_webhook(call: Call, webhook_id: uuid.UUID) -> object:
    """Tell an address nothing until it is enabled; events go on being kept for it."""
    disable_endpoint(call.unit, _endpoint(call, webhook_id))
    return _shown(call, webhook_id)


@webhooks.post("/<uuid:webhook_id>/enable", scope=Scope.CONNECTIONS_WRITE, answer=EndpointShape, reads=get_webhook)
def enable_webhook(call: Call, webhook_id: uuid.UUID) -> object:
    """Go on telling an endpoint that was given up; what happened meanwhile is told first."""
    enable_endpoint(call.unit, _endpoint(call, webhook_id))
    return _shown(call, webhook_id)


@webhooks.post("/<uuid:webhook_id>/rotate-secret", scope=Scope.CONNECTIONS_WRITE, answer=SecretRotated)
def rotate_webhook_secret(call: Call, webhook_id: uuid.UUID) -> object:
    """Sign with a new secret, answered once; for a day the old one signs too."""
    secret = new_webhook_secret()
    until = rotate_secret(
        call.unit,
        _endpoint(call, webhook_id),
        lambda endpoint_id: call.runtime.sealed_webhook_secret(call.unit.org_id, endpoint_id, secret),
    )
    return {"secret": secret, "old_secret_until": until}


@webhooks.get("/<uuid:webhook_id>/deliveries", scope=Scope.CONNECTIONS_READ, answer=MessagesPage)
def list_webhook_deliveries(call: Call, webhook_id: uuid.UUID, query: MessagesQuery) -> object:
    """List the newest events of an endpoint, and what became of each."""
    found = list_messages(call.unit, _endpoint(call, webhook_id), state=query.state, limit=query.limit)
    return {"items": found}


@webhooks.post("/<uuid:webhook_id>/test", scope=Scope.CONNECTIONS_WRITE, answer=TestQueued, status=202)
def test_webhook(call: Call, webhook_id: uuid.UUID) -> object:
    """Send an event that tells of nothing; its delivery says what the endpoint answered."""
    message_id = queue_test(call.unit, _endpoint(call, webhook_id))
    wake_workers(call.unit.session)
    return {"id": message_id}


@webhooks.post("/<uuid:webhook_id>/replay", scope=Scope.CONNECTIONS_WRITE, answer=Replayed)
def replay_webhook(call: Call, webhook_id: uuid.UUID) -> object:
    """Send the events again that were given up, under the same ids."""
    return {"replayed": replay(call.unit, _endpoint(call, webhook_id))}


@webhooks.post("/<uuid:webhook_id>/deliveries/<uuid:event_id>/replay", scope=Scope.CONNECTIONS_WRITE, answer=Replayed)
def replay_webhook_event(call: Call, webhook_id: uuid.UUID, event_id: uuid.UUID) -> object:
    """Send one event again under the same id, whatever became of it."""
    return {"replayed": replay(call.unit, _endpoint(call, webhook_id), event_id)}


def _endpoint(call: Call, webhook_id: uuid.UUID) -> WebhookEndpoint:
    return find_endpoint(call.unit, str(webhook_id))


def _shown(call: Call, webhook_id: uuid.UUID) -> EndpointView:
    for one in list_endpoints(call.unit):
        if one.id == webhook_id:
            return one
    raise NotFoundError("webhook endpoint", str(webhook_id))
