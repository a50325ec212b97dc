"""The bills by hand: the same rules as the product's, written down once more from dates and prices alone.

Nothing here imports the billing core: a mistake there must not be made here too.
"""

from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from fractions import Fraction


def rounded(amount: Fraction) -> int:
    """Round to whole minor units, halves away from zero (rule P6)."""
    sign = -1 if amount < 0 else 1
    return sign * int(abs(amount) + Fraction(1, 2))


def with_tax(subtotal: int, rate: str) -> int:
    """Add the tax on the document's total (rule X1)."""
    return subtotal + rounded(subtotal * Fraction(rate))


def whole_period(seats: Mapping[str, int], prices: Mapping[str, int]) -> int:
    """Bill every seat for a whole period (rule P1)."""
    return sum(number * prices[tier] for tier, number in seats.items())


def rest_of_year(start: date, day: date) -> Fraction:
    """Return the share of a contract year that is left (rule P8), for a contract that starts on the first of a month.

    Whole calendar months after the present one, and of that one the days left, the day itself included, over twelve.
    """
    begun = (day.year - start.year) * 12 + day.month - start.month
    length = monthrange(day.year, day.month)[1]
    return (Fraction(12 - begun - 1) + Fraction(length - day.day + 1, length)) / 12


def money(minor_units: int) -> str:
    """Write an amount of euros: "€1,234.50"."""
    return f"€{minor_units / 100:,.2f}"
