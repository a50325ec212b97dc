"""Where applications send people to sign out (OpenID Connect RP-Initiated Logout 1.0)."""

import uuid
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, redirect, request, session

from bridge.adapters.oauth import HttpRequest, LogoutRequest, RefusedHereError, Server, Signer
from bridge.adapters.oauth.discovery import LOGOUT
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.credentials import credential_hash
from bridge.domain.identifiers import OrgId
from bridge.errors import UnauthenticatedError
from bridge.runtime import Runtime
from bridge.store.models import WebSession
from bridge.usecases.sessions import end_session
from bridge.web.credentials import app_request, signed_in
from bridge.web.oauth.answers import asked_by_form, asked_by_query, request_page
from bridge.web.oauth.desk import AppDesk
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit, clear_session_cookie, cookie_name, open_visit


def add_logout(pages: Blueprint, runtime: Runtime, signer: Signer) -> None:
    """Add signing out to the pages for browsers."""

    @pages.get(LOGOUT)
    @app_request
    def sign_out() -> Response:
        """End the session that an application's ID token is of; without one, ask the person."""
        return _answer(runtime, signer, asked_by_query(f"{signer.issuer}{LOGOUT}"))

    @pages.post(LOGOUT)
    @app_request
    def sign_out_by_form() -> Response:
        """Take the same as a form; it comes from another site, and may lack the session's cookie.

        What an ID token says is done. Whoever brings none is asked, on a page that the browser opens with the cookie.
        """
        return _answer(runtime, signer, asked_by_form(f"{signer.issuer}{LOGOUT}"))

    @pages.post(f"{LOGOUT}/confirmed")
    @signed_in()
    def confirmed(visit: Visit) -> Response:
        """End this session; a page and no redirect, which the policy about forms would stop at another site."""
        end_session(visit.unit, visit.session_id, reason="sign_out")
        session.clear()
        response = render("signed_out.html")
        clear_session_cookie(response)
        return response


def _answer(runtime: Runtime, signer: Signer, asked: HttpRequest) -> Response:
    try:
        wish = Server(AppDesk(runtime, signer)).read_logout(asked)
    except RefusedHereError as refusal:
        return request_page(str(refusal))
    if wish.claims is not None:
        return _sign_out(runtime, wish, wish.claims)
    if request.method == "POST":
        return see_other(LOGOUT)
    try:
        with open_visit() as visit:
            return render("sign_out.html", name=visit.member.display_name)
    except UnauthenticatedError:
        return render("signed_out.html")


def _sign_out(runtime: Runtime, wish: LogoutRequest, claims: Mapping[str, Any]) -> Response:
    """End the session that an ID token of ours is of, whichever browser brings it."""
    org_id, session_id = OrgId(uuid.UUID(claims["org"]["id"])), uuid.UUID(claims["sid"])
    person = Actor(ActorKind.MEMBER, uuid.UUID(claims["sub"]))
    cookie = request.cookies.get(cookie_name(runtime.settings), "")
    with runtime.unit(org_id, person) as unit:
        stored = unit.session.get(WebSession, (org_id, session_id))
        is_here = stored is not None and stored.token_hash == credential_hash(cookie)
        if stored is not None:
            end_session(unit, stored.id, reason="application")
    leaving = render("signed_out.html") if wish.redirect_uri is None else redirect(wish.redirect_uri, code=303)
    assert isinstance(leaving, Response)
    if is_here:
        session.clear()
        clear_session_cookie(leaving)
    return leaving
