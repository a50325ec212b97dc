"""A person nobody has heard of signs in with a certified OpenID provider: code, PKCE, groups that give a seat."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from bridge.adapters.oidc import Wire, discover
from bridge.config import Settings
from tests.oidc_provider import OidcProvider, missing
from tests.op import query_of, trust_op
from tests.sign_in_service import SignInService, sign_in_service

MAPPINGS = {"default": "standard", "rules": [{"group": "Engineering", "expected": True, "tier": "premium"}]}

pytestmark = [pytest.mark.external, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def sign_in(service: SignInService, provider: OidcProvider) -> str:
    """Sign Ada in as a browser would, and return the page it ends on."""
    with httpx.Client(trust_env=False, timeout=30) as browser:
        started = browser.get(service.start_url("oidc"))
        back = provider.sign_in(started.headers["Location"], "00u1ada")
        asked = {"Cookie": started.headers["Set-Cookie"].partition(";")[0]}
        answered = browser.get(back, headers=asked)
        assert (started.status_code, answered.status_code) == (302, 303), answered.text
        session = {"Cookie": answered.headers["Set-Cookie"].partition(";")[0]}
        finished = httpx.get(answered.headers["Location"], headers=session, trust_env=False)
        page = httpx.get(finished.headers["Refresh"].partition("url=")[2], headers=session, trust_env=False).text
    assert query_of(started.headers["Location"])["code_challenge_method"] == "S256"
    assert query_of(back)["iss"] == provider.issuer
    return page


@pytest.mark.parametrize("in_token", [True, False], ids=["claims in the ID token", "claims from userinfo"])
def test_a_person_of_a_certified_provider_is_signed_in_with_the_seat_of_their_group(
    settings: Settings, database_url: URL, tmp_path: Path, *, in_token: bool
) -> None:
    with sign_in_service(settings, database_url, MAPPINGS) as service:
        callback = f"{service.base('oidc')}/callback"
        with OidcProvider(tmp_path, [callback], claims_in_id_token=in_token, host="localhost") as provider:
            facts = discover(Wire(provider.issuer))
            trust_op(
                service.customer,
                provider,
                scopes=("openid", "profile", "email", "groups"),
                algorithms=facts.algorithms,
                sends_issuer=facts.sends_issuer,
                asks_userinfo=not in_token,
            )

            page = sign_in(service, provider)

        assert "You're in, Ada." in page
        service.check_has_come(
            "ada@acme.example", display_name="Ada Lovelace", tier="premium", groups=["Engineering", "Everyone"]
        )
