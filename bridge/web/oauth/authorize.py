"""Where applications send people to sign in, and where people come back from with a code."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import structlog
from flask import Blueprint, Response, abort, redirect, request, url_for

from bridge.adapters.oauth import Answer, AuthorizationRequest, RefusedHereError, Server, Signer
from bridge.adapters.oauth.discovery import AUTHORIZE
from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId
from bridge.errors import UnauthenticatedError
from bridge.runtime import Runtime
from bridge.store.models import WebSession
from bridge.web.credentials import app_request
from bridge.web.oauth.answers import asked_by_query, request_page, to_response
from bridge.web.oauth.desk import AppDesk
from bridge.web.oauth.limits import GivenCodes
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit, open_visit
from bridge.web.sso.places import safe_return_path

log = structlog.get_logger(__name__)

#: What a sign-in can bring a browser back to is no longer (:func:`bridge.web.sso.places.safe_return_path`).
MAX_QUERY: Final = 1900
#: Signs that stay as they are in what a sign-in brings back: written as %XX they make it three times as long.
_PLAIN: Final = "/:@~!$'()*,;?"
#: Milliseconds since 1970 after which the person must have signed in: how a demand to sign in again is met once.
_AFTER: Final = "signed_in_after"


def add_authorize(pages: Blueprint, runtime: Runtime, signer: Signer) -> None:
    """Add the authorization endpoint to the pages for browsers."""
    given = GivenCodes(runtime.settings.apps.codes_per_minute)

    @pages.get(AUTHORIZE)
    @app_request
    def authorize() -> Response:
        """Send somebody who is signed in back to the application with a code, and anybody else to sign in first."""
        if request.method == "HEAD":
            abort(HTTPStatus.METHOD_NOT_ALLOWED)  # it would give a code that nobody sees
        if len(request.query_string) > MAX_QUERY:
            return request_page(f"The application asked with more than {MAX_QUERY} characters")
        try:
            with open_visit() as visit:
                answer = _answer(runtime, signer, visit, given)
        except UnauthenticatedError:
            answer = _answer(runtime, signer, None, given)
        return answer if isinstance(answer, Response) else _of_another(runtime, answer)

    @pages.post(AUTHORIZE)
    @app_request
    def authorize_by_form() -> Response:
        """Take a form in the place of an address: the same request, with the cookie that another site's form lacks."""
        query = urlencode([(name, value) for name, values in request.form.lists() for value in values])
        response = redirect(f"{AUTHORIZE}?{query}", code=HTTPStatus.SEE_OTHER)
        assert isinstance(response, Response)
        return response


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A visitor of one organization at an application of another."""

    application: str
    org_id: OrgId
    ours: str
    name: str
    sign_in_path: str | None


def _answer(runtime: Runtime, signer: Signer, visit: Visit | None, given: GivenCodes) -> Response | _Elsewhere:
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
    return _answer_visitor(server, asked, visit, given)


def _answer_visitor(
    server: Server, asked: AuthorizationRequest, visit: Visit, given: GivenCodes
) -> Response | _Elsewhere:
    if _must_sign_in_again(asked, visit):
        if "none" in asked.prompts:
            return to_response(server.demand_sign_in(asked))
        return _to_sign_in(asked, _asked_anew(visit))
    only = asked.app.only_org_id
    may_enter = only is None or only == visit.unit.org_id
    if only is not None and not may_enter and "none" not in asked.prompts:
        log.info("app.sign_in", app_id=str(asked.app.id), granted=False)
        path = _sign_in_path(_asked_anew(visit), hint=None)
        return _Elsewhere(asked.app.name, only, visit.organization.name, visit.member.display_name, path)
    given.take(asked.app.id)
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


def _asked_anew(visit: Visit) -> dict[str, str]:
    """Write the same request for after another sign-in, which this session does not count as."""
    after = str(int(visit.unit.at.timestamp() * 1000))
    return {name: value for name, value in request.args.items() if name not in {"prompt", "max_age"}} | {_AFTER: after}


def _of_another(runtime: Runtime, found: _Elsewhere) -> Response:
    """Say that the application is another organization's, and offer to sign in with another account.

    The visit is over by now: its connection to the database is free for the other organization.
    """
    with runtime.unit(found.org_id, SYSTEM) as unit:
        theirs = unit.organization().name
    return render(
        "other_organization.html",
        status=HTTPStatus.FORBIDDEN,
        application=found.application,
        theirs=theirs,
        ours=found.ours,
        name=found.name,
        sign_in_path=found.sign_in_path,
    )


def _to_sign_in(asked: AuthorizationRequest, query: Mapping[str, str]) -> Response:
    """Ask the person to sign in, and to come back with the same request."""
    path = _sign_in_path(query, hint=asked.login_hint)
    if path is None:
        return request_page("The application asked with more characters than a sign-in can bring back")
    return see_other(path)


def _sign_in_path(query: Mapping[str, str], *, hint: str | None) -> str | None:
    """Return the path of a sign-in that comes back with this request; None when it is too long to come back with."""
    back = f"{AUTHORIZE}?{urlencode(query, safe=_PLAIN)}"
    return url_for("entry.sign_in", next=back, login_hint=hint) if safe_return_path(back) == back else None
