"""The console and a person's own page for a workspace whose teams or people are licensed: words that fit, no seats."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask

from bridge.runtime import Runtime
from bridge.usecases.workspace_teams import create_team, join_teams
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import SettableClock
from tests.factories import Customer, create_workspace
from tests.web import make_admin, sign_in


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


def started(runtime: Runtime, clock: SettableClock, kind: str) -> Customer:
    """A workspace in its second month: Alice is in team Red since the first."""
    workspace = create_workspace(runtime, kind=kind, price=500)
    alice = workspace.push("alice@nordlys.test", displayName="Alice Lindqvist")
    with workspace.unit() as unit:
        create_team(unit, "Red")
        join_teams(unit, alice.id, ["Red"])
    clock.at = datetime(2026, 4, 2, tzinfo=UTC)
    with workspace.unit() as unit:
        unit.lock()
    return workspace


@pytest.mark.parametrize(("kind", "words"), [("user_licence", "User licence"), ("team_licence", "Team licence")])
def test_the_pages_speak_of_licences(app: Flask, runtime: Runtime, clock: SettableClock, kind: str, words: str) -> None:
    browser = sign_in(app, started(runtime, clock, kind))

    overview, seats = browser.get("/console/"), browser.get("/console/seats")
    invoice = browser.get(re.findall(r'href="(/console/seats/invoices/[0-9a-f-]+)"', seats.text)[0])

    assert [page.status for page in (overview, seats, invoice)] == [200, 200, 200]
    # One team, or one person: 1 × €5.00, billed for March and counted for April.
    for page in (overview, seats):
        assert f"{words} plan" in page.text
        assert "licensed now" in page.text
        assert f"1 {words} × €5.00" in page.text
        assert "Add seats" not in page.text
    assert "Licences &amp; billing" in seats.text
    assert "Each calendar month is billed when it is over" in seats.text
    assert f"1 {words.lower()} × €5.00 = €5.00" in invoice.text
    paper = invoice.text.partition('<article class="paper">')[2].partition("</article>")[0]
    assert "seat" not in re.sub(r"<[^>]*>", "", paper).lower()


def test_people_have_no_seat_and_need_none(app: Flask, runtime: Runtime, clock: SettableClock) -> None:
    browser = sign_in(app, started(runtime, clock, "user_licence"))

    people, own, add = browser.get("/console/people"), browser.get("/me"), browser.get("/console/people/add")
    person = browser.get(re.findall(r'href="(/console/people/[0-9a-f-]{36})">Alice', people.text)[0])

    assert [page.status for page in (people, person, own, add)] == [200, 200, 200, 200]
    assert "The plan is not sold by seats." in people.text
    assert "No seat" not in people.text
    assert "Alice Lindqvist counts for this month, once: in 1 team that was not archived" in person.text
    assert '<h2 id="teams">Teams</h2>' in person.text
    assert "<li>Red</li>" in person.text
    assert "Set the seat by hand" not in person.text
    assert "is not sold by seats: you need none" in own.text
    assert "What the rules give" not in add.text


def test_a_person_is_added_by_hand_and_turned_off(app: Flask, runtime: Runtime, clock: SettableClock) -> None:
    browser = sign_in(app, started(runtime, clock, "user_licence"))

    added = browser.post("/console/people/add", {"name": "Tove Aalto", "email": "tove@nordlys.test"})
    page = browser.get(added.location)
    off = browser.post(f"{added.location}/off")

    assert (added.status, page.status, off.status) == (303, 200, 303)
    assert "takes the person out of every team" in page.text


def test_an_admin_sees_the_licences_and_no_money(app: Flask, runtime: Runtime, clock: SettableClock) -> None:
    workspace = started(runtime, clock, "user_licence")
    browser = sign_in(app, workspace, make_admin(workspace).id)

    overview, seats = browser.get("/console/"), browser.get("/console/seats")

    assert [overview.status, seats.status] == [200, 200]
    assert "licensed now" in overview.text
    assert "€" not in overview.text + seats.text


def test_there_is_nothing_to_buy(app: Flask, runtime: Runtime, clock: SettableClock) -> None:
    browser = sign_in(app, started(runtime, clock, "user_licence"))

    form = browser.get("/console/seats/change")
    bought = browser.post("/console/seats/previews", {"add.standard": "1"})

    assert (form.status, bought.status) == (303, 303)
    assert "not sold by seats: there is nothing to buy" in browser.get("/console/seats").text
