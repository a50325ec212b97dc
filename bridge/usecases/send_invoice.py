"""Sending an issued invoice once more, because somebody asks for it: a mail of its own."""

import uuid

from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.journal import record
from bridge.store.models import Invoice
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery
from bridge.usecases.billing_details import billing_details_of


def send_invoice(unit: Unit, invoice_id: uuid.UUID) -> tuple[str, ...]:
    """Queue an invoice for the agreed mailboxes, as PDF (rule W8).

    Returns:
        The mailboxes it goes to.

    Raises:
        ForbiddenError: The actor may not manage billing (rule Z1).
        NotFoundError: There is no such invoice here.
        InvalidInputError: No mailbox is agreed.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    if unit.session.get(Invoice, (unit.org_id, invoice_id)) is None:
        raise NotFoundError("invoice", str(invoice_id))
    mailboxes = billing_details_of(unit).mailboxes
    if not mailboxes:
        raise InvalidInputError("mailboxes", "none is agreed: `seatbridge billing details set ORG --mailbox ADDRESS`")
    queue_delivery(unit, "invoice_mail", key=f"invoice:{invoice_id}:{new_id()}", subject_id=str(invoice_id))
    record(
        unit,
        "invoice.sent_again",
        subject_kind="invoice",
        subject_id=invoice_id,
        reason="asked_for",
        body={"mailboxes": len(mailboxes)},
        touches_seats=False,
    )
    return mailboxes
