"""The pages of connections: how each is doing, tokens shown once, whom it believes, domains, and who sees what."""

import io
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from bridge.runtime import Runtime
from bridge.simulator.saml import SimulatedIdp
from bridge.store.directory import get_connection, manual_connection
from bridge.store.models import AuditEntry, ScimToken
from bridge.usecases.connections import create_connection, issue_scim_token, list_domains, live_tokens
from bridge.usecases.map_claims import claims_of
from bridge.usecases.saml_trust import certificates_of, saml_provider
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.metadata_site import metadata_site
from tests.name_servers import name_server
from tests.web import Browser, sign_in
from wsgi import compose


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def browser(app: Flask, customer: Customer) -> Browser:
    """The owner's browser."""
    return sign_in(app, customer)


@pytest.fixture
def here(customer: Customer) -> str:
    """The address of the connection's pages."""
    return f"/console/connections/{customer.connection_id}"


def audited(customer: Customer) -> list[tuple[str, str]]:
    """Every change of a connection, with who made it."""
    with customer.unit() as unit:
        entries = unit.session.scalars(select(AuditEntry).order_by(AuditEntry.seq)).all()
        kinds = ("connection.", "token.", "domain.")
        return [(one.action, one.actor) for one in entries if one.action.startswith(kinds)]


def test_a_new_connection_is_made_and_one_of_the_same_name_is_refused(browser: Browser, customer: Customer) -> None:
    made = browser.post("/console/connections", {"name": "Entra ID"})
    again = browser.post("/console/connections", {"name": "entra id"})

    assert made.status == 303
    assert "Not used yet" in browser.get(made.location).text
    assert again.status == 422
    assert "there is a connection" in again.text
    assert audited(customer) == [("connection.created", f"member:{customer.owner_id}")]


def test_a_token_is_shown_once_and_refused_when_two_live(browser: Browser, customer: Customer, here: str) -> None:
    shown = browser.post(f"{here}/tokens", {"label": "Okta 2027", "days": "30"})
    token = re.search(r"sbscim_[\w-]{43}", shown.text)
    browser.post(f"{here}/tokens", {})
    third = browser.post(f"{here}/tokens", {})
    page = browser.get(here)

    assert token is not None
    assert shown.headers["Cache-Control"] == "no-store"
    assert token.group() not in page.text
    assert "Okta 2027" in page.text
    assert third.status == 409
    with customer.unit() as unit:
        first = unit.session.scalars(select(ScimToken).where(ScimToken.label == "Okta 2027")).one()
        assert first.expires_at == unit.at + timedelta(days=30)


def test_a_token_is_revoked_on_its_own_connections_page_only(browser: Browser, customer: Customer, here: str) -> None:
    with customer.unit() as unit:
        other = create_connection(unit, "Entra ID")
        issue_scim_token(unit, other.id)
        (token,) = live_tokens(unit, other.id)

    elsewhere = browser.post(f"{here}/tokens/{token.id}/revoke")
    revoked = browser.post(f"/console/connections/{other.id}/tokens/{token.id}/revoke")

    assert (elsewhere.status, revoked.status) == (404, 303)
    with customer.unit() as unit:
        assert live_tokens(unit, other.id) == []


def test_metadata_is_taken_from_a_file(browser: Browser, customer: Customer, here: str, clock: SettableClock) -> None:
    idp = SimulatedIdp.create("https://idp.test/meta", "https://idp.test/sso", now=clock.now())
    browser.get(here)

    answer = browser.post(f"{here}/saml", {"metadata": (io.BytesIO(idp.metadata()), "idp.xml")})
    page = browser.get(f"{here}/sign-in")

    assert answer.status == 303, answer.text
    assert "https://idp.test/meta" in page.text
    with customer.unit() as unit:
        assert get_connection(unit, customer.connection_id).issuer == "https://idp.test/meta"
        assert len(certificates_of(unit, customer.connection_id)) == 1
    assert audited(customer) == [("connection.saml_trusted", f"member:{customer.owner_id}")]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "give its address, or choose the file"),
        ({"metadata_url": "http://127.0.0.1:9/metadata"}, "leads to this machine"),
        ({"metadata_url": "http://localhost/metadata"}, "leads to this machine"),
        ({"metadata_url": "nonsense"}, "must be an address"),
    ],
)
def test_metadata_that_cannot_be_had_is_refused_in_words(
    browser: Browser, here: str, form: dict[str, str], sentence: str
) -> None:
    answer = browser.post(f"{here}/saml", form)

    assert answer.status == 422
    assert sentence in answer.text


def test_metadata_at_a_host_that_the_operator_vouches_for_is_read_again_from_there(
    runtime: Runtime, customer: Customer, here: str, clock: SettableClock
) -> None:
    idp = SimulatedIdp.create("https://idp.test/meta", "https://idp.test/sso", now=clock.now())
    sso = runtime.settings.sso.model_copy(update={"internal_hosts": ("127.0.0.1",)})
    runtime.settings = runtime.settings.model_copy(update={"sso": sso})
    browser = sign_in(compose(runtime), customer)

    with metadata_site(idp.metadata()) as site:
        answer = browser.post(f"{here}/saml", {"metadata_url": site.url})

    assert answer.status == 303, answer.text
    with customer.unit() as unit:
        provider = saml_provider(unit, customer.connection_id)
        assert provider is not None
        assert provider.metadata_url == site.url


