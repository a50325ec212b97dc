"""Billing periods: half-open terms that keep the account's wall clock and never drift (rules R2, R3, R6)."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

MONTHS_PER_YEAR: Final = 12


class Cycle(StrEnum):
    """How long one period lasts; prices are for one seat and period."""

    MONTH = "month"
    YEAR = "year"

    @property
    def months(self) -> int:
        """Calendar months in one period."""
        return 1 if self is Cycle.MONTH else MONTHS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Term:
    """One billing period ``[start, end)``, aware UTC instants: it holds its start and not its end (rule R6).

    Raises:
        ValueError: An instant is naive or not in UTC, or the term is empty.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise ValueError("A term is given by aware instants in UTC")
        if self.start >= self.end:
            raise ValueError(f"A term cannot end at {self.end} when it starts at {self.start}")

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    @property
    def seconds(self) -> int:
        """Elapsed seconds, so a month in which the clocks go forward is one hour shorter."""
        return seconds_between(self.start, self.end)


def term_at(anchor: datetime, time_zone: str, cycle: Cycle, index: int) -> Term:
    """Return period number ``index`` of a plan that started at ``anchor``; the first one is number 0.

    Every boundary is computed from the anchor's own day and wall clock in the account's zone, never from
    the boundary before it: a plan of 31 January renews on 28 February and on 31 March. On the days the
    clocks change:

    * a wall time that does not exist moves forward by the gap (02:30 becomes 03:30);
    * a wall time that comes twice means the first of the two;
    * boundary 0 is the anchor itself.

    Parts of a second are dropped.

    Args:
        anchor: Aware instant at which the plan started.
        time_zone: IANA name of the account's zone.
        cycle: Length of the periods.
        index: 0 or more.

    Raises:
        ValueError: The anchor is naive, or the index is negative.
        zoneinfo.ZoneInfoNotFoundError: The zone is unknown.

    Source: rules R2 and R3.
    """
    if index < 0:
        raise ValueError(f"Periods are numbered from 0, not {index}")
    months = cycle.months
    return Term(
        start=_boundary(anchor, time_zone, index * months),
        end=_boundary(anchor, time_zone, (index + 1) * months),
    )


def index_at(anchor: datetime, time_zone: str, cycle: Cycle, instant: datetime) -> int:
    """Return the number of the period that holds an instant; a boundary belongs to the period it starts.

    Raises:
        ValueError: The instant is naive or lies before the first period.

    Source: rule R6.
    """
    instant = whole_second_utc(instant)
    if instant < whole_second_utc(anchor):
        raise ValueError(f"{instant} is before the plan's start, {anchor}")
    zone = ZoneInfo(time_zone)
    elapsed = month_number(instant.astimezone(zone).date()) - month_number(anchor.astimezone(zone).date())
    # The months' difference is right or, before the day and hour of the boundary, one too many. A zone that
    # moves a boundary over a month's end (a skipped day) can make it one too few.
    index = max(0, elapsed // cycle.months - 1)
    while instant >= term_at(anchor, time_zone, cycle, index).end:
        index += 1
    return index


def month_cut(anchor_day: date, months: int) -> date:
    """Return the day ``months`` after the anchor's, clipped to the last day of a short month (rule R2)."""
    year, month0 = divmod(month_number(anchor_day) + months, MONTHS_PER_YEAR)
    last_day = monthrange(year, month0 + 1)[1]
    return date(year, month0 + 1, min(anchor_day.day, last_day))


def month_number(day: date) -> int:
    """Number the calendar months one after another, so that a difference is a count of months."""
    return day.year * MONTHS_PER_YEAR + day.month - 1


def seconds_between(start: datetime, end: datetime) -> int:
    """Count elapsed whole seconds between two aware instants."""
    elapsed = end - start
    return elapsed.days * 86_400 + elapsed.seconds


def whole_second_utc(instant: datetime) -> datetime:
    """Bring an aware instant to UTC and drop parts of a second (rule P4 counts whole seconds).

    Raises:
        ValueError: The instant is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return instant.astimezone(UTC).replace(microsecond=0)


def _boundary(anchor: datetime, time_zone: str, months: int) -> datetime:
    start = whole_second_utc(anchor)
    if months == 0:
        return start
    local = start.astimezone(ZoneInfo(time_zone))
    wall = datetime.combine(month_cut(local.date(), months), local.time().replace(fold=0), local.tzinfo)
    return wall.astimezone(UTC)
