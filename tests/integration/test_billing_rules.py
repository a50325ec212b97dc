"""What the plan's rules charge and refuse, played through the use cases on a real database.

Prices: Standard 25.00, Premium 150.00 a month; 240.00 and 1,200.00 a year. The month is January 2026: 31 days, so that
noon on the 16th is exactly its half.
"""

from typing import Any

import pytest

from bridge.cli.rehearse import rehearse
from bridge.errors import InvalidInputError
from bridge.ports import FeeDraft
from bridge.runtime import Runtime
from bridge.store.gate import list_organizations
from bridge.store.pools import read_pools
from bridge.usecases.seats import read_contract
from tests.factories import create_customer, create_workspace

START = "2026-01-01T00:00:00Z"
HALF = "2026-01-16T12:00:00Z"
END = "2026-02-01T00:00:00Z"
BEFORE_END = "2026-01-31T23:59:59Z"


def play(
    runtime: Runtime,
    *events: dict[str, Any],
    seats: dict[str, int],
    kind: str = "team",
    until: str = BEFORE_END,
    **plan: Any,
) -> dict[str, Any]:
    yearly = kind == "enterprise"
    return rehearse(
        runtime,
        {
            "plan": {"kind": kind, "start": START, "currency": "EUR", "seats": seats, **plan},
            "prices": {
                "standard": "240.00" if yearly else "25.00",
                "premium": "1200.00" if yearly else "150.00",
            },
            "events": list(events),
            "until": until,
        },
    )


def totals(outcome: dict[str, Any]) -> list[tuple[str, int]]:
    return [(invoice["reason"], invoice["total"]) for invoice in outcome["invoices"]]


def codes(outcome: dict[str, Any]) -> list[str]:
    return [error["code"] for error in outcome["errors"]]


def paid_and_next(outcome: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {tier: (seats["paid"], seats["next"]) for tier, seats in outcome["state"]["seats"].items()}


def tiers(outcome: dict[str, Any]) -> dict[str, str]:
    return {user: member["tier"] for user, member in outcome["state"]["members"].items()}


@pytest.mark.parametrize(
    ("kind", "tiers_sold"),
    [
        ("team", {"premium", "standard"}),
        ("enterprise", {"premium", "standard"}),
        ("contract", set()),
        ("team_licence", set()),
        ("user_licence", set()),
    ],
)
def test_g1_two_kinds_of_plans_are_sold_by_seats_and_three_have_no_tiers(
    runtime: Runtime, kind: str, tiers_sold: set[str]
) -> None:
    if kind == "contract":
        customer = create_customer(runtime, fee=FeeDraft(annual_fee=100_000, tier="M", paid_users=5))
    elif tiers_sold:
        customer = create_customer(runtime, kind=kind)
    else:
        customer = create_workspace(runtime, kind=kind)
    member = customer.push("ada@nordlys.test")

    with customer.unit() as unit:
        contract, pools = read_contract(unit), read_pools(unit)

    assert contract.kind == kind
    assert {pool.tier for pool in pools} == tiers_sold
    assert (member.active, member.tier, member.waiting_for) == (True, "premium" if tiers_sold else None, None)


def test_s6_premium_seats_are_shed_by_reassigning_their_holder_first_and_reducing_then(runtime: Runtime) -> None:
    reduce = {"do": "change_seats", "changes": {"premium": -1}}

    outcome = play(
        runtime,
        {"at": "2026-01-02T00:00:00Z", "do": "add_member", "user": "ana", "via": "manual", "tier": "premium"},
        {"at": "2026-01-03T00:00:00Z", **reduce},
        {"at": "2026-01-04T00:00:00Z", "do": "assign", "user": "ana", "tier": "standard"},
        {"at": "2026-01-05T00:00:00Z", **reduce},
        seats={"standard": 1, "premium": 1},
        until="2026-02-01T00:00:01Z",
    )

    # Start: 25.00 + 150.00. Renewal without the premium seat: 25.00.
    assert codes(outcome) == ["seats_in_use"]
    assert totals(outcome) == [("start", 17500), ("renewal", 2500)]
    assert tiers(outcome) == {"ana": "standard"}


def test_s7_reassigning_on_an_enterprise_plan_leaves_the_allocation_and_the_freed_premium_seat(
    runtime: Runtime,
) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-02T00:00:00Z", "do": "add_member", "user": "ana", "via": "manual", "tier": "premium"},
        {"at": "2026-03-01T00:00:00Z", "do": "assign", "user": "ana", "tier": "standard"},
        {"at": "2026-04-01T00:00:00Z", "do": "add_member", "user": "bo", "via": "scim"},
        kind="enterprise",
        seats={"standard": 1, "premium": 1},
        until="2026-12-31T00:00:00Z",
    )

    # One invoice, that of the start: 240.00 + 1,200.00. The freed premium seat goes to Bo for nothing.
    assert totals(outcome) == [("start", 144000)]
    assert {tier: paid for tier, (paid, _) in paid_and_next(outcome).items()} == {"standard": 1, "premium": 1}
    assert tiers(outcome) == {"ana": "standard", "bo": "premium"}


