"""What the pages do: people found and placed, drafts edited without a script, seats bought, answers in words."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask

from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import Contract
from bridge.usecases.alerts import raise_alert
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.list_people import PAGE_LENGTH
from bridge.usecases.preview_mappings import preview_mappings
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.web import Browser, Page, make_admin, push_group, sign_in


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


@pytest.fixture
def browser(app: Flask, customer: Customer) -> Browser:
    """The owner's browser."""
    return sign_in(app, customer)


def rows(page: str) -> list[str]:
    """Return the names in the list of people, in its order."""
    return re.findall(r'<a href="/console/people/[0-9a-f-]{36}">([^<]+)</a><span', page)


def link_of(page: str, rel: str) -> str:
    """Return where a page's link of this relation leads."""
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    assert found is not None, f"the page has no {rel} page"
    return html.unescape(found.group(1))


def test_people_are_found_by_name_mail_identifier_and_group(browser: Browser, customer: Customer) -> None:
    alice = customer.push("alice@nordlys.test", external_id="00u8f2", displayName="Alice Lindqvist")
    customer.push("bob@nordlys.test", displayName="Bob 100% Jansen")
    push_group(customer, "Data & insights", [alice])

    found = {text: rows(browser.get("/console/people", query_string={"q": text}).text) for text in SEARCHES}

    assert found == {text: ["Alice Lindqvist"] for text in SEARCHES[:4]} | {
        "100%": ["Bob 100% Jansen"],
        "%": ["Bob 100% Jansen"],
        "_": [],
        "nobody": [],
    }


SEARCHES = ("LINDQ", "alice@nordlys", "00u8f2", "insights", "100%", "%", "_", "nobody")


def test_who_waits_comes_first_in_the_order_of_the_line(
    browser: Browser, customer: Customer, clock: SettableClock
) -> None:
    for index in range(9):  # 2 Premium and 5 Standard seats: the last two wait
        clock.at = clock.at.replace(minute=index)
        customer.push(f"p{index}@nordlys.test", displayName=f"Person {9 - index}")

    page = browser.get("/console/people")

    assert rows(page.text)[:2] == ["Person 2", "Person 1"]
    assert page.text.index("1st in line") < page.text.index("2nd in line")


def test_a_long_list_is_paged_by_the_database(browser: Browser, customer: Customer) -> None:
    for index in range(PAGE_LENGTH + 1):
        customer.push(f"p{index:03}@nordlys.test", displayName=f"Person {index:03}")

    first = browser.get("/console/people").text
    second = browser.get(link_of(first, "next")).text
    back = browser.get(link_of(second, "prev")).text

    # 51 people and the owner
    assert (len(rows(first)), len(rows(second))) == (PAGE_LENGTH, 2)
    assert set(rows(first)).isdisjoint(rows(second))
    assert rows(back) == rows(first)
    assert ('rel="prev"' in first, 'rel="next"' in second) == (False, False)
    assert browser.get("/console/people?after=nonsense").status == 404


def test_a_persons_page_tells_why_in_one_sentence_and_step_by_step(browser: Browser, customer: Customer) -> None:
    apply_rule(customer, "Engineering", "premium")
    alice = customer.push("alice@nordlys.test", displayName="Alice Lindqvist")
    push_group(customer, "Engineering", [alice])

    page = browser.get(f"/console/people/{alice.id}").text

    assert "Alice Lindqvist has Premium because the group Engineering gives Premium." in page
    assert "Rule 1 decided: the group Engineering" in page
    assert "Premium: 1 of 2 in use right after" in page
    assert "No charge" in page


def test_an_admin_adds_a_person_and_places_them_by_hand(browser: Browser, customer: Customer) -> None:
    added = browser.post("/console/people/add", {"name": "Tove Aalto", "email": "tove@nordlys.test", "tier": ""})
    assert added.status == 303
    preview = browser.post(f"{added.location}/seat", {"tier": "standard"})
    assert "A Standard seat is free. This costs nothing." in preview.text

    page = browser.get(confirm(browser, preview.text).location)

    assert "Tove Aalto has Standard because placed by hand." in page.text
    assert "Pinned" in page.text


