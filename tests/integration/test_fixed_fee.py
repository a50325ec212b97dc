"""A contract for a fixed fee in daily life: previews, the worker, directories, pages, mails and the command line."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import URL, select

from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.config import Settings
from bridge.domain.actors import OPERATOR, SYSTEM, Actor, ActorKind
from bridge.domain.identifiers import new_id
from bridge.domain.people_files import read_people
from bridge.domain.roles import Role
from bridge.errors import (
    AccountManagerOnlyError,
    AcknowledgementMissingError,
    ForbiddenError,
    InvalidChangeError,
    InvalidInputError,
    NotFoundError,
    OwnerProtectedError,
    PreviewExpiredError,
    PreviewStaleError,
    ReductionNotAllowedError,
)
from bridge.jobs.messages import compose
from bridge.ports import FeeDraft
from bridge.runtime import build_runtime
from bridge.store.directory import get_member
from bridge.store.gate import due_renewals
from bridge.store.journal import verify
from bridge.store.models import Alert, AuditEntry, Contract, Decision, Delivery, Invoice, Member, ProductRoleHolder
from bridge.usecases.agreed_changes import cancel_agreed_change, read_agreed_change
from bridge.usecases.amend_contract import (
    AmendmentConfirmation,
    AmendmentDraft,
    amend_contract,
    confirm_amendment,
    preview_amendment,
    read_fee,
)
from bridge.usecases.approvals import approve, open_approval
from bridge.usecases.ask_owners import submit_amendment
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.deliver import Claim
from bridge.usecases.held_roles import roles_of
from bridge.usecases.import_people import import_people, preview_import
from bridge.usecases.list_people import PeopleFilter, list_people
from bridge.usecases.product_roles import add_user, change_roles, define_role, list_roles, list_users, remove_user
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, remove_member, update_member
from bridge.usecases.renew_contract import grant_credit, renew_contract, set_auto_renew
from bridge.usecases.tier_review import UserCounts, count_users
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from scim.edge import scim_blueprint
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, create_customer
from tests.protocol.scim_client import SEAT, USER, ScimClient, make_token
from tests.web import Browser, sign_in

START = datetime(2026, 1, 1, tzinfo=UTC)
FEE = FeeDraft(annual_fee=1_200_000, tier="growth", paid_users=2, schedule="quarterly")
RAISED = AmendmentDraft(annual_fee=1_800_000)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
Run = Callable[..., Result]


@pytest.fixture
def customer(make_customer: Callable[..., Customer], clock: SettableClock) -> Customer:
    """A contract since 1 January: 12,000.00 a year by quarters, meant for 2 paid users."""
    clock.at = START
    made = make_customer(fee=FEE, auto_renew=False)
    clock.at = JULY
    with made.unit(SYSTEM) as unit:
        unit.lock()  # which passes what is due
    return made


def invoices(customer: Customer) -> list[tuple[str, int]]:
    with customer.unit() as unit:
        return [
            (row.reason, row.total)
            for row in unit.session.scalars(
                select(Invoice).where(Invoice.org_id == unit.org_id).order_by(Invoice.number)
            )
        ]


def add(customer: Customer, name: str, *roles: str) -> Member:
    with customer.unit() as unit:
        return add_user(unit, PersonDraft(f"{name}@nordlys.test", document={"displayName": name.title()}), roles)


class TestAmendments:
    def test_q1_what_a_preview_shows_is_charged_and_an_acknowledgement_is_needed(self, customer: Customer) -> None:
        with customer.unit(customer.owner) as unit:
            preview = preview_amendment(unit, RAISED)
        with pytest.raises(AcknowledgementMissingError), customer.unit(customer.owner) as unit:
            confirm_amendment(unit, preview.id, acknowledged=False)

        with customer.unit(customer.owner) as unit:
            done = confirm_amendment(unit, preview.id, acknowledged=True)

        # (18,000.00 − 12,000.00) × 6/12 = 3,000.00
        assert preview.quote.bill is not None
        assert preview.quote.bill.lines[0].formula == "(€18,000.00 − €12,000.00) × 6/12 = €3,000.00"
        assert done.invoice is not None
        assert done.invoice.total == preview.quote.bill.total == 300_000

    def test_q5_confirming_again_charges_nothing_and_answers_the_same(self, customer: Customer) -> None:
        with customer.unit(customer.owner) as unit:
            preview = preview_amendment(unit, RAISED)
        answers = []
        for _ in range(2):
            with customer.unit(customer.owner) as unit:
                answers.append(confirm_amendment(unit, preview.id, acknowledged=True))

        assert answers[0] == answers[1]
        assert invoices(customer)[3:] == [("amendment", 300_000)]

    def test_q2_the_instant_of_the_preview_counts(self, customer: Customer, clock: SettableClock) -> None:
        clock.at = JULY + timedelta(hours=23, minutes=50)
        with customer.unit(customer.owner) as unit:
            preview = preview_amendment(unit, RAISED)
        clock.at += timedelta(minutes=14)

        with customer.unit(customer.owner) as unit:
            done = confirm_amendment(unit, preview.id, acknowledged=True)

        assert done.invoice is not None
        assert done.invoice.total == 300_000

    def test_q3_a_preview_dies_after_its_time(self, customer: Customer, clock: SettableClock) -> None:
        with customer.unit(customer.owner) as unit:
            preview = preview_amendment(unit, RAISED)
        clock.at += timedelta(minutes=15)

        with pytest.raises(PreviewExpiredError), customer.unit(customer.owner) as unit:
            confirm_amendment(unit, preview.id, acknowledged=True)

    @pytest.mark.parametrize(
        "meanwhile",
        [
            lambda unit: amend_contract(unit, AmendmentDraft(tier="scale")),
            lambda unit: grant_credit(unit, 100),
            lambda unit: set_auto_renew(unit, value=True),
        ],
    )
    def test_q3_a_preview_dies_when_the_contract_or_the_balance_changes(
        self, customer: Customer, meanwhile: Callable[..., object]
    ) -> None:
        with customer.unit(customer.owner) as unit:
            preview = preview_amendment(unit, RAISED)
        with customer.unit() as unit:
            meanwhile(unit)

        with pytest.raises(PreviewStaleError), customer.unit(customer.owner) as unit:
            confirm_amendment(unit, preview.id, acknowledged=True)

        assert len([reason for reason, _ in invoices(customer) if reason == "amendment"]) == 0

    def test_q3_a_preview_dies_at_a_boundary(self, customer: Customer, clock: SettableClock) -> None:
        clock.at = datetime(2026, 9, 30, 23, 55, tzinfo=UTC)
        with customer.unit(customer.owner) as unit:
            preview = preview_amendment(unit, RAISED)
        clock.at += timedelta(minutes=5)

        with pytest.raises(PreviewStaleError), customer.unit(customer.owner) as unit:
            confirm_amendment(unit, preview.id, acknowledged=True)

    def test_q3_people_who_come_leave_a_preview_alive(self, customer: Customer) -> None:
        with customer.unit(customer.owner) as unit:
            preview = preview_amendment(unit, RAISED)
        add(customer, "ana", "team_member")

        with customer.unit(customer.owner) as unit:
            assert confirm_amendment(unit, preview.id, acknowledged=True).annual_fee == 1_800_000

    def test_a_preview_of_something_else_is_none(self, customer: Customer) -> None:
        with pytest.raises(NotFoundError), customer.unit(customer.owner) as unit:
            confirm_amendment(unit, new_id(), acknowledged=True)

    def test_u7_a_lower_fee_is_refused_with_the_day_it_may_go_down(self, customer: Customer) -> None:
        with (
            pytest.raises(ReductionNotAllowedError, match="The fee cannot be lowered before the renewal on 1 Jan 2027"),
            customer.unit() as unit,
        ):
            preview_amendment(unit, AmendmentDraft(annual_fee=1))

    def test_u7_a_lower_fee_agreed_ahead_is_in_the_forecast_and_counts_from_the_next_term(
        self, customer: Customer
    ) -> None:
        with customer.unit() as unit:
            set_auto_renew(unit, value=True)
            done = amend_contract(unit, AmendmentDraft(annual_fee=900_000, tier="starter", ahead=True), "k")
        with customer.unit() as unit:
            again = amend_contract(unit, AmendmentDraft(annual_fee=900_000, tier="starter", ahead=True), "k")
        before_the_end = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
        with customer.unit(customer.owner, at=before_the_end) as unit:
            unit.lock()
            forecast = unit.billing.next_renewal()
        with customer.unit(customer.owner, at=datetime(2027, 1, 1, tzinfo=UTC)) as unit:
            unit.lock()
            fee, waiting = read_fee(unit), read_agreed_change(unit)

        assert again == done
        assert (done.invoice, done.effective_at) == (None, datetime(2027, 1, 1, tzinfo=UTC))
        # A quarter of 9,000.00, as forecast and as billed.
        assert forecast is not None
        assert (forecast.total, invoices(customer)[-1]) == (225_000, ("instalment", 225_000))
        assert (fee.annual_fee, fee.tier, waiting) == (900_000, "starter", None)

    def test_u7_only_one_change_is_agreed_at_a_time_and_a_cancelled_one_never_counts(self, customer: Customer) -> None:
        lower = AmendmentDraft(annual_fee=900_000, ahead=True)
        with customer.unit() as unit:
            set_auto_renew(unit, value=True)
            amend_contract(unit, lower)
        with pytest.raises(InvalidChangeError, match="agreed already"), customer.unit() as unit:
            amend_contract(unit, AmendmentDraft(annual_fee=800_000, ahead=True))
        with pytest.raises(AccountManagerOnlyError), customer.unit(customer.owner) as unit:
            cancel_agreed_change(unit)
        with customer.unit() as unit:
            cancel_agreed_change(unit)
        with customer.unit(customer.owner, at=datetime(2027, 1, 1, tzinfo=UTC)) as unit:
            unit.lock()

        assert invoices(customer)[-1] == ("instalment", 300_000)
        with customer.unit() as unit:
            actions = unit.session.scalars(
                select(AuditEntry.action).where(AuditEntry.action.like("contract.change_%")).order_by(AuditEntry.seq)
            ).all()
        assert list(actions) == ["contract.change_agreed", "contract.change_cancelled"]

    def test_u7_what_was_not_named_ahead_is_as_it_stands_when_the_term_begins(self, customer: Customer) -> None:
        with customer.unit() as unit:
            set_auto_renew(unit, value=True)
            amend_contract(unit, AmendmentDraft(annual_fee=900_000, ahead=True))
            waiting = read_agreed_change(unit)
        with customer.unit(customer.owner) as unit:
            amend_contract(unit, AmendmentDraft(tier="large", paid_users=300))
        with customer.unit(customer.owner, at=datetime(2027, 1, 1, tzinfo=UTC)) as unit:
            unit.lock()
            fee = read_fee(unit)

        assert waiting is not None
        assert waiting.terms == {"annual_fee": 900_000}
        assert (fee.annual_fee, fee.tier, fee.paid_users) == (900_000, "large", 300)

    def test_z1_an_admin_neither_sees_nor_amends(self, customer: Customer) -> None:
        admin = Actor(ActorKind.MEMBER, role=Role.ADMIN)
        for act in (read_fee, lambda unit: preview_amendment(unit, RAISED), lambda unit: amend_contract(unit, RAISED)):
            with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
                act(unit)

    def test_an_amendment_is_audited_and_its_invoice_sent(self, customer: Customer) -> None:
        with customer.unit(customer.owner) as unit:
            done = amend_contract(unit, AmendmentDraft(1_800_000, "scale", 50))

        assert done.invoice is not None
        with customer.unit() as unit:
            entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "contract.amended")).one()
            sent = unit.session.scalars(select(Delivery).where(Delivery.subject_id == done.invoice.id)).one()
            assert verify(unit) is None
        assert entry.body["from"] == [1_200_000, "growth", 2]
        assert entry.body["to"] == [1_800_000, "scale", 50]
        assert sent.kind == "invoice_mail"

    def test_seats_cannot_be_bought_on_it_and_fees_not_amended_elsewhere(
        self, customer: Customer, make_customer: Callable[..., Customer]
    ) -> None:
        team = make_customer("sydlys")

        with pytest.raises(InvalidChangeError, match="not sold by seats"), customer.unit() as unit:
            change_seats(unit, {"premium": 1})
        with pytest.raises(InvalidChangeError, match="no fixed fee"), team.unit() as unit:
            amend_contract(unit, RAISED)
        with pytest.raises(InvalidChangeError, match="this is a team plan"), team.unit() as unit:
            add_user(unit, PersonDraft("a@sydlys.test"), ["client"])


class TestBoundaries:
    def test_the_worker_finds_what_is_due_and_bills_each_instalment_once(
        self, customer: Customer, clock: SettableClock
    ) -> None:
        october = datetime(2026, 10, 1, tzinfo=UTC)
        assert list(customer.runtime.ask_gate(lambda session: due_renewals(session, october))) == [customer.org_id]

        with customer.unit(SYSTEM, at=october) as unit:
            first, second = renew_contract(unit), renew_contract(unit)

        assert first is not None
        assert (first.at, first.reason, second) == (october, "instalment", None)
        assert invoices(customer) == [("instalment", 300_000)] * 4

    def test_r5_the_end_of_the_term_ends_the_plan_and_keeps_everybody(self, customer: Customer) -> None:
        ana = add(customer, "ana", "team_member")

        with customer.unit(SYSTEM, at=datetime(2027, 3, 1, tzinfo=UTC)) as unit:
            unit.lock()

        with customer.unit() as unit:
            contract = unit.session.get_one(Contract, unit.org_id)
            assert (contract.status, contract.period_end) == ("ended", datetime(2027, 1, 1, tzinfo=UTC))
            assert get_member(unit, ana.id).active
            assert [role.key for role in roles_of(unit, ana.id)] == ["team_member"]
        assert len(invoices(customer)) == 4

    def test_the_mail_of_an_instalment_says_how_it_was_counted(self, customer: Customer) -> None:
        with customer.unit() as unit:
            invoice = unit.session.scalars(select(Invoice).order_by(Invoice.number)).first()
            assert invoice is not None
            claim = Claim(new_id(), 1, "invoice_mail", "k", str(invoice.id), ("owner@nordlys.test",))
            message = compose(unit, claim)

        assert message is not None
        assert "1 × €12,000.00 × 1/4 = €3,000.00" in message.text

    def test_u3_the_owners_are_told_once_that_the_tier_is_outgrown(self, customer: Customer) -> None:
        for name in ("ana", "bo", "cy", "di"):
            add(customer, name, "team_member")

        with customer.unit() as unit:
            alert = unit.session.scalars(select(Alert).where(Alert.code == "over_tier")).one()
            mails = unit.session.scalars(select(Delivery).where(Delivery.kind == "alert_mail")).all()
            claim = Claim(new_id(), 1, "alert_mail", "k", str(alert.id), ("owner@nordlys.test",))
            message = compose(unit, claim)
        assert (alert.number, len(mails)) == (3, 1)
        assert message is not None
        assert message.text == (
            "3 people have a paid role and the tier growth is meant for 2: a matter for the next review."
        )


class TestPeople:
    def test_b5_a_role_is_defined_changed_and_listed(self, customer: Customer) -> None:
        with customer.unit(customer.owner) as unit:
            define_role(unit, "auditor", "Auditor", ["view", "comment", "view"], paid=False)
            define_role(unit, "auditor", "Auditor", ["view"], paid=True)
            roles = {role.key: role for role in list_roles(unit)}
            actions = unit.session.scalars(
                select(AuditEntry.action).where(AuditEntry.subject_kind == "product_role")
            ).all()

        assert (roles["auditor"].permissions, roles["auditor"].paid, roles["auditor"].built_in) == (
            ("view",),
            True,
            False,
        )
        assert [key for key, role in roles.items() if role.built_in and role.paid] == [
            "project_administrator",
            "team_member",
            "custom_role",
        ]
        assert list(actions) == ["product_role.defined"] * 2

    @pytest.mark.parametrize(
        ("key", "name", "permissions", "field"),
        [
            ("client", "Client", [], "role"),
            ("Auditor", "Auditor", [], "role"),
            ("auditor", " ", [], "name"),
            ("auditor", "Auditor", ["see all"], "permissions"),
            ("auditor", "Auditor", [f"p{number}" for number in range(201)], "permissions"),
        ],
    )
    def test_b5_a_role_that_is_not_possible_is_refused(
        self, customer: Customer, key: str, name: str, permissions: list[str], field: str
    ) -> None:
        with pytest.raises(InvalidInputError) as refusal, customer.unit() as unit:
            define_role(unit, key, name, permissions, paid=True)

        assert refusal.value.field == field

    def test_who_is_removed_altogether_takes_the_roles_along(self, customer: Customer) -> None:
        ana = add(customer, "ana", "team_member", "client")
        with customer.unit() as unit:
            remove_member(unit, get_member(unit, ana.id))

        with customer.unit() as unit:
            left = unit.session.scalars(select(ProductRoleHolder)).all()
            assert (list(left), count_users(unit)) == ([], UserCounts(0, 0))

    def test_an_owner_may_use_the_product_and_cannot_be_removed(self, customer: Customer) -> None:
        with customer.unit() as unit:
            change_roles(unit, customer.owner_id, ["project_administrator"])
        with pytest.raises(OwnerProtectedError), customer.unit() as unit:
            remove_user(unit, customer.owner_id)

        with customer.unit() as unit:
            (owner,) = list_users(unit)
        assert (owner.user_name, owner.roles, owner.paid) == ("owner@nordlys.test", ("project_administrator",), True)

    def test_a_directory_that_turns_people_off_and_on_is_counted(self, customer: Customer) -> None:
        people = [customer.push(f"p{number}@nordlys.test") for number in range(3)]
        with customer.unit() as unit:
            for person in people:
                change_roles(unit, person.id, ["team_member"] if person is not people[2] else ["client"])
        with customer.unit(customer.directory) as unit:
            update_member(unit, get_member(unit, people[2].id), PersonDraft("p2@nordlys.test", active=False))
        with customer.unit() as unit:
            change_roles(unit, people[2].id, ["team_member"])
            off = (count_users(unit), unit.session.scalars(select(Alert.number)).all())
        with customer.unit(customer.directory) as unit:
            update_member(unit, get_member(unit, people[2].id), PersonDraft("p2@nordlys.test", active=True))

        with customer.unit() as unit:
            assert off == (UserCounts(paid=2, free=0), [])
            assert (count_users(unit), unit.session.scalars(select(Alert.number)).all()) == (UserCounts(3, 0), [3])

    def test_the_list_of_people_says_who_counts_as_what(self, customer: Customer) -> None:
        add(customer, "ana", "team_member")
        customer.push("bo@nordlys.test", displayName="Bo")

        with customer.unit() as unit:
            rows = {row.member.display_name: row.roles for row in list_people(unit, PeopleFilter()).rows}

        assert [role.name for role in rows["Ana"]] == ["Team member"]
        assert rows["Bo"] == ()


class TestOtherWaysIn:
    def test_a_sign_in_lets_people_arrive_without_a_seat(self, customer: Customer) -> None:
        with customer.unit() as unit:
            member = provision_member(
                unit,
                customer.connection_id,
                PersonDraft("ana@nordlys.test"),
                Source.JIT,
                claimed_groups=("Engineering",),
            )

        assert (member.active, member.tier, member.waiting_for) == (True, None, None)

    def test_a_file_brings_people_who_wait_for_nothing(self, customer: Customer) -> None:
        file = read_people(b"userName,displayName\nana@nordlys.test,Ana\nbo@nordlys.test,Bo\n")

        with customer.unit() as unit:
            report = import_people(unit, file, expect=preview_import(unit, file).fingerprint)
            waiting = unit.session.scalars(select(Member).where(Member.waiting_for.is_not(None))).all()
            alerts = unit.session.scalars(select(Alert)).all()

        assert len(report.effect.added) == 2
        assert (list(waiting), list(alerts)) == ([], [])


class TestScim:
    def test_people_arrive_change_and_leave_without_a_seat_and_without_an_alert(self, customer: Customer) -> None:
        app = Flask(__name__)
        app.register_blueprint(scim_blueprint(customer.runtime))
        client = ScimClient(app, customer.slug, make_token(customer))
        reader = ScimClient(app, customer.slug, make_token(customer, can_write=False))
        body = {"schemas": [USER], "userName": "ana@nordlys.test", "displayName": "Ana", "active": True}

        created = [client.post("/Users", {**body, "userName": f"p{number}@nordlys.test"}) for number in range(3)]
        path = f"/Users/{created[0].get_json(force=True)['id']}"
        off = client.put(path, {**body, "userName": "p0@nordlys.test", "active": False})
        on = client.put(path, {**body, "userName": "p0@nordlys.test"})
        seen = reader.get(path)

        assert [answer.status_code for answer in (*created, off, on, seen)] == [201, 201, 201, 200, 200, 200]
        assert seen.get_json(force=True)[SEAT]["state"] == "unassigned"
        with customer.unit() as unit:
            assert unit.session.scalars(select(Alert)).all() == []
            assert set(unit.session.scalars(select(Decision.reason))) == {"not_by_seats"}
            assert unit.session.scalars(select(Member).where(Member.waiting_for.is_not(None))).all() == []
            assert verify(unit) is None
        assert client.delete(path).status_code == 204

    def test_groups_are_kept(self, customer: Customer) -> None:
        app = Flask(__name__)
        app.register_blueprint(scim_blueprint(customer.runtime))
        client = ScimClient(app, customer.slug, make_token(customer))
        ana = client.post("/Users", {"schemas": [USER], "userName": "ana@nordlys.test"}).get_json(force=True)

        group = client.post("/Groups", {"displayName": "Engineering", "members": [{"value": ana["id"]}]})

        assert group.status_code == 201
        assert client.delete(f"/Groups/{group.get_json(force=True)['id']}").status_code == 204


class TestConsole:
    @pytest.fixture
    def browser(self, customer: Customer) -> Browser:
        """The owner's browser."""
        return sign_in(create_web_app(customer.runtime, console_blueprints()), customer)

    def test_every_page_answers_in_words_that_fit(self, customer: Customer, browser: Browser) -> None:
        for name in ("ana", "bo", "cy"):
            add(customer, name, "team_member")
        with customer.unit() as unit:
            amend_contract(unit, RAISED)
            ids = unit.session.scalars(select(Invoice.id).order_by(Invoice.number)).all()
            ana = unit.session.scalars(select(Member.id).where(Member.display_name == "Ana")).one()
        paths = (
            "/console",
            "/console/people",
            "/console/people/add",
            f"/console/people/{ana}",
            "/console/seats",
            f"/console/seats/invoices/{ids[0]}",
            f"/console/seats/invoices/{ids[-1]}",
            "/console/mappings",
            "/me",
        )

        pages = {path: browser.get(path) for path in paths}

        assert {path: page.status for path, page in pages.items() if page.status != 200} == {}
        overview, people, _, person, seats, first, last = (page.text for page in list(pages.values())[:7])
        assert "Contract for a fixed fee, tier growth" in overview
        assert "3 people have a paid role and the tier growth is meant for 2" in overview
        assert "Instalment on 1 October 2026" in overview or "Instalment on 1 Oct 2026" in overview
        assert "Team member" in people
        assert "No seat" not in people
        assert "Seats &amp; billing" not in overview
        assert "Ana is a paid user because of Team member; held: Team member." in person
        assert "The fee cannot be lowered before the term ends." in seats
        assert "Contract amended" in seats
        assert "growth, annual fee" in " ".join(first.split())
        assert "higher fee for the rest of the contract year" in last

    def test_a_person_is_added_with_a_role_and_given_others(self, customer: Customer, browser: Browser) -> None:
        form = {"name": "Tove Aalto", "email": "tove@nordlys.test", "product_role": "client"}
        added = browser.post("/console/people/add", form)
        before = browser.get(added.location).text

        saved = browser.post(f"{added.location}/product-roles", {"product_role": ["team_member", "view_only"]})

        assert "Tove Aalto is a free user because every role held is free: Client." in before
        assert saved.status == 303
        after = browser.get(added.location).text
        assert "Tove Aalto is a paid user because of Team member; held: Team member, View only." in after

    def test_no_page_speaks_of_seats(self, customer: Customer, browser: Browser) -> None:
        add(customer, "ana", "team_member")

        for path in ("/console", "/console/mappings", "/console/seats"):
            text = re.sub(r"<[^>]*>", "", browser.get(path).text.partition("<main")[2])
            spoken = re.findall(r"[^.]*\bseats?\b[^.]*", text, re.IGNORECASE)
            assert spoken == [], (path, spoken)

    def test_u7_an_owner_raises_the_fee_on_the_page_and_pays_what_was_shown(
        self, customer: Customer, browser: Browser
    ) -> None:
        wanted = {"annual_fee": "18000.00", "tier": "growth", "paid_users": "2", "when": "now"}

        shown = browser.post("/console/contract/previews", wanted)
        page = browser.get(shown.location)
        done = browser.post(f"{shown.location}/confirm", {"acknowledged": "yes"})

        due = re.search(r'is invoiced <b class="money">([^<]+)</b>', page.text)
        assert due is not None
        assert (done.status, "invoices" in done.location) == (303, True)
        assert due.group(1) in browser.get(done.location).text

    @pytest.mark.parametrize("when", ["now", "next_term"])
    def test_u7_who_pays_writes_no_lower_fee_and_is_told_whom_to_ask(
        self, customer: Customer, browser: Browser, when: str
    ) -> None:
        with customer.unit(customer.owner) as unit:
            set_auto_renew(unit, value=True)
        wanted = {"annual_fee": "11999.99", "tier": "growth", "paid_users": "2", "when": when}

        refused = browser.post("/console/contract/previews", wanted)

        assert (refused.status, "agreed with your account manager, who enters it" in refused.text) == (409, True)

    @pytest.mark.parametrize(
        ("fee", "tier", "users"),
        # 2 paid users for 12,000.00 are 6,000.00 each: 3 cost 18,000.00 at least, and for tiers there is no price.
        [("", "growth", "3"), ("17999.99", "growth", "3"), ("", "enterprise", "2"), ("99000.00", "enterprise", "2")],
    )
    def test_u7_who_pays_gets_no_bigger_contract_at_a_price_of_their_own(
        self, customer: Customer, browser: Browser, fee: str, tier: str, users: str
    ) -> None:
        wanted = {"annual_fee": fee, "tier": tier, "paid_users": users, "when": "now"}

        refused = browser.post("/console/contract/previews", wanted)

        assert (refused.status, "ask your account manager, who enters it" in refused.text) == (409, True)

    def test_u7_an_owner_raises_the_paid_users_at_the_price_of_the_contract(
        self, customer: Customer, browser: Browser
    ) -> None:
        wanted = {"annual_fee": "18,000.00", "paid_users": "3", "when": "now"}

        shown = browser.post("/console/contract/previews", wanted)
        browser.post(f"{shown.location}/confirm", {"acknowledged": "yes"})

        with customer.unit(customer.owner) as unit:
            assert (read_fee(unit).annual_fee, read_fee(unit).paid_users) == (1_800_000, 3)

    def test_u7_an_owner_takes_what_the_account_manager_offers(self, customer: Customer) -> None:
        with customer.unit() as unit:
            asked = submit_amendment(unit, AmendmentDraft(tier="scale", paid_users=300))
        with customer.unit(customer.owner) as unit:
            shown = open_approval(unit, asked.id).preview

        with customer.unit(customer.owner) as unit:
            done = approve(unit, asked.id, shown.id, acknowledged=True)

        assert isinstance(done, AmendmentConfirmation)
        assert (done.tier, done.paid_users) == ("scale", 300)

    @pytest.mark.parametrize("written", ["13000,50", "13,00.50", "1,3000", "13.000,50"])
    def test_q1_a_comma_before_decimals_makes_no_fee_a_hundred_times_as_high(
        self, browser: Browser, written: str
    ) -> None:
        refused = browser.post("/console/contract/previews", {"annual_fee": written, "when": "now"})

        assert (refused.status, "write decimals with a point" in refused.text) == (422, True)

    def test_u7_an_owner_agrees_another_fee_for_the_next_term_and_cancels_it(
        self, customer: Customer, browser: Browser
    ) -> None:
        with customer.unit(customer.owner) as unit:
            set_auto_renew(unit, value=True)
        wanted = {"annual_fee": "13000.00", "tier": "growth", "paid_users": "2", "when": "next_term"}

        shown = browser.post("/console/contract/previews", wanted)
        browser.get(shown.location)
        browser.post(f"{shown.location}/confirm", {"acknowledged": "yes"})
        agreed = browser.get("/console/seats").text
        browser.post("/console/contract/agreed/cancel")

        assert "an annual fee of €13,000.00, tier growth" in agreed
        assert "Agreed ahead" not in browser.get("/console/seats").text

    def test_an_ended_contract_still_shows(self, customer: Customer, browser: Browser, clock: SettableClock) -> None:
        with customer.unit(SYSTEM, at=datetime(2027, 1, 1, tzinfo=UTC)) as unit:
            unit.lock()

        assert [browser.get(path).status for path in ("/console", "/console/seats", "/console/people")] == [200] * 3


