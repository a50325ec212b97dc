"""Single logout in both directions, over really signed messages."""

import base64
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask import Blueprint, Flask
from lxml import etree
from sqlalchemy import select
from werkzeug.test import TestResponse

from bridge.adapters.saml import SamlRefusal, parse_idp_metadata
from bridge.runtime import Runtime
from bridge.simulator.saml import METADATA, SAML, SAMLP
from bridge.store.directory import get_connection
from bridge.store.models import AuditEntry, SamlProvider, SamlReplay, SamlSession, WebSession
from bridge.usecases.service_keys import service_keys
from bridge.usecases.sign_in import SignInRefusal
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.credentials import signed_in
from bridge.web.session import Visit
from bridge.web.sso import saml_blueprint
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.logouts import (
    LOGOUT,
    SHA256,
    as_form,
    as_query,
    deflated,
    logout_request,
    logout_response,
    provider,
    read_query,
    signature,
)
from tests.saml_forgeries import NOW, other_key
from tests.sign_ins import ADA, Browser, count, events, trust
from tests.web import csrf_token

NAME = ADA.name_id


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
def visitor(app: Flask, customer: Customer) -> Browser:
    """A browser in which Ada is signed in."""
    trust(customer, provider())
    browser = Browser(app, customer)
    assert browser.sign_in(ADA).status_code == 303
    return browser


def location(visitor: Browser) -> str:
    return f"http://127.0.0.1:8080{visitor.base}/logout"


def index_of(customer: Customer) -> str:
    with customer.unit() as unit:
        found = unit.session.scalars(select(SamlSession.session_index)).first()
    assert found is not None
    return found


def request_of(visitor: Browser, customer: Customer, **changes: Any) -> Any:
    facts: dict[str, Any] = {"name_id": NAME, "now": customer.runtime.clock.now()}
    return logout_request(location(visitor), **(facts | changes))


def send(visitor: Browser, query: str) -> TestResponse:
    return visitor.get(f"{visitor.base}/logout?{query}")


def ours(customer: Customer) -> str:
    with customer.unit() as unit:
        return service_keys(unit, customer.connection_id)[0].certificate


def is_signed_in(visitor: Browser) -> bool:
    return visitor.get("/whoami").status_code == 200


def refusals(customer: Customer) -> set[str]:
    return {event.reason for event in events(customer) if event.outcome == "refused"}


def test_a_request_of_the_provider_ends_the_session_and_gets_a_signed_answer(
    visitor: Browser, customer: Customer
) -> None:
    message = request_of(visitor, customer, index=index_of(customer))

    answered = send(visitor, as_query(message, relay_state="state/1?&"))

    response = read_query(answered.location, ours(customer))
    assert answered.location.startswith(f"{LOGOUT}?SAMLResponse=")
    assert parse_qs(urlsplit(answered.location).query)["RelayState"] == ["state/1?&"]
    assert (response.get("InResponseTo"), response.get("Destination")) == (message.get("ID"), LOGOUT)
    assert response.find(f"{{{SAMLP}}}Status/{{{SAMLP}}}StatusCode").get("Value").endswith(":Success")
    assert not is_signed_in(visitor)


def test_a_request_by_a_form_ends_the_session_too(visitor: Browser, customer: Customer) -> None:
    answered = visitor.post(f"{visitor.base}/logout", data=as_form(request_of(visitor, customer)))

    assert answered.status_code == 303
    assert not is_signed_in(visitor)


def test_the_end_is_audited_and_in_the_sign_in_log(visitor: Browser, customer: Customer) -> None:
    send(visitor, as_query(request_of(visitor, customer)))

    with customer.unit() as unit:
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "session.ended")).one()
        session = unit.session.scalars(select(WebSession)).one()
    assert (entry.actor, entry.reason) == (f"sign_in:{customer.connection_id}", "identity_provider")
    assert session.ended_by == "identity_provider"
    assert [event.detail for event in events(customer) if event.outcome == "signed_out"] == [
        "The identity provider ended 1 of the person's sessions here."
    ]


def test_only_the_session_that_is_named_ends_and_without_an_index_all_of_the_person(
    visitor: Browser, app: Flask, customer: Customer
) -> None:
    first = index_of(customer)
    other = Browser(app, customer)
    other.sign_in(ADA)
    third = Browser(app, customer)
    third.sign_in(ADA)

    send(visitor, as_query(request_of(visitor, customer, index=first)))
    after_one = [is_signed_in(browser) for browser in (visitor, other, third)]
    send(visitor, as_query(request_of(visitor, customer, ID="_all")))

    assert after_one == [False, True, True]
    assert [is_signed_in(browser) for browser in (other, third)] == [False, False]


def test_somebody_else_s_name_ends_nothing(visitor: Browser, customer: Customer) -> None:
    answered = send(visitor, as_query(request_of(visitor, customer, name_id="eve@acme.test")))

    assert answered.status_code == 303
    assert is_signed_in(visitor)


