"""A second make of provider: what LemonLDAP::NG (Lasso) signs, our verification accepts, and its groups give seats."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from bridge.config import Settings
from tests.lemonldap import LemonLdap, missing
from tests.sign_in_service import sign_in_over_http, sign_in_service
from tests.sign_ins import trust

MAPPINGS = {"default": "standard", "rules": [{"group": "timelords", "expected": True, "tier": "premium"}]}

pytestmark = [pytest.mark.external, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def test_a_person_of_lemonldap_is_signed_in_with_the_seat_of_their_group(
    settings: Settings, database_url: URL, tmp_path: Path
) -> None:
    with sign_in_service(settings, database_url, MAPPINGS) as service:
        metadata = httpx.get(f"{service.base()}/metadata", trust_env=False).content
        with LemonLdap(tmp_path / "idp", metadata, host="localhost") as provider:
            trust(service.customer, provider)

            page = sign_in_over_http(service, lambda url: provider.sign_in(url, "dwho"))

        assert "You're in, Doctor." in page
        service.check_has_come(
            "dwho@badwolf.org", display_name="Doctor Who", tier="premium", groups=["timelords", "users"]
        )
