"""Where applications send people to sign in, and where people come back from with a code."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import structlog
from flask import Blueprint, Response, redirect, request, url_for

from bridge.adapters.oauth import Answer, AuthorizationRequest, RefusedHereError, Server, Signer
from bridge.adapters.oauth.discovery import AUTHORIZE
from bridge.errors import UnauthenticatedError
from bridge.runtime import Runtime
from bridge.store.models import WebSession
from bridge.web.credentials import app_request
from bridge.web.oauth.answers import asked_by_query, request_page, to_response
from bridge.web.oauth.desk import AppDesk
from bridge.web.session import Visit, open_visit

log = structlog.get_logger(__name__)

#: What a sign-in can bring a browser back to is no longer (:func:`bridge.web.sso.places.safe_return_path`).
MAX_QUERY: Final = 1900
#: Milliseconds since 1970 after which the person must have signed in: how a demand to sign in again is met once.
_AFTER: Final = "signed_in_after"


def add_authorize(pages: Blueprint, runtime: Runtime, signer: Signer) -> None:
    """Add the authorization endpoint to the pages for browsers."""

    @pages.get(AUTHORIZE)
    @app_request
    def authorize() -> Response:
        """Send somebody who is signed in back to the application with a code, and anybody else to sign in first."""
        if len(request.query_string) > MAX_QUERY:
            return request_page(f"The application asked with more than {MAX_QUERY} characters")
        try:
            with open_visit() as visit:
                return _answer(runtime, signer, visit)
        except UnauthenticatedError:
            return _answer(runtime, signer, None)

    @pages.post(AUTHORIZE)
    @app_request
    def authorize_by_form() -> Response:
        """Take a form in the place of an address: the same request, with the cookie that another site's form lacks."""
        query = urlencode([(name, value) for name, values in request.form.lists() for value in values])
        response = redirect(f"{AUTHORIZE}?{query}", code=HTTPStatus.SEE_OTHER)
        assert isinstance(response, Response)
        return response


def _answer(runtime: Runtime, signer: Signer, visit: Visit | None) -> Response:
    server = Server(AppDesk(runtime, signer, visit))
    asked_for = asked_by_query(f"{signer.issuer}{AUTHORIZE}")
    try:
        asked = server.read_authorization(asked_for, is_signed_in=visit is not None)
    except RefusedHereError as refusal:
        return request_page(str(refusal))
    if isinstance(asked, Answer):
        return to_response(asked)
    if visit is None:
        return _to_sign_in(asked, request.args)
    if _must_sign_in_again(asked, visit):
        if "none" in asked.prompts:
            return to_response(server.demand_sign_in(asked))
        after = str(int(visit.unit.at.timestamp() * 1000))
        kept = {name: value for name, value in request.args.items() if name not in {"prompt", "max_age"}}
        return _to_sign_in(asked, {**kept, _AFTER: after})
    may_enter = asked.app.only_org_id in {None, visit.unit.org_id}
    log.info("app.sign_in", app_id=str(asked.app.id), granted=may_enter)
    return to_response(server.grant_authorization(asked, allowed=may_enter))


def _must_sign_in_again(asked: AuthorizationRequest, visit: Visit) -> bool:
    """Tell whether the session is not the fresh one that was asked for, here or before the sign-in."""
    session = visit.unit.session.get_one(WebSession, (visit.unit.org_id, visit.session_id))
    signed_in = session.created_at
    if "login" in asked.prompts or "select_account" in asked.prompts:
        return True
    if asked.max_age is not None and (visit.unit.at - signed_in).total_seconds() > asked.max_age:
        return True
    after = request.args.get(_AFTER, "")
    return after.isdecimal() and len(after) < len(str(2**53)) and signed_in.timestamp() * 1000 < int(after)


def _to_sign_in(asked: AuthorizationRequest, query: Mapping[str, str]) -> Response:
    """Ask the person to sign in, and to come back with the same request."""
    target = url_for("entry.sign_in", next=f"{AUTHORIZE}?{urlencode(query)}", login_hint=asked.login_hint)
    response = redirect(target, code=HTTPStatus.SEE_OTHER)
    assert isinstance(response, Response)
    return response
