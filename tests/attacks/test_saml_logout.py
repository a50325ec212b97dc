"""Attacks on single logout: nobody but the provider of the very connection ends anybody's session."""

import base64
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree

from bridge.adapters.saml import SamlRefusal
from bridge.simulator.saml import SAML
from tests.attacks.target import REQUEST_ID, Door, Target, foreign_idp
from tests.logouts import SHA256, as_form, as_query, deflated, logout_request, provider, signature
from tests.saml_forgeries import ADA, NOW, forge_copy
from tests.sign_ins import trust

Forge = Callable[[Any], str]


@pytest.fixture(scope="module")
def second(target: Target) -> Target:
    """The service, where acme's second connection trusts a provider that offers single logout."""
    trust(target.second, provider())
    return target


@pytest.fixture
def door(second: Target) -> Iterator[Door]:
    """A browser in which Ada is signed in; after the attack, a new sign-in works."""
    door = second.door(second.second)
    door.lets_in(by=provider())
    yield door
    second.door(second.second).lets_in(by=provider())


def request(door: Door, **changes: str) -> Any:
    location = f"{door.target.acme.runtime.settings.server.public_url}{door.browser.base}/logout"
    return logout_request(location, ADA.name_id, now=NOW, **changes)


def unsigned(message: Any) -> str:
    return f"SAMLRequest={quote(deflated(etree.tostring(message)), safe='')}"


def by_another_key(message: Any) -> str:
    return as_query(message, key=foreign_idp().key)


def weakly_signed(message: Any) -> str:
    return as_query(message, algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1")


def of_another_issuer(message: Any) -> str:
    message.find(f"{{{SAML}}}Issuer").text = "https://evil.example"
    return as_query(message)


def with_another_relay_state(message: Any) -> str:
    return as_query(message, relay_state="a").replace("RelayState=a", "RelayState=https%3A%2F%2Fevil.example")


def without_its_algorithm(message: Any) -> str:
    return as_query(message).replace(f"&SigAlg={quote(SHA256, safe='')}", "")


def for_another_address(message: Any) -> str:
    message.set("Destination", "https://evil.example/logout")
    return as_query(message)


def of_yesterday(message: Any) -> str:
    message.set("NotOnOrAfter", f"{NOW - timedelta(days=1):%FT%TZ}")
    return as_query(message)


def bomb(_message: Any) -> str:
    """A hundred megabytes in as many kilobytes, well signed."""
    query = f"SAMLRequest={quote(deflated(b'<a>' + b' ' * 100_000_000), safe='')}&SigAlg={quote(SHA256, safe='')}"
    return f"{query}&Signature={quote(base64.b64encode(signature(query, provider().key)).decode(), safe='')}"


QUERIES: dict[Forge, str] = {
    unsigned: SamlRefusal.NO_SIGNATURE,
    by_another_key: SamlRefusal.BAD_SIGNATURE,
    weakly_signed: SamlRefusal.ALGORITHM,
    of_another_issuer: SamlRefusal.ISSUER,
    with_another_relay_state: SamlRefusal.BAD_SIGNATURE,
    without_its_algorithm: SamlRefusal.NO_SIGNATURE,
    for_another_address: SamlRefusal.DESTINATION,
    of_yesterday: SamlRefusal.EXPIRED,
    bomb: SamlRefusal.TOO_LARGE,
}


@pytest.mark.parametrize(("forge", "reason"), QUERIES.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_query_that_is_not_the_providers_own_ends_nothing(door: Door, forge: Forge, reason: str) -> None:
    address = f"{door.browser.base}/logout?{forge(request(door))}"

    door.target.refuses(lambda: door.browser.get(address, headers=REQUEST_ID), reason, neutrally=False)


def wrapped(message: Any) -> None:
    """The signed request inside of a forged one that carries its signature."""
    signed = etree.fromstring(etree.tostring(message))
    for child in list(message):
        message.remove(child)
    message.extend(list(forge_copy(signed)))
    message.append(signed)
    message.set("ID", "_evil")


def tampered(message: Any) -> None:
    message.find(f"{{{SAML}}}NameID").text = "owner@acme.test"


def with_a_transform(message: Any) -> None:
    transform = next(message.iter("{http://www.w3.org/2000/09/xmldsig#}Transform"))
    transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (wrapped, SamlRefusal.SIGNATURE_PLACE),
        (tampered, SamlRefusal.BAD_SIGNATURE),
        (with_a_transform, SamlRefusal.TRANSFORM),
    ],
    ids=["wrapped", "tampered", "an XSLT transform"],
)
def test_a_form_that_is_not_the_providers_own_ends_nothing(
    door: Door, change: Callable[[Any], None], reason: str
) -> None:
    message = request(door)
    as_form(message)
    change(message)
    posted = {"SAMLRequest": base64.b64encode(etree.tostring(message)).decode()}

    door.target.refuses(
        lambda: door.browser.post(f"{door.browser.base}/logout", data=posted, headers=REQUEST_ID),
        reason,
        neutrally=False,
    )


def test_the_provider_of_one_connection_ends_no_session_of_another(door: Door) -> None:
    """The provider and the name are the same; the session was opened at the second connection."""
    target = door.target
    trust(target.neighbour, provider())
    base = f"/sso/saml/neighbour/{target.neighbour.connection_id}/logout"
    message = logout_request(f"http://127.0.0.1:8080{base}", ADA.name_id, now=NOW)

    target.app.test_client().get(f"{base}?{as_query(message)}")

    assert door.browser.get("/me").status_code == 200
