"""What holds for every plan, instant and number of seats."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.billing.rules.bills import Line, apply_credit, draw_credits
from bridge.billing.rules.charges import change_seats, exchange, upgrade
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    Reduction,
    SeatCount,
    contract_terms,
)
from bridge.billing.rules.money import Currency, format_exact, format_money, round_half_away, to_minor
from bridge.billing.rules.periods import renew
from bridge.billing.rules.proration import ProrationMethod
from bridge.billing.rules.refusals import RuleRefusal
from bridge.billing.rules.terms import Cycle, index_at, term_at

ZONES = ("UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")
CURRENCIES = [Currency(code) for code in ("EUR", "SEK", "JPY", "KWD")]

instants = st.datetimes(datetime(2012, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis takes bounds without a zone
seat_numbers = st.integers(0, 500)
prices = st.integers(0, 10_000_000)


@st.composite
def moments(draw: st.DrawFn, *, only_team: bool = False, seats_from: int = 0) -> tuple[ContractState, datetime]:
    """A plan in one of its periods, and an instant of that period."""
    kind = ContractKind.TEAM if only_team else draw(st.sampled_from(ContractKind))
    terms = contract_terms(
        kind,
        anchor=draw(instants),
        currency=draw(st.sampled_from(CURRENCIES)),
        cycle=draw(st.sampled_from(Cycle)) if kind is ContractKind.TEAM else None,
        time_zone=draw(st.sampled_from(ZONES)),
        tax_rate=Fraction(draw(st.integers(0, 2_500)), 10_000),
        proration=draw(st.sampled_from(ProrationMethod)),
        reduction=draw(st.sampled_from(Reduction)),
    )
    seats = {"standard": draw(st.integers(seats_from, 500)), "premium": draw(seat_numbers)}
    state = ContractState.opening(
        terms, seats, {"standard": draw(prices), "premium": draw(prices)}, draw(st.integers(0, 100_000))
    )
    state = replace(state, period_index=draw(st.integers(0, 24)))
    term = state.term
    return state, term.start + timedelta(seconds=draw(st.integers(0, term.seconds - 1)))


def evaluated(line: Line, currency: Currency) -> Fraction:
    """Compute the left side of a line's formula from nothing but its text, in minor units."""
    text = line.formula.split(" = ")[0].replace("−", "-").replace(",", "")
    text = re.sub(r"[€¥]| (SEK|KWD|s|days)\b", "", text).replace("×", "*").replace("÷", "/")
    text = re.sub(r"\d+(\.\d+)?", lambda number: f"Fraction('{number[0]}')", text)
    value = eval(text, {"__builtins__": {}, "Fraction": Fraction})  # noqa: S307  # our own formula, numbers only
    assert isinstance(value, Fraction)
    return value * Fraction(10) ** currency.digits


@given(moments())
def test_a_share_is_above_zero_and_at_most_one(moment: tuple[ContractState, datetime]) -> None:
    state, at = moment

    share = state.terms.share(state.period_index, at)

    assert 0 < share.fraction <= 1


@given(moments(), st.integers(0, 40_000_000))
def test_a_later_change_never_has_a_larger_share(moment: tuple[ContractState, datetime], seconds: int) -> None:
    state, at = moment
    later = min(at + timedelta(seconds=seconds), state.term.end - timedelta(seconds=1))

    earlier_share, later_share = (state.terms.share(state.period_index, instant).fraction for instant in (at, later))

    assert later_share <= earlier_share


@given(moments(), st.integers(1, 100), st.integers(0, 100))
def test_added_seats_never_cost_more_than_the_full_price(
    moment: tuple[ContractState, datetime], standard: int, premium: int
) -> None:
    state, at = moment

    quote = change_seats(state, {"standard": standard, "premium": premium}, at, {})

    assert quote.bill is not None
    for line in quote.bill.lines:
        assert 0 <= line.amount <= line.quantity * state.prices[line.tier]


