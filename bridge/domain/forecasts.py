"""How many seats will be needed: the trend of the weeks behind us, drawn so that one large import does not bend it.

The trend is the Theil-Sen line: the median of the slopes between every two weeks. A week in which a whole company was
imported, or a department left, is one of many weeks in it; an average would carry such a day on for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import combinations
from typing import Final

#: With fewer weeks behind us nothing is said.
FEWEST_WEEKS: Final = 4
WEEK: Final = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Trend:
    """How many seats more are needed each week.

    Attributes:
        per_week: The median of all slopes; below 0 when fewer are needed.
        low: A quarter of the slopes is less steep.
        high: A quarter is steeper.
    """

    per_week: Fraction
    low: Fraction
    high: Fraction


def trend_of(levels: Sequence[int]) -> Trend | None:
    """Return the trend of how many seats were needed at the end of each week, oldest first.

    Returns:
        None with fewer than :data:`FEWEST_WEEKS` weeks between the first level and the last.
    """
    if len(levels) <= FEWEST_WEEKS:
        return None
    slopes = sorted(
        Fraction(levels[later] - levels[earlier], later - earlier)
        for earlier, later in combinations(range(len(levels)), 2)
    )
    return Trend(
        per_week=quantile(slopes, Fraction(1, 2)),
        low=quantile(slopes, Fraction(1, 4)),
        high=quantile(slopes, Fraction(3, 4)),
    )


def quantile(ordered: Sequence[Fraction], share: Fraction) -> Fraction:
    """Return the value below which a share of ordered values lies, between two of them in proportion."""
    place = share * (len(ordered) - 1)
    below = int(place)
    if below + 1 == len(ordered):
        return ordered[below]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


def full_at(needed: int, seats: int, per_week: Fraction, at: datetime) -> datetime | None:
    """Return when every seat will be taken: now if so already, None when the need does not grow."""
    if needed >= seats:
        return at
    if per_week <= 0:
        return None
    weeks = Fraction(seats - needed) / per_week
    # Beyond some decades the answer is "not in our time", and would leave the calendar.
    return None if weeks > 52 * 50 else at + WEEK * float(weeks)


def needed_at(needed: int, per_week: Fraction, at: datetime, then: datetime) -> int:
    """Return how many seats will be needed at an instant, rounded up to whole ones, never below 0."""
    seconds = Fraction(int((then - at).total_seconds()), int(WEEK.total_seconds()))
    exact = needed + per_week * max(seconds, Fraction(0))
    return max(0, -(-exact.numerator // exact.denominator))
