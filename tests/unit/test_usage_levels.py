"""Numbers over time: quarters of a time zone, peaks and means (rule B6)."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.domain.usage import Level, Span, level, quarter, quarter_of
from bridge.errors import InvalidInputError

START = datetime(2026, 7, 1, tzinfo=UTC)
TEN_DAYS = Span("ten days", START, START + timedelta(days=10))


def test_b6_a_quarter_begins_at_midnight_of_the_organization() -> None:
    found = quarter("2026Q4", "Europe/Amsterdam")

    assert (found.start, found.end) == (
        datetime(2026, 9, 30, 22, tzinfo=UTC),
        datetime(2026, 12, 31, 23, tzinfo=UTC),
    )
    assert quarter_of(found.start, "Europe/Amsterdam") == found
    assert quarter_of(found.start - timedelta(seconds=1), "Europe/Amsterdam").name == "2026Q3"


@pytest.mark.parametrize("text", ["", "2026", "2026Q5", "Q3", "0000Q1"])
def test_what_is_no_quarter_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="quarter"):
        quarter(text, "UTC")


def test_b6_the_mean_is_weighted_by_time() -> None:
    """2 for three days, 5 for two, 1 for five: (6 + 10 + 5) ÷ 10 = 2.1."""
    steps = [(START - timedelta(days=9), 2), (START + timedelta(days=3), 5), (START + timedelta(days=5), 1)]

    assert level(steps, TEN_DAYS) == Level(peak=5, mean="2.10", last=1)


def test_b6_what_comes_after_the_span_does_not_count_and_a_moment_s_value_neither() -> None:
    """Nobody for two days, then 9 for no time and 3 for eight days: 24 ÷ 10."""
    day = START + timedelta(days=2)
    steps = [(day, 9), (day, 3), (TEN_DAYS.end, 100)]

    assert level(steps, TEN_DAYS) == Level(peak=3, mean="2.40", last=3)


def test_b6_nothing_at_all_is_zero() -> None:
    assert level([], TEN_DAYS) == Level(peak=0, mean="0.00", last=0)
