"""A person nobody has heard of signs in with a real identity provider, at a real service, in a real browser."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserType
from sqlalchemy import URL

from bridge.config import Settings
from tests.sign_in_service import SignInService, sign_in_over_http, sign_in_service
from tests.sign_ins import members, trust
from tests.simplesamlphp import SimpleSamlPhp, missing

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
GREETING = "You're in, Ada."
MAPPINGS = {"default": "standard", "rules": [{"group": "Engineering", "expected": True, "tier": "premium"}]}

pytestmark = [pytest.mark.external, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@dataclass(frozen=True, slots=True)
class Journey:
    """A running service, and the provider that its connection trusts."""

    service: SignInService
    provider: SimpleSamlPhp

    def check_ada_has_come(self) -> None:
        self.service.check_has_come(
            "ada@acme.example", display_name="Ada Lovelace", tier="premium", groups=["Engineering", "Everyone"]
        )


@pytest.fixture
def journey(settings: Settings, database_url: URL, tmp_path: Path) -> Iterator[Journey]:
    """The service on 127.0.0.1 and the provider on localhost: two sites, as in the world outside."""
    with sign_in_service(settings, database_url, MAPPINGS) as service:
        base = service.base()
        with SimpleSamlPhp(tmp_path / "idp", {f"{base}/metadata": f"{base}/acs"}, host="localhost") as provider:
            trust(service.customer, provider)
            yield Journey(service, provider)


@pytest.mark.every_postgres
def test_a_person_who_did_not_exist_is_signed_in_with_a_seat_and_a_reason(journey: Journey) -> None:
    page = sign_in_over_http(journey.service, lambda url: journey.provider.sign_in(url, "ada", "adapass"))

    assert GREETING in page
    journey.check_ada_has_come()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: chromium)")
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_browser_signs_in_across_two_sites_and_lands_where_it_wanted(
    journey: Journey, browser_type: BrowserType, *, script: bool
) -> None:
    with browser_type.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]) as chromium:
        context = chromium.new_context(java_script_enabled=script)
        page = context.new_page()
        page.goto(journey.service.start_url())
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
    assert "You have a Premium seat because the group Engineering gives Premium." in text
    assert (session["sameSite"], session["httpOnly"], session["domain"]) == ("Lax", True, "127.0.0.1")
    assert not [name for name in cookies if name.startswith("seatbridge-sso-")]
    journey.check_ada_has_come()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: chromium)")
def test_two_tabs_of_a_browser_sign_in_side_by_side(journey: Journey, browser_type: BrowserType) -> None:
    with browser_type.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]) as chromium:
        context = chromium.new_context()
        tabs = [context.new_page() for _ in range(2)]
        for tab in tabs:
            tab.goto(journey.service.start_url())
        for tab in tabs:
            tab.fill("input[name=username]", "ada")
            tab.fill("input[name=password]", "adapass")
            tab.press("input[name=password]", "Enter")
            tab.wait_for_url("**/me")
        texts = [tab.inner_text("body") for tab in tabs]
        context.close()

    assert all(GREETING in text for text in texts)
    assert [member.user_name for member in members(journey.service.customer)] == ["ada@acme.example"]
