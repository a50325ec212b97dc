"""Signed answers and pushes of one person at the same moment: one member, and everybody is served (C5)."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from bridge.domain.provisioning import Confirmation
from bridge.runtime import Runtime
from bridge.simulator.saml import SimulatedUser
from bridge.store.journal import verify
from bridge.store.models import AuditEntry
from bridge.store.pools import read_pools
from bridge.usecases.end_provisional import end_unconfirmed
from bridge.usecases.provisional import set_confirmation
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.sso import saml_blueprint
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.integration.test_sign_in_races import at_once
from tests.protocol.scim_client import USER, ScimClient, make_app, make_token
from tests.sign_ins import ADA, Browser, events, idp, members, trust


@pytest.fixture
def acme(customer: Customer) -> Customer:
    trust(customer)
    with customer.unit() as unit:
        set_confirmation(unit, customer.connection_id, Confirmation.ALWAYS)
    return customer


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, [saml_blueprint(runtime), *console_blueprints()])


@pytest.fixture
def directory(acme: Customer) -> ScimClient:
    client = ScimClient(make_app(acme), acme.slug, make_token(acme))
    assert client.send("GET", "/Users?count=1").status_code == 200  # what the lanes remember is remembered
    return client


def person(number: int) -> SimulatedUser:
    name = f"new{number}@acme.test"
    return SimulatedUser(name, name, "New", str(number), ("Engineering",))


def pushed(user: SimulatedUser) -> dict[str, object]:
    return {"schemas": [USER], "userName": user.name_id, "externalId": f"id-{user.name_id}", "active": True}


def seats(customer: Customer) -> int:
    with customer.unit() as unit:
        assert verify(unit) is None
        return sum(pool.used for pool in read_pools(unit))


def test_case_c5_two_signed_answers_about_one_new_person_make_one_member_and_sign_both_in(
    app: Flask, acme: Customer
) -> None:
    for number in range(4):
        browsers = [Browser(app, acme) for _ in range(2)]
        answers = [idp().respond(one.start(), person(number), now=acme.runtime.clock.now()) for one in browsers]

        found = at_once([lambda b=b, a=a: b.answer(a) for b, a in zip(browsers, answers, strict=True)])  # type: ignore[misc] # bound now

        assert [response.status_code for response in found] == [303, 303]
    assert (len(members(acme)), seats(acme)) == (4, 4)
    assert all(one.provisional_until for one in members(acme))


def test_case_c5_a_signed_answer_racing_a_push_over_scim_makes_one_member_and_answers_201(
    app: Flask, acme: Customer, directory: ScimClient
) -> None:
    for number in range(4):
        browser, user = Browser(app, acme), person(number)
        answer = idp().respond(browser.start(), user, now=acme.runtime.clock.now())

        signed_in, created = at_once(
            [
                lambda b=browser, a=answer: b.answer(a),  # type: ignore[misc] # bound now
                lambda u=user: directory.send("POST", "/Users", pushed(u)),  # type: ignore[misc] # bound now
            ]
        )

        assert (signed_in.status_code, created.status_code) == (303, 201)
    found = members(acme)
    assert [(one.source, one.provisional_until) for one in found] == [("scim", None)] * 4
    assert seats(acme) == 4


def test_a_push_answers_201_with_the_id_of_whom_a_sign_in_made_and_no_409_follows(
    app: Flask, acme: Customer, directory: ScimClient
) -> None:
    Browser(app, acme).sign_in(ADA)
    (ada,) = members(acme)

    created = directory.send("POST", "/Users", pushed(ADA))
    again = directory.send("POST", "/Users", pushed(ADA))

    assert (created.status_code, again.status_code) == (201, 409)
    assert created.get_json()["id"] == str(ada.id)
    assert created.headers["Location"].endswith(f"/Users/{ada.id}")
    assert created.headers["ETag"]
    assert again.get_json()["scimType"] == "uniqueness"
    (now,) = members(acme)
    assert (now.id, now.tier, now.provisional_until) == (ada.id, ada.tier, None)


def test_bulk_adopts_as_single_requests_do(app: Flask, acme: Customer, directory: ScimClient) -> None:
    Browser(app, acme).sign_in(ADA)
    (ada,) = members(acme)

    answered = directory.send(
        "POST",
        "/Bulk",
        {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{"method": "POST", "path": "/Users", "bulkId": "a", "data": pushed(ADA)}],
        },
    )

    (operation,) = answered.get_json()["Operations"]
    assert (operation["status"], operation["location"].rsplit("/", 1)[1]) == ("201", str(ada.id))
    assert members(acme)[0].provisional_until is None


def test_who_was_not_confirmed_in_time_reads_why_and_comes_back_after_the_push(
    app: Flask, acme: Customer, directory: ScimClient, clock: SettableClock
) -> None:
    visitor = Browser(app, acme)
    visitor.sign_in(ADA)
    clock.at += timedelta(days=14)
    with acme.unit() as unit:
        assert end_unconfirmed(unit, acme.connection_id) == 1

    refused = visitor.sign_in(ADA)
    directory.send("POST", "/Users", pushed(ADA))
    back = visitor.sign_in(ADA)

    assert (refused.status_code, back.status_code) == (403, 303)
    assert "your company&#39;s directory had named you" in refused.text
    assert sorted(event.reason for event in events(acme)) == ["ok", "ok", "unconfirmed"]
    with acme.unit() as unit:
        adopted = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "member.adopted")).one()
    assert (adopted.actor.partition(":")[0], adopted.subject_id, adopted.body) == (
        "directory",
        str(members(acme)[0].id),
        {"confirms": "too_late"},
    )
