"""The code flow: where the browser is sent, what its code is worth, and whether the ID token is what we asked for."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    UnsupportedAlgorithmError,
)
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from bridge.adapters.oidc.keys import KeyCache
from bridge.adapters.oidc.refusals import OidcRefusal
from bridge.adapters.oidc.wire import FormSession, Wire, WireError
from bridge.adapters.refusals import refused, shown
from bridge.errors import SignInRefusedError

#: The longest subject (OpenID Connect Core §2), and what a code and a token may come to.
MAX_SUBJECT: Final = 255
MAX_CODE: Final = 4096
_CLAIM_REASONS: Final = {
    "iss": OidcRefusal.ISSUER,
    "aud": OidcRefusal.AUDIENCE,
    "azp": OidcRefusal.AUDIENCE,
    "sub": OidcRefusal.SUBJECT,
    "nonce": OidcRefusal.NONCE,
    "exp": OidcRefusal.TIMES,
    "iat": OidcRefusal.TIMES,
    "nbf": OidcRefusal.TIMES,
    "auth_time": OidcRefusal.TIMES,
}


@dataclass(frozen=True, slots=True)
class Client:
    """Us, as one connection's provider knows us, and what it is known by itself.

    Args:
        client_secret: None for a client without one, which PKCE alone protects.
        auth_method: Of :func:`bridge.adapters.oidc.discovery.choose_auth_method`.
        algorithms: What its ID tokens may be signed by.
        userinfo_endpoint: Asked for what the ID token leaves out; None: never asked.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    auth_method: str
    redirect_uri: str
    scopes: tuple[str, ...]
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request was started with and its answer must match; it never leaves the server in the clear."""

    nonce: str
    code_verifier: str = field(repr=False)


def authorization_url(client: Client, *, state: str, proof: Proof, login_hint: str | None) -> str:
    """Return where the browser goes to sign in, with PKCE by S256 (RFC 7636)."""
    url, _ = _authlib(client, None).create_authorization_url(
        client.authorization_endpoint,
        state=state,
        code_verifier=proof.code_verifier,
        nonce=proof.nonce,
        **({} if login_hint is None else {"login_hint": login_hint}),
    )
    return str(url)


def redeem_code(wire: Wire, client: Client, code: str, proof: Proof) -> Mapping[str, Any]:
    """Turn a code into the token endpoint's answer.

    Raises:
        SignInRefusedError: The endpoint is not reached, or refuses the code.
    """
    if not code or len(code) > MAX_CODE:
        raise refused(OidcRefusal.CODE, "The answer carries no code")
    try:
        answer: Mapping[str, Any] = _authlib(client, wire).fetch_token(
            client.token_endpoint, grant_type="authorization_code", code=code, code_verifier=proof.code_verifier
        )
    except WireError as error:
        raise refused(OidcRefusal.UNREACHABLE, f"The token endpoint gave no answer: {error}") from error
    except AuthlibBaseError as error:
        detail = f"The token endpoint refused the code: {shown(error.error)} {shown(error.description or '')}"
        raise refused(OidcRefusal.TOKEN_ENDPOINT, detail) from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise refused(OidcRefusal.TOKEN_ENDPOINT, "The token endpoint answered no token") from error
    return answer


def verify_id_token(
    answer: Mapping[str, Any],
    wire: Wire,
    client: Client,
    cache: KeyCache,
    proof: Proof,
    *,
    now: datetime,
    skew_seconds: int,
) -> Mapping[str, Any]:
    """Return the claims of the ID token in a token endpoint's answer (OpenID Connect Core §3.1.3.7).

    Raises:
        SignInRefusedError: With the reason; nothing of the token may be believed.
    """
    token = answer.get("id_token")
    if not isinstance(token, str) or not token.isascii():
        raise refused(OidcRefusal.NO_ID_TOKEN, "The token endpoint answered without an ID token: is openid in scope?")
    keys = cache.keys_of(wire, client.jwks_uri, _key_id(token, client), now=now)
    try:
        # Headers that are not registered, such as a provider's own, are passed over as RFC 7515 §4 has it.
        read = jwt.decode(token, keys, registry=JWSRegistry(algorithms=client.algorithms, strict_check_header=False))
        claims = CodeIDToken(
            read.claims,
            read.header,
            {
                "iss": {"essential": True, "value": client.issuer},
                "sub": {"essential": True},
                "aud": {"essential": True, "value": client.client_id},
                "nonce": {"essential": True},
            },
            {"nonce": proof.nonce, "client_id": client.client_id, "access_token": answer.get("access_token")},
        )
        claims.validate(now=int(now.timestamp()), leeway=skew_seconds)
    except JoseError as error:
        raise _refusal_of(error) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise refused(OidcRefusal.MALFORMED, "The ID token cannot be read") from error
    check_subject(claims["sub"])
    return dict(claims)


def read_userinfo(wire: Wire, client: Client, answer: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
    """Return what the provider says of the person besides the ID token; nothing where it is not asked.

    Raises:
        SignInRefusedError: It cannot be asked, or speaks of somebody else (OpenID Connect Core §5.3.2).
    """
    access_token = answer.get("access_token")
    if client.userinfo_endpoint is None:
        return {}
    if not isinstance(access_token, str) or not all("!" <= sign <= "~" for sign in access_token):
        raise refused(OidcRefusal.USERINFO, "The token endpoint answered no access token to ask userinfo with")
    try:
        said = wire.read(client.userinfo_endpoint, bearer=access_token)
    except WireError as error:
        raise refused(OidcRefusal.USERINFO, f"The userinfo endpoint gave no answer: {error}") from error
    if said.get("sub") != subject:
        raise refused(
            OidcRefusal.USERINFO, f"The userinfo endpoint speaks of {shown(said.get('sub'))}, not {shown(subject)}"
        )
    return said


def check_subject(subject: object) -> None:
    """Refuse a subject that names nobody.

    Raises:
        SignInRefusedError: It is blank, too long, or has something else than printable characters in it.
    """
    if not isinstance(subject, str) or not subject.strip() or len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise refused(OidcRefusal.SUBJECT, "The ID token's sub names nobody")


def _key_id(token: str, client: Client) -> str | None:
    """Return the name of the key that a token says it is signed by; its algorithm is checked on the way."""
    try:
        header = json.loads(urlsafe_b64decode(token.partition(".")[0].encode()))
    except (ValueError, RecursionError) as error:
        raise refused(OidcRefusal.MALFORMED, "The ID token cannot be read") from error
    if not isinstance(header, dict):
        raise refused(OidcRefusal.MALFORMED, "The ID token cannot be read")
    if header.get("alg") not in client.algorithms:
        raise refused(
            OidcRefusal.ALGORITHM,
            f"The ID token is signed by {shown(header.get('alg'))}, and may be by {', '.join(client.algorithms)} only",
        )
    key_id = header.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise refused(OidcRefusal.MALFORMED, "The ID token names its key by something that is no text")
    return key_id


def _refusal_of(error: JoseError) -> SignInRefusedError:
    if isinstance(error, BadSignatureError):
        return refused(OidcRefusal.BAD_SIGNATURE, "The ID token's signature is not by the provider's key")
    if isinstance(error, InvalidKeyIdError):
        return refused(OidcRefusal.UNKNOWN_KEY, "The ID token is signed by a key that the provider does not publish")
    if isinstance(error, UnsupportedAlgorithmError):
        return refused(OidcRefusal.ALGORITHM, "The ID token is signed by an algorithm that is not accepted")
    if isinstance(error, ExpiredTokenError):
        return refused(OidcRefusal.EXPIRED, "The ID token has expired")
    if isinstance(error, ClaimError):
        claim = str(error.claim).partition(",")[0]
        reason = _CLAIM_REASONS.get(claim, OidcRefusal.CLAIM)
        return refused(reason, f"The ID token's {claim} is missing or not what was asked for")
    return refused(OidcRefusal.MALFORMED, f"The ID token cannot be used ({error.error})")


def _authlib(client: Client, wire: Wire | None) -> OAuth2Client:
    made = OAuth2Client(
        None if wire is None else FormSession(wire),
        client_id=client.client_id,
        client_secret=client.client_secret,
        token_endpoint_auth_method=client.auth_method,
        scope=" ".join(client.scopes),
        redirect_uri=client.redirect_uri,
        code_challenge_method="S256",
    )
    made.register_client_auth_method(("client_secret_basic", _basic))
    return made


def _basic(client: Any, _method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """Name us by HTTP Basic, both parts form-encoded first (RFC 6749 §2.3.1), which authlib leaves out."""
    text = f"{quote(client.client_id, safe='')}:{quote(client.client_secret or '', safe='')}"
    return uri, headers | {"Authorization": f"Basic {b64encode(text.encode()).decode()}"}, body
