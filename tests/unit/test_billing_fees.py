"""Contracts for a fixed annual fee: rules U4 to U7, with R2, R3, R5, R6, P6, X1 and C3 (docs/reference)."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.billing.rules.amendments import Amendment, agree_ahead, amend
from bridge.billing.rules.bills import Bill, BillReason, LineKind
from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.fee_terms import SCHEDULES, FeeDeal, FeeState, FeeTerms, Instalment, custom_schedule
from bridge.billing.rules.instalments import forecast, renew, split_fee, start
from bridge.billing.rules.money import Currency
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal

EUR = Currency("EUR")
START = datetime(2026, 1, 1, tzinfo=UTC)
GROWTH = FeeDeal(1_200_000, "growth", 3)


def terms(schedule: str = "annual", **facts: object) -> FeeTerms:
    return FeeTerms(anchor=START, currency=EUR, time_zone="UTC", schedule=SCHEDULES[schedule], **facts)  # type: ignore[arg-type] # the class checks its facts


def begin(deal: FeeDeal = GROWTH, schedule: str = "annual", **facts: object) -> FeeState:
    return start(terms(schedule, **facts), deal).next_state


def bills_of(state: FeeState, boundaries: int) -> list[tuple[datetime, int]]:
    """Pass boundaries and return when what was billed, the first instalment left out."""
    found = []
    for _ in range(boundaries):
        step = renew(state)
        state = step.next_state
        if step.bill is not None:
            found.append((state.period.start, step.bill.total))
    return found


def only_bill(bill: Bill | None) -> Bill:
    assert bill is not None
    return bill


def test_u4_quarters_add_up_and_the_spare_cents_go_to_the_first_ones() -> None:
    """10,000.02 ÷ 4 = 2,500.005: 250,000 cents each and 2 spare ones."""
    assert split_fee(1_000_002, [Fraction(1, 4)] * 4) == (250_001, 250_001, 250_000, 250_000)


def test_u4_months_add_up() -> None:
    """100.00 ÷ 12 = 8.33…: 833 cents each are 9,996; 4 are spare."""
    assert split_fee(10_000, [Fraction(1, 12)] * 12) == (834,) * 4 + (833,) * 8


def test_u4_shares_of_ones_own_add_up() -> None:
    """0.05 by halves and quarters: 2.5, 1.25 and 1.25 cents, so 2 + 1 + 1 and 1 spare."""
    assert split_fee(5, [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]) == (3, 1, 1)


def test_u4_quarters_are_due_every_three_months() -> None:
    state = begin(FeeDeal(1_000_002, "growth", 3), "quarterly")

    billed = bills_of(state, 3)

    assert billed == [
        (datetime(2026, 4, 1, tzinfo=UTC), 250_001),
        (datetime(2026, 7, 1, tzinfo=UTC), 250_000),
        (datetime(2026, 10, 1, tzinfo=UTC), 250_000),
    ]


def test_u4_an_instalment_covers_its_whole_contract_year_and_says_how_it_was_counted() -> None:
    line = only_bill(start(terms("quarterly"), FeeDeal(1_000_002, "growth", 3)).bill).lines[0]

    assert (line.kind, line.tier, line.quantity) == (LineKind.CONTRACT_INSTALMENT, "growth", 1)
    assert (line.start, line.end) == (START, datetime(2027, 1, 1, tzinfo=UTC))
    assert line.formula == "1 × €10,000.02 × 1/4 = €2,500.0050 → €2,500.01"
    assert line.share.sentence == (
        "instalment 1 of 4 of the contract year; 2 minor units that are spare go to the first 2 instalments"
    )


def test_u4_a_schedule_of_ones_own_is_billed_in_its_months() -> None:
    """30 % at once, 70 % at the beginning of month 8, which is 1 August."""
    own = replace(terms(), schedule=custom_schedule([(8, Fraction(7, 10)), (1, Fraction(3, 10))]))

    first = start(own, GROWTH)

    assert only_bill(first.bill).total == 360_000
    assert bills_of(first.next_state, 1) == [(datetime(2026, 8, 1, tzinfo=UTC), 840_000)]


def test_u4_nothing_is_billed_before_the_first_month_of_a_schedule() -> None:
    """Everything in month 7: the contract year begins on 1 January without an invoice."""
    late = replace(terms(term_years=2), schedule=custom_schedule([(7, Fraction(1))]))

    first = start(late, GROWTH)

    assert first.bill is None
    assert bills_of(first.next_state, 3) == [
        (datetime(2026, 7, 1, tzinfo=UTC), 1_200_000),
        (datetime(2027, 7, 1, tzinfo=UTC), 1_200_000),
    ]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([], "months 1 to 12"),
        ([(0, Fraction(1))], "months 1 to 12"),
        ([(13, Fraction(1))], "months 1 to 12"),
        ([(1, Fraction(1, 2)), (1, Fraction(1, 2))], "each month once"),
        ([(1, Fraction(2)), (2, Fraction(-1))], "above 0"),
        ([(1, Fraction(333, 1000)), (2, Fraction(333, 1000)), (3, Fraction(333, 1000))], "add up to 999/1000"),
    ],
)
def test_u4_a_schedule_that_does_not_add_up_is_none(parts: list[tuple[int, Fraction]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        custom_schedule(parts)


def test_u5_a_term_of_three_years_bills_each_year_and_ends() -> None:
    state = begin(term_years=3)

    steps = [renew(state)]
    for _ in range(2):
        steps.append(renew(steps[-1].next_state))

    assert [step.bill and step.bill.total for step in steps] == [1_200_000, 1_200_000, None]
    assert [step.ended for step in steps] == [False, False, True]
    assert [step.new_term for step in steps] == [False, False, False]


def test_u6_the_discount_is_applied_to_the_fee_once_then_rounded() -> None:
    """999.99 less 12.5 % = 874.99125 → 874.99; by quarters 218.7475, so 21,874 cents each and 3 spare ones.

    Discounting each quarter (249.9975 × 0.875 = 218.7478… → 218.75) would come to 875.00.
    """
    state = begin(FeeDeal(99_999, "growth", 3), "quarterly", discount=Fraction(1, 8))

    first = only_bill(start(state.terms, state.deal).bill)

    assert state.deal.fee(state.terms) == 87_499
    assert first.lines[0].share.sentence.startswith(
        "instalment 1 of 4 of the contract year; the annual fee of €999.99 less 12.5 %, rounded once"
    )
    assert [first.total, *(total for _, total in bills_of(state, 3))] == [21_875, 21_875, 21_875, 21_874]


def test_u7_a_higher_fee_costs_the_difference_for_the_rest_of_the_contract_year() -> None:
    """6,000.00 × (9 months + 17/31) ÷ 12 = 4,774.1935… → 4,774.19."""
    quote = amend(begin(), Amendment(1_800_000, "scale", 50), datetime(2026, 3, 15, tzinfo=UTC))

    bill = only_bill(quote.bill)
    line = bill.lines[0]
    assert (bill.reason, line.kind, line.tier, line.amount) == (
        BillReason.AMENDMENT,
        LineKind.CONTRACT_AMENDMENT,
        "scale",
        477_419,
    )
    assert (line.start, line.end) == (datetime(2026, 3, 15, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert line.formula == "(€18,000.00 − €12,000.00) × (9 + 17/31) ÷ 12 = €4,774.1935… → €4,774.19"
    assert quote.sentences == (
        "The fee rises from €12,000.00 to €18,000.00 a contract year.",
        f"The difference is charged at once for April to December (9 months), and 17 of 31 March days: {line.formula}.",
        "The tier is scale with 50 paid users from now on, instead of growth with 3.",
        "The contract ends on 1 January 2027: it does not renew by itself.",
    )


def test_u7_instalments_of_the_year_stay_and_later_years_count_the_new_fee() -> None:
    state = begin(schedule="quarterly", term_years=2)
    amended = amend(state, Amendment(annual_fee=2_400_000), datetime(2026, 2, 1, tzinfo=UTC)).next_state

    billed = bills_of(amended, 7)

    # 12,000.00 ÷ 4 = 3,000.00 for the rest of the first year, 24,000.00 ÷ 4 = 6,000.00 in the second
    assert [total for _, total in billed] == [300_000] * 3 + [600_000] * 4


def test_u7_two_amendments_of_one_year_each_cost_their_own_difference() -> None:
    """At the half of the year: (18,000 − 12,000) × 6/12 = 3,000.00, then (20,000 − 18,000) × 6/12 = 1,000.00."""
    july = datetime(2026, 7, 1, tzinfo=UTC)
    first = amend(begin(), Amendment(annual_fee=1_800_000), july)

    second = amend(first.next_state, Amendment(annual_fee=2_000_000), july)

    assert (only_bill(first.bill).total, only_bill(second.bill).total) == (300_000, 100_000)


def test_u7_the_discount_counts_for_the_new_fee_too() -> None:
    """10 %: (18,000 − 12,000) × 0.9 × 6/12 = 2,700.00."""
    state = begin(discount=Fraction(1, 10))

    quote = amend(state, Amendment(annual_fee=1_800_000), datetime(2026, 7, 1, tzinfo=UTC))

    assert only_bill(quote.bill).total == 270_000


def test_u7_the_same_fee_with_another_tier_or_number_of_users_costs_nothing() -> None:
    quote = amend(begin(), Amendment(tier="scale", paid_users=2), datetime(2026, 3, 15, tzinfo=UTC))

    assert quote.bill is None
    assert quote.next_state.deal == FeeDeal(1_200_000, "scale", 2)
    assert quote.sentences[0] == "The fee stays €12,000.00 a contract year: nothing is charged."


def test_u7_a_lower_fee_waits_for_the_end_of_the_whole_term() -> None:
    with pytest.raises(RuleRefusal) as refusal:
        amend(begin(term_years=3), Amendment(annual_fee=1_199_999), datetime(2026, 3, 15, tzinfo=UTC))

    assert refusal.value.code is RefusalCode.REDUCTION_NOT_ALLOWED
    assert refusal.value.fields["term_end"] == datetime(2029, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "wanted",
    [
        Amendment(),
        Amendment(1_200_000, "growth", 3),
        Amendment(annual_fee=-1),
        Amendment(annual_fee=10**16),
        Amendment(paid_users=-1),
        Amendment(tier=" "),
        Amendment(tier="x" * 65),
    ],
)
def test_u7_an_amendment_that_changes_nothing_or_makes_no_sense_is_refused(wanted: Amendment) -> None:
    with pytest.raises(RuleRefusal) as refusal:
        amend(begin(), wanted, datetime(2026, 3, 15, tzinfo=UTC))

    assert refusal.value.code is RefusalCode.INVALID_CHANGE


def test_r2_boundaries_are_computed_from_the_start_and_never_drift() -> None:
    """A contract of 31 January, by quarters: 30 April, 31 July, 31 October, 31 January."""
    anchor = datetime(2026, 1, 31, 12, tzinfo=UTC)
    own = replace(terms("quarterly", term_years=2), anchor=anchor)

    days = [(own.period(index).start.month, own.period(index).start.day) for index in range(5)]

    assert days == [(1, 31), (4, 30), (7, 31), (10, 31), (1, 31)]


def test_r2_a_contract_of_29_february_keeps_its_day() -> None:
    own = replace(terms(term_years=5), anchor=datetime(2024, 2, 29, tzinfo=UTC))

    days = [(own.year(number).start.month, own.year(number).start.day) for number in range(5)]

    assert days == [(2, 29), (2, 28), (2, 28), (2, 28), (2, 29)]


def test_r3_boundaries_keep_the_wall_clock_of_the_account() -> None:
    """Midnight in Oslo is 23:00 UTC in winter and 22:00 UTC in summer."""
    anchor = datetime(2025, 12, 31, 23, tzinfo=UTC)
    oslo = FeeTerms(anchor=anchor, currency=EUR, time_zone="Europe/Oslo", schedule=SCHEDULES["quarterly"])

    assert [oslo.period(index).start for index in range(1, 4)] == [
        datetime(2026, 3, 31, 22, tzinfo=UTC),
        datetime(2026, 6, 30, 22, tzinfo=UTC),
        datetime(2026, 9, 30, 22, tzinfo=UTC),
    ]


def test_r5_without_renewal_the_end_of_the_term_ends_the_plan() -> None:
    step = renew(begin())

    assert (step.ended, step.bill, step.next_state.status) == (True, None, ContractStatus.ENDED)
    for act in (renew, lambda ended: amend(ended, Amendment(tier="max"), START)):
        with pytest.raises(RuleRefusal) as refusal:
            act(step.next_state)
        assert refusal.value.code is RefusalCode.PLAN_ENDED


def test_r5_with_renewal_the_next_term_begins_and_is_billed() -> None:
    step = renew(begin(auto_renew=True))

    assert (step.ended, step.new_term, only_bill(step.bill).total) == (False, True, 1_200_000)
    assert step.next_state.terms.whole_term(step.next_state.index).end == datetime(2028, 1, 1, tzinfo=UTC)


def test_r6_an_amendment_at_a_boundary_waits_for_it() -> None:
    with pytest.raises(ValueError, match="is not in the period"):
        amend(begin(auto_renew=True), Amendment(annual_fee=1_800_000), datetime(2027, 1, 1, tzinfo=UTC))


def test_x1_and_c3_tax_is_on_the_total_and_the_balance_is_used_before_money() -> None:
    """12,000.00 + 25 % = 15,000.00, of which 500.00 come from the balance."""
    state = replace(begin(auto_renew=True, tax_rate=Fraction(1, 4)), credit_balance=50_000)

    step = renew(state)

    bill = only_bill(step.bill)
    assert (bill.subtotal, bill.tax, bill.credit_applied, bill.amount_due) == (1_200_000, 300_000, 50_000, 1_450_000)
    assert step.next_state.credit_balance == 0


def test_the_forecast_is_the_next_instalment_even_over_a_boundary_without_one() -> None:
    late = replace(terms(), schedule=custom_schedule([(7, Fraction(1))]))

    step = forecast(start(late, GROWTH).next_state)

    assert step is not None
    assert (step.next_state.period.start, only_bill(step.bill).total) == (datetime(2026, 7, 1, tzinfo=UTC), 1_200_000)
    assert forecast(step.next_state) is None


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"term_years": 0}, "1 to 30 years"),
        ({"term_years": 31}, "1 to 30 years"),
        ({"discount": Fraction(1)}, "less than 1"),
        ({"discount": Fraction(-1)}, "less than 1"),
        ({"tax_rate": Fraction(-1)}, "tax rate"),
    ],
)
def test_terms_that_are_not_possible_are_refused(facts: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        terms("annual", **facts)


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        replace(terms(), anchor=datetime(2026, 1, 1))  # noqa: DTZ001 (a naive one is what is refused)


schedules = st.one_of(
    st.sampled_from(list(SCHEDULES.values())),
    st.dictionaries(st.integers(1, 12), st.integers(1, 1000), min_size=1).map(
        lambda weights: custom_schedule(
            (month, Fraction(weight, sum(weights.values()))) for month, weight in weights.items()
        )
    ),
)


@given(fee=st.integers(0, 10**15), schedule=schedules)
def test_u4_the_instalments_of_any_schedule_add_up_to_the_fee(fee: int, schedule: tuple[Instalment, ...]) -> None:
    shares = [one.share for one in schedule]

    parts = split_fee(fee, shares)

    assert sum(parts) == fee
    assert all(0 <= part - (fee * share).__floor__() <= 1 for part, share in zip(parts, shares, strict=True))


@given(
    fee=st.integers(0, 10**9),
    rise=st.integers(0, 10**9),
    discount=st.fractions(0, Fraction(99, 100), max_denominator=1000),
    schedule=schedules,
    day=st.integers(0, 364),
    years=st.integers(1, 3),
)
def test_u4_to_u7_every_year_bills_its_own_fee_and_an_amendment_never_more_than_the_rise(  # noqa: PLR0917 (one example)
    fee: int, rise: int, discount: Fraction, schedule: tuple[Instalment, ...], day: int, years: int
) -> None:
    own = replace(terms(term_years=years, discount=discount), schedule=schedule)
    at = datetime.fromordinal(START.toordinal() + day).replace(tzinfo=UTC)
    step = start(own, FeeDeal(fee, "growth", 3))
    by_year = {0: step.bill.subtotal if step.bill else 0}
    charged, state, amended = 0, step.next_state, False
    while state.status is ContractStatus.ACTIVE:
        if not amended and at in state.period and rise:
            quote = amend(state, Amendment(annual_fee=fee + rise), at)
            charged, state, amended = quote.bill.subtotal if quote.bill else 0, quote.next_state, True
        step = renew(state)
        state = step.next_state
        year = own.year_of(state.index)
        by_year[year] = by_year.get(year, 0) + (step.bill.subtotal if step.bill else 0)

    old, new = FeeDeal(fee, "growth", 3).fee(own), FeeDeal(fee + rise, "growth", 3).fee(own)

    assert by_year == {0: old, **dict.fromkeys(range(1, years), new)}
    assert 0 <= charged <= new - old


def test_u7_a_lower_fee_agreed_ahead_counts_from_the_next_term_and_not_from_the_next_year() -> None:
    """Two years at 12,000.00 each, then 9,000.00: nothing is charged or given back before."""
    state = begin(term_years=2, auto_renew=True)

    quote = agree_ahead(state, Amendment(annual_fee=900_000), START)

    assert (quote.bill, quote.effective) == (None, datetime(2028, 1, 1, tzinfo=UTC))
    assert bills_of(quote.next_state, 3) == [
        (datetime(2027, 1, 1, tzinfo=UTC), 1_200_000),
        (datetime(2028, 1, 1, tzinfo=UTC), 900_000),
        (datetime(2029, 1, 1, tzinfo=UTC), 900_000),
    ]


def test_u7_no_fee_is_agreed_for_a_term_that_does_not_follow() -> None:
    with pytest.raises(RuleRefusal) as refusal:
        agree_ahead(begin(), Amendment(annual_fee=900_000), START)

    assert refusal.value.code is RefusalCode.INVALID_CHANGE


def test_u7_the_forecast_shows_what_was_agreed_ahead() -> None:
    state = agree_ahead(begin(auto_renew=True), Amendment(annual_fee=900_000, tier="starter"), START).next_state

    step = forecast(state)

    assert step is not None
    assert (only_bill(step.bill).total, step.next_state.deal.tier, step.next_state.next_deal) == (
        900_000,
        "starter",
        None,
    )