def test_p2_added_seats_are_charged_for_the_rest_of_the_month_at_once(runtime: Runtime) -> None:
    outcome = play(runtime, {"at": HALF, "do": "change_seats", "changes": {"standard": 3}}, seats={"standard": 2})

    # Start: 2 × 25.00. Half a month: 3 × 25.00 × 1/2 = 37.50.
    assert totals(outcome) == [("start", 5000), ("seat_change", 3750)]


def test_p7_an_exchange_takes_the_lower_seat_off_the_plan(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-02T00:00:00Z", "do": "add_member", "user": "ana", "via": "manual", "tier": "standard"},
        {"at": HALF, "do": "assign", "user": "ana", "tier": "premium", "buy_if_needed": True},
        seats={"standard": 1},
    )

    # −1 × 25.00 × 1/2 + 1 × 150.00 × 1/2 = −12.50 + 75.00 = 62.50.
    assert totals(outcome)[1] == ("seat_change", 6250)
    assert paid_and_next(outcome) == {"standard": (0, 0), "premium": (1, 1)}


def test_p7_a_member_without_a_seat_pays_a_whole_one(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-02T00:00:00Z", "do": "add_member", "user": "ana", "via": "manual", "tier": "unassigned"},
        {"at": HALF, "do": "assign", "user": "ana", "tier": "premium", "buy_if_needed": True},
        seats={"standard": 1},
    )

    # 1 × 150.00 × 1/2 = 75.00.
    assert totals(outcome)[1] == ("seat_change", 7500)
    assert paid_and_next(outcome) == {"standard": (1, 1), "premium": (1, 1)}


def test_p7_a_free_premium_seat_costs_nothing(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-02T00:00:00Z", "do": "add_member", "user": "ana", "via": "manual", "tier": "standard"},
        {"at": HALF, "do": "assign", "user": "ana", "tier": "premium", "buy_if_needed": True},
        seats={"standard": 1, "premium": 1},
    )

    assert [reason for reason, _ in totals(outcome)] == ["start"]


def test_p9_an_enterprise_upgrade_leaves_the_old_seat_to_who_waits_for_it(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-02T00:00:00Z", "do": "add_member", "user": "ana", "via": "scim"},
        {"at": "2026-01-03T00:00:00Z", "do": "add_member", "user": "bo", "via": "scim"},
        {"at": "2026-07-01T00:00:00Z", "do": "assign", "user": "ana", "tier": "premium", "buy_if_needed": True},
        kind="enterprise",
        seats={"standard": 1},
        until="2026-12-31T00:00:00Z",
    )

    # 1 × 1,200.00 × 6/12 = 600.00; Standard stays on the plan (S7) and goes to Bo.
    assert totals(outcome)[1] == ("seat_change", 60000)
    assert tiers(outcome) == {"ana": "premium", "bo": "standard"}


def test_q2_the_confirmation_charges_from_the_instant_of_the_preview(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "preview", "changes": {"premium": 1}},
        {"at": "2026-01-16T12:14:59Z", "do": "confirm", "preview": 0},
        seats={"standard": 1},
    )

    # 1 × 150.00 × 1/2 = 75.00, though a quarter of an hour has passed.
    assert totals(outcome)[1] == ("seat_change", 7500)
    assert outcome["invoices"][1]["lines"][0]["from"] == HALF


