"""What an audit entry's digest is computed over: text around the entry's number, so that SQL can number it too."""

import hashlib
import hmac
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

_BLOCK = 64
_LARGEST = 2**53


@dataclass(frozen=True, slots=True)
class Frame:
    """The content of one audit entry, before and behind its number."""

    before: str
    behind: str

    def content(self, seq: int) -> str:
        """Return the whole content of the entry with this number."""
        return f"{self.before}{seq}{self.behind}"


def frame(
    *,
    org_id: object,
    at: datetime,
    actor: str,
    action: str,
    subject_kind: str,
    subject_id: str,
    reason: str,
    request_id: str,
    body: dict[str, Any],
) -> Frame:
    """Write the content of an entry as compact JSON with sorted names: ``seq`` stands before ``subject``, last."""
    head = {
        "action": action,
        "actor": actor,
        "at": at.isoformat(),
        "body": body,
        "org": str(org_id),
        "reason": reason,
        "request": request_id,
    }
    return Frame(f'{_compact(head)[:-1]},"seq":', f',"subject":{_compact([subject_kind, subject_id])}}}')


def seal_content(previous: bytes, content: str, key: bytes) -> bytes:
    """Compute the digest of an entry's content and the digest before it."""
    return hmac.new(key, previous + content.encode(), hashlib.sha256).digest()


def hmac_pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the inner and outer block of a key (RFC 2104), with which SQL computes the HMAC by its ``sha256``.

    ``sha256(outer || sha256(inner || message))`` is the HMAC of the message.
    """
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def _compact(value: Any) -> str:
    """Write compact JSON with sorted names: by the quicker library where it writes the very same."""
    if _is_plain(value):
        with suppress(TypeError):  # half a surrogate pair, or nested deeper than the quicker library goes
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _is_plain(value: Any) -> bool:
    """Tell whether both libraries write a value alike: fractions and large numbers they do not."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, int):
        return abs(value) <= _LARGEST
    if isinstance(value, dict):
        return all(type(name) is str and _is_plain(item) for name, item in value.items())
    return isinstance(value, list) and all(map(_is_plain, value))
