"""A real browser against a real server: Chromium of the machine, the app in a thread of this process."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from werkzeug.serving import make_server

from bridge.runtime import Runtime
from bridge.usecases.sign_in_links import create_sign_in_link
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.e2e.world import build_world
from tests.factories import Customer

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none, and say how to get one."""
    if CHROMIUM is None:
        reason = "no browser: apt-get install chromium, or set CHROMIUM to the program"
        for item in items:
            if "e2e" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Start the machine's Chromium as containers need it."""
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--disable-dev-shm-usage"]}


@dataclass(frozen=True, slots=True)
class Site:
    """The running service with a company in it."""

    url: str
    customer: Customer

    def sign_in(self, page: Page) -> None:
        """Sign the owner in as a person does: open the link, press the button."""
        with self.customer.unit() as unit:
            link = create_sign_in_link(unit, self.customer.owner_id)
        page.goto(f"{self.url}/sign-in/link/{link.text}")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.url}/console")


@pytest.fixture
def site(runtime: Runtime) -> Iterator[Site]:
    """Serve the app on a free port of the loopback address."""
    customer = build_world(runtime)
    app = create_web_app(runtime, console_blueprints())
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}", customer)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture(params=["light", "dark", "phone"])
def looks(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """The three looks of every page."""
    look: str = request.param
    context = browser.new_context(
        color_scheme="dark" if look == "dark" else "light",
        viewport={"width": 390, "height": 844} if look == "phone" else {"width": 1280, "height": 900},
    )
    yield context
    context.close()
