"""Bills: lines that carry their arithmetic, tax on the total, and the balance that is used before money."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from bridge.billing.rules.money import Currency, format_exact, format_money, round_half_away
from bridge.billing.rules.proration import WHOLE_PERIOD, Share
from bridge.billing.rules.terms import Term


class LineKind(StrEnum):
    """What a line charges."""

    SEAT = "seat"
    """A whole period in advance (rule P1)."""
    SEAT_PRORATION = "seat_proration"
    """The rest of a period (rules P2, P8)."""
    SEAT_CREDIT = "seat_credit"
    """Unused time of a seat that was paid for; negative (rules P7, D5)."""
    TEAM_LICENCE = "team_licence"
    """A team that counted for a month (rule W1)."""
    USER_LICENCE = "user_licence"
    """A person who counted for a month (rule W3)."""
    CONTRACT_INSTALMENT = "contract_instalment"
    """A part of a contract year's fixed fee (rule U4)."""
    CONTRACT_AMENDMENT = "contract_amendment"
    """A raised fee for the rest of the contract year (rule U7)."""


class BillType(StrEnum):
    """An invoice asks for money; a credit note puts some on the account's balance."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class BillReason(StrEnum):
    """What the bill was made for."""

    START = "start"
    RENEWAL = "renewal"
    SEAT_CHANGE = "seat_change"
    MONTH = "month"
    """A month of licences that has ended (rule W7)."""
    INSTALMENT = "instalment"
    AMENDMENT = "amendment"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill; :func:`seat_line` does its arithmetic, :mod:`~bridge.billing.rules.instalments` that of fees.

    Attributes:
        kind: What is charged.
        tier: Key of the seat tier, or name of the contracted tier.
        quantity: Seats, always positive; 1 for a fee.
        start: Begin of the time charged, aware UTC.
        end: End of it, not included.
        unit_price: Minor units for one seat and whole period; the fee of a contract year, or by how much it rises.
        share: The part of the period charged.
        exact: Minor units before rounding; negative for a credit.
        amount: ``exact`` rounded once (rule P6); of an instalment so that all of them add up to the fee (rule U4).
        exact_text: ``exact`` for people: "€174.1935…".
        formula: The whole sum: "1 × €720.00 × (2 + 28/31) ÷ 12 = €174.1935… → €174.19".
    """

    kind: LineKind
    tier: str
    quantity: int
    start: datetime
    end: datetime
    unit_price: int
    share: Share
    exact: Fraction
    amount: int
    exact_text: str
    formula: str

    def to_json(self, *, explained: bool = False) -> dict[str, object]:
        """Return the line as JSON values; ``explained`` adds price, exact value, formula and sentence."""
        document: dict[str, object] = {
            "kind": self.kind.value,
            "tier": self.tier,
            "quantity": self.quantity,
            "from": instant_text(self.start),
            "to": instant_text(self.end),
            "amount": self.amount,
        }
        if explained:
            document |= {
                "unit_price": self.unit_price,
                "share": str(self.share.fraction),
                "exact": self.exact_text,
                "formula": self.formula,
                "sentence": self.share.sentence,
            }
        return document


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice or a credit note before it has a number; :func:`make_bill` adds it up.

    Attributes:
        type: Invoice, or credit note when the lines come to less than nothing.
        reason: What it was made for.
        currency: Of every amount.
        lines: Lowest tier first; negative amounts are credits.
        tax_rate: Part of the subtotal.
        subtotal: Sum of the lines.
        tax: On the subtotal, rounded once for the document (rule X1).
        total: Subtotal and tax; negative on a credit note.
        credit_applied: Taken from the account's balance (rule C3); 0 on a credit note.
        amount_due: Money to pay; 0 on a credit note, whose total goes to the balance (rule C2).
    """

    type: BillType
    reason: BillReason
    currency: Currency
    lines: tuple[Line, ...]
    tax_rate: Fraction
    subtotal: int
    tax: int
    total: int
    credit_applied: int
    amount_due: int

    @property
    def balance_change(self) -> int:
        """What the bill does to the account's balance: minus what it uses, plus what a credit note grants."""
        return -self.total if self.type is BillType.CREDIT_NOTE else -self.credit_applied

    @property
    def tax_formula(self) -> str:
        """The tax as a sum: "25 % of €240.00 = €60.00"."""
        percent = self.tax_rate * 100
        rate = f"{(Decimal(percent.numerator) / percent.denominator).normalize():f}"
        subtotal, tax = format_money(self.subtotal, self.currency), format_money(self.tax, self.currency)
        return f"{rate} % of {subtotal} = {tax}"

    def to_json(self, at: datetime, *, explained: bool = False) -> dict[str, object]:
        """Return the bill as JSON values.

        Args:
            at: When it is issued. Lines may start earlier: a confirmed preview is charged from its own
                instant (rule Q2).
            explained: Adds the currency and, on each line and the tax, the arithmetic in words.
        """
        document: dict[str, object] = {
            "at": instant_text(at),
            "type": self.type.value,
            "reason": self.reason.value,
            "lines": [line.to_json(explained=explained) for line in self.lines],
            "subtotal": self.subtotal,
            "tax": self.tax,
            "total": self.total,
            "credit_applied": self.credit_applied,
            "amount_due": self.amount_due,
        }
        if explained:
            document |= {"currency": self.currency.code, "tax_formula": self.tax_formula}
        return document


