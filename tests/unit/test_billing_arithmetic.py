"""The arithmetic of written lines, step by step, by hand (rules P6 and U4)."""

from dataclasses import dataclass

import pytest

from bridge.billing.rules.arithmetic import arithmetic_steps
from bridge.billing.rules.money import Currency


@dataclass
class Line:
    """A line as the ledger keeps it."""

    kind: str
    quantity: int
    unit_price: int
    amount: int
    share: str | None
    exact: str = ""
    explanation: str = "17 of 31 days"


def test_p6_a_rounded_line_shows_its_exact_fraction() -> None:
    """2 × 15,000 × 17/31 = 510,000/31 = 16,451.6…"""
    steps = arithmetic_steps(Line("seat_proration", 2, 15_000, 16_452, "17/31"), Currency("EUR"))

    assert steps == (
        "Charged are 2 seats at €150.00 for one and a whole period.",
        "The part charged is 17/31: 17 of 31 days.",
        "That is exactly 510000/31 minor units, €164.5161….",
        "Rounded once, a tie away from zero: €164.52.",
    )


def test_p7_a_credit_is_given_back() -> None:
    """−1 × 1,000 × 1/2, in yen, which have no decimals."""
    steps = arithmetic_steps(Line("seat_credit", 1, 1_000, -500, "1/2"), Currency("JPY"))

    assert (steps[0], steps[-1]) == (
        "Given back is 1 seat at ¥1,000 for one and a whole period.",
        "That is exactly −¥500: nothing is rounded.",
    )


def test_an_amount_that_does_not_follow_cannot_be_explained() -> None:
    with pytest.raises(ValueError, match="the line says 16453"):
        arithmetic_steps(Line("seat_proration", 2, 15_000, 16_453, "17/31"), Currency("EUR"))


def test_a_line_of_before_the_share_was_kept_is_explained_by_what_it_says() -> None:
    steps = arithmetic_steps(Line("seat_proration", 1, 15_000, 8_226, None, exact="€82.2580…"), Currency("EUR"))

    assert steps == ("1 at €150.00: 17 of 31 days.", "That is €82.2580….")
