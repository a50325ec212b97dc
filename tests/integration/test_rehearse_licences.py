"""Licences in a rehearsal: the worked cases, and each other event of the vocabulary, through the real use cases."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.rehearse import rehearse
from bridge.errors import InvalidInputError
from bridge.runtime import Runtime

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "billing-cases-licence.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES, ids=[f"{'-'.join(case['rules'])} {case['case']}" for case in CASES])
def test_the_worked_case_comes_out_equal(runtime: Runtime, case: dict[str, Any]) -> None:
    outcome = rehearse(runtime, case)

    assert outcome == case["expected"]


def scenario(*events: dict[str, Any], until: str = "2026-03-01", **plan: Any) -> dict[str, Any]:
    """A workspace from 1 January 2026 at €5.00 a person; ``at`` is a day, or an instant."""
    kind = plan.get("kind", "user_licence")
    return {
        "plan": {"kind": "user_licence", "start": "2026-01-01T00:00:00Z", "currency": "EUR", **plan},
        "prices": {kind: "5.00"},
        "events": [{**event, "at": instant(event["at"])} for event in events],
        "until": instant(until),
    }


def instant(text: str) -> str:
    return text if "T" in text else f"{text}T00:00:00Z"


def event(at: str, do: str, **fields: Any) -> dict[str, Any]:
    return {"at": at, "do": do, **fields}


RED = event("2026-01-02", "create_team", team="red")
BLUE = event("2026-01-02", "create_team", team="blue")
ALICE = event("2026-01-03", "add_member", user="a", teams=["red"])
BOB = event("2026-01-03", "add_member", user="b", teams=["blue"])


def totals(outcome: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [
        (invoice["at"][:10], sum(line["quantity"] for line in invoice["lines"]), invoice["amount_due"])
        for invoice in outcome["invoices"]
    ]


def test_w3_leaving_a_team_counts_from_the_next_month(runtime: Runtime) -> None:
    outcome = rehearse(runtime, scenario(RED, ALICE, event("2026-01-20", "leave_team", user="a", team="red")))

    assert totals(outcome) == [("2026-02-01", 1, 500)]
    assert outcome["exports"] == {"2026-01": ["a"]}
    assert outcome["state"]["licensed_now"] == []
    assert outcome["state"]["workspace_members"] == ["a"]


def test_r6_what_happens_at_the_boundary_is_of_the_new_month(runtime: Runtime) -> None:
    outcome = rehearse(
        runtime,
        scenario(
            RED,
            ALICE,
            event("2026-02-01", "leave_team", user="a", team="red"),
            event("2026-02-01", "create_team", team="blue"),
            event("2026-02-01", "add_member", user="b", teams=["blue"]),
        ),
    )

    # Alice left at the very start of February, so she has no time in it; Bob has.
    assert outcome["exports"] == {"2026-01": ["a"], "2026-02": ["b"]}


@pytest.mark.parametrize("do", ["deactivate", "remove_member"])
def test_w3_who_loses_access_counts_for_that_month_and_no_more(runtime: Runtime, do: str) -> None:
    outcome = rehearse(runtime, scenario(RED, ALICE, event("2026-01-20", do, user="a")))

    assert totals(outcome) == [("2026-02-01", 1, 500)]
    assert outcome["exports"] == {"2026-01": ["a"]}
    assert outcome["state"]["workspace_members"] == []


def test_k2_who_is_reactivated_joins_teams_anew(runtime: Runtime) -> None:
    outcome = rehearse(
        runtime,
        scenario(
            RED,
            ALICE,
            event("2026-01-20", "deactivate", user="a"),
            event("2026-02-02", "reactivate", user="a"),
            event("2026-03-02", "add_member", user="a", teams=["red"]),
            until="2026-04-01",
        ),
    )

    assert outcome["exports"] == {"2026-01": ["a"], "2026-03": ["a"]}
    assert outcome["state"]["licensed_now"] == ["a"]


def test_a_present_member_joins_more_teams(runtime: Runtime) -> None:
    outcome = rehearse(
        runtime,
        scenario(
            RED,
            BLUE,
            ALICE,
            event("2026-01-10", "add_member", user="a", teams=["blue"]),
            event("2026-01-11", "archive_team", team="red"),
        ),
    )

    assert outcome["exports"] == {"2026-01": ["a"], "2026-02": ["a"]}


@pytest.mark.parametrize("via", ["jit", "scim"])
def test_people_whom_a_directory_sends_join_teams_too(runtime: Runtime, via: str) -> None:
    outcome = rehearse(
        runtime,
        scenario(RED, {**ALICE, "via": via, "groups": ["Engineering"]}, event("2026-01-04", "add_member", user="c")),
    )

    assert outcome["exports"] == {"2026-01": ["a"], "2026-02": ["a"]}
    assert outcome["state"]["workspace_members"] == ["a", "c"]
    assert outcome["alerts"] == []


def test_w6_members_without_an_active_team_are_removed(runtime: Runtime) -> None:
    outcome = rehearse(
        runtime,
        scenario(
            RED,
            BLUE,
            ALICE,
            BOB,
            event("2026-01-04", "add_member", user="c", teams=[]),
            event("2026-01-05", "archive_team", team="blue"),
            event("2026-01-06", "remove_inactive_members", **{"as": "member"}),
            event("2026-01-06", "remove_inactive_members", **{"as": "admin"}),
        ),
    )

    assert outcome["errors"] == [{"event": 6, "code": "forbidden"}]
    assert outcome["exports"] == {"2026-01": ["a", "b"], "2026-02": ["a"]}
    assert outcome["state"]["workspace_members"] == ["a"]


def test_r4_c3_a_price_counts_from_the_next_month_and_a_credit_is_used_first(runtime: Runtime) -> None:
    outcome = rehearse(
        runtime,
        scenario(
            RED,
            ALICE,
            event("2026-01-10", "set_price", tier="user_licence", price="7.00"),
            event("2026-01-11", "grant_credit", amount="6.00"),
            event("2026-01-12", "set_price", tier="standard", price="7.00"),
            tax_rate="0.25",
        ),
    )

    # January 5.00 + 1.25 = 6.25, 6.00 of it from credit; February 7.00 + 1.75 = 8.75 (rule X1)
    assert totals(outcome) == [("2026-02-01", 1, 25), ("2026-03-01", 1, 875)]
    assert outcome["state"]["credit_balance"] == 0
    assert outcome["errors"] == [{"event": 4, "code": "invalid_input"}]


def test_r5_without_auto_renewal_the_plan_ends_at_the_months_end(runtime: Runtime) -> None:
    outcome = rehearse(
        runtime,
        scenario(
            RED,
            ALICE,
            event("2026-01-10", "set_auto_renew", value=False),
            event("2026-02-10", "create_team", team="blue"),
            event("2026-02-11", "archive_team", team="red"),
            until="2026-05-01",
        ),
    )

    assert totals(outcome) == [("2026-02-01", 1, 500)]
    assert outcome["errors"] == [{"event": 3, "code": "plan_ended"}]
    assert outcome["state"]["status"] == "ended"
    assert outcome["state"]["workspace_members"] == ["a"]
    assert outcome["state"]["active_teams"] == outcome["state"]["licensed_now"] == []


def test_q5_a_repeated_key_does_nothing_twice(runtime: Runtime) -> None:
    made = {**RED, "key": "k"}

    outcome = rehearse(
        runtime,
        scenario(
            made, {**made, "at": "2026-01-03"}, {**BLUE, "at": "2026-01-03", "key": "k"}, {**RED, "at": "2026-01-04"}
        ),
    )

    assert outcome["errors"] == [{"event": 2, "code": "idempotency_conflict"}, {"event": 3, "code": "uniqueness"}]
    assert outcome["state"]["active_teams"] == ["red"]


def test_a_refused_event_changes_nothing(runtime: Runtime) -> None:
    outcome = rehearse(
        runtime,
        scenario(
            {**RED, "as": "member"},
            {**ALICE, "teams": ["nowhere"]},
            event("2026-01-04", "leave_team", user="a", team="red"),
            event("2026-01-05", "archive_team", team="red"),
        ),
    )

    assert [error["code"] for error in outcome["errors"]] == ["forbidden", "not_found", "not_found", "not_found"]
    assert outcome["state"]["workspace_members"] == []
    assert outcome["invoices"] == []


def test_w7_months_are_those_of_the_plans_zone(runtime: Runtime) -> None:
    # 31 January 23:30 UTC is February in Amsterdam.
    outcome = rehearse(
        runtime,
        scenario(
            event("2026-01-31T23:30:00Z", "create_team", team="red"),
            kind="team_licence",
            timezone="Europe/Amsterdam",
            until="2026-03-01",
        ),
    )

    assert [(one["at"], one["lines"][0]["from"]) for one in outcome["invoices"]] == [
        ("2026-02-28T23:00:00Z", "2026-01-31T23:00:00Z")
    ]
    assert outcome["exports"] == {"2026-02": ["red"]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"plan": {"seats": {"standard": 1}}}, "plan.seats"),
        ({"plan": {"cycle": "year"}}, "plan.cycle"),
        ({"plan": {"proration": "day"}}, "plan.proration"),
        ({"plan": {"mappings": {"Eng": "premium"}}}, "plan.mappings"),
        ({"plan": {"on_exhausted": "next_lower"}}, "plan.on_exhausted"),
        ({"prices": {}}, "prices"),
        ({"prices": {"user_licence": "5.00", "premium": "5.00"}}, "prices.premium"),
        ({"events": [event("2026-01-02T00:00:00Z", "change_seats", changes={"user_licence": 1})]}, "events.0.do"),
        ({"events": [event("2026-01-02T00:00:00Z", "create_team")]}, "events.0.team"),
        ({"events": [event("2026-01-02T00:00:00Z", "create_team", team=["red"])]}, "events.0.team"),
        ({"events": [event("2026-01-02T00:00:00Z", "add_member", user="a", teams="red")]}, "events.0.teams"),
        ({"events": [event("2026-01-02T00:00:00Z", "add_member", user="a", tier="standard")]}, "events.0.tier"),
        ({"events": [event("2026-01-02T00:00:00Z", "add_member", user="a", via="post")]}, "events.0.via"),
        ({"events": [event("2026-01-02T00:00:00Z", "set_auto_renew", value="no")]}, "events.0.value"),
    ],
)
def test_what_means_nothing_for_licences_is_refused_by_field(
    runtime: Runtime, change: dict[str, Any], field: str
) -> None:
    plain = scenario()
    changed = {**plain, **change, "plan": {**plain["plan"], **change.get("plan", {})}}

    with pytest.raises(InvalidInputError) as refusal:
        rehearse(runtime, changed)

    assert refusal.value.field == field


def test_teams_are_not_known_where_seats_are_sold(runtime: Runtime) -> None:
    seats = {
        "plan": {"kind": "team", "start": "2026-01-01T00:00:00Z"},
        "prices": {"standard": "5.00"},
        "events": [{**RED, "at": "2026-01-02T00:00:00Z"}],
        "until": "2026-02-01T00:00:00Z",
    }

    with pytest.raises(InvalidInputError, match="not known for plans of this kind"):
        rehearse(runtime, seats)
