"""Shares of a period: the fraction, the arithmetic and the words."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from bridge.billing.rules.proration import ProrationMethod, Share, share
from bridge.billing.rules.terms import Cycle, index_at, term_at


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rest(
    at: str,
    method: ProrationMethod,
    *,
    start: str = "2026-01-01T00:00",
    cycle: Cycle = Cycle.YEAR,
    zone: str = "UTC",
) -> Share:
    anchor, instant = utc(start), utc(at)
    term = term_at(anchor, zone, cycle, index_at(anchor, zone, cycle, instant))
    return share(term, instant, method, zone, anchor)


def test_p4_a_second_share_is_whole_seconds_left_of_whole_seconds() -> None:
    part = rest("2026-01-16T12:00", ProrationMethod.SECOND, cycle=Cycle.MONTH)

    # 15.5 days × 86,400 = 1,339,200 of 31 × 86,400 = 2,678,400
    assert part == Share(
        fraction=Fraction(1, 2),
        sentence="1,339,200 of 2,678,400 seconds (15 days 12 hours of 31 days)",
        formula="1,339,200 s ÷ 2,678,400 s",
    )


def test_p4_a_change_within_a_second_counts_from_the_begin_of_that_second() -> None:
    part = rest("2026-01-16T12:00:00.999", ProrationMethod.SECOND, cycle=Cycle.MONTH)

    assert part.fraction == Fraction(1, 2)


def test_p5_a_day_share_includes_the_day_of_the_change() -> None:
    part = rest("2026-01-16T23:59:59", ProrationMethod.DAY, cycle=Cycle.MONTH)

    assert part == Share(
        fraction=Fraction(16, 31),  # 16 to 31 January
        sentence="16 of 31 days, 16 January 2026 to 31 January 2026, both included",
        formula="16/31 days",
    )


def test_p5_days_are_those_of_the_accounts_time_zone() -> None:
    # 23:30Z on the 15th is already 16 January, 00:30, in Amsterdam; the plan starts there at midnight.
    part = rest(
        "2026-01-15T23:30",
        ProrationMethod.DAY,
        start="2025-12-31T23:00",
        cycle=Cycle.MONTH,
        zone="Europe/Amsterdam",
    )

    assert part.fraction == Fraction(16, 31)


def test_p5_a_month_in_which_the_clocks_change_has_its_calendar_days() -> None:
    part = rest(
        "2026-03-30T12:00",
        ProrationMethod.DAY,
        start="2026-02-28T23:00",
        cycle=Cycle.MONTH,
        zone="Europe/Amsterdam",
    )

    assert part.fraction == Fraction(2, 31)  # 30 and 31 March


def test_p5_the_last_hours_of_a_period_that_ends_within_a_day_count_as_one_day() -> None:
    part = rest("2026-02-28T09:00", ProrationMethod.DAY, start="2026-01-31T10:00", cycle=Cycle.MONTH)

    assert part.fraction == Fraction(1, 28)


@pytest.mark.parametrize("year", [2023, 2024, 2026, 2100])
def test_p8_first_of_march_gives_ten_twelfths_in_every_year(year: int) -> None:
    part = rest(f"{year}-03-01T00:00", ProrationMethod.MONTH_DAY, start=f"{year}-01-01T00:00")

    assert part == Share(Fraction(10, 12), "March to December (10 months)", "10/12")


def test_p8_whole_months_and_the_days_left_of_the_current_one_are_counted() -> None:
    part = rest("2026-11-21T10:45", ProrationMethod.MONTH_DAY)

    # 21 to 30 November are 10 days, December is one month: (1 + 10/30) ÷ 12 = 1/9
    assert part == Share(Fraction(1, 9), "December, and 10 of 30 November days", "(1 + 10/30) ÷ 12")


def test_p8_two_whole_months_are_both_named() -> None:
    part = rest("2026-10-04T14:20", ProrationMethod.MONTH_DAY)

    assert part == Share(
        fraction=Fraction(90, 372),  # (2 + 28/31) ÷ 12 = 90/31 ÷ 12
        sentence="November and December, and 28 of 31 October days",
        formula="(2 + 28/31) ÷ 12",
    )


def test_p8_within_the_last_month_only_days_are_counted() -> None:
    part = rest("2026-12-31T23:59:59", ProrationMethod.MONTH_DAY)

    assert part == Share(Fraction(1, 372), "1 of 31 December days", "1/31 ÷ 12")


def test_p8_on_the_first_day_the_whole_term_is_counted() -> None:
    part = rest("2026-01-01T23:00", ProrationMethod.MONTH_DAY)

    assert part == Share(Fraction(1), "January to December (12 months)", "12/12")


def test_p8_term_months_are_cut_at_the_terms_start_day() -> None:
    part = rest("2026-04-12T08:00", ProrationMethod.MONTH_DAY, start="2026-01-15T08:00")

    # Months run from the 15th: 15 April to 14 January are 9; 12, 13 and 14 April are 3 of the 31 days before.
    assert part == Share(
        fraction=(9 + Fraction(3, 31)) / 12,
        sentence="9 whole months from 15 April 2026, and 3 of the 31 days of the month from 15 March 2026",
        formula="(9 + 3/31) ÷ 12",
    )


def test_p8_term_months_of_a_plan_of_the_31st_are_clipped_like_its_terms() -> None:
    part = rest("2026-02-28T00:00", ProrationMethod.MONTH_DAY, start="2026-01-31T00:00")

    assert part.fraction == Fraction(11, 12)  # 28 February begins the second of twelve
    assert part.sentence == "11 whole months from 28 February 2026"


def test_p8_days_are_those_of_the_accounts_time_zone() -> None:
    part = rest(
        "2026-02-28T23:30",  # 1 March, 00:30, in Amsterdam
        ProrationMethod.MONTH_DAY,
        start="2025-12-31T23:00",
        zone="Europe/Amsterdam",
    )

    assert part.fraction == Fraction(10, 12)


def test_p8_a_monthly_period_has_no_twelfths() -> None:
    part = rest("2026-11-21T10:45", ProrationMethod.MONTH_DAY, cycle=Cycle.MONTH)
    whole = rest("2026-11-01T10:45", ProrationMethod.MONTH_DAY, cycle=Cycle.MONTH)

    assert part == Share(Fraction(10, 30), "10 of 30 November days", "10/30")
    assert whole == Share(Fraction(1), "November", "1")


def test_p8_the_last_hours_of_a_term_that_ends_within_a_day_count_as_one_day() -> None:
    part = rest("2027-01-15T07:00", ProrationMethod.MONTH_DAY, start="2026-01-15T08:00")

    assert part.fraction == Fraction(1, 372)


def test_p8_option_month_counts_the_started_month_whole() -> None:
    part = rest("2026-11-21T10:45", ProrationMethod.MONTH)
    monthly = rest("2026-11-21T10:45", ProrationMethod.MONTH, cycle=Cycle.MONTH)

    assert part == Share(Fraction(2, 12), "2 of 12 months, the started one counted whole", "2/12")
    assert monthly.fraction == 1


def test_p8_option_day_counts_306_of_365_days_from_1_march() -> None:
    part = rest("2026-03-01T00:00", ProrationMethod.DAY)

    assert part.fraction == Fraction(306, 365)


@pytest.mark.parametrize("at", ["2025-12-31T23:59:59", "2027-01-01T00:00"])
def test_r6_an_instant_outside_the_period_has_no_share(at: str) -> None:
    anchor = utc("2026-01-01T00:00")
    term = term_at(anchor, "UTC", Cycle.YEAR, 0)

    with pytest.raises(ValueError, match="not in the period"):
        share(term, utc(at), ProrationMethod.SECOND, "UTC", anchor)
