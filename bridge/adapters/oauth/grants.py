"""authlib's grants over our own: authorization codes with PKCE, refresh tokens that change, ID tokens."""

import hmac
from typing import Any

from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    grants,
)
from authlib.oauth2.rfc7636 import CodeChallenge, create_s256_code_challenge
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core import OpenIDCode, OpenIDToken
from authlib.oidc.core.errors import RequestNotSupportedError, RequestURINotSupportedError

from bridge.adapters.oauth.clients import SCIM_WRITE, SECRET_METHODS, AppClient, MachineClient
from bridge.adapters.oauth.desk import Desk
from bridge.adapters.oauth.keys import ALGORITHM
from bridge.adapters.oauth.wire import AuthlibRequest
from bridge.domain.credentials import REFRESH_TOKEN_PREFIX, new_credential
from bridge.store.models import AppGrant
from bridge.usecases.app_grants import AskedGrant
from bridge.usecases.scim_clients import TOKEN_LIFETIME

CHALLENGE_METHOD = "S256"


class Holder:
    """The person of a grant, as authlib's "user"; ``used`` is the refresh token that was brought, if one was."""

    def __init__(self, grant: AppGrant, used: str | None = None) -> None:
        self.grant, self.used = grant, used

    def get_user_id(self) -> str:
        """Return the ``sub``."""
        return str(self.grant.member_id)


class HeldCode(AuthorizationCodeMixin):  # type: ignore[misc] # authlib carries no types
    """The code of a grant, for authlib."""

    code_challenge_method = CHALLENGE_METHOD

    def __init__(self, grant: AppGrant) -> None:
        self.grant = grant
        self.code_challenge = grant.code_challenge

    def get_redirect_uri(self) -> str:
        """Return where the code was sent to."""
        return self.grant.redirect_uri

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.grant.scope

    def get_nonce(self) -> str | None:
        """Return what the application wants to find in the ID token."""
        return self.grant.nonce

    def get_auth_time(self) -> int:
        """Return when the person signed in."""
        return int(self.grant.auth_time.timestamp())

    def get_acr(self) -> None:
        """Return none: identity providers do not tell alike."""

    def get_amr(self) -> None:
        """Return none, as above."""


class HeldRefreshToken:
    """A refresh token of a grant, for authlib."""

    def __init__(self, grant: AppGrant, text: str) -> None:
        self.grant, self.text = grant, text

    def check_client(self, client: AppClient) -> bool:
        """Tell whether it was given to this application."""
        return self.grant.app_id == client.app.id

    def get_scope(self) -> str:
        """Return what was granted."""
        return self.grant.scope


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc] # authlib carries no types
    """The code flow: a code is bound to the application, its redirect URI, its verifier and the session."""

    TOKEN_ENDPOINT_AUTH_METHODS = (*SECRET_METHODS, "none")

    @staticmethod
    def validate_authorization_redirect_uri(request: AuthlibRequest, client: AppClient) -> str:
        """Return the redirect URI, which is registered; what is not is never quoted: the page that tells of it is ours.

        Raises:
            InvalidRequestError: There is none, or another.
        """
        asked: str | None = request.payload.redirect_uri
        if not asked:
            raise InvalidRequestError("Missing 'redirect_uri' in request.")
        if not client.check_redirect_uri(asked):
            raise InvalidRequestError("The 'redirect_uri' in request is not registered for this application.")
        return asked

    def save_authorization_code(self, code: str, request: AuthlibRequest) -> None:
        """Give the grant that the code tells of."""
        data = request.payload.data
        asked = AskedGrant(request.scope, data["redirect_uri"], data.get("nonce"), data["code_challenge"])
        self.server.desk.give(request.client.app, asked, code)

    def query_authorization_code(self, code: str, client: AppClient) -> HeldCode | None:
        """Find a code that may be used now."""
        grant = self.server.desk.open_code(client.app, code)
        return None if grant is None else HeldCode(grant)

    def delete_authorization_code(self, authorization_code: HeldCode) -> None:
        """Use the code up; it stays known, to notice when it comes again."""
        self.server.desk.use_code(authorization_code.grant)

    def authenticate_user(self, authorization_code: HeldCode) -> Holder:
        """Return whose code it is."""
        return Holder(authorization_code.grant)


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc] # authlib carries no types
    """Refresh tokens, each used once for the next (RFC 9700 §4.14.2)."""

    TOKEN_ENDPOINT_AUTH_METHODS = (*SECRET_METHODS, "none")
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> HeldRefreshToken | None:
        """Find a refresh token that may be used now."""
        grant = self.server.desk.open_refresh_token(self.request.client.app, refresh_token)
        return None if grant is None else HeldRefreshToken(grant, refresh_token)

    def authenticate_user(self, refresh_token: HeldRefreshToken) -> Holder:
        """Return whose token it is."""
        return Holder(refresh_token.grant, refresh_token.text)

    def revoke_old_credential(self, refresh_token: HeldRefreshToken) -> None:
        """Leave it: it was used up when the new one was kept."""


class MachineGrant(grants.ClientCredentialsGrant):  # type: ignore[misc] # authlib carries no types
    """Tokens for SCIM, by a client's secret."""

    TOKEN_ENDPOINT_AUTH_METHODS = SECRET_METHODS


