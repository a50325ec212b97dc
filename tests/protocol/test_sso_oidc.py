"""Sign-in by OpenID Connect: what a browser and a provider send, and what they get."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Blueprint, Flask
from psycopg import Connection as RawConnection
from psycopg import sql
from sqlalchemy import select

from bridge.adapters.oidc import OidcRefusal
from bridge.runtime import Runtime
from bridge.store.directory import get_connection, get_member, groups_of
from bridge.store.models import Identity, SignInRequest, WebSession
from bridge.usecases.link_people import link_identity
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.map_claims import map_claims
from bridge.usecases.sign_in import SignInRefusal
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.credentials import signed_in
from bridge.web.session import Visit, open_session
from bridge.web.sso import oidc_blueprint, saml_blueprint
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.op import (
    ADA,
    CLIENT_ID,
    CLIENT_SECRET,
    Lies,
    OidcBrowser,
    OpenIdProvider,
    by_client_secret,
    by_public_key,
    ec_key,
    open_id_provider,
    query_of,
    rsa_key,
    signed,
    trust_op,
    unsigned,
    with_critical_header,
)
from tests.sign_ins import count, events, members, verified_domain

PUBLIC = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIdProvider]:
    with open_id_provider() as provider:
        yield provider


@pytest.fixture
def op(running: OpenIdProvider, clock: SettableClock) -> OpenIdProvider:
    """The provider, honest again and at the test's instant."""
    running.person, running.keys, running.lies = dict(ADA), [rsa_key("one")], Lies()
    running.now = clock.now
    running.asked.clear()
    return running


@pytest.fixture
def acme(customer: Customer, op: OpenIdProvider) -> Customer:
    trust_op(customer, op)
    return customer


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    pages = Blueprint("pages", __name__)

    @pages.get("/whoami")
    @signed_in()
    def whoami(visit: Visit) -> str:
        return visit.member.user_name

    edges = [saml_blueprint(runtime), oidc_blueprint(runtime), *console_blueprints(), pages]
    return create_web_app(runtime, edges)


@pytest.fixture
def visitor(app: Flask, acme: Customer, op: OpenIdProvider) -> OidcBrowser:
    return OidcBrowser(app, acme, op)


def reasons(customer: Customer) -> list[str]:
    return [event.reason for event in events(customer)]


def test_a_person_who_did_not_exist_signs_in(visitor: OidcBrowser, acme: Customer, op: OpenIdProvider) -> None:
    answered = visitor.enter()
    finished = visitor.get(answered.location)

    assert (answered.status_code, answered.location) == (303, f"{PUBLIC}{visitor.base}/finish?return=%2Fwhoami")
    assert finished.headers["Refresh"] == f"0; url={PUBLIC}/whoami"
    assert visitor.get("/whoami").text == "ada@acme.test"
    found = [(one.user_name, one.display_name, one.email, one.tier) for one in members(acme)]
    assert found == [("ada@acme.test", "Ada Lovelace", "ada@acme.test", "premium")]
    assert op.asked == ["/authorize", "/token", "/keys"]
    assert count(acme, SignInRequest) == 0


def test_the_provider_gets_pkce_and_nothing_that_is_to_stay_here(visitor: OidcBrowser) -> None:
    sent = query_of(visitor.leave(login_hint="ada@acme.test"))

    assert sent == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": f"{PUBLIC}{visitor.base}/callback",
        "scope": "openid profile email",
        "state": sent["state"],
        "nonce": sent["nonce"],
        "code_challenge": sent["code_challenge"],
        "code_challenge_method": "S256",
        "login_hint": "ada@acme.test",
    }
    assert len({sent["state"], sent["nonce"], sent["code_challenge"]}) == 3


def test_i10_the_host_that_a_request_names_plays_no_part(visitor: OidcBrowser) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}

    started = visitor.get(f"{visitor.base}/start", base_url="http://evil.example", headers=headers)

    assert started.status_code == 400 or query_of(started.location)["redirect_uri"].startswith(PUBLIC)