def test_when_no_seat_is_free_an_owner_is_offered_one_with_its_price(browser: Browser, customer: Customer) -> None:
    """Rule S5."""
    fill_premium(customer)
    tove = customer.push("tove@nordlys.test", displayName="Tove Aalto")

    preview = browser.post(f"/console/people/{tove.id}/seat", {"tier": "premium"})

    # An exchange on a team plan, at the period's start: 150.00 − 25.00 = 125.00 (rule P7)
    assert "No Premium seat is free. You can buy one for Tove Aalto." in preview.text
    assert "Buy 1 seat for €125.00" in preview.text
    assert confirm(browser, preview.text).status == 422
    done = confirm(browser, preview.text, acknowledged="yes")
    assert done.status == 303
    assert "a Premium seat was bought for this person" in browser.get(done.location).text


def test_an_admin_is_told_to_ask_an_owner_instead(app: Flask, customer: Customer) -> None:
    admin = sign_in(app, customer, make_admin(customer).id)
    fill_premium(customer)
    tove = customer.push("tove@nordlys.test", displayName="Tove Aalto")

    preview = admin.post(f"/console/people/{tove.id}/seat", {"tier": "premium"})

    assert "Free one first, or ask an owner to buy one." in preview.text
    assert "€" not in preview.text
    assert 'name="acknowledged"' not in preview.text


def test_turning_access_off_and_on_again(browser: Browser, customer: Customer) -> None:
    """Rules K1, K2 and Z3."""
    tove = customer.push("tove@nordlys.test", displayName="Tove Aalto")

    browser.post(f"/console/people/{tove.id}/off")
    off = browser.get(f"/console/people/{tove.id}").text
    browser.post(f"/console/people/{tove.id}/on")
    on = browser.get(f"/console/people/{tove.id}").text

    assert "Turned off" in off
    assert "Tove Aalto has no seat because turned off, which frees the seat." in off
    assert "Tove Aalto has Premium because no mapping applies" in on


def test_an_owner_cannot_be_turned_off(browser: Browser, customer: Customer) -> None:
    page = browser.post(f"/console/people/{customer.owner_id}/off")

    assert page.status == 409
    assert "An owner cannot be changed this way" in page.text


def test_a_draft_of_rules_is_edited_by_buttons_alone(browser: Browser, customer: Customer) -> None:
    page = browser.get("/console/mappings/edit?group=Engineering")
    assert 'value="Engineering"' in page.text

    form = draft(("Engineering", "premium"), ("Support", "standard"))
    added = browser.post("/console/mappings/edit", {**form, "do": "add"})
    moved = browser.post("/console/mappings/edit", {**form, "do": "up:1"})
    removed = browser.post("/console/mappings/edit", {**form, "do": "remove:0"})

    assert names_of(added.text) == ["Engineering", "Support", ""]
    assert names_of(moved.text) == ["Support", "Engineering"]
    assert names_of(removed.text) == ["Support"]


def test_a_draft_with_mistakes_keeps_what_was_typed_and_names_each(browser: Browser) -> None:
    page = browser.post("/console/mappings/edit", {**draft(("", "premium"), ("Support", "")), "do": "preview"})

    assert page.status == 422
    assert "Rule 1:" in page.text
    assert "Rule 1, group: is empty" in page.text
    assert "Rule 2: gives nothing" in page.text
    assert names_of(page.text) == ["", "Support"]


