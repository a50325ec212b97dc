"""Invoices to look at and to take away: one model for page, PDF and e-invoice, for owners only, written down."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from pypdf import PdfReader
from sqlalchemy import URL, select

from bridge.billing.documents import find_by_number, read_document
from bridge.billing.pdf import check_pdf
from bridge.cli import main
from bridge.errors import ForbiddenError, NotFoundError, NotInstalledError
from bridge.runtime import Runtime
from bridge.store.models import AuditEntry, Contract
from bridge.usecases.billing_details import change_billing_details
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import KEY
from tests.documents import SELLER
from tests.e_invoices import CII_RULES, CII_SCHEMA, UBL_INVOICE_SCHEMA, UBL_RULES, broken_rules, schema_errors
from tests.factories import Customer, create_customer
from tests.web import Browser, make_admin, sign_in

BUYER = {"legal_name": "Nordlys AS", "city": "Oslo", "country": "NO", "vat_id": "NO999888777MVA"}


def has_pdf() -> bool:
    try:
        check_pdf()
    except NotInstalledError:
        return False
    return True


needs_pdf = pytest.mark.skipif(not has_pdf(), reason="WeasyPrint or Pango is missing")


@pytest.fixture
def nordlys(runtime: Runtime) -> Customer:
    """A customer with billing details and two invoices: the first without a buyer, the second with one."""
    runtime.seller = SELLER
    customer = create_customer(runtime)
    with customer.unit() as unit:
        change_billing_details(unit, BUYER)
    buy(customer, {"standard": 1})
    return customer


@pytest.fixture
def browser(runtime: Runtime, nordlys: Customer) -> Browser:
    return sign_in(app_of(runtime), nordlys)


def app_of(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


def buy(customer: Customer, changes: dict[str, int]) -> None:
    with customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview_seats(unit, changes).id, acknowledged=True)


def newest_invoice(browser: Browser) -> str:
    return str(re.findall(r'href="(/console/seats/invoices/[0-9a-f-]+)"', browser.get("/console/seats").text)[0])


def exports(customer: Customer) -> list[tuple[str, str, object]]:
    with customer.unit() as unit:
        entries = unit.session.scalars(
            select(AuditEntry)
            .where(AuditEntry.org_id == unit.org_id, AuditEntry.action == "export.made")
            .order_by(AuditEntry.seq)
        ).all()
        return [(entry.actor, entry.subject_kind, entry.body["form"]) for entry in entries]


def test_b1_the_page_names_both_parties_and_leads_to_the_files(browser: Browser) -> None:
    page = browser.get(newest_invoice(browser)).text

    for text in (
        "Seats AB",
        "Nordlys AS",
        "VAT NO999888777MVA",
        "VAT 0 %, reverse charge",
        "Reverse charge: the buyer",
    ):
        assert text in page
    assert re.search(r'href="/console/seats/invoices/[0-9a-f-]+/pdf"', page)
    assert re.search(r'href="/console/seats/invoices/[0-9a-f-]+/xml"', page)


@needs_pdf
def test_an_owner_downloads_a_pdf_under_the_invoices_number_and_it_is_audited(
    browser: Browser, nordlys: Customer
) -> None:
    answer = browser.client.get(f"{newest_invoice(browser)}/pdf")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == "attachment; filename=invoice-NORDLYS-000002.pdf"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "factur-x.xml" in PdfReader(io.BytesIO(answer.data)).attachments
    assert exports(nordlys) == [(f"member:{nordlys.owner_id}", "invoice", "pdf")]


def test_an_owner_downloads_an_e_invoice_that_obeys_en_16931(browser: Browser, nordlys: Customer) -> None:
    answer = browser.client.get(f"{newest_invoice(browser)}/xml")

    assert answer.headers["Content-Disposition"] == "attachment; filename=invoice-NORDLYS-000002.xml"
    assert schema_errors(answer.data, CII_SCHEMA) == []
    assert broken_rules(answer.data, CII_RULES) == []
    assert exports(nordlys) == [(f"member:{nordlys.owner_id}", "invoice", "xml")]


def test_an_owner_downloads_the_same_e_invoice_in_ubl(browser: Browser, nordlys: Customer) -> None:
    answer = browser.client.get(f"{newest_invoice(browser)}/ubl")

    assert answer.headers["Content-Disposition"] == "attachment; filename=invoice-NORDLYS-000002-ubl.xml"
    assert schema_errors(answer.data, UBL_INVOICE_SCHEMA) == []
    assert broken_rules(answer.data, UBL_RULES) == []
    assert exports(nordlys) == [(f"member:{nordlys.owner_id}", "invoice", "ubl")]


def test_z1_an_admin_and_another_organizations_owner_get_no_file(
    runtime: Runtime, nordlys: Customer, browser: Browser
) -> None:
    address = newest_invoice(browser)
    admin = sign_in(app_of(runtime), nordlys, make_admin(nordlys).id)
    stranger = sign_in(app_of(runtime), create_customer(runtime, "other"))

    for ending in ("/pdf", "/xml", "/ubl"):
        assert admin.get(address + ending).status == 403
        assert stranger.get(address + ending).status == 404
        assert sign_in(app_of(runtime), nordlys).client.get("/console/seats/invoices/x" + ending).status_code == 404


def test_an_invoice_without_a_buyers_country_is_no_e_invoice_and_the_page_says_why(
    nordlys: Customer, browser: Browser
) -> None:
    with nordlys.unit() as unit:
        first = find_by_number(unit, "nordlys-000001")

    page = browser.get(f"/console/seats/invoices/{first}/xml")

    assert page.status == 409
    assert "the buyer&#39;s country (billing details)" in page.text


def test_a_later_change_of_details_changes_no_issued_document(nordlys: Customer) -> None:
    with nordlys.unit() as unit:
        before = read_document(unit, find_by_number(unit, "NORDLYS-000002"))
        change_billing_details(unit, {"legal_name": "Renamed AS", "country": "SE"})

    with nordlys.unit() as unit:
        after = read_document(unit, find_by_number(unit, "NORDLYS-000002"))

    assert before == after
    assert after.facts.buyer_name == "Nordlys AS"


def test_an_invoice_from_before_facts_were_kept_is_shown_with_what_is_known(
    nordlys: Customer, browser: Browser, owner_connection: psycopg.Connection
) -> None:
    owner_connection.execute("UPDATE invoice SET facts = NULL")

    page = browser.get(newest_invoice(browser))

    assert page.status == 200
    assert "Nordlys" in page.text
    assert "Seats AB" not in page.text


def test_d5_a_credit_note_shows_what_is_credited(runtime: Runtime) -> None:
    runtime.seller = SELLER
    customer = create_customer(runtime)
    with customer.unit() as unit:
        unit.session.get_one(Contract, unit.org_id).reduction = "immediate_credit"
        change_billing_details(unit, BUYER)
    buy(customer, {"standard": -1})

    with customer.unit() as unit:
        document = read_document(unit, find_by_number(unit, "NORDLYS-000002"))
    page = sign_in(app_of(runtime), customer).get(f"/console/seats/invoices/{document.id}").text

    assert (document.title, document.total > 0) == ("Credit note", True)
    assert "Added to the account&#39;s balance" in page
    assert "Credited to" in page
    assert document.credits.startswith("NORDLYS-000001 of ")
    assert document.credits in page


def test_only_who_may_see_money_reads_a_document(nordlys: Customer) -> None:
    with nordlys.unit(nordlys.directory) as unit:
        number = find_by_number(unit, "NORDLYS-000001")
        with pytest.raises(ForbiddenError):
            read_document(unit, number)
        with pytest.raises(NotFoundError):
            find_by_number(unit, "NORDLYS-999999")


class TestCommandLine:
    @pytest.fixture
    def run(self, monkeypatch: pytest.MonkeyPatch, database_url: URL, nordlys: Customer) -> Callable[..., Result]:
        monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
        monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
        return lambda *arguments: CliRunner().invoke(main, list(arguments))

    @needs_pdf
    def test_every_invoice_is_written_as_pdf_into_a_folder(
        self, run: Callable[..., Result], tmp_path: Path, nordlys: Customer
    ) -> None:
        done = run("invoice", "export", "nordlys", "--output", str(tmp_path / "files"), "--json")

        assert done.exit_code == 0, done.output
        names = ["invoice-NORDLYS-000001.pdf", "invoice-NORDLYS-000002.pdf"]
        assert [Path(one["file"]).name for one in json.loads(done.stdout)] == names
        assert sorted(file.name for file in (tmp_path / "files").iterdir()) == names
        assert exports(nordlys) == [("operator", "invoice", "pdf")] * 2

    def test_one_e_invoice_goes_to_standard_output(self, run: Callable[..., Result]) -> None:
        done = run("invoice", "export", "nordlys", "nordlys-000002", "--format", "xml", "--output", "-")

        assert done.stdout_bytes.startswith(b"<?xml")
        assert broken_rules(done.stdout_bytes, CII_RULES) == []

    def test_an_e_invoice_in_ubl_is_a_file_of_its_own_name(
        self, run: Callable[..., Result], tmp_path: Path, nordlys: Customer
    ) -> None:
        done = run("invoice", "export", "nordlys", "NORDLYS-000002", "--format", "ubl", "--output", str(tmp_path))

        assert done.exit_code == 0, done.output
        assert broken_rules((tmp_path / "invoice-NORDLYS-000002-ubl.xml").read_bytes(), UBL_RULES) == []
        assert exports(nordlys) == [("operator", "invoice", "ubl")]

    def test_what_cannot_be_made_is_refused_with_its_code(self, run: Callable[..., Result], tmp_path: Path) -> None:
        refused = run("invoice", "export", "nordlys", "NORDLYS-000001", "--format", "xml", "--output", str(tmp_path))
        unknown = run("invoice", "export", "nordlys", "NORDLYS-9", "--format", "xml")

        assert refused.exit_code == unknown.exit_code == 1
        assert "(e_invoice_incomplete)" in refused.stderr
        assert "There is no invoice 'NORDLYS-9' (not_found)" in unknown.stderr

    def test_without_the_optional_part_only_the_pdf_is_refused(
        self, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)

        refused = run("invoice", "export", "nordlys", "--output", str(tmp_path))
        shown = run("invoice", "show", "nordlys", "NORDLYS-000001")
        data = run("invoice", "export", "nordlys", "NORDLYS-000002", "--format", "xml", "--output", str(tmp_path))
        seen = run("doctor")

        assert "pip install 'seatbridge[documents]' (not_installed)" in refused.stderr
        assert (shown.exit_code, data.exit_code) == (0, 0)
        assert "! documents" in seen.output
