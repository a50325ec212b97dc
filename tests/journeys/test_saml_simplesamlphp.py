"""A person nobody has heard of signs in with a real identity provider, at a real service, in a real browser."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserType
from sqlalchemy import URL, select
from werkzeug.serving import make_server

from bridge.adapters import saml
from bridge.adapters.saml.trust import trust_in
from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.identifiers import ConnectionId
from bridge.runtime import build_runtime
from bridge.store.models import Decision
from bridge.usecases.saml_trust import trust_saml_provider
from tests.factories import Customer, create_customer
from tests.sign_ins import events, map_groups, members
from tests.simplesamlphp import SimpleSamlPhp, missing
from wsgi import compose

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
GREETING = "You're in, Ada."
MAPPINGS = {"default": "standard", "rules": [{"group": "Engineering", "expected": True, "tier": "premium"}]}

pytestmark = [
    pytest.mark.every_postgres,
    pytest.mark.external,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@dataclass(frozen=True, slots=True)
class Journey:
    """A running service with one customer, and the provider that its connection trusts."""

    customer: Customer
    provider: SimpleSamlPhp
    base: str

    @property
    def start_url(self) -> str:
        return f"{self.base}/start?return=/me"


@pytest.fixture
def journey(settings: Settings, database_url: URL, tmp_path: Path) -> Iterator[Journey]:
    """The service on 127.0.0.1 and the provider on localhost: two sites, as in the world outside."""
    port = free_port()
    server = settings.server.model_copy(update={"public_url": f"http://127.0.0.1:{port}", "port": port})
    runtime = build_runtime(settings.model_copy(update={"server": server}), database_url, payments=BuiltinPayments())
    customer = create_customer(runtime)
    map_groups(customer, MAPPINGS)
    base = f"{server.public_url}/sso/saml/{customer.slug}/{customer.connection_id}"
    service = make_server(
        "127.0.0.1",
        port,
        compose(runtime),
        threaded=True,
    )
    thread = threading.Thread(target=service.serve_forever)
    thread.start()
    try:
        metadata_url, acs_url = f"{base}/metadata", f"{base}/acs"
        with SimpleSamlPhp(tmp_path / "idp", {metadata_url: acs_url}, host="localhost") as provider:
            trust_metadata(customer, provider.metadata(), customer.connection_id)
            yield Journey(customer, provider, base)
    finally:
        service.shutdown()
        thread.join()
        service.server_close()
        runtime.close()


def trust_metadata(customer: Customer, document: bytes, connection_id: ConnectionId) -> None:
    with customer.unit() as unit:
        metadata = saml.parse_idp_metadata(document, now=unit.at)
        trust_saml_provider(unit, connection_id, trust_in(metadata))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_ada_has_come(customer: Customer) -> None:
    [ada] = members(customer)
    with customer.unit() as unit:
        decisions = unit.session.scalars(select(Decision).where(Decision.member_id == ada.id)).all()
    assert (ada.user_name, ada.display_name, ada.source) == ("ada@acme.example", "Ada Lovelace", "jit")
    assert ada.tier == "premium"
    assert [(made.to_tier, made.groups) for made in decisions] == [("premium", ["Engineering", "Everyone"])]
    assert decisions[0].rule is not None
    assert decisions[0].rule["tier"] == "premium"
    assert [event.outcome for event in events(customer)] == ["provisioned"]


def test_a_person_who_did_not_exist_is_signed_in_with_a_seat_and_a_reason(journey: Journey) -> None:
    with httpx.Client(trust_env=False) as browser:
        started = browser.get(journey.start_url)
        posted = journey.provider.sign_in(started.headers["Location"], "ada", "adapass")
        # A library's cookie jar sends no Secure cookie over http, as a browser does to this machine.
        request_cookie = started.headers["Set-Cookie"].partition(";")[0]
        answered = browser.post(
            posted.acs_url, data={"SAMLResponse": posted.saml_response}, headers={"Cookie": request_cookie}
        )
        session = answered.headers["Set-Cookie"].partition(";")[0]
        finished = httpx.get(answered.headers["Location"], headers={"Cookie": session}, trust_env=False)
        page = httpx.get(finished.headers["Refresh"].partition("url=")[2], headers={"Cookie": session}, trust_env=False)

    assert (started.status_code, answered.status_code) == (302, 303)
    assert GREETING in page.text
    check_ada_has_come(journey.customer)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: chromium)")
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_browser_signs_in_across_two_sites_and_lands_where_it_wanted(
    journey: Journey, browser_type: BrowserType, *, script: bool
) -> None:
    with browser_type.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]) as chromium:
        context = chromium.new_context(java_script_enabled=script)
        page = context.new_page()
        page.goto(journey.start_url)
        assert urlsplit(page.url).hostname == "localhost"
        page.fill("input[name=username]", "ada")
        page.fill("input[name=password]", "adapass")
        page.press("input[name=password]", "Enter")
        if not script:
            page.click("[type=submit]:visible")
        page.wait_for_url("**/me")
        text, cookies = page.inner_text("body"), {cookie["name"]: cookie for cookie in context.cookies()}
        context.close()

    session: Any = cookies["seatbridge"]
    assert GREETING in text
    assert (session["sameSite"], session["httpOnly"], session["domain"]) == ("Lax", True, "127.0.0.1")
    assert not [name for name in cookies if name.startswith("seatbridge-sso-")]
    check_ada_has_come(journey.customer)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: chromium)")
def test_two_tabs_of_a_browser_sign_in_side_by_side(journey: Journey, browser_type: BrowserType) -> None:
    with browser_type.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]) as chromium:
        context = chromium.new_context()
        tabs = [context.new_page() for _ in range(2)]
        for tab in tabs:
            tab.goto(journey.start_url)
        for tab in tabs:
            tab.fill("input[name=username]", "ada")
            tab.fill("input[name=password]", "adapass")
            tab.press("input[name=password]", "Enter")
            tab.wait_for_url("**/me")
        texts = [tab.inner_text("body") for tab in tabs]
        context.close()

    assert all(GREETING in text for text in texts)
    assert [member.user_name for member in members(journey.customer)] == ["ada@acme.example"]
