"""Invoices: listed, explained line by line, as PDF, e-invoice and table; and whom they are addressed to."""

import io
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AliasPath, Field

from bridge.adapters.spreadsheets import TableFormat, write_tables
from bridge.billing.cii import to_cii
from bridge.billing.documents import InvoiceDocument, read_document
from bridge.billing.pdf import to_pdf
from bridge.billing.tables import invoice_table, line_table
from bridge.billing.ubl import to_ubl
from bridge.billing.why_invoice import why_invoice
from bridge.domain.billing_parties import flat
from bridge.domain.roles import Permission
from bridge.domain.scopes import Scope
from bridge.domain.tables import Table
from bridge.errors import NotFoundError
from bridge.usecases.access_review import review_access
from bridge.usecases.audit_export import export_audit
from bridge.usecases.billing_details import change_billing_details, read_billing_details
from bridge.usecases.billing_orders import list_orders
from bridge.usecases.exports import record_export
from bridge.usecases.licences import holders_table
from bridge.usecases.seats import InvoiceView, list_invoices, read_invoice, read_next_invoice
from bridge.usecases.send_invoice import send_invoice
from bridge.usecases.usage import IDLE_DAYS, read_usage
from bridge.web.api.calls import Call
from bridge.web.api.money import BillShape, InvoiceLineShape
from bridge.web.api.operations import Resource
from bridge.web.api.plain import plain
from bridge.web.api.serving import File
from bridge.web.api.shapes import Answer, Body, Document, Page, Query

invoices = Resource("Invoices", "What was charged, line by line with its formula.", "/invoices")
exports = Resource("Exports", "Tables to take away; each is written into the audit.", "/exports")
billing = Resource("Billing", "Whom invoices are addressed to, orders at a billing core, and the usage.", "/billing")


class InvoiceShape(Answer):
    """An invoice or credit note; minor units."""

    id: uuid.UUID
    number: str
    type: str
    reason: str
    at: datetime
    currency: str
    subtotal: int
    tax: int
    total: int
    credit_applied: int
    amount_due: int
    paid: int
    lines: list[InvoiceLineShape]


class InvoicesPage(Page):
    """Invoices, newest first."""

    items: list[InvoiceShape]


class InvoicesQuery(Query):
    """How many invoices."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class CauseShape(Answer):
    """What caused an invoice."""

    text: str
    actor: str
    at: datetime
    request_id: str


class CountedShape(Answer):
    """Somebody, or a team, behind a line."""

    id: uuid.UUID
    name: str
    detail: str


class WhyLineShape(Answer):
    """One line explained."""

    position: int = Field(validation_alias=AliasPath("line", "position"))
    amount: int = Field(validation_alias=AliasPath("line", "amount"))
    formula: str = Field(validation_alias=AliasPath("line", "formula"))
    name: str
    sentence: str
    steps: list[str]
    people: list[CountedShape]
    counts: str
    unheld: int
    changes: list[str]


class WhyInvoiceShape(Answer):
    """An invoice explained, and the number of the one it is compared with."""

    number: str = Field(validation_alias=AliasPath("view", "invoice", "number"))
    cause: CauseShape
    lines: list[WhyLineShape]
    compared_with: str | None = Field(validation_alias="before")


class Sent(Answer):
    """Who an invoice is mailed to."""

    recipients: list[str]


class DetailsShape(Answer):
    """Whom invoices are addressed to."""

    details: Document


class DetailsBody(Body):
    """Fields to change, by the names that reading answers; null takes one back."""

    changes: Document


class NextInvoiceShape(Answer):
    """What is billed next, and when."""

    at: datetime
    bill: BillShape


class OrderShape(Answer):
    """An order of seats at a billing core of the organization's own."""

    id: uuid.UUID
    state: str
    key: str
    created_at: datetime
    closed_at: datetime | None
    attempts: int
    last_error: str | None


class OrdersPage(Page):
    """Orders, newest first."""

    items: list[OrderShape]


class OrdersQuery(Query):
    """Which orders."""

    open_only: bool = False


class UsageQuery(Query):
    """Which quarter, and when somebody is idle."""

    of: Annotated[str | None, Field(description="As `2026-Q1`; the present one by default.")] = None
    idle_days: Annotated[int, Field(ge=1, le=3650)] = IDLE_DAYS


class UsageShape(Answer):
    """A quarter summed up: seats, who is idle, moves and cost."""

    usage: Document


class HoldersQuery(Query):
    """Which month, as `2026-03`; every billed one by default."""

    month: str | None = None


@invoices.get(scope=Scope.BILLING_READ, answer=InvoicesPage)
def list_issued_invoices(call: Call, query: InvoicesQuery) -> object:
    """List the newest invoices with their lines."""
    return {"items": [_shown(view) for view in list_invoices(call.unit, query.limit)]}


@invoices.get("/<uuid:invoice_id>", scope=Scope.BILLING_READ, answer=InvoiceShape)
def get_invoice(call: Call, invoice_id: uuid.UUID) -> object:
    """Read one invoice."""
    return _shown(read_invoice(call.unit, invoice_id))


@invoices.get("/<uuid:invoice_id>/why", scope=Scope.BILLING_READ, answer=WhyInvoiceShape)
def explain_invoice(call: Call, invoice_id: uuid.UUID) -> object:
    """Explain every line: the event, the people, the arithmetic, and what is new."""
    return why_invoice(call.unit, invoice_id)


@invoices.post("/<uuid:invoice_id>/send", scope=Scope.BILLING_WRITE, answer=Sent, status=202)
def mail_invoice(call: Call, invoice_id: uuid.UUID) -> object:
    """Mail an invoice again to whom invoices go to."""
    return {"recipients": send_invoice(call.unit, invoice_id)}


