"""Attacks on a sign-in by OpenID Connect: another provider's answer, another browser's, or somebody else's code."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
from werkzeug.test import TestResponse

from bridge.adapters.oidc import OidcRefusal
from bridge.simulator.saml import encode
from bridge.usecases.link_people import link_identity
from bridge.usecases.sign_in import SignInRefusal
from tests.attacks.target import REQUEST_ID, Target, member_by_hand
from tests.factories import Customer
from tests.op import ADA, Lies, OidcBrowser, OpenIdProvider, open_id_provider, rsa_key, trust_op
from tests.saml_forgeries import NOW, signed


@dataclass(frozen=True, slots=True)
class Providers:
    """``acme`` and ``neighbour`` trust the honest one; ``second`` of acme, and ``evil``, the attacker's."""

    honest: OpenIdProvider
    evil: OpenIdProvider


@pytest.fixture(scope="module")
def running(target: Target) -> Iterator[Providers]:
    with open_id_provider() as honest, open_id_provider() as evil:
        evil.keys = [rsa_key("evil")]
        for provider in (honest, evil):
            provider.now = target.clock.now
        for customer, provider in (
            (target.acme, honest),
            (target.neighbour, honest),
            (target.second, evil),
            (target.evil, evil),
        ):
            trust_op(customer, provider)
        yield Providers(honest, evil)


@pytest.fixture
def providers(running: Providers) -> Providers:
    """The two providers, as they are before they are told to lie."""
    for provider in (running.honest, running.evil):
        provider.person, provider.lies = dict(ADA), Lies()
        provider.asked.clear()
    return running


class OidcDoor:
    """A browser in front of one connection, and the address (``returned``) that its provider sends it back to."""

    def __init__(self, target: Target, customer: Customer, provider: OpenIdProvider) -> None:
        self.target = target
        self.browser = OidcBrowser(target.app, customer, provider)
        self.asked = self.browser.leave()
        self.provider = provider
        self.returned = provider.visit(self.asked)

    def refuses(self, url: str, reason: str) -> TestResponse:
        """Open an address that somebody made up, and check everything that must hold of an attack."""
        return self.target.refuses(lambda: self.browser.come_back(url, headers=REQUEST_ID), reason)

    def lets_in(self) -> None:
        """Check that the request is still there for its true answer, with a new code, in this very browser."""
        answer = self.provider.visit(self.asked)
        self.target.lets_in(lambda: self.browser.come_back(answer), str(self.provider.person["preferred_username"]))


@pytest.fixture
def door(target: Target, providers: Providers) -> Iterator[OidcDoor]:
    """A browser with a sign-in begun; after the attack, the true answer to that very sign-in still lets Ada in."""
    door = OidcDoor(target, target.acme, providers.honest)
    yield door
    providers.honest.lies = Lies()
    providers.honest.person = dict(ADA)
    door.lets_in()


def with_query(url: str, **changed: str | None) -> str:
    """Change parameters of an address; None takes one away."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **changed}
    return urlunsplit(
        parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None}))
    )


def parameter(url: str, name: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))[name]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"iss": "https://evil.example"}, OidcRefusal.MIX_UP, id="another issuer"),
        pytest.param({"iss": None}, OidcRefusal.MIX_UP, id="no issuer"),
        pytest.param({"iss": ""}, OidcRefusal.MIX_UP, id="an empty issuer"),
        pytest.param({"state": None}, SignInRefusal.UNKNOWN_REQUEST, id="no state"),
        pytest.param({"state": ""}, SignInRefusal.UNKNOWN_REQUEST, id="an empty state"),
        pytest.param({"state": "x" * 5000}, OidcRefusal.CODE, id="a state without end"),
        pytest.param({"state": "\x00"}, OidcRefusal.CODE, id="a state of a null byte"),
        pytest.param({"code": None}, OidcRefusal.CODE, id="no code"),
        pytest.param({"code": "x" * 50_000}, OidcRefusal.CODE, id="a code without end"),
        pytest.param({"code": "made up"}, OidcRefusal.TOKEN_ENDPOINT, id="a code that nobody gave"),
        pytest.param({"code": "a&client_id=other"}, OidcRefusal.TOKEN_ENDPOINT, id="a code with a parameter in it"),
    ],
)
def test_an_answer_with_something_done_to_it_is_refused(
    door: OidcDoor, changed: dict[str, str | None], reason: str
) -> None:
    door.refuses(with_query(door.returned, **changed), reason)


def test_the_code_of_the_honest_provider_does_not_reach_the_attackers(
    door: OidcDoor, target: Target, providers: Providers
) -> None:
    """Mix-up (RFC 9207): the person begins at the attacker's provider, which sends them on to the honest one."""
    mixed = OidcDoor(target, target.second, providers.evil)
    code = parameter(door.returned, "code")
    providers.evil.asked.clear()

    mixed.refuses(with_query(mixed.returned, code=code, iss=providers.honest.issuer), OidcRefusal.MIX_UP)
    mixed.refuses(with_query(mixed.returned, code=code, iss=None), OidcRefusal.MIX_UP)
    door.refuses(with_query(door.returned, state=parameter(mixed.returned, "state")), SignInRefusal.UNKNOWN_REQUEST)
    assert providers.evil.asked == []


