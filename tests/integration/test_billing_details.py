"""Billing details: said by owners, audited, and kept by every invoice as they were on its day (rules B1 and Z1)."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import URL, select

from bridge.cli import main
from bridge.config import Settings
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.billing_parties import Address, Seller
from bridge.domain.issued_facts import IssuedFacts
from bridge.domain.roles import Role
from bridge.domain.tax import TaxCategory
from bridge.errors import ConfigurationError, ForbiddenError
from bridge.runtime import Runtime, seller_of
from bridge.store.models import AuditEntry, Invoice
from bridge.store.unit import Unit
from bridge.usecases.billing_details import change_billing_details, read_billing_details
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import KEY
from tests.factories import Customer, create_customer
from tests.web import make_admin, sign_in

Run = Callable[..., Result]


def newest_facts(unit: Unit) -> IssuedFacts:
    stored = unit.session.scalars(
        select(Invoice.facts).where(Invoice.org_id == unit.org_id).order_by(Invoice.number.desc()).limit(1)
    ).one()
    assert stored is not None
    return IssuedFacts.from_document(stored)


def buy_one(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview_seats(unit, {"standard": 1}).id, acknowledged=True)


def test_b1_an_owner_sets_billing_details_and_the_audit_chain_names_the_fields(runtime: Runtime) -> None:
    nordlys = create_customer(runtime)

    with nordlys.unit(nordlys.owner) as unit:
        change_billing_details(unit, {"legal_name": "Nordlys AS", "mailboxes": ["ap@nordlys.test"]})

    with nordlys.unit(nordlys.owner) as unit:
        assert read_billing_details(unit).legal_name == "Nordlys AS"
        entry = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.org_id == unit.org_id, AuditEntry.action == "billing_details.changed")
        ).one()
        assert entry.body == {"fields": ["legal_name", "mailboxes"]}
        assert entry.actor == f"member:{nordlys.owner_id}"


def test_z1_an_admin_neither_sees_nor_sets_billing_details(runtime: Runtime) -> None:
    nordlys = create_customer(runtime)
    admin = Actor(ActorKind.MEMBER, nordlys.owner_id, Role.ADMIN)

    with nordlys.unit(admin) as unit, pytest.raises(ForbiddenError):
        read_billing_details(unit)
    with nordlys.unit(admin) as unit, pytest.raises(ForbiddenError):
        change_billing_details(unit, {"city": "Oslo"})


def test_saying_the_same_again_changes_and_audits_nothing(runtime: Runtime) -> None:
    nordlys = create_customer(runtime)
    for _ in range(2):
        with nordlys.unit() as unit:
            change_billing_details(unit, {"city": "Oslo"})

    with nordlys.unit() as unit:
        entries = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.org_id == unit.org_id, AuditEntry.action == "billing_details.changed")
        ).all()

    assert len(entries) == 1


def test_an_invoice_keeps_both_parties_as_they_were_on_its_day(runtime: Runtime) -> None:
    nordlys = create_customer(runtime)
    runtime.seller = Seller("Seats AB", Address(country="SE"), vat_id="SE556000000001")
    with nordlys.unit() as unit:
        change_billing_details(unit, {"legal_name": "Nordlys AS", "country": "NO", "vat_id": "NO999888777MVA"})
    buy_one(nordlys)

    runtime.seller = None
    with nordlys.unit() as unit:
        change_billing_details(unit, {"legal_name": "Another AS", "country": "", "vat_id": ""})
        facts = newest_facts(unit)

    assert facts.seller is not None
    assert (facts.seller.name, facts.buyer_name) == ("Seats AB", "Nordlys AS")
    assert facts.tax.category is TaxCategory.REVERSE_CHARGE


def test_what_is_debited_at_once_is_due_on_its_own_day(runtime: Runtime) -> None:
    nordlys = create_customer(runtime)

    with nordlys.unit() as unit:
        facts = newest_facts(unit)

    assert facts.debited
    assert facts.due_on == facts.issued_on


def test_an_invoice_is_due_by_the_terms_agreed_or_else_by_the_sellers_usual_ones(runtime: Runtime) -> None:
    usual = create_customer(runtime, "usual", kind="enterprise", anchor=datetime(2026, 3, 1, tzinfo=UTC))
    with usual.unit() as unit:
        first = newest_facts(unit)
        change_billing_details(unit, {"payment_terms_days": 10})

    buy_one(usual)

    with usual.unit() as unit:
        second = newest_facts(unit)
    # 1 March + 30 days
    assert (first.issued_on, first.due_on) == (date(2026, 3, 1), date(2026, 3, 31))
    assert second.due_on - second.issued_on == timedelta(days=10)


def test_a_seller_that_no_invoice_could_name_stops_the_start(settings: Settings) -> None:
    wrong = settings.model_copy(
        update={"seller": settings.seller.model_copy(update={"name": "Seats AB", "country": "UK"})}
    )

    with pytest.raises(ConfigurationError, match=r"seller\.country: 'UK' .* the United Kingdom is GB"):
        seller_of(wrong)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Run:
    """Run ``seatbridge ...`` here."""
    monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
    monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
    monkeypatch.setenv("SEATBRIDGE__SELLER__NAME", "Seats AB")
    return lambda *arguments, typed="": CliRunner().invoke(main, list(arguments), input=typed)


def test_the_first_invoice_names_the_buyer_when_a_file_does(
    run: Run, owner_connection: psycopg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "buyer.yaml"
    file.write_text(
        "legal_name: Nordlys AS\ncity: Oslo\npostal_code: 0150\ncountry: NO\nmailboxes: [ap@nordlys.test]\n"
    )
    options = ("--name", "Nordlys", "--owner-email", "olga@nordlys.test", "--tier", "standard=5@25.00")

    made = run("org", "create", "nordlys", *options, "--billing-details", str(file))

    assert made.exit_code == 0, made.output
    facts = owner_connection.execute("SELECT facts FROM invoice").fetchone()
    assert facts is not None
    assert (facts[0]["buyer"]["legal_name"], facts[0]["seller"]["name"]) == ("Nordlys AS", "Seats AB")
    shown = run("billing", "details", "show", "nordlys")
    assert "0150 Oslo, NO" in shown.output
    assert "made out to        Nordlys AS" in shown.output
    assert "sent as PDF to     ap@nordlys.test" in shown.output


def test_billing_details_are_set_cleared_and_shown_on_the_command_line(run: Run, runtime: Runtime) -> None:
    create_customer(runtime)
    run("billing", "details", "set", "nordlys", "--city", "Oslo", "--mailbox", "ap@nordlys.test", "--terms-days", "14")

    result = run("billing", "details", "set", "nordlys", "--clear", "city", "--json")
    refused = run("billing", "details", "set", "nordlys", "--country", "UK")
    nothing = run("billing", "details", "set", "nordlys")

    facts = json.loads(result.stdout)
    assert (facts["city"], facts["mailboxes"], facts["payment_terms_days"]) == ("", ["ap@nordlys.test"], 14)
    assert refused.exit_code == 1
    assert "the United Kingdom is GB (invalid_input)" in refused.stderr
    assert nothing.exit_code == 2


class TestConsole:
    @pytest.fixture
    def app(self, runtime: Runtime) -> Flask:
        return create_web_app(runtime, console_blueprints())

    def test_b1_an_owner_reads_and_sets_them_in_a_form(self, app: Flask, runtime: Runtime) -> None:
        nordlys = create_customer(runtime)
        owner = sign_in(app, nordlys)
        wanted = {
            "legal_name": "Nordlys AS",
            "lines": ["Havnegata 1", "", "Oppgang B"],
            "postal_code": "0150",
            "city": "Oslo",
            "country": "no",
            "vat_id": "NO 999 888 777 MVA",
            "purchase_order": "PO-4711",
            "mailboxes": "ap@nordlys.test\r\ncfo@nordlys.test\r\n",
            "payment_terms_days": "14",
        }

        empty = owner.get("/console/billing-details").text
        saved = owner.post("/console/billing-details", wanted)
        page, again = owner.get("/console/seats").text, owner.get("/console/billing-details").text

        assert "Empty: Nordlys." in empty
        assert saved.location == "/console/seats"
        with nordlys.unit(nordlys.owner) as unit:
            found = read_billing_details(unit)
        assert found.address == Address(("Havnegata 1", "Oppgang B"), "0150", "Oslo", "NO")
        assert (found.vat_id, found.mailboxes) == ("NO999888777MVA", ("ap@nordlys.test", "cfo@nordlys.test"))
        assert (found.payment_terms_days, found.buyer_reference) == (14, "")
        assert "cfo@nordlys.test" in page
        assert 'value="NO999888777MVA"' in again

    def test_what_is_not_possible_stays_in_the_form_beside_the_reason(self, app: Flask, runtime: Runtime) -> None:
        nordlys = create_customer(runtime)
        owner = sign_in(app, nordlys)

        answer = owner.post("/console/billing-details", {"country": "UK", "city": "Leeds", "lines": ["1", "2", "3"]})

        assert answer.status == 422
        assert "the United Kingdom is GB" in answer.text
        assert 'value="Leeds"' in answer.text
        assert 'value="UK" maxlength="2" aria-invalid="true"' in answer.text
        with nordlys.unit(nordlys.owner) as unit:
            assert read_billing_details(unit).address.city == ""

    def test_z1_an_admin_sees_nothing_of_them(self, app: Flask, runtime: Runtime) -> None:
        nordlys = create_customer(runtime)
        admin = sign_in(app, nordlys, make_admin(nordlys).id)

        assert admin.get("/console/billing-details").status == 403
        assert admin.post("/console/billing-details", {"city": "Oslo"}).status == 403
        assert "Billing details" not in admin.get("/console/seats").text
