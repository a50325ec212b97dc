"""The share of a period still to come: an exact fraction and the words that explain it (rules P4, P5, P8)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from bridge.billing.rules.terms import Term, month_cut, month_number, seconds_between, whole_second_utc
from bridge.billing.rules.wording import counted, day_text, month_name


class ProrationMethod(StrEnum):
    """How the rest of a period is measured."""

    SECOND = "second"
    """Seconds left ÷ seconds in the period (rule P4)."""
    DAY = "day"
    """Days left ÷ days in the period, the day of the change included (rule P5)."""
    MONTH_DAY = "month_day"
    """(Whole term months left + days left of the current one ÷ its days) ÷ months in the period (rule P8)."""
    MONTH = "month"
    """Term months left ÷ months in the period, the started one counted whole (rule P8)."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a period that is charged.

    Attributes:
        fraction: Above 0, at most 1; never rounded (rule P6).
        sentence: What was counted, in words: "December, and 10 of 30 November days".
        formula: The same as arithmetic that gives the fraction: "(1 + 10/30) ÷ 12".
    """

    fraction: Fraction
    sentence: str
    formula: str


_NAMED_ONE_BY_ONE: Final = 2
"""Up to two whole months are named; more become "April to December (9 months)"."""

WHOLE_PERIOD: Final = Share(fraction=Fraction(1), sentence="the whole period", formula="1")


def share(term: Term, at: datetime, method: ProrationMethod, time_zone: str, anchor: datetime) -> Share:
    """Return the share of ``term`` from ``at`` to its end.

    Days are calendar days of the account's zone, and the day of the change counts. Where a term ends in the
    middle of a day, a change on that day before the end counts as one day: a share is never 0. Term months
    are cut at the day of the plan's start, clipped to short months, exactly as the terms themselves are
    (rule R2).

    Args:
        term: The period; it must hold ``at``.
        at: Aware instant of the change; parts of a second are dropped.
        method: The plan's way to measure.
        time_zone: IANA name of the account's zone.
        anchor: Start of the plan, from which ``term`` was computed.

    Raises:
        ValueError: ``at`` is naive or not in the term.

    Source: rules P4, P5 and P8.
    """
    at = whole_second_utc(at)
    if at not in term:
        raise ValueError(f"{at} is not in the period from {term.start} to {term.end}")
    if method is ProrationMethod.SECOND:
        return _by_second(term, at)
    zone = ZoneInfo(time_zone)
    start, end = term.start.astimezone(zone).date(), term.end.astimezone(zone).date()
    day = min(at.astimezone(zone).date(), end - timedelta(days=1))
    if method is ProrationMethod.DAY:
        return _by_day(start, end, day)
    months = _TermMonths.of(start, end, anchor.astimezone(zone).date(), day)
    return months.by_day() if method is ProrationMethod.MONTH_DAY else months.by_month()


def _by_second(term: Term, at: datetime) -> Share:
    left, whole = seconds_between(at, term.end), term.seconds
    return Share(
        fraction=Fraction(left, whole),
        sentence=f"{left:,} of {whole:,} seconds ({_duration(left)} of {_duration(whole)})",
        formula=f"{left:,} s ÷ {whole:,} s",
    )


def _duration(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, second = divmod(rest, 60)
    counts = ((days, "day"), (hours, "hour"), (minutes, "minute"), (second, "second"))
    return " ".join(counted(count, noun) for count, noun in counts if count)


def _by_day(start: date, end: date, day: date) -> Share:
    left, whole = (end - day).days, (end - start).days
    last = end - timedelta(days=1)
    return Share(
        fraction=Fraction(left, whole),
        sentence=f"{left} of {counted(whole, 'day')}, {day_text(day)} to {day_text(last)}, both included",
        formula=f"{left}/{whole} days",
    )


@dataclass(frozen=True, slots=True)
class _TermMonths:
    """Where a day stands among the months of a term, which ``cuts`` bound (first and last included)."""

    cuts: tuple[date, ...]
    current: int
    day: date

    @classmethod
    def of(cls, start: date, end: date, anchor_day: date, day: date) -> "_TermMonths":
        first = month_number(start) - month_number(anchor_day)
        length = month_number(end) - month_number(start)
        cuts = tuple(month_cut(anchor_day, first + number) for number in range(length + 1))
        current = max((number for number in range(length) if cuts[number] <= day), default=0)
        return cls(cuts=cuts, current=current, day=day)

    @property
    def length(self) -> int:
        return len(self.cuts) - 1

    def by_month(self) -> Share:
        left = self.length - self.current
        return Share(
            fraction=Fraction(left, self.length),
            sentence=f"{left} of {counted(self.length, 'month')}, the started one counted whole",
            formula=self._twelfths(left),
        )

    def by_day(self) -> Share:
        begin, end = self.cuts[self.current], self.cuts[self.current + 1]
        left, days = (end - self.day).days, (end - begin).days
        after = self.length - self.current - 1
        if left == days:
            whole = after + 1
            return Share(Fraction(whole, self.length), self._months_from(self.current), self._twelfths(whole))
        part = f"{left} of {days} {month_name(begin)} days"
        if not self._calendar:
            part = f"{left} of the {days} days of the month from {day_text(begin)}"
        inner = f"({after} + {left}/{days})" if after else f"{left}/{days}"
        return Share(
            fraction=(after + Fraction(left, days)) / self.length,
            sentence=f"{self._months_from(self.current + 1)}, and {part}" if after else part,
            formula=f"{inner} ÷ {self.length}" if self.length > 1 else inner,
        )

    @property
    def _calendar(self) -> bool:
        """Term months are calendar months, so they can be called by their names."""
        return all(cut.day == 1 for cut in self.cuts)

    def _twelfths(self, months: int) -> str:
        return f"{months}/{self.length}" if self.length > 1 else "1"

    def _months_from(self, number: int) -> str:
        count = self.length - number
        if not self._calendar:
            return f"{counted(count, 'whole month')} from {day_text(self.cuts[number])}"
        names = [month_name(cut) for cut in self.cuts[number:-1]]
        if count <= _NAMED_ONE_BY_ONE:
            return " and ".join(names)
        return f"{names[0]} to {names[-1]} ({count} months)"
