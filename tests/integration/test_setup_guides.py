"""The set-up guide: checks that turn green by what arrives, and links for somebody without an account."""

import io
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import URL, select

from bridge.cli import main
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Permission, Role
from bridge.errors import ForbiddenError, SetupLinkGoneError
from bridge.runtime import Runtime
from bridge.simulator.saml import SimulatedIdp
from bridge.store.directory import get_connection
from bridge.store.models import AuditEntry, SetupLink
from bridge.usecases.connections import issue_scim_token, live_tokens
from bridge.usecases.setup_checks import CheckState, SetupChecks, read_checks
from bridge.usecases.setup_links import create_setup_link, list_setup_links, open_setup_link, revoke_setup_link
from tests.conftest import KEY, SettableClock
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient
from tests.web import Browser, sign_in
from wsgi import compose

SEEN, WAITING, LATER = CheckState.SEEN, CheckState.WAITING, CheckState.LATER


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def link(customer: Customer) -> str:
    """The path of a good set-up link."""
    with customer.unit() as unit:
        _, credential = create_setup_link(unit, customer.connection_id, label="it@nordlys.test")
    return f"/set-up/{credential.text}"


@pytest.fixture
def guest(app: Flask) -> Browser:
    """The browser of somebody without an account."""
    return Browser(app.test_client())


def checked(customer: Customer, *, expects_groups: bool = True) -> SetupChecks:
    with customer.unit() as unit:
        return read_checks(unit, customer.connection_id, expects_groups=expects_groups)


