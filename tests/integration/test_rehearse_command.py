"""``seatbridge rehearse FILE...``"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL

from bridge.cli import main
from tests.conftest import KEY

CASES = Path(__file__).parents[1] / "data" / "billing-cases.json"


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch, database_url: URL) -> None:
    monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
    monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rehearse", *arguments])


def write(folder: Path, document: object) -> str:
    file = folder / "scenario.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_it_prints_what_would_happen(installation: None, tmp_path: Path) -> None:
    case = json.loads(CASES.read_text())[0]

    result = run(write(tmp_path, case))

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == case["expected"]


def test_checking_passes_when_every_scenario_comes_out_as_expected(installation: None, tmp_path: Path) -> None:
    result = run("--check", write(tmp_path, json.loads(CASES.read_text())[:3]))

    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)) == 3


def test_checking_fails_and_names_the_scenario_that_comes_out_otherwise(installation: None, tmp_path: Path) -> None:
    case = json.loads(CASES.read_text())[0]
    case["expected"]["invoices"] = []

    result = run("--check", write(tmp_path, [case]))

    assert result.exit_code == 1
    assert f"{case['case']} comes out otherwise than expected" in result.stderr
    assert "  invoices: expected [], got [{" in result.stderr


def test_b2_an_evaluation_comes_before_the_plan(installation: None, tmp_path: Path) -> None:
    scenario = {
        "plan": {
            "kind": "team",
            "start": "2026-01-01T00:00:00Z",
            "seats": {"premium": 1},
            "evaluation": {"until": "2026-02-01T00:00:00Z", "seats": {"premium": 2}},
        },
        "prices": {"premium": "150.00"},
        "events": [
            {"at": "2026-01-02T00:00:00Z", "do": "add_member", "user": "ada", "via": "scim"},
            {"at": "2026-01-03T00:00:00Z", "do": "add_member", "user": "bob", "via": "scim"},
            {"at": "2026-01-04T00:00:00Z", "do": "change_seats", "changes": {"premium": 1}},
        ],
        "until": "2026-02-02T00:00:00Z",
    }

    result = run(write(tmp_path, scenario))

    assert result.exit_code == 0, result.output
    played = json.loads(result.stdout)
    assert played["errors"] == [{"event": 2, "code": "in_evaluation"}]
    # One premium seat, at the end of the evaluation, though two were in use.
    assert [(one["at"], one["total"]) for one in played["invoices"]] == [("2026-02-01T00:00:00Z", 15000)]
    assert {name: one["tier"] for name, one in played["state"]["members"].items()} == {
        "ada": "premium",
        "bob": "unassigned",
    }


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is no JSON"),
        ("[1]", "scenario 0 has no fields"),
        ('{"plan": {"kind": "flat_rate"}, "prices": {}}', "'flat_rate' plans cannot be rehearsed"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    installation: None, tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "scenario.json"
    file.write_text(content)

    result = run(str(file))

    assert result.exit_code == 1
    assert problem in result.stderr
    assert "Traceback" not in result.output
