"""Whatever is sent to the authorization server, it answers by the rules and never by a mistake of its own."""

from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.runtime import Runtime
from tests.apps import CALLBACK, TestApp, register
from tests.factories import Customer
from tests.web import Browser, sign_in
from wsgi import compose

NAMES = [
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
    "id_token_hint",
    "login_hint",
    "max_age",
    "nonce",
    "post_logout_redirect_uri",
    "prompt",
    "redirect_uri",
    "refresh_token",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "token",
    "token_type_hint",
    "signed_in_after",
]
ENDPOINTS = ("token", "introspect", "revoke", "userinfo", "authorize")
ODD = st.sampled_from(["", "\x00", '"', "\\", "é", "\ud800", "[" * 3000, "none login", "S256", "plain", "-1", "9" * 40])
VALUES = st.one_of(
    st.text(max_size=40), ODD, st.sampled_from(["code", "authorization_code", "refresh_token", CALLBACK])
)
FORMS = st.dictionaries(st.sampled_from(NAMES), st.lists(VALUES, min_size=1, max_size=2), max_size=8)
HEADERS = st.one_of(
    st.none(),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=40),
    st.sampled_from(["Basic", "Basic ///=", "Basic " + "QQ==" * 10, "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30."]),
)


@pytest.fixture
def web(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def app(web: Flask, runtime: Runtime) -> TestApp:
    return register(web, runtime)


@pytest.fixture
def visitor(web: Flask, customer: Customer) -> Browser:
    return sign_in(web, customer)


def encoded(form: dict[str, list[str]]) -> dict[str, list[bytes]]:
    """Write texts as bytes, halves of surrogate pairs too."""
    return {name: [value.encode("utf-8", "surrogatepass") for value in values] for name, values in form.items()}


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(endpoint=st.sampled_from(ENDPOINTS), form=FORMS, header=HEADERS, is_known=st.booleans())
def test_endpoints_for_applications_answer_every_form_with_an_error_of_the_specification(
    app: TestApp, endpoint: str, form: dict[str, list[str]], header: str | None, *, is_known: bool
) -> None:
    options: dict[str, Any] = {"headers": {} if header is None else {"Authorization": header}}
    if is_known:
        options = {"auth": (app.client_id, app.secret)}

    answer = app.flask.test_client().post(f"/oauth2/{endpoint}", data=encoded(form), **options)

    assert answer.status_code in {200, 303, 400, 401}
    if answer.status_code >= 400:
        assert answer.get_json()["error"].replace("_", "").isalpha()


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=FORMS, is_ours=st.booleans())
def test_the_authorization_endpoint_sends_nobody_anywhere_but_back(
    app: TestApp, visitor: Browser, form: dict[str, list[str]], *, is_ours: bool
) -> None:
    asked = {**form, **({"client_id": [app.client_id], "redirect_uri": [CALLBACK]} if is_ours else {})}

    answer = visitor.client.get("/oauth2/authorize", query_string=encoded(asked))

    assert answer.status_code in {302, 303, 400}
    if answer.status_code != 400:
        assert answer.location.startswith((f"{CALLBACK}?", "/sign-in?"))