def test_the_only_way_from_a_draft_leads_through_its_preview(browser: Browser, customer: Customer) -> None:
    push_group(customer, "Engineering", [customer.push("alice@nordlys.test", displayName="Alice Lindqvist")])
    answer = browser.post("/console/mappings/edit", {**draft(("Engineering", "standard")), "do": "preview"})
    assert "Version" not in browser.get("/console/mappings").text.partition("In force")[2]
    preview = browser.get(answer.location)
    assert "1 of 2 people changes seat" in preview.text or "1 of 2 people change seat" in preview.text

    applied = browser.post(f"{answer.location}/apply", {"short": "wait"})

    assert applied.location == "/console/mappings"
    assert "Version 1 is in force: 1 person moved." in browser.get("/console/mappings").text


def test_a_preview_that_is_overtaken_is_refused_with_409(browser: Browser, customer: Customer) -> None:
    answer = browser.post("/console/mappings/edit", {**draft(("Engineering", "standard")), "do": "preview"})
    customer.push("late@nordlys.test")

    page = browser.post(f"{answer.location}/apply", {"short": "wait"})

    assert page.status == 409
    assert "Something changed since this preview" in page.text


def test_seats_are_bought_from_the_preview_and_the_invoice_shows_its_sum(browser: Browser) -> None:
    preview = browser.post("/console/seats/previews", {"add.premium": "2", "add.standard": "0"})
    shown = browser.get(preview.location).text
    # At the period's very start: 2 × 150.00 = 300.00
    assert "Buy 2 seats for €300.00" in shown

    done = browser.post(f"{preview.location}/confirm", {"acknowledged": "yes"})

    invoice = browser.get(done.location).text
    assert "2 × €150.00" in invoice
    assert "€300.00" in invoice


def test_confirming_again_buys_nothing_more(browser: Browser) -> None:
    """Rule Q5."""
    preview = browser.post("/console/seats/previews", {"add.premium": "1"}).location

    first = browser.post(f"{preview}/confirm", {"acknowledged": "yes"})
    second = browser.post(f"{preview}/confirm", {"acknowledged": "yes"})

    assert first.location == second.location


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"add.premium": ""}, 422, "This change is not possible: "),
        ({"add.premium": "two"}, 422, "Premium: must be a whole number of at most 9 digits"),
        ({"add.premium": "99999999999"}, 422, "Premium: must be a whole number of at most 9 digits"),
        ({"add.gold": "1"}, 422, "This change is not possible: "),
        ({"add.premium": "-9"}, 422, "This change is not possible: "),
    ],
)
def test_an_impossible_change_stays_in_the_form_with_a_sentence(
    browser: Browser, change: dict[str, str], status: int, words: str
) -> None:
    page = browser.post("/console/seats/previews", change)

    assert page.status == status
    assert words in page.text
    assert all(f'value="{value}"' in page.text for name, value in change.items() if name == "add.premium")


def test_a_member_in_line_sees_their_place_and_who_knows(app: Flask, customer: Customer) -> None:
    for index in range(7):  # 2 Premium and 5 Standard seats
        customer.push(f"p{index}@nordlys.test")
    wiktor = customer.push("wiktor@nordlys.test", displayName="Wiktor Nowak")
    browser = sign_in(app, customer, wiktor.id)

    page = browser.get("/me").text

    assert "You&#39;re in, Wiktor. No seat is free yet." in page or "You're in, Wiktor. No seat is free yet." in page
    assert "Your place: 1st of 1" in page
    assert "Olga Owner was told" in page
    assert browser.get("/").location == "/me"


def test_a_member_with_a_seat_sees_which_and_why(app: Flask, customer: Customer) -> None:
    alice = customer.push("alice@nordlys.test", displayName="Alice Lindqvist")

    page = sign_in(app, customer, alice.id).get("/me").text

    assert "You have a Premium seat because no mapping applies, so the best tier with a free seat." in page


def test_a_full_tier_is_one_alert_however_many_wait(browser: Browser, customer: Customer) -> None:
    apply_rule(customer, "Engineering", "premium")
    people = [customer.push(f"e{index}@nordlys.test", displayName=f"Engineer {index}") for index in range(5)]
    push_group(customer, "Engineering", people)

    page = browser.get("/console").text

    assert page.count("Premium is full.") == 1
    assert "3 people wait in line" in page
    assert "/console/seats/change?add.premium=3" in page