@invoices.get("/<uuid:invoice_id>/pdf", scope=Scope.BILLING_READ, media="application/pdf")
def get_invoice_pdf(call: Call, invoice_id: uuid.UUID) -> object:
    """Give an invoice as PDF, with the e-invoice inside where one can be made."""
    return _file(call, invoice_id, to_pdf, form="pdf", media="application/pdf", suffix=".pdf")


@invoices.get("/<uuid:invoice_id>/xml", scope=Scope.BILLING_READ, media="application/xml")
def get_invoice_xml(call: Call, invoice_id: uuid.UUID) -> object:
    """Give an invoice as e-invoice (EN 16931, Cross Industry Invoice)."""
    return _file(call, invoice_id, to_cii, form="xml", media="application/xml", suffix=".xml")


@invoices.get("/<uuid:invoice_id>/ubl", scope=Scope.BILLING_READ, media="application/xml")
def get_invoice_ubl(call: Call, invoice_id: uuid.UUID) -> object:
    """Give an invoice as e-invoice (EN 16931, UBL 2.1)."""
    return _file(call, invoice_id, to_ubl, form="ubl", media="application/xml", suffix="-ubl.xml")


@exports.get("/invoices.csv", scope=Scope.BILLING_READ, media="text/csv")
def export_invoices(call: Call) -> object:
    """Give every invoice as a table."""
    return _table(call, "invoices", [invoice_table(call.unit)], "invoices")


@exports.get("/invoice-lines.csv", scope=Scope.BILLING_READ, media="text/csv")
def export_invoice_lines(call: Call) -> object:
    """Give every line of every invoice as a table."""
    return _table(call, "invoices", [line_table(call.unit)], "invoice-lines")


@exports.get("/licence-holders.csv", scope=Scope.BILLING_READ, media="text/csv")
def export_licence_holders(call: Call, query: HoldersQuery) -> object:
    """Give the licence holders of the billed months as a table (rule W5)."""
    return _table(call, "licence_holders", [holders_table(call.unit, query.month)], "licence-holders")


@exports.get("/access-review.csv", scope=Scope.PEOPLE_READ, media="text/csv")
def export_access_review(call: Call) -> object:
    """Give the access review as a table: everybody with their seat and why (rule B4)."""
    return _table(call, "access_review", [review_access(call.unit)], "access-review")


@exports.get("/audit.csv", scope=Scope.AUDIT_READ, media="text/csv")
def export_audit_chain(call: Call) -> object:
    """Give the whole audit chain as a table, with its seals.

    It tells of money: it needs an owner's key with `billing:read` too.
    """
    call.unit.require(Permission.SEE_BILLING)
    return _table(call, "audit", [export_audit(call.unit)], "audit")


@billing.get("/details", scope=Scope.BILLING_READ, answer=DetailsShape)
def get_billing_details(call: Call) -> object:
    """Read whom invoices are addressed to."""
    return {"details": flat(read_billing_details(call.unit))}


@billing.patch("/details", scope=Scope.BILLING_WRITE, answer=DetailsShape, reads=get_billing_details)
def set_billing_details(call: Call, body: DetailsBody) -> object:
    """Change whom invoices are addressed to; it counts for invoices issued from now on."""
    return {"details": flat(change_billing_details(call.unit, body.changes))}


@billing.get("/next-invoice", scope=Scope.BILLING_READ, answer=NextInvoiceShape)
def get_next_invoice(call: Call) -> object:
    """Forecast the next invoice from today's seats; 404 where nothing more is billed."""
    found = read_next_invoice(call.unit)
    if found is None:
        raise NotFoundError("next invoice", "of the contract", "Nothing more is billed")
    return found


@billing.get("/orders", scope=Scope.BILLING_READ, answer=OrdersPage)
def list_billing_orders(call: Call, query: OrdersQuery) -> object:
    """List orders of seats at a billing core of the organization's own."""
    return {"items": list_orders(call.unit, only_open=query.open_only)}


@billing.get("/usage", scope=Scope.BILLING_READ, answer=UsageShape)
def get_usage(call: Call, query: UsageQuery) -> object:
    """Sum a quarter up: seats, who is idle, moves, cost."""
    return {"usage": plain(read_usage(call.unit, of=query.of, idle_days=query.idle_days))}


def _shown(view: InvoiceView) -> dict[str, Any]:
    names = ("id", "number", "type", "reason", "at", "currency", "subtotal", "tax", "total", "credit_applied")
    told = {name: getattr(view.invoice, name) for name in (*names, "amount_due")}
    return told | {"paid": view.paid, "lines": view.lines}


def _file(
    call: Call,
    invoice_id: uuid.UUID,
    write: Callable[[InvoiceDocument], bytes],
    *,
    form: str,
    media: str,
    suffix: str,
) -> File:
    document = read_document(call.unit, invoice_id)
    content = write(document)
    record_export(call.unit, "invoice", form=form, rows=1, subject_id=document.id)
    return File(content, media, f"{document.file_name}{suffix}")


def _table(call: Call, what: str, tables: Sequence[Table], name: str) -> File:
    """Write tables whole before the first byte leaves: what breaks off is a problem, never half a file."""
    kind = TableFormat.CSV
    file = io.BytesIO()
    rows = write_tables(file, tables, kind)
    record_export(call.unit, what, form=str(kind), rows=rows)
    return File(file.getvalue(), kind.media_type, f"{name}-{call.unit.organization().slug}.{kind}")
