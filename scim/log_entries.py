"""From a request as it was heard to an entry of the provisioning log: redacted, cut, told whose dialect it speaks."""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import orjson

from bridge.domain.dialects import Dialect, SentRequest, conclude, signs_of
from bridge.domain.redaction import Kept, keep_body, keep_query, keep_text
from bridge.domain.request_log import Mark
from scim.callers import KnownCaller

MAX_PATH = 1024
MAX_QUERY = 8192
MAX_HEADER = 256
MAX_METHOD = 32
MAX_FAILED_OPERATIONS = 100
MAX_STATUSES = 1000
#: Larger bodies are many members or a Bulk request: they show no more of a dialect than small ones.
_MAX_READ = 65_536
_NOTHING = Kept("", whole=True)
#: Where the address matters: these were refused before anybody looked at more than the credential.
_REFUSED_UNREAD = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(slots=True)
class Heard:
    """A request and its answer as the edge saw them; the bodies are those of the request, not copies.

    Attributes:
        token_hash: SHA-256 of the token; None without one that could be ours.
        latency_seconds: By a clock that never jumps.
        body: None where it was not read.
        answer: None for an answer whose content is not kept: a read that succeeded.
    """

    at: datetime
    slug: str
    token_hash: bytes | None
    method: str
    path: str
    query: str
    status: int
    mark: Mark | None
    latency_seconds: float
    request_id: str
    address: str
    user_agent: str | None
    content_type: str | None
    body: bytes | None
    bytes_in: int
    answer: bytes | None
    bytes_out: int | None
    id: uuid.UUID | None = None

    def without_bodies(self) -> "Heard":
        """Return it as if neither the body nor the answer had been read."""
        return replace(self, body=None, answer=None)

    @property
    def weight(self) -> int:
        """How many bytes it keeps in memory, roughly."""
        return len(self.body or b"") + len(self.answer or b"")


@dataclass(slots=True)
class Entry:
    """An entry that is about to be written.

    Attributes:
        caller: Whose token it came with, refused or not; None where it is nobody's.
        row: The columns but the organization.
        signs: What it shows of a dialect.
        slug: The organization that the path names.
        has_token: Whether it came with a token that could be one of ours.
    """

    caller: KnownCaller | None
    at: datetime
    row: dict[str, Any]
    signs: list[str]
    slug: str
    has_token: bool

    @property
    def is_refused_credential(self) -> bool:
        """Whether it was refused for its credential."""
        return bool(self.row["status"] == HTTPStatus.UNAUTHORIZED)

    def explain_refusal(self, states: Mapping[uuid.UUID, tuple[datetime, Mark | None]]) -> None:
        """Say why the credential was refused, from what is known of the tokens now."""
        self.row["mark"] = str(self._why_refused(states))

    def _why_refused(self, states: Mapping[uuid.UUID, tuple[datetime, Mark | None]]) -> Mark:
        if self.caller is None:
            return Mark.TOKEN_UNKNOWN if self.has_token else Mark.TOKEN_MISSING
        expires_at, state = states.get(self.caller.token_id, (self.at, None))
        if state is not None:
            return state
        if expires_at <= self.at:
            return Mark.TOKEN_EXPIRED
        return Mark.OTHER_ORGANIZATION if self.caller.slug != self.slug else Mark.TOKEN_UNKNOWN


def entry_of(heard: Heard, caller: KnownCaller | None) -> Entry:
    """Make the entry of a request."""
    body, answer = _read_small(heard.body), _read_small(heard.answer)
    sent = keep_body(heard.body, is_json=body is not None) if heard.body else _NOTHING
    answered = keep_body(heard.answer, is_json=answer is not None) if heard.answer else _NOTHING
    accepted = heard.status < HTTPStatus.BAD_REQUEST
    signs = _signs(heard, body) if caller is not None else []
    told = conclude(signs).dialect
    row = {
        "id": heard.id,
        "at": heard.at,
        "connection_id": None if caller is None else caller.connection_id,
        "token_id": None if caller is None else caller.token_id,
        "method": _header(heard.method)[:MAX_METHOD],
        "path": keep_text(heard.path, MAX_PATH),
        "query": keep_text(keep_query(heard.query), MAX_QUERY),
        "status": heard.status,
        "scim_type": _short(answer.get("scimType")) if not accepted and isinstance(answer, Mapping) else None,
        "mark": heard.mark,
        "latency_ms": round(heard.latency_seconds * 1000, 3),
        "request_id": heard.request_id,
        "address": _header(heard.address) if heard.status in _REFUSED_UNREAD else None,
        "user_agent": None if heard.user_agent is None else _header(heard.user_agent),
        "content_type": None if heard.content_type is None else _header(heard.content_type),
        "bytes_in": heard.bytes_in,
        "bytes_out": heard.bytes_out,
        "dialect": None if told is Dialect.GENERIC else told,
        "request_body": sent.text if heard.body else None,
        "request_whole": sent.whole and len(heard.path) <= MAX_PATH and len(heard.query) <= MAX_QUERY,
        "response_body": answered.text if heard.answer else None,
        "response_whole": answered.whole,
        "operations": _outcomes(heard.answer) if heard.answer and accepted and heard.path == "/Bulk" else None,
    }
    return Entry(caller, heard.at, row, signs, heard.slug, heard.token_hash is not None)


@lru_cache(maxsize=256)
def _header(text: str) -> str:
    """Keep a header; the same few come all day."""
    return keep_text(text, MAX_HEADER)


def _short(value: Any) -> str | None:
    return keep_text(value, MAX_PATH) if isinstance(value, str) else None


def _signs(heard: Heard, body: Any) -> list[str]:
    return signs_of(SentRequest(heard.method, heard.path, heard.query, heard.user_agent, body))


def _read_small(body: bytes | None) -> Any:
    return _read(body) if body and len(body) <= _MAX_READ else None


def _read(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _outcomes(body: bytes) -> dict[str, Any] | None:
    """Sum a Bulk answer up: how many operations ended how, every status in order, and those that failed."""
    answer = _read(body)
    operations = answer.get("Operations") if isinstance(answer, Mapping) else None
    if not isinstance(operations, list):
        return None
    ended = Counter(
        f"{operation.get('method')} {_endpoint(operation)} {operation.get('status')}" for operation in operations
    )
    failed = [
        {
            "number": number,
            "method": operation.get("method"),
            "location": _short(operation.get("location")),
            "bulkId": _short(operation.get("bulkId")),
            "status": operation.get("status"),
            "scimType": (operation.get("response") or {}).get("scimType"),
            "detail": _short((operation.get("response") or {}).get("detail")),
        }
        for number, operation in enumerate(operations, start=1)
        if _status(operation) >= HTTPStatus.BAD_REQUEST
    ]
    return {
        "total": len(operations),
        "ended": dict(ended),
        "statuses": [_status(operation) for operation in operations[:MAX_STATUSES]],
        "failed": failed[:MAX_FAILED_OPERATIONS],
    }


def _status(operation: Mapping[str, Any]) -> int:
    status = str(operation.get("status"))
    return int(status) if status.isdecimal() else 0


def _endpoint(operation: Mapping[str, Any]) -> str:
    """Name where an operation went, from its location; an operation that failed to create has none."""
    parts = str(operation.get("location") or "").split("/scim/v2/")[-1].split("/")
    return keep_text(f"/{parts[1]}", MAX_PATH) if len(parts) > 1 else "?"
