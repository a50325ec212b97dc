"""An OpenID provider on this machine, over real HTTP, that can be told to lie.

It keeps the protocol strictly (PKCE by S256, the client's credentials, each code once), so that a sign-in through it
shows that ours is kept too; :class:`Lies` then breaks one thing at a time. Signed by joserfc.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from joserfc import jws
from joserfc.jwk import ECKey, Key, RSAKey
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from bridge.usecases.oidc_trust import OidcTrust, secret_place, trust_oidc_provider
from tests.factories import Customer
from tests.sign_ins import Browser

CLIENT_ID = "seatbridge"
CLIENT_SECRET = "a secret: with/ (special) signs%"
#: What the provider says of Ada by default.
ADA: Mapping[str, Any] = {
    "sub": "00u1ada",
    "preferred_username": "ada@acme.test",
    "email": "ada@acme.test",
    "email_verified": True,
    "given_name": "Ada",
    "family_name": "Lovelace",
    "name": "Ada Lovelace",
    "groups": ["Engineering"],
}
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "Ed25519"]


@cache
def rsa_key(name: str) -> RSAKey:
    """Return the RSA key of a name: making one takes time."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


@cache
def ec_key(name: str) -> ECKey:
    """Return the P-256 key of a name."""
    return ECKey.generate_key("P-256", {"kid": name, "use": "sig"})


@dataclass(slots=True)
class Lies:
    """What the provider does otherwise than it should; None and empty: as it should.

    Attributes:
        description: Fields of the discovery document instead of the true ones; None takes one away.
        answer: Parameters of the answer that the browser carries instead of the true ones; None takes one away.
        claims: Claims of the ID token, in the same way.
        header: Header fields of the ID token, in the same way.
        sign: Signs the ID token instead: header and payload to the token.
        token_answer: The token endpoint's whole answer instead.
        token_status: Its status.
        redirect: Where the token endpoint, the keys and userinfo redirect to.
        userinfo: Userinfo instead of the true one.
        delay_seconds: Before each answer of the token endpoint.
        skips_pkce: The code is given whatever the verifier is.
    """

    description: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str | None] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any], bytes], str] | None = None
    token_answer: bytes | None = None
    token_status: int = 200
    redirect: str | None = None
    userinfo: dict[str, Any] | None = None
    delay_seconds: float = 0.0
    skips_pkce: bool = False


@dataclass(slots=True)
class _Issued:
    query: Mapping[str, str]
    person: Mapping[str, Any]