def test_an_openid_provider_on_this_machine_is_not_asked(browser: Browser, here: str) -> None:
    answer = browser.post(f"{here}/oidc", {"issuer": "http://127.0.0.1:9", "client_id": "us", "client_secret": "s"})

    assert answer.status == 422
    assert "leads to this machine" in answer.text
    assert "client_secret" in answer.text


def test_switches_names_and_turning_off_are_kept_and_audited(browser: Browser, customer: Customer, here: str) -> None:
    browser.post(f"{here}/switches", {"confirmation": "always"})
    browser.post(f"{here}/attributes", {"fact.groups": "roles", "attribute.department": "dept"})
    unsure = browser.post(f"{here}/disable")
    browser.post(f"{here}/disable", {"sure": "yes"})
    off = browser.get(here)
    browser.post(f"{here}/enable")

    with customer.unit() as unit:
        kept = get_connection(unit, customer.connection_id)
        claims = claims_of(unit, customer.connection_id)
    assert (kept.jit_enabled, kept.confirmation, kept.disabled_at) == (False, "always", None)
    assert (claims.groups, dict(claims.attributes)) == ("roles", {"department": "dept"})
    assert unsure.status == 422
    assert "Turned off since" in off.text
    assert [action for action, _ in audited(customer)] == [
        "connection.jit_set",
        "connection.confirmation_set",
        "connection.claims_mapped",
        "connection.disabled",
        "connection.enabled",
    ]


def test_a_domain_is_claimed_shows_its_record_and_is_given_up(browser: Browser, customer: Customer, here: str) -> None:
    browser.post(f"{here}/domains", {"domain": "Nordlys.Example"})
    with customer.unit() as unit:
        (claimed,) = list_domains(unit)
    page = browser.get(here)
    wrong = browser.post(f"{here}/domains", {"domain": "no domain"})
    browser.post(f"{here}/domains/remove", {"domain": "nordlys.example"})

    assert f"seatbridge-verification={claimed.challenge}" in page.text
    assert wrong.status == 422
    with customer.unit() as unit:
        assert list_domains(unit) == []


def test_a_domain_is_verified_by_its_record_and_never_on_the_word_of_an_administrator(
    runtime: Runtime, customer: Customer, here: str
) -> None:
    records: dict[str, list[str]] = {}
    with name_server(records) as resolver:
        sso = runtime.settings.sso.model_copy(update={"dns_servers": (f"127.0.0.1:{resolver.port}",)})
        runtime.settings = runtime.settings.model_copy(update={"sso": sso})
        browser = sign_in(compose(runtime), customer)
        browser.post(f"{here}/domains", {"domain": "nordlys.test"})
        with customer.unit() as unit:
            (claimed,) = list_domains(unit)
        missing = browser.post(f"{here}/domains/verify", {"domain": "nordlys.test"})
        records["nordlys.test."] = [f'"seatbridge-verification={claimed.challenge}"']
        found = browser.post(f"{here}/domains/verify", {"domain": "nordlys.test"})

    assert missing.status == 422
    assert "has no TXT record" in missing.text
    assert found.status == 303
    with customer.unit() as unit:
        (verified,) = list_domains(unit)
        assert verified.verified_by == "dns"


def test_the_list_tells_what_a_connection_was_used_for(browser: Browser, customer: Customer) -> None:
    customer.push("ada@nordlys.test", displayName="Ada")
    with customer.unit() as unit:
        issue_scim_token(unit, customer.connection_id, lifetime=timedelta(days=20))
        get_connection(unit, customer.connection_id).scim_last_used_at = unit.at

    page = browser.get("/console/connections")

    assert "1 person, pushed by SCIM." in page.text
    assert "Ends soon" in page.text
    assert "SCIM token, in 20 days" in page.text


def test_t1_the_connection_of_another_organization_and_that_of_nobody_are_unknown(
    app: Flask, make_customer: Callable[..., Customer]
) -> None:
    """T1: another organization's connection is as unknown as none; that of people added by hand is no page either."""
    ours, theirs = make_customer("nordlys"), make_customer("sudlys")
    browser = sign_in(app, ours)
    with ours.unit() as unit:
        manual = manual_connection(unit).id

    for path in ("", "/sign-in", "/attributes", "/sign-ins"):
        assert browser.get(f"/console/connections/{theirs.connection_id}{path}").status == 404
        assert browser.get(f"/console/connections/{manual}{path}").status == 404
    for path in ("/tokens", "/saml", "/oidc", "/domains/verify", "/disable", "/switches"):
        assert browser.post(f"/console/connections/{theirs.connection_id}{path}", {"sure": "yes"}).status == 404
