"""Invoices and their lines as tables: the same facts as on the page, one row each, amounts in major units."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Final

from bridge.billing.documents import InvoiceDocument, documents_of, list_ids
from bridge.domain.tables import Cell, Table
from bridge.store.unit import Unit

#: Columns keep their names and their order; new ones come at the end.
INVOICE_COLUMNS: Final = (
    "number",
    "type",
    "reason",
    "issued_on",
    "due_on",
    "seller",
    "buyer",
    "buyer_vat_id",
    "purchase_order",
    "cost_reference",
    "currency",
    "subtotal",
    "tax_category",
    "tax_percent",
    "tax",
    "total",
    "credit_applied",
    "amount_due",
    "paid",
)
LINE_COLUMNS: Final = (
    "number",
    "line",
    "kind",
    "tier",
    "item",
    "quantity",
    "period_start",
    "period_end",
    "currency",
    "unit_price",
    "amount",
    "formula",
    "explanation",
)
_AT_ONCE: Final = 200


def invoice_table(unit: Unit) -> Table:
    """Return every invoice and credit note, a row each; amounts of a credit note are negative, so that sums are right.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    return Table("invoices", INVOICE_COLUMNS, (_invoice_row(one, paid) for one, paid in _documents(unit)))


def line_table(unit: Unit) -> Table:
    """Return every line of every invoice, a row each, signed as the invoices are.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    return Table("lines", LINE_COLUMNS, (row for one, _ in _documents(unit) for row in _line_rows(one)))


def _documents(unit: Unit) -> Iterator[tuple[InvoiceDocument, int]]:
    """Read a batch at a time; who may not see money is refused at once and not at the first row."""
    ids = iter(list_ids(unit))

    def read() -> Iterator[tuple[InvoiceDocument, int]]:
        while batch := list(islice(ids, _AT_ONCE)):
            yield from documents_of(unit, batch)

    return read()


def _invoice_row(document: InvoiceDocument, paid: int) -> tuple[Cell, ...]:
    facts = document.facts
    return (
        document.number,
        str(document.type),
        document.reason,
        facts.issued_on,
        facts.due_on,
        facts.seller.name if facts.seller else None,
        facts.buyer_name,
        facts.buyer.vat_id or None,
        facts.buyer.purchase_order or None,
        facts.buyer.cost_reference or None,
        document.currency.code,
        _major(document, document.subtotal),
        str(facts.tax.category),
        Decimal(facts.tax.rate) * 100 if document.rate_is_known else None,
        _major(document, document.tax),
        _major(document, document.total),
        _plain(document, document.credit_applied),
        _plain(document, document.amount_due),
        _plain(document, paid),
    )


def _line_rows(document: InvoiceDocument) -> Iterator[tuple[Cell, ...]]:
    for line in document.lines:
        yield (
            document.number,
            line.position,
            line.kind,
            line.tier,
            line.name,
            line.quantity,
            line.start,
            line.end,
            document.currency.code,
            _plain(document, line.unit_price),
            _major(document, line.amount),
            line.formula,
            line.explanation or None,
        )


def _major(document: InvoiceDocument, minor: int) -> Decimal:
    """Write an amount with the ledger's sign: a credit note's minus comes back."""
    return _plain(document, -minor if document.is_credit_note else minor)


def _plain(document: InvoiceDocument, minor: int) -> Decimal:
    return Decimal(minor).scaleb(-document.currency.digits)
