"""From a request of Flask's to one of the authorization server's, and from its answer back."""

from http import HTTPStatus

import orjson
import structlog
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from bridge.adapters.oauth import Answer, HttpRequest
from bridge.errors import BridgeError, TooManyRequestsError
from bridge.web.errors import RETRY_SECONDS, error_page

log = structlog.get_logger(__name__)


def asked_by_query(address: str) -> HttpRequest:
    """Read a request that a browser brings in its address."""
    return HttpRequest("GET", address, request.args.to_dict(flat=False))


def asked_by_form(address: str) -> HttpRequest:
    """Read a request that an application sends itself; what stands in its address is not looked at."""
    return HttpRequest(
        "POST", address, request.form.to_dict(flat=False), authorization=request.headers.get("Authorization")
    )


def asked_by_header(address: str) -> HttpRequest:
    """Read a request that says everything in its Authorization header."""
    return HttpRequest(request.method, address, {}, authorization=request.headers.get("Authorization"))


def to_response(answer: Answer) -> Response:
    """Write an answer."""
    body = b"" if answer.document is None else orjson.dumps(answer.document)
    response = Response(body, status=answer.status, content_type="application/json" if body else None)
    for name, value in answer.headers:
        if name not in {"Content-Type", "Cache-Control"}:  # every answer of the service is no-store
            response.headers[name] = value
    return response


def request_page(why: str) -> Response:
    """Tell who reads it that the application's request is wrong: where it came from is not known to be right."""
    log.info("app.request_refused", why=why)
    return error_page(
        HTTPStatus.BAD_REQUEST,
        "The application's request is not accepted",
        f"{why}{'' if why.endswith('.') else '.'}",
        "Go back to the application and start again. If it happens again, tell whoever runs it what stands above.",
    )


def refused(error: BridgeError) -> ResponseReturnValue:
    """Answer a refusal of the product at an endpoint that speaks to programs."""
    if isinstance(error, TooManyRequestsError):
        return _problem(HTTPStatus.TOO_MANY_REQUESTS, "slow_down", str(error), error.retry_after_seconds)
    log.error("oauth.refused", code=error.code, exc_info=error)
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", "Try again in a moment", RETRY_SECONDS)


def http_error(error: HTTPException) -> ResponseReturnValue:
    """Answer a request that is too large, or that cannot be read."""
    return _problem(error.code or HTTPStatus.BAD_REQUEST, "invalid_request", error.name, None)


def database_down(error: DBAPIError | PoolTimeoutError) -> ResponseReturnValue:
    """Answer while the database is away."""
    log.error("oauth.database_unavailable", exc_info=error)
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", "Try again in a moment", RETRY_SECONDS)


def _problem(status: int, error: str, description: str, retry_after: float | None) -> Response:
    answer = Answer(int(status), {"error": error, "error_description": description}, [])
    if retry_after is not None:
        answer.headers.append(("Retry-After", str(int(retry_after))))
    return to_response(answer)
