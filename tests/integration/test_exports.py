"""Exports: invoices, licence holders and the access review as tables; who took what stands in the audit chain."""

import csv
import io
import json
import tracemalloc
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import psycopg
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import URL, select

from bridge.adapters.spreadsheets import TableFormat, write_tables
from bridge.billing.tables import INVOICE_COLUMNS, LINE_COLUMNS, invoice_table, line_table
from bridge.cli import main
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.domain.tables import Table
from bridge.errors import ForbiddenError
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import AuditEntry, Contract
from bridge.usecases.access_review import COLUMNS, review_access
from bridge.usecases.billing_details import change_billing_details
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.explain import explain_member
from bridge.usecases.licences import holders_table
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.workspace_teams import create_team, join_teams
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, create_customer, create_workspace
from tests.web import make_admin, push_group, sign_in

Rows = list[dict[str, str]]


def read(table: Table) -> Rows:
    out = io.BytesIO()
    write_tables(out, [table], TableFormat.CSV)
    return parse(out.getvalue())


def parse(content: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def exports(customer: Customer) -> list[tuple[str, str, object]]:
    with customer.unit() as unit:
        entries = unit.session.scalars(
            select(AuditEntry)
            .where(AuditEntry.org_id == unit.org_id, AuditEntry.action == "export.made")
            .order_by(AuditEntry.seq)
        ).all()
        return [(entry.actor, entry.subject_kind, entry.body) for entry in entries]


@pytest.fixture
def nordlys(runtime: Runtime) -> Customer:
    return create_customer(runtime)


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


class TestInvoices:
    def test_b1_a_row_for_each_invoice_with_exact_amounts_and_a_credit_note_below_nothing(
        self, nordlys: Customer
    ) -> None:
        with nordlys.unit() as unit:
            unit.session.get_one(Contract, unit.org_id).reduction = "immediate_credit"
            change_billing_details(unit, {"legal_name": "=Nordlys AS", "vat_id": "NO999888777MVA"})
        with nordlys.unit(nordlys.owner) as unit:
            confirm_seats(unit, preview_seats(unit, {"standard": -1}).id, acknowledged=True)

        with nordlys.unit() as unit:
            first, second = read(invoice_table(unit))
            lines = read(line_table(unit))

        assert tuple(first) == INVOICE_COLUMNS
        # 2 × 150.00 + 5 × 25.00 = 425.00
        assert (first["number"], first["total"], first["paid"]) == ("NORDLYS-000001", "425.00", "425.00")
        assert (second["type"], second["total"]) == ("credit_note", "-25.00")
        assert (second["buyer"], second["buyer_vat_id"]) == ("'=Nordlys AS", "NO999888777MVA")
        assert tuple(lines[0]) == LINE_COLUMNS
        assert [line["amount"] for line in lines if line["number"] == "NORDLYS-000002"] == ["-25.00"]
        assert all(line["formula"] for line in lines)

    def test_z1_only_owners_take_them_and_the_refusal_comes_before_the_first_row(self, nordlys: Customer) -> None:
        admin = Actor(ActorKind.MEMBER, nordlys.owner_id, Role.ADMIN)

        with nordlys.unit(admin) as unit:
            for table in (invoice_table, line_table):
                with pytest.raises(ForbiddenError):
                    table(unit)

    def test_an_owner_downloads_them_from_the_console_and_it_is_audited(self, app: Flask, nordlys: Customer) -> None:
        client = sign_in(app, nordlys).client

        answers = [client.get(f"/console/seats/{name}") for name in ("invoices.csv", "invoice-lines.csv")]

        assert [answer.headers["Content-Disposition"] for answer in answers] == [
            "attachment; filename=invoices-nordlys.csv",
            "attachment; filename=invoice-lines-nordlys.csv",
        ]
        assert parse(answers[0].data)[0]["number"] == "NORDLYS-000001"
        assert answers[0].content_length == len(answers[0].data)
        assert [body for _, what, body in exports(nordlys) if what == "invoices"] == [
            {"form": "csv", "rows": 1},
            {"form": "csv", "rows": 2},
        ]
        for answer in answers:
            answer.close()


class TestLicenceHolders:
    def test_w5_the_holders_of_every_billed_month_or_of_one(self, runtime: Runtime, clock: SettableClock) -> None:
        workspace = create_workspace(runtime)
        alice = workspace.push("alice@nordlys.test", displayName="+Alice")
        with workspace.unit() as unit:
            create_team(unit, "Red")
            join_teams(unit, alice.id, ["Red"])
        clock.at = datetime(2026, 5, 2, tzinfo=UTC)
        with workspace.unit() as unit:
            unit.lock()

        with workspace.unit() as unit:
            every, april = read(holders_table(unit)), read(holders_table(unit, "2026-04"))

        assert [one["month"] for one in every] == ["2026-03", "2026-04"]
        assert [(one["name"], one["display name"], one["invoice"]) for one in april] == [
            ("alice@nordlys.test", "'+Alice", "NORDLYS-000002")
        ]


class TestAccessReview:
    @pytest.fixture
    def company(self, nordlys: Customer) -> Customer:
        """Alice by her group, Bob by hand nowhere, Carl turned off, Ada an admin."""
        alice = nordlys.push("alice@nordlys.test", displayName="Alice", external_id="00u1")
        nordlys.push("bob@nordlys.test", displayName="=Bob")
        carl = nordlys.push("carl@nordlys.test", displayName="Carl")
        make_admin(nordlys)
        push_group(nordlys, "Engineering", [alice])
        push_group(nordlys, "All; staff", [alice])
        rule = {"group": "Engineering", "expected": True, "tier": "premium"}
        with nordlys.unit(nordlys.owner) as unit:
            preview = preview_mappings(unit, {"schema": 1, "default": "standard", "rules": [rule]})
            apply_mappings(unit, preview.id, acknowledged=True)
        with nordlys.unit() as unit:
            deactivate_member(unit, get_member(unit, carl.id), reason="operator")
        return nordlys

    def test_b4_case_s5_everybody_is_there_with_the_same_sentence_as_on_their_page(self, company: Customer) -> None:
        with company.unit() as unit:
            rows = read(review_access(unit))
            sentences = {
                row["user_name"]: explain_member(unit, MemberId(uuid.UUID(row["member_id"]))).sentence for row in rows
            }

        assert tuple(rows[0]) == COLUMNS
        assert [row["user_name"] for row in rows] == sorted(row["user_name"] for row in rows)
        assert {row["user_name"]: row["decision"].removeprefix("'") for row in rows} == sentences
        by_name = {row["user_name"]: row for row in rows}
        alice, bob, carl = (by_name[f"{name}@nordlys.test"] for name in ("alice", "bob", "carl"))
        assert (alice["groups"], alice["external_id"], alice["source"]) == ("All; staff; Engineering", "00u1", "scim")
        assert bob["display_name"] == "'=Bob"
        assert (carl["active"], carl["tier"], carl["seat_since"]) == ("no", "", "")
        assert (by_name["ada@nordlys.test"]["role"], by_name["owner@nordlys.test"]["role"]) == (
            "admin",
            "primary_owner",
        )
        assert alice["member_since"]

    def test_the_last_sign_in_is_there(self, app: Flask, company: Customer, clock: SettableClock) -> None:
        clock.at = datetime(2026, 3, 5, 8, tzinfo=UTC)
        sign_in(app, company)

        with company.unit() as unit:
            rows = {row["user_name"]: row for row in read(review_access(unit))}

        assert rows["owner@nordlys.test"]["last_sign_in"] == "2026-03-05T08:00:00Z"
        assert rows["alice@nordlys.test"]["last_sign_in"] == ""

    def test_an_admin_takes_it_from_the_console_and_it_is_audited(self, app: Flask, company: Customer) -> None:
        with company.unit() as unit:
            admin = next(row for row in read(review_access(unit)) if row["role"] == "admin")
        identifier = MemberId(uuid.UUID(admin["member_id"]))
        answer = sign_in(app, company, identifier).client.get("/console/people/access-review.csv")

        assert answer.headers["Content-Disposition"] == "attachment; filename=access-review-nordlys.csv"
        assert len(parse(answer.data)) == 5
        assert exports(company) == [(f"member:{identifier}", "access_review", {"form": "csv", "rows": 5})]
        answer.close()

    def test_z4_a_member_does_not(self, company: Customer) -> None:
        member = Actor(ActorKind.MEMBER, company.owner_id, Role.MEMBER)

        with company.unit(member) as unit, pytest.raises(ForbiddenError):
            review_access(unit)

    def test_it_costs_no_memory_for_each_person(
        self, company: Customer, owner_connection: psycopg.Connection, tmp_path: Path
    ) -> None:
        owner_connection.execute(
            "INSERT INTO member (org_id, id, connection_id, source, position, user_name, user_name_key, display_name,"
            " active, role, role_from_mapping, teams, document, comparison, version, created_at, modified_at, pinned)"
            " SELECT %s, gen_random_uuid(), %s, 'scim', n + 100, 'p' || n, 'p' || n, 'Person ' || n, true, 'member',"
            " false, '[]', '{}', '{}', 1, now(), now(), false FROM generate_series(1, 20000) n",
            (company.org_id, company.connection_id),
        )
        with company.unit() as unit, (tmp_path / "review.csv").open("wb") as file:
            table = review_access(unit)
            tracemalloc.start()
            rows = write_tables(cast("IO[bytes]", file), [table], TableFormat.CSV)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()

        assert rows == 20_005
        assert peak < 30_000_000  # 20,000 people in memory would be some 100 MB


class TestCommandLine:
    @pytest.fixture
    def run(self, monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Callable[..., Result]:
        monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
        monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
        return lambda *arguments: CliRunner().invoke(main, list(arguments))

    def test_the_access_review_is_written_and_audited(
        self, run: Callable[..., Result], nordlys: Customer, tmp_path: Path
    ) -> None:
        file = tmp_path / "there" / "review.csv"

        done = run("review", "access", "nordlys", "--output", str(file), "--json")

        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == {"file": str(file), "rows": 1}
        assert parse(file.read_bytes())[0]["user_name"] == "owner@nordlys.test"
        assert exports(nordlys)[-1] == ("operator", "access_review", {"form": "csv", "rows": 1})

    def test_invoices_go_to_standard_output_as_csv_and_to_a_file_as_xlsx(
        self, run: Callable[..., Result], nordlys: Customer, tmp_path: Path
    ) -> None:
        pytest.importorskip("xlsxwriter")
        shown = run("invoice", "export", "nordlys", "--format", "csv", "--lines", "--output", "-")
        book = run("invoice", "export", "nordlys", "--format", "xlsx", "--output", str(tmp_path / "i.xlsx"))
        wrong = run("invoice", "export", "nordlys", "NORDLYS-000001", "--format", "csv")

        assert parse(shown.stdout_bytes)[0]["number"] == "NORDLYS-000001"
        assert (tmp_path / "i.xlsx").read_bytes().startswith(b"PK")
        assert "rows" in book.output
        assert wrong.exit_code == 2