class Pkce(CodeChallenge):  # type: ignore[misc] # authlib carries no types
    """PKCE by S256, of every application (RFC 9700 §2.1.1)."""

    DEFAULT_CODE_CHALLENGE_METHOD = CHALLENGE_METHOD
    SUPPORTED_CODE_CHALLENGE_METHOD = (CHALLENGE_METHOD,)

    def __init__(self) -> None:
        super().__init__(required=True)
        self.CODE_CHALLENGE_METHODS = {CHALLENGE_METHOD: _is_challenge_of}

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Refuse a request without a challenge, or one that would be compared as it is.

        Raises:
            InvalidRequestError: There is none, or its method is another than S256.
        """
        data = grant.request.payload.data
        if "code_challenge" not in data:
            raise InvalidRequestError("Missing 'code_challenge'")
        if data.get("code_challenge_method") != CHALLENGE_METHOD:
            raise InvalidRequestError("'code_challenge_method' must be S256")
        super().validate_code_challenge(grant, redirect_uri)


class Demands:
    """What an application may ask of a sign-in, checked before anybody is asked to sign in."""

    def __call__(self, grant: CodeGrant) -> None:
        """Hang the check on a grant."""
        grant.register_hook("after_validate_authorization_request_payload", self._check)

    def _check(self, grant: CodeGrant, _redirect_uri: str) -> None:
        request = grant.request
        data = request.payload.data
        if "request" in data:
            raise RequestNotSupportedError("Parameters come one by one here, not as 'request'")
        if "request_uri" in data:
            raise RequestURINotSupportedError("Parameters come one by one here, not as 'request_uri'")
        if data.get("response_mode", "query") != "query":
            raise InvalidRequestError("'response_mode' must be query")
        if max_age(request) == -1:
            raise InvalidRequestError("'max_age' must be a number of seconds")
        if "openid" not in request.scope.split():
            raise InvalidScopeError("The scope must contain openid")


class IdTokens:
    """What authlib's OpenID extension writes into an ID token: the person as they are now."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def resolve_client_private_key(self, client: AppClient) -> Any:
        """Return the key that signs."""
        del client
        return self.desk.signer.signing_keys(self.desk.keys())

    def get_client_algorithm(self, client: AppClient) -> str:
        """Sign by the one algorithm that every client knows."""
        del client
        return ALGORITHM

    def get_client_claims(self, client: AppClient) -> dict[str, Any]:
        """Return issuer, audience and times."""
        now = int(self.desk.now.timestamp())
        return {
            "iss": self.desk.signer.issuer,
            "aud": client.get_client_id(),
            "iat": now,
            "exp": now + self.desk.access_seconds,
        }

    def generate_user_info(self, user: Holder, scope: str) -> dict[str, Any]:
        """Describe the person, and the session by which an application is told when it ends."""
        return {**self.desk.claims(user.grant, scope), **_session_claims(user.grant)}


class CodeIdTokens(IdTokens, OpenIDCode):  # type: ignore[misc] # authlib carries no types
    """ID tokens for codes."""

    def __init__(self, desk: Desk) -> None:
        IdTokens.__init__(self, desk)
        OpenIDCode.__init__(self, require_nonce=False)

    def exists_nonce(self, nonce: str, request: AuthlibRequest) -> bool:
        """Leave nonces to the application, which alone knows where each belongs (OpenID Core §15.5.2)."""
        del nonce, request
        return False


class RefreshedIdTokens(IdTokens, OpenIDToken):  # type: ignore[misc] # authlib carries no types
    """ID tokens for refresh tokens (OpenID Core §12.2)."""


class AccessTokens(JWTBearerTokenGenerator):  # type: ignore[misc] # authlib carries no types
    """Access tokens that an application can read by itself (RFC 9068), beside a refresh token for the next one."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(
            desk.signer.issuer,
            ALGORITHM,
            refresh_token_generator=_new_refresh_token,
            expires_generator=desk.access_seconds,
        )
        self.desk = desk

    def get_jwks(self) -> Any:
        """Return the key that signs."""
        return self.desk.signer.signing_keys(self.desk.keys())

    def get_extra_claims(self, client: AppClient, grant_type: str, user: Holder, scope: str) -> dict[str, Any]:
        """Describe the person, and say which grant the token is of; the times are those of the request."""
        del client, grant_type, scope
        now = int(self.desk.now.timestamp())
        return {
            **self.desk.claims(user.grant, ""),
            **_session_claims(user.grant),
            "grant_id": str(user.grant.id),
            "iat": now,
            "exp": now + self.desk.access_seconds,
        }


class ScimTokens:
    """Tokens that the SCIM service knows: opaque, kept as hashes, for an hour."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __call__(self, client: MachineClient, scope: str | None, **_request: object) -> dict[str, Any]:
        """Issue a token.

        Raises:
            InvalidScopeError: The client may do nothing of what it asks for.
            InvalidClientError: It was revoked while it asked.
        """
        allowed = client.get_allowed_scope(scope)
        if allowed is None:
            raise InvalidScopeError
        token = self.desk.issue_scim_token(client.client, can_write=SCIM_WRITE in allowed.split())
        if token is None:
            raise InvalidClientError(status_code=401)
        return {
            "token_type": "Bearer",
            "access_token": token,
            "expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "scope": allowed,
        }


def max_age(request: AuthlibRequest) -> int | None:
    """Return for how many seconds a sign-in counts to an application; None if it does not say, -1 for nonsense."""
    text = request.payload.data.get("max_age")
    if text is None:
        return None
    return int(text) if text.isdecimal() and len(text) <= len("2592000") else -1


def _session_claims(grant: AppGrant) -> dict[str, Any]:
    return {"sid": str(grant.session_id), "auth_time": int(grant.auth_time.timestamp())}


def _is_challenge_of(verifier: str, challenge: str) -> bool:
    return hmac.compare_digest(create_s256_code_challenge(verifier), challenge)


def _new_refresh_token(**_request: object) -> str:
    return new_credential(REFRESH_TOKEN_PREFIX).text
