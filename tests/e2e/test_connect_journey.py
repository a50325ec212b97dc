"""An identity provider is connected with the guide until every check is green; the simulator plays it over HTTP."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from bridge.ports import SystemClock
from bridge.runtime import Runtime
from bridge.simulator.company import Company
from bridge.simulator.dialects import Dialect
from bridge.simulator.directory import Directory
from bridge.simulator.push import push
from bridge.simulator.saml import SimulatedIdp
from bridge.simulator.server import bind, serving
from bridge.usecases.connections import find_connection
from tests.e2e.conftest import Site
from tests.factories import Customer, create_customer
from tests.live import free_port, served
from wsgi import compose

PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class World:
    """The product and an identity provider, each at its own address."""

    site: Site
    company: Company

    @property
    def customer(self) -> Customer:
        """The organization at the product."""
        return self.site.customer


@pytest.fixture
def world(runtime: Runtime) -> Iterator[World]:
    """Both services on free ports; the clock goes, for signatures are made and judged by it."""
    runtime.clock = SystemClock()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = runtime.settings.server.model_copy(update={"public_url": url})
    runtime.settings = runtime.settings.model_copy(update={"server": server})
    customer = create_customer(runtime)
    provider = bind()
    address = f"http://localhost:{provider.server_port}/nordlys"
    idp = SimulatedIdp.create(f"{address}/metadata", f"{address}/sso", now=datetime.now(UTC))
    company = Company("nordlys", "Nordlys", Directory("nordlys.test"), idp, Dialect.OKTA, f"{url}/scim/v2/nordlys")
    with served(compose(runtime), port), serving(provider, {"nordlys": company}, url):
        yield World(Site(url, customer), company)


@pytest.fixture(params=[True, False], ids=["with-javascript", "without-javascript"])
def pages(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page with JavaScript, and one without; what the policy blocks would stand on its console."""
    context = browser.new_context(java_script_enabled=request.param, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert [text for text in complaints if "status of 4" not in text] == []


def until(page: Page, text: str) -> None:
    """Wait until the live check says something: by itself where there is JavaScript, else by looking again."""
    seen = page.locator("#checks").get_by_text(text)
    if page.locator("[data-copy]:not([hidden])").count():
        expect(seen).to_be_visible(timeout=PATIENCE * 1000)
        return
    until = time.monotonic() + PATIENCE
    while not seen.count() and time.monotonic() < until:
        page.get_by_role("link", name="Look again").click()
    expect(seen).to_be_visible()


def test_an_identity_provider_is_connected_with_the_guide_until_everything_is_green(world: World, pages: Page) -> None:
    page, company = pages, world.company
    world.site.sign_in(page)
    page.goto(f"{world.site.url}/console/connections")
    page.get_by_label("What you call it").fill("Okta of Nordlys")
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_role("heading", name="Provisioning by SCIM")).to_be_visible()
    page.get_by_role("button", name="Issue the token").click()
    token = page.locator("#scim-token").inner_text()
    page.get_by_role("link", name="I saved it").click()

    ada = company.directory.hire("Ada", "Berg", groups=["Engineering"])
    ben = company.directory.hire("Ben", "Dahl")
    push(company.scim_url, "not-the-token", company.directory, Dialect.OKTA)
    until(page, "Nobody here has this token")
    company.token = token
    company.push()
    until(page, "A group was pushed.")
    company.directory.leave(ben.id)
    company.push()
    until(page, "Somebody was turned off by it.")
    metadata = FilePayload(name="idp.xml", mimeType="application/xml", buffer=company.idp.metadata())
    page.get_by_label("Or the file").set_input_files(metadata)
    page.get_by_role("button", name="Believe this identity provider").click()
    until(page, "We know whom to believe.")
    with page.context.browser.new_context() as visitor:  # type: ignore[union-attr] # a page of a fixture has a browser
        employee = visitor.new_page()
        employee.goto(sign_in_address(world))
        employee.get_by_role("button", name=ada.display_name).click()
        employee.wait_for_url(f"{world.site.url}/**")
        expect(employee.get_by_role("heading", name="You're in, Ada.")).to_be_visible()
    until(page, "Everything works.")

    assert page.locator("#checks[data-refresh]").count() == 0
    expect(page.locator("#checks").get_by_text("7 of 7")).to_be_visible()


def sign_in_address(world: World) -> str:
    """Where a sign-in of the connection that the test made starts."""
    with world.customer.unit() as unit:
        made = find_connection(unit, "Okta of Nordlys").id
    return f"{world.site.url}/sso/saml/nordlys/{made}/start"
