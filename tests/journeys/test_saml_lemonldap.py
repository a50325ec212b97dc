"""A second make of provider: what LemonLDAP::NG (Lasso) signs, we believe, and what we sign, it believes."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from bridge.config import Settings
from tests.lemonldap import LemonLdap, missing
from tests.live import Surfer
from tests.providers import form_with
from tests.sign_in_service import sign_in_service
from tests.sign_ins import trust
from tests.web import csrf_token

MAPPINGS = {"default": "standard", "rules": [{"group": "timelords", "expected": True, "tier": "premium"}]}

pytestmark = [pytest.mark.external, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def test_a_person_of_lemonldap_gets_the_seat_of_their_group_and_signs_out_at_both_sides(
    settings: Settings, database_url: URL, tmp_path: Path
) -> None:
    with sign_in_service(settings, database_url, MAPPINGS) as service:
        metadata = httpx.get(f"{service.base()}/metadata", trust_env=False).content
        with LemonLdap(tmp_path / "idp", metadata, host="localhost") as provider:
            trust(service.customer, provider)
            browser = Surfer()

            asked = browser.open(service.start_url())
            action, fields = form_with(asked, "password")
            answered = browser.post(action, {**fields, "user": "dwho", "password": "dwho"})
            page = browser.post(*form_with(answered, "SAMLResponse"))
            out = browser.post(f"{service.url}/sign-out", {"csrf_token": csrf_token(page.text)})
            again = browser.open(service.start_url())
            browser.close()

        assert "You're in, Doctor." in page.text
        service.check_has_come(
            "dwho@badwolf.org", display_name="Doctor Who", tier="premium", groups=["timelords", "users"]
        )
        assert "Your company's sign-in has signed you out too" in out.text.replace("&#39;", "'")
        assert form_with(again, "password"), "the provider asks for the password again"
