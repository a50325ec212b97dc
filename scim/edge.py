"""The SCIM endpoint: one request, one unit of work, one table of answers to what goes wrong."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
import structlog
from flask import Blueprint, Response, request
from scim2_models import NotFoundException
from scim2_server.errors import MethodNotAllowedException, UnsupportedMediaTypeException
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from werkzeug.datastructures import Headers

from bridge.domain.actors import SYSTEM, Actor, ActorKind
from bridge.observability import bound_ids, current_request_id, request_id_from
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from bridge.usecases.alerts import raise_alert
from bridge.web.credentials import scim as scim_credential
from scim.auth import authenticate, credential_hash
from scim.bulk import UnreadableResponse
from scim.discovery import DISCOVERY, WrittenResponse
from scim.door import Door, Visit
from scim.errors import Refusal, UnknownShapeException, refusal_of
from scim.general import serve_in
from scim.lanes.call import Call
from scim.lanes.directory import Lanes
from scim.members import written, written_in_pieces
from scim.service import BridgeService
from scim.services import Services
from scim.unrouted import answer_unrouted

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = structlog.get_logger()

_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def scim_blueprint(runtime: Runtime, *, with_lanes: bool = True) -> Blueprint:
    """Serve SCIM 2.0 at ``/scim/v2/<org>``; every route wants the bearer token of a connection.

    Args:
        runtime: The product.
        with_lanes: Whether frequent requests take their short way; every answer is the same without.
    """
    services = Services(runtime)
    lanes = Lanes(runtime, services) if with_lanes else None
    door = Door(runtime)
    blueprint = Blueprint("scim", __name__, url_prefix="/scim/v2/<org>")

    @scim_credential
    def serve(org: str, path: str = "") -> Response:
        bound = current_request_id()
        request_id = bound or request_id_from(request.headers.get("X-Request-Id"))
        call = Call(
            request=request,
            slug=org,
            path=path.removesuffix(".scim"),
            token_hash=credential_hash(request.environ.get("HTTP_AUTHORIZATION")),
            request_id=request_id,
            at=runtime.clock.now(),
        )
        visit = Visit(call)
        with nullcontext() if bound else bound_ids(request_id=request_id):
            try:
                door.admit(visit)
                found = _answer(runtime, services, lanes, call)
                visit.unreadable = isinstance(found, UnreadableResponse)
                answer = _to_response(found)
            except Exception as exception:  # noqa: BLE001 (the edge answers everything, by the one table)
                visit.refusal, answer = exception, _refuse(exception)
        answer.headers["X-Request-Id"] = request_id
        door.let_out(visit, answer)
        return answer

    for rule in ("", "/", "/<path:path>"):
        blueprint.add_url_rule(
            rule,
            view_func=serve,
            endpoint="serve",
            methods=METHODS,
            provide_automatic_options=False,
            strict_slashes=False,
        )
    blueprint.before_app_request(answer_unrouted(serve))
    return blueprint


def _answer(runtime: Runtime, services: Services, lanes: Lanes | None, call: Call) -> ScimResponse:
    """Answer by the lane where the request has one, else the general way."""
    if not call.slug:
        raise NotFoundException(detail="SCIM is served at /scim/v2/ and the short name of an organization")
    if lanes is not None:
        answer = lanes.answer(call)
        if answer is not None:
            return answer
    principal = authenticate(runtime, call.token_hash, call.slug)
    answer = _serve(runtime, services.of(principal), principal, call)
    if lanes is not None:
        lanes.learn(call, principal)
    return answer


def _serve(runtime: Runtime, service: BridgeService, principal: ScimPrincipal, call: Call) -> ScimResponse:
    with bound_ids(org_id=str(principal.org_id), connection_id=str(principal.connection_id)):
        sent = ScimRequest(
            method=call.method,
            base_url=f"{runtime.settings.server.public_url}/scim/v2/{principal.slug}",
            path=f"/{call.path}",
            query=request.args.to_dict(),
            headers=list(request.headers.items()),
            subject=principal,
        )
        target = service.match(sent)
        operation = target.operation
        if operation in DISCOVERY:
            return service.discovery.answer(sent, target)
        sent.body = _read_body(service, sent, call)
        if not principal.can_write and not service.reads_only(operation):
            raise service.read_only(principal)
        actor = Actor(ActorKind.DIRECTORY, principal.connection_id)
        try:
            with runtime.unit(principal.org_id, actor) as unit:
                answer = serve_in(unit, service, principal, operation, sent)
            call.is_held = unit.held is not None
        except UnknownShapeException:
            _tell_owners(runtime, principal)
            raise
        return answer


def _read_body(service: BridgeService, sent: ScimRequest, call: Call) -> bytes:
    """Read the body up to its limit; a packed one is refused, for nobody knows how large it is."""
    if request.headers.get("Content-Encoding", "").strip().casefold() not in {"", "identity"}:
        raise UnsupportedMediaTypeException(detail="Send the body without Content-Encoding")
    return call.body(service.max_body_size(sent))


class ScimAnswer(Response):
    """An answer whose addresses are absolute and plain as they are: nothing is to be corrected before it is sent."""

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """Return the headers, with the length of the body."""
        if self.status_code in _WITHOUT_BODY or not isinstance(self.response, list):
            return super().get_wsgi_headers(environ)
        self.headers["Content-Length"] = str(sum(map(len, self.response)))
        return self.headers


def _to_response(answer: ScimResponse) -> Response:
    body: bytes | Iterator[bytes] = b""
    if isinstance(answer, WrittenResponse):
        body = answer.text
    elif answer.body is not None:
        body = written_in_pieces(answer.body) or written(answer.body)
    headers = {"Cache-Control": "no-store", **answer.headers}
    return ScimAnswer(body, status=int(answer.status), headers=headers, content_type=SCIM_MEDIA_TYPE)


def _refuse(exception: Exception) -> Response:
    """Answer a refusal with a SCIM Error; a bug is logged and answered without its text."""
    refusal = refusal_of(exception)
    if refusal.is_bug:
        log.error("scim.failed", exc_info=exception)
    else:
        log.info("scim.refused", status=refusal.status, scim_type=refusal.scim_type)
    headers = {"Cache-Control": "no-store", **_refusal_headers(exception, refusal)}
    body = orjson.dumps(refusal.to_error().model_dump())
    return Response(body, status=refusal.status, headers=headers, content_type=SCIM_MEDIA_TYPE)


def _refusal_headers(exception: Exception, refusal: Refusal) -> Mapping[str, str]:
    if isinstance(exception, MethodNotAllowedException):
        return {"Allow": ", ".join(exception.allowed)}
    if refusal.status == 401:  # noqa: PLR2004 (the status itself)
        return {"WWW-Authenticate": 'Bearer realm="SCIM"'}
    if refusal.retry_after_seconds is not None:
        return {"Retry-After": str(refusal.retry_after_seconds)}
    return {}


def _tell_owners(runtime: Runtime, principal: ScimPrincipal) -> None:
    """Raise the alert about a push that was refused because it could not be understood; the refusal undid all else."""
    with runtime.unit(principal.org_id, SYSTEM) as unit:
        raise_alert(unit, "unreadable_push")
