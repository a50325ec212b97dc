"""Signing in by link, staying signed in, and being signed out: at once, and for good."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import URL, select

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.identifiers import MemberId
from bridge.runtime import Runtime, build_runtime
from bridge.store.directory import get_member
from bridge.store.models import WebSession
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.sign_in_links import create_sign_in_link
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import SettableClock
from tests.factories import Customer, create_customer
from tests.web import Browser, csrf_token, make_admin, sign_in


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


def link_for(customer: Customer, member_id: MemberId | None = None) -> str:
    """Return the path of a fresh sign-in link."""
    with customer.unit() as unit:
        return f"/sign-in/link/{create_sign_in_link(unit, member_id or customer.owner_id).text}"


def sessions_of(customer: Customer, member_id: MemberId) -> list[WebSession]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(WebSession).where(WebSession.member_id == member_id)))


def test_a_link_signs_in_by_its_button(app: Flask, customer: Customer) -> None:
    browser = Browser(app.test_client())
    link = link_for(customer)
    browser.get(link)

    page = browser.post(link)

    assert page.status == 303
    assert "Olga Owner" in browser.get("/console").text


def test_opening_a_link_without_pressing_the_button_uses_nothing_up(app: Flask, customer: Customer) -> None:
    """Mail scanners open every link."""
    link = link_for(customer)

    for _ in range(3):
        assert app.test_client().get(link).status_code == 200

    browser = Browser(app.test_client())
    browser.get(link)
    assert browser.post(link).status == 303


def test_a_link_works_once(app: Flask, customer: Customer) -> None:
    link = link_for(customer)
    first, second = Browser(app.test_client()), Browser(app.test_client())
    first.get(link)
    second.get(link)
    first.post(link)

    again = second.post(link)

    assert again.status == 403
    assert second.get("/console").status == 303


def test_a_link_dies_after_a_day(app: Flask, customer: Customer, clock: SettableClock) -> None:
    link = link_for(customer)
    browser = Browser(app.test_client())
    browser.get(link)
    clock.at += timedelta(days=1)

    assert browser.post(link).status == 403


def test_i11_a_session_the_browser_brought_along_is_never_continued(app: Flask, customer: Customer) -> None:
    """I11: session fixation."""
    client = app.test_client()
    client.set_cookie("seatbridge", "chosen-by-somebody-else")
    browser = Browser(client)
    link = link_for(customer)
    browser.get(link)
    browser.post(link)

    cookie = client.get_cookie("seatbridge")

    assert cookie is not None
    assert cookie.value != "chosen-by-somebody-else"
    stranger = app.test_client()
    stranger.set_cookie("seatbridge", "chosen-by-somebody-else")
    assert stranger.get("/console").status_code == 303


def test_only_the_hash_of_a_session_is_stored(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer)
    cookie = browser.client.get_cookie("seatbridge")

    stored = sessions_of(customer, customer.owner_id)[0]

    assert cookie is not None
    assert cookie.value.encode() not in stored.token_hash
    assert len(stored.token_hash) == 32


def test_signing_out_ends_the_session_itself_not_just_the_cookie(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer)
    cookie = browser.client.get_cookie("seatbridge")
    assert cookie is not None
    browser.post("/sign-out")

    browser.client.set_cookie("seatbridge", cookie.value)

    assert browser.get("/console").status == 303


def test_turning_a_persons_access_off_ends_their_sessions_at_once(app: Flask, customer: Customer) -> None:
    """T18."""
    admin = make_admin(customer)
    browser = sign_in(app, customer, admin.id)
    assert browser.get("/console").status == 200

    with customer.unit(customer.directory) as unit:
        deactivate_member(unit, get_member(unit, admin.id), reason="directory")

    assert browser.get("/console").status == 303


def test_losing_a_role_counts_from_the_next_request(app: Flask, customer: Customer) -> None:
    admin = make_admin(customer)
    browser = sign_in(app, customer, admin.id)

    with customer.unit() as unit:
        get_member(unit, admin.id).role = "member"

    assert browser.get("/console").status == 403


def test_an_admin_ends_every_session_of_a_person(app: Flask, customer: Customer) -> None:
    member = customer.push("mia@nordlys.test", displayName="Mia Member")
    theirs = sign_in(app, customer, member.id)
    browser = sign_in(app, customer)

    browser.post(f"/console/people/{member.id}/sessions/end")

    assert theirs.get("/me").status == 303
    assert browser.get("/console").status == 200


def test_an_idle_session_ends_after_two_hours(app: Flask, customer: Customer, clock: SettableClock) -> None:
    browser = sign_in(app, customer)
    clock.at += timedelta(hours=2, seconds=1)

    assert browser.get("/console").status == 303


def test_a_used_session_lasts_twelve_hours_and_no_longer(app: Flask, customer: Customer, clock: SettableClock) -> None:
    browser = sign_in(app, customer)

    for _ in range(11):
        clock.at += timedelta(hours=1)
        assert browser.get("/me").status == 200
    clock.at += timedelta(hours=1)

    assert browser.get("/me").status == 303


def test_last_use_is_written_at_most_once_a_minute(app: Flask, customer: Customer, clock: SettableClock) -> None:
    browser = sign_in(app, customer)
    start = clock.at
    clock.at += timedelta(seconds=59)
    browser.get("/me")
    after_59_seconds = sessions_of(customer, customer.owner_id)[0].last_seen_at
    clock.at += timedelta(seconds=1)
    browser.get("/me")

    assert after_59_seconds == start
    assert sessions_of(customer, customer.owner_id)[0].last_seen_at == start + timedelta(seconds=60)


@pytest.mark.parametrize("path", ["/sign-out", "/me/sessions/end", "/console/people/add", "/console/mappings/edit"])
def test_i11_a_form_without_its_token_changes_nothing(app: Flask, customer: Customer, path: str) -> None:
    browser = sign_in(app, customer)

    answer = browser.client.post(path, data={"email": "eve@nordlys.test", "name": "Eve"})

    assert answer.status_code == 400
    assert "This form is no longer valid" in answer.get_data(as_text=True)
    assert browser.get("/console").status == 200


def test_i11_a_token_of_another_browser_is_refused(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer)
    stolen = csrf_token(app.test_client().get("/sign-in").get_data(as_text=True))

    answer = browser.client.post("/sign-out", data={"csrf_token": stolen})

    assert answer.status_code == 400


def test_over_plain_http_on_this_machine_the_cookie_works_without_tls(app: Flask, customer: Customer) -> None:
    browser = Browser(app.test_client())
    link = link_for(customer)
    browser.get(link)

    cookie = browser.post(link).headers["Set-Cookie"]

    assert "seatbridge=" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


@pytest.fixture
def secure_runtime(settings: Settings, database_url: URL, clock: SettableClock) -> Iterator[Runtime]:
    server = settings.server.model_copy(update={"public_url": "https://seats.example.com"})
    secure = settings.model_copy(update={"server": server})
    runtime = build_runtime(secure, database_url, payments=BuiltinPayments(), clock=clock)
    yield runtime
    runtime.close()


def test_over_tls_the_cookie_is_bound_to_the_host(secure_runtime: Runtime) -> None:
    customer = create_customer(secure_runtime)
    app = create_web_app(secure_runtime, console_blueprints())
    client = app.test_client()
    link = link_for(customer)
    base = "https://seats.example.com"
    token = csrf_token(client.get(link, base_url=base).get_data(as_text=True))

    answer = client.post(link, data={"csrf_token": token}, base_url=base)

    cookie = next(value for value in answer.headers.getlist("Set-Cookie") if value.startswith("__Host-seatbridge="))
    assert all(part in cookie for part in ("; Secure", "; HttpOnly", "; Path=/", "; SameSite=Lax"))
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_t18_a_click_that_waited_while_its_admin_was_turned_off_does_nothing(app: Flask, customer: Customer) -> None:
    admin, victim = make_admin(customer), customer.push("victim@nordlys.test")
    browser = sign_in(app, customer, admin.id)
    path = f"/console/people/{victim.id}"
    browser.get(path)
    answers: list[int] = []

    with customer.unit(customer.directory) as unit:
        unit.lock()
        click = threading.Thread(target=lambda: answers.append(browser.post(f"{path}/off").status))
        click.start()
        click.join(0.5)  # it waits for the lock by now; if it does not yet, it is refused all the same
        deactivate_member(unit, get_member(unit, admin.id), reason="directory")
    click.join()

    with customer.unit() as unit:
        assert get_member(unit, victim.id).active
    assert answers[0] in {303, 401}
