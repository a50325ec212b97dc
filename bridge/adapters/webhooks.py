"""Events that come in signed: the headers of Standard Webhooks, `webhook-id`, `webhook-timestamp`, `webhook-signature`.

What is signed is ``<id>.<timestamp>.<body>``, by HMAC-SHA256 under a secret that is written ``whsec_`` and base64.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from bridge.errors import WebhookRefusedError

TOLERANCE: Final = timedelta(minutes=5)
_PREFIX: Final = "whsec_"
_LEAST_BYTES: Final = 24
#: Of the id's characters, and of the signatures that one event may bring (two keys at a rotation).
_LONGEST_ID: Final = 200
_MOST_SIGNATURES: Final = 10


def new_webhook_secret() -> str:
    """Return a new secret of 256 bits."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def secret_bytes(secret: str) -> bytes:
    """Return the key of a secret; raises ValueError for what is none."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook secret reads whsec_ and base64") from None
    if not secret.startswith(_PREFIX) or len(key) < _LEAST_BYTES:
        raise ValueError(f"a webhook secret reads whsec_ and base64 of {_LEAST_BYTES} bytes or more")
    return key


def sign(secret: str, event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body."""
    seconds = str(int(at.timestamp()))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{_signature(secret, event_id, seconds, body)}",
    }


def check_signature(secret: str, headers: Mapping[str, str], body: bytes, at: datetime) -> str:
    """Return the id of an event that was signed with the secret within five minutes of now.

    Args:
        secret: As it was given to the sender.
        headers: Names in small letters.
        body: Exactly as it came.
        at: Now.

    Raises:
        WebhookRefusedError: A header is missing, the time is too far off, or no signature fits.
    """
    event_id = headers.get("webhook-id", "")
    seconds = headers.get("webhook-timestamp", "")
    if not event_id or len(event_id) > _LONGEST_ID or not event_id.isprintable():
        raise WebhookRefusedError("its webhook-id is missing or too long")
    signatures = headers.get("webhook-signature", "").split(" ")[:_MOST_SIGNATURES]
    expected = _signature(secret, event_id, seconds, body)
    fitting = [
        hmac.compare_digest(signature.removeprefix("v1,").encode(), expected.encode())
        for signature in signatures
        if signature.startswith("v1,")
    ]
    if not any(fitting):
        raise WebhookRefusedError("no signature fits: check the secret, and that the body is sent as it was signed")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):  # noqa: PLR2004 (33,658 AD)
        raise WebhookRefusedError("its webhook-timestamp is not in seconds since 1970")
    if abs(datetime.fromtimestamp(int(seconds), UTC) - at) > TOLERANCE:
        raise WebhookRefusedError("it was signed more than five minutes ago, or ahead: check both clocks")
    return event_id


def _signature(secret: str, event_id: str, seconds: str, body: bytes) -> str:
    signed = b".".join((event_id.encode(), seconds.encode(), body))
    return base64.b64encode(hmac.digest(secret_bytes(secret), signed, hashlib.sha256)).decode()
