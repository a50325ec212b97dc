"""What a contract for a fixed fee charges, allows and refuses, played through the use cases on a real database.

The fee is 12,000.00 a year, the tier is meant for 2 paid users, and the contract begins on 1 January 2026.
"""

from typing import Any

import pytest

from bridge.cli.rehearse import rehearse
from bridge.errors import InvalidInputError
from bridge.runtime import Runtime
from bridge.store.gate import list_organizations

HALF = "2026-07-01T00:00:00Z"


def scenario(*events: dict[str, Any], until: str = "2026-12-31T00:00:00Z", **plan: Any) -> dict[str, Any]:
    return {
        "plan": {
            "kind": "contract",
            "start": "2026-01-01T00:00:00Z",
            "currency": "EUR",
            "tier": "growth",
            "tier_paid_users": 2,
            **plan,
        },
        "prices": {"annual_fee": "12000.00"},
        "events": list(events),
        "until": until,
    }


def play(runtime: Runtime, *events: dict[str, Any], until: str = "2026-12-31T00:00:00Z", **plan: Any) -> dict[str, Any]:
    return rehearse(runtime, scenario(*events, until=until, **plan))


def add(day: int, user: str, *roles: str, month: int = 2, **facts: Any) -> dict[str, Any]:
    at = f"2026-{month:02}-{day:02}T00:00:00Z"
    return {"at": at, "do": "add_user", "user": user, "roles": list(roles or ("team_member",)), **facts}


def totals(outcome: dict[str, Any]) -> list[tuple[str, int]]:
    return [(invoice["at"][:10], invoice["total"]) for invoice in outcome["invoices"]]


def codes(outcome: dict[str, Any]) -> list[str]:
    return [error["code"] for error in outcome["errors"]]


def alerts(outcome: dict[str, Any]) -> list[tuple[str, int]]:
    return [(alert["at"][:10], alert["paid_users"]) for alert in outcome["alerts"]]


def test_u1_one_paid_role_makes_a_paid_user_and_a_free_one_does_not(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        add(1, "ana", "view_only", "project_administrator"),
        add(2, "bo", "client", "comment_only"),
        add(3, "cy", "custom_role"),
    )

    assert (outcome["state"]["paid_users"], outcome["state"]["free_users"]) == (2, 1)
    assert outcome["state"]["users"]["ana"] == {"roles": ["project_administrator", "view_only"], "active": True}


def test_u1_a_role_of_ones_own_is_paid_or_free_as_it_was_defined(runtime: Runtime) -> None:
    """Rule B5."""
    define = {"at": "2026-02-01T00:00:00Z", "do": "define_role", "role": "auditor", "permissions": ["view"]}

    outcome = play(runtime, {**define, "paid": False}, add(2, "ana", "auditor"), add(3, "bo", "nobody_knows"))

    assert (outcome["state"]["paid_users"], outcome["state"]["free_users"]) == (0, 1)
    assert outcome["errors"] == [{"event": 2, "code": "invalid_input"}]


def test_u2_adding_changing_and_removing_people_costs_nothing(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        add(1, "ana"),
        {"at": "2026-02-02T00:00:00Z", "do": "change_roles", "user": "ana", "roles": ["client"]},
        {"at": "2026-02-03T00:00:00Z", "do": "remove_user", "user": "ana"},
        add(4, "bo"),
    )

    assert totals(outcome) == [("2026-01-01", 1_200_000)]
    assert outcome["state"]["users"] == {
        "ana": {"roles": ["client"], "active": False},
        "bo": {"roles": ["team_member"], "active": True},
    }
    assert (outcome["state"]["paid_users"], outcome["state"]["free_users"]) == (1, 0)


def test_u2_who_was_removed_is_let_in_again_with_other_roles(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        add(1, "ana"),
        {"at": "2026-02-03T00:00:00Z", "do": "remove_user", "user": "ana"},
        add(4, "ana", "view_only"),
        add(5, "ana"),
    )

    assert outcome["state"]["users"] == {"ana": {"roles": ["view_only"], "active": True}}
    assert outcome["errors"] == [{"event": 3, "code": "uniqueness"}]


def test_u3_passing_the_tier_raises_one_alert_until_an_amendment_settles_it(runtime: Runtime) -> None:
    """The third paid user is one too many; the fourth is no news; from 4 on the fifth is news again."""
    outcome = play(
        runtime,
        *(add(day, user) for day, user in enumerate(("u1", "u2", "u3", "u4"), 1)),
        {"at": "2026-03-01T00:00:00Z", "do": "remove_user", "user": "u4"},
        {"at": "2026-03-02T00:00:00Z", "do": "reactivate", "user": "u4"},
        {"at": "2026-04-01T00:00:00Z", "do": "amend_contract", "tier_paid_users": 4},
        add(1, "u5", month=5),
    )

    assert alerts(outcome) == [("2026-02-03", 3), ("2026-05-01", 5)]
    assert totals(outcome) == [("2026-01-01", 1_200_000)]