def test_q3_a_preview_expires_after_15_minutes(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "preview", "changes": {"premium": 1}},
        {"at": "2026-01-16T12:15:00Z", "do": "confirm", "preview": 0},
        seats={"standard": 1},
    )

    assert codes(outcome) == ["preview_expired"]


@pytest.mark.parametrize(
    "meanwhile",
    [
        {"do": "change_seats", "changes": {"standard": 1}},
        {"do": "add_member", "user": "ana", "via": "scim"},
        {"do": "set_price", "tier": "premium", "price": "160.00"},
        {"do": "grant_credit", "amount": "1.00"},
    ],
    ids=["seats bought", "seat taken", "price changed", "credit granted"],
)
def test_q3_a_preview_dies_when_what_it_shows_changes(runtime: Runtime, meanwhile: dict[str, Any]) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "preview", "changes": {"premium": 1}},
        {"at": "2026-01-16T12:01:00Z", **meanwhile},
        {"at": "2026-01-16T12:02:00Z", "do": "confirm", "preview": 0},
        seats={"standard": 1},
    )

    assert outcome["errors"] == [{"event": 2, "code": "preview_stale"}]


def test_q3_a_preview_of_the_last_period_is_stale(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-31T23:55:00Z", "do": "preview", "changes": {"premium": 1}},
        {"at": "2026-02-01T00:05:00Z", "do": "confirm", "preview": 0},
        seats={"standard": 1},
        until="2026-02-02T00:00:00Z",
    )

    assert codes(outcome) == ["preview_stale"]


def test_q3_a_change_that_moves_no_seat_leaves_the_preview_alive(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "preview", "changes": {"premium": 1}},
        {"at": "2026-01-16T12:01:00Z", "do": "add_member", "user": "ana", "via": "manual", "tier": "unassigned"},
        {"at": "2026-01-16T12:02:00Z", "do": "confirm", "preview": 0},
        seats={"standard": 1},
    )

    assert outcome["errors"] == []


def test_q4_a_declined_payment_changes_nothing_and_may_be_tried_again(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "preview", "changes": {"premium": 1}},
        {"at": HALF, "do": "confirm", "preview": 0, "key": "k", "payment": "declined"},
        {"at": "2026-01-16T12:05:00Z", "do": "confirm", "preview": 0, "key": "k"},
        seats={"standard": 1},
    )

    assert outcome["errors"] == [{"event": 1, "code": "payment_failed"}]
    assert totals(outcome) == [("start", 2500), ("seat_change", 7500)]


def test_q4_enterprise_is_invoiced_so_no_payment_can_fail(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": 1}, "payment": "declined"},
        kind="enterprise",
        seats={"standard": 1},
    )

    assert outcome["errors"] == []
    assert paid_and_next(outcome)["standard"] == (2, 2)


def test_q5_a_repeated_key_charges_once(runtime: Runtime) -> None:
    change = {"do": "change_seats", "changes": {"standard": 1}, "key": "order-1"}

    outcome = play(runtime, {"at": HALF, **change}, {"at": "2026-01-20T00:00:00Z", **change}, seats={"standard": 1})

    assert outcome["errors"] == []
    assert totals(outcome) == [("start", 2500), ("seat_change", 1250)]


def test_q5_a_key_with_another_content_is_refused(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": 1}, "key": "order-1"},
        {"at": HALF, "do": "change_seats", "changes": {"standard": 2}, "key": "order-1"},
        seats={"standard": 1},
    )

    assert outcome["errors"] == [{"event": 1, "code": "idempotency_conflict"}]


def test_q5_a_confirmation_without_a_key_is_done_once_too(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "preview", "changes": {"premium": 1}},
        {"at": HALF, "do": "confirm", "preview": 0},
        {"at": HALF, "do": "confirm", "preview": 0},
        seats={"standard": 1},
    )

    assert outcome["errors"] == []
    assert len(outcome["invoices"]) == 2


