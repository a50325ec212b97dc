"""The waiting line and the swap in the console, and the pages of the list of people."""

import pytest
from flask import Flask

from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import Member
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.bench.console import PAGES, time_pages
from tests.factories import Customer
from tests.web import Browser, push_group, sign_in

pytestmark = pytest.mark.usefixtures("line")


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


@pytest.fixture
def line(customer: Customer) -> list[Member]:
    """Seven people on 2 Premium and 5 Standard seats, and two who wait."""
    return [customer.push(f"p{index}@nordlys.test", displayName=f"Person {index}") for index in range(9)]


@pytest.fixture
def browser(app: Flask, customer: Customer) -> Browser:
    return sign_in(app, customer)


def waiting(line: list[Member], customer: Customer) -> list[Member]:
    """Return who waits, in order of the line."""
    with customer.unit() as unit:
        found = [get_member(unit, one.id) for one in line]
    return sorted((one for one in found if one.waiting_for), key=lambda one: (one.waiting_since, one.id))


def test_somebody_is_moved_to_the_front_for_a_reason(browser: Browser, customer: Customer, line: list[Member]) -> None:
    first, last = waiting(line, customer)

    browser.post(f"/console/seats/line/{last.id}/front", {"why": "starts on Monday"})

    page = browser.get("/console/seats/line").text
    assert "is first in line now" in page
    assert page.index(last.display_name) < page.index(first.display_name, page.index("In line"))
    assert [one.id for one in waiting(line, customer)] == [last.id, first.id]


def test_without_a_reason_nobody_is_moved(browser: Browser, customer: Customer, line: list[Member]) -> None:
    before = waiting(line, customer)

    browser.post(f"/console/seats/line/{before[1].id}/front", {"why": " "})

    assert "the audit keeps the reason" in browser.get("/console/seats/line").text
    assert [one.id for one in waiting(line, customer)] == [one.id for one in before]


def test_somebody_is_taken_out_of_the_line(browser: Browser, customer: Customer, line: list[Member]) -> None:
    first, last = waiting(line, customer)

    browser.post(f"/console/seats/line/{first.id}/leave", {"why": "Standard is enough"})

    assert [one.id for one in waiting(line, customer)] == [last.id]


def test_two_people_swap_through_the_preview(browser: Browser, customer: Customer, line: list[Member]) -> None:
    holder, waits = line[0], waiting(line, customer)[0]
    page = browser.post(
        "/console/seats/swap/preview", {"first": holder.user_name, "second": waits.user_name.upper()}
    ).text
    preview = page.split("/console/seats/swap/")[-1].split('"')[0]

    answer = browser.post(f"/console/seats/swap/{preview}")

    assert answer.location == f"/console/people/{holder.id}"
    assert "have swapped seats" in browser.get(answer.location).text
    with customer.unit() as unit:
        assert (get_member(unit, holder.id).tier, get_member(unit, waits.id).tier) == (None, "premium")


def test_who_cannot_be_swapped_is_said_in_the_form(browser: Browser, line: list[Member]) -> None:
    page = browser.post("/console/seats/swap/preview", {"first": line[0].user_name, "second": "nobody@nordlys.test"})

    assert page.status == 404
    assert "nobody@nordlys.test" in page.text
    assert f'value="{line[0].user_name}"' in page.text


@pytest.mark.usefixtures("browser")
def test_the_benchmark_opens_every_page_that_it_names(runtime: Runtime, customer: Customer) -> None:
    push_group(customer, "Engineering", [])

    found = list(time_pages(runtime, 1, lambda _: None))

    assert [one.page for one in found] == list(PAGES)


def path_of(page: str) -> str:
    """Return where the form of a preview of many people leads."""
    return page.split('action="/console/people/many/')[1].split('"', maxsplit=1)[0]


def test_many_people_are_changed_through_one_preview_and_the_line_moves_up(
    browser: Browser, customer: Customer, line: list[Member]
) -> None:
    holders = [one for one in line if one.tier == "standard"][:2]
    first, last = waiting(line, customer)

    ticked = {"member": [str(one.id) for one in holders], "act": "off"}
    shown = browser.post("/console/people/many/preview", ticked).text
    before = [get_tier(customer, one) for one in holders]
    answer = browser.post(f"/console/people/many/{path_of(shown)}")

    assert "Turn off access of 2 people" in shown
    assert first.display_name in shown
    assert last.display_name in shown
    assert before == ["standard", "standard"]
    assert answer.location == "/console/people"
    assert "Changed 2 people. 2 people in line got a freed seat." in browser.get("/console/people").text
    assert [get_tier(customer, one) for one in (*holders, first, last)] == [None, None, "standard", "standard"]


def test_who_finds_no_free_seat_stays_and_is_named(browser: Browser, customer: Customer, line: list[Member]) -> None:
    standard = [one for one in line if one.tier == "standard"]

    ticked = {"member": [str(one.id) for one in standard[:2]], "act": "premium"}
    shown = browser.post("/console/people/many/preview", ticked).text

    assert shown.count("No Premium seat is free") == 2
    assert 'action="/console/people/many/' not in shown


def test_a_change_of_many_is_refused_when_seats_changed_meanwhile(
    browser: Browser, customer: Customer, line: list[Member]
) -> None:
    shown = browser.post("/console/people/many/preview", {"member": [str(line[0].id)], "act": "unassigned"}).text
    customer.push("late@nordlys.test")

    assert browser.post(f"/console/people/many/{path_of(shown)}").status == 409
    assert get_tier(customer, line[0]) == "premium"


def test_nobody_ticked_is_said_on_the_list(browser: Browser) -> None:
    answer = browser.post("/console/people/many/preview", {"act": "off"})

    assert answer.location == "/console/people"
    assert "tick those who are meant" in browser.get("/console/people").text


def get_tier(customer: Customer, member: Member) -> str | None:
    with customer.unit() as unit:
        return get_member(unit, member.id).tier