@dataclass(slots=True)
class OpenIdProvider:
    """The provider. ``asked`` lists the paths of every request it got, the newest last."""

    issuer: str
    person: Mapping[str, Any] = field(default_factory=lambda: dict(ADA))
    keys: list[Key] = field(default_factory=lambda: [rsa_key("one")])
    lies: Lies = field(default_factory=Lies)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    asked: list[str] = field(default_factory=list)
    client_secret: str | None = CLIENT_SECRET
    browser: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False), repr=False)
    _codes: dict[str, _Issued] = field(default_factory=dict)
    _tokens: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer as a WSGI application."""
        request = Request(environ)
        self.asked.append(request.path)
        pages = {
            "/.well-known/openid-configuration": self._describe,
            "/authorize": self._authorize,
            "/token": self._token,
            "/keys": self._keys,
            "/userinfo": self._userinfo,
        }
        page = pages.get(request.path)
        return (Response(status=404) if page is None else page(request))(environ, start_response)

    def visit(self, url: str) -> str:
        """Sign the person in, as a browser that was sent here does; return where it is sent back to."""
        answered = self.browser.get(url)
        assert answered.status_code == 302, answered.text
        return answered.headers["Location"]

    def description(self) -> dict[str, Any]:
        """Return the discovery document."""
        true = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ALGORITHMS,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return _told(true, self.lies.description)

    def _describe(self, _request: Request) -> Response:
        return _json(self.description())

    def _authorize(self, request: Request) -> Response:
        query = request.args.to_dict()
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Issued(query, self.person)
        true = {"code": code, "state": query["state"], "iss": self.issuer}
        answer = _told(true, self.lies.answer)
        return Response(status=302, headers={"Location": f"{query['redirect_uri']}?{urlencode(answer)}"})

    def _token(self, request: Request) -> Response:
        if self.lies.delay_seconds:
            time.sleep(self.lies.delay_seconds)
        if self.lies.redirect is not None:
            return Response(status=302, headers={"Location": self.lies.redirect})
        if self.lies.token_answer is not None:
            return Response(self.lies.token_answer, status=self.lies.token_status, content_type="application/json")
        if not self._knows(request):
            return _json({"error": "invalid_client"}, 401)
        issued = self._codes.pop(request.form["code"], None)
        if issued is None or not self._proves(request, issued):
            return _json({"error": "invalid_grant", "error_description": "The code is not yours"}, 400)
        access_token = secrets.token_urlsafe(16)
        self._tokens[access_token] = issued.person
        answer = {"access_token": access_token, "token_type": "Bearer", "expires_in": 300}
        if "openid" in issued.query["scope"].split():
            answer["id_token"] = self.id_token(issued.query["nonce"], issued.person)
        return _json(answer, self.lies.token_status)

    def id_token(self, nonce: str, person: Mapping[str, Any] | None = None) -> str:
        """Return an ID token as the provider signs it now, lies included."""
        at = int(self.now().timestamp())
        true = {"iss": self.issuer, "aud": CLIENT_ID, "iat": at, "exp": at + 300, "nonce": nonce}
        claims = _told(true | dict(person or self.person), self.lies.claims)
        key = self.keys[0]
        algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
        header = _told({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, self.lies.header)
        payload = json.dumps(claims).encode()
        return signed(header, payload, key) if self.lies.sign is None else self.lies.sign(header, payload)

    def _keys(self, _request: Request) -> Response:
        if self.lies.redirect is not None:
            return Response(status=302, headers={"Location": self.lies.redirect})
        return _json({"keys": [key.as_dict(private=False) for key in self.keys]})

    def _userinfo(self, request: Request) -> Response:
        person = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None:
            return _json({"error": "invalid_token"}, 401)
        return _json(person if self.lies.userinfo is None else self.lies.userinfo)

    def _knows(self, request: Request) -> bool:
        """Check the client's credentials (RFC 6749 §2.3.1: both parts of HTTP Basic are form-encoded)."""
        if request.authorization is not None and request.authorization.type == "basic":
            given = (request.authorization.username or "", request.authorization.password or "")
            return (unquote(given[0]), unquote(given[1])) == (CLIENT_ID, self.client_secret)
        return (request.form.get("client_id"), request.form.get("client_secret")) == (CLIENT_ID, self.client_secret)

    def _proves(self, request: Request, issued: _Issued) -> bool:
        verifier = request.form.get("code_verifier", "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        is_proved = digest == issued.query["code_challenge"] or self.lies.skips_pkce
        return is_proved and request.form.get("redirect_uri") == issued.query["redirect_uri"]


def signed(header: Mapping[str, Any], payload: bytes, key: Key) -> str:
    """Sign a payload as a compact JWS."""
    registry = jws.JWSRegistry(algorithms=[str(header["alg"])], strict_check_header=False)
    return jws.serialize_compact(dict(header), payload, key, registry=registry)


def unsigned(header: Mapping[str, Any], payload: bytes) -> str:
    """Return a token of ``alg`` none."""
    parts = (json.dumps({**header, "alg": "none"}).encode(), payload, b"")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def by_public_key(header: Mapping[str, Any], payload: bytes) -> str:
    """Sign with the provider's public key as if it were a shared secret (the HMAC confusion)."""
    return _hmac({**header, "alg": "HS256"}, payload, rsa_key("one").as_pem(private=False))


def with_critical_header(header: Mapping[str, Any], payload: bytes) -> str:
    """Sign well, under a header that must be understood and is understood by nobody (RFC 7515 §4.1.11)."""
    parts = [
        base64.urlsafe_b64encode(one).rstrip(b"=")
        for one in (json.dumps({**header, "crit": ["exp"], "exp": 1}).encode(), payload)
    ]
    signature = rsa_key("one").private_key.sign(b".".join(parts), PKCS1v15(), SHA256())  # type: ignore[union-attr]
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def by_client_secret(header: Mapping[str, Any], payload: bytes) -> str:
    """Sign with the client's secret, which more than the provider may know."""
    return _hmac({**header, "alg": "HS256"}, payload, CLIENT_SECRET.encode())


def _hmac(header: Mapping[str, Any], payload: bytes, secret: bytes) -> str:
    parts = [base64.urlsafe_b64encode(one).rstrip(b"=") for one in (json.dumps(header).encode(), payload)]
    mac = base64.urlsafe_b64encode(hmac.digest(secret, b".".join(parts), "sha256")).rstrip(b"=")
    return b".".join([*parts, mac]).decode()


@contextmanager
def open_id_provider(host: str = "localhost") -> Iterator[OpenIdProvider]:
    """Run a provider meanwhile, on another host than the service's own name."""

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 (werkzeug's own name)
            del type, message, args

    provider = OpenIdProvider("")
    server = make_server(host, 0, provider, threaded=True, request_handler=Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined] # of the threaded server, which make_server returns
    provider.issuer = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.browser.close()
        server.shutdown()
        server.server_close()
        thread.join(5)


class Described(Protocol):
    """An OpenID provider, this one or a real one."""

    @property
    def issuer(self) -> str:
        """Its name."""

    @property
    def client_secret(self) -> str | None:
        """What it gave us, if anything."""

    def description(self) -> Mapping[str, Any]:
        """Return its discovery document."""


def trust_op(customer: Customer, provider: Described, **facts: Any) -> None:
    """Make the customer's connection believe a provider, as ``seatbridge connection oidc`` does after discovery."""
    described = provider.description()
    runtime = customer.runtime
    secret = provider.client_secret
    with customer.unit() as unit:
        place = secret_place(unit.org_id, customer.connection_id)
        trusted: dict[str, Any] = {
            "issuer": provider.issuer,
            "client_id": CLIENT_ID,
            "client_secret": None if secret is None else runtime.secrets.seal(secret.encode(), bound_to=place),
            "auth_method": "none" if secret is None else "client_secret_basic",
            "scopes": ("openid", "profile", "email"),
            "authorization_endpoint": described["authorization_endpoint"],
            "token_endpoint": described["token_endpoint"],
            "jwks_uri": described["jwks_uri"],
            "userinfo_endpoint": described["userinfo_endpoint"],
            "algorithms": tuple(ALGORITHMS),
            "sends_issuer": True,
        }
        trust_oidc_provider(unit, customer.connection_id, OidcTrust(**(trusted | facts)))


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _told(true: Mapping[str, Any], lies: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**true, **lies}.items() if value is not None}


def _json(document: object, status: int = 200) -> Response:
    return Response(json.dumps(document), status=status, content_type="application/json")


class OidcBrowser(Browser):
    """A browser that signs in by OpenID Connect."""

    def __init__(self, app: Flask, customer: Customer, op: OpenIdProvider) -> None:
        super().__init__(app, customer)
        self.base = f"/sso/oidc/{customer.slug}/{customer.connection_id}"
        self.op = op

    def leave(self, return_path: str = "/whoami", **query: str) -> str:
        """Start a sign-in and return the provider's address that the browser is sent to."""
        started = self.get(f"{self.base}/start", query_string={"return": return_path, **query})
        assert started.status_code == 302, started.text
        return started.location

    def come_back(self, url: str, **request: Any) -> TestResponse:
        """Open the address that the provider sends the browser back to."""
        parts = urlsplit(url)
        return self.get(f"{parts.path}?{parts.query}", **request)

    def enter(self) -> TestResponse:
        """Sign the provider's person in and return our answer."""
        return self.come_back(self.op.visit(self.leave()))
