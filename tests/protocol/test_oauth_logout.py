"""Signing out: an application may begin it, and every application of the session is told of it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from flask import Flask
from sqlalchemy import select

from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import MemberId
from bridge.jobs.work import deliver_due
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import Delivery
from bridge.usecases.alerts import open_alerts
from bridge.usecases.apps import find_app, remove_app
from bridge.usecases.manage_access import deactivate_member
from tests.apps import TestApp, register
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.web import Browser, sign_in
from wsgi import compose

AFTER = "https://app.test/signed-out"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Ear:
    """An application's back-channel logout endpoint on this machine."""

    address: str = ""
    status: int = 200
    heard: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def listening() -> Iterator[Ear]:
    ear = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            ear.heard.append(form["logout_token"][0])
            self.send_response(ear.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    ear.address = f"http://127.0.0.1:{server.server_port}/logout"
    yield ear
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ear(listening: Ear) -> Ear:
    listening.heard.clear()
    listening.status = 200
    return listening


@pytest.fixture
def web(runtime: Runtime) -> Flask:
    apps = runtime.settings.apps.model_copy(update={"internal_hosts": ("127.0.0.1",)})
    runtime.settings = runtime.settings.model_copy(update={"apps": apps})
    return compose(runtime)


@pytest.fixture
def app(web: Flask, runtime: Runtime, ear: Ear) -> TestApp:
    return register(
        web,
        runtime,
        post_logout_redirect_uris=(AFTER,),
        backchannel_logout_uri=ear.address,
        offline_access=True,
    )


@pytest.fixture
def mia(customer: Customer, runtime: Runtime) -> MemberId:
    member = customer.push("mia@nordlys.test", displayName="Mia Member")
    deliver_due(runtime)  # what the owners are told of her
    return MemberId(member.id)


@pytest.fixture
def visitor(web: Flask, customer: Customer, mia: MemberId) -> Browser:
    return sign_in(web, customer, mia)


def logout(browser: Browser, **asked: str) -> Any:
    return browser.client.get("/oauth2/logout", query_string=asked)


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/me").status == 200


def test_an_application_signs_somebody_out_by_their_id_token_and_gets_them_back(app: TestApp, visitor: Browser) -> None:
    tokens = app.tokens(visitor)

    answer = logout(visitor, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, state="a state")

    assert (answer.status_code, answer.location) == (303, f"{AFTER}?state=a+state")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert not is_signed_in(visitor)
    assert app.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"


def test_a_form_from_the_application_s_own_site_ends_the_session_too(
    app: TestApp, web: Flask, visitor: Browser
) -> None:
    """It comes without the session's cookie, which is for this site's own pages."""
    token = app.tokens(visitor)["id_token"]

    answer = web.test_client().post("/oauth2/logout", data={"id_token_hint": token, "client_id": app.client_id})

    assert "You are signed out" in answer.text
    assert not is_signed_in(visitor)


def test_without_an_id_token_the_person_is_asked_and_stays_here(app: TestApp, visitor: Browser) -> None:
    asked = logout(visitor, client_id=app.client_id, post_logout_redirect_uri=AFTER)
    still = is_signed_in(visitor)

    done = visitor.post("/oauth2/logout/confirmed")

    assert (asked.status_code, "Sign out?" in asked.text, still) == (200, True, True)
    assert (done.status, "You are signed out" in done.text) == (200, True)
    assert not is_signed_in(visitor)


def test_a_form_without_an_id_token_asks_on_a_page_that_has_the_cookie(
    app: TestApp, web: Flask, visitor: Browser
) -> None:
    """Another site's form comes without it: nobody is told that they are signed out who is not."""
    posted = web.test_client().post("/oauth2/logout", data={"client_id": app.client_id})

    assert (posted.status_code, posted.location) == (303, "/oauth2/logout")
    assert "Sign out?" in visitor.get(posted.location).text


def test_i9_nobody_is_sent_to_an_address_that_was_not_registered_for_it(app: TestApp, visitor: Browser) -> None:
    token = app.tokens(visitor)["id_token"]

    answer = logout(visitor, id_token_hint=token, post_logout_redirect_uri="https://evil.test/")

    assert "Location" not in answer.headers
    assert "You are signed out" in answer.text


def test_what_is_no_id_token_of_ours_proves_nothing(app: TestApp, visitor: Browser) -> None:
    tokens = app.tokens(visitor)
    nothing = ("x", "a.b.c", "[" * 5000, tokens["access_token"], "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.")

    answers = [logout(visitor, id_token_hint=hint, post_logout_redirect_uri=AFTER) for hint in nothing]

    assert all("Sign out?" in answer.text and "Location" not in answer.headers for answer in answers)
    assert is_signed_in(visitor)


def test_an_id_token_of_another_application_is_a_contradiction(
    app: TestApp, web: Flask, runtime: Runtime, visitor: Browser
) -> None:
    other = register(web, runtime, "Other")

    answer = logout(visitor, id_token_hint=app.tokens(visitor)["id_token"], client_id=other.client_id)

    assert answer.status_code == 400
    assert is_signed_in(visitor)


def test_an_id_token_of_somebody_else_ends_their_session_and_not_the_visitor_s(
    app: TestApp, web: Flask, customer: Customer, visitor: Browser
) -> None:
    owner = sign_in(web, customer)

    logout(owner, id_token_hint=app.tokens(visitor)["id_token"])

    assert (is_signed_in(owner), is_signed_in(visitor)) == (True, False)


def test_every_application_of_a_session_is_told_once_that_it_ended(
    app: TestApp, runtime: Runtime, visitor: Browser, ear: Ear, mia: MemberId
) -> None:
    web = app.flask
    other = register(web, runtime, "Other", backchannel_logout_uri=ear.address)
    register(web, runtime, "Never opened", backchannel_logout_uri=ear.address)
    session = app.read(app.tokens(visitor)["id_token"])["sid"]
    app.tokens(visitor)
    other.tokens(visitor)

    visitor.post("/sign-out")
    brought = deliver_due(runtime), deliver_due(runtime)

    told = [app.read(token) for token in ear.heard]
    assert brought == (2, 0)
    assert {claims["aud"] for claims in told} == {app.client_id, other.client_id}
    for claims in told:
        assert (claims["iss"], claims["sub"], claims["sid"]) == ("http://127.0.0.1:8080", str(mia), session)
        assert claims["events"] == {LOGOUT_EVENT: {}}
        assert claims["exp"] - claims["iat"] == 120
        assert "nonce" not in claims
        assert claims["jti"]


def test_t18_who_is_turned_off_is_signed_out_of_every_application(
    app: TestApp, customer: Customer, visitor: Browser, ear: Ear, mia: MemberId
) -> None:
    app.tokens(visitor, scope="openid offline_access")
    app.tokens(visitor)

    with customer.unit() as unit:
        deactivate_member(unit, get_member(unit, mia), reason="by_hand")
    deliver_due(customer.runtime)

    [claims] = [app.read(token) for token in ear.heard]
    assert (claims["sub"], "sid" in claims) == (str(mia), False)  # all sessions of the person


def test_an_application_that_does_not_take_it_is_told_again(
    app: TestApp, customer: Customer, visitor: Browser, ear: Ear, clock: SettableClock
) -> None:
    runtime = customer.runtime
    app.tokens(visitor)
    visitor.post("/sign-out")
    ear.status = 500
    first = deliver_due(runtime)
    with customer.unit() as unit:
        waiting = unit.session.scalars(select(Delivery).where(Delivery.kind == "app_logout")).one()
    clock.at = waiting.next_attempt_at
    ear.status = 204

    second = deliver_due(runtime)

    assert (first, second, len(ear.heard)) == (0, 1, 2)
    assert (waiting.state, waiting.attempts, waiting.last_error) == ("pending", 1, "unavailable")


def test_an_application_that_takes_it_for_hours_from_nobody_is_told_on_and_the_owners_hear_of_it(
    app: TestApp, customer: Customer, visitor: Browser, ear: Ear, clock: SettableClock
) -> None:
    app.tokens(visitor)
    visitor.post("/sign-out")
    ear.status = 302
    for _ in range(12):
        deliver_due(customer.runtime)
        clock.at += timedelta(hours=4)
    with customer.unit() as unit:
        told = [alert.code for alert in open_alerts(unit)]
    ear.status = 202

    delivered = deliver_due(customer.runtime)

    assert (told, len(ear.heard)) == (["app_logout_not_taken"], 13)
    assert delivered >= 1
    with customer.unit() as unit:
        assert open_alerts(unit) == []


def test_i8_an_application_at_a_private_address_is_told_only_where_the_operator_vouches_for_it(
    app: TestApp, runtime: Runtime, visitor: Browser, ear: Ear
) -> None:
    app.tokens(visitor)
    visitor.post("/sign-out")
    apps = runtime.settings.apps.model_copy(update={"internal_hosts": ()})
    runtime.settings = runtime.settings.model_copy(update={"apps": apps})

    assert deliver_due(runtime) == 0
    assert ear.heard == []


def test_an_application_that_was_removed_is_told_nothing(
    app: TestApp, runtime: Runtime, visitor: Browser, ear: Ear
) -> None:
    app.tokens(visitor)
    visitor.post("/sign-out")
    with runtime.installation(OPERATOR) as installation:
        remove_app(installation, find_app(installation.session, "Example"))

    assert deliver_due(runtime) == 1
    assert ear.heard == []
