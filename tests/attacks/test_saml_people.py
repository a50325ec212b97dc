"""Truly signed answers of a provider that names people it has no right to, and what a browser brings beside one."""

import pytest

from bridge.simulator.saml import SimulatedUser, encode
from bridge.store.directory import get_member
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.sign_in import SignInRefusal
from tests.attacks.target import Door, Target, member_by_hand
from tests.saml_forgeries import ASSERTION, signed, write


def named(name_id: str, email: str | None = None) -> SimulatedUser:
    return SimulatedUser(name_id, email or name_id, "Eve", "Evil")


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(named("owner@acme.test"), id="as the name"),
        pytest.param(named("OWNER@Acme.TEST"), id="in other letters"),
        pytest.param(named("eve", "owner@acme.test"), id="as the address"),
        pytest.param(named("eve", "Owner@ACME.test"), id="as the address in other letters"),
    ],
)
def test_t14_no_answer_makes_anybody_an_owner(door: Door, user: SimulatedUser) -> None:
    """T14: an owner is found by a link made by hand only."""
    door.refuses(door.signed(user=user), SignInRefusal.OWNER_NEEDS_LINK)


def test_t12_an_address_outside_every_verified_domain_finds_nobody(door: Door, target: Target) -> None:
    """T12: neither to take the person over, nor to make a second one."""
    member_by_hand(target.acme, "max@acme.test")

    for user in (named("max@acme.test"), named("eve", "max@acme.test")):
        door.refuses(door.signed(user=user), SignInRefusal.OUTSIDE_DOMAINS)


def test_t14_nobody_of_another_connection_is_taken_over(door: Door, target: Target) -> None:
    """T14: whom another connection's directory pushed is not for this provider to name."""
    target.second.push("pat@acme.test", emails=[{"value": "pat@acme.test", "primary": True}])

    for user in (named("pat@acme.test"), named("eve", "pat@acme.test")):
        door.refuses(door.signed(user=user), SignInRefusal.SOMEBODY_ELSE)


def test_a_person_who_was_turned_off_is_told_so_and_nothing_is_revived(door: Door, target: Target) -> None:
    pushed = target.acme.push("off@acme.test")
    with target.acme.unit(target.acme.directory) as unit:
        deactivate_member(unit, get_member(unit, pushed.id), reason="directory")

    page = door.refuses(door.signed(user=named("off@acme.test")), SignInRefusal.DEACTIVATED, neutrally=False)

    assert "turned off your access on " in page.text


GROUPS = f"{ASSERTION}/saml:AttributeStatement/saml:Attribute[@Name='groups']"


def test_a_group_without_end_is_refused(door: Door) -> None:
    door.refuses(door.signed(write(f"{GROUPS}/saml:AttributeValue", "g" * 401)), SignInRefusal.OVERSIZED)


ELSEWHERE = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\t//evil.example"]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_i9_neither_return_path_nor_relay_state_leads_elsewhere(target: Target, elsewhere: str) -> None:
    """I9: both are the attacker's to choose, in a link and in a form."""
    browser = target.browser()
    received = browser.start(elsewhere)
    posted = {"SAMLResponse": encode(signed(received=received)), "RelayState": elsewhere}

    answered = browser.post(f"{browser.base}/acs", data=posted)
    finished = browser.get(f"{browser.base}/finish", query_string={"return": elsewhere})

    ours = target.acme.runtime.settings.server.public_url
    assert answered.status_code == 303
    assert answered.location == f"{ours}{browser.base}/finish?return=%2F"
    assert finished.headers["Refresh"] == f"0; url={ours}/"
    assert "evil.example" not in finished.text


@pytest.mark.parametrize("elsewhere", ["evil.example", "127.0.0.1:8080@evil.example", "evil.example:443"])
def test_i10_no_header_changes_where_a_sign_in_goes_or_ends(target: Target, elsewhere: str) -> None:
    """I10: neither in what is sent to the provider nor in where the browser goes."""
    headers = {"X-Forwarded-Host": elsewhere, "X-Forwarded-Proto": "https", "Forwarded": f"host={elsewhere}"}
    browser = target.browser()

    received = browser.start(headers=headers)
    answered = browser.answer(encode(signed(received=received)), headers=headers)
    metadata = browser.get(f"{browser.base}/metadata", headers=headers)

    ours = target.acme.runtime.settings.server.public_url
    assert (received.acs_url, received.sp_entity_id) == (f"{ours}{browser.base}/acs", f"{ours}{browser.base}/metadata")
    assert answered.location.startswith(f"{ours}{browser.base}/finish?")
    assert "evil.example" not in metadata.text
