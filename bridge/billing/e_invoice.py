"""What every e-invoice syntax shares: which documents can be one, amounts, quantities and dates (EN 16931-1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from lxml import etree

from bridge.billing.documents import DocumentLine, InvoiceDocument
from bridge.domain.billing_parties import Seller
from bridge.domain.tax import TaxCategory
from bridge.errors import EInvoiceIncompleteError

#: EN 16931 states amounts with at most so many decimals (BR-DEC-01 to BR-DEC-28).
_MOST_DIGITS: Final = 2
#: The specification that is obeyed (BT-24): EN 16931 itself, in either syntax.
GUIDELINE: Final = "urn:cen.eu:en16931:2017"
INVOICE_CODE: Final = "380"
CREDIT_NOTE_CODE: Final = "381"
#: UN/ECE Recommendation 20: "one", for seats, licences and fees alike.
UNIT_CODE: Final = "C62"
#: Scheme of electronic addresses that are mail addresses (EAS).
MAIL_SCHEME: Final = "EM"
TRANSFER_CODE: Final = "30"
#: UNCL4461 "instrument not defined": the seller collects by the means agreed, or names no account.
UNDEFINED_CODE: Final = "1"
#: Codes of the reasons why no VAT is charged (VATEX).
EXEMPTIONS: Final = {TaxCategory.REVERSE_CHARGE: "VATEX-EU-AE", TaxCategory.OUT_OF_SCOPE: "VATEX-EU-O"}


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a line: ``amount`` for ``base`` of them, so that quantity × amount ÷ base is the line's amount."""

    amount: Decimal
    base: int


def seller_of(document: InvoiceDocument) -> Seller:
    """Return the seller of a document that can be an e-invoice.

    Raises:
        EInvoiceIncompleteError: The document lacks what EN 16931 asks for, or has amounts that it cannot state; every
            lack is named.
    """
    missing = missing_for_e_invoice(document)
    seller = document.facts.seller
    if missing or seller is None:
        raise EInvoiceIncompleteError(document.number, missing)
    return seller


def missing_for_e_invoice(document: InvoiceDocument) -> tuple[str, ...]:
    """Name what EN 16931 asks for and the document does not say; empty when an e-invoice can be made of it."""
    facts, missing = document.facts, []
    seller, category = facts.seller, facts.tax.category
    if seller is None:
        missing.append("the seller (settings seller.*)")
    else:
        if not seller.address.country:  # BR-9
            missing.append("the seller's country (seller.country)")
        if category is not TaxCategory.OUT_OF_SCOPE and not seller.vat_id:  # BR-S-2, BR-Z-2, BR-AE-2
            missing.append("the seller's VAT identifier (seller.vat_id)")
        if category is TaxCategory.OUT_OF_SCOPE and not seller.registration:  # BR-CO-26: no VAT identifier is stated
            missing.append("the seller's registration (seller.registration)")
    if not facts.buyer.address.country:  # BR-11
        missing.append("the buyer's country (billing details)")
    amounts = (
        document.subtotal,
        document.tax,
        document.total,
        document.amount_due,
        *(x.amount for x in document.lines),
    )
    excess = document.currency.digits - _MOST_DIGITS
    if excess > 0 and any(amount % 10**excess for amount in amounts):
        missing.append(f"amounts in {document.currency.code} with {_MOST_DIGITS} decimals, the most that it can state")
    return tuple(missing)


def amount_text(document: InvoiceDocument, minor: int) -> str:
    """Write an amount in major units, exactly: "1000.00", "1000" for JPY, "12.50" for 12.500 KWD."""
    excess = max(document.currency.digits - _MOST_DIGITS, 0)
    return str(Decimal(minor // 10**excess).scaleb(excess - document.currency.digits))


def percent(document: InvoiceDocument) -> str:
    """Write the rate as a percentage (BT-119), "25" for "0.25"."""
    share = Decimal(document.facts.tax.rate) * 100
    return f"{share.normalize():f}"


def price_of(document: InvoiceDocument, line: DocumentLine) -> Price:
    """Return the price of a line (BT-146 and BT-149).

    The agreed price where quantity × price is the amount. Where only a part of a period is charged, the line's amount
    is the price of the whole quantity: no division, so nothing is rounded twice.
    """
    if line.quantity * line.unit_price == abs(line.amount):
        return Price(Decimal(line.unit_price).scaleb(-document.currency.digits), 1)
    return Price(Decimal(abs(line.amount)).scaleb(-document.currency.digits), max(line.quantity, 1))


def billed_quantity(line: DocumentLine) -> int:
    """Return the quantity (BT-129): negative where time is credited on an invoice, for prices never are (BR-27)."""
    quantity = max(line.quantity, 1)
    return -quantity if line.amount < 0 else quantity


def compact_day(day: date) -> str:
    """Write a day as CII does, "20260301"."""
    return f"{day:%Y%m%d}"


def payable(document: InvoiceDocument) -> int:
    """Return what is to be paid (BT-115); of a credit note, what is credited."""
    return document.total if document.is_credit_note else document.total - document.credit_applied


def notes(document: InvoiceDocument) -> list[str]:
    """Return what stands at the end of the document (BT-22)."""
    seller = document.facts.seller
    return [text for text in (document.terms, seller.note if seller else "") if text]


def add(
    parent: etree._Element, namespaces: Mapping[str, str], name: str, text: str | None = None, **attributes: str
) -> etree._Element:
    """Append an element that is named by its prefix, as "cbc:ID"."""
    prefix, _, local = name.partition(":")
    element = etree.SubElement(parent, f"{{{namespaces[prefix]}}}{local}", attributes)
    element.text = text
    return element