def test_an_admin_made_by_a_rule_is_in_the_headline_named_and_needs_a_tick(
    browser: Browser, customer: Customer
) -> None:
    people = [customer.push(f"e{index}@nordlys.test", displayName=f"Engineer {index}") for index in range(2)]
    push_group(customer, "Engineering", people)
    form = draft(("Engineering", "premium")) | {"rule.role": ["admin"]}
    location = browser.post("/console/mappings/edit", {**form, "do": "preview"}).location

    preview = browser.get(location).text
    unticked = browser.post(f"{location}/apply", {"short": "wait"})
    ticked = browser.post(f"{location}/apply", {"short": "wait", "roles_acknowledged": "yes"})

    assert "0 of 3 people change seat, 2 people become admin</h1>" in preview
    assert preview.count("member → admin") == 2
    assert 'name="roles_acknowledged"' in preview
    assert (unticked.status, ticked.status) == (422, 303)
    assert "Version 1 is in force: 0 people moved, 2 people became admin." in browser.get(ticked.location).text


def test_a_rule_makes_nobody_admin_who_is_one_and_changes_no_owner(browser: Browser, customer: Customer) -> None:
    ada = make_admin(customer)
    with customer.unit() as unit:
        owner = get_member(unit, customer.owner_id)
    push_group(customer, "Engineering", [ada])
    form = draft(("Engineering", "premium")) | {"rule.role": ["admin"]}

    preview = browser.get(browser.post("/console/mappings/edit", {**form, "do": "preview"}).location).text

    assert owner.role == "primary_owner"
    assert "people change seat</h1>" in preview
    assert 'name="roles_acknowledged"' not in preview


def test_going_back_to_a_confirmed_purchase_shows_what_it_did(browser: Browser) -> None:
    preview = browser.post("/console/seats/previews", {"add.premium": "1"}).location
    invoice = browser.post(f"{preview}/confirm", {"acknowledged": "yes"}).location
    browser.get(invoice)

    back = browser.get(preview)

    assert back.location == invoice
    assert "This preview was confirmed already: the seats were changed, once." in browser.get(invoice).text


def test_going_back_to_applied_rules_shows_what_they_did(browser: Browser) -> None:
    preview = browser.post("/console/mappings/edit", {**draft(("Engineering", "standard")), "do": "preview"}).location
    browser.get(browser.post(f"{preview}/apply", {"short": "wait"}).location)

    back = browser.get(preview)

    assert back.location == "/console/mappings"
    assert "This preview was applied already. Version 1 is in force" in browser.get(back.location).text


def test_the_end_of_a_contract_is_told_in_the_customers_time_zone(
    runtime: Runtime, app: Flask, make_customer: Callable[..., Customer]
) -> None:
    # Midnight of 22 November in Oslo is 23:00 UTC of the day before.
    anchor = datetime(2025, 11, 21, 23, tzinfo=UTC)
    customer = make_customer(slug="fjord", kind="enterprise", time_zone="Europe/Oslo", anchor=anchor)
    browser = sign_in(app, customer)

    page = browser.post("/console/seats/previews", {"add.premium": "-1"})

    assert page.status == 409
    assert "Seats cannot be dropped before the renewal on 22 Nov 2026." in page.text
    assert 'min="0"' in page.text
    assert "−2" not in page.text


def test_an_owner_gives_roles_on_a_persons_page(browser: Browser, app: Flask, customer: Customer) -> None:
    tove = customer.push("tove@nordlys.test", displayName="Tove Aalto")
    path = f"/console/people/{tove.id}"
    assert "Change the role" in browser.get(path).text

    given = browser.post(f"{path}/role", {"role": "admin"})

    assert "Tove Aalto is admin." in browser.get(given.location).text
    admin = sign_in(app, customer, tove.id)
    assert "Change the role" not in admin.get(path).text
    assert admin.post(f"{path}/role", {"role": "owner"}).status == 403
    last = browser.post(f"/console/people/{customer.owner_id}/role", {"role": "member"})
    assert last.status == 422
    assert "this is the last owner" in last.text