def unsigned(message: Any) -> str:
    return f"SAMLRequest={quote(deflated(etree.tostring(message)), safe='')}"


def by_a_stranger(message: Any) -> str:
    return as_query(message, key=other_key())


def with_sha1(message: Any) -> str:
    return as_query(message, algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1")


def changed_afterwards(message: Any) -> str:
    return as_query(message).replace("SAMLRequest=", "SAMLRequest=A", 1)


def twice(message: Any) -> str:
    return f"{as_query(message)}&SAMLRequest=x"


def as_the_other_kind(message: Any) -> str:
    query = f"SAMLResponse={quote(deflated(etree.tostring(message)), safe='')}&SigAlg={quote(SHA256, safe='')}"
    octets = base64.b64encode(signature(query, provider().key)).decode()
    return f"{query}&Signature={quote(octets, safe='')}"


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (unsigned, SamlRefusal.NO_SIGNATURE),
        (by_a_stranger, SamlRefusal.BAD_SIGNATURE),
        (with_sha1, SamlRefusal.ALGORITHM),
        (changed_afterwards, SamlRefusal.BAD_SIGNATURE),
        (twice, SamlRefusal.MALFORMED),
        (as_the_other_kind, SamlRefusal.NOT_A_RESPONSE),
    ],
)
def test_a_query_that_is_not_well_signed_is_refused(
    visitor: Browser, customer: Customer, forge: Callable[[Any], str], reason: str
) -> None:
    answered = send(visitor, forge(request_of(visitor, customer)))

    assert answered.status_code == 403
    assert "You could not be signed out from there" in answered.text
    assert refusals(customer) == {reason}
    assert is_signed_in(visitor)
    assert count(customer, SamlReplay) == 1, "the sign-in's own"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Destination": "https://other.example/logout"}, SamlRefusal.DESTINATION),
        ({"Destination": ""}, SamlRefusal.DESTINATION),
        ({"NotOnOrAfter": "2026-03-02T08:58:00Z"}, SamlRefusal.EXPIRED),
        ({"NotOnOrAfter": "", "IssueInstant": "2026-03-02T08:53:00Z"}, SamlRefusal.EXPIRED),
        ({"IssueInstant": "2026-03-02T09:02:00Z"}, SamlRefusal.ISSUED_IN_FUTURE),
        ({"Version": "1.1"}, SamlRefusal.VERSION),
        ({"ID": ""}, SamlRefusal.SCHEMA),
    ],
    ids=str,
)
def test_a_request_that_is_not_for_us_or_not_of_now_is_refused(
    visitor: Browser, customer: Customer, changes: dict[str, str], reason: str
) -> None:
    """It is 09:00:00."""
    assert send(visitor, as_query(request_of(visitor, customer, **changes))).status_code == 403
    assert refusals(customer) == {reason}
    assert is_signed_in(visitor)


def test_a_request_of_another_provider_is_refused(visitor: Browser, customer: Customer) -> None:
    message = request_of(visitor, customer)
    message.find(f"{{{SAML}}}Issuer").text = "https://evil.example"

    assert send(visitor, as_query(message)).status_code == 403
    assert refusals(customer) == {SamlRefusal.ISSUER}


def test_a_request_works_once(visitor: Browser, app: Flask, customer: Customer, clock: SettableClock) -> None:
    query = as_query(request_of(visitor, customer))
    send(visitor, query)
    again = Browser(app, customer)
    again.sign_in(ADA)
    clock.at += timedelta(minutes=4)

    assert send(visitor, query).status_code == 403
    assert refusals(customer) == {SignInRefusal.REPLAYED}
    assert is_signed_in(again)


def test_what_nobody_signed_is_never_inflated_and_what_was_signed_only_to_64_kilobytes(
    visitor: Browser, customer: Customer
) -> None:
    """A bomb of 100 MB: 100 kB in the query."""
    bomb = deflated(b"<a>" + b" " * 100_000_000)
    query = f"SAMLRequest={quote(bomb, safe='')}&SigAlg={quote(SHA256, safe='')}"
    good = quote(base64.b64encode(signature(query, provider().key)).decode(), safe="")

    began = time.process_time()
    answers = [send(visitor, f"{query}&Signature={sent}").status_code for sent in ("AAAA", good)]

    assert answers == [403, 403]
    assert refusals(customer) == {SamlRefusal.BAD_SIGNATURE, SamlRefusal.TOO_LARGE}
    assert time.process_time() - began < 0.5


def unsigned_form(message: Any) -> dict[str, str]:
    return {"SAMLRequest": base64.b64encode(etree.tostring(message)).decode()}


def strangers_form(message: Any) -> dict[str, str]:
    return as_form(message, other_key())


