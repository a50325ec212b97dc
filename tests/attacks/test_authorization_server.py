"""Attacks on what the service is to applications: requests with something done to them, stolen codes and tokens."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from tests.apps import CALLBACK, VERIFIER, TestApp, answered, register
from tests.attacks.target import Target, changed, within_time
from tests.op import rsa_key
from tests.saml_forgeries import NOW
from tests.web import Browser, sign_in

TOKEN = "/oauth2/token"
OTHER_CALLBACK = "https://other.test/callback"


@dataclass(slots=True)
class Victim:
    """An application, the attacker's own beside it, a person with a session, and a code that is not redeemed yet."""

    target: Target
    app: TestApp
    evil: TestApp
    browser: Browser
    code: str

    def refused(self, send: Callable[["Victim"], TestResponse], error: str) -> None:
        """Check that a request is refused in time and changes nothing, and leads to no address of the attacker's."""
        before = self.target.tables()
        answer, _ = within_time(lambda: send(self))
        assert error_of(answer) == error
        assert changed(before, self.target.tables()) == {}
        assert answer.headers.get("Location", CALLBACK).startswith(CALLBACK)
        assert "code=" not in answer.headers.get("Location", "")
        assert "Set-Cookie" not in answer.headers


def error_of(answer: TestResponse) -> str:
    """Return the error that the application is told, or ``page`` where the person is told on a page of ours."""
    if answer.status_code == 302:
        return answered(answer).get("error", "none")
    assert 400 <= answer.status_code < 500
    return str(answer.get_json()["error"]) if answer.is_json else "page"


@pytest.fixture(scope="module")
def applications(target: Target) -> tuple[TestApp, TestApp]:
    runtime = target.acme.runtime
    app = register(target.app, runtime)
    return app, register(target.app, runtime, "Evil", redirect_uris=(OTHER_CALLBACK,))


@pytest.fixture
def victim(target: Target, applications: tuple[TestApp, TestApp]) -> Iterator[Victim]:
    """Somebody under attack; afterwards the true application still redeems their code."""
    app, evil = applications
    browser = sign_in(target.app, target.acme)
    victim = Victim(target, app, evil, browser, app.code(browser))
    yield victim
    tokens = app.redeem(victim.code)
    assert tokens.status_code == 200, tokens.text
    assert app.refresh(tokens.get_json()["refresh_token"]).status_code == 200


ELSEWHERE = (
    *(f"{CALLBACK}{more}" for more in ("/", "/..", "?x=1", "#x", "%2e%2e", "%00", "\t", ";x", "&x=1", ".evil.test")),
    "https://app.test:8443/callback",
    "https://app.test@evil.test/callback",
    "https://evil.test/callback#@app.test/callback",
    "https://app.test\\@evil.test/callback",
    "https://APP.test/callback",
    "http://app.test/callback",
    "//app.test/callback",
    "https:/app.test/callback",
    "https://evil.test",
    OTHER_CALLBACK,
    "javascript:alert(1)",
    "data:text/html,x",
    "",
)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_i9_nobody_is_sent_to_an_address_that_is_not_registered_to_the_letter(victim: Victim, address: str) -> None:
    """I9: not even with an error."""
    victim.refused(lambda v: v.app.authorize(v.browser, redirect_uri=address), "page")


REQUESTS: dict[str, tuple[dict[str, str | None], str]] = {
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "PKCE by plain": ({"code_challenge_method": "plain"}, "invalid_request"),
    "PKCE without a method, which means plain": ({"code_challenge_method": None}, "invalid_request"),
    "an empty challenge": ({"code_challenge": ""}, "invalid_request"),
    "a short challenge": ({"code_challenge": "x"}, "invalid_request"),
    "an access token in the address": ({"response_type": "token"}, "unsupported_response_type"),
    "an ID token in the address": ({"response_type": "id_token"}, "unsupported_response_type"),
    "a code and a token": ({"response_type": "code token"}, "unsupported_response_type"),
    "no application": ({"client_id": None}, "page"),
    "an application that nobody registered": ({"client_id": "00000000-0000-4000-8000-000000000000"}, "page"),
    "the attacker's application with another's address": ({"client_id": "evil"}, "page"),
}


