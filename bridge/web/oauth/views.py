"""The authorization server's routes: pages for browsers, endpoints for applications."""

from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from bridge.adapters.oauth import Answer, HttpRequest, Server, Signer, describe_server
from bridge.adapters.oauth.discovery import INTROSPECT, JWKS, REVOKE, TOKEN, USERINFO
from bridge.errors import BridgeError
from bridge.runtime import Runtime
from bridge.usecases.signing_keys import key_ring
from bridge.web.credentials import access_token, client_secret, public
from bridge.web.oauth.answers import asked_by_form, asked_by_header, database_down, http_error, refused, to_response
from bridge.web.oauth.authorize import add_authorize
from bridge.web.oauth.desk import open_desk
from bridge.web.oauth.limits import RefusedClients
from bridge.web.oauth.logout import add_logout

MAX_FORM_BYTES: Final = 65_536


def oauth_blueprints(runtime: Runtime) -> tuple[Blueprint, Blueprint]:
    """Build the authorization server over a runtime: what browsers open, and what applications call."""
    signer = Signer(runtime.secrets, runtime.settings.server.public_url)
    return _pages(runtime, signer), _endpoints(runtime, signer)


def _pages(runtime: Runtime, signer: Signer) -> Blueprint:
    pages = Blueprint("oauth_pages", __name__)
    add_authorize(pages, runtime, signer)
    add_logout(pages, runtime, signer)
    pages.after_request(_never_framed)
    return pages


def _endpoints(runtime: Runtime, signer: Signer) -> Blueprint:
    endpoints = Blueprint("oauth", __name__)
    endpoints.register_error_handler(BridgeError, refused)
    endpoints.register_error_handler(HTTPException, http_error)
    endpoints.register_error_handler(DBAPIError, database_down)
    endpoints.register_error_handler(PoolTimeoutError, database_down)
    endpoints.before_request(_limit_form)
    refused_clients = RefusedClients(runtime.settings.apps.refused_per_minute)

    def for_client(path: str, answered: Callable[[Server, HttpRequest], Answer]) -> Response:
        """Answer a form of an application or provisioning client, unless too many of its address were refused."""
        refused_clients.check()
        with open_desk(runtime, signer) as desk:
            answer = answered(Server(desk), asked_by_form(f"{signer.issuer}{path}"))
        return to_response(refused_clients.learn(answer))

    @endpoints.get("/.well-known/openid-configuration")
    @endpoints.get("/.well-known/oauth-authorization-server")
    @public
    def discovery() -> Response:
        """Say where everything is."""
        return to_response(Answer(200, describe_server(signer.issuer), []))

    @endpoints.get(JWKS)
    @public
    def jwks() -> Response:
        """Publish the keys that tokens are checked with."""
        ring = runtime.ask_gate(lambda session: key_ring(session, runtime.clock.now()))
        return to_response(Answer(200, {"keys": [key.public_key for key in ring.published]}, []))

    @endpoints.post(TOKEN)
    @client_secret
    def token() -> Response:
        """Give tokens for a code or a refresh token."""
        return for_client(TOKEN, Server.token)

    @endpoints.route(USERINFO, methods=["GET", "POST"])
    @access_token
    def userinfo() -> Response:
        """Say of whom an access token speaks, as they are now."""
        with open_desk(runtime, signer) as desk:
            answer = Server(desk).userinfo(asked_by_header(f"{signer.issuer}{USERINFO}"))
        return to_response(answer)

    @endpoints.post(INTROSPECT)
    @client_secret
    def introspect() -> Response:
        """Say whether a token is good, and what is true of the person now."""
        return for_client(INTROSPECT, Server.introspect)

    @endpoints.post(REVOKE)
    @client_secret
    def revoke() -> Response:
        """Give up a sign-in, by any token of it."""
        return for_client(REVOKE, Server.revoke)

    return endpoints


def _limit_form() -> None:
    request.max_content_length = MAX_FORM_BYTES


def _never_framed(response: Response) -> Response:
    response.headers["X-Frame-Options"] = "DENY"
    return response
