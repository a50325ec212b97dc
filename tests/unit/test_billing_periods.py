"""First periods, renewals, bills and contract terms, one rule at a time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from bridge.billing.rules.bills import (
    Bill,
    BillReason,
    BillType,
    LineKind,
    apply_credit,
    draw_credits,
    make_bill,
    seat_line,
)
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    ContractStatus,
    RenewalBasis,
    SeatCount,
    Tier,
    contract_terms,
)
from bridge.billing.rules.money import Currency
from bridge.billing.rules.periods import renew, renewal_subtotal, start
from bridge.billing.rules.proration import ProrationMethod
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.terms import Cycle, Term

START = datetime(2026, 1, 1, tzinfo=UTC)
EUR = Currency("EUR")
TEAM = contract_terms(ContractKind.TEAM, anchor=START, currency=EUR)
ENTERPRISE = contract_terms(ContractKind.ENTERPRISE, anchor=START, currency=EUR)
PRICES = {"standard": 2_500, "premium": 15_000}


def sums(bill: Bill | None) -> list[tuple[str, int, int]]:
    assert bill is not None
    return [(line.tier, line.quantity, line.amount) for line in bill.lines]


def test_p1_the_first_period_is_billed_in_advance_quantity_times_price() -> None:
    bill = start(TEAM, {"premium": 1, "standard": 3}, PRICES)

    assert sums(bill) == [("standard", 3, 7_500), ("premium", 1, 15_000)]
    assert bill is not None
    assert bill.reason is BillReason.START
    assert bill.lines[0].formula == "3 × €25.00 = €75.00"
    assert (bill.lines[0].start, bill.lines[0].end) == (START, datetime(2026, 2, 1, tzinfo=UTC))


def test_p1_a_plan_that_starts_without_a_seat_has_no_bill() -> None:
    assert start(TEAM, {"standard": 0}, PRICES) is None


@pytest.mark.parametrize("seats", [{"gold": 1}, {"standard": -1}])
def test_p1_a_start_with_impossible_seats_is_refused(seats: dict[str, int]) -> None:
    with pytest.raises(RuleRefusal) as caught:
        start(TEAM, seats, PRICES)

    assert caught.value.code is RefusalCode.INVALID_CHANGE


def test_r1_a_renewal_bills_the_next_periods_allocation_in_full() -> None:
    state = ContractState.opening(TEAM, {"standard": 10}, PRICES)
    state = replace(state, seats={"standard": SeatCount(paid=10, next=7), "premium": SeatCount(3, 3)})

    renewal = renew(state, {"standard": 2})

    assert sums(renewal.bill) == [("standard", 7, 17_500), ("premium", 3, 45_000)]
    assert renewal.next_state.seats == {"standard": SeatCount(7, 7), "premium": SeatCount(3, 3)}
    assert renewal.next_state.period_index == 1
    assert renewal.sentence == (
        "Renewed on 1 February 2026 with the seats allocated: 7 Standard seats, 3 Premium seats."
    )


def test_r4_a_price_change_counts_from_the_next_renewal() -> None:
    state = ContractState.opening(TEAM, {"standard": 2}, PRICES).with_next_price("standard", 3_000)

    renewal = renew(state, {})

    assert sums(renewal.bill) == [("standard", 2, 6_000)]
    assert renewal.next_state.prices == {"standard": 3_000, "premium": 15_000}
    assert renewal.next_state.next_prices == {}


def test_r5_without_auto_renewal_the_plan_ends_at_the_boundary() -> None:
    terms = replace(TEAM, auto_renew=False)

    renewal = renew(ContractState.opening(terms, {"standard": 2}, PRICES, 700), {"standard": 2})

    assert renewal.ended
    assert renewal.bill is None
    assert renewal.next_state.status is ContractStatus.ENDED
    assert renewal.next_state.seats["standard"] == SeatCount(0, 0)
    assert renewal.next_state.credit_balance == 700
    assert renewal.sentence == "The plan ended on 1 February 2026: no auto-renewal."


def test_r5_an_ended_plan_does_not_renew() -> None:
    ended = replace(ContractState.opening(TEAM, {"standard": 2}, PRICES), status=ContractStatus.ENDED)

    with pytest.raises(RuleRefusal) as caught:
        renew(ended, {})

    assert caught.value.code is RefusalCode.PLAN_ENDED
    assert renewal_subtotal(ended, {}) == 0


def test_r7_enterprise_bills_the_seats_in_use_which_become_the_allocation() -> None:
    state = ContractState.opening(ENTERPRISE, {"standard": 4, "premium": 2}, PRICES)

    renewal = renew(state, {"standard": 2, "premium": 1})

    assert sums(renewal.bill) == [("standard", 2, 5_000), ("premium", 1, 15_000)]
    assert renewal.next_state.seats == {"standard": SeatCount(2, 2), "premium": SeatCount(1, 1)}
    assert renewal.sentence == ("Renewed on 1 January 2027 with the seats in use: 2 Standard seats, 1 Premium seat.")


def test_r7_a_renewal_never_bills_less_than_the_contract_minimum() -> None:
    terms = replace(ENTERPRISE, contract_minimum={"standard": 3})
    state = ContractState.opening(terms, {"standard": 4, "premium": 2}, PRICES)

    renewal = renew(state, {"standard": 1, "premium": 1})

    assert sums(renewal.bill) == [("standard", 3, 7_500), ("premium", 1, 15_000)]


def test_r7_option_allocated_bills_the_contracted_seats() -> None:
    terms = replace(ENTERPRISE, renewal_basis=RenewalBasis.ALLOCATED)

    renewal = renew(ContractState.opening(terms, {"standard": 4}, PRICES), {"standard": 1})

    assert sums(renewal.bill) == [("standard", 4, 10_000)]


def test_r7_with_no_seat_in_use_there_is_no_invoice_and_the_plan_goes_on() -> None:
    state = ContractState.opening(ENTERPRISE, {"standard": 4}, PRICES)

    renewal = renew(state, {})

    assert renewal.bill is None
    assert not renewal.ended
    assert renewal.next_state.status is ContractStatus.ACTIVE
    assert renewal.next_state.seats["standard"] == SeatCount(0, 0)
    assert renewal.sentence == "Renewed on 1 January 2027 with the seats in use: none."


def test_c3_a_renewal_uses_the_balance_before_money() -> None:
    renewal = renew(ContractState.opening(TEAM, {"standard": 2}, PRICES, 6_000), {})

    assert renewal.bill is not None
    assert (renewal.bill.credit_applied, renewal.bill.amount_due) == (5_000, 0)
    assert renewal.next_state.credit_balance == 1_000


@pytest.mark.parametrize(("total", "balance", "applied"), [(100, 30, 30), (100, 300, 100), (-50, 30, 0), (0, 30, 0)])
def test_c3_never_more_of_the_balance_is_used_than_the_total(total: int, balance: int, applied: int) -> None:
    assert apply_credit(total, balance) == applied


def test_c3_the_oldest_credit_is_used_first() -> None:
    assert draw_credits([100, 50, 70], 120) == (100, 20, 0)
    with pytest.raises(ValueError, match="10 more"):
        draw_credits([100], 110)


def test_x1_tax_is_rounded_once_for_the_document_and_not_for_each_line() -> None:
    term = Term(START, datetime(2026, 2, 1, tzinfo=UTC))
    lines = [seat_line(LineKind.SEAT, tier, 1, 2, term=term, currency=EUR) for tier in PRICES]

    bill = make_bill(BillReason.START, lines, currency=EUR, tax_rate=Fraction(19, 100), credit_balance=0)

    # 19 % of 0.04 = 0.0076 → 0.01; by line it would be twice 0.0038 → 0.00
    assert (bill.subtotal, bill.tax, bill.total) == (4, 1, 5)
    assert bill.tax_formula == "19 % of €0.04 = €0.01"


@pytest.mark.parametrize(
    ("rate", "text"), [(Fraction(0), "0 %"), (Fraction(1, 5), "20 %"), (Fraction(21, 400), "5.25 %")]
)
def test_x1_the_tax_is_shown_as_a_sum(rate: Fraction, text: str) -> None:
    bill = replace(make_bill(BillReason.START, [], currency=EUR, tax_rate=rate, credit_balance=0), subtotal=100, tax=1)

    assert bill.tax_formula == f"{text} of €1.00 = €0.01"


def test_c2_a_document_below_zero_is_a_credit_note_that_goes_to_the_balance() -> None:
    term = Term(START, datetime(2026, 2, 1, tzinfo=UTC))
    line = seat_line(LineKind.SEAT_CREDIT, "standard", 2, 2_500, term=term, currency=EUR)

    bill = make_bill(BillReason.SEAT_CHANGE, [line], currency=EUR, tax_rate=Fraction(0), credit_balance=10)

    assert bill.type is BillType.CREDIT_NOTE
    assert (bill.total, bill.amount_due, bill.balance_change) == (-5_000, 0, 5_000)


def test_an_explained_bill_carries_its_arithmetic() -> None:
    bill = start(TEAM, {"standard": 3}, PRICES)
    assert bill is not None

    document = bill.to_json(START, explained=True)

    assert document["currency"] == "EUR"
    assert document["tax_formula"] == "0 % of €75.00 = €0.00"
    assert document["lines"] == [
        {
            "kind": "seat",
            "tier": "standard",
            "quantity": 3,
            "from": "2026-01-01T00:00:00Z",
            "to": "2026-02-01T00:00:00Z",
            "amount": 7_500,
            "unit_price": 2_500,
            "share": "1",
            "exact": "€75.00",
            "formula": "3 × €25.00 = €75.00",
            "sentence": "the whole period",
        }
    ]


def test_a_line_is_for_at_least_one_seat() -> None:
    term = Term(START, datetime(2026, 2, 1, tzinfo=UTC))

    with pytest.raises(ValueError, match="one seat or more"):
        seat_line(LineKind.SEAT, "standard", 0, 2_500, term=term, currency=EUR)


def test_the_defaults_of_each_kind_are_those_of_the_rules() -> None:
    assert (TEAM.cycle, TEAM.proration, TEAM.renewal_basis) == (
        Cycle.MONTH,
        ProrationMethod.SECOND,
        RenewalBasis.ALLOCATED,
    )
    assert (ENTERPRISE.cycle, ENTERPRISE.proration, ENTERPRISE.renewal_basis) == (
        Cycle.YEAR,
        ProrationMethod.MONTH_DAY,
        RenewalBasis.IN_USE,
    )


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda: replace(TEAM, anchor=START.replace(tzinfo=None)), "no time zone"),
        (lambda: replace(ENTERPRISE, cycle=Cycle.MONTH), "annual"),
        (lambda: replace(TEAM, tax_rate=Fraction(-1)), "tax rate"),
        (lambda: replace(TEAM, minimum_seats=-1), "minimum cannot be negative"),
        (lambda: replace(TEAM, contract_minimum={"standard": -1}), "minimum cannot be negative"),
        (lambda: replace(TEAM, contract_minimum={"gold": 1}), "names a tier"),
        (lambda: replace(TEAM, tiers=()), "own key"),
        (lambda: replace(TEAM, tiers=(Tier("a", "A"), Tier("a", "B"))), "own key"),
        (lambda: ContractState.opening(TEAM, {"gold": 1}, {}), "no tier gold"),
        (lambda: ContractState.opening(TEAM, {}, {"standard": -1}), "cannot be negative"),
        (lambda: ContractState.opening(TEAM, {}, {}, credit_balance=-1), "cannot be negative"),
        (lambda: SeatCount(-1, 0), "cannot be negative"),
    ],
)
def test_terms_and_states_that_cannot_be_are_refused(spoil: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        spoil()


def test_an_unknown_tier_has_no_name() -> None:
    assert TEAM.tier("premium").name == "Premium"
    with pytest.raises(KeyError):
        TEAM.tier("gold")


def test_r6_the_terms_number_the_period_of_an_instant() -> None:
    assert TEAM.index_at(datetime(2026, 2, 1, tzinfo=UTC)) == 1
