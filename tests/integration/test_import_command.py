"""``seatbridge import`` as an operator uses it: what is printed, what is written, and how it ends."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL, select

from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.config import Settings
from bridge.runtime import build_runtime
from bridge.store.models import Member
from tests.conftest import KEY
from tests.factories import Customer, create_customer

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: URL) -> Run:
    """Run ``seatbridge import nordlys ...``."""
    environment: dict[str, str | None] = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    def run(*arguments: str, typed: bytes = b"") -> Result:
        return CliRunner().invoke(main, ["import", "nordlys", *arguments], input=typed, env=environment)

    return run


@pytest.fixture
def nordlys(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A customer of the present day: 1 Premium and 1 Standard seat, both free."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield create_customer(runtime, premium=1, standard=1)
    runtime.close()


@pytest.fixture
def good(tmp_path: Path) -> str:
    file = tmp_path / "users.csv"
    file.write_text("email;title;groups\na@nordlys.test;Lead;Design\nb@nordlys.test;;\nc@nordlys.test;;\n")
    return str(file)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    file = tmp_path / "bad.csv"
    file.write_text("email,title\na@nordlys.test,Lead\nnobody,=HYPERLINK(1)\n")
    return str(file)


def user_names(customer: Customer) -> set[str]:
    with customer.unit() as unit:
        return set(unit.session.scalars(select(Member.user_name).where(Member.org_id == unit.org_id)))


def lines_of(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_a_preview_shows_people_seats_and_cost_does_nothing_and_ends_with_2(
    run: Run, nordlys: Customer, good: str
) -> None:
    result = run(good, "--preview")

    lines = lines_of(result)
    assert result.exit_code == 2, result.output
    assert "come new 3" in lines
    assert "New groups: Design" in lines
    assert "Premium 1 0 1 0 0" in lines
    assert "Standard 1 0 1 0 0" in lines
    assert "no seat – 1 2 0 1" in lines  # the owner has none, and one person waits for any
    assert "No seat is bought and nothing is charged; 1 more waits" in lines
    assert "To ask the owners for their seats: seatbridge approvals ask-seats nordlys standard=1" in lines
    assert user_names(nordlys) == {"owner@nordlys.test"}


def test_what_was_previewed_is_applied_by_its_fingerprint(run: Run, nordlys: Customer, good: str) -> None:
    found = re.search(r"--expect ([0-9a-f]{16})", run(good, "--preview").stdout)
    assert found is not None

    result = run(good, "--expect", found.group(1))

    assert result.exit_code == 0, result.output
    assert user_names(nordlys) == {"owner@nordlys.test", "a@nordlys.test", "b@nordlys.test", "c@nordlys.test"}


def test_another_fingerprint_is_refused(run: Run, nordlys: Customer, good: str) -> None:
    result = run(good, "--expect", "0" * 16)

    assert result.exit_code == 1
    assert "preview_stale" in result.stderr
    assert user_names(nordlys) == {"owner@nordlys.test"}


def test_a_preview_of_what_is_here_already_ends_with_0(run: Run, nordlys: Customer, good: str) -> None:
    run(good)

    result = run(good, "--preview")

    assert result.exit_code == 0, result.output
    assert "stay the same 3" in lines_of(result)


def test_problems_are_named_by_row_and_column_and_end_with_1(run: Run, nordlys: Customer, bad: str) -> None:
    result = run(bad)

    assert result.exit_code == 1
    assert "row 3, column email: is not a mail address" in result.stderr
    assert user_names(nordlys) == {"owner@nordlys.test"}


def test_rows_with_problems_are_written_without_formulas_while_the_others_come_in(
    run: Run, nordlys: Customer, bad: str, tmp_path: Path
) -> None:
    target = tmp_path / "problems.csv"

    result = run(bad, "--skip-bad-rows", "--problems-to", str(target))

    assert result.exit_code == 0, result.output
    assert list(csv.reader(target.read_text("utf-8-sig").splitlines())) == [
        ["row", "problem", "email", "title"],
        ["3", "email: is not a mail address", "nobody", "'=HYPERLINK(1)"],
    ]
    assert "a@nordlys.test" in user_names(nordlys)


def test_json_says_the_same(run: Run, nordlys: Customer, good: str) -> None:
    result = run(good, "--preview", "--json")

    told = json.loads(result.stdout)
    assert told["applied"] is False
    assert [(person["row"], person["tier"], person["reason"]) for person in told["added"]] == [
        (2, "premium", "highest_available"),
        (3, "standard", "highest_available"),
        (4, None, "no_seat_left"),
    ]
    assert told["tiers"][0] == {
        "tier": "premium",
        "name": "Premium",
        "seats": 1,
        "held_before": 0,
        "held_after": 1,
        "waiting_before": 0,
        "waiting_after": 0,
    }
    assert (told["bought"], told["file"]["delimiter"], told["file"]["encoding"]) == (0, ";", "UTF-8")


def test_a_file_comes_from_standard_input_and_into_a_directory_by_its_name(run: Run, nordlys: Customer) -> None:
    result = run("-", "--connection", "okta", typed="login,name\nann,Zoë\n".encode("cp1252"))

    assert result.exit_code == 0, result.output
    assert "was read as Windows-1252" in result.stderr
    with nordlys.unit() as unit:
        ann = unit.session.scalars(select(Member).where(Member.user_name == "ann")).one()
        assert (ann.connection_id, ann.display_name) == (nordlys.connection_id, "Zoë")


def test_a_connection_that_is_not_there_is_refused(run: Run, nordlys: Customer, good: str) -> None:
    result = run(good, "--connection", "Nowhere")

    assert result.exit_code == 1
    assert "not_found" in result.stderr


def test_a_file_that_is_no_list_of_people_is_refused(run: Run, nordlys: Customer) -> None:
    result = run("-", typed=b"shoe,size\n44,1\n")

    assert result.exit_code == 1
    assert "one of them userName or email" in result.stderr
    assert "Nothing was done" in result.stdout


def test_what_was_previewed_with_bad_rows_is_applied_by_the_printed_command(
    run: Run, nordlys: Customer, bad: str
) -> None:
    found = re.search(r"To do exactly this: (--skip-bad-rows) (--expect) ([0-9a-f]{16})", run(bad, "--preview").stdout)
    assert found is not None

    result = run(bad, *found.groups())

    assert result.exit_code == 0, result.output
    assert "a@nordlys.test" in user_names(nordlys)


def test_a_preview_that_can_do_nothing_offers_nothing_to_do(run: Run, nordlys: Customer, good: str) -> None:
    run(good)

    result = run(good, "--preview")

    assert "--expect" not in result.stdout
    assert "there is nothing to do" in result.stdout
