"""The code flow: a person who is signed in, an application that is told so, and nobody else."""

import base64
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import Alert, AppGrant, AuditEntry
from bridge.usecases.manage_access import deactivate_member
from bridge.web.sso.places import safe_return_path
from tests.apps import CALLBACK, TestApp, answered, next_of, register
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.sign_ins import verified_domain
from tests.web import Browser, sign_in
from wsgi import compose


@pytest.fixture
def web(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def app(web: Flask, runtime: Runtime) -> TestApp:
    return register(web, runtime)


@pytest.fixture
def mia(customer: Customer) -> MemberId:
    """A person of the directory, who holds a Premium seat, the highest that is free (rule A1)."""
    name = {"givenName": "Mia", "familyName": "Member"}
    emails = [{"value": "mia@nordlys.test", "primary": True}]
    return MemberId(customer.push("mia@nordlys.test", displayName="Mia Member", name=name, emails=emails).id)


def rows(customer: Customer, model: type[Any]) -> list[Any]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(model)))


def header(token: str) -> dict[str, Any]:
    part = token.partition(".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def actions(customer: Customer) -> list[str]:
    return [entry.action for entry in rows(customer, AuditEntry)]


def test_a_person_with_a_session_comes_back_with_a_code_and_the_issuer_and_the_state(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    """RFC 9207: an answer names its issuer."""
    answer = app.authorize(sign_in(web, customer, mia))

    assert answer.status_code == 302
    assert answer.location.startswith(f"{CALLBACK}?code=")
    assert answered(answer)["state"] == "a state"
    assert answered(answer)["iss"] == "http://127.0.0.1:8080"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_id_token_says_who_it_is_and_with_which_seat(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    verified_domain(customer, "nordlys.test")

    tokens = app.tokens(sign_in(web, customer, mia))

    claims = app.read(tokens["id_token"])
    at = int(customer.runtime.clock.now().timestamp())
    assert {name: claims[name] for name in ("iss", "aud", "sub", "nonce", "iat", "exp", "auth_time")} == {
        "iss": "http://127.0.0.1:8080",
        "aud": app.client_id,
        "sub": str(mia),
        "nonce": "a nonce",
        "iat": at,
        "exp": at + 600,
        "auth_time": at,
    }
    assert claims["org"] == {"id": str(customer.org_id), "slug": "nordlys"}
    assert (claims["role"], claims["seat_tier"]) == ("member", "premium")
    assert claims["entitlements"] == {"roles": [], "permissions": [], "teams": []}
    assert (claims["name"], claims["given_name"], claims["preferred_username"]) == (
        "Mia Member",
        "Mia",
        "mia@nordlys.test",
    )
    assert (claims["email"], claims["email_verified"]) == ("mia@nordlys.test", True)


def test_an_access_token_is_marked_as_one_and_lives_ten_minutes(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    """RFC 9068 §2: the type keeps it from being taken for an ID token."""
    tokens = app.tokens(sign_in(web, customer, mia))

    claims = app.read(tokens["access_token"])
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 600)
    assert (claims["client_id"], claims["aud"], claims["sub"]) == (app.client_id, app.client_id, str(mia))
    assert claims["exp"] - claims["iat"] == 600
    assert header(tokens["access_token"])["typ"] == "at+jwt"
    assert header(tokens["id_token"])["typ"] == "JWT"
    assert "email" not in claims


def test_an_address_in_a_domain_that_nobody_proved_is_not_called_verified(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    claims = app.read(app.tokens(sign_in(web, customer, mia))["id_token"])

    assert claims["email_verified"] is False


def test_the_sign_in_is_in_the_audit_chain(web: Flask, app: TestApp, customer: Customer, mia: MemberId) -> None:
    """Once for each session, however often the application asks again."""
    browser = sign_in(web, customer, mia)
    for _ in range(3):
        app.tokens(browser)
    app.tokens(sign_in(web, customer, mia), prompt="none")

    [entry, _] = [entry for entry in rows(customer, AuditEntry) if entry.action == "app.signed_in"]
    assert (entry.actor, entry.subject_id, entry.body["app"]) == (f"member:{mia}", str(mia), app.client_id)


def test_who_is_not_signed_in_signs_in_first_and_comes_back(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    stranger = app.authorize(Browser(web.test_client()), login_hint="mia@nordlys.test")
    browser = sign_in(web, customer, mia)

    back = browser.client.get(next_of(stranger))

    assert stranger.status_code == 303
    assert stranger.location.startswith("/sign-in?next=/oauth2/authorize")
    assert "login_hint=mia" in stranger.location
    assert 'value="mia@nordlys.test"' in Browser(web.test_client()).get(stranger.location).text
    assert "code" in answered(back)


def test_a_form_is_taken_as_an_address_is(web: Flask, app: TestApp, customer: Customer, mia: MemberId) -> None:
    """OpenID Core §3.1.2.1 wants both; another site's form comes without the session's cookie."""
    browser = sign_in(web, customer, mia)

    posted = browser.client.post(
        "/oauth2/authorize", data=app.query(), content_type="application/x-www-form-urlencoded"
    )

    assert posted.status_code == 303
    assert "code" in answered(browser.client.get(posted.location))


def test_prompt_none_never_shows_a_page(web: Flask, app: TestApp) -> None:
    answer = app.authorize(Browser(web.test_client()), prompt="none")

    assert answer.location.startswith(CALLBACK)
    assert answered(answer)["error"] == "login_required"
    assert answered(answer)["state"] == "a state"
    assert answered(answer)["iss"] == "http://127.0.0.1:8080"


@pytest.mark.parametrize("demand", [{"prompt": "login"}, {"max_age": "60"}])
def test_who_must_sign_in_again_does_so_once(
    app: TestApp, customer: Customer, mia: MemberId, clock: SettableClock, demand: dict[str, str]
) -> None:
    browser = sign_in(app.flask, customer, mia)
    clock.at += timedelta(seconds=61)

    first = app.authorize(browser, **demand)
    unmoved = browser.client.get(next_of(first))
    clock.at += timedelta(seconds=5)
    again = sign_in(app.flask, customer, mia).client.get(next_of(first))

    assert first.location.startswith("/sign-in")
    assert unmoved.location.startswith("/sign-in")
    assert "code" in answered(again)


def test_a_session_that_is_too_old_is_told_and_not_renewed_under_prompt_none(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId, clock: SettableClock
) -> None:
    browser = sign_in(web, customer, mia)
    clock.at += timedelta(seconds=61)

    answer = app.authorize(browser, prompt="none", max_age="60")

    assert answered(answer)["error"] == "login_required"


NOT_DONE_HERE: tuple[tuple[dict[str, str | None], str], ...] = (
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"scope": "profile"}, "invalid_scope"),
    ({"scope": None}, "invalid_scope"),
    ({"request": "eyJ"}, "request_not_supported"),
    ({"request_uri": "https://evil.test/"}, "request_uri_not_supported"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"prompt": "none login"}, "invalid_request"),
)


def test_what_is_not_done_here_is_told_to_the_application(app: TestApp, customer: Customer, mia: MemberId) -> None:
    """PKCE is asked of every application, and plain is no PKCE (RFC 9700 §2.1.1)."""
    browser = sign_in(app.flask, customer, mia)

    answers = [(app.authorize(browser, **changed), error) for changed, error in NOT_DONE_HERE]

    assert [(answer.status_code, answered(answer)["error"]) for answer, _ in answers] == [
        (302, error) for _, error in NOT_DONE_HERE
    ]
    assert {answered(answer)["state"] for answer, _ in answers} == {"a state"}
    assert {answered(answer)["iss"] for answer, _ in answers} == {"http://127.0.0.1:8080"}
    assert rows(customer, AppGrant) == []


NOT_REGISTERED = (
    f"{CALLBACK}/",
    f"{CALLBACK}?more=1",
    f"{CALLBACK}#there",
    "https://app.test.evil.test/callback",
    "https://app.test@evil.test/callback",
    "https://APP.test/callback",
    "http://app.test/callback",
    "javascript:alert(1)",
    '"><script>',
    None,
)


def test_i9_nobody_is_sent_to_an_address_that_is_not_registered_byte_for_byte(
    app: TestApp, customer: Customer, mia: MemberId
) -> None:
    browser = sign_in(app.flask, customer, mia)

    answers = [app.authorize(browser, redirect_uri=address) for address in NOT_REGISTERED]

    assert {answer.status_code for answer in answers} == {400}
    assert all("not accepted" in answer.text and "<script>" not in answer.text for answer in answers)
    assert not any("Location" in answer.headers for answer in answers)


def test_an_application_of_one_organization_lets_nobody_else_in(
    web: Flask, runtime: Runtime, make_customer: Callable[..., Customer]
) -> None:
    ours, theirs = make_customer("ours"), make_customer("theirs")
    app = register(web, runtime, only_org_id=ours.org_id)

    visitor = sign_in(web, theirs)

    refused = app.authorize(visitor)

    assert (refused.status_code, "is for people of" in refused.text) == (403, True)
    assert "Sign in with another account" in refused.text
    assert answered(app.authorize(visitor, prompt="none"))["error"] == "access_denied"
    assert "code" in answered(app.authorize(sign_in(web, ours)))
    assert rows(theirs, AppGrant) == []


def test_nobody_else_s_sentence_stands_on_our_page(web: Flask, app: TestApp, customer: Customer) -> None:
    """What a request says wrong is named, and never quoted: a link to us must not speak for somebody else."""
    lie = "x. Your account is locked: call +1 900 555 0100"
    browser = sign_in(web, customer)

    pages = [app.authorize(browser, **{name: lie}) for name in ("redirect_uri", "client_id")]
    pages.append(app.authorize(browser, redirect_uri=lie, response_type=lie))
    answers = [answered(app.authorize(browser, response_type=kind)) for kind in (None, "token")]

    assert [page.status_code for page in pages] == [400, 400, 400]
    assert not any("locked" in page.text for page in pages)
    assert "not registered for this application" in pages[0].text
    assert [answer["error"] for answer in answers] == ["invalid_request", "unsupported_response_type"]
    assert answers[1]["error_description"] == "The 'response_type' must be code."


def test_a_request_of_plain_signs_comes_back_from_a_sign_in_however_long(web: Flask, app: TestApp) -> None:
    asked = app.query(state=None) + "&state="
    stranger = Browser(web.test_client())

    kept = stranger.client.get(f"/oauth2/authorize?{asked}{'/:' * ((1900 - len(asked)) // 2)}")
    lost = stranger.client.get(f"/oauth2/authorize?{asked}{'^' * (1900 - len(asked))}")

    assert safe_return_path(next_of(kept)) == next_of(kept)
    assert (lost.status_code, "more characters" in lost.text) == (400, True)


def test_i13_one_address_asks_an_application_s_codes_so_often_and_looking_at_the_headers_takes_none(
    runtime: Runtime, customer: Customer, mia: MemberId
) -> None:
    apps = runtime.settings.apps.model_copy(update={"codes_per_minute": 10})
    runtime.settings = runtime.settings.model_copy(update={"apps": apps})
    web = compose(runtime)
    app, browser = register(web, runtime), sign_in(web, customer, mia)

    looked_at = browser.client.head(f"/oauth2/authorize?{app.query()}")
    answers = [app.authorize(browser, prompt="none") for _ in range(11)]

    assert looked_at.status_code == 405
    assert [answer.status_code for answer in answers] == [302] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert len(rows(customer, AppGrant)) == 10


def test_who_was_turned_off_is_asked_to_sign_in(web: Flask, app: TestApp, customer: Customer, mia: MemberId) -> None:
    browser = sign_in(web, customer, mia)
    with customer.unit() as unit:
        deactivate_member(unit, get_member(unit, mia), reason="by_hand")

    assert app.authorize(browser).location.startswith("/sign-in")


def test_a_code_is_used_once_and_used_twice_it_ends_everything_it_gave(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    """RFC 9700 §4.5: whoever has it as well may have been first."""
    code = app.code(sign_in(web, customer, mia))
    tokens = app.redeem(code).get_json()

    again = app.redeem(code)

    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
    assert app.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    [grant] = rows(customer, AppGrant)
    assert grant.ended_by == "code_reused"
    assert [alert.code for alert in rows(customer, Alert)] == ["app_token_reused"]
    assert "app.signed_out" in actions(customer)


def test_of_many_who_bring_one_code_at_once_at_most_one_gets_tokens(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    code = app.code(sign_in(web, customer, mia))
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(app.redeem(code).status_code)) for _ in range(5)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 400, 400, 400, 400]
    assert [grant.ended_by for grant in rows(customer, AppGrant)] == ["code_reused"]


def test_a_code_lives_a_minute(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId, clock: SettableClock
) -> None:
    code = app.code(sign_in(web, customer, mia))
    clock.at += timedelta(seconds=60)

    assert app.redeem(code).get_json()["error"] == "invalid_grant"


WRONG_REDEMPTIONS: tuple[tuple[dict[str, str | None], str], ...] = (
    ({"code_verifier": "w" * 64}, "invalid_grant"),
    ({"code_verifier": None}, "invalid_request"),
    ({"code_verifier": "short"}, "invalid_request"),
    ({"redirect_uri": "https://app.test/other"}, "invalid_grant"),
    ({"redirect_uri": None}, "invalid_grant"),
    ({"code": "unknown"}, "invalid_grant"),
    ({"code": None}, "invalid_request"),
    ({"grant_type": "password"}, "unsupported_grant_type"),
    ({"grant_type": "implicit"}, "unsupported_grant_type"),
    ({"grant_type": None}, "invalid_request"),
)


def test_a_code_is_bound_to_its_verifier_and_address(app: TestApp, customer: Customer, mia: MemberId) -> None:
    code = app.code(sign_in(app.flask, customer, mia))

    refused = [app.redeem(code, **changed) for changed, _ in WRONG_REDEMPTIONS]

    assert [(answer.status_code, answer.get_json()["error"]) for answer in refused] == [
        (400, error) for _, error in WRONG_REDEMPTIONS
    ]
    assert app.redeem(code).status_code == 200


def test_a_code_of_one_application_is_worth_nothing_to_another(
    web: Flask, app: TestApp, runtime: Runtime, customer: Customer, mia: MemberId
) -> None:
    other = register(web, runtime, "Other")
    code = app.code(sign_in(web, customer, mia))

    refused = other.redeem(code)

    assert refused.get_json()["error"] == "invalid_grant"
    assert app.redeem(code).status_code == 200


NO_PROOFS: tuple[dict[str, Any], ...] = (
    {"auth": ("00000000-0000-4000-8000-000000000000", "x")},
    {"headers": {"Authorization": "Basic %%%"}},
    {"headers": {"Authorization": "Basic /w=="}},
    {"headers": {"Authorization": "Basic"}},
    {"headers": {"Authorization": "Bearer x"}},
    {"headers": {}},
)


def test_an_application_that_does_not_prove_who_it_is_gets_nothing(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    code = app.code(sign_in(web, customer, mia))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": "v" * 64}

    refused = [
        web.test_client().post("/oauth2/token", data={**form, "client_id": app.client_id}, **proof)
        for proof in NO_PROOFS
    ]

    assert {(answer.status_code, answer.get_json()["error"]) for answer in refused} == {(401, "invalid_client")}
    assert all(answer.headers["WWW-Authenticate"].startswith("Basic") for answer in refused)


def test_a_secret_is_taken_in_the_form_too_and_a_wrong_one_nowhere(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    browser = sign_in(web, customer, mia)
    form = {"client_id": app.client_id, "client_secret": app.secret}

    taken = app.redeem(app.code(browser), **form)
    refused = web.test_client().post(
        "/oauth2/token", data={**form, "client_secret": "x", "grant_type": "refresh_token"}
    )

    assert taken.status_code == 200
    assert refused.get_json()["error"] == "invalid_client"


def test_a_public_application_proves_itself_by_its_verifier_alone(
    web: Flask, runtime: Runtime, customer: Customer, mia: MemberId
) -> None:
    app = register(web, runtime, is_public=True)
    browser = sign_in(web, customer, mia)

    assert app.secret is None
    assert app.redeem(app.code(browser), code_verifier=None).get_json()["error"] == "invalid_request"
    assert app.redeem(app.code(browser)).status_code == 200


def test_i10_everything_is_named_by_the_configured_address_whatever_the_host_header_says(
    web: Flask, app: TestApp
) -> None:
    spoofed = {"Host": "evil.test", "X-Forwarded-Host": "evil.test"}

    document = web.test_client().get("/.well-known/openid-configuration", headers=spoofed).get_json()
    other = web.test_client().get("/.well-known/oauth-authorization-server", headers=spoofed).get_json()

    assert document == other
    assert document["issuer"] == "http://127.0.0.1:8080"
    assert {value for value in document.values() if isinstance(value, str) and "evil" in value} == set()
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]


def test_i13_who_tries_secrets_has_to_wait_and_the_application_at_the_same_address_has_not(
    web: Flask, app: TestApp, customer: Customer, mia: MemberId
) -> None:
    browser = sign_in(web, customer, mia)
    app.tokens(browser)
    guess = {"grant_type": "refresh_token", "client_id": app.client_id, "client_secret": "guess"}

    guesses = [web.test_client().post("/oauth2/token", data=guess) for _ in range(31)]

    assert [answer.status_code for answer in guesses] == [401] * 30 + [429]
    assert guesses[-1].get_json()["error"] == "slow_down"
    assert int(guesses[-1].headers["Retry-After"]) >= 1
    assert app.redeem(app.code(browser)).status_code == 200
