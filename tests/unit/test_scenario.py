"""Scenarios that cannot be played are refused by the field that is wrong, before anything is played."""

from typing import Any

import pytest

from bridge.cli.scenario import read_scenario
from bridge.errors import InvalidInputError

SCENARIO: dict[str, Any] = {
    "plan": {"kind": "team", "start": "2026-01-01T00:00:00Z", "seats": {"standard": 1}},
    "prices": {"standard": "25.00"},
    "events": [],
    "until": "2026-02-01T00:00:00Z",
}
ASSIGN = {"at": "2026-01-02T00:00:00Z", "do": "assign", "user": "a", "tier": "standard"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"events": 5}, "events"),
        ({"events": [{**ASSIGN, "tier": ["x"]}]}, "events.0.tier"),
        ({"events": [{**ASSIGN, "key": 7}]}, "events.0.key"),
        ({"events": [{**ASSIGN, "buy_if_needed": "yes"}]}, "events.0.buy_if_needed"),
        ({"plan": {**SCENARIO["plan"], "auto_renew": "false"}}, "plan.auto_renew"),
        ({"events": [ASSIGN], "until": "2026-01-01T12:00:00Z"}, "until"),
        ({"until": "9999-01-01T00:00:00Z"}, "until"),
        ({"prize": {}}, "prize"),
        ({"plan": {**SCENARIO["plan"], "minimum_seat": 3}}, "plan.minimum_seat"),
        ({"plan": {**SCENARIO["plan"], "timezone": 5}}, "plan.timezone"),
        ({"events": [{**ASSIGN, "seat": "x"}]}, "events.0.seat"),
        ({"events": [{**ASSIGN, "payment": "maybe"}]}, "events.0.payment"),
        ({"events": [{**ASSIGN, "user": "a\u0000"}]}, "events.0.user"),
        (
            {"events": [{"at": ASSIGN["at"], "do": "set_groups", "user": "a", "groups": ["\u0000"]}]},
            "events.0.groups.0",
        ),
        (
            {"events": [{"at": ASSIGN["at"], "do": "add_member", "user": "a", "via": "scim", "tier": "standard"}]},
            "events.0.tier",
        ),
    ],
)
def test_a_field_of_the_wrong_shape_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        read_scenario({**SCENARIO, **change})

    assert refusal.value.field == field


def test_the_plain_scenario_is_read() -> None:
    assert read_scenario(SCENARIO).events == ()
