"""Enforced single sign-on, and the one way back in for an owner."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.credentials import Credential
from bridge.domain.identifiers import new_id
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidChangeError, InvalidInputError, PreviewStaleError, SsoEnforcedError
from bridge.runtime import Runtime
from bridge.store.directory import get_connection, manual_connection
from bridge.store.models import Alert, AuditEntry, Delivery, WebSession
from bridge.usecases.change_role import change_role
from bridge.usecases.enforce_sso import ShutOut, enforce_sso, preview_enforcement, relax_sso
from bridge.usecases.link_people import link_identity
from bridge.usecases.provision_member import PersonDraft, Source, provision_member
from bridge.usecases.sign_in_links import create_break_glass_link, create_sign_in_link
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.integration.test_cli import Run, nordlys, run
from tests.sign_ins import sign_in as sign_in_by_provider
from tests.sign_ins import trust, verified_domain
from tests.web import Browser, make_admin

__all__ = ["nordlys", "run"]


@pytest.fixture
def acme(customer: Customer) -> Customer:
    trust(customer)
    return customer


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


def by_hand(customer: Customer, user_name: str) -> None:
    with customer.unit() as unit:
        draft = PersonDraft(user_name, document={"emails": [{"value": user_name, "primary": True}]})
        provision_member(unit, manual_connection(unit).id, draft, Source.MANUAL)


def shut_out(customer: Customer) -> dict[str, ShutOut]:
    with customer.unit() as unit:
        return {one.user_name: one.reason for one in preview_enforcement(unit).shut_out}


def enforce(customer: Customer) -> None:
    with customer.unit() as unit:
        enforce_sso(unit)


def use(app: Flask, link: Credential) -> Browser:
    """Use a link in a new browser."""
    browser = Browser(app.test_client())
    browser.get(f"/sign-in/link/{link.text}")
    browser.post(f"/sign-in/link/{link.text}")
    return browser


class TestWhoIsShutOut:
    def test_an_owner_until_a_subject_is_linked_to_them(self, acme: Customer) -> None:
        verified_domain(acme, "nordlys.test")
        before = shut_out(acme)
        with acme.unit() as unit:
            link_identity(unit, acme.connection_id, acme.owner_id, subject="00u1")

        assert (before, shut_out(acme)) == ({"owner@nordlys.test": ShutOut.OWNER_UNLINKED}, {})

    def test_people_added_by_hand_whose_domain_leads_nowhere(self, acme: Customer) -> None:
        verified_domain(acme, "ours.test")
        by_hand(acme, "ada@ours.test")
        by_hand(acme, "bea@elsewhere.test")

        assert {name: why for name, why in shut_out(acme).items() if "owner" not in name} == {
            "bea@elsewhere.test": ShutOut.NO_CONNECTION
        }

    def test_nobody_whom_a_connection_in_use_pushed_or_signed_in(self, acme: Customer) -> None:
        acme.push("ada@anywhere.test")
        sign_in_by_provider(acme, "bea@anywhere.test")

        assert list(shut_out(acme)) == ["owner@nordlys.test"]

    def test_everybody_of_a_connection_that_is_disabled(self, acme: Customer) -> None:
        acme.push("ada@anywhere.test")
        with acme.unit() as unit:
            get_connection(unit, acme.connection_id).disabled_at = unit.at

        assert shut_out(acme)["ada@anywhere.test"] is ShutOut.CONNECTION_OFF

    def test_who_is_linked_to_a_provider_that_is_believed_no_more(self, acme: Customer) -> None:
        with acme.unit() as unit:
            link_identity(unit, acme.connection_id, acme.owner_id, subject="00u1")
            get_connection(unit, acme.connection_id).issuer = "https://another.example"

        assert shut_out(acme) == {"owner@nordlys.test": ShutOut.OWNER_UNLINKED}


class TestEnforcing:
    def test_no_link_signs_anybody_in_and_sessions_by_link_end(self, app: Flask, acme: Customer) -> None:
        with acme.unit() as unit:
            used, unused = (create_sign_in_link(unit, acme.owner_id) for _ in range(2))
        before = use(app, used)
        assert before.get("/console").status == 200

        enforce(acme)

        assert before.get("/console").status != 200
        assert use(app, unused).get("/console").status != 200
        with acme.unit() as unit, pytest.raises(SsoEnforcedError, match="admin recover"):
            create_sign_in_link(unit, acme.owner_id)
        with acme.unit() as unit:
            assert [one.ended_by for one in unit.session.scalars(select(WebSession))] == ["sso_enforced"]

    def test_it_is_audited_with_whom_it_shuts_out_and_once(self, acme: Customer) -> None:
        enforce(acme)
        enforce(acme)

        with acme.unit() as unit:
            (entry,) = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "sso.enforced"))
            assert entry.body["shut_out"] == [str(acme.owner_id)]
            assert preview_enforcement(unit).enforced_at == unit.at

    def test_links_work_again_once_it_is_relaxed(self, app: Flask, acme: Customer) -> None:
        enforce(acme)
        with acme.unit() as unit:
            relaxed, again = relax_sso(unit), relax_sso(unit)
            link = create_sign_in_link(unit, acme.owner_id)

        assert (relaxed, again) == (True, False)
        assert use(app, link).get("/console").status == 200

    def test_without_a_connection_that_signs_people_in_it_is_refused(self, customer: Customer) -> None:
        with customer.unit() as unit, pytest.raises(InvalidChangeError, match="connect an identity provider first"):
            enforce_sso(unit)

    def test_whom_the_preview_did_not_show_is_not_shut_out(self, acme: Customer) -> None:
        with acme.unit() as unit:
            shown = [one.member_id for one in preview_enforcement(unit).shut_out]
        by_hand(acme, "bea@elsewhere.test")

        with acme.unit() as unit, pytest.raises(PreviewStaleError):
            enforce_sso(unit, shown=shown)

    def test_z1_it_is_the_owners_to_decide(self, acme: Customer) -> None:
        admin = Actor(ActorKind.MEMBER, new_id(), Role.ADMIN)
        for attempt in (enforce_sso, relax_sso, preview_enforcement):
            with acme.unit(admin) as unit, pytest.raises(ForbiddenError):
                attempt(unit)

    def test_it_holds_for_its_own_organization_only(
        self, acme: Customer, make_customer: Callable[..., Customer]
    ) -> None:
        enforce(acme)

        with make_customer("fjord").unit() as unit:
            assert preview_enforcement(unit).enforced_at is None


def test_whom_turning_the_only_connection_off_shuts_out_is_said_before(run: Run, nordlys: Customer) -> None:
    trust(nordlys)
    nordlys.push("ada@acme.test")
    sign_in_by_provider(nordlys, "ada@acme.test")
    before = run("connection", "disable", "nordlys", "Okta", "--preview")
    enforce(nordlys)

    after = run("connection", "disable", "nordlys", "Okta", "--preview", "--json")

    assert before.stdout.startswith("Nobody is shut out")
    assert [one["user_name"] for one in json.loads(after.stdout)["shut_out"]] == ["ada@acme.test"]
    with nordlys.unit() as unit:
        assert get_connection(unit, nordlys.connection_id).disabled_at is None


class TestBreakGlass:
    def test_an_owner_comes_in_for_an_hour_and_every_owner_is_told_twice(
        self, app: Flask, acme: Customer, clock: SettableClock
    ) -> None:
        enforce(acme)
        with acme.unit() as unit:
            link = create_break_glass_link(unit, acme.owner_id)

        browser = use(app, link)

        assert browser.get("/console").status == 200
        assert "by emergency link" in browser.get("/me").text
        with acme.unit() as unit:
            (opened,) = unit.session.scalars(select(WebSession))
            assert (opened.method, opened.expires_at - opened.created_at) == ("break_glass", timedelta(hours=1))
            alerts = unit.session.scalars(select(Alert.code).order_by(Alert.code)).all()
            assert list(alerts) == ["break_glass_made", "break_glass_used"]
            assert unit.session.query(Delivery).filter_by(kind="alert_mail").count() == 2
            actions = unit.session.execute(
                select(AuditEntry.action, AuditEntry.reason).where(AuditEntry.action.like("s%_link.%"))
            ).all()
            assert sorted(actions) == [
                ("sign_in_link.created", "break_glass"),
                ("sign_in_link.used", "break_glass"),
            ]
        clock.at += timedelta(hours=1)
        assert browser.get("/console").status != 200

    def test_each_time_is_told_anew(self, acme: Customer, clock: SettableClock) -> None:
        for _ in range(2):
            clock.at += timedelta(minutes=1)
            with acme.unit() as unit:
                create_break_glass_link(unit, acme.owner_id)

        with acme.unit() as unit:
            assert unit.session.query(Alert).filter_by(code="break_glass_made").count() == 2

    def test_the_link_is_good_for_an_hour_and_once(self, app: Flask, acme: Customer, clock: SettableClock) -> None:
        with acme.unit() as unit:
            late, once = (create_break_glass_link(unit, acme.owner_id) for _ in range(2))
        use(app, once)
        again = use(app, once).get("/console").status
        clock.at += timedelta(hours=1)

        assert again != 200
        assert use(app, late).get("/console").status != 200

    def test_it_is_for_owners_only(self, acme: Customer) -> None:
        admin = make_admin(acme, "ann@nordlys.test").id

        with acme.unit() as unit, pytest.raises(InvalidInputError, match="no owner"):
            create_break_glass_link(unit, admin)

    def test_who_is_no_owner_any_more_does_not_come_in(self, app: Flask, acme: Customer) -> None:
        second = make_admin(acme, "ann@nordlys.test").id
        with acme.unit() as unit:
            change_role(unit, second, Role.OWNER)
            link = create_break_glass_link(unit, second)
            change_role(unit, second, Role.ADMIN)

        assert use(app, link).get("/console").status != 200

    def test_z1_nobody_in_the_console_makes_one(self, acme: Customer) -> None:
        admin = Actor(ActorKind.MEMBER, new_id(), Role.ADMIN)

        with acme.unit(admin) as unit, pytest.raises(ForbiddenError):
            create_break_glass_link(unit, acme.owner_id)


class TestCommands:
    def test_it_shows_who_is_shut_out_asks_and_lets_an_owner_back_in(self, run: Run, nordlys: Customer) -> None:
        trust(nordlys)
        shown = run("sso", "enforce", "nordlys", "--preview")
        declined = run("sso", "enforce", "nordlys", typed="n\n")
        still_off = json.loads(run("sso", "show", "nordlys", "--json").stdout)
        done = run("sso", "enforce", "nordlys", typed="y\n")
        on = json.loads(run("sso", "show", "nordlys", "--json").stdout)
        link = run("admin", "recover", "nordlys", "owner@nordlys.test")
        relaxed = run("sso", "relax", "nordlys")

        assert (shown.exit_code, declined.exit_code, done.exit_code, relaxed.exit_code) == (0, 1, 0, 0), done.output
        assert "an owner whom no subject is linked to: `seatbridge connection link`" in shown.stdout
        assert still_off["enforced_at"] is None
        assert on["enforced_at"] is not None
        assert on["shut_out"][0]["reason"] == "owner_unlinked"
        assert "It works once, within an hour. Every owner is told of it now" in link.stdout
        assert relaxed.stdout == "Sign-in links work again.\n"

    def test_json_asks_nothing(self, run: Run, nordlys: Customer) -> None:
        del nordlys

        assert run("sso", "enforce", "nordlys", "--json").exit_code == 2
