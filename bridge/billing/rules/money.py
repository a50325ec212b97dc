"""Money: whole minor units of an ISO 4217 currency, exact fractions, one rounding (rule P6).

No binary floating point enters here: prices are decimal text, shares are :class:`fractions.Fraction`,
results are ``int``.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

_CODES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
        CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
        HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT
        MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB
        SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
        USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
}
"""ISO 4217 codes by the decimals of their minor unit."""
_DIGITS: Final = {code: digits for digits, codes in _CODES.items() for code in codes.split()}
_SYMBOLS: Final = {"EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}
_DECIMAL_TEXT: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_FURTHER_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency that money can be charged in.

    Raises:
        ValueError: The code is not in ISO 4217's list of currencies with 0, 2 or 3 decimals. Case counts.
    """

    code: str

    def __post_init__(self) -> None:
        if self.code not in _DIGITS:
            raise ValueError(f"{self.code!r} is not an ISO 4217 currency code")

    @property
    def digits(self) -> int:
        """Decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD."""
        return _DIGITS[self.code]


def to_minor(value: str | Decimal, currency: Currency) -> int:
    """Read an amount in major units ("240.00") as whole minor units (24000).

    Raises:
        ValueError: Not a plain decimal number, or finer than the currency's minor unit. Nothing is rounded
            here.
    """
    text = format(value, "f") if isinstance(value, Decimal) else value
    if not _DECIMAL_TEXT.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal number like 240.00")
    minor = Fraction(text) * Fraction(10) ** currency.digits
    if minor.denominator != 1:
        raise ValueError(f"{text} is finer than the {currency.digits} decimals of {currency.code}")
    return minor.numerator


def round_half_away(value: Fraction) -> int:
    """Round to a whole number, a tie away from zero: 2.5 to 3, -2.5 to -3.

    Source: rule P6.
    """
    magnitude = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return magnitude if value >= 0 else -magnitude


def format_money(minor: int, currency: Currency) -> str:
    """Write an amount for people: "€1,200.00", "1,200.00 SEK", "¥1,200", "−€12.50" (U+2212 for minus)."""
    return _signed(_grouped(abs(minor), currency.digits), currency, negative=minor < 0)


def format_exact(minor: Fraction, currency: Currency) -> str:
    """Write an exact amount of minor units before rounding: "€240.00", "€174.1935…".

    Two digits beyond the minor unit, cut and never rounded; "…" says that more follow. Rounding the digits
    shown by rule P6 gives the same amount as rounding the exact value.
    """
    if minor.denominator == 1:
        return format_money(minor.numerator, currency)
    magnitude = abs(minor) * 10**_FURTHER_DIGITS
    text = _grouped(magnitude.numerator // magnitude.denominator, currency.digits + _FURTHER_DIGITS)
    return _signed(text if magnitude.denominator == 1 else f"{text}…", currency, negative=minor < 0)


def _grouped(units: int, digits: int) -> str:
    whole, rest = divmod(units, 10**digits)
    return f"{whole:,}.{rest:0{digits}d}" if digits else f"{whole:,}"


def _signed(number: str, currency: Currency, *, negative: bool) -> str:
    sign = "−" if negative else ""
    symbol = _SYMBOLS.get(currency.code)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency.code}"
