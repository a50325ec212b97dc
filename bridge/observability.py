"""Log lines on standard error: one event, identifiers only, tied together by the request's id.

``log.info("seat.assigned", member_id=..., tier=...)``. Names, mail addresses, tokens and bodies do not
belong in a log; the processors below are the second net under that rule, not a licence to pass them.
"""

import logging
import re
import sys
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from bridge.errors import BridgeError

#: The variable of prometheus_client: the folder that several processes of one service count their requests in.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_CLAIMED_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_MAIL_ADDRESS = re.compile(r"[^\s'\"<>(),;:=]+@[^\s'\"<>(),;:=]+")
# PostgreSQL quotes the offending values: "Key (org_id, user_name_key)=(1, alice@example.com) already exists."
_KEY_VALUES = re.compile(r"\)=\(.*\)")
_PERSONAL = frozenset(
    {
        "assertion",
        "authorization",
        "body",
        "cookie",
        "display_name",
        "email",
        "name",
        "name_id",
        "password",
        "secret",
        "token",
        "user_name",
    }
)
_FRAMES = 30


def configure_logging(*, level: str = "info", as_json: bool = True, stream: TextIO | None = None) -> None:
    """Send every log line of the process, libraries included, to one stream in one shape.

    Libraries are heard from warning upwards, whatever the level.

    Args:
        level: The least important level of our own lines: debug, info, warning or error.
        as_json: One JSON object a line; otherwise lines for people.
        stream: Where to write; standard error by default.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_exception,
        _redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=(stream or sys.stderr).isatty())
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([] if as_json else [_flatten_exception]),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for known in logging.root.manager.loggerDict.values():
        if isinstance(known, logging.Logger):
            known.setLevel(logging.NOTSET)  # some libraries give themselves a level
    for ours in ("bridge", "scim", "mappings", "wsgi"):
        logging.getLogger(ours).setLevel(level.upper())


def request_id_from(claimed: str | None) -> str:
    """Return the request id of a caller when it is a plain short token, else a new one."""
    if claimed is not None and _CLAIMED_ID.fullmatch(claimed):
        return claimed
    return uuid.uuid4().hex


@contextmanager
def bound_ids(**ids: str | int | None) -> Iterator[None]:
    """Add identifiers (request_id, org_id, ...) to every log line written inside the block."""
    with structlog.contextvars.bound_contextvars(**{key: value for key, value in ids.items() if value is not None}):
        yield


def current_request_id() -> str | None:
    """Return the request id bound by :func:`bound_ids`, for error answers and audit entries."""
    value = structlog.contextvars.get_contextvars().get("request_id")
    return value if isinstance(value, str) else None


def _describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace exc_info by the chain of exceptions: class, code, scrubbed first line, places; no locals."""
    exc_info: ExcInfo | BaseException | bool | None = event.pop("exc_info", None)
    if exc_info is True:
        error = sys.exc_info()[1]
    elif isinstance(exc_info, tuple):
        error = exc_info[1]
    else:
        error = exc_info if isinstance(exc_info, BaseException) else None
    chain: list[dict[str, object]] = []
    while error is not None and len(chain) < 5:  # noqa: PLR2004 (deeper causes say nothing new)
        chain.append(_describe(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if chain:
        event["exception"] = chain
    return event


def _describe(error: BaseException) -> dict[str, object]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    described: dict[str, object] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, BridgeError):
        # The sentence of a refusal is written for the person concerned and may name people.
        described["code"] = error.code
    else:
        described["message"] = next(iter(str(error).splitlines()), "")
    if isinstance(sqlstate := getattr(error, "sqlstate", None), str):
        described["sqlstate"] = sqlstate
    return described


def _flatten_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Turn the described exceptions into the text that the console renderer expects."""
    if isinstance(chain := event.get("exception"), list):
        event["exception"] = "\n".join(
            f"{error['type']}: {error.get('message', error.get('code'))}\n  " + "\n  ".join(error["frames"])
            for error in chain
        )
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: "[redacted]" if key in _PERSONAL else _scrub(value) for key, value in event.items()}


def _scrub(value: object) -> object:
    """Remove mail addresses, quoted column values and control characters from text, however deep it is."""
    if isinstance(value, str):
        text = _KEY_VALUES.sub(")=([redacted])", _MAIL_ADDRESS.sub("[mail]", value))
        return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)
    if isinstance(value, dict):
        return {key: "[redacted]" if key in _PERSONAL else _scrub(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub(item) for item in value]
    return value
