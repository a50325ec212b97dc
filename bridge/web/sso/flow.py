"""What every protocol's sign-in has in common: the way out, the session at the end, and the page on the way back."""

from collections.abc import Collection
from dataclasses import dataclass

from flask import Response, abort, redirect, request, session
from werkzeug.urls import iri_to_uri

from bridge.domain.credentials import new_credential
from bridge.store.unit import Unit
from bridge.usecases.rehearse_sign_in import Rehearsal, rehearse_sign_in
from bridge.usecases.sign_in import AssertedSubject, complete_sign_in, start_sign_in, use_up
from bridge.web.errors import error_page
from bridge.web.rendering import render
from bridge.web.session import (
    cookie_name,
    current_runtime,
    end_former_session,
    open_session,
    set_session_cookie,
    shown_session,
)
from bridge.web.sso.cookies import forget_request_cookie, set_request_cookie
from bridge.web.sso.places import Place, safe_return_path


@dataclass(frozen=True, slots=True)
class Accepted:
    """A sign-in that worked: the new session's token, where to go, the request that was answered, what ends with it."""

    token: str
    former_session: bytes | None
    return_path: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A test sign-in: what it would have done, and the request that was answered."""

    rehearsal: Rehearsal
    request_id: str | None


def depart(
    unit: Unit,
    place: Place,
    url: str,
    request_id: str,
    return_path: str,
    *,
    nonce: str | None = None,
    code_verifier: str | None = None,
) -> Response:
    """Note a request and send the browser on with it, and with the cookie that proves it is the same browser.

    ``nonce`` and ``code_verifier`` are what an OpenID Connect answer must match.
    """
    secret = new_credential()
    start_sign_in(
        unit,
        place.connection_id,
        request_id=request_id,
        cookie_hash=secret.hash,
        return_path=return_path,
        lifetime_seconds=current_runtime().settings.sso.request_lifetime_seconds,
        former_session=shown_session(),
        nonce=nonce,
        code_verifier=code_verifier,
    )
    response = to(url, code=302)
    set_request_cookie(response, place, request_id, secret.text)
    return response


def arrive(
    unit: Unit, place: Place, subject: AssertedSubject, cookie_hashes: Collection[bytes]
) -> Accepted | Rehearsed:
    """Sign a verified subject in and open their session; what answers a test sign-in changes nothing and opens none.

    Raises:
        SignInRefusedError: With the reason; the unit must roll back.
    """
    answered = use_up(unit, subject, cookie_hashes)
    if answered.return_path == place.test_path:
        return Rehearsed(rehearse_sign_in(unit, answered), subject.request_id)
    signed_in = complete_sign_in(unit, answered)
    token = open_session(unit, signed_in.member, place.protocol)
    return Accepted(token, signed_in.former_session, signed_in.return_path, subject.request_id)


def arrival_page(place: Place, arrived: Accepted | Rehearsed) -> Response:
    """Hand the new session over, or show what the test sign-in would have done; the request's cookie is done with."""
    if isinstance(arrived, Rehearsed):
        response = render("sso/rehearsal.html", rehearsal=arrived.rehearsal, arrived=arrived.rehearsal.arrived)
    else:
        session.clear()  # nothing is left of whoever was here before
        end_former_session(arrived.former_session)
        response = to(place.finish_url(arrived.return_path))
        set_session_cookie(response, arrived.token)
    if arrived.request_id is not None:
        forget_request_cookie(response, place, arrived.request_id)
    return response


def finish_page(place: Place) -> Response:
    """Go on from a page of our own, without script: what began at another site may lack the session's cookie."""
    if cookie_name(current_runtime().settings) not in request.cookies:
        return error_page(
            403,
            "Your browser did not keep the sign-in",
            "The cookie that keeps you signed in was not accepted.",
            "Allow cookies for this site, then sign in again.",
        )
    target = f"{place.public_url}{asked_return_path()}"
    response = render("sso/finish.html", target=target)
    response.headers["Refresh"] = f"0; url={iri_to_uri(target)}"
    return response


def to(url: str, code: int = 303) -> Response:
    """Send the browser somewhere."""
    response = redirect(url, code=code)
    assert isinstance(response, Response)
    return response


def asked_return_path() -> str:
    """Return where to go in the end; our own pages call it ``next``."""
    return safe_return_path(request.args.get("return") or request.args.get("next"))


def refuse_embedding() -> None:
    """Refuse to start a sign-in for an image or frame of another page: each would leave a cookie behind."""
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        abort(400)