def seat_line(
    kind: LineKind,
    tier: str,
    quantity: int,
    unit_price: int,
    *,
    term: Term,
    currency: Currency,
    share: Share = WHOLE_PERIOD,
) -> Line:
    """Charge (or credit) seats of one tier: quantity × unit price × share, one exact fraction, rounded once.

    Args:
        kind: A :attr:`LineKind.SEAT_CREDIT` is negative.
        tier: Key of the seat tier.
        quantity: Seats, at least 1.
        unit_price: Minor units for one seat and whole period.
        term: The time charged, not the whole period when ``share`` is a part of it.
        currency: Of the price.
        share: The part of the period; the whole one by default.

    Raises:
        ValueError: The quantity is not positive.

    Source: rule P6.
    """
    if quantity < 1:
        raise ValueError(f"A line is for one seat or more, not {quantity}")
    credit = kind is LineKind.SEAT_CREDIT
    exact = (-quantity if credit else quantity) * unit_price * share.fraction
    amount = round_half_away(exact)
    factors = [f"{'−' if credit else ''}{quantity:,}", format_money(unit_price, currency)]
    if kind is not LineKind.SEAT:
        factors.append(share.formula)
    exact_text = format_exact(exact, currency)
    result = exact_text if exact.denominator == 1 else f"{exact_text} → {format_money(amount, currency)}"
    return Line(
        kind=kind,
        tier=tier,
        quantity=quantity,
        start=term.start,
        end=term.end,
        unit_price=unit_price,
        share=share,
        exact=exact,
        amount=amount,
        exact_text=exact_text,
        formula=f"{' × '.join(factors)} = {result}",
    )


def make_bill(
    reason: BillReason, lines: Iterable[Line], *, currency: Currency, tax_rate: Fraction, credit_balance: int
) -> Bill:
    """Add up the lines, tax the total, and use the balance before money.

    Source: rules X1, C2 and C3.
    """
    lines = tuple(lines)
    subtotal = sum(line.amount for line in lines)
    tax = round_half_away(subtotal * tax_rate)
    total = subtotal + tax
    applied = apply_credit(total, credit_balance)
    return Bill(
        type=BillType.INVOICE if total >= 0 else BillType.CREDIT_NOTE,
        reason=reason,
        currency=currency,
        lines=lines,
        tax_rate=tax_rate,
        subtotal=subtotal,
        tax=tax,
        total=total,
        credit_applied=applied,
        amount_due=max(total - applied, 0),
    )


def apply_credit(total: int, credit_balance: int) -> int:
    """Say how much of the balance a total after tax uses: never more than either, nothing on a credit note.

    Source: rule C3.
    """
    return max(min(total, credit_balance), 0)


def draw_credits(credits_left: Sequence[int], amount: int) -> tuple[int, ...]:
    """Split an amount taken from the balance over the credits it is made of, oldest first.

    Args:
        credits_left: What is left of each credit, oldest first, in minor units.
        amount: What :func:`apply_credit` returned.

    Returns:
        What each credit gives, in the same order.

    Raises:
        ValueError: The credits do not hold the amount.

    Source: rule C3.
    """
    drawn = []
    for left in credits_left:
        taken = min(left, amount)
        drawn.append(taken)
        amount -= taken
    if amount:
        raise ValueError(f"{amount} more is to be used than the credits hold")
    return tuple(drawn)


def instant_text(instant: datetime) -> str:
    """Write an aware instant as RFC 3339 in UTC with whole seconds: "2026-03-01T00:00:00Z"."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