def test_q6_a_seat_bought_while_adding_is_charged_with_the_member_or_not_at_all(runtime: Runtime) -> None:
    add = {"at": HALF, "do": "add_member", "user": "ana", "via": "manual", "tier": "premium", "buy_if_needed": True}

    outcome = play(runtime, add | {"payment": "declined"}, add, seats={"standard": 1})

    assert outcome["errors"] == [{"event": 0, "code": "payment_failed"}]
    assert tiers(outcome) == {"ana": "premium"}


def test_d1_d2_a_reduction_counts_from_the_renewal_without_a_credit(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": -2}},
        seats={"standard": 3},
        until=END,
    )

    # Renewal: 1 × 25.00.
    assert totals(outcome) == [("start", 7500), ("renewal", 2500)]


def test_d3_seats_to_shed_cannot_be_assigned_from_the_confirmation_on(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": -1}},
        {"at": HALF, "do": "add_member", "user": "ana", "via": "manual", "tier": "standard"},
        seats={"standard": 1},
    )

    assert outcome["errors"] == [{"event": 1, "code": "no_seat_available"}]
    assert paid_and_next(outcome)["standard"] == (1, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"standard": -1}, "seats_in_use"),
        ({"premium": -1}, "invalid_change"),
        ({}, "invalid_change"),
        ({"standard": 0}, "invalid_change"),
        ({"gold": 1}, "invalid_change"),
        ({"standard": 10**30}, "invalid_change"),
    ],
)
def test_d3_an_impossible_change_is_refused(runtime: Runtime, changes: dict[str, int], code: str) -> None:
    outcome = play(
        runtime,
        {"at": START, "do": "add_member", "user": "ana", "via": "scim"},
        {"at": HALF, "do": "change_seats", "changes": changes},
        seats={"standard": 1},
    )

    assert codes(outcome) == [code]


def test_d4_an_increase_takes_lapsing_seats_back_before_it_charges(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-10T00:00:00Z", "do": "change_seats", "changes": {"standard": -2}},
        {"at": HALF, "do": "change_seats", "changes": {"standard": 3}},
        seats={"standard": 2},
    )

    # 2 come back free; 1 × 25.00 × 1/2 = 12.50.
    assert totals(outcome) == [("start", 5000), ("seat_change", 1250)]
    assert paid_and_next(outcome)["standard"] == (3, 3)


def test_d4_a_member_takes_a_lapsing_seat_back_free_of_charge(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": -1}},
        {"at": HALF, "do": "add_member", "user": "ana", "via": "manual", "tier": "standard", "buy_if_needed": True},
        seats={"standard": 1},
    )

    assert totals(outcome) == [("start", 2500)]
    assert tiers(outcome) == {"ana": "standard"}


def test_d5_the_option_credits_a_reduction_at_once(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": -2}},
        seats={"standard": 4},
        reduction="immediate_credit",
        until=END,
    )

    # Credit: −2 × 25.00 × 1/2 = −25.00. Renewal: 2 × 25.00 = 50.00, of which 25.00 come from the balance.
    assert totals(outcome) == [("start", 10000), ("seat_change", -2500), ("renewal", 5000)]
    assert outcome["invoices"][1]["type"] == "credit_note"
    assert (outcome["invoices"][2]["credit_applied"], outcome["invoices"][2]["amount_due"]) == (2500, 2500)


def test_d6_a_reduction_stops_at_the_minimum(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": -1}},
        seats={"standard": 5},
        minimum_seats=5,
    )

    assert codes(outcome) == ["below_minimum"]


def test_d7_enterprise_never_reduces_during_the_term(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": HALF, "do": "change_seats", "changes": {"standard": -1}},
        kind="enterprise",
        seats={"standard": 5},
    )

    assert codes(outcome) == ["reduction_not_allowed"]


def test_c1_removing_somebody_gives_no_credit_and_frees_the_seat(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": START, "do": "add_member", "user": "ana", "via": "scim"},
        {"at": START, "do": "add_member", "user": "bo", "via": "scim"},
        {"at": HALF, "do": "remove_member", "user": "ana"},
        seats={"standard": 1},
    )

    assert totals(outcome) == [("start", 2500)]
    assert tiers(outcome) == {"bo": "standard"}


