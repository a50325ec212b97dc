"""SAML sign-in for one connection: start, assertion consumer service, finish, and our metadata."""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, Response, abort, redirect, request, session
from werkzeug.urls import iri_to_uri

from bridge.adapters.saml import build_authn_request, initialise, new_request_id, sp_metadata
from bridge.domain.credentials import new_credential
from bridge.domain.roles import Permission
from bridge.errors import NotFoundError, SignInRefusedError
from bridge.runtime import Runtime
from bridge.store.unit import Unit
from bridge.usecases.sign_in import start_sign_in
from bridge.web.credentials import assertion, public, signed_in
from bridge.web.errors import error_page
from bridge.web.rendering import render
from bridge.web.session import Visit, cookie_name, current_runtime, set_session_cookie
from bridge.web.sso.answers import Accepted, Rehearsed, accept_answer
from bridge.web.sso.cookies import forget_request_cookie, request_cookie_hashes, set_request_cookie
from bridge.web.sso.places import PREFIX, Place, find_place, identity_provider, safe_return_path
from bridge.web.sso.refusals import refusal_page, refusals_noted, signing_in

MAX_POST_BYTES: Final = 400_000
"""The largest response (256 kB) is a third larger in base64, and its plus signs grow again in the form."""


@dataclass(frozen=True, slots=True)
class SentTo:
    """Where a sign-in is sent."""

    sso_url: str


def sso_blueprint(runtime: Runtime) -> Blueprint:
    """Build the sign-in pages over a runtime; libxmlsec is prepared for strangers' documents on the way."""
    initialise()
    pages = Blueprint("sso", __name__, url_prefix=f"{PREFIX}/<org>/<connection_id>", template_folder="templates")
    pages.register_error_handler(SignInRefusedError, refusal_page)

    @pages.get("/start")
    @public
    def start(org: str, connection_id: str) -> Response:
        """Send the browser to the identity provider; a plain link, so that no form's policy is in the way."""
        _refuse_embedding()
        place = find_place(runtime, org, connection_id)
        with refusals_noted(runtime, place), runtime.unit(place.org_id, signing_in(place)) as unit:
            return _sent_to_provider(unit, place, _return_path())

    @pages.get("/test")
    @signed_in(Permission.MANAGE_CONNECTIONS)
    def rehearse(visit: Visit, org: str, connection_id: str) -> Response:
        """Start a sign-in that shows what arrives and what would happen, and provisions nothing."""
        _refuse_embedding()
        place = find_place(runtime, org, connection_id)
        if place.org_id != visit.unit.org_id:
            raise NotFoundError("connection", connection_id)
        return _sent_to_provider(visit.unit, place, place.test_path)

    @pages.post("/acs")
    @assertion
    def acs(org: str, connection_id: str) -> Response:
        """Take the answer that the identity provider's page posted; ``RelayState`` is nothing to us."""
        place = find_place(runtime, org, connection_id)
        request.max_content_length = MAX_POST_BYTES
        with refusals_noted(runtime, place):
            posted = request.form.get("SAMLResponse", "")
            accepted = accept_answer(runtime, place, posted, request_cookie_hashes())
        response = _shown(accepted) if isinstance(accepted, Rehearsed) else _let_in(place, accepted)
        if accepted.request_id is not None:
            forget_request_cookie(response, place, accepted.request_id)
        return response

    @pages.get("/finish")
    @public
    def finish(org: str, connection_id: str) -> Response:
        """Go on from a page of our own, without script: what began at another site may lack the session's cookie."""
        place = find_place(runtime, org, connection_id)
        if cookie_name(runtime.settings) not in request.cookies:
            return error_page(
                403,
                "Your browser did not keep the sign-in",
                "The cookie that keeps you signed in was not accepted.",
                "Allow cookies for this site, then sign in again.",
            )
        target = f"{place.public_url}{_return_path()}"
        response = render("sso/finish.html", target=target)
        response.headers["Refresh"] = f"0; url={iri_to_uri(target)}"
        return response

    @pages.get("/metadata")
    @public
    def metadata(org: str, connection_id: str) -> Response:
        """Give our metadata, to be uploaded at the identity provider or fetched by it."""
        place = find_place(runtime, org, connection_id)
        with runtime.unit(place.org_id, signing_in(place)) as unit:
            identity_provider(unit, place)
        return Response(sp_metadata(place.service_provider), content_type="application/samlmetadata+xml")

    return pages


def _sent_to_provider(unit: Unit, place: Place, return_path: str) -> Response:
    """Note the request and send the browser on with it, and with the cookie that proves it is the same browser."""
    request_id, secret = new_request_id(), new_credential()
    identity_provider(unit, place)
    connection = start_sign_in(
        unit,
        place.connection_id,
        request_id=request_id,
        cookie_hash=secret.hash,
        return_path=return_path,
        lifetime_seconds=current_runtime().settings.sso.request_lifetime_seconds,
    )
    endpoint = SentTo(connection.saml_sso_url or "")
    url = build_authn_request(place.service_provider, endpoint, request_id, None, unit.at)
    response = _to(url, code=302)
    set_request_cookie(response, place, request_id, secret.text)
    return response


def _let_in(place: Place, accepted: Accepted) -> Response:
    """Hand the new session over, and leave nothing of whoever was here before."""
    session.clear()
    response = _to(place.finish_url(accepted.return_path))
    set_session_cookie(response, accepted.token)
    return response


def _shown(rehearsed: Rehearsed) -> Response:
    return render("sso/rehearsal.html", rehearsal=rehearsed.rehearsal, arrived=rehearsed.rehearsal.arrived)


def _to(url: str, code: int = 303) -> Response:
    response = redirect(url, code=code)
    assert isinstance(response, Response)
    return response


def _return_path() -> str:
    """Return where to go in the end; our own pages call it ``next``."""
    return safe_return_path(request.args.get("return") or request.args.get("next"))


def _refuse_embedding() -> None:
    """Refuse to start a sign-in for an image or frame of another page: each would leave a cookie behind."""
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        abort(400)
