"""Pages of administration: the audit, imports, single sign-on, webhooks, and versions of the rules."""

import io
import re

import pytest
from flask import Flask
from sqlalchemy import select, update

from bridge.domain.actors import SYSTEM
from bridge.runtime import Runtime
from bridge.store.models import AuditEntry, Member, Preview, WebhookEndpoint, WebhookMessage
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.expire import expire_what_ran_out
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.webhook_endpoints import add_endpoint
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.web import Browser, Page, make_admin, sign_in

PEOPLE = "userName,displayName\nann@nordlys.test,Ann Berg\nola@nordlys.test,Ola Dahl\n"


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


@pytest.fixture
def browser(app: Flask, customer: Customer) -> Browser:
    return sign_in(app, customer)


def upload(browser: Browser, text: str) -> Page:
    return browser.post("/console/people/import/preview", {"file": (io.BytesIO(text.encode()), "people.csv")})


def path_of_apply(page: Page) -> str:
    found = re.search(r'action="([^"]+/apply)"', page.text)
    assert found is not None, "the page offers nothing to import"
    return found.group(1)


def names(customer: Customer) -> set[str]:
    with customer.unit() as unit:
        return set(unit.session.scalars(select(Member.user_name).where(Member.org_id == unit.org_id)))


class TestImport:
    def test_a_file_is_shown_first_and_then_taken_in_once(self, browser: Browser, customer: Customer) -> None:
        before = names(customer)
        shown = upload(browser, PEOPLE)

        first, second = browser.post(path_of_apply(shown)), browser.post(path_of_apply(shown))

        assert "2 people come new" in shown.text
        assert (first.location, second.location) == ("/console/people", "/console/people")
        assert "imported already, once" in browser.get("/console/people").text
        assert names(customer) == before | {"ann@nordlys.test", "ola@nordlys.test"}

    def test_what_would_do_something_else_by_now_is_refused(self, browser: Browser, customer: Customer) -> None:
        shown = upload(browser, PEOPLE)
        customer.push("somebody@nordlys.test")

        answer = browser.post(path_of_apply(shown))

        assert answer.status == 409
        assert "ann@nordlys.test" not in names(customer)

    def test_rows_with_a_problem_are_left_out_when_that_is_ticked(self, browser: Browser, customer: Customer) -> None:
        shown = upload(browser, PEOPLE + ",Nobody\n")

        refused = browser.post(path_of_apply(shown)).status
        done = browser.post(path_of_apply(shown), {"skip_bad_rows": "yes"})

        assert "1 row has a problem" in shown.text
        assert (refused, done.status) == (409, 303)
        assert "ann@nordlys.test" in names(customer)

    def test_a_file_that_is_none_is_told(self, browser: Browser) -> None:
        assert upload(browser, "").status == 422
        assert "The file cannot be read" in upload(browser, "a,b\n1,2\n").text

    def test_nothing_of_a_file_is_kept_when_it_was_applied_or_ran_out(
        self, browser: Browser, customer: Customer, clock: SettableClock
    ) -> None:
        browser.post(path_of_apply(upload(browser, PEOPLE)))
        upload(browser, PEOPLE)
        clock.at = clock.at.replace(day=clock.at.day + 1)

        with customer.unit(SYSTEM) as unit:
            expire_what_ran_out(unit)
        with customer.unit() as unit:
            kept = unit.session.scalars(select(Preview.request).where(Preview.kind == "import")).all()

        assert ["file" in request for request in kept] == [False, False]


