"""Money: minor units, exact fractions, one rounding."""

from decimal import Decimal
from fractions import Fraction

import pytest

from bridge.billing.rules.money import Currency, format_exact, format_money, round_half_away, to_minor

EUR, JPY, KWD, SEK = Currency("EUR"), Currency("JPY"), Currency("KWD"), Currency("SEK")


@pytest.mark.parametrize(("currency", "digits"), [(EUR, 2), (JPY, 0), (KWD, 3)])
def test_p6_a_currency_has_the_decimals_of_its_iso_4217_minor_unit(currency: Currency, digits: int) -> None:
    assert currency.digits == digits


@pytest.mark.parametrize("code", ["XYZ", "eur", "", "EURO"])
def test_p6_a_code_outside_iso_4217_is_no_currency(code: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        Currency(code)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("240.00", EUR, 24_000), ("0.5", EUR, 50), ("1200", JPY, 1_200), ("-1.25", EUR, -125), ("0.001", KWD, 1)],
)
def test_a_price_in_major_units_becomes_whole_minor_units(text: str, currency: Currency, minor: int) -> None:
    assert to_minor(text, currency) == minor
    assert to_minor(Decimal(text), currency) == minor


@pytest.mark.parametrize("text", ["", "1,200.00", "1e3", ".5", "NaN", "0x10", " 1", "٣", "1_000"])
def test_a_price_that_is_not_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        to_minor(text, EUR)


def test_a_price_finer_than_the_minor_unit_is_refused_and_not_rounded() -> None:
    with pytest.raises(ValueError, match="finer than the 2 decimals of EUR"):
        to_minor("0.005", EUR)


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [("5/2", 3), ("-5/2", -3), ("7/2", 4), ("249/100", 2), ("-249/100", -2), ("0", 0), ("1/2", 1), ("-1/3", 0)],
)
def test_p6_a_tie_is_rounded_away_from_zero(exact: str, rounded: int) -> None:
    assert round_half_away(Fraction(exact)) == rounded


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (24_000, EUR, "€240.00"),
        (120_000, EUR, "€1,200.00"),
        (120_000, SEK, "1,200.00 SEK"),
        (1_200, JPY, "¥1,200"),
        (1_234_567, KWD, "1,234.567 KWD"),
        (-1_250, EUR, "−€12.50"),
        (-5, SEK, "−0.05 SEK"),
        (0, EUR, "€0.00"),
    ],
)
def test_money_is_written_the_same_way_everywhere(minor: int, currency: Currency, text: str) -> None:
    assert format_money(minor, currency) == text


@pytest.mark.parametrize(
    ("minor", "text"),
    [
        (Fraction(24_000), "€240.00"),
        (Fraction(72_000 * 90, 372), "€174.1935…"),  # 720 × 90 ÷ 372 = 174.19354…
        (Fraction(1, 4), "€0.0025"),
        (Fraction(-2_501, 2), "−€12.5050"),
        (Fraction(1, 1_000_000), "€0.0000…"),
    ],
)
def test_an_exact_amount_shows_two_digits_more_and_says_when_others_follow(minor: Fraction, text: str) -> None:
    assert format_exact(minor, EUR) == text