def test_each_check_turns_green_by_what_has_arrived(app: Flask, customer: Customer) -> None:
    states = [[check.state for check in checked(customer).provisioning]]
    with customer.unit() as unit:
        token = issue_scim_token(unit, customer.connection_id)
    states.append([check.state for check in checked(customer).provisioning])
    client = ScimClient(app, customer.slug, token.text)
    client.get("/Users?count=0")
    member_id = client.create_user("ada@nordlys.test")
    client.post("/Groups", {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Staff"})
    states.append([check.state for check in checked(customer).provisioning])
    client.patch(f"/Users/{member_id}", {"op": "Replace", "path": "active", "value": False})
    states.append([check.state for check in checked(customer).provisioning])

    assert states == [
        [WAITING, LATER, LATER, LATER, LATER],
        [SEEN, WAITING, LATER, LATER, LATER],
        [SEEN, SEEN, SEEN, SEEN, WAITING],
        [SEEN, SEEN, SEEN, SEEN, SEEN],
    ]


def test_who_pushes_no_groups_waits_for_none(customer: Customer) -> None:
    assert len(checked(customer, expects_groups=False).provisioning) == 4


def test_a_refused_request_stands_on_the_guide_with_what_helps_until_one_is_accepted(
    app: Flask, customer: Customer, clock: SettableClock
) -> None:
    browser = sign_in(app, customer)
    path = f"/console/connections/{customer.connection_id}/guide?guide=okta"
    with customer.unit() as unit:
        token = issue_scim_token(unit, customer.connection_id)
    ScimClient(app, customer.slug, "wrong").get("/Users")
    customer.runtime.closing.close()  # writes what waits
    refused = browser.get(path).text
    clock.at += timedelta(seconds=1)
    other = compose(customer.runtime)
    ScimClient(other, customer.slug, token.text).get("/Users?count=0")
    customer.runtime.closing.close()
    accepted = browser.get(path).text

    assert "Nobody here has this token: copy the connection&#39;s token" in refused
    assert "The newest request was refused" not in accepted
    assert f'data-from="{path}"' in refused
    assert "2 of 7 steps have worked." in accepted


def test_a_guest_sees_the_guide_and_nothing_of_the_people(guest: Browser, customer: Customer, link: str) -> None:
    customer.push("ada@nordlys.test", displayName="Ada Lovelace")

    page = guest.get(f"{link}?guide=okta")

    assert page.status == 200
    assert f"/scim/v2/{customer.slug}" in page.text
    assert "Ada" not in page.text
    assert "/console" not in page.text
    assert guest.get("/console").status == 303


def test_a_guest_issues_a_token_which_is_shown_once_and_written_down_as_the_links(
    guest: Browser, customer: Customer, link: str
) -> None:
    guest.get(link)
    shown = guest.post(f"{link}/token")
    guest.post(f"{link}/token")
    third = guest.post(f"{link}/token")

    assert re.search(r"sbscim_[\w-]{43}", shown.text)
    assert not re.search(r"sbscim_[\w-]{43}", guest.get(link).text)
    assert third.status == 409
    assert "revoke one" in third.text
    with customer.unit() as unit:
        assert len(live_tokens(unit, customer.connection_id)) == 2
        made = unit.session.scalars(select(SetupLink)).one()
        by_link = unit.session.scalars(
            select(AuditEntry.action).where(AuditEntry.actor == f"setup_link:{made.id}").order_by(AuditEntry.seq)
        ).all()
    assert by_link == ["setup_link.opened", "token.issued", "token.issued"]


def test_t8_a_guest_says_whom_to_believe_once_and_changes_it_never(
    guest: Browser, customer: Customer, link: str, clock: SettableClock
) -> None:
    first = SimulatedIdp.create("https://idp.test/one", "https://idp.test/sso", now=clock.now())
    second = SimulatedIdp.create("https://evil.test/two", "https://evil.test/sso", now=clock.now())
    guest.get(link)
    nonsense = guest.post(f"{link}/saml", {"metadata": (io.BytesIO(b"<x/>"), "idp.xml")})
    taken = guest.post(f"{link}/saml", {"metadata": (io.BytesIO(first.metadata()), "idp.xml")})
    again = guest.post(f"{link}/saml", {"metadata": (io.BytesIO(second.metadata()), "idp.xml")})
    other = guest.post(f"{link}/oidc", {"issuer": "https://evil.test", "client_id": "x", "client_secret": "y"})

    assert [nonsense.status, taken.status, again.status, other.status] == [422, 303, 422, 422]
    with customer.unit() as unit:
        assert get_connection(unit, customer.connection_id).issuer == "https://idp.test/one"


def test_a_link_that_is_over_opens_nothing(guest: Browser, customer: Customer, link: str, clock: SettableClock) -> None:
    guest.get(link)
    with customer.unit() as unit:
        _, other = create_setup_link(unit, customer.connection_id, label="other", days=1)
        revoke_setup_link(unit, list_setup_links(unit)[0].id)
    revoked = [guest.get(link).status, guest.post(f"{link}/token").status, guest.post(f"{link}/saml").status]
    clock.at += timedelta(days=1)

    assert revoked == [410, 410, 410]
    assert guest.get(f"/set-up/{other.text}").status == 410
    assert guest.get("/set-up/nonsense").status == 410
    with customer.unit() as unit:
        assert live_tokens(unit, customer.connection_id) == []


def test_a_hash_that_is_not_the_links_own_opens_it_not(customer: Customer) -> None:
    with customer.unit() as unit:
        made, _ = create_setup_link(unit, customer.connection_id)

    with customer.unit() as unit, pytest.raises(SetupLinkGoneError):
        open_setup_link(unit, made.id, b"x" * 32)


@pytest.mark.parametrize("permission", set(Permission) - {Permission.MANAGE_CONNECTIONS})
def test_t8_who_holds_a_link_may_change_connections_and_nothing_else(permission: Permission) -> None:
    from bridge.store.unit import Unit  # noqa: PLC0415 - only its question is asked

    actor = Actor(ActorKind.SETUP_LINK, role=Role.ADMIN)
    unit = Unit.__new__(Unit)
    unit.actor = actor

    with pytest.raises(ForbiddenError):
        unit.require(permission)


def test_the_console_makes_lists_and_revokes_links(app: Flask, customer: Customer, guest: Browser) -> None:
    browser = sign_in(app, customer)
    path = f"/console/connections/{customer.connection_id}/links"
    browser.get(path)
    made = browser.post(path, {"label": "it@nordlys.test", "days": "7"})
    (address,) = re.findall(r"/set-up/sbsetup_[\w-]{43}", made.text)
    opened = guest.get(address)
    too_long = browser.post(path, {"days": "91"})
    with customer.unit() as unit:
        (link,) = list_setup_links(unit)
        assert link.expires_at == unit.at + timedelta(days=7)
        assert link.first_used_at is not None
    browser.post(f"{path}/{link.id}/revoke")

    assert (opened.status, too_long.status) == (200, 422)
    assert address not in browser.get(path).text
    assert guest.get(address).status == 410


def test_t1_a_link_is_about_its_own_connection_only(
    make_customer: Callable[..., Customer], app: Flask, guest: Browser
) -> None:
    """T1."""
    ours, theirs = make_customer("nordlys"), make_customer("sudlys")
    with theirs.unit() as unit:
        link, _ = create_setup_link(unit, theirs.connection_id)
    browser = sign_in(app, ours)

    revoked = browser.post(f"/console/connections/{ours.connection_id}/links/{link.id}/revoke")

    assert revoked.status == 404
    assert browser.get(f"/console/connections/{theirs.connection_id}/links").status == 404
    assert browser.get(f"/console/connections/{theirs.connection_id}/guide").status == 404


def test_the_command_line_makes_lists_and_revokes_links(customer: Customer, database_url: URL) -> None:
    environment = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["setup-link", *arguments], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    made = run("create", customer.slug, "okta", "--label", "it", "--days", "9")
    listed = run("list", customer.slug)
    revoked = run("revoke", customer.slug, "it", "--yes", "--json")

    assert re.search(r"/set-up/sbsetup_[\w-]{43}", made)
    assert "it " in listed
    assert '"revoked"' in revoked
    assert "No set-up link is good now" in run("list", customer.slug)
