"""The brake in the console and on the command line, as owners and operators use it."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import URL, select

from bridge.cli import main
from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import MemberId
from bridge.jobs.messages import compose
from bridge.runtime import Runtime
from bridge.store.models import Alert, Delivery, Hold
from bridge.store.unit import Unit
from bridge.usecases.deliver import Claim, claim_delivery
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import KEY
from tests.factories import Customer, set_budget
from tests.integration.test_brake import active, empty, people, say_active, seated, staff  # noqa: F401 (fixtures)
from tests.integration.test_brake import customer as customer  # noqa: PLC0414 (a fixture)
from tests.integration.test_brake_line import group, push, rules
from tests.integration.test_memberships import put_in_force
from tests.web import make_admin, sign_in

Run = Callable[..., Result]


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


@pytest.fixture
def held(customer: Customer, people: list[MemberId], staff: object) -> Customer:  # noqa: F811 (fixtures)
    """Seven people turned off, of whom two are held."""
    for member_id in people[:7]:
        say_active(customer, member_id, active=False)
    return customer


@pytest.fixture
def run(database_url: URL) -> Run:
    environment: dict[str, str | None] = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    def run(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, list(arguments), input=typed, env=environment)

    return run


def forms(customer: Customer) -> tuple[str, str]:
    with customer.unit() as unit:
        hold = unit.session.scalars(select(Hold)).one()
        return str(hold.id), str(hold.revision)


def test_the_overview_says_so_and_leads_to_the_page_with_everybody_held(app: Flask, held: Customer) -> None:
    browser = sign_in(app, held)

    overview, page = browser.get("/console"), browser.get("/console/brake")

    assert "would let go or move 6 people within 10 minutes, more than the 5 allowed" in overview.text
    assert "/console/brake" in overview.text
    assert "Person 5" in page.text
    assert "Person 6" in page.text
    assert "2 people lose access" in page.text


def test_an_owner_releases_with_a_reason_by_one_click(app: Flask, held: Customer) -> None:
    browser = sign_in(app, held)
    browser.get("/console/brake")
    hold_id, revision = forms(held)

    blank = browser.post(f"/console/brake/holds/{hold_id}/release", {"revision": revision, "reason": ""})
    done = browser.post(f"/console/brake/holds/{hold_id}/release", {"revision": revision, "reason": "They left"})

    assert (blank.status, done.status) == (422, 303)
    page = browser.get("/console/brake").text
    assert "Released for 2 people." in page
    assert "Nothing is held" in page
    assert "They left" in page
    assert active(held) == 3


def test_an_owner_drops_and_nothing_changes(app: Flask, held: Customer) -> None:
    browser = sign_in(app, held)
    browser.get("/console/brake")
    hold_id, revision = forms(held)

    browser.post(f"/console/brake/holds/{hold_id}/drop", {"revision": revision, "reason": "A wrong filter"})

    assert "Nothing has changed for 2 people." in browser.get("/console/brake").text
    assert active(held) == 5


def test_a_stale_page_decides_nothing(app: Flask, held: Customer) -> None:
    browser = sign_in(app, held)
    browser.get("/console/brake")
    hold_id, _ = forms(held)

    page = browser.post(f"/console/brake/holds/{hold_id}/release", {"revision": "1", "reason": "They left"})

    assert page.status == 409
    assert "What is held has changed" in page.text
    assert active(held) == 5


def test_an_admin_looks_and_does_not_decide(app: Flask, held: Customer) -> None:
    """Rule Z1."""
    browser = sign_in(app, held, make_admin(held).id)

    page = browser.get("/console/brake")

    assert "An owner decides" in page.text
    assert "/release" not in page.text


def test_thresholds_are_set_on_the_page(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer)
    browser.get("/console/brake")

    good = browser.post("/console/brake/thresholds", {"minimum": "50", "share": "30", "window_minutes": "60"})
    bad = browser.post("/console/brake/thresholds", {"minimum": "50", "share": "300", "window_minutes": "60"})

    assert (good.status, bad.status) == (303, 422)
    assert "share" in bad.text
    with customer.unit() as unit:
        assert (unit.state().brake_minimum, unit.state().brake_share, unit.state().brake_window) == (50, 30, 60)


def test_the_mail_says_what_happened_what_would_happen_and_what_to_do(held: Customer) -> None:
    with held.unit(SYSTEM) as unit:
        alert = unit.session.scalars(select(Delivery).where(Delivery.kind == "alert_mail")).one()
        claim = claim_delivery(unit, alert.id)
        assert isinstance(claim, Claim)
        message = compose(unit, claim)

    assert message is not None
    assert message.subject == "Nordlys: a change of 2 people is held by the brake"
    assert "Okta would have let go or moved 6 people within 10 minutes, more than the 5 allowed." in message.text
    assert "- 2 people lose access" in message.text
    assert "seatbridge brake show nordlys" in message.text


def test_the_command_line_shows_releases_and_lists(held: Customer, run: Run) -> None:
    shown = run("brake", "show", "nordlys")
    as_json = json.loads(run("brake", "show", "nordlys", "--json").output)
    explained = run("why", "nordlys", "p5@nordlys.test")
    declined = run("brake", "release", "nordlys", "--reason", "They left", typed="n\n")
    released = run("brake", "release", "nordlys", "--reason", "They left", "--yes", "--key", "k1")
    again = run("brake", "release", "nordlys", "--reason", "They left", "--yes", "--key", "k1", "--json")
    listed = run("brake", "holds", "nordlys")

    assert shown.exit_code == 0, shown.output
    assert "Person 5" in shown.output
    assert "loses access" in shown.output
    assert as_json["thresholds"] == {"minimum": 5, "share": 20, "window_minutes": 10}
    assert len(as_json["waiting"]["people"]) == 2
    assert "held with 1 other for an owner's decision" in explained.output
    assert declined.exit_code == 1
    assert "Released for 2 people." in released.output, released.output
    assert json.loads(again.output)["turned_off"] == 2
    assert "released" in listed.output
    assert "They left" in listed.output
    assert seated(held) == 3


def test_page_command_and_mail_name_what_a_release_buys_and_when_the_plan_renews(
    app: Flask, run: Run, make_customer: Callable[..., Customer]
) -> None:
    customer = make_customer(kind="enterprise", premium=6, standard=0)
    put_in_force(customer, rules(on_exhausted="buy_up_to"))
    people = push(customer, 6)  # noqa: F811 (the fixture of this name is not asked for)
    board = group(customer, "Board", people)
    group(customer, "Staff", people)
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=50)
    empty(customer, board)

    page = sign_in(app, customer).get("/console/brake")
    shown = run("brake", "show", "nordlys")
    with customer.unit(SYSTEM) as unit:
        told = unit.session.scalars(select(Delivery).where(Delivery.subject_id == select_alert(unit)).limit(1)).one()
        claim = claim_delivery(unit, told.id)
        assert isinstance(claim, Claim)
        message = compose(unit, claim)

    assert message is not None
    assert "The plan renews" in page.text
    assert "Bought within the budget" in page.text
    assert "6 Standard" in page.text
    assert "Bought within the budget: 6 Standard, €" in shown.output, shown.output
    for text in (shown.output, message.text):
        assert "UTC with the seats in use then, also those of people who are held: decide before." in text


def select_alert(unit: Unit) -> str:
    return str(unit.session.scalars(select(Alert.id).where(Alert.code == "brake_held")).one())


def test_nothing_is_decided_where_nothing_was_ever_held(customer: Customer, run: Run) -> None:
    answer = run("brake", "release", "nordlys", "--reason", "They left", "--yes")

    assert answer.exit_code == 1
    assert "Nothing is held: the brake has never tripped here" in answer.output


def test_the_command_line_drops_and_sets(held: Customer, run: Run) -> None:
    dropped = run("brake", "drop", "nordlys", "--reason", "A mistake", typed="y\n")
    late = run("brake", "drop", "nordlys", "--reason", "A mistake", "--yes")
    nothing = run("brake", "show", "nordlys")
    changed = run("brake", "set", "nordlys", "--share", "30", "--json")
    refused = run("brake", "set", "nordlys", "--share", "300")

    assert "Dropped. Nothing has changed for 2 people." in dropped.output, dropped.output
    assert late.exit_code == 1
    assert "This hold was dropped on" in late.output
    assert "Nothing is held." in nothing.output
    assert json.loads(changed.output)["after"] == {"minimum": 5, "share": 30, "window_minutes": 10}
    assert "share: must be a whole number from 1 to 100" in refused.output
