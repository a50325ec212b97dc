"""Licences on the command line: a plan made, teams kept, holders counted and exported, people removed."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.config import Settings
from bridge.runtime import build_runtime
from tests.conftest import KEY
from tests.factories import Customer, create_workspace

Run = Callable[..., Result]
CREATE = ("org", "create", "nordlys-labs", "--name", "Nordlys Labs", "--owner-email", "olga@nordlys.test")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Run:
    """Run ``seatbridge ...`` here."""
    monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
    monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
    return lambda *arguments, typed="": CliRunner().invoke(main, list(arguments), input=typed)


def shown(result: Result) -> object:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def nordlys(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A workspace that began 40 days ago, with Alice and Bob."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    workspace = create_workspace(runtime, anchor=datetime.now(UTC) - timedelta(days=40))
    workspace.push("alice@nordlys.test", displayName="Alice")
    workspace.push("bob@nordlys.test", displayName="Bob")
    yield workspace
    runtime.close()


@pytest.mark.parametrize("kind", ["team_licence", "user_licence"])
def test_a_plan_of_licences_is_made_and_shown(run: Run, kind: str) -> None:
    created = run(*CREATE, "--kind", kind, "--price", "5.55")
    facts = shown(run("org", "show", "nordlys-labs", "--json"))
    words = run("org", "show", "nordlys-labs")

    assert created.exit_code == 0, created.output
    assert isinstance(facts, dict)
    assert facts["plan"] == f"{kind.replace('_', ' ')}, by the month, active"
    assert facts["pools"] == []
    assert facts["licences"]["licensed"] == 0
    assert "Each calendar month is billed when it is over" in words.output


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--kind", "user_licence"), "price: is missing"),
        (("--kind", "user_licence", "--price", "5.555"), "price: 5.555 is finer"),
        (("--kind", "user_licence", "--price", "5", "--tier", "standard=1@5"), "tier: is for plans sold by seats"),
        (
            ("--kind", "user_licence", "--price", "5", "--cycle", "year"),
            "cycle: licences are billed by the calendar month",
        ),
        (("--kind", "team", "--price", "5"), "price: is for licences"),
        (("--kind", "team"), "tier: is missing"),
    ],
)
def test_options_of_another_kind_are_refused(run: Run, options: tuple[str, ...], problem: str) -> None:
    refused = run(*CREATE, *options)

    assert refused.exit_code == 1
    assert problem in refused.stderr


def test_teams_are_made_joined_left_and_archived(run: Run, nordlys: Customer) -> None:
    for name in ("Red", "Blue"):
        assert run("team", "create", "nordlys", name).exit_code == 0
    joined = shown(run("team", "join", "nordlys", "alice@nordlys.test", "red", "blue", "--json"))
    left = shown(run("team", "leave", "nordlys", "alice@nordlys.test", "Blue", "--json"))
    archived = shown(run("team", "archive", "nordlys", "Blue", "--json"))
    listed = shown(run("team", "list", "nordlys", "--json"))
    again = run("team", "unarchive", "nordlys", "Blue")

    assert joined == {"user_name": "alice@nordlys.test", "joined": ["Red", "Blue"]}
    assert left == {"user_name": "alice@nordlys.test", "left": ["Blue"]}
    assert isinstance(archived, dict)
    assert archived["archived_at"] is not None
    assert isinstance(listed, list)
    assert [(one["name"], one["members"], one["archived_at"] is None) for one in listed] == [
        ("Blue", 0, False),
        ("Red", 1, True),
    ]
    assert again.exit_code == 0
    assert run("team", "list", "nordlys").output.count("Red") == 1
    assert run("team", "archive", "nordlys", "Green").stderr.startswith("There is no team 'Green'")


def test_licences_are_counted_and_a_billed_month_is_exported(run: Run, nordlys: Customer) -> None:
    with nordlys.unit() as unit:
        first = unit.at - timedelta(days=40)
    run("team", "create", "nordlys", "Red")
    run("team", "join", "nordlys", "bob@nordlys.test", "Red")

    now = shown(run("licences", "show", "nordlys", "--json"))
    holders = shown(run("licences", "show", "nordlys", "--month", f"{first:%Y-%m}", "--json"))
    as_csv = run("licences", "export", "nordlys", "--month", f"{first:%Y-%m}", "--output", "-")
    table = run("licences", "show", "nordlys", "--month", f"{first:%Y-%m}")
    words = run("licences", "show", "nordlys")

    assert isinstance(now, dict)
    assert (now["members"], now["licensed"], now["counted"]) == (3, 1, 1)
    # Nobody was in a team that month: nothing was billed.
    assert holders == []
    assert list(csv.reader(io.StringIO(as_csv.stdout))) == [["month", "kind", "id", "name", "display name", "invoice"]]
    assert "nothing was billed" in table.output
    assert "1 (people)" in words.output
    assert run("licences", "export", "nordlys", "--output", "-", "--json").exit_code == 2


def test_who_is_in_no_active_team_is_named_and_then_removed(run: Run, nordlys: Customer) -> None:
    run("team", "create", "nordlys", "Red")
    run("team", "join", "nordlys", "alice@nordlys.test", "Red")

    preview = shown(run("people", "remove-inactive", "nordlys", "--preview", "--json"))
    asked = run("people", "remove-inactive", "nordlys", typed="n\n")
    done = run("people", "remove-inactive", "nordlys", typed="y\n")
    none_left = shown(run("people", "remove-inactive", "nordlys", "--yes", "--json"))

    assert isinstance(preview, dict)
    assert [one["user_name"] for one in preview["members"]] == ["bob@nordlys.test"]
    assert asked.exit_code == 1
    assert "bob@nordlys.test" in asked.output
    assert "Done. Removed: 1" in done.output
    assert none_left == {"removed": []}
    assert run("people", "remove-inactive", "nordlys", "--json").exit_code == 2
