"""The console in a browser: every page in every look is accessible; what costs goes by its preview."""

import os
import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.e2e.conftest import Site
from tests.web import add_to_group

#: Where pictures of the pages go when somebody wants to look at them.
PICTURES = os.environ.get("SEATBRIDGE_PICTURES")


def test_every_page_passes_axe_and_never_scrolls_sideways(site: Site, looks: BrowserContext) -> None:
    page = looks.new_page()
    problems: list[str] = []
    page.on("console", lambda said: problems.extend(complaints(said)))
    page.on("request", lambda sent: problems.extend(strays(site, sent)))
    site.sign_in(page)

    for name, path in paths_of(site, page):
        page.goto(f"{site.url}{path}")
        problems += problems_of(page, name)
    for name, act in (
        ("seat-preview", preview_a_seat),
        ("swap-preview", preview_a_swap),
        ("import-preview", preview_an_import),
        ("many-preview", preview_many_people),
        ("audit-verified", verify_the_audit),
        ("mappings-problems", break_a_draft),
        ("seats-change-problem", ask_for_too_many),
        ("sign-in-unknown", be_unknown),
    ):
        act(site, page)
        problems += problems_of(page, name)

    assert not problems, "\n".join(problems)


def complaints(said: ConsoleMessage) -> list[str]:
    """Return what the browser complains of, as of the content security policy; not that a page was refused."""
    wanted = said.type == "error" and "Failed to load resource" not in said.text
    return [f"the browser says: {said.text}"] if wanted else []


def strays(site: Site, sent: Request) -> list[str]:
    """Return a request that goes anywhere but to the service."""
    return [] if sent.url.startswith((site.url, "data:", "blob:")) else [f"a request goes to {sent.url}"]


def paths_of(site: Site, page: Page) -> list[tuple[str, str]]:
    """Name every page; previews are made on the way."""
    waiting = _path_of_link(site, page, "/console/people?state=waiting", "Femke Visser")
    connection = f"/console/connections/{site.customer.connection_id}"
    invoice = _path_of_first(site, page, "/console/seats", "a[href*='/invoices/']")
    return [
        ("overview", "/console"),
        ("people", "/console/people"),
        ("people-none", "/console/people?q=nobody-of-this-name"),
        ("person", waiting),
        ("person-add", "/console/people/add"),
        ("mappings", "/console/mappings"),
        ("mappings-edit", "/console/mappings/edit?group=Partners"),
        ("mapping-preview", make_mapping_preview(site, page)),
        ("drafts", "/console/mappings/drafts"),
        ("approvals", "/console/approvals"),
        ("billing-details", "/console/billing-details"),
        ("seats", "/console/seats"),
        ("people-import", "/console/people/import"),
        ("mapping-versions", "/console/mappings/versions"),
        ("audit", "/console/audit"),
        ("settings", "/console/settings"),
        ("sso", "/console/settings/single-sign-on"),
        ("webhooks", "/console/settings/webhooks"),
        ("waiting-line", "/console/seats/line"),
        ("swap", "/console/seats/swap"),
        ("seats-change", "/console/seats/change"),
        ("seats-preview", make_seats_preview(site, page)),
        ("invoice", invoice),
        ("connections", "/console/connections"),
        ("connection", connection),
        ("connection-guide", f"{connection}/guide?guide=keycloak"),
        ("connection-matches", f"{connection}/matches"),
        ("connection-sign-in", f"{connection}/sign-in"),
        ("connection-attributes", f"{connection}/attributes"),
        ("connection-sign-ins", f"{connection}/sign-ins"),
        ("connection-links", f"{connection}/links"),
        ("provisioning-log", "/console/provisioning-log"),
        ("me", "/me"),
        ("not-found", "/console/nothing-here"),
        ("sign-in", "/sign-in"),
    ]


