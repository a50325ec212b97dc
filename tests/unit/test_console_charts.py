"""The chart of a tier: months on one axis, seats in round numbers on the other, the need carried on."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from bridge.domain.forecasts import Trend
from bridge.usecases.forecast_seats import Forecast, MonthOfSeats, TierForecast
from bridge.web.console.charts import BOTTOM, LEFT, RIGHT, TOP, WIDTH, TierChart, draw_tiers

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
RENEWAL = datetime(2027, 1, 1, tzinfo=UTC)


def drawn(*used: int, seats: int = 10, per_week: Fraction | None = None, full_at: datetime | None = None) -> TierChart:
    """Draw one tier over the months that end with March 2026."""
    numbers = range(2026 * 12 + 2 - len(used) + 1, 2026 * 12 + 3)
    months = tuple(
        MonthOfSeats(f"{number // 12}-{number % 12 + 1:02}", {"a": seats if held else 0}, {"a": held}, None)
        for number, held in zip(numbers, used, strict=True)
    )
    trend = None if per_week is None else Trend(per_week, per_week, per_week)
    tier = TierForecast("a", "A", seats, used[-1], used[-1], 0, 12, trend, full_at, None, None, None)
    forecast = Forecast(NOW, "EUR", (tier,), RENEWAL, None, months)
    return draw_tiers(forecast, ZoneInfo("UTC"))[0]


def test_months_before_there_were_seats_are_left_out() -> None:
    chart = drawn(0, 0, 4, 6)

    assert [month.month for month in chart.months] == ["2026-02", "2026-03"]
    assert chart.columns[0].text == "Feb"


def test_the_axis_goes_in_round_steps_up_to_what_has_to_fit() -> None:
    # The most is 10 seats: steps of 5 make 2 of them, steps of 2 would make 5.
    assert [row.text for row in drawn(4, 6).rows] == ["0", "5", "10"]
    assert [row.text for row in drawn(4, 3900, seats=4000).rows] == ["0", "1,000", "2,000", "3,000", "4,000"]


def test_the_line_ends_today_at_the_seats_in_use() -> None:
    chart = drawn(4, 6)

    # From 1 February to 1 January are 334 days; 29.375 of them are over.
    x = LEFT + (WIDTH - LEFT - RIGHT) * 29.375 / 334
    y = BOTTOM - (BOTTOM - TOP) * 6 / 10
    assert chart.now == pytest.approx(x)
    assert chart.used.endswith(f"L{x:.1f} {y:.1f}")


def test_without_a_trend_nothing_is_drawn_ahead() -> None:
    assert drawn(4, 6).ahead == ""
    assert drawn(4, 6, per_week=Fraction(1, 10)).ahead.startswith("M")


def test_where_the_seats_run_out_stands_a_point_on_their_line() -> None:
    full_at = NOW + timedelta(weeks=8)
    chart = drawn(4, 6, per_week=Fraction(1, 2), full_at=full_at)

    # Half a seat a week for 43.5 weeks until the renewal: 6 + 21.7 = 27.7, so the axis goes to 30.
    assert chart.full is not None
    assert chart.rows[-1].text == "30"
    assert chart.full[1] == pytest.approx(BOTTOM - (BOTTOM - TOP) * 10 / 30)
    assert chart.now < chart.full[0] < (chart.renewal or 0)


def test_what_is_full_after_the_picture_has_no_point() -> None:
    assert drawn(4, 6, per_week=Fraction(1, 100), full_at=NOW + timedelta(weeks=400)).full is None
