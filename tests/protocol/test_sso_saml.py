"""The sign-in pages: what a browser and an identity provider send, and what they get."""

import random
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Blueprint, Flask
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from bridge.runtime import Runtime
from bridge.store.directory import get_connection, get_member, manual_connection
from bridge.store.models import SignInRequest, WebSession
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.sign_in import SignInRefusal
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.credentials import signed_in
from bridge.web.session import Visit
from bridge.web.sso import safe_return_path, saml_blueprint
from tests.factories import Customer
from tests.sign_ins import ADA, Browser, count, events, idp, members, trust

PUBLIC = "http://127.0.0.1:8080"
METADATA = {"md": "urn:oasis:names:tc:SAML:2.0:metadata"}


@pytest.fixture
def acme(customer: Customer) -> Customer:
    trust(customer)
    return customer


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    """The sign-in pages, and one page that says who is signed in."""
    pages = Blueprint("pages", __name__)

    @pages.get("/whoami")
    @signed_in()
    def whoami(visit: Visit) -> str:
        return visit.member.user_name

    return create_web_app(runtime, [saml_blueprint(runtime), *console_blueprints(), pages])


@pytest.fixture
def visitor(app: Flask, acme: Customer) -> Browser:
    return Browser(app, acme)


def without_request_id(page: str) -> str:
    return re.sub(r"[0-9a-f]{8}-?[0-9a-f-]{20,}|req_\w+", "REQUEST", page)


def reasons(customer: Customer) -> list[str]:
    return [event.reason for event in events(customer)]


def test_a_person_who_did_not_exist_signs_in(visitor: Browser, acme: Customer) -> None:
    received = visitor.start("/whoami")

    answered = visitor.answer(idp().respond(received, ADA, now=acme.runtime.clock.now()))
    finished = visitor.get(answered.location)

    assert (answered.status_code, answered.location) == (303, f"{PUBLIC}{visitor.base}/finish?return=%2Fwhoami")
    assert finished.headers["Refresh"] == f"0; url={PUBLIC}/whoami"
    assert f'href="{PUBLIC}/whoami"' in finished.text
    assert visitor.get("/whoami").text == "ada@acme.test"
    assert [(member.user_name, member.tier) for member in members(acme)] == [("ada@acme.test", "premium")]


def test_the_request_goes_to_the_provider_with_our_configured_addresses(visitor: Browser) -> None:
    received = visitor.start()

    assert received.sp_entity_id == f"{PUBLIC}{visitor.base}/metadata"
    assert received.acs_url == f"{PUBLIC}{visitor.base}/acs"
    assert received.relay_state is None


def test_the_cookie_of_a_request_is_for_the_acs_alone_and_is_taken_away_with_the_answer(visitor: Browser) -> None:
    started = visitor.get(f"{visitor.base}/start")
    cookie = started.headers["Set-Cookie"]

    answered = visitor.sign_in(ADA)

    assert re.fullmatch(
        rf"seatbridge-sso-[0-9a-f]{{16}}=[\w-]{{43}}; Expires=[^;]+; Max-Age=600; Secure; HttpOnly; "
        rf"Path={visitor.base}/acs; SameSite=None",
        cookie,
    )
    kept, taken = (
        next(found for found in answered.headers.getlist("Set-Cookie") if found.startswith(name))
        for name in ("seatbridge=", "seatbridge-sso-")
    )
    assert re.fullmatch(r"seatbridge=[\w-]{43}; Expires=[^;]+; Max-Age=43200; HttpOnly; Path=/; SameSite=Lax", kept)
    assert "Max-Age=0" in taken
    assert visitor.get("/whoami").text == "ada@acme.test"


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "\x00/people",
        "people",
        "",
        "/" + "x" * 3000,
        "/sso/saml/acme/x/test",
    ],
)
def test_i9_a_sign_in_ends_at_a_path_of_ours_only(path: str) -> None:
    """I9: open redirects."""
    assert safe_return_path(path) == "/"


@given(st.text(alphabet="/\\.:?#@ \t\nev%", max_size=12))
def test_i9_a_browser_resolves_no_return_path_to_another_site(path: str) -> None:
    target = urlsplit(urljoin(PUBLIC, safe_return_path(path)))

    assert (target.scheme, target.netloc) == ("http", "127.0.0.1:8080")


def test_a_sign_in_keeps_the_path_it_started_from() -> None:
    assert safe_return_path("/people?q=ada&tier=premium#top") == "/people?q=ada&tier=premium#top"


def test_the_finish_page_says_when_the_browser_kept_no_cookie(app: Flask, acme: Customer) -> None:
    page = Browser(app, acme).get(f"/sso/saml/{acme.slug}/{acme.connection_id}/finish?return=/people")

    assert page.status_code == 403
    assert "Allow cookies" in page.text


