"""Applications for tests: registered as the operator does, and speaking the protocol by hand, one request at a time."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Flask
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.test import TestResponse

from bridge.adapters.oauth import make_key
from bridge.config.keys import decode_key
from bridge.domain.actors import OPERATOR
from bridge.runtime import Runtime
from bridge.store.secrets import SecretBox
from bridge.usecases.apps import AppDraft, add_app
from bridge.usecases.signing_keys import SealedKey, ensure_key
from tests.conftest import KEY
from tests.web import Browser

CALLBACK = "https://app.test/callback"
VERIFIER = "v" * 64
SCOPE = "openid profile email"


@cache
def signing_key() -> SealedKey:
    """Return one key for all tests: making it takes time."""
    return make_key(SecretBox([decode_key(KEY)]))


@dataclass(frozen=True)
class TestApp:
    """A registered application, and what it knows of itself."""

    __test__ = False

    flask: Flask
    client_id: str
    secret: str | None
    issuer: str

    def query(self, **changed: str | None) -> str:
        """Write an authorization request; None leaves a parameter out."""
        asked: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        }
        return urlencode({name: value for name, value in {**asked, **changed}.items() if value is not None})

    def authorize(self, browser: Browser, **changed: str | None) -> TestResponse:
        """Send a browser to the authorization endpoint."""
        return browser.client.get(f"/oauth2/authorize?{self.query(**changed)}")

    def code(self, browser: Browser, **changed: str | None) -> str:
        """Sign somebody in who has a session already, and return the code."""
        answer = self.authorize(browser, **changed)
        assert answer.status_code == 302, answer.text
        return answered(answer)["code"]

    def post(self, path: str, form: Mapping[str, str | None], **options: Any) -> TestResponse:
        """Call an endpoint as this application, which says who it is as it was registered to."""
        fields = {name: value for name, value in form.items() if value is not None}
        if self.secret is None:
            fields.setdefault("client_id", self.client_id)
        else:
            options.setdefault("auth", (self.client_id, self.secret))
        return self.flask.test_client().post(path, data=fields, **options)

    def redeem(self, brought: str, /, **changed: str | None) -> TestResponse:
        """Bring a code to the token endpoint."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": brought,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return self.post("/oauth2/token", {**form, **changed})

    def tokens(self, browser: Browser, **changed: str | None) -> dict[str, Any]:
        """Sign somebody in who has a session already, and return the tokens."""
        answer = self.redeem(self.code(browser, **changed))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def refresh(self, token: str, /, **changed: str | None) -> TestResponse:
        """Bring a refresh token to the token endpoint."""
        return self.post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": token, **changed})

    def read(self, token: str) -> dict[str, Any]:
        """Check a token by the published keys and return its claims."""
        keys = KeySet.import_key_set(self.flask.test_client().get("/oauth2/jwks").get_json())
        return dict(jwt.decode(token, keys, ["RS256"]).claims)


def register(flask: Flask, runtime: Runtime, name: str = "Example", **facts: Any) -> TestApp:
    """Register an application."""
    with runtime.installation(OPERATOR) as installation:
        added = add_app(installation, AppDraft(name, **{"redirect_uris": (CALLBACK,), **facts}))
        ensure_key(installation, signing_key())
    secret = None if added.secret is None else added.secret.text
    return TestApp(flask, str(added.app.id), secret, runtime.settings.server.public_url)


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def answered(response: TestResponse) -> dict[str, str]:
    """Return what an authorization response says in its address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(response.location).query).items()}


def next_of(response: TestResponse) -> str:
    """Return where a sign-in page was told to lead to."""
    found = re.search(r"[?&]next=([^&]+)", response.location)
    assert found is not None, response.location
    return parse_qs(urlsplit(response.location).query)["next"][0]
