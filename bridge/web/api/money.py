"""Bills and invoices as documents: every amount in minor units, with its formula."""

from datetime import datetime

from bridge.ports import Bill
from bridge.web.api.shapes import Answer


class BillLineShape(Answer):
    """One line; the period is [start, end)."""

    kind: str
    tier: str
    quantity: int
    start: datetime
    end: datetime
    unit_price: int
    amount: int
    formula: str
    explanation: str


class BillShape(Answer):
    """What something costs, before it is an invoice."""

    currency: str
    lines: list[BillLineShape]
    subtotal: int
    tax: int
    total: int
    credit_applied: int
    amount_due: int


class InvoiceReferenceShape(Answer):
    """An invoice that was issued."""

    id: str
    number: str
    total: int
    amount_due: int
    currency: str


class OrderReferenceShape(Answer):
    """An order on its way to a billing core of the organization's own; seats and invoice come when it has confirmed."""

    id: str
    state: str


class BudgetUseShape(Answer):
    """Seats bought within a budget. Amounts are null for keys that may not see money."""

    tier: str
    cost_centre: str
    until: datetime
    seats: int
    amount: int | None = None
    currency: str | None = None
    formula: str | None = None
    total: int | None = None
    full_amount: int | None = None
    seats_left: int | None
    amount_left: int | None = None


class InvoiceLineShape(Answer):
    """One line of an invoice; the period is [start, end)."""

    position: int
    kind: str
    tier: str
    quantity: int
    start: datetime
    end: datetime
    unit_price: int
    amount: int
    formula: str
    explanation: str


def bill_total(bill: Bill | None) -> int:
    """Return what is charged, tax included; nothing without a bill."""
    return 0 if bill is None else bill.total