def doctype(message: Any) -> dict[str, str]:
    return {"SAMLRequest": base64.b64encode(b"<!DOCTYPE a>" + etree.tostring(message)).decode()}


def tampered(message: Any) -> dict[str, str]:
    as_form(message)
    message.find(f"{{{SAML}}}NameID").text = "eve@acme.test"
    return {"SAMLRequest": base64.b64encode(etree.tostring(message)).decode()}


def with_a_transform(message: Any) -> dict[str, str]:
    as_form(message)
    transform = next(message.iter("{http://www.w3.org/2000/09/xmldsig#}Transform"))
    transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")
    return {"SAMLRequest": base64.b64encode(etree.tostring(message)).decode()}


def nothing(message: Any) -> dict[str, str]:
    return {"SAMLRequest": message.get("X", "")}


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (unsigned_form, SamlRefusal.NO_SIGNATURE),
        (strangers_form, SamlRefusal.BAD_SIGNATURE),
        (doctype, SamlRefusal.DOCTYPE),
        (tampered, SamlRefusal.BAD_SIGNATURE),
        (with_a_transform, SamlRefusal.TRANSFORM),
        (nothing, SamlRefusal.MALFORMED),
    ],
)
def test_a_form_passes_the_same_gate_as_a_response(
    visitor: Browser, customer: Customer, forge: Callable[[Any], dict[str, str]], reason: str
) -> None:
    posted = forge(request_of(visitor, customer))

    assert visitor.post(f"{visitor.base}/logout", data=posted).status_code == 403
    assert refusals(customer) == {reason}
    assert is_signed_in(visitor)


def sign_out(visitor: Browser) -> TestResponse:
    page = visitor.get("/me")
    return visitor.post("/sign-out", data={"csrf_token": csrf_token(page.text)})


def test_signing_out_here_ends_the_session_and_asks_the_provider_to_end_its_own(
    visitor: Browser, customer: Customer
) -> None:
    index = index_of(customer)

    page = sign_out(visitor)

    target = page.headers["Refresh"].removeprefix("0; url=")
    message = read_query(target, ours(customer))
    assert "You are signed out" in page.text
    assert target.startswith(f"{LOGOUT}?SAMLRequest=")
    assert message.findtext(f"{{{SAML}}}NameID") == NAME
    assert message.findtext(f"{{{SAMLP}}}SessionIndex") == index
    assert message.find(f"{{{SAML}}}NameID").get("Format").endswith(":emailAddress")
    assert not is_signed_in(visitor), "whatever the provider answers"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("Success", "Your company&#39;s sign-in has signed you out too"),
        ("Responder", "may still be open somewhere else"),
    ],
)
def test_the_provider_s_answer_is_told_and_changes_nothing(
    visitor: Browser, customer: Customer, status: str, sentence: str
) -> None:
    message = logout_response(location(visitor), now=customer.runtime.clock.now(), status=status)

    page = send(visitor, as_query(message))

    assert page.status_code == 200
    assert sentence.replace("&#39;", "'") in page.text.replace("&#39;", "'")
    assert is_signed_in(visitor)


def test_an_answer_that_nobody_signed_is_refused(visitor: Browser, customer: Customer) -> None:
    message = logout_response(location(visitor), now=customer.runtime.clock.now())

    assert send(visitor, unsigned(message).replace("SAMLRequest", "SAMLResponse")).status_code == 403


def test_without_single_logout_at_the_provider_signing_out_ends_here(visitor: Browser, customer: Customer) -> None:
    with customer.unit() as unit:
        unit.session.get_one(SamlProvider, (unit.org_id, customer.connection_id)).logout_url = None

    assert sign_out(visitor).location.endswith("/sign-in")
    assert not is_signed_in(visitor)


def test_t16_a_disabled_connection_still_ends_sessions_here_and_asks_nobody(
    visitor: Browser, customer: Customer
) -> None:
    with customer.unit() as unit:
        get_connection(unit, customer.connection_id).disabled_at = unit.at

    assert sign_out(visitor).location.endswith("/sign-in")


def test_our_metadata_says_where_logout_messages_go(visitor: Browser) -> None:
    entity = etree.fromstring(visitor.get(f"{visitor.base}/metadata").data)

    services = entity.findall(f"{{{METADATA}}}SPSSODescriptor/{{{METADATA}}}SingleLogoutService")
    assert [(one.get("Binding", "").rpartition(":")[2], one.get("Location")) for one in services] == [
        ("HTTP-Redirect", location(visitor)),
        ("HTTP-POST", location(visitor)),
    ]


def test_a_logout_address_of_the_provider_that_no_browser_may_be_sent_to_is_left_out() -> None:
    read = parse_idp_metadata(replace(provider(), logout_url="javascript:alert(1)").metadata(), now=NOW)

    assert (read.logout_url, read.logout_response_url) == (None, None)
