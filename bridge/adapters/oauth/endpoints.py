"""authlib's endpoints over our own: who a token speaks of, whether it is still true, and giving it up."""

from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import ResourceProtector
from authlib.oauth2.rfc6749.errors import MissingAuthorizationError
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oidc.core import UserInfoEndpoint

from bridge.adapters.oauth.clients import SECRET_METHODS, AppClient
from bridge.adapters.oauth.desk import Desk
from bridge.adapters.oauth.keys import ACCESS_TOKEN
from bridge.adapters.oauth.wire import AuthlibRequest
from bridge.domain.identifiers import parse_id
from bridge.store.models import AppGrant


@dataclass(frozen=True, slots=True)
class HeldToken:
    """An access or refresh token that is good at this moment, for authlib; others are not found at all.

    Attributes:
        claims: Of an access token, as it was signed; None of a refresh token, which says nothing by itself.
    """

    client: AppClient
    grant: AppGrant
    scope: str
    claims: dict[str, Any] | None

    def get_client(self) -> AppClient:
        """Return whose token it is."""
        return self.client

    def get_user(self) -> AppGrant:
        """Return what it speaks of."""
        return self.grant

    def get_scope(self) -> str:
        """Return what it was given for."""
        return self.scope

    def check_client(self, client: AppClient) -> bool:
        """Tell whether it was given to this application."""
        return client.app.id == self.client.app.id

    def is_expired(self) -> bool:
        """Answer no: an expired one is not found."""
        return False

    def is_revoked(self) -> bool:
        """Answer no, as above."""
        return False


def find_token(desk: Desk, text: str, hint: str | None = None) -> HeldToken | None:
    """Find a token that is good at this moment; None for every other text."""
    kinds = [_find_access_token, _find_refresh_token]
    for find in reversed(kinds) if hint == "refresh_token" else kinds:
        found = find(desk, text)
        if found is not None:
            return found
    return None


def _find_access_token(desk: Desk, text: str) -> HeldToken | None:
    claims = desk.signer.read(desk.keys(), text, kind=ACCESS_TOKEN, at=desk.now)
    if claims is None:
        return None
    org_id, grant_id = parse_id(claims["org"]["id"]), parse_id(claims["grant_id"])
    app = desk.find_app(claims["client_id"])
    if org_id is None or grant_id is None or app is None:
        return None
    grant = desk.find_grant(org_id, grant_id)
    if grant is None or grant.app_id != app.id:
        return None
    return HeldToken(AppClient(app), grant, claims["scope"], claims)


def _find_refresh_token(desk: Desk, text: str) -> HeldToken | None:
    grant = desk.look_at_refresh_token(text)
    app = None if grant is None else desk.find_app(str(grant.app_id))
    if grant is None or app is None:
        return None
    return HeldToken(AppClient(app), grant, grant.scope, None)


class Userinfo(UserInfoEndpoint):  # type: ignore[misc] # authlib carries no types
    """Says of whom an access token speaks, as they are now (OpenID Connect Core §5.3)."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(resource_protector=_Bearer(desk))
        self.desk = desk

    def __call__(self, request: AuthlibRequest) -> Any:
        """Answer a request."""
        self.resource_protector.request = request
        return super().__call__(request)

    def generate_user_info(self, user: AppGrant, scope: str) -> dict[str, Any]:
        """Describe the person."""
        return self.desk.claims(user, scope)


class _Bearer(ResourceProtector):  # type: ignore[misc] # authlib carries no types
    """Finds the access token of the request that it was handed."""

    request: AuthlibRequest

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.register_token_validator(_AccessTokens(desk))

    def acquire_token(self, scopes: str) -> HeldToken:
        """Return the token, if it was given for this scope."""
        try:
            token: HeldToken = self.validate_request([scopes], self.request)
        except MissingAuthorizationError as error:
            raise _NoTokenError(error.auth_type, error.realm) from error
        return token


class _NoTokenError(MissingAuthorizationError):  # type: ignore[misc] # authlib carries no types
    """A request without a token: the challenge names no error, for nothing was refused yet (RFC 6750 §3.1)."""

    error = "invalid_request"

    def get_headers(self) -> list[tuple[str, str]]:
        """Write the challenge."""
        plain = [(name, value) for name, value in super().get_headers() if name != "WWW-Authenticate"]
        return [*plain, ("WWW-Authenticate", f'{self.auth_type} realm="{self.realm}"')]


class _AccessTokens(BearerTokenValidator):  # type: ignore[misc] # authlib carries no types
    def __init__(self, desk: Desk) -> None:
        super().__init__(realm="seatbridge")
        self.desk = desk

    def authenticate_token(self, token_string: str) -> HeldToken | None:
        """Find the token."""
        return _find_access_token(self.desk, token_string)


class Introspection(IntrospectionEndpoint):  # type: ignore[misc] # authlib carries no types
    """Says whether a token is good, and what is true of the person now (RFC 7662)."""

    CLIENT_AUTH_METHODS = SECRET_METHODS

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk

    def query_token(self, token_string: str, token_type_hint: str | None) -> HeldToken | None:
        """Find the token."""
        return find_token(self.desk, token_string, token_type_hint)

    def check_permission(self, token: HeldToken, client: AppClient, request: AuthlibRequest) -> bool:
        """Answer an application about its own tokens alone: another's are as good as none."""
        del request
        return token.check_client(client)

    def introspect_token(self, token: HeldToken) -> dict[str, Any]:
        """Say what the token is, and what is true of the person now."""
        grant = token.grant
        times = (
            {"token_type": "refresh_token", "exp": int(grant.expires_at.timestamp())}
            if token.claims is None
            else {"token_type": "Bearer", **{name: token.claims[name] for name in ("exp", "iat", "jti", "aud")}}
        )
        return {
            **self.desk.claims(grant, token.scope),
            **times,
            "iss": self.desk.signer.issuer,
            "client_id": token.client.get_client_id(),
            "scope": token.scope,
            "sid": str(grant.session_id),
            "auth_time": int(grant.auth_time.timestamp()),
        }


class Revocation(RevocationEndpoint):  # type: ignore[misc] # authlib carries no types
    """Gives up a sign-in: the token that is named, and every other one of it (RFC 7009 §2.1)."""

    CLIENT_AUTH_METHODS = (*SECRET_METHODS, "none")

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk

    def query_token(self, token_string: str, token_type_hint: str | None) -> HeldToken | None:
        """Find the token; one that is dead already is none."""
        return find_token(self.desk, token_string, token_type_hint)

    def revoke_token(self, token: HeldToken, request: AuthlibRequest) -> None:
        """End the grant that the token is of."""
        del request
        self.desk.end_grant(token.grant)
