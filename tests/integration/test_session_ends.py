"""T18: whoever loses access or role is signed out in that very transaction, through whichever door it comes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import URL, select

from bridge.cli import main
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.people_files import read_people
from bridge.domain.provisioning import Confirmation
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, NotFoundError
from bridge.jobs.work import end_unconfirmed_everywhere
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Group, Member, SignInLink, WebSession
from bridge.usecases.brake import find_open_hold
from bridge.usecases.change_role import change_role
from bridge.usecases.decide_holds import release_hold
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.import_people import import_people
from bridge.usecases.people_by_hand import turn_off_member
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provisional import set_confirmation
from bridge.usecases.sessions import end_session, end_sessions_of, list_sessions
from bridge.usecases.sign_in_links import create_sign_in_link
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, set_brake
from tests.protocol.scim_client import ScimClient, make_app, make_token
from tests.sign_ins import asserted, complete, start, trust
from tests.web import Browser, add_to_group, push_group, sign_in

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ADMINS = {"schema": 1, "rules": [{"group": "Admins", "expected": True, "role": "admin", "tier": "premium"}]}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def signed_in(customer: Customer, member_id: MemberId, *, device: str = "", at: datetime | None = None) -> WebSession:
    """Give somebody a session, as a sign-in does."""
    with customer.unit(at=at) as unit:
        opened = WebSession(
            org_id=unit.org_id,
            id=new_id(),
            token_hash=new_id().bytes,
            member_id=member_id,
            method="saml",
            device=device,
            created_at=unit.at,
            last_seen_at=unit.at,
            expires_at=unit.at + timedelta(days=30),
            ended_at=None,
            ended_by=None,
        )
        unit.session.add(opened)
    return opened


def ends(customer: Customer) -> list[tuple[str, str]]:
    """Return who ended a session by the audit, and why; the chain is whole."""
    with customer.unit() as unit:
        assert verify(unit) is None
        entries = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.org_id == unit.org_id, AuditEntry.action == "session.ended")
        )
        return [(entry.actor.partition(":")[0], entry.reason) for entry in entries]


def is_over(customer: Customer, opened: WebSession) -> bool:
    with customer.unit() as unit:
        stored = unit.session.get(WebSession, (unit.org_id, opened.id))
        return stored is None or stored.ended_at is not None


@pytest.fixture
def ada(customer: Customer) -> Member:
    return customer.push("ada@acme.test", external_id="00u1", displayName="Ada")


@pytest.fixture
def directory(customer: Customer) -> ScimClient:
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    assert client.send("GET", "/Users?count=1").status_code == 200
    return client


def patch_off(directory: ScimClient, ada: Member) -> None:
    operations = [{"op": "replace", "path": "active", "value": False}]
    sent = directory.send("PATCH", f"/Users/{ada.id}", {"schemas": [PATCH], "Operations": operations})
    assert sent.get_json()["active"] is False


def put_off(directory: ScimClient, ada: Member) -> None:
    content = {"userName": "ada@acme.test", "externalId": "00u1", "displayName": "Ada", "active": False}
    sent = directory.send("PUT", f"/Users/{ada.id}", content)
    assert sent.get_json()["active"] is False


def delete(directory: ScimClient, ada: Member) -> None:
    assert directory.send("DELETE", f"/Users/{ada.id}").status_code == 204


@pytest.mark.parametrize("leave", [patch_off, put_off, delete])
def test_t18_by_the_directory(
    customer: Customer, directory: ScimClient, ada: Member, leave: Callable[[ScimClient, Member], None]
) -> None:
    opened = signed_in(customer, ada.id)

    leave(directory, ada)

    assert is_over(customer, opened)
    assert ends(customer) == [("directory", "directory")]


def test_t18_by_an_import(customer: Customer, ada: Member) -> None:
    opened = signed_in(customer, ada.id)

    with customer.unit() as unit:
        import_people(unit, read_people(b"userName,active\nada@acme.test,false\n"), customer.connection_id)

    assert (is_over(customer, opened), ends(customer)) == (True, [("operator", "import")])


def test_t18_by_hand(customer: Customer, ada: Member) -> None:
    opened = signed_in(customer, ada.id)

    with customer.unit(customer.owner) as unit:
        turn_off_member(unit, ada.id)

    assert (is_over(customer, opened), ends(customer)) == (True, [("member", "by_hand")])


def test_t18_when_a_hold_is_released_and_not_before(customer: Customer, ada: Member, directory: ScimClient) -> None:
    set_brake(customer, minimum=1, share=1)
    bo = customer.push("bo@acme.test")
    patch_off(directory, bo)
    opened = signed_in(customer, ada.id)
    patch_off(directory, ada)
    before = is_over(customer, opened)

    with customer.unit(customer.owner) as unit:
        hold = find_open_hold(unit)
        assert hold is not None
        release_hold(unit, hold.id, revision=hold.revision, reason="They have left")

    assert (before, is_over(customer, opened)) == (False, True)
    assert ends(customer) == [("member", "brake_released")]


def test_t18_when_no_directory_confirmed_in_time(customer: Customer, clock: SettableClock) -> None:
    trust(customer)
    with customer.unit() as unit:
        set_confirmation(unit, customer.connection_id, Confirmation.ALWAYS)
    found = complete(customer, asserted(customer, "bo@acme.test", start(customer)))
    opened = signed_in(customer, found.member.id)
    clock.at += timedelta(days=14)

    end_unconfirmed_everywhere(customer.runtime)

    assert (is_over(customer, opened), ends(customer)) == (True, [("sign_in", "unconfirmed")])


class TestARoleThatIsLost:
    @pytest.fixture
    def admin(self, customer: Customer, ada: Member) -> Member:
        """Ada, an admin by a mapping."""
        push_group(customer, "Admins", [ada])
        self.map(customer, ADMINS)
        with customer.unit() as unit:
            found = get_member(unit, ada.id)
        assert found.role == Role.ADMIN
        return found

    @staticmethod
    def map(customer: Customer, document: dict[str, object]) -> None:
        with customer.unit() as unit:
            preview = preview_mappings(unit, document)
        with customer.unit() as unit:
            apply_mappings(unit, preview.id, acknowledged=True, roles_acknowledged=True)

    def test_t18_by_a_group_that_the_directory_takes_ends_the_sessions(
        self, customer: Customer, directory: ScimClient, admin: Member
    ) -> None:
        opened = signed_in(customer, admin.id)
        with customer.unit() as unit:
            group_id = unit.session.scalars(select(Group.id).where(Group.org_id == unit.org_id)).one()
        path = f'members[value eq "{admin.id}"]'
        content = {"schemas": [PATCH], "Operations": [{"op": "remove", "path": path}]}

        assert directory.send("PATCH", f"/Groups/{group_id}", content).status_code in {200, 204}

        assert (is_over(customer, opened), ends(customer)) == (True, [("directory", "role_lost")])

    def test_t18_by_changed_rules_ends_the_sessions(self, customer: Customer, admin: Member) -> None:
        opened = signed_in(customer, admin.id)

        self.map(customer, {"schema": 1, "rules": []})

        assert (is_over(customer, opened), ends(customer)) == (True, [("operator", "role_lost")])

    def test_t18_by_the_owner_ends_the_sessions(self, customer: Customer, admin: Member) -> None:
        opened = signed_in(customer, admin.id)

        with customer.unit(customer.owner) as unit:
            change_role(unit, admin.id, "member")

        assert (is_over(customer, opened), ends(customer)) == (True, [("member", "role_lost")])

    def test_a_role_that_is_won_or_kept_ends_nothing(self, customer: Customer, ada: Member) -> None:
        opened = signed_in(customer, ada.id)
        push_group(customer, "Admins", [])
        self.map(customer, ADMINS)

        add_to_group(customer, "Admins", ada)
        with customer.unit(customer.owner) as unit:
            change_role(unit, ada.id, "owner")

        assert (is_over(customer, opened), ends(customer)) == (False, [])


class TestByHand:
    @pytest.fixture
    def app(self, runtime: Runtime) -> Flask:
        return create_web_app(runtime, console_blueprints())

    def test_one_session_ends_and_the_others_stay(self, customer: Customer, ada: Member) -> None:
        first, second = (signed_in(customer, ada.id, device=name) for name in ("Firefox on Linux", "Safari on iPhone"))

        with customer.unit(customer.owner) as unit:
            end_session(unit, first.id)
            left = list_sessions(unit, idle_seconds=60, member_id=ada.id)

        assert [(one.id, one.device, one.method) for one in left] == [(second.id, "Safari on iPhone", "saml")]
        assert ends(customer) == [("member", "by_hand")]

    def test_a_session_that_is_over_is_not_ended_twice(self, customer: Customer, ada: Member) -> None:
        opened = signed_in(customer, ada.id)

        with customer.unit() as unit:
            end_session(unit, opened.id)
            end_session(unit, opened.id)

        assert len(ends(customer)) == 1

    def test_z4_nobody_ends_or_sees_the_sessions_of_others_but_admins(
        self, customer: Customer, ada: Member, app: Flask
    ) -> None:
        opened = signed_in(customer, customer.owner_id)
        theirs = sign_in(app, customer, ada.id)

        assert theirs.post(f"/me/sessions/{opened.id}/end").status == 404
        assert theirs.post(f"/console/people/{customer.owner_id}/sessions/{opened.id}/end").status == 403
        with customer.unit(customer.directory) as unit:
            with pytest.raises(ForbiddenError):
                end_session(unit, opened.id)
            with pytest.raises(ForbiddenError):
                end_sessions_of(unit, customer.owner_id)
            with pytest.raises(ForbiddenError):
                list_sessions(unit, idle_seconds=60)

        assert not is_over(customer, opened)

    def test_case_t3_a_session_of_another_organization_is_unknown(
        self, customer: Customer, make_customer: Callable[..., Customer]
    ) -> None:
        other = make_customer("other")
        opened = signed_in(other, other.owner_id)

        with pytest.raises(NotFoundError), customer.unit(customer.owner) as unit:
            end_session(unit, opened.id)

        assert not is_over(other, opened)

    def test_people_see_their_browsers_and_end_one(self, customer: Customer, ada: Member, app: Flask) -> None:
        here = sign_in(app, customer, ada.id)
        elsewhere = signed_in(customer, ada.id, device="Safari on iPhone")
        page = here.get("/me", headers={"User-Agent": FIREFOX}).text

        ended = here.post(f"/me/sessions/{elsewhere.id}/end")

        assert "Another session: Safari on iPhone, by SAML" in page
        assert (ended.location, here.get("/me").status, is_over(customer, elsewhere)) == ("/me", 200, True)

    def test_an_admin_ends_one_session_on_the_persons_page(self, customer: Customer, ada: Member, app: Flask) -> None:
        opened = signed_in(customer, ada.id, device="Chrome on Windows")
        browser = sign_in(app, customer)
        page = browser.get(f"/console/people/{ada.id}").text

        browser.post(f"/console/people/{ada.id}/sessions/{opened.id}/end")

        assert "Chrome on Windows, by SAML" in page
        assert is_over(customer, opened)

    def test_the_browser_that_signs_in_is_named_in_our_words(self, customer: Customer, app: Flask) -> None:
        browser = Browser(app.test_client())
        browser.client.environ_base["HTTP_USER_AGENT"] = f"{FIREFOX} <script>"
        signing = sign_in_with(browser, customer)

        with customer.unit() as unit:
            devices = [one.device for one in list_sessions(unit, idle_seconds=60)]
        assert (signing, devices) == (303, ["Firefox on Linux"])

    def test_the_operator_lists_and_ends_them(self, customer: Customer, ada: Member, database_url: URL) -> None:
        now = datetime.now(UTC)
        first, second = (signed_in(customer, ada.id, device="Firefox on Linux", at=now) for _ in range(2))
        environment = {
            "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
            "SEATBRIDGE__SECRETS__KEYS": KEY,
        }

        def run(*words: str) -> Any:
            result = CliRunner().invoke(main, ["sessions", *words, "--json"], env=environment)
            assert result.exit_code == 0, result.output
            return json.loads(result.output)

        listed = run("list", customer.slug, "--person", "ada@acme.test")
        ended = [run("end", customer.slug, str(first.id)), run("end", customer.slug, "--person", "ada@acme.test")]

        assert {(one["id"], one["device"]) for one in listed} == {
            (str(one.id), "Firefox on Linux") for one in (first, second)
        }
        assert (ended, run("list", customer.slug)) == ([{"ended": 1}, {"ended": 1}], [])
        assert ends(customer) == [("operator", "by_hand")] * 2


def sign_in_with(browser: Browser, customer: Customer) -> int:
    """Sign the owner in by a link, in this very browser."""
    with customer.unit() as unit:
        link = f"/sign-in/link/{create_sign_in_link(unit, customer.owner_id).text}"
    browser.get(link)
    return browser.post(link).status


def test_an_administrator_ends_neither_sessions_nor_links_of_an_owner(customer: Customer) -> None:
    admin = customer.push("adm@acme.test")
    opened = signed_in(customer, customer.owner_id)
    with customer.unit(customer.owner) as unit:
        change_role(unit, admin.id, "admin")
    with customer.unit() as unit:
        create_sign_in_link(unit, customer.owner_id)
    by_admin = Actor(ActorKind.MEMBER, admin.id, Role.ADMIN)

    with pytest.raises(ForbiddenError, match="of owners"), customer.unit(by_admin) as unit:
        end_sessions_of(unit, customer.owner_id)
    with pytest.raises(ForbiddenError, match="of owners"), customer.unit(by_admin) as unit:
        end_session(unit, opened.id)

    with customer.unit() as unit:
        assert unit.session.scalars(select(SignInLink)).one().used_at is None
    assert not is_over(customer, opened)
    with customer.unit(customer.owner) as unit:
        assert end_sessions_of(unit, customer.owner_id) == 1
