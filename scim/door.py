"""What every request passes on its way in and out: the limits first, the provisioning log last."""

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from flask import Response

from bridge.domain.recent import Recent
from bridge.domain.request_log import Mark
from bridge.errors import PushesRefusedError, TooManyRequestsError
from bridge.runtime import Runtime
from scim.callers import MAX_CALLERS, KnownCallers
from scim.errors import UnknownShapeException
from scim.lanes.call import Call
from scim.log_entries import Heard
from scim.rates import Rates
from scim.request_log import RequestLog

log = structlog.get_logger()

#: Where strangers, of whom nobody knows yet which organization they are of, take their slots.
_STRANGERS = object()
_UNAUTHORIZED = int(HTTPStatus.UNAUTHORIZED)
_READS = frozenset({"GET", "HEAD"})
_REFUSED = int(HTTPStatus.BAD_REQUEST)
_MAX_LENGTH = 2**63 - 1


@dataclass(slots=True)
class Visit:
    """One request on its way through.

    Attributes:
        refusal: What the request was refused for, once it was.
        unreadable: Whether a part of an accepted request, an operation of a Bulk, was in a shape nobody knows.
    """

    call: Call
    began: float = field(default_factory=time.perf_counter)
    refusal: Exception | None = None
    unreadable: bool = False
    slot: Hashable | None = None


class Door:
    """The limits and the log of one process.

    A token counts as good from the first answer that is no 401 until the next one that is: whoever has a good token
    never waits for what others at the same address do.

    Args:
        runtime: The product.
    """

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        self.callers = KnownCallers()
        self.rates = Rates(settings.scim, settings.server)
        self.log = RequestLog(runtime, self.callers)
        self._good: Recent[bytes, int] = Recent(MAX_CALLERS)

    def admit(self, visit: Visit) -> None:
        """Let a request in.

        Raises:
            TooManyRequestsError: It has to come again later.
        """
        call = visit.call
        if call.token_hash is not None and self._good.get(call.token_hash) is not None:
            caller = self.callers.get(call.token_hash)
            self.rates.spend(call.token_hash if caller is None else caller.connection_id)
            slot: Hashable = call.slug
        else:
            self.rates.check_stranger(call.request.remote_addr or "", call.slug)
            slot = _STRANGERS
        self.rates.enter(slot)
        visit.slot = slot

    def let_out(self, visit: Visit, answer: Response) -> None:
        """Note a request with its answer; whatever goes wrong here, the answer stands."""
        try:
            if visit.slot is not None:
                self.rates.slots.leave(visit.slot)
                self._judge(visit.call, answer.status_code)
            self.log.note(_heard(visit, answer))
        except Exception:
            log.exception("scim.request_log.failed")

    def _judge(self, call: Call, status: int) -> None:
        """Learn whether the token is good."""
        if status == _UNAUTHORIZED:
            self.rates.note_refused(call.request.remote_addr or "", call.slug)
            if call.token_hash is not None:
                self._good.forget(call.token_hash)
        elif call.token_hash is not None and call.token_hash not in self._good:
            self._good.keep(call.token_hash, status)


def _heard(visit: Visit, answer: Response) -> Heard:
    call = visit.call
    request, body = call.request, call.body_read
    environ = request.environ
    status, method, path = answer.status_code, request.method, f"/{call.path}"
    content = answer.response
    whole = content[0] if isinstance(content, list) and len(content) == 1 else None
    size = len(whole) if whole is not None else 0 if content == [] else answer.content_length
    reads = method in _READS or path.endswith("/.search")
    return Heard(
        at=call.at,
        slug=call.slug,
        token_hash=call.token_hash,
        method=method,
        path=path,
        query=environ.get("QUERY_STRING", ""),
        status=status,
        mark=_mark(visit),
        latency_seconds=time.perf_counter() - visit.began,
        request_id=call.request_id,
        address=request.remote_addr or "",
        user_agent=environ.get("HTTP_USER_AGENT"),
        content_type=environ.get("CONTENT_TYPE"),
        body=body or None,
        bytes_in=_announced(environ) if body is None else len(body),
        answer=(whole or None) if isinstance(whole, bytes) and (not reads or status >= _REFUSED) else None,
        bytes_out=size,
    )


def _announced(environ: Mapping[str, str]) -> int:
    """Return the length of a body that nobody read, as the client gave it, at most what the database holds."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        return 0
    return int(length) if len(length) < len(str(_MAX_LENGTH)) else _MAX_LENGTH


def _mark(visit: Visit) -> Mark | None:
    if visit.unreadable or isinstance(visit.refusal, UnknownShapeException):
        return Mark.UNKNOWN_SHAPE
    if isinstance(visit.refusal, PushesRefusedError):
        return Mark.PUSHES_REFUSED
    if visit.call.is_held and visit.refusal is None:
        return Mark.HELD
    return Mark.RATE_LIMITED if isinstance(visit.refusal, TooManyRequestsError) else None
