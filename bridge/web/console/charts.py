"""The chart of a tier: seats bought and in use over twelve months, and how the need goes on, drawn on the server."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import dropwhile
from zoneinfo import ZoneInfo

from bridge.store.unit import Unit
from bridge.usecases.forecast_seats import Forecast, MonthOfSeats, TierForecast, forecast_seats
from bridge.usecases.seats import read_contract, read_ladder

WIDTH, HEIGHT = 330, 176
LEFT, RIGHT, TOP, BOTTOM = 34, 14, 22, 150
#: The forecast is drawn at least so far.
AHEAD = timedelta(days=183)
_LINES = 4
_STEPS = (1, 2, 5)
_EVERY = 3
_ROOM_FOR_A_LABEL = 26.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis: where it is, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class TierChart:
    """One tier's chart, as paths and places in a picture of :data:`WIDTH` by :data:`HEIGHT`.

    Attributes:
        used: The line of the seats in use; ``area`` is what lies below it.
        bought: The line of the seats that could be assigned, in steps.
        ahead: The line of the need, from now on; empty without a trend.
        renewal: Where the next renewal is; None when it is not in the picture, or there is none.
        full: The point where the need meets the seats, of today or ahead.
        months: What the picture shows of the past, for the table; the months before there were seats are left out.
    """

    forecast: TierForecast
    used: str
    area: str
    bought: str
    ahead: str
    now: float
    renewal: float | None
    full: tuple[float, float] | None
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    months: tuple[MonthOfSeats, ...]


def read_charts(unit: Unit) -> tuple[Forecast | None, tuple[TierChart, ...]]:
    """Forecast the seats and draw them; nothing of a plan that is not sold by seats."""
    if not len(read_ladder(unit)):
        return None, ()
    forecast = forecast_seats(unit)
    return forecast, draw_tiers(forecast, ZoneInfo(read_contract(unit).time_zone))


def draw_tiers(forecast: Forecast, zone: ZoneInfo) -> tuple[TierChart, ...]:
    """Draw every tier, the best first; all of them over the same months."""
    months = tuple(dropwhile(lambda month: not any(month.seats.values()), forecast.months)) or forecast.months[-1:]
    return tuple(_draw(forecast, one, months, zone) for one in forecast.tiers)


def _draw(forecast: Forecast, one: TierForecast, months: Sequence[MonthOfSeats], zone: ZoneInfo) -> TierChart:
    start = _start_of(months[0].month, zone)
    end = max(forecast.at + AHEAD, forecast.renewal_at or forecast.at)
    slope = float(one.trend.per_week) if one.trend else 0.0
    then = max(0.0, one.needed + slope * ((end - forecast.at) / timedelta(weeks=1)))
    highest = max(one.needed, then, *(max(month.seats[one.tier], month.used[one.tier]) for month in months))
    scale, top = _scale(highest)

    def x(at: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((at - start) / (end - start))

    def y(seats: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * seats / top

    ends = [min(_start_of(month.month, zone, after=1), forecast.at) for month in months]
    points = [(x(at), y(month.used[one.tier])) for at, month in zip(ends, months, strict=True)]
    points.insert(0, (x(start), points[0][1]))
    stairs = f"M{x(start):.1f} {y(months[0].seats[one.tier]):.1f}"
    for at, month in zip(ends, months, strict=True):
        stairs += f" V{y(month.seats[one.tier]):.1f} H{x(at):.1f}"
    line = " ".join(f"{'L' if place else 'M'}{left:.1f} {down:.1f}" for place, (left, down) in enumerate(points))
    now = x(forecast.at)
    ahead = f"M{now:.1f} {y(one.needed):.1f} L{x(end):.1f} {y(then):.1f}" if one.trend else ""
    full = None if one.full_at is None or one.full_at > end else (x(max(one.full_at, forecast.at)), y(one.seats))
    return TierChart(
        forecast=one,
        used=line,
        area=f"{line} V{BOTTOM} H{x(start):.1f} Z",
        bought=stairs,
        ahead=ahead,
        now=now,
        renewal=None if forecast.renewal_at is None else x(forecast.renewal_at),
        full=full,
        rows=tuple(Tick(y(seats), f"{seats:,}") for seats in range(0, top + 1, scale)),
        columns=tuple(_columns(start, end, x, zone)),
        months=tuple(months),
    )


def _start_of(month: str, zone: ZoneInfo, *, after: int = 0) -> datetime:
    """Return when a month such as ``2026-03`` begins, or one so many months later."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + after
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=zone)


def _scale(highest: float) -> tuple[int, int]:
    """Return the step between two lines and the top of the axis, in whole seats and round numbers."""
    power = 1
    while True:
        for step in _STEPS:
            if step * power * _LINES >= highest:
                return step * power, step * power * max(1, math.ceil(highest / (step * power)))
        power *= 10


def _columns(start: datetime, end: datetime, x: Callable[[datetime], float], zone: ZoneInfo) -> list[Tick]:
    """Name every third month, and the year with each January; close to the edge there is no room for a name."""
    found: list[Tick] = []
    month, number = f"{start:%Y-%m}", 0
    while (at := _start_of(month, zone, after=number)) < end:
        place = x(at)
        if number % _EVERY == 0 and place < WIDTH - _ROOM_FOR_A_LABEL / 2:
            found.append(Tick(place, f"{at:%b} {at:%y}" if at.month == 1 and number else f"{at:%b}"))
        number += 1
    return found