def test_c2_c3_a_balance_is_used_before_money_and_never_paid_out(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": START, "do": "grant_credit", "amount": "30.00"},
        {"at": HALF, "do": "change_seats", "changes": {"standard": 2}},
        seats={"standard": 1},
        until=END,
    )

    # 2 × 25.00 × 1/2 = 25.00, all from the balance; renewal 75.00 − the 5.00 left = 70.00.
    applied = [(invoice["credit_applied"], invoice["amount_due"]) for invoice in outcome["invoices"]]
    assert applied == [(0, 2500), (2500, 0), (500, 7000)]
    assert outcome["state"]["credit_balance"] == 0


def test_x1_tax_is_taken_once_on_the_total(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-16T12:00:01Z", "do": "change_seats", "changes": {"standard": 1, "premium": 1}},
        seats={"standard": 1},
        tax_rate="0.25",
    )

    # 12.50 + 75.00 = 87.50 to the second; 25 % = 21.875 → 21.88.
    invoice = outcome["invoices"][1]
    assert (invoice["subtotal"], invoice["tax"], invoice["total"]) == (8750, 2188, 10938)


def test_r4_a_price_change_counts_from_the_next_renewal(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": "2026-01-10T00:00:00Z", "do": "set_price", "tier": "standard", "price": "30.00"},
        {"at": HALF, "do": "change_seats", "changes": {"standard": 1}},
        seats={"standard": 1},
        until=END,
    )

    # 1 × 25.00 × 1/2 = 12.50 at the old price; 2 × 30.00 = 60.00 at the new one.
    assert totals(outcome)[1:] == [("seat_change", 1250), ("renewal", 6000)]


def test_r5_without_auto_renewal_everybody_becomes_unassigned_and_purchases_are_refused(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": START, "do": "add_member", "user": "ana", "via": "scim"},
        {"at": START, "do": "add_member", "user": "bo", "via": "scim"},
        {"at": HALF, "do": "set_auto_renew", "value": False},
        {"at": END, "do": "change_seats", "changes": {"standard": 1}},
        seats={"standard": 1},
        until="2026-04-01T00:00:00Z",
    )

    assert totals(outcome) == [("start", 2500)]
    assert outcome["state"]["status"] == "ended"
    assert paid_and_next(outcome) == {"standard": (0, 0), "premium": (0, 0)}
    assert tiers(outcome) == {"ana": "unassigned", "bo": "unassigned"}
    assert codes(outcome) == ["plan_ended"]


def test_r6_at_the_same_instant_the_renewal_comes_first(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": END, "do": "change_seats", "changes": {"standard": 1}},
        seats={"standard": 1},
        until=END,
    )

    # The renewal bills one seat; the added one is charged for the whole new month.
    assert totals(outcome) == [("start", 2500), ("renewal", 2500), ("seat_change", 2500)]


def test_r7_an_enterprise_renewal_never_bills_under_the_contract_minimum(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": START, "do": "add_member", "user": "ana", "via": "manual", "tier": "standard"},
        kind="enterprise",
        seats={"standard": 9, "premium": 2},
        contract_minimum={"standard": 5},
        until="2027-01-01T00:00:00Z",
    )

    # 1 in use, 5 at least: 5 × 240.00 = 1,200.00. No Premium seat is in use.
    assert totals(outcome)[1] == ("renewal", 120000)
    assert paid_and_next(outcome) == {"standard": (5, 5), "premium": (0, 0)}


def test_r7_with_no_seat_in_use_there_is_no_invoice(runtime: Runtime) -> None:
    outcome = play(runtime, kind="enterprise", seats={"standard": 9}, until="2027-01-01T00:00:00Z")

    assert [reason for reason, _ in totals(outcome)] == ["start"]
    assert outcome["state"]["status"] == "active"


@pytest.mark.parametrize("role", ["admin", "member"])
@pytest.mark.parametrize(
    "event",
    [
        {"do": "preview", "changes": {"standard": 1}},
        {"do": "change_seats", "changes": {"standard": 1}},
        {"do": "set_auto_renew", "value": False},
        {"do": "set_price", "tier": "standard", "price": "1.00"},
        {"do": "grant_credit", "amount": "1.00"},
    ],
    ids=lambda event: event["do"],
)
def test_z1_only_owners_buy(runtime: Runtime, event: dict[str, Any], role: str) -> None:
    outcome = play(runtime, {"at": HALF, "as": role, **event}, seats={"standard": 1})

    assert codes(outcome) == ["forbidden"]


