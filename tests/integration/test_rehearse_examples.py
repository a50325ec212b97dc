"""The worked cases of team and enterprise plans, replayed through the real use cases on a real database."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.rehearse import rehearse
from bridge.runtime import Runtime

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "billing-cases.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[f"{'-'.join(case['rules'])} {case['case']}" for case in CASES])
def test_the_worked_case_comes_out_equal(runtime: Runtime, case: dict[str, Any]) -> None:
    outcome = rehearse(runtime, case)

    assert outcome == case["expected"]


def test_rule_q5_a_repeated_key_tells_nothing_to_who_may_not_do_it(runtime: Runtime) -> None:
    """The permission comes before the key: a member hears a refusal, not that it was done before."""
    plan = {"kind": "team", "cycle": "month", "start": "2026-03-01T00:00:00Z", "seats": {"premium": 1, "standard": 1}}
    events = [
        {"at": "2026-03-02T00:00:00Z", "do": "add_member", "user": "ann", "via": "manual"},
        {"at": "2026-03-03T00:00:00Z", "do": "deactivate", "user": "ann", "key": "k"},
        {"at": "2026-03-04T00:00:00Z", "do": "deactivate", "user": "ann", "key": "k"},
        {"at": "2026-03-05T00:00:00Z", "do": "deactivate", "user": "ann", "key": "k", "as": "member"},
    ]
    scenario = {
        "plan": plan,
        "prices": {"premium": "30.00", "standard": "20.00"},
        "events": events,
        "until": "2026-03-06T00:00:00Z",
    }

    outcome = rehearse(runtime, scenario)

    assert outcome["errors"] == [{"event": 3, "code": "forbidden"}]
