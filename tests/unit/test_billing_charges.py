"""Seat changes: what is bought, shed, exchanged and refused, one rule at a time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from bridge.billing.rules.bills import Bill, BillType, LineKind
from bridge.billing.rules.charges import SeatQuote, change_seats, exchange, upgrade
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    ContractStatus,
    ContractTerms,
    Reduction,
    RenewalBasis,
    SeatCount,
    contract_terms,
)
from bridge.billing.rules.money import Currency
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal

START = datetime(2026, 1, 1, tzinfo=UTC)
HALF = datetime(2026, 1, 16, 12, tzinfo=UTC)  # 15.5 of 31 days are left
TEAM = contract_terms(ContractKind.TEAM, anchor=START, currency=Currency("EUR"))
ENTERPRISE = contract_terms(ContractKind.ENTERPRISE, anchor=START, currency=Currency("EUR"))
TEAM_PRICES = {"standard": 2_500, "premium": 15_000}
YEAR_PRICES = {"standard": 24_000, "premium": 120_000}


def team(standard: int = 10, premium: int = 0, *, terms: ContractTerms = TEAM, credit: int = 0) -> ContractState:
    return ContractState.opening(terms, {"standard": standard, "premium": premium}, TEAM_PRICES, credit)


def enterprise(standard: int = 100, premium: int = 0) -> ContractState:
    return ContractState.opening(ENTERPRISE, {"standard": standard, "premium": premium}, YEAR_PRICES)


def bill_of(quote: SeatQuote) -> Bill:
    assert quote.bill is not None
    return quote.bill


def amounts(quote: SeatQuote) -> list[tuple[LineKind, str, int, int]]:
    return [(line.kind, line.tier, line.quantity, line.amount) for line in bill_of(quote).lines]


def refusal(state: ContractState, changes: Mapping[str, int], used: Mapping[str, int] | None = None) -> RuleRefusal:
    with pytest.raises(RuleRefusal) as caught:
        change_seats(state, changes, HALF, used or {})
    return caught.value


def test_p2_team_seats_are_charged_for_the_rest_of_the_cycle() -> None:
    quote = change_seats(team(5), {"standard": 2}, HALF, {})

    # 2 × 25.00 × ½ = 25.00
    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "standard", 2, 2_500)]
    assert bill_of(quote).lines[0].formula == "2 × €25.00 × 1,339,200 s ÷ 2,678,400 s = €25.00"
    assert quote.next_state.seats["standard"] == SeatCount(paid=7, next=7)


def test_p3_one_change_is_one_bill_with_one_line_for_each_tier_lowest_first() -> None:
    quote = change_seats(team(5), {"premium": 1, "standard": 2}, HALF, {})

    assert amounts(quote) == [
        (LineKind.SEAT_PRORATION, "standard", 2, 2_500),
        (LineKind.SEAT_PRORATION, "premium", 1, 7_500),
    ]
    assert bill_of(quote).total == 10_000


def test_p6_a_line_is_rounded_once_and_shows_its_exact_value() -> None:
    at = datetime(2026, 3, 15, 16, 45, tzinfo=UTC)

    quote = change_seats(enterprise(), {"standard": 5, "premium": 10}, at, {})

    # 5 × 240 × (9 + 17/31) ÷ 12 = 954.8387…; 10 × 1,200 × the same = 9,548.3870…
    assert [line.formula for line in bill_of(quote).lines] == [
        "5 × €240.00 × (9 + 17/31) ÷ 12 = €954.8387… → €954.84",
        "10 × €1,200.00 × (9 + 17/31) ÷ 12 = €9,548.3870… → €9,548.39",
    ]
    assert bill_of(quote).lines[0].exact == Fraction(5 * 24_000 * 296, 31 * 12)


def test_p6_a_line_may_be_zero_and_is_still_invoiced() -> None:
    state = replace(team(1), prices={"standard": 1, "premium": 1})

    quote = change_seats(state, {"standard": 1}, datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), {})

    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "standard", 1, 0)]
    assert bill_of(quote).type is BillType.INVOICE
    assert bill_of(quote).amount_due == 0


def test_p7_an_upgrade_pays_the_difference_as_unused_and_remaining_time() -> None:
    quote = upgrade(team(3), "standard", "premium", HALF, {"standard": 1})

    # −25.00 × ½ = −12.50; 150.00 × ½ = 75.00; 62.50 together
    assert amounts(quote) == [
        (LineKind.SEAT_CREDIT, "standard", 1, -1_250),
        (LineKind.SEAT_PRORATION, "premium", 1, 7_500),
    ]
    assert bill_of(quote).lines[0].formula == "−1 × €25.00 × 1,339,200 s ÷ 2,678,400 s = −€12.50"
    assert bill_of(quote).total == 6_250
    assert quote.next_state.seats == {"standard": SeatCount(2, 2), "premium": SeatCount(1, 1)}


def test_p7_each_line_of_an_exchange_is_rounded_for_itself() -> None:
    at = datetime(2026, 1, 21, tzinfo=UTC)

    quote = exchange(team(1), "standard", "premium", at, {"standard": 1})

    # 11 of 31 days: 25 × 11/31 = 8.870967… → 8.87; 150 × 11/31 = 53.225806… → 53.23
    assert [line.amount for line in bill_of(quote).lines] == [-887, 5_323]
    assert bill_of(quote).total == 4_436


def test_p7_a_member_without_a_seat_pays_a_whole_seat() -> None:
    quote = upgrade(team(3), None, "premium", HALF, {})

    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "premium", 1, 7_500)]
    assert quote.next_state.seats["standard"] == SeatCount(3, 3)


def test_p7_a_member_whose_seat_is_about_to_lapse_pays_a_whole_seat() -> None:
    state = replace(team(), seats={"standard": SeatCount(1, 0)})

    quote = upgrade(state, "standard", "premium", HALF, {})

    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "premium", 1, 7_500)]


def test_p7_a_member_who_goes_down_to_a_full_tier_pays_a_whole_seat() -> None:
    quote = upgrade(team(0, 1), "premium", "standard", HALF, {"premium": 1})

    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "standard", 1, 1_250)]  # 25 × ½
    assert quote.next_state.seats == {"standard": SeatCount(1, 1), "premium": SeatCount(1, 1)}


def test_r7_the_forecast_of_an_exchange_counts_its_member_in_the_new_tier() -> None:
    terms = replace(TEAM, renewal_basis=RenewalBasis.IN_USE)

    quote = exchange(team(3, terms=terms), "standard", "premium", HALF, {"standard": 2})

    assert quote.renewal_before_subtotal == 5_000  # 2 × 25
    assert quote.next_renewal_subtotal == 17_500  # 25 + 150


def test_p7_a_plain_change_up_and_down_is_no_exchange() -> None:
    quote = change_seats(team(3), {"premium": 1, "standard": -1}, HALF, {})

    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "premium", 1, 7_500)]
    assert quote.next_state.seats == {"standard": SeatCount(3, 2), "premium": SeatCount(1, 1)}


def test_p7_an_exchange_needs_a_higher_tier_and_a_paid_seat() -> None:
    lapsing = replace(team(), seats={"standard": SeatCount(1, 0)})

    for state, from_tier, to_tier in (
        (team(1, 1), "premium", "standard"),
        (team(1), "standard", "standard"),
        (team(0), "standard", "premium"),
        (lapsing, "standard", "premium"),
        (team(1), "gold", "premium"),
    ):
        with pytest.raises(RuleRefusal) as caught:
            exchange(state, from_tier, to_tier, HALF, {})

        assert caught.value.code is RefusalCode.INVALID_CHANGE


def test_p8_the_first_of_march_example_comes_to_eleven_thousand() -> None:
    quote = change_seats(
        enterprise(), {"standard": 5, "premium": 10}, datetime(2026, 3, 1, tzinfo=UTC), {"standard": 100}
    )

    # 5 × 240 × 10/12 = 1,000.00; 10 × 1,200 × 10/12 = 10,000.00
    assert [line.formula for line in bill_of(quote).lines] == [
        "5 × €240.00 × 10/12 = €1,000.00",
        "10 × €1,200.00 × 10/12 = €10,000.00",
    ]
    assert bill_of(quote).total == 1_100_000


def test_p8_three_seats_on_21_november_cost_240() -> None:
    state = replace(enterprise(50, 10), prices={"standard": 30_000, "premium": 72_000})

    quote = change_seats(
        state,
        {"premium": 3},
        datetime(2026, 11, 21, 10, 45, tzinfo=UTC),
        used={"standard": 41, "premium": 10},
        used_after={"standard": 39, "premium": 13},
    )

    assert bill_of(quote).lines[0].formula == "3 × €720.00 × (1 + 10/30) ÷ 12 = €240.00"
    assert quote.renewal_before_subtotal == 1_950_000  # 10 × 720 + 41 × 300 = 19,500
    assert quote.next_renewal_subtotal == 2_106_000  # 13 × 720 + 39 × 300 = 21,060
    assert quote.sentences == (
        (
            "3 Premium seats added, charged until 1 January 2027 for December, and 10 of 30 November days: "
            "3 × €720.00 × (1 + 10/30) ÷ 12 = €240.00."
        ),
        "Premium seats cannot be dropped before 1 January 2027.",
        (
            "The renewal on 1 January 2027 bills the seats in use that day, as of now €21,060.00 before tax, "
            "instead of €19,500.00."
        ),
    )


def test_p9_an_enterprise_upgrade_buys_a_whole_seat_and_keeps_the_old_one() -> None:
    quote = upgrade(enterprise(5), "standard", "premium", datetime(2026, 7, 1, 9, tzinfo=UTC), {"standard": 1})

    # 1,200 × 6/12 = 600.00
    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "premium", 1, 60_000)]
    assert quote.next_state.seats == {"standard": SeatCount(5, 5), "premium": SeatCount(1, 1)}
    assert quote.next_renewal_subtotal == 120_000  # the member's premium seat, no standard one in use


def test_s7_an_enterprise_seat_cannot_be_exchanged() -> None:
    with pytest.raises(RuleRefusal) as caught:
        exchange(enterprise(), "standard", "premium", HALF, {"standard": 1})

    assert caught.value.code is RefusalCode.REDUCTION_NOT_ALLOWED


def test_q2_the_confirmation_of_a_pinned_instant_charges_what_the_preview_showed() -> None:
    state = team(5)
    preview = change_seats(state, {"standard": 2}, HALF, {})

    confirmed = change_seats(state, {"standard": 2}, preview.at, {})

    assert confirmed == preview


def test_d2_a_team_reduction_waits_for_the_renewal_and_gives_no_credit() -> None:
    quote = change_seats(team(10, 4), {"standard": -3, "premium": -1}, HALF, {})

    assert quote.bill is None
    assert quote.next_state.seats == {"standard": SeatCount(10, 7), "premium": SeatCount(4, 3)}
    assert quote.next_renewal_subtotal == 62_500  # 7 × 25 + 3 × 150
    assert quote.renewal_before_subtotal == 85_000  # 10 × 25 + 4 × 150
    assert quote.sentences[0] == (
        "3 Standard seats fewer from 1 February 2026, not assignable until then, without a credit."
    )


def test_d3_seats_in_use_cannot_be_shed() -> None:
    refused = refusal(team(10), {"standard": -3}, used={"standard": 8})

    assert refused.code is RefusalCode.SEATS_IN_USE
    assert refused.fields == {"tier": "standard", "used": 8, "requested": 7}


def test_d3_seats_to_shed_are_not_assignable_from_the_confirmation_on() -> None:
    quote = change_seats(team(10), {"standard": -4}, HALF, {"standard": 6})

    assert quote.next_state.seats["standard"].assignable == 6
    assert quote.next_state.seats["standard"].lapsing == 4


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "no seat is added or dropped"),
        ({"standard": 0}, "no seat is added or dropped"),
        ({"gold": 1}, "the plan has no tier gold"),
        ({"standard": -11}, "11 standard seats cannot be dropped from 10"),
    ],
)
def test_d3_a_change_that_makes_no_sense_is_refused(changes: dict[str, int], problem: str) -> None:
    refused = refusal(team(10), changes)

    assert refused.code is RefusalCode.INVALID_CHANGE
    assert refused.fields == {"problem": problem}


def test_a_tier_without_an_agreed_price_cannot_be_bought() -> None:
    state = replace(team(1), prices={"standard": 2_500})

    refused = refusal(state, {"premium": 1})

    assert refused.fields == {"problem": "no price is agreed for premium seats"}


def test_d4_an_increase_first_takes_back_lapsing_seats_free_of_charge() -> None:
    reduced = change_seats(team(10), {"standard": -4}, HALF, {}).next_state

    quote = change_seats(reduced, {"standard": 3}, HALF, {})

    assert quote.bill is None
    assert quote.next_state.seats["standard"] == SeatCount(10, 9)
    assert quote.sentences[0] == ("Kept free of charge: 3 Standard seats that would have lapsed on 1 February 2026.")


def test_d4_only_the_seats_beyond_the_lapsing_ones_are_charged() -> None:
    reduced = change_seats(team(10), {"standard": -4}, HALF, {}).next_state

    quote = change_seats(reduced, {"standard": 6}, HALF, {})

    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "standard", 2, 2_500)]  # 2 × 25 × ½
    assert quote.next_state.seats["standard"] == SeatCount(12, 12)


def test_d4_an_upgrade_takes_back_a_lapsing_seat_before_it_exchanges_one() -> None:
    state = replace(team(), seats={"standard": SeatCount(3, 3), "premium": SeatCount(2, 1)})

    quote = upgrade(state, "standard", "premium", HALF, {"standard": 1, "premium": 1})

    assert quote.bill is None
    assert quote.next_state.seats == {"standard": SeatCount(3, 3), "premium": SeatCount(2, 2)}
    with pytest.raises(ValueError, match="about to lapse"):
        exchange(state, "standard", "premium", HALF, {})


def test_d5_with_immediate_credit_a_reduction_is_credited_to_the_balance_at_once() -> None:
    terms = replace(TEAM, reduction=Reduction.IMMEDIATE_CREDIT, tax_rate=Fraction(1, 4))

    quote = change_seats(team(10, terms=terms, credit=100), {"standard": -3}, HALF, {})

    bill = bill_of(quote)
    # −3 × 25 × ½ = −37.50; tax −9.375 → −9.38; together −46.88
    assert bill.type is BillType.CREDIT_NOTE
    assert amounts(quote) == [(LineKind.SEAT_CREDIT, "standard", 3, -3_750)]
    assert (bill.subtotal, bill.tax, bill.total) == (-3_750, -938, -4_688)
    assert (bill.credit_applied, bill.amount_due) == (0, 0)
    assert quote.next_state.seats["standard"] == SeatCount(7, 7)
    assert quote.next_state.credit_balance == 4_788


def test_d5_credits_and_charges_of_one_change_stand_on_one_bill() -> None:
    terms = replace(TEAM, reduction=Reduction.IMMEDIATE_CREDIT)

    quote = change_seats(team(10, terms=terms), {"standard": -3, "premium": 1}, HALF, {})

    assert amounts(quote) == [
        (LineKind.SEAT_CREDIT, "standard", 3, -3_750),
        (LineKind.SEAT_PRORATION, "premium", 1, 7_500),
    ]
    assert bill_of(quote).type is BillType.INVOICE
    assert bill_of(quote).amount_due == 3_750


def test_d6_a_reduction_below_the_minimum_of_seats_is_refused() -> None:
    terms = replace(TEAM, minimum_seats=5)

    refused = refusal(team(5, 1, terms=terms), {"standard": -2})

    assert refused.code is RefusalCode.BELOW_MINIMUM
    assert refused.fields == {"minimum": 5, "requested": 4}


def test_d6_the_minimum_itself_may_be_left_and_an_increase_is_never_below_it() -> None:
    terms = replace(TEAM, minimum_seats=5)

    down = change_seats(team(6, terms=terms), {"standard": -1}, HALF, {})
    up = change_seats(team(2, terms=terms), {"standard": 1}, HALF, {})

    assert down.next_state.seats["standard"].next == 5
    assert up.next_state.seats["standard"].next == 3


def test_d7_enterprise_never_reduces_during_the_term() -> None:
    refused = refusal(enterprise(), {"standard": -1, "premium": 5})

    assert refused.code is RefusalCode.REDUCTION_NOT_ALLOWED
    assert refused.fields == {"term_end": datetime(2027, 1, 1, tzinfo=UTC)}


def test_c3_a_balance_is_used_before_money_on_the_total_after_tax() -> None:
    terms = replace(TEAM, tax_rate=Fraction(1, 5))

    quote = change_seats(team(5, terms=terms, credit=1_000), {"standard": 2}, HALF, {})

    bill = bill_of(quote)
    # 25.00 + 20 % = 30.00, of which 10.00 from the balance
    assert (bill.subtotal, bill.tax, bill.total) == (2_500, 500, 3_000)
    assert (bill.credit_applied, bill.amount_due) == (1_000, 2_000)
    assert quote.next_state.credit_balance == 0


def test_r4_an_addition_in_the_period_uses_the_periods_price() -> None:
    state = team(5).with_next_price("standard", 3_000)

    quote = change_seats(state, {"standard": 2}, HALF, {})

    assert amounts(quote) == [(LineKind.SEAT_PRORATION, "standard", 2, 2_500)]  # 2 × 25 × ½
    assert quote.next_renewal_subtotal == 21_000  # 7 × 30


def test_r5_an_ended_plan_refuses_purchases() -> None:
    ended = replace(team(5), status=ContractStatus.ENDED)

    refused = refusal(ended, {"standard": 1})

    assert refused.code is RefusalCode.PLAN_ENDED
    assert str(refused) == "plan_ended"


def test_r5_a_plan_that_does_not_renew_says_so_in_the_quote() -> None:
    terms = replace(TEAM, auto_renew=False)

    quote = change_seats(team(5, terms=terms), {"standard": 2}, HALF, {})

    assert quote.next_renewal_subtotal == 0
    assert quote.sentences[-1] == "The plan ends on 1 February 2026: it does not renew by itself."


def test_r6_a_change_on_the_boundary_belongs_to_the_period_that_starts() -> None:
    boundary = datetime(2026, 2, 1, tzinfo=UTC)

    with pytest.raises(ValueError, match="not in the period"):
        change_seats(team(5), {"standard": 1}, boundary, {})


def test_a_preview_as_json_is_its_lines_its_sums_and_on_demand_its_arithmetic() -> None:
    quote = change_seats(team(5), {"standard": 2}, HALF, {})

    explained = quote.to_json(explained=True)

    assert quote.to_json() == {
        "lines": [
            {
                "kind": "seat_proration",
                "tier": "standard",
                "quantity": 2,
                "from": "2026-01-16T12:00:00Z",
                "to": "2026-02-01T00:00:00Z",
                "amount": 2_500,
            }
        ],
        "subtotal": 2_500,
        "tax": 0,
        "total": 2_500,
        "next_renewal_subtotal": 17_500,
    }
    assert explained["renewal_before_subtotal"] == 12_500
    assert explained["sentences"] == list(quote.sentences)


def test_a_quote_without_a_bill_is_json_of_zeros() -> None:
    quote = change_seats(team(5), {"standard": -1}, HALF, {})

    assert quote.to_json() == {
        "lines": [],
        "subtotal": 0,
        "tax": 0,
        "total": 0,
        "next_renewal_subtotal": 10_000,
    }