class TestCommandLine:
    @pytest.fixture
    def run(self, database_url: URL) -> Run:
        """Run ``seatbridge ...`` here."""
        environment = {
            "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
            "SEATBRIDGE__SECRETS__KEYS": KEY,
        }
        return lambda *arguments, typed="": CliRunner().invoke(main, list(arguments), input=typed, env=environment)

    @pytest.fixture
    def nordlys(self, settings: Settings, database_url: URL) -> Iterator[Customer]:
        """A contract that begins now, and renews by itself."""
        runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
        yield create_customer(runtime, fee=FEE)
        runtime.close()

    def test_creating_one_bills_the_first_instalment(self, run: Run) -> None:
        terms = (
            "--annual-fee",
            "10000.02",
            "--contract-tier",
            "growth",
            "--paid-users",
            "3",
            "--schedule",
            "quarterly",
        )
        owner = ("--name", "Nordlys", "--owner-email", "olga@nordlys.test")

        done = run("org", "create", "nordlys", "--kind", "contract", *terms, *owner, "--json")

        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["invoice"]["total"] == 250_001
        shown = json.loads(run("org", "show", "nordlys", "--json").stdout)
        assert (shown["fee"]["tier"], shown["fee"]["annual fee"]) == ("growth", "€10,000.02")

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ((), "annual_fee: is missing"),
            (("--annual-fee", "1.001"), "annual_fee"),
            (("--annual-fee", "1", "--tier", "premium=1@1"), "tier: a contract has a fee"),
            (("--annual-fee", "1", "--schedule", "weekly"), "schedule"),
            (("--annual-fee", "1", "--schedule", "1=0.5,7=x"), "schedule"),
            (("--annual-fee", "1", "--discount", "2"), "discount"),
            (("--annual-fee", "1", "--cycle", "month"), "cycle"),
        ],
    )
    def test_terms_that_make_no_sense_are_refused(self, run: Run, options: tuple[str, ...], named: str) -> None:
        common = ("--name", "N", "--owner-email", "o@n.test", "--contract-tier", "growth", "--paid-users", "3")

        done = run("org", "create", "nordlys", "--kind", "contract", *common, *options)

        assert done.exit_code == 1
        assert named in done.output

    def test_a_plan_of_seats_takes_no_fee(self, run: Run) -> None:
        done = run(
            "org", "create", "n", "--name", "N", "--owner-email", "o@n.test", "--tier", "a=1@1", "--discount", "0"
        )

        assert "discount: is for contracts with a fixed fee; this is a team plan" in done.output

    def test_an_amendment_is_shown_then_charged(self, run: Run, nordlys: Customer) -> None:
        shown = run("contract", "amend", "nordlys", "--annual-fee", "18000.00", "--preview")
        refused = run("contract", "amend", "nordlys", "--annual-fee", "18000.00", typed="n\n")
        done = run("contract", "amend", "nordlys", "--annual-fee", "18000.00", "--tier", "scale", typed="y\n")

        # On its first day: the whole year, 18,000.00 − 12,000.00
        assert "(€18,000.00 − €12,000.00) = €6,000.00" in shown.output
        assert refused.exit_code == 1
        assert "Done. Invoice: €6,000.00, NORDLYS-000002" in done.output
        facts = json.loads(run("contract", "show", "nordlys", "--json").stdout)
        assert (facts["tier"], facts["annual_fee"], facts["next_invoice"]["total"]) == ("scale", 1_800_000, 300_000)

    def test_a_repeated_key_amends_once(self, run: Run, nordlys: Customer) -> None:
        amend = ("contract", "amend", "nordlys", "--annual-fee", "18000.00", "--yes", "--key", "k", "--json")

        first, second = run(*amend), run(*amend)

        assert json.loads(first.stdout) == json.loads(second.stdout)
        with nordlys.unit(OPERATOR) as unit:
            assert len(unit.session.scalars(select(Invoice)).all()) == 2

    def test_rule_q1_a_script_accepts_the_sum_of_an_amendment_and_a_repeat_answers_the_same(
        self, run: Run, nordlys: Customer
    ) -> None:
        amend = ("contract", "amend", "nordlys", "--annual-fee", "18000.00", "--key", "k", "--json")

        refused = run(*amend, "--accept-cost", "5999.99")
        first, second = run(*amend, "--accept-cost", "6000.00"), run(*amend, "--accept-cost", "6000.00")

        # On its first day: the whole year, 18,000.00 − 12,000.00
        assert "It costs €6,000.00 today, tax included, and €5,999.99 was accepted" in refused.stderr
        assert (refused.exit_code, first.exit_code, second.exit_code) == (1, 0, 0)
        assert json.loads(first.stdout) == json.loads(second.stdout)

    def test_an_amendment_is_asked_for_and_approved_by_the_sum_that_is_shown(self, run: Run, nordlys: Customer) -> None:
        wanted = ("--annual-fee", "18000.00", "--tier", "scale", "--paid-users", "300")
        asked = json.loads(run("approvals", "ask-amendment", "nordlys", *wanted, "--note", "We grow", "--json").stdout)

        listed = run("approvals", "list", "nordlys")
        shown = run("approvals", "show", "nordlys", asked["id"])
        refused = run("approvals", "approve", "nordlys", asked["id"], "--accept-cost", "0")
        done = run("approvals", "approve", "nordlys", asked["id"], "--accept-cost", "6000", "--json")

        assert "a changed contract: a new annual fee, tier scale, meant for 300 paid users" in listed.stdout
        assert "18,000" not in listed.stdout  # rule Z1: administrators read the list too
        assert "Total today: €6,000.00" in shown.stdout
        assert "(cost_differs)" in refused.stderr
        assert json.loads(done.stdout)["invoice"]["total"] == 600_000

    def test_an_amendment_that_says_nothing_or_is_of_a_plan_of_seats_is_not_sent(
        self, run: Run, nordlys: Customer
    ) -> None:
        create_customer(nordlys.runtime, "seats")

        nothing = run("approvals", "ask-amendment", "nordlys", "--next-term")
        seats = run("approvals", "ask-amendment", "seats", "--tier", "scale")

        assert "says nothing: name a fee" in nothing.stderr
        assert "the plan has no fixed fee (invalid_change)" in seats.stderr

    def test_users_and_roles(self, run: Run, nordlys: Customer) -> None:
        outputs = [
            run("roles", "define", "nordlys", "auditor", "--name", "Auditor", "--permission", "view", "--free"),
            run("users", "add", "nordlys", "ana@nordlys.test", "--role", "team_member"),
            run("users", "add", "nordlys", "bo@nordlys.test", "--role", "client"),
            run("users", "set-roles", "nordlys", "bo@nordlys.test", "--role", "auditor"),
            run("users", "remove", "nordlys", "ana@nordlys.test"),
            run("contract", "auto-renew", "nordlys", "off"),
        ]

        assert [done.exit_code for done in outputs] == [0] * 6
        listed = json.loads(run("users", "list", "nordlys", "--json").stdout)
        assert (listed["paid_users"], listed["free_users"]) == (0, 1)
        assert [(one["user_name"], one["roles"], one["active"]) for one in listed["users"]] == [
            ("ana@nordlys.test", ["team_member"], False),
            ("bo@nordlys.test", ["auditor"], True),
        ]
        assert "Auditor" in run("roles", "list", "nordlys").output
        assert "Ends by itself with the term" in run("contract", "show", "nordlys").output