def test_a_person_who_is_here_already_is_not_added_again(browser: Browser, customer: Customer) -> None:
    customer.push("Tove@nordlys.test", displayName="Tove Aalto")

    page = browser.post("/console/people/add", {"name": "Tove A.", "email": "tove@nordlys.test", "tier": ""})

    assert page.status == 409
    assert "tove@nordlys.test is here already, as Tove Aalto" in page.text
    assert 'value="Tove A."' in page.text


def test_who_waits_for_any_seat_is_counted_on_the_first_page_and_beside_the_seats(
    browser: Browser, customer: Customer
) -> None:
    for index in range(9):  # 2 Premium and 5 Standard seats
        customer.push(f"p{index}@nordlys.test")

    assert "<dt>… for any seat</dt><dd>2</dd>" in browser.get("/console").text
    assert "2 people wait for any seat" in browser.get("/console/seats").text


def test_tax_is_shown_with_its_rate_and_tiers_best_first(browser: Browser, customer: Customer) -> None:
    with customer.unit() as unit:
        unit.session.get_one(Contract, customer.org_id).tax_rate = "0.25"
    preview = browser.post("/console/seats/previews", {"add.premium": "2", "add.standard": "1"}).location
    shown = browser.get(preview).text
    invoice = browser.get(browser.post(f"{preview}/confirm", {"acknowledged": "yes"}).location).text

    # 2 × 150.00 + 1 × 25.00 = 325.00
    assert "25 % of €325.00" in shown
    assert "VAT 25 % on €325.00" in invoice
    assert invoice.index("Premium seat") < invoice.index("Standard seat")


def test_an_alert_about_nobody_in_particular_ends_with_one_full_stop(browser: Browser, customer: Customer) -> None:
    with customer.unit() as unit:
        raise_alert(unit, "unreadable_push")

    text = " ".join(re.sub(r"<[^>]+>", "", browser.get("/console").text).split())

    assert "the request was refused. Since today" in text


def test_an_owner_is_not_told_to_ask_themselves(browser: Browser) -> None:
    page = browser.get("/me").text

    assert "You look after seats here" in page
    assert "Olga Owner looks after seats" not in page


def apply_rule(customer: Customer, group: str, tier: str) -> None:
    """Map one group; who has none gets no seat."""
    document = {"schema": 1, "default": "unassigned", "rules": [{"group": group, "expected": True, "tier": tier}]}
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, document)
        apply_mappings(unit, preview.id, acknowledged=False)


def fill_premium(customer: Customer) -> None:
    """Take both Premium seats."""
    for index in range(2):
        customer.push(f"filler{index}@nordlys.test")


def confirm(browser: Browser, page: str, **form: str) -> Page:
    """Send the confirmation form of a seat preview."""
    path = re.search(r"/console/people/seat-previews/[0-9a-f-]{36}", page)
    assert path is not None
    return browser.post(path.group(), form)


def draft(*rules: tuple[str, str]) -> dict[str, object]:
    """Fill the editor's form."""
    blank = [""] * len(rules)
    return {
        "rule.key": blank,
        "rule.about": ["expected"] * len(rules),
        "rule.value": [group for group, _ in rules],
        "rule.tier": [tier for _, tier in rules],
        "rule.on_exhausted": blank,
        "rule.role": blank,
        "rule.teams": blank,
        "rule.kept": blank,
        "on_exhausted": "unassigned",
        "default": "unassigned",
    }


def names_of(page: str) -> list[str]:
    """Return the values of the rules in the editor, in order."""
    return re.findall(r'name="rule.value" value="([^"]*)"', page)
