"""Numbers over a span of time: quarters, the highest value, and the mean by time."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from bridge.errors import InvalidInputError

_QUARTER = re.compile(r"(?P<year>[0-9]{4})[ -]?Q(?P<number>[1-4])", re.IGNORECASE)
_MONTHS = 3
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Span:
    """Time [start, end), aware UTC, and what people call it."""

    name: str
    start: datetime
    end: datetime

    def until(self, instant: datetime) -> "Span":
        """Return the part of it that is over."""
        return Span(self.name, self.start, max(self.start, min(self.end, instant)))


@dataclass(frozen=True, slots=True)
class Level:
    """A number over time: the highest, the mean by time with two decimals ("4.50"), and the last."""

    peak: int
    mean: str
    last: int


def quarter(text: str, time_zone: str) -> Span:
    """Read a quarter such as "2026Q3", which begins and ends at midnight of a time zone.

    Raises:
        InvalidInputError: It is no quarter.
    """
    found = _QUARTER.fullmatch(text.strip())
    if found is None or int(found["year"]) == 0:
        raise InvalidInputError("quarter", f"{text!r} is no quarter such as 2026Q3")
    zone, year, number = ZoneInfo(time_zone), int(found["year"]), int(found["number"])
    first = (number - 1) * _MONTHS + 1
    following = (year + 1, 1) if number == 4 else (year, first + _MONTHS)  # noqa: PLR2004  # the year's last quarter
    start, end = datetime(year, first, 1, tzinfo=zone), datetime(*following, 1, tzinfo=zone)
    return Span(f"{year}Q{number}", start.astimezone(UTC), end.astimezone(UTC))


def quarter_of(instant: datetime, time_zone: str) -> Span:
    """Return the quarter that holds an instant."""
    local = instant.astimezone(ZoneInfo(time_zone))
    return quarter(f"{local.year:04}Q{(local.month - 1) // _MONTHS + 1}", time_zone)


def level(steps: Iterable[tuple[datetime, int]], span: Span) -> Level:
    """Follow a number through a span.

    Args:
        steps: (instant, value from then on) in the order of the instants; 0 before the first. Of several at one
            instant the last one holds.
        span: Over which time; without any time it is what holds at its start.
    """
    value, peak, total, since = 0, None, Fraction(0), span.start
    for at, following in steps:
        if at >= span.end and at > span.start:
            break
        moment = max(at, span.start)
        if moment > since:
            peak = value if peak is None else max(peak, value)
            total += value * Fraction((moment - since).total_seconds())
            since = moment
        value = following
    left = Fraction((span.end - since).total_seconds())
    if left:
        peak = value if peak is None else max(peak, value)
        total += value * left
    seconds = Fraction((span.end - span.start).total_seconds())
    mean = total / seconds if seconds else Fraction(value)
    rounded = (Decimal(mean.numerator) / Decimal(mean.denominator)).quantize(_HUNDREDTH, ROUND_HALF_UP)
    return Level(peak=value if peak is None else peak, mean=str(rounded), last=value)
