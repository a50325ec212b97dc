"""The frame every page hangs in: headers, probes, errors, and sign-in by company."""

import inspect
import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from bridge import errors
from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.runtime import Runtime, build_runtime
from bridge.store.directory import get_connection
from bridge.store.models import Domain
from bridge.usecases.connections import create_connection
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.console.entry import safe_path
from bridge.web.credentials import public
from bridge.web.errors import ANSWERS
from tests.factories import Customer
from tests.web import Browser, sign_in


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


def every_refusal() -> list[type[errors.BridgeError]]:
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.BridgeError) and kind is not errors.BridgeError
    ]


@pytest.mark.parametrize("refusal", every_refusal())
def test_every_refusal_has_a_page_of_its_own(refusal: type[errors.BridgeError]) -> None:
    assert refusal in ANSWERS


def test_i5_every_page_forbids_inline_code_framing_and_sniffing(app: Flask, customer: Customer) -> None:
    headers = sign_in(app, customer).get("/console").headers

    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_i5_no_page_holds_an_inline_style_or_script(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer)

    pages = [browser.get(path).text for path in ("/console", "/console/people", "/console/mappings", "/console/seats")]

    assert all(" style=" not in text and " onclick=" not in text for text in pages)
    # The one script is a file of our own: nothing stands between its tags.
    scripts = {
        re.sub(r"v=\w+", "v=", script)
        for text in pages
        for script in re.findall("<script.*?</script>", text, re.DOTALL)
    }
    assert scripts == {'<script src="/static/seatbridge.js?v=" defer></script>'}


def test_i5_a_name_with_markup_in_it_is_shown_as_text(app: Flask, customer: Customer) -> None:
    """I5."""
    customer.push("eve@nordlys.test", displayName="<img src=x onerror=alert(1)>")

    page = sign_in(app, customer).get("/console/people")

    assert "<img" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.text


def test_an_unknown_page_says_what_happened_what_to_do_and_its_request_id(app: Flask) -> None:
    answer = app.test_client().get("/nothing", headers={"X-Request-Id": "req-0123456789"})

    text = answer.get_data(as_text=True)
    assert answer.status_code == 404
    assert all(words in text for words in ("This page does not exist", "What to do", "req-0123456789"))


def test_i10_a_forged_host_header_appears_nowhere(app: Flask, customer: Customer) -> None:
    """I10."""
    browser = sign_in(app, customer)

    for path in ("/", "/console", "/sign-in", "/nothing", "/console/people/"):
        page = browser.get(path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert "evil.example" not in page.text
        assert "evil.example" not in page.location


def test_a_bug_answers_500_without_its_details(runtime: Runtime) -> None:
    app = create_web_app(runtime, console_blueprints())

    @app.get("/broken")
    @public
    def broken() -> str:
        raise ZeroDivisionError("secret detail")

    answer = app.test_client().get("/broken")

    assert answer.status_code == 500
    assert "secret detail" not in answer.get_data(as_text=True)
    assert "Something went wrong here" in answer.get_data(as_text=True)


def test_a_database_that_does_not_answer_is_503_and_worth_a_retry(runtime: Runtime) -> None:
    app = create_web_app(runtime, console_blueprints())

    @app.get("/down")
    @public
    def down() -> str:
        raise OperationalError("SELECT 1", {}, ConnectionError("refused"))

    answer = app.test_client().get("/down")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


def test_alive_and_ready_are_two_questions(app: Flask) -> None:
    client = app.test_client()

    assert client.get("/healthz").get_json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.get_json()["database"] == "ok"


def test_without_a_database_the_process_is_alive_and_not_ready(settings: Settings, database_url: URL) -> None:
    unreachable = build_runtime(settings, database_url.set(database="no_such_database"), payments=BuiltinPayments())
    client = create_web_app(unreachable, console_blueprints()).test_client()

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    unreachable.close()


def test_a_form_that_is_too_large_is_refused(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer)

    page = browser.post("/console/people/add", {"name": "x" * 5_000_000})

    assert page.status == 413


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\tevil", ""])
def test_i9_after_the_sign_in_nobody_is_sent_away_from_here(path: str) -> None:
    """I9."""
    assert safe_path(path) == "/"


def test_the_company_is_found_by_the_domain_alone(app: Flask, customer: Customer) -> None:
    verify_domain(customer, "nordlys.example")
    browser = Browser(app.test_client())

    known = browser.post("/sign-in", {"email": "anybody-at-all@Nordlys.example"})
    unknown = browser.post("/sign-in", {"email": "owner@elsewhere.example"})

    assert "Continue with Okta" in known.text
    assert f"/sso/saml/nordlys/{customer.connection_id}/start" in known.text
    assert "No company signs in here with this kind of address" in unknown.text


@pytest.mark.parametrize("state", ["no provider yet", "disabled"])
def test_a_company_without_a_sign_in_reads_as_one_that_is_not_here(app: Flask, customer: Customer, state: str) -> None:
    verify_domain(customer, "nordlys.example", protocol=None if state == "no provider yet" else "saml")
    with customer.unit() as unit:
        get_connection(unit, customer.connection_id).disabled_at = unit.at if state == "disabled" else None
    browser = Browser(app.test_client())

    known = browser.post("/sign-in", {"email": "a@nordlys.example"})
    unknown = browser.post("/sign-in", {"email": "a@elsewhere.example"})

    assert page_of(known.text) == page_of(unknown.text).replace("elsewhere.example", "nordlys.example")


def test_a_domain_of_no_connection_in_particular_offers_them_all(app: Flask, customer: Customer) -> None:
    verify_domain(customer, "nordlys.example")
    with customer.unit() as unit:
        entra = create_connection(unit, "Entra ID")
        entra.protocol = "oidc"
        create_connection(unit, "Not ready")
        unit.session.get_one(Domain, (unit.org_id, "nordlys.example")).connection_id = None

    page = Browser(app.test_client()).post("/sign-in", {"email": "ada@nordlys.example", "next": "/me"})

    saml = f"/sso/saml/nordlys/{customer.connection_id}/start?return=%2Fme"
    oidc = f"/sso/oidc/nordlys/{entra.id}/start?return=%2Fme&amp;login_hint=ada%40nordlys.example"
    assert "signs in in several ways" in page.text
    assert f'href="{saml}">Continue with Okta' in page.text
    assert f'href="{oidc}">Continue with Entra ID' in page.text
    assert "Not ready" not in page.text


def page_of(text: str) -> str:
    """Leave out what differs from one answer to the next."""
    return re.sub(r'name="csrf_token"[^>]*value="[^"]*"|nonce-\S+|req_\w+', "", text)


def verify_domain(customer: Customer, name: str, protocol: str | None = "saml") -> None:
    with customer.unit() as unit:
        get_connection(unit, customer.connection_id).protocol = protocol
        unit.session.add(
            Domain(
                org_id=unit.org_id,
                name=name,
                challenge="c",
                connection_id=customer.connection_id,
                created_at=unit.at,
                verified_at=unit.at - timedelta(days=1),
                verified_by="dns",
            )
        )


def test_a_role_that_does_not_suffice_is_told_which_ones_do(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer, customer.push("mia@nordlys.test", displayName="Mia").id)

    page = browser.get("/console")

    assert "Opening the console needs one of the roles primary owner, owner, admin; this is member." in page.text
