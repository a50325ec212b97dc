"""Periods: their boundaries, the wall clock and short months."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfoNotFoundError

import pytest

from bridge.billing.rules.terms import Cycle, Term, index_at, term_at


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_r2_a_plan_of_the_31st_is_clipped_to_short_months_and_never_drifts() -> None:
    anchor = utc("2026-01-31T10:00")

    starts = [term_at(anchor, "UTC", Cycle.MONTH, index).start for index in range(5)]

    assert [start.day for start in starts] == [31, 28, 31, 30, 31]
    assert {start.hour for start in starts} == {10}


def test_r2_case_x11_a_plan_of_29_february_renews_on_the_28th_and_returns_to_the_29th() -> None:
    anchor = utc("2024-02-29T00:00")

    starts = [term_at(anchor, "UTC", Cycle.YEAR, index).start for index in range(5)]

    assert [f"{start:%m-%d}" for start in starts] == ["02-29", "02-28", "02-28", "02-28", "02-29"]


def test_r3_case_x11_a_boundary_keeps_the_wall_clock_when_the_clocks_go_forward() -> None:
    anchor = utc("2026-02-28T23:00")  # 1 March 00:00 in Amsterdam, UTC+1

    march = term_at(anchor, "Europe/Amsterdam", Cycle.MONTH, 0)

    assert march.end == utc("2026-03-31T22:00")  # 1 April 00:00, UTC+2
    assert march.seconds == 31 * 86_400 - 3_600


def test_r3_a_wall_time_that_does_not_exist_moves_forward_by_the_gap() -> None:
    anchor = utc("2026-02-28T01:30")  # 02:30 in Amsterdam

    term = term_at(anchor, "Europe/Amsterdam", Cycle.MONTH, 1)

    assert term.start == utc("2026-03-28T01:30")
    gap = term_at(utc("2026-01-29T01:30"), "Europe/Amsterdam", Cycle.MONTH, 2)
    assert gap.start == utc("2026-03-29T01:30")  # 02:30 is skipped: 03:30 summer time, UTC+2
    assert gap.end == utc("2026-04-29T00:30")  # 02:30 again


def test_r3_case_x11_a_wall_time_that_comes_twice_means_the_first_of_the_two() -> None:
    anchor = utc("2026-09-25T00:30")  # 02:30 in Amsterdam, UTC+2

    term = term_at(anchor, "Europe/Amsterdam", Cycle.MONTH, 1)

    assert term.start == utc("2026-10-25T00:30")  # still UTC+2; 02:30 comes again at 01:30Z
    assert term.end == utc("2026-11-25T01:30")


def test_r3_a_plan_that_starts_in_the_repeated_hour_starts_at_that_very_instant() -> None:
    anchor = utc("2026-10-25T01:30")  # the second 02:30 in Amsterdam

    term = term_at(anchor, "Europe/Amsterdam", Cycle.YEAR, 0)

    assert term.start == anchor


def test_r3_a_later_boundary_in_the_repeated_hour_means_the_first_even_if_the_plan_started_in_the_second() -> None:
    anchor = utc("2020-10-25T01:30")  # the second 02:30 in Amsterdam

    term = term_at(anchor, "Europe/Amsterdam", Cycle.YEAR, 6)

    assert term.start == utc("2026-10-25T00:30")  # the first 02:30 of that night


def test_r3_a_start_just_before_midnight_utc_belongs_to_the_next_day_of_the_account() -> None:
    anchor = utc("2026-01-30T23:30")  # 31 January 00:30 in Amsterdam

    term = term_at(anchor, "Europe/Amsterdam", Cycle.MONTH, 1)

    assert term.start == utc("2026-02-27T23:30")  # 28 February 00:30
    assert term.end == utc("2026-03-30T22:30")  # 31 March 00:30, UTC+2


def test_r6_a_period_holds_its_start_and_not_its_end() -> None:
    term = term_at(utc("2026-01-01T00:00"), "UTC", Cycle.MONTH, 0)

    assert term.start in term
    assert utc("2026-01-31T23:59:59") in term
    assert term.end not in term


def test_r6_an_instant_on_a_boundary_is_of_the_period_that_starts() -> None:
    anchor = utc("2026-01-31T10:00")

    indexes = [
        index_at(anchor, "UTC", Cycle.MONTH, utc(instant))
        for instant in ("2026-01-31T10:00", "2026-02-28T09:59:59", "2026-02-28T10:00", "2027-01-31T10:00")
    ]

    assert indexes == [0, 0, 1, 12]


def test_p4_parts_of_a_second_are_dropped() -> None:
    anchor = utc("2026-01-01T00:00:00.900")

    term = term_at(anchor, "UTC", Cycle.MONTH, 0)

    assert term == Term(utc("2026-01-01T00:00"), utc("2026-02-01T00:00"))
    assert index_at(anchor, "UTC", Cycle.MONTH, utc("2026-01-01T00:00:00.100")) == 0


def test_what_cannot_be_a_period_is_refused() -> None:
    anchor = utc("2026-01-01T00:00")

    with pytest.raises(ValueError, match="numbered from 0"):
        term_at(anchor, "UTC", Cycle.MONTH, -1)
    with pytest.raises(ValueError, match="before the plan's start"):
        index_at(anchor, "UTC", Cycle.MONTH, utc("2025-12-31T23:59:59"))
    with pytest.raises(ValueError, match="no time zone"):
        term_at(anchor.replace(tzinfo=None), "UTC", Cycle.MONTH, 0)
    with pytest.raises(ValueError, match="cannot end"):
        Term(anchor, anchor)
    with pytest.raises(ValueError, match="in UTC"):
        Term(anchor.replace(tzinfo=None), utc("2026-02-01T00:00"))
    with pytest.raises(ZoneInfoNotFoundError):
        term_at(anchor, "Europe/Nowhere", Cycle.MONTH, 1)
