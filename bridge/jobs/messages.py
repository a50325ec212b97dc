"""The mails that deliveries turn into, plain text."""

import uuid
from zoneinfo import ZoneInfo

from sqlalchemy import select

from bridge.billing.rules.money import Currency, format_money
from bridge.ports import Message
from bridge.store.models import Alert, Invoice, InvoiceLine, Member, SeatPool
from bridge.store.unit import Unit
from bridge.usecases.deliver import Claim


def compose(unit: Unit, claim: Claim) -> Message | None:
    """Write the mail of a delivery; None when there is nobody to tell, or nothing to tell any more."""
    if not claim.to:
        return None
    return {"invoice_mail": _invoice_message, "alert_mail": _alert_message}[claim.kind](unit, claim)


def _invoice_message(unit: Unit, claim: Claim) -> Message | None:
    invoice = unit.session.get(Invoice, (unit.org_id, uuid.UUID(claim.subject_id)))
    if invoice is None:
        return None
    lines = unit.session.scalars(
        select(InvoiceLine)
        .where(InvoiceLine.org_id == unit.org_id, InvoiceLine.invoice_id == invoice.id)
        .order_by(InvoiceLine.position)
    )
    organization = unit.organization()
    day = invoice.at.astimezone(ZoneInfo(organization.time_zone))
    text = "\n".join(
        [
            f"Invoice {invoice.number} for {organization.name}, {day:%Y-%m-%d}.",
            "",
            *(line.formula for line in lines),
            "",
            f"Amount due: {format_money(invoice.amount_due, Currency(invoice.currency))}",
        ]
    )
    return Message(to=claim.to, subject=f"Invoice {invoice.number}", text=text, key=claim.key)


def _alert_message(unit: Unit, claim: Claim) -> Message | None:
    alert = unit.session.get(Alert, (unit.org_id, uuid.UUID(claim.subject_id)))
    if alert is None or alert.resolved_at is not None:
        return None
    name = unit.session.scalars(
        select(Member.display_name).where(Member.org_id == unit.org_id, Member.id == alert.member_id)
    ).one_or_none()
    tier = unit.session.scalars(
        select(SeatPool.name).where(SeatPool.org_id == unit.org_id, SeatPool.tier == alert.tier)
    ).one_or_none()
    facts = [alert.detail, *([f"Person: {name}"] if name else []), *([f"Tier: {tier}"] if tier else [])]
    return Message(
        to=claim.to, subject=f"{unit.organization().name}: {alert.detail}", text="\n".join(facts), key=claim.key
    )
