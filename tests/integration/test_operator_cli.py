"""What operators take away and look ahead at: the audit chain as a table, the next invoice with its lines."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.config import Settings
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import new_id
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError
from bridge.runtime import build_runtime
from bridge.store import journal
from bridge.usecases.audit_export import COLUMNS, export_audit
from bridge.usecases.connections import issue_scim_token
from tests.conftest import KEY
from tests.factories import Customer, create_customer
from tests.metadata_site import metadata_site
from tests.sign_ins import idp

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Run:
    """Run ``seatbridge ...`` here."""
    monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
    monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
    return lambda *arguments: CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture
def nordlys(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A customer with 2 Premium and 5 Standard seats by the month, at the real time."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield create_customer(runtime)
    runtime.close()


def test_the_audit_chain_is_written_whole_with_identifiers_and_seals_and_the_export_is_in_it(
    run: Run, nordlys: Customer
) -> None:
    member = nordlys.push("ada@nordlys.test", displayName="Ada Lovelace")

    told = run("audit", "export", "nordlys", "--output", "-")

    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    with nordlys.unit() as unit:
        entries = list(journal.read_entries(unit))
    assert told.exit_code == 0
    assert list(rows[0]) == list(COLUMNS)
    assert [row["digest"] for row in rows] == [entry.digest.hex() for entry in entries[:-1]]
    assert [row["entry"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert any(row["subject_id"] == str(member.id) for row in rows)
    assert "Lovelace" not in told.stdout
    assert (entries[-1].action, entries[-1].subject_kind) == ("export.made", "audit")
    assert entries[-1].body == {"form": "csv", "rows": len(rows)}


def test_z4_a_member_takes_no_audit_chain_away(nordlys: Customer) -> None:
    somebody = Actor(ActorKind.MEMBER, new_id(), Role.MEMBER)

    with pytest.raises(ForbiddenError), nordlys.unit(somebody) as unit:
        export_audit(unit)


def test_the_next_invoice_is_shown_line_by_line_and_nothing_is_written(run: Run, nordlys: Customer) -> None:
    with nordlys.unit() as unit:
        before = unit.state().audit_seq

    as_json = json.loads(run("invoice", "preview", "nordlys", "--json").stdout)["next_invoice"]
    words = run("invoice", "preview", "nordlys").stdout

    with nordlys.unit() as unit:
        after = unit.state().audit_seq
    # 2 × 150.00 + 5 × 25.00 = 425.00
    assert (as_json["bill"]["total"], as_json["bill"]["currency"]) == (42500, "EUR")
    assert [(line["tier"], line["quantity"], line["amount"]) for line in as_json["bill"]["lines"]] == [
        ("standard", 5, 12500),
        ("premium", 2, 30000),
    ]
    assert "Total: €425.00" in words
    assert after == before


def test_where_nothing_more_is_billed_the_preview_says_so(run: Run, nordlys: Customer) -> None:
    create_customer(nordlys.runtime, "ends", auto_renew=False)

    words, as_json = run("invoice", "preview", "ends"), run("invoice", "preview", "ends", "--json")

    assert words.stdout == "No invoice follows: the plan bills nothing more\n"
    assert json.loads(as_json.stdout) == {"next_invoice": None}


# --- connection test ------------------------------------------------------------------------------


def checks(result: Result) -> dict[str, str]:
    return {one["check"]: one["health"] for one in json.loads(result.stdout)["checks"]}


def test_a_connection_that_only_waits_for_its_first_push_is_no_failure(run: Run, nordlys: Customer) -> None:
    told = run("connection", "test", "nordlys", "Okta", "--json")

    assert told.exit_code == 0
    assert checks(told) == {"provisioning": "warning", "provider": "ok"}


def test_a_connection_whose_provider_describes_itself_as_before_passes(run: Run, nordlys: Customer) -> None:
    with metadata_site(idp().metadata()) as site:
        trusted = run("connection", "saml", "nordlys", "Okta", "--metadata", site.url)
        well = run("connection", "test", "nordlys", "Okta", "--json")
        site.status = 500
        away = run("connection", "test", "nordlys", "Okta")

    assert trusted.exit_code == 0, trusted.output
    assert (well.exit_code, checks(well)["provider"]) == (0, "ok")
    assert away.exit_code == 1
    assert "✗ provider" in away.stdout


def test_a_disabled_connection_is_told_with_the_command_that_enables_it(run: Run, nordlys: Customer) -> None:
    assert run("connection", "disable", "nordlys", "Okta", "--yes").exit_code == 0

    told = run("connection", "test", "nordlys", "Okta")

    assert told.exit_code == 1
    assert "✗ connection" in told.stdout
    assert "→ seatbridge connection enable nordlys Okta" in told.stdout


def test_what_ends_within_a_month_is_a_warning(run: Run, nordlys: Customer) -> None:
    with nordlys.unit() as unit:
        issue_scim_token(unit, nordlys.connection_id, label="t", can_write=True, lifetime=timedelta(days=10))

    told = run("connection", "test", "nordlys", "Okta", "--json")

    assert (told.exit_code, checks(told)["until"]) == (0, "warning")
