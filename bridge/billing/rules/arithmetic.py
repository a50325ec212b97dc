"""The arithmetic of a line that was written, step by step: price, part, exact fraction, rounding (rules P6 and U4)."""

from fractions import Fraction
from typing import Protocol

from bridge.billing.rules.bills import LineKind
from bridge.billing.rules.money import Currency, format_exact, format_money, round_half_away
from bridge.billing.rules.wording import counted

_UNITS = {
    LineKind.SEAT: "seat",
    LineKind.SEAT_PRORATION: "seat",
    LineKind.SEAT_CREDIT: "seat",
    LineKind.TEAM_LICENCE: "team",
    LineKind.USER_LICENCE: "person",
}


class WrittenLine(Protocol):
    """A line as the ledger keeps it; ``share`` is an exact fraction as text, None where none was kept."""

    kind: str
    quantity: int
    unit_price: int
    amount: int
    exact: str
    explanation: str
    share: str | None


def arithmetic_steps(line: WrittenLine, currency: Currency) -> tuple[str, ...]:
    """Show how a line came to its amount, one sentence for each step, each with a full stop.

    A line without an exact share, of before it was kept or of another billing core, is told in its own words.

    The exact value is computed anew from quantity, price and share, so that a line whose amount does not follow from
    them cannot be explained.

    Raises:
        ValueError: The amount does not follow from what the line says.

    Source: rules P6 and U4.
    """
    if line.share is None:
        part = f"{line.quantity:,} at {format_money(line.unit_price, currency)}"
        return (f"{part}: {line.explanation}." if line.explanation else f"{part}.", f"That is {line.exact}.")
    kind = LineKind(line.kind)
    price = format_money(line.unit_price, currency)
    first = _first_step(kind, line.quantity, price)
    share = Fraction(line.share)
    exact = (-1 if kind is LineKind.SEAT_CREDIT else 1) * line.quantity * line.unit_price * share
    part = "The whole of it is charged." if share == 1 else f"The part charged is {share}: {line.explanation}."
    return first, part, *_last_steps(line, kind, exact, currency)


def _first_step(kind: LineKind, quantity: int, price: str) -> str:
    if kind is LineKind.CONTRACT_INSTALMENT:
        return f"The contract year costs {price}."
    if kind is LineKind.CONTRACT_AMENDMENT:
        return f"The fee of a contract year rises by {price}."
    unit = _UNITS[kind]
    period = "month" if kind in {LineKind.TEAM_LICENCE, LineKind.USER_LICENCE} else "period"
    units = f"{quantity:,} people" if unit == "person" and quantity != 1 else counted(quantity, unit)
    what = "Given back are" if kind is LineKind.SEAT_CREDIT else "Charged are"
    return f"{what.replace('are', 'is') if quantity == 1 else what} {units} at {price} for one and a whole {period}."


def _last_steps(line: WrittenLine, kind: LineKind, exact: Fraction, currency: Currency) -> tuple[str, ...]:
    amount = format_money(line.amount, currency)
    spare = line.amount - exact.__floor__()
    if exact.denominator == 1 and line.amount == exact:
        return (f"That is exactly {amount}: nothing is rounded.",)
    told = f"That is exactly {exact} minor units, {format_exact(exact, currency)}."
    if kind is LineKind.CONTRACT_INSTALMENT and spare in {0, 1}:
        added = ", and one minor unit that was spare is added" if spare else ""
        return told, f"Rounded down{added}, so that the instalments add up to the fee: {amount}."
    if round_half_away(exact) != line.amount:
        raise ValueError(
            f"{line.quantity} × {line.unit_price} × {line.share} is {exact}, and the line says {line.amount}"
        )
    return told, f"Rounded once, a tie away from zero: {amount}."