@pytest.mark.parametrize(("asked", "error"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_with_something_done_to_it_is_refused(
    victim: Victim, asked: dict[str, str | None], error: str
) -> None:
    asked = {name: victim.evil.client_id if value == "evil" else value for name, value in asked.items()}

    victim.refused(lambda v: v.app.authorize(v.browser, **asked), error)


@pytest.mark.parametrize(
    "twice",
    [f"redirect_uri={OTHER_CALLBACK}", "client_id=x", "state=x", "code_challenge=x", "scope=x"],
    ids=lambda twice: twice.partition("=")[0],
)
def test_a_parameter_that_comes_twice_is_refused(victim: Victim, twice: str) -> None:
    victim.refused(lambda v: v.browser.client.get(f"/oauth2/authorize?{v.app.query()}&{twice}"), "page")


REDEMPTIONS: dict[str, tuple[Callable[[Victim], TestResponse], str]] = {
    "another verifier": (lambda v: v.app.redeem(v.code, code_verifier="w" * 64), "invalid_grant"),
    "no verifier": (lambda v: v.app.redeem(v.code, code_verifier=None), "invalid_request"),
    "an empty verifier": (lambda v: v.app.redeem(v.code, code_verifier=""), "invalid_request"),
    "another address": (lambda v: v.app.redeem(v.code, redirect_uri=OTHER_CALLBACK), "invalid_grant"),
    "no address": (lambda v: v.app.redeem(v.code, redirect_uri=None), "invalid_grant"),
    "another application": (lambda v: v.evil.redeem(v.code), "invalid_grant"),
    "another application with its own address": (
        lambda v: v.evil.redeem(v.code, redirect_uri=OTHER_CALLBACK),
        "invalid_grant",
    ),
    "another application that says it is this one": (
        lambda v: v.evil.redeem(v.code, client_id=v.app.client_id),
        "invalid_grant",
    ),
    "a wrong secret": (
        lambda v: v.app.post("/oauth2/token", redemption(v), auth=(v.app.client_id, "x")),
        "invalid_client",
    ),
    "an empty secret": (
        lambda v: v.app.post("/oauth2/token", redemption(v), auth=(v.app.client_id, "")),
        "invalid_client",
    ),
    "no secret": (lambda v: unproven(v, {"client_id": v.app.client_id}), "invalid_client"),
    "an assertion in the place of a secret": (
        lambda v: unproven(
            v,
            {
                "client_id": v.app.client_id,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": token_of({"alg": "none"}, {"iss": v.app.client_id, "sub": v.app.client_id}),
            },
        ),
        "invalid_client",
    ),
    "a password": (
        lambda v: v.app.redeem(v.code, grant_type="password", username="x", password="x"),
        "unsupported_grant_type",
    ),
    "a token of nobody's": (lambda v: v.app.refresh("x"), "invalid_grant"),
    "the code as a refresh token": (lambda v: v.app.refresh(v.code), "invalid_grant"),
    "a null byte": (lambda v: v.app.redeem("\0"), "invalid_request"),
    "a code without end": (lambda v: v.app.redeem("x" * 60_000), "invalid_request"),
}


@pytest.mark.parametrize(("send", "error"), REDEMPTIONS.values(), ids=REDEMPTIONS)
def test_a_code_is_worth_nothing_to_anybody_else(
    victim: Victim, send: Callable[[Victim], TestResponse], error: str
) -> None:
    victim.refused(send, error)


def redemption(victim: Victim) -> dict[str, str | None]:
    return {
        "grant_type": "authorization_code",
        "code": victim.code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }


def unproven(victim: Victim, form: dict[str, str]) -> TestResponse:
    """Bring the code without a secret."""
    return victim.target.app.test_client().post(TOKEN, data={**redemption(victim), **form})


def token_of(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Write a JWT that nobody has signed."""
    parts = (json.dumps(part).encode() for part in (header, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def test_a_refresh_token_is_worth_nothing_to_another_application(victim: Victim) -> None:
    token = victim.app.tokens(victim.browser)["refresh_token"]

    victim.refused(lambda v: v.evil.refresh(token), "invalid_grant")
    assert victim.app.refresh(token).status_code == 200


def test_a_refresh_token_used_twice_ends_what_it_gave_and_nothing_else(victim: Victim) -> None:
    """RFC 9700 §4.14.2: whoever has it as well may have been first."""
    token = victim.app.tokens(victim.browser)["refresh_token"]
    newer = victim.app.refresh(token).get_json()["refresh_token"]
    with victim.target.at(NOW + timedelta(minutes=5)):
        assert error_of(victim.app.refresh(token)) == "invalid_grant"

    victim.refused(lambda v: v.app.refresh(newer), "invalid_grant")


def test_of_ten_who_bring_a_refresh_token_at_once_nobody_keeps_one_beside_the_owner(victim: Victim) -> None:
    token = victim.app.tokens(victim.browser)["refresh_token"]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: victim.app.refresh(token), range(10)))

    alive = [answer.get_json()["refresh_token"] for answer in answers if answer.status_code == 200]
    assert len([token for token in set(alive) if victim.app.refresh(token).status_code == 200]) <= 1


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a token's header and claims, whoever signed them."""
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{part}==")) for part in token.split(".")[:2])
    return header, claims


def published(victim: Victim) -> RSAKey:
    """Return the public key that everybody can read."""
    [key, *_] = victim.target.app.test_client().get("/oauth2/jwks").get_json()["keys"]
    return RSAKey.import_key(key)


def by_nobody(_victim: Victim, token: str) -> str:
    header, claims = parts_of(token)
    return token_of({**header, "alg": "none"}, claims)


def by_the_public_key(victim: Victim, token: str) -> str:
    """The public key as if it were a shared secret (the HMAC confusion)."""
    header, claims = parts_of(token)
    signed, secret = token_of({**header, "alg": "HS256"}, claims), published(victim).as_pem(private=False)
    mac = hmac.digest(secret, signed.rpartition(".")[0].encode(), "sha256")
    return signed + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def by_another_key(_victim: Victim, token: str, **more: Any) -> str:
    header, claims = parts_of(token)
    registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    return jws.serialize_compact({**header, **more}, json.dumps(claims).encode(), rsa_key("evil"), registry=registry)


def with_its_own_key(victim: Victim, token: str) -> str:
    return by_another_key(victim, token, jwk=rsa_key("evil").as_dict(private=False))


def with_an_address_of_its_key(victim: Victim, token: str) -> str:
    return by_another_key(victim, token, jku="https://evil.test/jwks", x5u="https://evil.test/x5u", kid="evil")


def with_a_key_that_is_a_file(victim: Victim, token: str) -> str:
    return by_another_key(victim, token, kid="../../../../dev/null' OR '1'='1")


def of_somebody_else(victim: Victim, token: str) -> str:
    header, claims = parts_of(token)
    changed_parts = token_of(header, {**claims, "sub": str(victim.target.second.owner_id), "exp": 2**40})
    return changed_parts + token.rpartition(".")[2]


FORGERIES = (
    by_nobody,
    by_the_public_key,
    by_another_key,
    with_its_own_key,
    with_an_address_of_its_key,
    with_a_key_that_is_a_file,
    of_somebody_else,
)


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_access_token_opens_nothing(victim: Victim, forge: Callable[[Victim, str], str]) -> None:
    token = victim.app.tokens(victim.browser)["access_token"]
    forged = forge(victim, token)

    victim.refused(lambda v: asks_userinfo(v, forged), "invalid_token")
    assert victim.app.post("/oauth2/introspect", {"token": forged}).get_json() == {"active": False}
    assert asks_userinfo(victim, token).status_code == 200


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_a_token_of_another_kind_opens_nothing(victim: Victim, kind: str) -> None:
    """Each is signed by us: an ID token says who somebody is, and is no key to anything."""
    token = victim.app.tokens(victim.browser)[kind]

    victim.refused(lambda v: asks_userinfo(v, token), "invalid_token")


def test_an_application_learns_and_ends_nothing_of_anothers(victim: Victim) -> None:
    tokens = victim.app.tokens(victim.browser)
    before = victim.target.tables()

    told = [victim.evil.post("/oauth2/introspect", {"token": token}).get_json() for token in tokens_in(tokens)]
    ended = [victim.evil.post("/oauth2/revoke", {"token": token}) for token in tokens_in(tokens)]

    assert told == [{"active": False}] * 2
    assert {answer.status_code for answer in ended} <= {200, 400}
    assert changed(before, victim.target.tables()) == {}
    assert asks_userinfo(victim, tokens["access_token"]).status_code == 200


def tokens_in(tokens: dict[str, str]) -> tuple[str, str]:
    return tokens["access_token"], tokens["refresh_token"]


def asks_userinfo(victim: Victim, token: str) -> TestResponse:
    return victim.target.app.test_client().get("/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})
