"""Where billing cores bring their events to: named by the path, believed by the signature only."""

import uuid
from typing import Final

import structlog
from flask import Blueprint, Response, g, jsonify, request

from bridge.adapters.webhooks import check_signature, new_webhook_secret
from bridge.core import CoreEvent
from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId
from bridge.errors import BridgeError, WebhookRefusedError
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.usecases.core_events import apply_event
from bridge.usecases.mirror_core import find_connection, refuse_former_connection
from bridge.web.credentials import signature
from bridge.web.session import current_runtime

log = structlog.get_logger(__name__)

billing_events = Blueprint("billing_events", __name__, url_prefix="/billing")

MAX_EVENT_BYTES: Final = 262_144
#: Signs nothing: an organization that is not there is refused as slowly as one whose signature is wrong.
_NOBODY: Final = new_webhook_secret()


@billing_events.post("/<slug>/events")
@signature
def receive(slug: str) -> Response:
    """Apply an event that the organization's billing core signed, once."""
    runtime = current_runtime()
    is_long = (request.content_length or 0) > MAX_EVENT_BYTES
    # A body whose length is not said is cut off behind the most, which tells that there was more.
    request.max_content_length = MAX_EVENT_BYTES + 1
    body = b"" if is_long else request.get_data(cache=False)
    if is_long or len(body) > MAX_EVENT_BYTES:
        return _problem(413, "too_large", f"An event has at most {MAX_EVENT_BYTES} bytes")
    try:
        org_id, generation, event = _verified(runtime, slug, body)
    except WebhookRefusedError as refusal:
        log.info("webhook.refused", why=refusal.why)
        return _problem(401, refusal.code, str(refusal))
    if event is None:
        return jsonify(status="ignored")
    with runtime.unit(org_id, SYSTEM) as unit:
        refuse_former_connection(unit, generation)
        new = apply_event(unit, event)
    log.info("webhook.applied", org_id=str(org_id), event_id=event.id, kind=str(event.kind), new=new)
    return jsonify(status="applied" if new else "known")


@billing_events.errorhandler(BridgeError)
def refused(error: BridgeError) -> Response:
    """Answer what could not be applied: the core sends it again."""
    log.warning("webhook.not_applied", error=error.code, exc_info=error)
    return _problem(503, error.code, "The event could not be applied now: send it again later")


def _verified(runtime: Runtime, slug: str, body: bytes) -> tuple[OrgId, uuid.UUID, CoreEvent | None]:
    """Return whose event it is, which connection checked it, and the event; None for one that says nothing to us.

    Raises:
        WebhookRefusedError: There is no such organization, it has no core, or its core did not sign this.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    org_id = runtime.ask_gate(lambda session: gate.find_organization(session, slug))
    service = generation = None
    if org_id is not None:
        with runtime.unit(org_id, SYSTEM) as unit:
            connection, service = find_connection(unit), runtime.billing_service(unit)
            generation = connection.generation if connection is not None else None
    if org_id is None or service is None or generation is None:
        check_signature(_NOBODY, headers, body, runtime.clock.now())
        raise WebhookRefusedError("there is nobody here who could have signed it")
    return org_id, generation, service.verify(headers, body, runtime.clock.now())


def _problem(status: int, code: str, detail: str) -> Response:
    answer = jsonify(type="about:blank", status=status, code=code, detail=detail, request_id=g.get("request_id", ""))
    answer.status_code = status
    answer.content_type = "application/problem+json"
    return answer
