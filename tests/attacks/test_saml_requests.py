"""Truly signed answers to another request: of another tenant, connection or browser, of none, or a second time."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from bridge.adapters.saml import SamlRefusal
from bridge.simulator.saml import Signed, encode
from bridge.usecases.sign_in import SignInRefusal
from tests.attacks.target import Door, Target, evil_twin
from tests.saml_forgeries import CONDITIONS, NOW, SUBJECT_DATA, Edit, put, signed, write


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        pytest.param(
            [put(".", InResponseTo=None), put(SUBJECT_DATA, InResponseTo=None)],
            SignInRefusal.NOT_REQUESTED,
            id="none at all",
        ),
        pytest.param([put(".", InResponseTo=None)], SamlRefusal.IN_RESPONSE_TO, id="signed only"),
        pytest.param([put(SUBJECT_DATA, InResponseTo=None)], SamlRefusal.IN_RESPONSE_TO, id="unsigned only"),
        pytest.param([put(SUBJECT_DATA, InResponseTo="_other")], SamlRefusal.IN_RESPONSE_TO, id="two different ones"),
        pytest.param(
            [put(".", InResponseTo="_other"), put(SUBJECT_DATA, InResponseTo="_other")],
            SignInRefusal.UNKNOWN_REQUEST,
            id="one that nobody made",
        ),
    ],
)
def test_an_answer_without_the_request_it_answers_is_refused(door: Door, edits: list[Edit], reason: str) -> None:
    door.refuses(door.signed(*edits), reason)


def test_the_unsigned_request_of_the_response_is_never_looked_up(door: Door, target: Target) -> None:
    """A stolen assertion inside a response around it that names the thief's own request."""
    stolen = target.door()

    door.refuses(
        door.tampered(put(SUBJECT_DATA, InResponseTo=stolen.received.request_id)),
        SamlRefusal.BAD_SIGNATURE,
    )
    stolen.refuses(stolen.signed(put(SUBJECT_DATA, InResponseTo=door.received.request_id)), SamlRefusal.IN_RESPONSE_TO)


@pytest.mark.parametrize("whose", ["second", "neighbour"], ids=["another connection", "another organization"])
def test_the_request_of_another_connection_is_unknown_here(door: Door, target: Target, whose: str) -> None:
    """The browser started both requests and sends the cookies of both; the provider is the same."""
    other = target.door(getattr(target, whose))
    door.browser.keep(*other.browser.request_cookie())
    mixed = replace(door.received, request_id=other.received.request_id)

    door.refuses(door.signed(received=mixed), SignInRefusal.UNKNOWN_REQUEST)


@pytest.mark.parametrize("whose", ["second", "neighbour"], ids=["another connection", "another organization"])
def test_t17_an_answer_for_another_connection_is_refused_though_the_provider_is_the_same(
    door: Door, target: Target, whose: str
) -> None:
    """T17: whichever part of it the provider could be brought to sign for us."""
    other = target.door(getattr(target, whose))
    here = put(".", Destination=door.received.acs_url)
    ours = write(f"{CONDITIONS}/saml:AudienceRestriction/saml:Audience", door.received.sp_entity_id)

    door.refuses(door.signed(received=other.received), SamlRefusal.DESTINATION)
    door.refuses(door.signed(here, received=other.received), SamlRefusal.AUDIENCE)
    door.refuses(door.signed(here, ours, received=other.received), SamlRefusal.RECIPIENT)


def test_t17_the_same_entity_id_in_two_organizations_is_two_providers(door: Door, target: Target) -> None:
    """T17: each organization's key counts for its own connection only."""
    evil = target.door(target.evil)

    door.refuses(door.signed(by=evil_twin()), SamlRefusal.BAD_SIGNATURE)
    evil.refuses(evil.signed(), SamlRefusal.BAD_SIGNATURE)
    evil.lets_in(by=evil_twin())


def test_another_browser_cannot_use_the_answer(door: Door, target: Target) -> None:
    """Neither to read what a victim may read, nor to sign a victim in as the attacker (login CSRF)."""
    other = target.door()

    other.refuses(door.signed(), SignInRefusal.FOREIGN_BROWSER)


@pytest.mark.parametrize("value", ["", "planted", "x" * 3000, "\\x00", '"quoted"'])
def test_i11_a_planted_cookie_opens_nothing(door: Door, target: Target, value: str) -> None:
    """I11: under the very name of the cookie that belongs to the request."""
    victim = target.door()
    victim.browser.keep(door.browser.request_cookie()[0], value)

    victim.refuses(door.signed(), SignInRefusal.FOREIGN_BROWSER)


def test_what_the_database_keeps_of_a_cookie_opens_nothing(door: Door, target: Target) -> None:
    """A thief of the table has the hashes only."""
    thief = target.door()
    found = target.owner.execute(
        "SELECT encode(cookie_hash, 'hex') FROM sign_in_request WHERE id = %s", [door.received.request_id]
    ).fetchone()
    assert found is not None
    thief.browser.keep(door.browser.request_cookie()[0], found[0])

    thief.refuses(door.signed(), SignInRefusal.FOREIGN_BROWSER)


def test_a_request_that_ran_out_is_refused(target: Target) -> None:
    late = target.door()

    with target.at(NOW + timedelta(minutes=10)):
        late.refuses(late.signed(), SignInRefusal.UNKNOWN_REQUEST)


def test_an_answer_is_good_for_one_sign_in(door: Door, target: Target) -> None:
    used = target.door()
    answer = used.signed()
    used.browser.answer(answer)

    used.refuses(answer, SignInRefusal.UNKNOWN_REQUEST)
    door.refuses(answer, SignInRefusal.UNKNOWN_REQUEST)


@pytest.mark.usefixtures("provider_may_begin")
def test_a_used_assertion_in_a_new_response_is_refused(door: Door) -> None:
    """Where the provider may begin, only the table of used assertions stands between a thief and a session."""
    unasked = replace(door.received, request_id=None)
    response = signed(received=unasked)
    assert door.browser.answer(encode(response)).status_code == 303
    response.set("ID", "_another")

    door.refuses(encode(response), SignInRefusal.REPLAYED)


@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "begun at the provider"])
@pytest.mark.usefixtures("provider_may_begin", "door")
def test_of_ten_replays_at_once_one_gets_in(target: Target, *, asked: bool) -> None:
    copied = target.door()
    received = copied.received if asked else replace(copied.received, request_id=None)
    answer = copied.signed(received=received, part=Signed.BOTH)
    browsers = [target.browser() for _ in range(10)]
    for browser in browsers:
        browser.keep(*copied.browser.request_cookie())

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda browser: browser.answer(answer).status_code, browsers))

    assert Counter(answers) == {303: 1, 403: 9}
