"""Refusals for programs: problem details (RFC 9457), under the same codes as everywhere else."""

import json
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from flask import Response, current_app, g, request

from bridge.errors import (
    AcknowledgementMissingError,
    BridgeError,
    IdempotencyConflictError,
    InsufficientScopeError,
    InvalidInputError,
    UnauthenticatedError,
    VersionMismatchError,
)

API_PREFIX: Final = "/api/"
#: What the router and the server refuse before a use case could: problems without a page of their own.
_HTTP_CODES: Final = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_input",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
#: Where a precondition or a key of the caller is at odds with what is there, programs are told by these.
_STATUS: Final[dict[type[BridgeError], HTTPStatus]] = {
    VersionMismatchError: HTTPStatus.PRECONDITION_FAILED,
    IdempotencyConflictError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
_DETAIL: Final[dict[type[BridgeError], str]] = {
    AcknowledgementMissingError: (
        "This costs, or lets people do more: repeat the sum that the preview shows as accepted_total, and accept roles "
        "with accept_roles."
    )
}


def is_for_programs() -> bool:
    """Tell whether the request came to the programming interface."""
    return request.path.startswith(API_PREFIX)


def problem(
    status: int, title: str, detail: str, *, retry_after: int | None = None, refusal: BridgeError | None = None
) -> Response:
    """Write a refusal as problem details: type, title, status, detail, code, request id, and what is wrong where."""
    code = _HTTP_CODES.get(status, "http_error") if refusal is None else refusal.code
    status = int(_STATUS.get(type(refusal), status)) if refusal is not None else status
    document: dict[str, Any] = {
        "type": type_of(code) if refusal is not None else "about:blank",
        "title": title,
        "status": status,
        "detail": _DETAIL.get(type(refusal), detail) if refusal is not None else detail,
        "code": code,
        "request_id": g.get("request_id", ""),
    }
    if isinstance(refusal, InvalidInputError):
        document["errors"] = getattr(refusal, "all_problems", [{"field": refusal.field, "problem": refusal.problem}])
    response = Response(json.dumps(document), status=status, content_type="application/problem+json")
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    if isinstance(refusal, UnauthenticatedError):
        response.headers["WWW-Authenticate"] = 'Bearer realm="seatbridge"'
    if isinstance(refusal, InsufficientScopeError):
        wanted = " ".join(refusal.scopes)
        response.headers["WWW-Authenticate"] = (
            f'Bearer realm="seatbridge", error="insufficient_scope", scope="{wanted}"'
        )
    return response


def type_of(code: str) -> str:
    """Return the address that explains a code."""
    base = current_app.extensions["seatbridge"].settings.server.public_url
    return f"{base}{API_PREFIX}v1/errors/{quote(code)}"