def test_u3_an_amendment_that_does_not_suffice_leaves_the_alert_open(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        *(add(day, user) for day, user in enumerate(("u1", "u2", "u3", "u4"), 1)),
        {"at": "2026-04-01T00:00:00Z", "do": "amend_contract", "tier_paid_users": 3},
        add(1, "u5", month=5),
    )

    assert alerts(outcome) == [("2026-02-03", 3)]


def test_u3_a_new_term_begins_a_new_review(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        *(add(day, user) for day, user in enumerate(("u1", "u2", "u3", "u4"), 1)),
        auto_renew=True,
        until="2027-01-01T00:00:00Z",
    )

    assert alerts(outcome) == [("2026-02-03", 3), ("2027-01-01", 4)]


def test_u3_a_role_that_becomes_a_paid_one_counts_at_once(runtime: Runtime) -> None:
    define = {"do": "define_role", "role": "auditor"}

    outcome = play(
        runtime,
        {**define, "at": "2026-02-01T00:00:00Z", "paid": False},
        *(add(day, user, "auditor") for day, user in enumerate(("u1", "u2", "u3"), 1)),
        {**define, "at": "2026-02-09T00:00:00Z", "paid": True},
    )

    assert alerts(outcome) == [("2026-02-09", 3)]


def test_u4_a_schedule_of_ones_own_is_billed_in_its_months(runtime: Runtime) -> None:
    outcome = play(
        runtime, schedule=[{"month": 1, "share": "1/3"}, {"month": 5, "share": "1/3"}, {"month": 9, "share": "1/3"}]
    )

    assert totals(outcome) == [("2026-01-01", 400_000), ("2026-05-01", 400_000), ("2026-09-01", 400_000)]


def test_u5_a_term_of_two_years_bills_each_year_then_ends(runtime: Runtime) -> None:
    outcome = play(runtime, term_years=2, until="2028-06-01T00:00:00Z")

    assert totals(outcome) == [("2026-01-01", 1_200_000), ("2027-01-01", 1_200_000)]
    assert outcome["state"]["status"] == "ended"


def test_u6_a_discount_is_taken_from_the_fee(runtime: Runtime) -> None:
    outcome = play(runtime, discount="0.125", schedule="quarterly")

    # 12,000.00 × 0.875 = 10,500.00; ÷ 4 = 2,625.00
    assert [total for _, total in totals(outcome)] == [262_500] * 4


def test_u7_an_amendment_leaves_the_instalments_of_the_year_and_raises_those_of_the_next(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "amend_contract", "annual_fee": "24000.00", "tier": "scale"},
        schedule="quarterly",
        term_years=2,
        until="2027-01-01T00:00:00Z",
    )

    # Boundary first (R6), then (24,000.00 − 12,000.00) × 6/12 = 6,000.00; next year 24,000.00 ÷ 4.
    assert [(invoice["reason"], invoice["total"]) for invoice in outcome["invoices"]] == [
        ("instalment", 300_000),
        ("instalment", 300_000),
        ("instalment", 300_000),
        ("amendment", 600_000),
        ("instalment", 300_000),
        ("instalment", 600_000),
    ]
    assert [invoice["lines"][0]["tier"] for invoice in outcome["invoices"][2:]] == [
        "growth",
        "scale",
        "growth",
        "scale",
    ]


def test_q5_a_repeated_key_amends_once(runtime: Runtime) -> None:
    amend = {"at": HALF, "do": "amend_contract", "annual_fee": "18000.00", "key": "k"}

    outcome = play(
        runtime,
        amend,
        {**amend, "at": "2026-08-01T00:00:00Z"},
        {**amend, "at": "2026-08-02T00:00:00Z", "annual_fee": "19000.00"},
    )

    assert totals(outcome) == [("2026-01-01", 1_200_000), ("2026-07-01", 300_000)]
    assert outcome["errors"] == [{"event": 2, "code": "idempotency_conflict"}]


def test_q5_a_repeated_key_adds_a_user_once(runtime: Runtime) -> None:
    outcome = play(runtime, add(1, "ana", key="k"), add(1, "ana", key="k"), add(1, "ana", "client", key="k"))

    assert codes(outcome) == ["idempotency_conflict"]


def test_c3_and_x1_a_credit_is_used_before_money_on_the_total_after_tax(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "grant_credit", "amount": "1000.00"},
        {"at": HALF, "do": "amend_contract", "annual_fee": "18000.00"},
        tax_rate="0.25",
    )

    # 3,000.00 + 25 % = 3,750.00, of which 1,000.00 come from the balance.
    invoice = outcome["invoices"][1]
    assert (invoice["tax"], invoice["total"], invoice["credit_applied"], invoice["amount_due"]) == (
        75_000,
        375_000,
        100_000,
        275_000,
    )
    assert outcome["state"]["credit_balance"] == 0


def test_r5_auto_renewal_can_be_agreed_before_the_term_ends_and_not_afterwards(runtime: Runtime) -> None:
    renew = {"at": HALF, "do": "set_auto_renew", "value": True}

    renewed = play(runtime, renew, until="2027-02-01T00:00:00Z")
    ended = play(runtime, {**renew, "at": "2027-01-01T00:00:00Z"}, until="2027-02-01T00:00:00Z")

    assert totals(renewed)[1:] == [("2027-01-01", 1_200_000)]
    assert (codes(ended), ended["state"]["status"]) == (["plan_ended"], "ended")


