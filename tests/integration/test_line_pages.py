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
