"""Issued documents for tests, made of nothing but their own values."""

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

from bridge.billing.documents import DocumentLine, InvoiceDocument
from bridge.billing.rules.bills import BillType
from bridge.billing.rules.money import Currency, round_half_away
from bridge.domain.billing_parties import Address, BillingDetails, Seller
from bridge.domain.issued_facts import IssuedFacts, PrecedingInvoice
from bridge.domain.tax import treat_tax

SELLER = Seller(
    "Seats AB",
    Address(("Storgatan 1", "2 tr"), "111 22", "Stockholm", "SE"),
    vat_id="SE556000000001",
    registration="556000-0000",
    email="billing@seats.test",
    phone="+46 8 000 00 00",
    iban="SE4550000000058398257466",
    bic="ESSESESS",
    note="Seats AB, seat of the board: Stockholm",
)
BUYER = BillingDetails(
    legal_name="Nordlys <AS> & søn",
    address=Address(("Havnegata 1",), "0150", "Oslo", "NO"),
    vat_id="NO999888777MVA",
    purchase_order="PO-4711",
    buyer_reference="04011000-12345-34",
    cost_reference="4711",
    mailboxes=("ap@nordlys.test",),
    payment_terms_days=30,
)

PRECEDING = (
    PrecedingInvoice("NORDLYS-000001", date(2026, 2, 1)),
    PrecedingInvoice("NORDLYS-000004", date(2026, 2, 15)),
)


def line(amount: int, position: int = 1, **changes: Any) -> DocumentLine:
    """One line of a document: five Standard seats for March by default."""
    made = DocumentLine(
        position=position,
        kind="seat",
        tier="standard",
        name="Standard seat",
        quantity=5,
        start=date(2026, 3, 1),
        end=date(2026, 3, 31),
        unit_price=2500,
        amount=amount,
        formula="5 × €25.00 = €125.00",
        exact="€125.00",
        explanation="",
    )
    return replace(made, **changes)


def document(
    *lines: DocumentLine,
    rate: str = "0.25",
    seller: Seller | None = SELLER,
    buyer: BillingDetails = BUYER,
    currency: str = "EUR",
    credit: int = 0,
    credit_note: bool = False,
    debited: bool = False,
    preceding: tuple[PrecedingInvoice, ...] = (),
) -> InvoiceDocument:
    """An issued document over its lines; tax by rule X1."""
    lines = lines or (line(12500),)
    subtotal = sum(one.amount for one in lines)
    tax = round_half_away(subtotal * Fraction(rate))
    total = subtotal + tax
    return InvoiceDocument(
        id=uuid.UUID(int=7),
        number="NORDLYS-000007",
        type=BillType.CREDIT_NOTE if credit_note else BillType.INVOICE,
        reason="seat_change",
        at=datetime(2026, 3, 1, 10, tzinfo=UTC),
        currency=Currency(currency),
        facts=IssuedFacts(
            issued_on=date(2026, 3, 1),
            due_on=date(2026, 3, 1 if debited else 31),
            debited=debited,
            time_zone="Europe/Oslo",
            organization="Nordlys",
            seller=seller,
            buyer=buyer,
            tax=treat_tax(rate, seller, buyer),
            names={"standard": "Standard"},
            preceding=preceding,
        ),
        lines=lines,
        subtotal=subtotal,
        tax=tax,
        total=total,
        credit_applied=credit,
        amount_due=0 if credit_note else total - credit,
    )
