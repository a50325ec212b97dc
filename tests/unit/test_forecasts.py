"""Forecasting seats: the robust trend, when a tier is full, and what a renewal needs."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from bridge.domain.forecasts import full_at, needed_at, quantile, trend_of

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_steady_growth_is_the_trend() -> None:
    trend = trend_of([10, 12, 14, 16, 18])

    assert trend is not None
    assert [trend.low, trend.per_week, trend.high] == [Fraction(2)] * 3


def test_one_import_of_a_whole_company_does_not_bend_the_trend() -> None:
    # 1 a week for 12 weeks, and 500 at once in the third.
    levels = [week + (500 if week >= 3 else 0) for week in range(13)]

    trend = trend_of(levels)

    # 3 × 10 = 30 of 13 × 12 ÷ 2 = 78 slopes cross the import; the other 48 are 1.
    assert trend is not None
    assert [trend.low, trend.per_week] == [Fraction(1)] * 2


def test_people_who_come_every_other_week_count() -> None:
    trend = trend_of([0, 1, 1, 2, 2, 3, 3])

    # The median of the weekly changes would be 0 or 1; half a seat a week is what is needed.
    assert trend is not None
    assert trend.per_week == Fraction(1, 2)


def test_less_than_four_weeks_say_nothing() -> None:
    assert trend_of([1, 2, 3, 4]) is None
    assert trend_of([1, 2, 3, 4, 5]) is not None


def test_a_quantile_lies_between_two_values_in_proportion() -> None:
    values = [Fraction(number) for number in (1, 2, 4, 8)]

    # Of 3 steps a quarter is 0.75: from 1 three quarters of the way to 2; the half is 1.5: halfway from 2 to 4.
    assert [quantile(values, Fraction(share)) for share in ("1/4", "1/2", "1")] == [Fraction("7/4"), 3, 8]


def test_a_tier_is_full_when_the_need_meets_the_seats() -> None:
    # 6 seats are left, 1.5 go each week: 4 weeks.
    assert full_at(14, 20, Fraction(3, 2), NOW) == NOW + timedelta(weeks=4)
    assert full_at(20, 20, Fraction(0), NOW) == NOW
    assert full_at(14, 20, Fraction(0), NOW) is None
    assert full_at(14, 20, Fraction(-1), NOW) is None
    assert full_at(0, 1_000_000, Fraction(1, 1000), NOW) is None


def test_a_renewal_needs_whole_seats_and_never_less_than_none() -> None:
    then = NOW + timedelta(days=10)

    # 10 days are 10/7 weeks: 14 + 1.5 × 10/7 = 16.14 → 17; 14 − 20 × 10/7 is below 0.
    assert needed_at(14, Fraction(3, 2), NOW, then) == 17
    assert needed_at(14, Fraction(-20), NOW, then) == 0
    assert needed_at(14, Fraction(0), NOW, then) == 14
