"""Cursors: where a program goes on in a list, in a form that only the service writes."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from flask import request

from bridge.errors import InvalidInputError
from bridge.web.api.calls import Call

_TAG_BYTES: Final = 12
_BESIDE = frozenset({"cursor", "limit"})


class HasCursor(Protocol):
    """The parameters of a list: its filters, and where it goes on."""

    @property
    def cursor(self) -> str | None:
        """Where to go on."""

    def model_dump(self, *, mode: str, exclude: set[str]) -> dict[str, Any]:
        """Return the parameters by name."""


def place_of(call: Call, query: HasCursor) -> list[Any] | None:
    """Read where the caller is in the list; None at its beginning.

    Raises:
        InvalidInputError: The cursor is of another list, other filters, another organization, or of nobody.
    """
    if query.cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    tag, place = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not place or not any(hmac.compare_digest(tag, _tag(key, call, query, place)) for key in _keys(call)):
        raise InvalidInputError("cursor", "is not one of this list with these filters: begin without it")
    read: list[Any] = json.loads(place)
    return read


def cursor_at(call: Call, query: HasCursor, place: Sequence[Any]) -> str:
    """Write a place in the list."""
    raw = json.dumps(list(place), separators=(",", ":"), default=str).encode()
    return base64.urlsafe_b64encode(_tag(_keys(call)[0], call, query, raw) + raw).decode().rstrip("=")


def next_link(cursor: str) -> str:
    """Return the `Link` header that leads to the next page (RFC 8288)."""
    arguments = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f'<{request.path}?{urlencode([*arguments, ("cursor", cursor)])}>; rel="next"'


def _keys(call: Call) -> tuple[bytes, ...]:
    return call.runtime.secrets.derive_all("cursor")


def _tag(key: bytes, call: Call, query: HasCursor, place: bytes) -> bytes:
    filters = json.dumps(query.model_dump(mode="json", exclude=set(_BESIDE)), sort_keys=True)
    said = f"{call.unit.org_id}|{call.operation.name}|{filters}|".encode() + place
    return hmac.new(key, said, hashlib.sha256).digest()[:_TAG_BYTES]