def test_a_second_sign_in_is_the_same_person_whatever_they_are_called_now(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    visitor.enter()
    op.person = {**ADA, "preferred_username": "countess@acme.test", "email": "countess@acme.test"}

    visitor.enter()

    assert [(one.user_name, one.email) for one in members(acme)] == [("ada@acme.test", "countess@acme.test")]
    assert op.asked.count("/keys") == 1


def test_a_provider_may_ask_for_a_sign_in_under_its_own_name_only(visitor: OidcBrowser, op: OpenIdProvider) -> None:
    asked = visitor.get(f"{visitor.base}/start", query_string={"iss": op.issuer})
    stranger = visitor.get(f"{visitor.base}/start", query_string={"iss": "https://evil.example"})

    assert (asked.status_code, stranger.status_code) == (302, 403)


def expired(op: OpenIdProvider) -> Lies:
    at = int(op.now().timestamp())
    return Lies(claims={"iat": at - 400, "exp": at - 60})


LIES: dict[str, tuple[Callable[[OpenIdProvider], Lies], str]] = {
    "alg none": (lambda _: Lies(sign=unsigned), OidcRefusal.ALGORITHM),
    "signed with the public key": (lambda _: Lies(sign=by_public_key), OidcRefusal.ALGORITHM),
    "signed with the client secret": (lambda _: Lies(sign=by_client_secret), OidcRefusal.ALGORITHM),
    "another key under the known name": (
        lambda _: Lies(sign=lambda header, payload: signed(header, payload, rsa_key("another"))),
        OidcRefusal.BAD_SIGNATURE,
    ),
    "a key that is not published": (
        lambda _: Lies(sign=lambda header, payload: signed({**header, "kid": "new"}, payload, rsa_key("another"))),
        OidcRefusal.UNKNOWN_KEY,
    ),
    "a key in the header": (
        lambda _: Lies(
            header={"jwk": rsa_key("another").as_dict(private=False), "kid": None},
            sign=lambda header, payload: signed(header, payload, rsa_key("another")),
        ),
        OidcRefusal.MALFORMED,
    ),
    "a critical header": (lambda _: Lies(sign=with_critical_header), OidcRefusal.MALFORMED),
    "another issuer": (lambda _: Lies(claims={"iss": "https://evil.example"}), OidcRefusal.ISSUER),
    "an issuer with a slash more": (lambda op: Lies(claims={"iss": f"{op.issuer}/"}), OidcRefusal.ISSUER),
    "no issuer": (lambda _: Lies(claims={"iss": None}), OidcRefusal.ISSUER),
    "another audience": (lambda _: Lies(claims={"aud": "another client"}), OidcRefusal.AUDIENCE),
    "an empty audience": (lambda _: Lies(claims={"aud": ""}), OidcRefusal.AUDIENCE),
    "an audience of nobody": (lambda _: Lies(claims={"aud": []}), OidcRefusal.AUDIENCE),
    "no audience": (lambda _: Lies(claims={"aud": None}), OidcRefusal.AUDIENCE),
    "two audiences without azp": (lambda _: Lies(claims={"aud": [CLIENT_ID, "b"]}), OidcRefusal.AUDIENCE),
    "another azp": (lambda _: Lies(claims={"azp": "another client"}), OidcRefusal.AUDIENCE),
    "no subject": (lambda _: Lies(claims={"sub": None}), OidcRefusal.SUBJECT),
    "an empty subject": (lambda _: Lies(claims={"sub": ""}), OidcRefusal.SUBJECT),
    "a blank subject": (lambda _: Lies(claims={"sub": " "}), OidcRefusal.SUBJECT),
    "a subject that is a number": (lambda _: Lies(claims={"sub": 7}), OidcRefusal.SUBJECT),
    "a subject without end": (lambda _: Lies(claims={"sub": "x" * 256}), OidcRefusal.SUBJECT),
    "another nonce": (lambda _: Lies(claims={"nonce": "another"}), OidcRefusal.NONCE),
    "no nonce": (lambda _: Lies(claims={"nonce": None}), OidcRefusal.NONCE),
    "expired": (expired, OidcRefusal.EXPIRED),
    "no expiry": (lambda _: Lies(claims={"exp": None}), OidcRefusal.TIMES),
    "an expiry that is no number": (lambda _: Lies(claims={"exp": "never"}), OidcRefusal.TIMES),
    "an expiry that is never": (lambda _: Lies(claims={"exp": float("nan")}), OidcRefusal.TIMES),
    "issued in the future": (
        lambda op: Lies(claims={"iat": int(op.now().timestamp()) + 120}),
        OidcRefusal.TIMES,
    ),
    "another issuer's answer": (lambda _: Lies(answer={"iss": "https://evil.example"}), OidcRefusal.MIX_UP),
    "an answer without its issuer": (lambda _: Lies(answer={"iss": None}), OidcRefusal.MIX_UP),
    "no code": (lambda _: Lies(answer={"code": None}), OidcRefusal.CODE),
    "another code": (lambda _: Lies(answer={"code": "made up"}), OidcRefusal.TOKEN_ENDPOINT),
    "another state": (lambda _: Lies(answer={"state": "made up"}), SignInRefusal.UNKNOWN_REQUEST),
    "no state": (lambda _: Lies(answer={"state": None}), SignInRefusal.UNKNOWN_REQUEST),
    "an error": (lambda _: Lies(answer={"code": None, "error": "access_denied"}), OidcRefusal.PROVIDER_ERROR),
    "no token": (lambda _: Lies(token_answer=b'{"access_token": "x"}'), OidcRefusal.NO_ID_TOKEN),
    "no JSON": (lambda _: Lies(token_answer=b"<html>"), OidcRefusal.UNREACHABLE),
    "JSON without end": (lambda _: Lies(token_answer=b"[" * 100_000), OidcRefusal.TOKEN_ENDPOINT),
    "a token endpoint that is down": (lambda _: Lies(token_answer=b"{}", token_status=503), OidcRefusal.UNREACHABLE),
    "a token answer without end": (lambda _: Lies(token_answer=b" " * 1_100_000), OidcRefusal.UNREACHABLE),
    "a redirect": (lambda op: Lies(redirect=f"{op.issuer}/token"), OidcRefusal.UNREACHABLE),
    "a token that is none": (lambda _: Lies(token_answer=b'{"id_token": "a.b.c"}'), OidcRefusal.MALFORMED),
    "an address that is a list": (lambda _: Lies(claims={"email": ["a@acme.test", "b@b.test"]}), OidcRefusal.CLAIM),
    "a wrong access token hash": (lambda _: Lies(claims={"at_hash": "AAAA"}), OidcRefusal.CLAIM),
}


def test_a_refusal_changes_nothing_and_tells_the_browser_nothing_and_the_log_why(
    visitor: OidcBrowser,
    acme: Customer,
    op: OpenIdProvider,
    owner_connection: RawConnection,
    subtests: pytest.Subtests,
) -> None:
    returned = {}
    for lie, (make, _) in LIES.items():
        asked = visitor.leave()
        op.lies = make(op)
        returned[lie] = op.visit(asked)
    before = everything(owner_connection)

    for lie, (make, reason) in LIES.items():
        op.lies = make(op)
        answered = visitor.come_back(returned[lie])

        with subtests.test(lie):
            assert answered.status_code == 403
            assert "Set-Cookie" not in answered.headers
            assert "The reason is in the sign-in log of your organization" in answered.text
            assert op.issuer not in answered.text
            refused = next(one for one in events(acme) if one.request_id == answered.headers["X-Request-Id"])
            assert (refused.outcome, refused.reason, refused.member_id) == ("refused", reason, None)
    assert everything(owner_connection) == before

    op.lies = Lies()
    assert visitor.enter().status_code == 303


def everything(connection: RawConnection) -> dict[str, list[str]]:
    """Read every table but the sign-in log."""
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'sign_in_event' ORDER BY 1"
    )
    every = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, t::text FROM {} t").format(sql.Literal(name), sql.Identifier(name)) for (name,) in tables
    )
    rows: dict[str, list[str]] = {}
    for name, row in connection.execute(sql.SQL("SELECT * FROM ({}) e ORDER BY 1, 2").format(every)):
        rows.setdefault(name, []).append(row)
    return rows


