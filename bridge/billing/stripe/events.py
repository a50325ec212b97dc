"""Stripe's events: who signed one, whether it is about our subscription, and what it means to us."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Any, Final

from bridge.billing.stripe.reading import HALFWAY, ORDERS
from bridge.billing.stripe.sdk import Document
from bridge.core import EventKind
from bridge.errors import WebhookRefusedError

TOLERANCE: Final = timedelta(minutes=5)
KINDS: Final[Mapping[str, EventKind]] = {
    "invoice.paid": EventKind.INVOICE_PAID,
    "invoice.payment_failed": EventKind.PAYMENT_FAILED,
    "customer.subscription.updated": EventKind.PRICE_CHANGED,
    "customer.subscription.deleted": EventKind.ENDED,
}
_FINALIZED: Final = "invoice.finalized"
RELEVANT: Final = (_FINALIZED, *KINDS)
"""The types to subscribe a webhook endpoint to, and to ask for."""
_TIME: Final = re.compile(r"t=([0-9]{1,12})", re.ASCII)
_SIGNATURE: Final = re.compile(r"v1=([0-9a-f]{64})", re.ASCII)
#: Parts of the header that are looked at: a rotation of the secret makes two signatures.
_MOST_PARTS: Final = 20


def read_signed(headers: Mapping[str, str], body: bytes, secret: str, at: datetime) -> Document:
    """Check who signed an event and when, and read it.

    Args:
        headers: Names in small letters.
        body: Exactly as it came.
        secret: Of the webhook endpoint, as Stripe shows it: ``whsec_...``.
        at: Now.

    Raises:
        WebhookRefusedError: Stripe did not sign it for us, or not within the last five minutes.

    Source: https://docs.stripe.com/webhooks#verify-manually
    """
    parts = headers.get("stripe-signature", "").split(",", _MOST_PARTS)[:_MOST_PARTS]
    times = [found[1] for part in parts if (found := _TIME.fullmatch(part.strip()))]
    if len(times) != 1:
        raise WebhookRefusedError("its Stripe-Signature is missing or tells no time")
    expected = digest(secret.encode(), f"{times[0]}.".encode() + body, sha256).hex()
    signatures = [found[1] for part in parts if (found := _SIGNATURE.fullmatch(part.strip()))]
    if not any(compare_digest(signature, expected) for signature in signatures):
        raise WebhookRefusedError("no signature fits: check the endpoint's signing secret")
    if abs(datetime.fromtimestamp(int(times[0]), UTC) - at) > TOLERANCE:
        raise WebhookRefusedError("it was signed more than five minutes ago, or ahead: check the clock")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise WebhookRefusedError(f"its body cannot be read: {problem}") from problem
    if not isinstance(event, dict) or not is_event(event):
        raise WebhookRefusedError("its body is no event of Stripe: send snapshot payloads to this endpoint")
    return event


def is_event(document: Mapping[str, Any]) -> bool:
    """Tell whether a document has what is read of an event; its thing may be of any version of the API."""
    data = document.get("data")
    return (
        isinstance(document.get("id"), str)
        and isinstance(document.get("type"), str)
        and isinstance(document.get("created"), int)
        and isinstance(data, dict)
        and isinstance(data.get("object"), dict)
    )


def is_ours(event: Document, subscription: str) -> bool:
    """Tell whether an event is of a kind that matters and may be about a subscription.

    An endpoint is told of everything in the account. Where an invoice names its subscription depends on the version
    that the endpoint was made for; one that names none in any known place is looked at.
    """
    if event["type"] not in RELEVANT:
        return False
    thing: Mapping[str, Any] = event["data"]["object"]
    if str(event["type"]).startswith("customer.subscription."):
        return thing.get("id") == subscription
    parent: Mapping[str, Any] = thing.get("parent") or {}
    named = thing.get("subscription") or (parent.get("subscription_details") or {}).get("subscription")
    return isinstance(thing.get("id"), str) and named in {None, subscription}


def thing_of(event: Document) -> str:
    """Return the id of what an event is about."""
    return str(event["data"]["object"]["id"])


def invoice_kind(event: Document, invoice: Document) -> EventKind | None:
    """Return what an event of an invoice means; None for nothing.

    A renewal is the invoice of the next cycle, paid or not: a declined payment does not hold it up.
    """
    if event["type"] == _FINALIZED:
        return EventKind.RENEWED if invoice.get("billing_reason") == "subscription_cycle" else None
    return KINDS[str(event["type"])]


def carried_out_marks(event: Document) -> tuple[str, ...] | None:
    """Return the marks on a subscription that our own change of it left; None for a change by somebody else.

    The event says which of the metadata were others before.
    """
    before = (event["data"].get("previous_attributes") or {}).get("metadata")
    if not isinstance(before, Mapping) or not {ORDERS, HALFWAY} & {*before}:
        return None
    metadata: Mapping[str, str] = event["data"]["object"].get("metadata") or {}
    return tuple(metadata.get(ORDERS, "").split()[-1:]) if ORDERS in before else ()