class TestAudit:
    def test_it_says_who_did_what_newest_first(self, browser: Browser, customer: Customer) -> None:
        customer.push("ann@nordlys.test", displayName="Ann Berg")

        page = browser.get("/console/audit").text

        assert page.index("<code>member.created") < page.index("<code>organization.created")
        assert ">Ann Berg</a>" in page

    def test_it_is_narrowed_to_a_topic_and_to_a_person(self, browser: Browser, customer: Customer) -> None:
        ann = customer.push("ann@nordlys.test")

        seats = browser.get("/console/audit?topic=seats").text
        person = browser.get("/console/audit?person=ANN@nordlys.test").text
        by_id = browser.get(f"/console/audit?person={ann.id}").text

        assert ("<code>seat.assigned" in seats, "<code>member.created" in seats) == (True, False)
        assert ("<code>member.created" in person, "<code>organization.created" in person) == (True, False)
        assert "<code>member.created" in by_id
        assert "nobody@nordlys.test" in browser.get("/console/audit?person=nobody@nordlys.test").text

    def test_it_goes_on_where_a_page_ended(self, browser: Browser, customer: Customer) -> None:
        for index in range(26):  # at least two entries each
            customer.push(f"p{index}@nordlys.test")

        first = browser.get("/console/audit").text
        older = re.search(r'rel="next" href="([^"]+)"', first)
        assert older is not None
        second = browser.get(older.group(1)).text

        assert set(re.findall(r'id="entry-(\d+)"', first)).isdisjoint(re.findall(r'id="entry-(\d+)"', second))
        assert 'id="entry-1"' in second

    def test_the_chain_is_verified(self, browser: Browser) -> None:
        assert "each as it was written" in browser.post("/console/audit/verify").text

    def test_z1_admins_read_no_sums(self, app: Flask, customer: Customer) -> None:
        admin = sign_in(app, customer, make_admin(customer).id)

        assert "What it says" not in admin.get("/console/audit").text


class TestSingleSignOn:
    def test_it_is_not_enforced_while_nobody_could_sign_in(self, browser: Browser) -> None:
        assert "nobody could sign in" in browser.get("/console/settings/single-sign-on").text
        assert browser.post("/console/settings/single-sign-on/enforce").status == 422

    def test_relaxing_what_is_not_enforced_changes_nothing(self, browser: Browser, customer: Customer) -> None:
        browser.post("/console/settings/single-sign-on/relax")

        with customer.unit() as unit:
            assert unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "sso.relaxed")).all() == []


class TestWebhooks:
    @pytest.fixture
    def path(self, customer: Customer) -> str:
        with customer.unit(customer.owner) as unit:
            endpoint = add_endpoint(unit, "https://app.example.com", ["user.created"], lambda _: b"sealed")
        return f"/console/settings/webhooks/{endpoint.id}"

    def test_an_address_of_the_inside_is_refused_in_the_form(self, browser: Browser) -> None:
        page = browser.post("/console/settings/webhooks", {"url": "https://127.0.0.1/hooks"})

        assert page.status == 422
        assert 'value="https://127.0.0.1/hooks"' in page.text

    def test_it_is_tested_and_sent_again(self, browser: Browser, customer: Customer, path: str) -> None:
        browser.post(f"{path}/test")
        with customer.unit() as unit:
            unit.session.execute(update(WebhookMessage).values(state="dead"))

        dead = browser.get(path).text
        browser.post(f"{path}/replay")

        assert "1 event was given up" in dead
        assert "webhook.test" in dead
        with customer.unit() as unit:
            assert unit.session.scalars(select(WebhookMessage.state)).all() == ["pending"]

    def test_it_gets_a_new_secret_and_is_removed(self, browser: Browser, customer: Customer, path: str) -> None:
        rotated, again = browser.post(f"{path}/rotate"), browser.post(f"{path}/rotate")
        removed = browser.post(f"{path}/remove")

        assert "The old secret signs beside it until" in rotated.text
        assert again.location == path
        assert removed.location == "/console/settings/webhooks"
        with customer.unit() as unit:
            assert unit.session.scalars(select(WebhookEndpoint)).all() == []


def test_an_older_version_of_the_rules_is_restored_through_its_preview(browser: Browser, customer: Customer) -> None:
    for tier in ("standard", "premium"):
        rules = [{"group": "Engineering", "expected": True, "tier": tier}]
        with customer.unit(customer.owner) as unit:
            apply_mappings(unit, preview_mappings(unit, {"schema": 1, "rules": rules}).id, acknowledged=False)

    page = browser.get("/console/mappings/versions").text
    restored = browser.post("/console/mappings/versions/1/restore")
    same = browser.post("/console/mappings/versions/2/restore")

    assert page.count("Preview restoring") == 1
    assert restored.location.startswith("/console/mappings/previews/")
    assert same.status == 422


def test_settings_lead_to_everything_that_is_set(browser: Browser) -> None:
    page = browser.get("/console/settings").text

    paths = ("provisioning", "brake", "billing-details", "settings/webhooks", "settings/single-sign-on")
    assert [path for path in paths if f'href="/console/{path}"' not in page] == []