@pytest.mark.parametrize("skips_pkce", [False, True], ids=["PKCE", "a provider without PKCE"])
def test_the_attackers_code_in_the_victims_answer_is_refused(
    door: OidcDoor, target: Target, providers: Providers, *, skips_pkce: bool
) -> None:
    """Code injection: where the provider does not look at the verifier, the nonce of the ID token tells."""
    attacker = OidcDoor(target, target.acme, providers.honest)
    providers.honest.lies = Lies(skips_pkce=skips_pkce)

    door.refuses(
        with_query(door.returned, code=parameter(attacker.returned, "code")),
        OidcRefusal.NONCE if skips_pkce else OidcRefusal.TOKEN_ENDPOINT,
    )


def test_another_browser_cannot_use_the_answer(door: OidcDoor, target: Target, providers: Providers) -> None:
    """Neither a thief, nor an attacker who wants somebody signed in as themselves; the code is not even redeemed."""
    other = OidcDoor(target, target.acme, providers.honest)
    providers.honest.asked.clear()

    other.refuses(door.returned, SignInRefusal.FOREIGN_BROWSER)
    assert providers.honest.asked == []


@pytest.mark.parametrize("whose", ["second", "neighbour"], ids=["another connection", "another organization"])
def test_t17_an_answer_for_another_connection_is_unknown_here(
    door: OidcDoor, target: Target, providers: Providers, whose: str
) -> None:
    """T17: though the browser started both, and the neighbour's provider is the same."""
    customer = getattr(target, whose)
    other = OidcDoor(target, customer, providers.evil if whose == "second" else providers.honest)
    state = parameter(other.returned, "state")

    door.refuses(with_query(door.returned, state=state), SignInRefusal.UNKNOWN_REQUEST)


def test_an_answer_of_saml_is_none_of_openid_connect(door: OidcDoor, target: Target, providers: Providers) -> None:
    """A connection signs in one way: what another protocol started or signed has no page there."""
    for path in ("start", "metadata"):
        assert door.browser.get(f"/sso/saml/acme/{target.acme.connection_id}/{path}").status_code == 404
    posted = door.browser.post(
        f"/sso/saml/acme/{target.acme.connection_id}/acs", data={"SAMLResponse": encode(signed())}
    )
    assert posted.status_code == 404


def test_a_request_that_ran_out_is_refused(target: Target, providers: Providers) -> None:
    late = OidcDoor(target, target.acme, providers.honest)

    with target.at(NOW + timedelta(minutes=10)):
        late.refuses(late.returned, SignInRefusal.UNKNOWN_REQUEST)


def test_of_ten_answers_at_once_one_gets_in(target: Target, providers: Providers) -> None:
    copied = OidcDoor(target, target.acme, providers.honest)

    browsers = [OidcBrowser(target.app, target.acme, providers.honest) for _ in range(10)]
    for browser in browsers:
        browser.keep(*copied.browser.request_cookie())

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda browser: browser.come_back(copied.returned).status_code, browsers))

    assert Counter(answers) == {303: 1, 403: 9}


def test_t14_no_claim_makes_anybody_an_owner(door: OidcDoor, target: Target, providers: Providers) -> None:
    """T14: an owner is found by a link made by hand only."""
    for claims in (
        {"sub": "eve", "email": "owner@acme.test", "preferred_username": "eve"},
        {"sub": "eve", "email": "eve@acme.test", "preferred_username": "owner@acme.test"},
        {"sub": "owner@acme.test"},
    ):
        providers.honest.person = {**ADA, **claims}
        door.refuses(door.provider.visit(door.asked), SignInRefusal.OWNER_NEEDS_LINK)


def test_t14_a_name_that_people_can_change_takes_nobody_over_whether_they_have_signed_in_or_not(
    door: OidcDoor, target: Target, providers: Providers
) -> None:
    """T14: a provider knows its people by ``sub``; what it calls them beside is no proof against one of its own."""
    pat = target.acme.push("pat@acme.test")
    providers.honest.person = {"sub": "00u1eve", "preferred_username": "pat@acme.test"}
    door.refuses(door.provider.visit(door.asked), SignInRefusal.SOMEBODY_ELSE)
    with target.acme.unit() as unit:
        link_identity(unit, target.acme.connection_id, pat.id, subject="00u1pat")
    providers.honest.person = {"sub": "00u1pat", "preferred_username": "pat@acme.test"}
    OidcDoor(target, target.acme, providers.honest).lets_in()

    providers.honest.person = {"sub": "00u1eve", "preferred_username": "pat@acme.test"}
    again = OidcDoor(target, target.acme, providers.honest)
    again.refuses(again.provider.visit(again.asked), SignInRefusal.SOMEBODY_ELSE)


def test_t12_an_address_that_the_provider_does_not_vouch_for_finds_nobody(
    door: OidcDoor, target: Target, providers: Providers
) -> None:
    """T12: nor does a verified one outside the verified domains, or one that only looks verified."""
    member_by_hand(target.acme, "max@acme.test")

    for verified in (False, None, 1, "yes", "false"):
        providers.honest.person = {"sub": "eve", "email": "max@acme.test", "email_verified": verified}
        door.refuses(door.provider.visit(door.asked), SignInRefusal.OUTSIDE_DOMAINS)
