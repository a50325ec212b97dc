"""A test sign-in shows what arrived and what would happen, and provisions nothing."""

from collections.abc import Callable

import pytest
from flask import Flask
from psycopg import Connection as RawConnection
from psycopg import sql
from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.runtime import Runtime
from bridge.simulator.saml import SimulatedUser
from bridge.store.directory import get_member
from bridge.store.models import Member, SamlReplay, SignInRequest
from bridge.usecases.manage_access import deactivate_member
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.session import open_session
from bridge.web.sso import saml_blueprint
from tests.factories import Customer, set_budget
from tests.integration.test_budgets import buy_when_full
from tests.sign_ins import ADA, Browser, count, events, idp, map_groups, members, trust

UNTOUCHED = (
    "member",
    "group",
    "group_member",
    "identity",
    "decision",
    "audit_entry",
    "alert",
    "delivery",
    "seat_pool",
)


@pytest.fixture
def acme(customer: Customer) -> Customer:
    trust(customer)
    return customer


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, [saml_blueprint(runtime), *console_blueprints()])


@pytest.fixture
def admin(app: Flask, acme: Customer) -> Browser:
    """The owner, signed in."""
    return signed_in_as(app, acme, acme.owner_id)


def signed_in_as(app: Flask, customer: Customer, member_id: MemberId) -> Browser:
    visitor = Browser(app, customer)
    with app.test_request_context(), customer.unit() as unit:
        token = open_session(unit, get_member(unit, member_id), "link")
    visitor.keep("seatbridge", token)
    return visitor


def everything(connection: RawConnection) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: connection.execute(sql.SQL("SELECT * FROM {} ORDER BY 1, 2").format(sql.Identifier(table))).fetchall()
        for table in UNTOUCHED
    }


def test_a_test_sign_in_shows_who_arrived_and_what_would_happen_and_changes_nothing(
    admin: Browser, acme: Customer, owner_connection: RawConnection
) -> None:
    map_groups(acme, {"rules": [{"group": "Engineering", "expected": True, "tier": "premium"}]})
    received = admin.begin_test()
    before = everything(owner_connection)

    shown = admin.answer(idp().respond(received, ADA, now=acme.runtime.clock.now()))

    assert shown.status_code == 200
    for text in ("nothing was changed", "ada@acme.test is new here", "Seat: Premium", "Ada Lovelace", "Engineering"):
        assert text in shown.text
    assert everything(owner_connection) == before
    assert not [cookie for cookie in shown.headers.getlist("Set-Cookie") if cookie.startswith("seatbridge=")]
    assert (count(acme, SignInRequest), count(acme, SamlReplay)) == (0, 1)
    assert [(event.outcome, event.reason, event.member_id) for event in events(acme)] == [("rehearsed", "ok", None)]


def test_a_test_sign_in_says_in_words_why_a_sign_in_would_be_refused(admin: Browser, acme: Customer) -> None:
    pushed = acme.push("ada@acme.test")
    with acme.unit(acme.directory) as unit:
        deactivate_member(unit, get_member(unit, pushed.id), reason="directory")

    shown = admin.answer(idp().respond(admin.begin_test(), ADA, now=acme.runtime.clock.now()))

    assert "The sign-in would be refused" in shown.text
    assert "access is turned off" in shown.text
    assert [event.reason for event in events(acme)] == ["would_be_refused"]


def test_a_test_sign_in_names_groups_that_were_not_sent(admin: Browser, acme: Customer) -> None:
    silent = SimulatedUser("bea@acme.test", "bea@acme.test", "Bea", "<b>B</b>", None)

    shown = admin.answer(idp().respond(admin.begin_test(), silent, now=acme.runtime.clock.now()))

    assert "said nothing of groups" in shown.text
    assert "&lt;b&gt;B&lt;/b&gt;" in shown.text


def test_the_answer_to_a_test_sign_in_is_worth_nothing_in_another_browser(
    admin: Browser, app: Flask, acme: Customer
) -> None:
    response = idp().respond(admin.begin_test(), ADA, now=acme.runtime.clock.now())

    shown = Browser(app, acme).answer(response)

    assert shown.status_code == 403
    assert "ada@acme.test" not in shown.text


def test_only_those_who_look_after_connections_start_a_test_sign_in(app: Flask, acme: Customer) -> None:
    pushed = acme.push("ada@acme.test")

    employee = signed_in_as(app, acme, pushed.id)

    assert employee.get(f"{employee.base}/test").status_code == 403
    assert Browser(app, acme).get(f"{employee.base}/test").status_code == 303
    assert count(acme, SignInRequest) == 0


def test_an_admin_of_another_organization_starts_no_test_sign_in_here(
    app: Flask, acme: Customer, make_customer: Callable[..., Customer]
) -> None:
    other = make_customer("fjord")
    stranger = signed_in_as(app, other, other.owner_id)

    assert stranger.get(f"/sso/saml/nordlys/{acme.connection_id}/test").status_code == 404


def test_nobody_starts_a_test_sign_in_by_its_path(app: Flask, acme: Customer) -> None:
    visitor = Browser(app, acme)
    received = visitor.start(f"{visitor.base}/test")

    answered = visitor.answer(idp().respond(received, ADA, now=acme.runtime.clock.now()))

    assert answered.location.endswith("/finish?return=%2F")
    assert [member.user_name for member in members(acme)] == ["ada@acme.test"]
    with acme.unit() as unit:
        assert unit.session.scalars(select(Member.source).where(Member.user_name == "ada@acme.test")).one() == "jit"


def test_a_test_sign_in_tells_of_the_seat_that_a_budget_would_buy_and_buys_none(
    make_customer: Callable[..., Customer], runtime: Runtime, owner_connection: RawConnection
) -> None:
    acme = make_customer(premium=1, standard=0)
    trust(acme)
    buy_when_full(acme, Engineering="premium")
    acme.push("first@acme.test")
    with acme.unit(acme.owner) as unit:
        set_budget(unit, "premium", seats=3)
    admin = signed_in_as(create_web_app(runtime, [saml_blueprint(runtime), *console_blueprints()]), acme, acme.owner_id)
    received = admin.begin_test()
    before = everything(owner_connection)

    shown = admin.answer(idp().respond(received, ADA, now=acme.runtime.clock.now()))

    assert "Seat: Premium, because" in shown.text
    assert everything(owner_connection) == before
    admin.sign_in(ADA)
    assert members(acme)[-1].tier == "premium"