def preview_a_seat(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/console/people?state=waiting")
    page.get_by_role("link", name="Bram de Vries").first.click()
    page.get_by_label("Seat", exact=True).select_option("premium")
    page.get_by_role("button", name="Preview the change").click()
    expect(page.get_by_role("button", name="Buy 1 seat")).to_be_visible()


def preview_a_swap(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/console/seats/line")
    page.get_by_text("Change the place of Bram de Vries").click()
    page.get_by_role("link", name="Swap…").first.click()
    page.get_by_label("The other").fill("alice@nordlys.test")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("button", name="Swap the two seats")).to_be_visible()


def preview_many_people(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/console/people")
    for name in ("Alice Lindqvist", "Chloé Moreau", "Olga Owner"):
        page.get_by_label(f"Tick {name}").check()
    page.get_by_label("What to do").select_option("off")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Turn off access of 2 people: preview")).to_be_visible()
    expect(page.get_by_role("heading", name="Who waits and gets a freed seat")).to_be_visible()


def preview_an_import(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/console/people/import")
    text = "userName,displayName,groups\nann@nordlys.test,Ann Berg,Engineering\n,Nobody,\n"
    page.get_by_label("CSV file").set_input_files({"name": "p.csv", "mimeType": "text/csv", "buffer": text.encode()})
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="1 person comes new")).to_be_visible()


def verify_the_audit(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/console/audit")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("status").first).to_contain_text("each as it was written")


def break_a_draft(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/console/mappings/edit")
    page.get_by_role("button", name="Add rule").click()
    expect(page.get_by_label("Rule 3: seat")).to_be_visible()
    page.get_by_role("button", name="Preview", exact=True).last.click()
    expect(page.get_by_role("alert")).to_contain_text("Rule 3, group: is empty")


def ask_for_too_many(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/console/seats/change")
    page.get_by_label("Premium seats to add").fill("99999999999")
    page.locator("form[action$=previews]").evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("Premium: must be a whole number")
    expect(page.get_by_label("Premium seats to add")).to_have_value("99999999999")


def be_unknown(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("Work e-mail").fill("somebody@nowhere.example")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("No company signs in here")


def problems_of(page: Page, name: str) -> list[str]:
    """Check one page, and take its picture if pictures are wanted."""
    look = f"{'dark' if page.evaluate('matchMedia(`(prefers-color-scheme: dark)`).matches') else 'light'}"
    if PICTURES:
        width = page.viewport_size["width"] if page.viewport_size else 0
        page.screenshot(path=str(Path(PICTURES) / f"{name}-{look}-{width}.png"), full_page=True)
    found = Axe().run(page).response["violations"]
    problems = [
        f"{name} ({look}): {violation['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for violation in found
        for node in violation["nodes"][:3]
    ]
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        problems.append(f"{name} ({look}): the page scrolls sideways")
    return problems


def make_seats_preview(site: Site, page: Page) -> str:
    page.goto(f"{site.url}/console/seats/change")
    page.get_by_label("Premium seats to add").fill("2")
    page.get_by_role("button", name="Preview").click()
    page.wait_for_url("**/console/seats/previews/*")
    return page.url.removeprefix(site.url)


def make_mapping_preview(site: Site, page: Page) -> str:
    page.goto(f"{site.url}/console/mappings/edit?group=Partners")
    page.get_by_label("Rule 3: seat").select_option("premium")
    page.get_by_label("Rule 3: role").select_option("admin")
    page.get_by_role("button", name="Preview", exact=True).last.click()
    page.wait_for_url("**/console/mappings/previews/*")
    return page.url.removeprefix(site.url)


def test_a_long_name_without_a_space_breaks_and_leaves_every_page_readable(site: Site, looks: BrowserContext) -> None:
    name = "Donaudampfschiffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2
    member = site.customer.push(f"{'x' * 60}@nordlys.test", displayName=name)
    add_to_group(site.customer, "Engineering", member)
    page = looks.new_page()
    site.sign_in(page)
    width = page.evaluate("innerWidth")

    wide: list[str] = []
    for path in ("/console", "/console/people", f"/console/people/{member.id}", make_seats_preview(site, page)):
        page.goto(f"{site.url}{path}")
        if PICTURES:
            title = path.split("/")[2:3] or ["overview"]
            page.screenshot(path=str(Path(PICTURES) / f"long-{title[0]}-{len(path)}-{width}.png"), full_page=True)
        # What the longest ordinary words need on a phone; a name of 158 letters in one line is more than 1,000 wide.
        wide += [
            f"{path}: {room} of {width}"
            for room in page.locator(".scroll").evaluate_all("all => all.map(one => one.scrollWidth)")
            if room > max(width, 800)
        ]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(f"{path}: the page scrolls sideways")

    assert wide == []


def test_the_owner_buys_seats_through_the_preview_and_who_waits_gets_them(site: Site, page: Page) -> None:
    site.sign_in(page)
    page.goto(site.url + make_seats_preview(site, page))
    # 2 × 720.00 × (9 whole months from 1 April + 30 of 31 days of March left with today, the 2nd) ÷ 12
    # = 1,440.00 × (9 + 30/31) ÷ 12 = 120.00 × 309/31 = 37,080/31 = 1,196.129… → 1,196.13
    button = page.get_by_role("button", name="Buy 2 seats for €1,196.13")
    expect(page.get_by_text("Bram de Vries")).to_be_visible()

    page.get_by_role("checkbox").check()
    button.click()

    expect(page.get_by_role("heading", name="Invoice")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("2 people in line got a seat")
    page.goto(f"{site.url}/console/people?state=waiting")
    expect(page.get_by_role("heading", name="Nobody matches")).to_be_visible()


def test_people_are_changed_and_a_file_is_imported_without_javascript(site: Site, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    site.sign_in(page)

    preview_many_people(site, page)
    page.get_by_role("button", name="Turn off 2 people").click()
    expect(page.get_by_role("status").first).to_contain_text("Changed 2 people. 1 person in line got a freed seat.")
    preview_an_import(site, page)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Import 1 person").click()
    expect(page.get_by_role("status").first).to_contain_text("Imported: 1 person added")
    verify_the_audit(site, page)

    context.close()


def test_nothing_is_bought_without_the_tick(site: Site, page: Page) -> None:
    site.sign_in(page)
    path = make_seats_preview(site, page)

    page.goto(site.url + path)
    page.get_by_role("button", name="Buy 2 seats").click()

    assert page.url == site.url + path
    page.goto(f"{site.url}/console/seats")
    expect(page.get_by_role("cell", name="€1,196.13")).to_have_count(0)


def test_a_mapping_is_edited_through_its_preview(site: Site, page: Page) -> None:
    site.sign_in(page)
    page.goto(f"{site.url}/console/mappings/edit?group=Partners")
    page.get_by_label("Rule 3: seat").select_option("standard")
    page.get_by_role("button", name="Preview", exact=True).last.click()
    expect(page.get_by_role("heading", name="2 of 14 people change seat")).to_be_visible()
    expect(page.get_by_role("link", name="Noor Bakker")).to_be_visible()

    page.get_by_role("button", name=re.compile(r"Apply version \d+")).click()

    expect(page.get_by_role("status").first).to_contain_text("is in force: 2 people moved")
    expect(page.get_by_role("row", name="Partners")).to_contain_text("Standard")


def _path_of_link(site: Site, page: Page, path: str, name: str) -> str:
    page.goto(f"{site.url}{path}")
    return page.get_by_role("link", name=name).first.get_attribute("href") or ""


def _path_of_first(site: Site, page: Page, path: str, selector: str) -> str:
    page.goto(f"{site.url}{path}")
    return page.locator(selector).first.get_attribute("href") or ""
