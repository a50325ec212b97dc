"""Telling applications of events: those that happened since, and those on their way."""

import uuid
from collections import defaultdict
from time import monotonic

import structlog

from bridge.adapters.fetch import ExchangeError, Request, exchange
from bridge.adapters.webhooks import sign
from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId
from bridge.errors import InvalidInputError
from bridge.jobs.containing import Stopping, contained, never, on_behalf_of
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.usecases.webhook_messages import (
    Outgoing,
    claim_message,
    finish_message,
    make_events,
    postpone_message,
)

log = structlog.get_logger()

#: How long one endpoint may keep a round busy.
_ROUND_SECONDS = 5.0


def tell_applications(runtime: Runtime, stopping: Stopping = never) -> int:
    """Make the events of what has happened, and bring out those that are due; return how many were taken.

    An endpoint that did not take one, or that took its time, is left alone for the rest of the round, so that it keeps
    nobody else waiting.
    """
    for org_id in runtime.ask_gate(gate.organizations_with_news):
        with contained("webhooks.not_made", org_id):
            while not stopping() and _make_once(runtime, org_id):
                pass
    taken = 0
    spent: defaultdict[uuid.UUID, float] = defaultdict(float)
    for org_id, message_id, endpoint_id in runtime.ask_gate(
        lambda session: gate.due_webhooks(session, runtime.clock.now())
    ):
        if stopping():
            break
        if spent[endpoint_id] >= _ROUND_SECONDS:
            continue
        began = monotonic()
        with contained("webhook.failed", org_id):
            outcome = send_message(runtime, org_id, message_id)
            spent[endpoint_id] += _ROUND_SECONDS if outcome is False else monotonic() - began
            taken += outcome is True
    return taken


def _make_once(runtime: Runtime, org_id: OrgId) -> int:
    with runtime.unit(org_id, SYSTEM) as unit:
        return make_events(unit)


def send_message(runtime: Runtime, org_id: OrgId, message_id: uuid.UUID) -> bool | None:
    """Bring one event out, in no transaction, and note what became of it.

    Returns:
        Whether it was taken; None when it is not due, or another worker has it.
    """
    with runtime.unit(org_id, SYSTEM) as unit:
        outgoing = claim_message(unit, message_id)
    if outgoing is None:
        return None
    with on_behalf_of(runtime, "send event", outgoing.request_id):
        return _bring(runtime, org_id, outgoing)


def _bring(runtime: Runtime, org_id: OrgId, outgoing: Outgoing) -> bool:
    status, problem = _send(runtime, org_id, outgoing)
    with runtime.unit(org_id, SYSTEM) as unit:
        if problem is None and status is not None:
            finish_message(unit, outgoing, status)
        else:
            postpone_message(unit, outgoing, problem or f"status_{status}", status)
    facts = {
        "org_id": str(org_id),
        "message_id": str(outgoing.message_id),
        "attempt": outgoing.attempt,
        "status": status,
    }
    if problem is None:
        log.info("webhook.taken", **facts)
    else:
        log.warning("webhook.postponed", **facts, error=problem)
    return problem is None


def _send(runtime: Runtime, org_id: OrgId, outgoing: Outgoing) -> tuple[int | None, str | None]:
    """Post a signed event; return what was answered, and what is wrong with it as a code."""
    secrets = [runtime.webhook_secret(org_id, outgoing.endpoint_id, sealed) for sealed in outgoing.secrets]
    signed = [sign(secret, str(outgoing.event_id), runtime.clock.now(), outgoing.body) for secret in secrets]
    headers = signed[0] | {
        "webhook-signature": " ".join(one["webhook-signature"] for one in signed),
        "Content-Type": "application/json",
        "User-Agent": "seatbridge",
    }
    settings = runtime.settings.webhooks
    try:
        answer = exchange(
            Request(outgoing.url, "POST", headers, outgoing.body),
            max_bytes=None,
            timeout_seconds=settings.timeout_seconds,
            internal=settings.is_internal(outgoing.url),
        )
    except ExchangeError as problem:
        return None, "timeout" if problem.timed_out else "connection"
    except InvalidInputError:
        return None, "address_not_allowed"
    if answer.is_success:
        return answer.status, None
    return answer.status, "redirected" if "location" in answer.headers else f"status_{answer.status}"