def test_z2_an_admin_assigns_but_does_not_buy(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": START, "do": "add_member", "user": "ana", "via": "scim"},
        {"at": HALF, "as": "admin", "do": "assign", "user": "ana", "tier": "unassigned"},
        {"at": HALF, "as": "admin", "do": "assign", "user": "ana", "tier": "premium", "buy_if_needed": True},
        {"at": HALF, "as": "member", "do": "assign", "user": "ana", "tier": "standard"},
        seats={"standard": 1},
    )

    assert outcome["errors"] == [{"event": 2, "code": "forbidden"}, {"event": 3, "code": "forbidden"}]


def test_a7_a_repeated_push_and_sign_in_moves_nobody(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        {"at": START, "do": "add_member", "user": "ana", "via": "jit"},
        {"at": HALF, "do": "assign", "user": "ana", "tier": "standard"},
        {"at": HALF, "do": "add_member", "user": "ana", "via": "scim"},
        {"at": HALF, "do": "add_member", "user": "ana", "via": "jit"},
        seats={"standard": 1, "premium": 1},
    )

    assert outcome["errors"] == []
    assert tiers(outcome) == {"ana": "standard"}


def test_a8_people_are_reevaluated_in_the_order_of_their_ids(runtime: Runtime) -> None:
    outcome = play(
        runtime,
        *(
            {"at": START, "do": "add_member", "user": user, "via": "scim", "groups": ["eng"]}
            for user in ("cy", "bo", "ana")
        ),
        {"at": HALF, "do": "change_seats", "changes": {"premium": 1}},
        {"at": HALF, "do": "set_mappings", "mappings": {"eng": "premium"}},
        seats={"standard": 3},
    )

    # One Premium seat: Ana's id is the first, whoever came first.
    assert tiers(outcome) == {"ana": "premium", "bo": "standard", "cy": "standard"}


def test_other_kinds_of_plan_are_refused_with_a_clear_message(runtime: Runtime) -> None:
    with pytest.raises(InvalidInputError, match=r"plan.kind: 'prepaid' plans cannot be rehearsed"):
        play(runtime, kind="prepaid", seats={"standard": 1})


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"at": HALF, "do": "fly"}, "events.0.do: 'fly' is not known"),
        ({"at": HALF, "do": "assign", "user": "ana"}, "events.0.tier: is missing"),
        ({"at": HALF, "do": "preview", "changes": {"standard": "2"}}, "events.0.changes: .* whole numbers"),
        ({"at": HALF, "do": "preview", "changes": [1]}, "events.0.changes: .* whole numbers"),
        ({"at": HALF, "do": "set_groups", "user": "ana", "groups": "eng"}, "events.0.groups: must be a list of names"),
        ({"at": HALF, "do": "set_mappings", "mappings": ["eng"]}, "events.0.mappings: must name a tier"),
        ({"at": HALF, "do": "assign", "user": 7, "tier": "premium"}, "events.0.user: 7 is not text"),
        ({"at": "noon", "do": "deactivate", "user": "ana"}, "events.0.at: 'noon' is no instant"),
        ({"at": "2025-01-01T00:00:00Z", "do": "deactivate", "user": "a"}, "events: must stand in the order of time"),
    ],
)
def test_a_scenario_that_cannot_be_read_names_the_place(runtime: Runtime, event: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        play(runtime, event, seats={"standard": 1})


def test_seats_of_the_plan_are_whole_numbers(runtime: Runtime) -> None:
    with pytest.raises(InvalidInputError, match=r"plan\.seats: must give whole numbers"):
        play(runtime, seats={"standard": "many"})  # type: ignore[dict-item] # what a file may say


def test_a_rehearsal_leaves_no_trace(runtime: Runtime) -> None:
    play(runtime, {"at": HALF, "do": "change_seats", "changes": {"standard": 1}}, seats={"standard": 1})

    assert runtime.ask_gate(list_organizations) == []
