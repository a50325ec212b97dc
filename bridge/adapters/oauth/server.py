"""authlib's authorization server, bound to one request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidRequestError, UnsupportedResponseTypeError
from authlib.oidc.core.errors import LoginRequiredError

from bridge.adapters.oauth.clients import CLIENT_CREDENTIALS, AppClient, MachineClient
from bridge.adapters.oauth.desk import Desk
from bridge.adapters.oauth.endpoints import Introspection, Revocation, Userinfo
from bridge.adapters.oauth.grants import (
    AccessTokens,
    CodeGrant,
    CodeIdTokens,
    Demands,
    Holder,
    MachineGrant,
    Pkce,
    RefreshedIdTokens,
    RefreshGrant,
    ScimTokens,
    max_age,
)
from bridge.adapters.oauth.keys import ID_TOKEN
from bridge.adapters.oauth.logout import EndSession, LogoutRequest
from bridge.adapters.oauth.wire import Answer, AuthlibRequest, HttpRequest
from bridge.usecases.apps import RegisteredApp


class RefusedHereError(Exception):
    """An authorization request that no application can be told of: who reads the page is told instead."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be granted; what of it matters to who asks the person to sign in.

    Attributes:
        prompts: What ``prompt`` asks for.
        max_age: So many seconds ago, at most, the person must have signed in; None for any time.
        login_hint: Whom the application expects.
    """

    app: RegisteredApp
    prompts: frozenset[str]
    max_age: int | None
    login_hint: str | None
    grant: CodeGrant


class _OtherResponseTypeError(UnsupportedResponseTypeError):  # type: ignore[misc] # authlib carries no types
    """Names the response type that there is, and quotes nothing of the request."""

    description = "The 'response_type' must be code."

    def get_error_description(self) -> str:
        """Say what to ask for."""
        return self.description


class Server(AuthorizationServer):  # type: ignore[misc] # authlib carries no types
    """The authorization server for one request; it reads, checks and answers, and the desk does the rest."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.register_grant(CodeGrant, [Pkce(), Demands(), CodeIdTokens(desk)])
        self.register_grant(RefreshGrant, [RefreshedIdTokens(desk)])
        self.register_grant(MachineGrant)
        self.register_token_generator("default", AccessTokens(desk))
        self.register_token_generator(CLIENT_CREDENTIALS, ScimTokens(desk))
        for endpoint in (Userinfo(desk), Introspection(desk), Revocation(desk), EndSession(desk)):
            self.register_endpoint(endpoint)

    def read_authorization(self, asked: HttpRequest, *, is_signed_in: bool) -> AuthorizationRequest | Answer:
        """Check an authorization request; return an answer to its application if it cannot be granted.

        Args:
            asked: The request.
            is_signed_in: Whether the browser has a session that counts.

        Raises:
            RefusedHereError: The application is unknown, or the redirect URI is none of its own.
        """
        try:
            grant = self.get_consent_grant(AuthlibRequest(asked), end_user=is_signed_in or None)
        except OAuth2Error as error:
            return self.refuse_authorization(error)
        data = grant.request.payload.data
        return AuthorizationRequest(
            app=grant.request.client.app,
            prompts=frozenset(data.get("prompt", "").split()),
            max_age=max_age(grant.request),
            login_hint=data.get("login_hint"),
            grant=grant,
        )

    def grant_authorization(self, asked: AuthorizationRequest, *, allowed: bool = True) -> Answer:
        """Send the browser back with a code, or with the news that the person may not sign in."""
        grant = asked.grant
        person = True if allowed else None
        answer: Answer = self.create_authorization_response(request=grant.request, grant_user=person, grant=grant)
        return self._named(answer)

    def demand_sign_in(self, asked: AuthorizationRequest) -> Answer:
        """Send the browser back with the news that the person would have to sign in, and was not to be asked."""
        grant = asked.grant
        error = LoginRequiredError(redirect_uri=grant.redirect_uri, state=grant.request.payload.state)
        return self.refuse_authorization(error)

    def refuse_authorization(self, error: OAuth2Error) -> Answer:
        """Send the browser back with an error.

        Raises:
            RefusedHereError: There is no address that is known to be the application's.
        """
        if not error.redirect_uri:
            raise RefusedHereError(error.get_error_description() or error.error)
        return self._named(self.handle_error_response(None, error))

    def token(self, asked: HttpRequest) -> Answer:
        """Answer a request at the token endpoint."""
        try:
            request = AuthlibRequest(asked)
            if request.payload.grant_type is None:
                raise InvalidRequestError("Missing 'grant_type' in request.")
        except OAuth2Error as error:
            return self.handle_error_response(None, error)
        answer: Answer = self.create_token_response(request)
        return answer

    def userinfo(self, asked: HttpRequest) -> Answer:
        """Answer of whom an access token speaks."""
        return self._answer_at("userinfo", asked)

    def introspect(self, asked: HttpRequest) -> Answer:
        """Answer whether a token is good."""
        return self._answer_at("introspection", asked)

    def revoke(self, asked: HttpRequest) -> Answer:
        """Give a sign-in up."""
        return self._answer_at("revocation", asked)

    def read_logout(self, asked: HttpRequest) -> LogoutRequest:
        """Check a wish to sign somebody out; an ID token that is none of ours counts as none.

        Raises:
            RefusedHereError: The request contradicts itself.
        """
        try:
            request = AuthlibRequest(asked)
            hint = request.payload.data.get("id_token_hint")
            ring = self.desk.keys()
            claims = hint and self.desk.signer.read(ring, hint, kind=ID_TOKEN, at=None)
            if not claims:
                request.payload.data.pop("id_token_hint", None)
            found = self.validate_endpoint_request("end_session", request)
        except OAuth2Error as error:
            raise RefusedHereError(error.get_error_description() or error.error) from error
        return LogoutRequest(claims or None, found.redirect_uri)

    def get_authorization_grant(self, request: AuthlibRequest) -> CodeGrant:
        """Find the grant of an authorization request.

        Raises:
            InvalidRequestError: It names no response type (RFC 6749 §4.1.2.1).
            UnsupportedResponseTypeError: It names another than ``code``.
        """
        try:
            grant: CodeGrant = super().get_authorization_grant(request)
        except UnsupportedResponseTypeError as error:
            back = error.redirect_uri
            if request.payload.response_type is None:
                raise InvalidRequestError("Missing 'response_type' in request.", redirect_uri=back) from error
            raise _OtherResponseTypeError("code", redirect_uri=back) from error
        return grant

    def query_client(self, client_id: str) -> AppClient | MachineClient | None:
        """Find an application or a provisioning client."""
        app = self.desk.find_app(client_id)
        if app is not None:
            return AppClient(app)
        machine = self.desk.find_scim_client(client_id)
        return None if machine is None else MachineClient(machine)

    def save_token(self, token: Mapping[str, Any], request: AuthlibRequest) -> None:
        """Keep the refresh token; access tokens of applications are kept nowhere, those for SCIM are kept already."""
        holder: Holder | None = request.user
        if holder is not None and "refresh_token" in token:
            self.desk.keep_refresh_token(holder.grant, token["refresh_token"], used=holder.used)

    def create_oauth2_request(self, request: AuthlibRequest) -> AuthlibRequest:
        """Return the request, which is authlib's already."""
        return request

    def handle_response(self, status: int, body: Mapping[str, Any] | str, headers: list[tuple[str, str]]) -> Answer:
        """Return an answer of ours."""
        return Answer(status, body if isinstance(body, Mapping) else None, list(headers))

    def handle_error_response(self, request: AuthlibRequest | None, error: OAuth2Error) -> Answer:
        """Answer an error."""
        answer: Answer = super().handle_error_response(request, error)
        return answer

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody: what happened is in the journal."""

    def _answer_at(self, endpoint: str, asked: HttpRequest) -> Answer:
        try:
            request = AuthlibRequest(asked)
        except OAuth2Error as error:
            return self.handle_error_response(None, error)
        answer: Answer = self.create_endpoint_response(endpoint, request)
        return answer

    def _named(self, answer: Answer) -> Answer:
        """Say in a redirect whose answer it is (RFC 9207)."""
        if answer.location is not None:
            answer.location = add_params_to_uri(answer.location, {"iss": self.desk.signer.issuer})
        return answer