def test_i11_a_sign_in_always_makes_a_new_session(visitor: Browser, acme: Customer) -> None:
    """I11: what was in the browser before, planted or real, is never continued."""
    visitor.keep("seatbridge", "planted")
    visitor.sign_in(ADA)
    first = visitor.cookie("seatbridge")

    visitor.sign_in(ADA)

    assert first not in {"planted", None}
    assert visitor.cookie("seatbridge") not in {"planted", first}
    assert count(acme, WebSession) == 2


def test_two_tabs_sign_in_each_to_its_own_page(visitor: Browser, acme: Customer) -> None:
    now = acme.runtime.clock.now()
    one, two = visitor.start("/one"), visitor.start("/two")

    second = visitor.answer(idp().respond(two, ADA, now=now))
    first = visitor.answer(idp().respond(one, ADA, now=now))

    assert first.location.endswith("return=%2Fone")
    assert second.location.endswith("return=%2Ftwo")


def test_a_sign_in_does_not_start_inside_another_page(visitor: Browser, acme: Customer) -> None:
    started = visitor.get(f"{visitor.base}/start", headers={"Sec-Fetch-Dest": "image"})

    assert started.status_code == 400
    assert count(acme, SignInRequest) == 0


def test_t18_deactivation_ends_the_session_that_a_sign_in_opened(visitor: Browser, acme: Customer) -> None:
    visitor.sign_in(ADA)
    assert visitor.get("/whoami").status_code == 200

    with acme.unit(acme.directory) as unit:
        deactivate_member(unit, get_member(unit, members(acme)[0].id), reason="directory")

    with acme.unit() as unit:
        assert unit.session.query(WebSession).one().ended_by == "directory"


def begun_at_the_provider(visitor: Browser, customer: Customer) -> str:
    return idp().respond(replace(visitor.start(), request_id=None), ADA, now=customer.runtime.clock.now())


def test_a_sign_in_that_the_provider_began_goes_to_the_home_page_where_it_is_allowed(
    visitor: Browser, acme: Customer
) -> None:
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).idp_initiated = True

    response = begun_at_the_provider(visitor, acme)
    answered = visitor.answer(response)
    again = visitor.answer(response)

    assert answered.location.endswith("/finish?return=%2F")
    assert again.status_code == 403
    assert sorted(reasons(acme)) == ["ok", SignInRefusal.REPLAYED]


def test_what_does_not_exist_looks_like_any_unknown_page(
    visitor: Browser, acme: Customer, make_customer: Callable[..., Customer]
) -> None:
    other = make_customer("fjord")
    with acme.unit() as unit:
        manual = manual_connection(unit).id
    unknown = visitor.get("/nothing/here")
    connections = (f"fjord/{acme.connection_id}", f"nordlys/{other.connection_id}", f"nordlys/{manual}")

    for place in (*connections, "nobody/x", "nordlys/x", f"nordlys/{str(acme.connection_id).upper()}", "a\x00b/x"):
        for page in ("start", "metadata"):
            answer = visitor.get(f"/sso/saml/{place}/{page}")
            assert (answer.status_code, without_request_id(answer.text)) == (404, without_request_id(unknown.text))
        assert visitor.post(f"/sso/saml/{place}/acs", data={"SAMLResponse": "x"}).status_code == 404


def test_an_answer_with_any_byte_changed_is_refused_or_means_the_same(visitor: Browser, acme: Customer) -> None:
    chance = random.Random(7)  # noqa: S311 (bytes to break, the same ones each time)
    document = b64decode(idp().respond(visitor.start(), ADA, now=acme.runtime.clock.now()))

    for _ in range(40):
        position = chance.randrange(len(document))
        changed = document[:position] + bytes([chance.randrange(256)]) + document[position + 1 :]
        answered = visitor.answer(b64encode(changed).decode())
        assert answered.status_code in {303, 403}, changed

    assert {member.user_name for member in members(acme)} <= {"ada@acme.test"}


def test_our_metadata_names_the_addresses_to_enter_at_the_provider(visitor: Browser, customer: Customer) -> None:
    answer = visitor.get(f"{visitor.base}/metadata")

    entity = etree.fromstring(answer.data)
    service = entity.find("md:SPSSODescriptor/md:AssertionConsumerService", METADATA)
    assert answer.content_type == "application/samlmetadata+xml"
    assert entity.get("entityID") == f"{PUBLIC}{visitor.base}/metadata"
    assert service is not None
    assert service.get("Location") == f"{PUBLIC}{visitor.base}/acs"


def test_t16_a_disabled_connection_refuses_to_start_and_to_finish(visitor: Browser, acme: Customer) -> None:
    response = idp().respond(visitor.start(), ADA, now=acme.runtime.clock.now())
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).disabled_at = unit.at

    assert visitor.get(f"{visitor.base}/start").status_code == 403
    assert visitor.answer(response).status_code == 403
    assert reasons(acme) == [SignInRefusal.CONNECTION_DISABLED] * 2