@given(moments(), st.integers(1, 100), st.integers(1, 100))
def test_the_numbers_of_a_formula_evaluate_to_the_exact_value_and_its_amount(
    moment: tuple[ContractState, datetime], standard: int, premium: int
) -> None:
    state, at = moment
    currency = state.terms.currency

    quote = change_seats(state, {"standard": standard, "premium": premium}, at, {})

    assert quote.bill is not None
    for line in quote.bill.lines:
        assert evaluated(line, currency) == line.exact
        assert round_half_away(line.exact) == line.amount
        assert line.formula.endswith(format_money(line.amount, currency))


@given(moments(only_team=True, seats_from=1))
def test_an_exchange_costs_its_two_lines_and_keeps_the_number_of_seats(
    moment: tuple[ContractState, datetime],
) -> None:
    state, at = moment

    quote = exchange(state, "standard", "premium", at, {"standard": 1})

    bill = quote.bill
    assert bill is not None
    credit, charge = bill.lines
    difference = charge.exact + credit.exact
    assert bill.subtotal == credit.amount + charge.amount
    assert abs(bill.subtotal - difference) <= 1  # two lines, each rounded by half a unit at most
    assert evaluated(credit, state.terms.currency) == credit.exact
    assert sum(seats.paid for seats in quote.next_state.seats.values()) == sum(
        seats.paid for seats in state.seats.values()
    )


@given(moments(only_team=True, seats_from=1), st.data())
def test_seats_reduced_and_then_taken_back_cost_nothing(
    moment: tuple[ContractState, datetime], data: st.DataObject
) -> None:
    state, at = moment
    state = replace(state, terms=replace(state.terms, reduction=Reduction.AT_RENEWAL))
    dropped = data.draw(st.integers(1, state.seats["standard"].next))
    taken_back = data.draw(st.integers(1, dropped))
    reduced = change_seats(state, {"standard": -dropped}, at, {}).next_state

    quote = change_seats(reduced, {"standard": taken_back}, at, {})

    assert quote.bill is None
    assert quote.next_state.credit_balance == state.credit_balance
    assert quote.next_state.seats["standard"] == SeatCount(
        state.seats["standard"].paid, state.seats["standard"].paid - dropped + taken_back
    )


@given(moments(only_team=True), st.integers(1, 500))
def test_buying_and_giving_back_at_once_with_immediate_credit_costs_nothing(
    moment: tuple[ContractState, datetime], number: int
) -> None:
    state, at = moment
    state = replace(state, terms=replace(state.terms, reduction=Reduction.IMMEDIATE_CREDIT))

    bought = change_seats(state, {"premium": number}, at, {})
    returned = change_seats(bought.next_state, {"premium": -number}, at, {})

    assert bought.bill is not None
    assert returned.bill is not None
    assert bought.bill.total + returned.bill.total == 0
    assert returned.next_state.seats == state.seats


@given(moments(), st.integers(-500, 500), st.integers(-500, 500), seat_numbers, seat_numbers)
def test_what_is_assigned_stays_assignable_after_every_accepted_change(
    moment: tuple[ContractState, datetime], standard: int, premium: int, used: int, used_premium: int
) -> None:
    state, at = moment
    in_use = {
        "standard": min(used, state.seats["standard"].paid),
        "premium": min(used_premium, state.seats["premium"].paid),
    }

    try:
        quote = change_seats(state, {"standard": standard, "premium": premium}, at, in_use)
    except RuleRefusal:
        return

    assert all(quote.next_state.seats[tier].assignable >= count for tier, count in in_use.items())
    assert all(seats.next <= seats.paid for seats in quote.next_state.seats.values())


@given(moments(), st.integers(0, 100), st.integers(0, 100))
def test_the_forecast_of_a_quote_is_what_the_renewal_bills(
    moment: tuple[ContractState, datetime], standard: int, premium: int
) -> None:
    state, at = moment
    assume(standard or premium)
    in_use = {tier: seats.paid for tier, seats in state.seats.items()}
    quote = change_seats(state, {"standard": standard, "premium": premium}, at, in_use)

    renewal = renew(quote.next_state, in_use)

    assert (renewal.bill.subtotal if renewal.bill else 0) == quote.next_renewal_subtotal


