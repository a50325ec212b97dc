"""The simulated provider's web site: it signs for the product that asked, and for nobody else."""

import base64
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from lxml import etree, html

from bridge.simulator.company import Company
from bridge.simulator.dialects import Dialect
from bridge.simulator.directory import Directory
from bridge.simulator.saml import SAML, SAMLP, SimulatedIdp
from bridge.simulator.server import bind, serving
from bridge.simulator.web import create_site

PRODUCT = "http://127.0.0.1:8080"
ACS = f"{PRODUCT}/sso/saml/acme/1/acs"


@pytest.fixture
def company() -> Company:
    directory = Directory("acme.example")
    directory.hire("Ada", "Berg", groups=["Engineering"])
    directory.leave(directory.hire("Ben", "Dahl").id)
    idp = SimulatedIdp.create("http://localhost/acme", "http://localhost/acme/sso", now=datetime.now(UTC))
    return Company(
        slug="acme",
        name="Acme & Sons",
        directory=directory,
        idp=idp,
        dialect=Dialect.OKTA,
        sign_in_url=f"{PRODUCT}/sso/saml/acme/1/start",
    )


@pytest.fixture
def browser(company: Company) -> FlaskClient:
    return create_site({company.slug: company}, PRODUCT).test_client()


def sso_path(acs_url: str = ACS) -> str:
    """The address that the product sends a browser to."""
    request = (
        f'<p:AuthnRequest xmlns:p="{SAMLP}" xmlns:a="{SAML}" ID="_r1" Version="2.0" '
        f'AssertionConsumerServiceURL="{acs_url}"><a:Issuer>{PRODUCT}/metadata</a:Issuer></p:AuthnRequest>'
    )
    deflated = zlib.compress(request.encode())[2:-4]
    return "/acme/sso?" + urlencode({"SAMLRequest": base64.b64encode(deflated).decode(), "RelayState": "back"})


def posted_response(page: str) -> tuple[str, dict[str, str], Any]:
    """The address, the fields and the response that a page carries on."""
    (form,) = html.document_fromstring(page).forms
    fields = dict(form.form_values())
    return form.action, fields, etree.fromstring(base64.b64decode(fields["SAMLResponse"]))


def test_asks_who_is_signing_in_and_offers_nobody_who_left(browser: FlaskClient) -> None:
    page = browser.get(sso_path())

    assert page.status_code == 200
    assert "Ada Berg" in page.text
    assert "Ben Dahl" not in page.text
    assert "Acme &amp; Sons" in page.text


def test_signs_an_answer_to_the_request_about_the_chosen_person(browser: FlaskClient, company: Company) -> None:
    ada = company.directory.named("Ada Berg")

    page = browser.post(sso_path(), data={"person": ada.id})

    action, fields, response = posted_response(page.text)
    assert (action, fields["RelayState"], response.get("InResponseTo")) == (ACS, "back", "_r1")
    assert response.findtext(f".//{{{SAML}}}NameID") == "ada.berg@acme.example"
    assert "Engineering" in [value.text for value in response.iter(f"{{{SAML}}}AttributeValue")]


def test_whoever_was_chosen_in_the_directory_is_not_asked_again(browser: FlaskClient, company: Company) -> None:
    ada = company.directory.named("Ada Berg")

    started = browser.post(f"/acme/people/{ada.id}/sign-in")
    answered = browser.get(sso_path())
    asked = browser.get(sso_path())

    assert started.headers["Location"] == company.sign_in_url
    assert posted_response(answered.text)[0] == ACS
    assert "Choose who you are" in asked.text


@pytest.mark.parametrize(
    "acs_url", ["https://evil.example/acs", "http://127.0.0.1:8081/acs", "", "javascript:alert(1)"]
)
def test_an_assertion_goes_to_nobody_but_the_product(browser: FlaskClient, acs_url: str) -> None:
    answer = browser.get(sso_path(acs_url))

    assert answer.status_code == 400


@pytest.mark.parametrize("query", ["", "?SAMLRequest=x", "?SAMLRequest=AAAA"])
def test_what_is_no_request_is_refused(browser: FlaskClient, query: str) -> None:
    answer = browser.get(f"/acme/sso{query}")

    assert answer.status_code == 400


def test_a_form_of_another_site_is_refused(browser: FlaskClient) -> None:
    answer = browser.post("/acme/hire", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


def test_another_name_for_this_host_is_refused(browser: FlaskClient) -> None:
    answer = browser.get("/", headers={"Host": "rebound.example"})

    assert answer.status_code == 403


def test_pages_forbid_scripts_and_forms_of_others(browser: FlaskClient) -> None:
    policy = browser.get("/").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert f"form-action 'self' {PRODUCT};" in policy


def test_gives_its_metadata(browser: FlaskClient, company: Company) -> None:
    answer = browser.get("/acme/metadata")

    assert answer.mimetype == "application/samlmetadata+xml"
    assert answer.data == company.idp.metadata()


@pytest.mark.parametrize("path", ["/other/", "/other/sso", "/acme/wire/0"])
def test_what_is_not_there_is_not_found(browser: FlaskClient, path: str) -> None:
    answer = browser.get(path)

    assert answer.status_code == 404


@pytest.fixture
def unreachable(company: Company) -> Iterator[Company]:
    """The company, provisioning a product that is not running."""
    company.scim_url, company.token = f"{closed_port_url()}/scim/v2/acme", "token"
    yield company
    company.close()


def closed_port_url() -> str:
    server = bind()
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}"


def test_the_site_goes_on_while_the_product_is_away(browser: FlaskClient, unreachable: Company) -> None:
    answer = browser.post("/acme/hire", follow_redirects=True)

    assert answer.status_code == 200
    assert "20 people joined. The product could not be told" in answer.text
    assert "The bridge does not answer at the moment." in answer.text
    assert len(unreachable.directory) == 2 + 20


def test_groups_are_those_that_are_ticked(browser: FlaskClient, company: Company) -> None:
    ada, sales = company.directory.named("Ada Berg"), company.directory.group("Sales")

    browser.post(f"/acme/people/{ada.id}/groups", data={"group": sales.id})

    assert company.directory.groups_of(ada.id) == ("Sales",)


def test_serves_on_localhost_until_the_block_ends(company: Company) -> None:
    import httpx  # noqa: PLC0415 - only this test goes over the network

    server = bind()
    address = f"http://localhost:{server.server_port}/"

    with serving(server, {company.slug: company}, PRODUCT):
        answer = httpx.get(address)

    assert answer.status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(address)