def test_r5_an_ended_contract_is_not_amended_and_keeps_its_people(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        add(1, "ana"),
        {"at": "2027-01-01T00:00:00Z", "do": "amend_contract", "annual_fee": "18000.00"},
        until="2027-01-02T00:00:00Z",
    )

    assert codes(outcome) == ["plan_ended"]
    assert outcome["state"]["users"]["ana"]["active"]


@pytest.mark.parametrize(
    ("role", "refused"),
    [("member", [0, 1, 2, 3, 4]), ("admin", [3, 4]), ("owner", []), ("primary_owner", [])],
)
def test_z1_to_z3_who_may_do_what(runtime: Runtime, role: str, refused: list[int]) -> None:
    """Admins look after people and their roles; owners define roles and amend."""
    outcome = play(
        runtime,
        {**add(1, "ana"), "as": role},
        {"at": "2026-02-02T00:00:00Z", "do": "change_roles", "user": "ana", "roles": ["client"], "as": role},
        {"at": "2026-02-03T00:00:00Z", "do": "remove_user", "user": "ana", "as": role},
        {"at": "2026-02-04T00:00:00Z", "do": "define_role", "role": "auditor", "paid": True, "as": role},
        {"at": HALF, "do": "amend_contract", "annual_fee": "18000.00", "as": role},
    )

    assert outcome["errors"] == [{"event": number, "code": "forbidden"} for number in refused]


def test_an_unknown_person_or_an_owner_is_refused(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-02-02T00:00:00Z", "do": "change_roles", "user": "nobody", "roles": ["client"]},
        {"at": "2026-02-03T00:00:00Z", "do": "remove_user", "user": "nobody"},
        {"at": "2026-02-04T00:00:00Z", "do": "add_user", "user": "ana", "roles": []},
        {"at": "2026-02-05T00:00:00Z", "do": "amend_contract"},
        {"at": "2026-02-06T00:00:00Z", "do": "amend_contract", "annual_fee": "12000.00"},
    )

    assert codes(outcome) == ["not_found", "not_found", "invalid_input", "invalid_change", "invalid_change"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"plan": {"seats": {"standard": 1}}}, "plan.seats"),
        ({"plan": {"cycle": "month"}}, "plan.cycle"),
        ({"plan": {"proration": "day"}}, "plan.proration"),
        ({"plan": {"mappings": {"a": "b"}}}, "plan.mappings"),
        ({"plan": {"tier_paid_users": "3"}}, "plan.tier_paid_users"),
        ({"plan": {"tier": 3}}, "plan.tier"),
        ({"plan": {"term_years": 1.5}}, "plan.term_years"),
        ({"plan": {"term_years": 0}}, "contract"),
        ({"plan": {"auto_renew": "no"}}, "plan.auto_renew"),
        ({"plan": {"discount": "1"}}, "contract"),
        ({"plan": {"discount": "10 %"}}, "discount"),
        ({"plan": {"schedule": "weekly"}}, "schedule"),
        ({"plan": {"schedule": {"month": 1}}}, "plan.schedule"),
        ({"plan": {"schedule": [{"month": "1", "share": "1"}]}}, "plan.schedule.0.month"),
        ({"plan": {"schedule": [{"month": 1, "share": "1e9"}]}}, "schedule"),
        ({"plan": {"schedule": [{"month": 1, "share": "0.9"}]}}, "schedule"),
        ({"prices": {"annual_fee": "12000.001"}}, "prices.annual_fee"),
        ({"prices": {"standard": "1.00"}}, "prices.standard"),
        ({"events": [{"at": HALF, "do": "change_seats", "changes": {}}]}, "events.0.do"),
        ({"events": [{"at": HALF, "do": "add_member", "user": "a", "via": "scim"}]}, "events.0.do"),
        ({"events": [{"at": HALF, "do": "add_user", "user": "a"}]}, "events.0.roles"),
        ({"events": [{"at": HALF, "do": "add_user", "user": "a", "roles": "client"}]}, "events.0.roles"),
        ({"events": [{"at": HALF, "do": "amend_contract", "tier_paid_users": "9"}]}, "events.0.tier_paid_users"),
        ({"events": [{"at": HALF, "do": "define_role", "role": "a", "paid": "yes"}]}, "events.0.paid"),
    ],
)
def test_what_means_nothing_to_a_contract_is_refused_by_its_field(
    runtime: Runtime, change: dict[str, Any], field: str
) -> None:
    document = scenario()
    changed = {
        name: {**document[name], **value} if isinstance(value, dict) else value for name, value in change.items()
    }

    with pytest.raises(InvalidInputError) as refusal:
        rehearse(runtime, document | changed)

    assert refusal.value.field == field


def test_nothing_is_left_behind(runtime: Runtime) -> None:
    play(runtime, add(1, "ana"))

    assert runtime.ask_gate(list_organizations) == []