@given(moments())
def test_a_bill_adds_up_and_the_balance_follows_it(moment: tuple[ContractState, datetime]) -> None:
    state, at = moment
    holder = "standard" if state.seats["standard"].paid else None

    quote = upgrade(state, holder, "premium", at, {})

    bill = quote.bill
    assert bill is not None
    assert bill.subtotal == sum(line.amount for line in bill.lines)
    assert bill.total == bill.subtotal + bill.tax
    assert max(bill.total, 0) == bill.credit_applied + bill.amount_due
    assert quote.next_state.credit_balance == state.credit_balance + bill.balance_change
    assert quote.next_state.credit_balance >= 0


@given(instants, st.sampled_from(ZONES), st.sampled_from(Cycle), st.integers(0, 200))
def test_periods_follow_each_other_without_a_gap_and_without_drift(
    anchor: datetime, zone: str, cycle: Cycle, index: int
) -> None:
    term, following = (term_at(anchor, zone, cycle, number) for number in (index, index + 1))

    assert term.end == following.start
    # Clipping and clock changes move a boundary by at most 3 days and the odd hour; drift would add up.
    expected = anchor + timedelta(days=index * cycle.months * 30.436875)
    assert abs(term.start - expected) <= timedelta(days=4)


@given(instants, st.sampled_from(ZONES), st.sampled_from(Cycle), st.integers(0, 40 * 366 * 86_400))
def test_every_instant_belongs_to_exactly_one_period(anchor: datetime, zone: str, cycle: Cycle, seconds: int) -> None:
    instant = anchor.replace(microsecond=0) + timedelta(seconds=seconds)

    index = index_at(anchor, zone, cycle, instant)

    assert instant in term_at(anchor, zone, cycle, index)
    assert instant not in term_at(anchor, zone, cycle, index + 1)
    assert index == 0 or instant not in term_at(anchor, zone, cycle, index - 1)


@given(st.integers(1980, 2100), st.sampled_from(ZONES))
def test_p8_first_of_march_is_ten_twelfths_in_every_year(year: int, zone: str) -> None:
    terms = contract_terms(
        ContractKind.ENTERPRISE, anchor=datetime(year, 1, 1, 12, tzinfo=UTC), currency=Currency("EUR")
    )
    share = replace(terms, time_zone=zone).share(0, datetime(year, 3, 1, 12, tzinfo=UTC))

    assert share.fraction == Fraction(10, 12)


@given(st.fractions(max_denominator=10_000))
def test_p6_rounding_is_to_the_nearest_and_away_from_zero_on_a_tie(value: Fraction) -> None:
    rounded = round_half_away(value)

    assert abs(rounded - value) <= Fraction(1, 2)
    assert rounded == -round_half_away(-value)
    if abs(rounded - value) == Fraction(1, 2):
        assert abs(rounded) > abs(value)


@given(st.fractions(max_denominator=10**9), st.sampled_from(CURRENCIES))
def test_p6_the_exact_value_shown_rounds_to_the_same_amount(value: Fraction, currency: Currency) -> None:
    shown = re.sub(r"[^0-9.−]", "", format_exact(value, currency)).replace("−", "-")

    assert round_half_away(Fraction(shown) * 10**currency.digits) == round_half_away(value)


@given(st.integers(-(10**12), 10**12), st.sampled_from(CURRENCIES))
def test_money_written_and_read_again_is_the_same(minor: int, currency: Currency) -> None:
    text = re.sub(r"[^0-9.−]", "", format_money(minor, currency)).replace("−", "-")

    assert to_minor(text, currency) == minor


@given(st.lists(st.integers(0, 1_000)), st.integers(-1_000, 5_000))
def test_c3_what_is_applied_is_drawn_from_the_credits_oldest_first(credits_left: list[int], total: int) -> None:
    applied = apply_credit(total, sum(credits_left))

    drawn = draw_credits(credits_left, applied)

    assert sum(drawn) == applied
    assert all(taken <= left for taken, left in zip(drawn, credits_left, strict=True))
    touched = [number for number, taken in enumerate(drawn) if taken]
    assert all(drawn[number] == credits_left[number] for number in range(max(touched, default=0)))
