"""The worked cases of contracts with a fixed fee, replayed through the real use cases on a real database."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.rehearse import rehearse
from bridge.runtime import Runtime

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "billing-cases-contract.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[f"{'-'.join(case['rules'])} {case['case']}" for case in CASES])
def test_the_worked_case_comes_out_equal(runtime: Runtime, case: dict[str, Any]) -> None:
    outcome = rehearse(runtime, case)

    assert outcome == case["expected"]