def test_an_answer_in_another_browser_asks_the_provider_nothing(
    visitor: OidcBrowser, app: Flask, acme: Customer, op: OpenIdProvider
) -> None:
    returned = op.visit(visitor.leave())
    other = OidcBrowser(app, acme, op)
    other.leave()

    assert other.come_back(returned).status_code == 403
    assert reasons(acme) == [SignInRefusal.FOREIGN_BROWSER]
    assert op.asked == ["/authorize"]
    assert visitor.come_back(returned).status_code == 303


def test_an_answer_works_once(visitor: OidcBrowser, acme: Customer, op: OpenIdProvider) -> None:
    returned = op.visit(visitor.leave())
    visitor.come_back(returned)

    assert visitor.come_back(returned).status_code == 403
    assert sorted(reasons(acme)) == ["ok", SignInRefusal.UNKNOWN_REQUEST]
    assert count(acme, WebSession) == 1


def test_an_answer_that_names_a_thing_twice_is_refused(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    returned = op.visit(visitor.leave())

    assert visitor.come_back(f"{returned}&{urlencode({'code': 'another'})}").status_code == 403
    assert reasons(acme) == [OidcRefusal.CODE]


def test_an_answer_to_another_connection_is_refused(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider, make_customer: Callable[..., Customer], app: Flask
) -> None:
    other = make_customer("fjord")
    trust_op(other, op)
    returned = op.visit(visitor.leave())
    query = urlsplit(returned).query

    answered = visitor.get(f"/sso/oidc/fjord/{other.connection_id}/callback?{query}")

    assert answered.status_code == 403
    assert reasons(other) == [SignInRefusal.UNKNOWN_REQUEST]
    assert op.asked == ["/authorize"]


def test_a_request_that_ran_out_is_refused(
    visitor: OidcBrowser, acme: Customer, clock: SettableClock, op: OpenIdProvider
) -> None:
    returned = op.visit(visitor.leave())
    clock.at += timedelta(seconds=600)

    assert visitor.come_back(returned).status_code == 403
    assert reasons(acme) == [SignInRefusal.UNKNOWN_REQUEST]


def test_a_new_key_is_fetched_once_and_not_for_every_token(
    visitor: OidcBrowser, acme: Customer, clock: SettableClock, op: OpenIdProvider
) -> None:
    visitor.enter()
    op.keys = [ec_key("two"), rsa_key("one")]
    soon = visitor.enter().status_code
    clock.at += timedelta(minutes=1)
    later = visitor.enter().status_code

    assert (soon, later) == (403, 303)
    assert op.asked.count("/keys") == 2
    assert sorted(reasons(acme)) == [OidcRefusal.UNKNOWN_KEY, "ok", "ok"]


def test_keys_are_kept_for_an_hour_and_one_that_was_withdrawn_is_worth_nothing_then(
    visitor: OidcBrowser, clock: SettableClock, op: OpenIdProvider
) -> None:
    visitor.enter()
    op.keys = [ec_key("two")]
    op.lies = Lies(
        sign=lambda header, payload: signed({**header, "alg": "RS256", "kid": "one"}, payload, rsa_key("one"))
    )
    kept = visitor.enter().status_code
    clock.at += timedelta(hours=1)

    assert (kept, visitor.enter().status_code) == (303, 403)


@pytest.mark.parametrize("verified", [False, None, "false", 0])
def test_t12_an_address_that_the_provider_does_not_vouch_for_links_nobody_and_is_not_kept(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider, verified: object
) -> None:
    verified_domain(acme, "acme.test")
    op.person = {**ADA, "preferred_username": "ada", "email_verified": verified}

    visitor.enter()

    assert [(one.user_name, one.email) for one in members(acme)] == [("ada", None)]


def test_t14_an_owner_needs_a_link_made_by_hand(visitor: OidcBrowser, acme: Customer, op: OpenIdProvider) -> None:
    verified_domain(acme, "nordlys.test")
    op.person = {**ADA, "preferred_username": "owner@nordlys.test", "email": "owner@nordlys.test"}
    refused = visitor.enter()
    with acme.unit() as unit:
        link_identity(unit, acme.connection_id, acme.owner_id, subject="00u1ada")

    allowed = visitor.enter()

    assert (refused.status_code, allowed.status_code) == (403, 303)
    assert sorted(reasons(acme)) == ["ok", SignInRefusal.OWNER_NEEDS_LINK]
    assert visitor.get("/whoami").text == "owner@nordlys.test"


def test_t18_a_person_who_is_turned_off_is_told_so(visitor: OidcBrowser, acme: Customer) -> None:
    pushed = acme.push("ada@acme.test")
    with acme.unit(acme.directory) as unit:
        deactivate_member(unit, get_member(unit, pushed.id), reason="directory")

    answered = visitor.enter()

    assert answered.status_code == 403
    assert "Your company turned off your access" in answered.text
    assert reasons(acme) == [SignInRefusal.DEACTIVATED]


def test_t18_who_has_proved_to_be_the_person_reads_since_when(visitor: OidcBrowser, acme: Customer) -> None:
    pushed = acme.push("ada@acme.test")
    with acme.unit() as unit:
        link_identity(unit, acme.connection_id, pushed.id, subject="00u1ada")
    with acme.unit(acme.directory) as unit:
        deactivate_member(unit, get_member(unit, pushed.id), reason="directory")
        at = unit.at

    answered = visitor.enter()

    assert f"turned off your access on {at.day} {at:%B %Y} at {at:%H:%M}" in answered.text
    assert "Your work is kept" in answered.text


def test_t16_a_disabled_connection_refuses_to_start_and_to_finish(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    returned = op.visit(visitor.leave())
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).disabled_at = unit.at

    assert visitor.get(f"{visitor.base}/start").status_code == 403
    assert visitor.come_back(returned).status_code == 403
    assert reasons(acme) == [SignInRefusal.CONNECTION_DISABLED] * 2
    assert op.asked == ["/authorize"]


@pytest.mark.parametrize("overage", [{"_claim_names": {"groups": "src1"}}, {"hasgroups": True}], ids=["names", "has"])
def test_groups_that_are_too_many_to_be_sent_take_nothing_away(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider, overage: dict[str, object]
) -> None:
    visitor.enter()
    op.person = {**ADA, "groups": None, **overage}

    visitor.enter()

    assert any("too many" in event.detail for event in events(acme))


def test_userinfo_is_asked_where_the_connection_wants_it(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    trust_op(acme, op, asks_userinfo=True)
    op.lies = Lies(claims={"name": None, "given_name": None}, userinfo={**ADA, "name": "Countess"})

    visitor.enter()

    assert [one.display_name for one in members(acme)] == ["Countess"]


def test_userinfo_of_somebody_else_is_refused(visitor: OidcBrowser, acme: Customer, op: OpenIdProvider) -> None:
    trust_op(acme, op, asks_userinfo=True)
    op.lies = Lies(userinfo={**ADA, "sub": "somebody else"})

    assert visitor.enter().status_code == 403
    assert reasons(acme) == [OidcRefusal.USERINFO]


def test_a_client_without_a_secret_is_protected_by_pkce(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    op.client_secret = None
    try:
        trust_op(acme, op)
        answered = visitor.enter()
    finally:
        op.client_secret = CLIENT_SECRET

    assert answered.status_code == 303


def test_a_provider_of_saml_and_one_of_openid_connect_have_no_page_in_common(
    visitor: OidcBrowser, acme: Customer
) -> None:
    saml = visitor.base.replace("/oidc/", "/saml/")

    assert visitor.get(f"{saml}/start").status_code == 404
    assert visitor.post(f"{saml}/acs", data={"SAMLResponse": "x"}).status_code in {403, 404}


def test_a_test_sign_in_shows_who_arrived_and_changes_nothing(
    app: Flask, acme: Customer, op: OpenIdProvider, owner_connection: RawConnection
) -> None:
    admin = OidcBrowser(app, acme, op)
    with app.test_request_context(), acme.unit() as unit:
        admin.keep("seatbridge", open_session(unit, get_member(unit, acme.owner_id), "link"))
    started = admin.get(f"{admin.base}/test")
    returned = op.visit(started.location)

    shown = admin.come_back(returned)

    assert shown.status_code == 200
    for text in ("nothing was changed", "ada@acme.test is new here", "00u1ada", "Engineering"):
        assert text in shown.text
    assert members(acme) == []
    assert [(event.outcome, event.reason) for event in events(acme)] == [("rehearsed", "ok")]

    op.lies = Lies(claims={"email_verified": False})
    unverified = admin.come_back(op.visit(admin.get(f"{admin.base}/test").location))
    assert "for which the identity provider does not vouch" in unverified.text


def test_the_clock_of_the_provider_may_differ_by_the_one_setting(visitor: OidcBrowser, op: OpenIdProvider) -> None:
    at = int(op.now().timestamp())
    op.lies = Lies(claims={"iat": at + 60, "exp": at - 59})

    assert visitor.enter().status_code == 303
    assert datetime.fromtimestamp(at, UTC) == op.now()


def test_a_connection_reads_a_person_by_its_own_claim_names(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    with acme.unit() as unit:
        map_claims(unit, acme.connection_id, facts={"subject": "oid", "user_name": "upn", "groups": "roles"})
    op.person = {**ADA, "oid": "the same for good", "upn": "lovelace@acme.test", "roles": ["Editors"]}

    visitor.enter()

    with acme.unit() as unit:
        (identity,) = unit.session.query(Identity).all()
        assert identity.subject == "the same for good"
        assert [group.display_name for group in groups_of(unit, identity.member_id)] == ["Editors"]
    assert [one.user_name for one in members(acme)] == ["lovelace@acme.test"]


def test_an_address_under_another_name_is_one_that_nobody_vouches_for(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    with acme.unit() as unit:
        map_claims(unit, acme.connection_id, facts={"email": "contact"})
    op.person = {**ADA, "preferred_username": "ada", "contact": "ceo@acme.test"}

    visitor.enter()

    assert [(one.user_name, one.email) for one in members(acme)] == [("ada", None)]


@pytest.mark.parametrize("text", ["\0a", "a\ud800"])
@pytest.mark.parametrize("claim", ["name", "preferred_username", "groups"])
def test_a_claim_that_is_no_text_is_refused_and_stands_in_the_log(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider, claim: str, text: str
) -> None:
    op.person = {**ADA, claim: [text] if claim == "groups" else text}

    answered = visitor.enter()

    assert (answered.status_code, reasons(acme)) == (403, [SignInRefusal.UNREADABLE])
    assert members(acme) == []


def test_the_number_one_is_no_word_of_the_provider_that_an_address_is_verified(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    op.person = {"sub": "m2", "email": "bo@acme.test", "email_verified": 1}

    visitor.enter()

    assert [(one.user_name, one.email) for one in members(acme)] == [("m2", None)]


def test_more_groups_than_can_be_followed_are_as_none_said(
    visitor: OidcBrowser, acme: Customer, op: OpenIdProvider
) -> None:
    op.person = {**ADA, "groups": ["Engineering"]}
    visitor.enter()
    op.person = {**ADA, "groups": [f"g{number}" for number in range(501)]}

    answered = visitor.enter()

    (ada,) = members(acme)
    with acme.unit() as unit:
        named = [group.display_name for group in groups_of(unit, ada.id)]
    assert (answered.status_code, named) == (303, ["Engineering"])
    assert "too many groups" in events(acme)[-1].detail


def test_a_list_of_blanks_is_not_no_groups(visitor: OidcBrowser, acme: Customer, op: OpenIdProvider) -> None:
    op.person = {**ADA, "groups": ["Engineering"]}
    visitor.enter()
    op.person = {**ADA, "groups": [" "]}

    visitor.enter()

    (ada,) = members(acme)
    with acme.unit() as unit:
        assert [group.display_name for group in groups_of(unit, ada.id)] == ["Engineering"]


def test_i11_a_sign_in_ends_the_session_that_the_browser_had(visitor: OidcBrowser, acme: Customer) -> None:
    visitor.enter()
    before = visitor.cookie("seatbridge")
    assert before is not None

    visitor.enter()

    assert visitor.get("/whoami").status_code == 200
    visitor.keep("seatbridge", before)
    assert visitor.get("/whoami").status_code != 200
    with acme.unit() as unit:
        assert [one.ended_by for one in unit.session.scalars(select(WebSession).order_by(WebSession.ended_at))] == [
            "signed_in_again",
            None,
        ]


def test_whoever_is_refused_often_waits_and_fills_no_log(runtime: Runtime, acme: Customer, op: OpenIdProvider) -> None:
    settings = runtime.settings.model_copy(
        update={"sso": runtime.settings.sso.model_copy(update={"refused_per_minute": 2})}
    )
    strict = replace(runtime, settings=settings)
    stranger = OidcBrowser(create_web_app(strict, [oidc_blueprint(strict)]), acme, op)

    answers = [stranger.get(f"{stranger.base}/callback?state=x&code=y") for _ in range(4)]
    elsewhere = stranger.get(f"{stranger.base}/start", environ_overrides={"REMOTE_ADDR": "192.0.2.7"})

    assert [one.status_code for one in answers] == [403, 403, 429, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert (len(events(acme)), elsewhere.status_code) == (2, 302)


def test_an_address_starts_only_so_many_sign_ins_a_minute(runtime: Runtime, acme: Customer, op: OpenIdProvider) -> None:
    settings = runtime.settings.model_copy(
        update={"sso": runtime.settings.sso.model_copy(update={"requests_per_minute": 2})}
    )
    strict = replace(runtime, settings=settings)
    visitor = OidcBrowser(create_web_app(strict, [oidc_blueprint(strict)]), acme, op)

    answers = [visitor.get(f"{visitor.base}/start").status_code for _ in range(3)]

    assert answers == [302, 302, 429]
    assert count(acme, SignInRequest) == 2
