"""The mails that deliveries turn into, plain text."""

import uuid
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from bridge.billing.rules.money import Currency, format_money
from bridge.ports import Message
from bridge.store.models import Alert, Invoice, InvoiceLine, Member, SeatPool
from bridge.store.unit import Unit
from bridge.usecases.brake import ALERT as BRAKE_ALERT
from bridge.usecases.deliver import Claim
from bridge.usecases.read_holds import open_holds

#: So many people a mail names; the console lists them all.
PEOPLE_NAMED = 10


def compose(unit: Unit, claim: Claim) -> Message | None:
    """Write the mail of a delivery; None when there is nobody to tell, or nothing to tell any more."""
    if not claim.to:
        return None
    writers = {"invoice_mail": _invoice_message, "alert_mail": _alert_message, "hold_reminder": _hold_reminder}
    return writers[claim.kind](unit, claim)


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
    """Tell of an alert and of everybody of whom the same is open by now; None when it is settled for all of them."""
    alert = unit.session.get(Alert, (unit.org_id, uuid.UUID(claim.subject_id)))
    if alert is None:
        return None
    if alert.code == BRAKE_ALERT:
        return _hold_message(unit, claim, "is held by the brake")
    kind = (
        Alert.org_id == unit.org_id,
        Alert.code == alert.code,
        Alert.tier.is_not_distinct_from(alert.tier),
        Alert.resolved_at.is_(None),
    )
    still_open = unit.session.scalar(select(func.count()).select_from(Alert).where(*kind)) or 0
    if not still_open:
        return None
    names = unit.session.scalars(
        select(Member.display_name)
        .join(Alert, (Alert.org_id == Member.org_id) & (Alert.member_id == Member.id))
        .where(*kind)
        .order_by(Alert.at, Member.position)
        .limit(PEOPLE_NAMED)
    ).all()
    tier = unit.session.scalars(
        select(SeatPool.name).where(SeatPool.org_id == unit.org_id, SeatPool.tier == alert.tier)
    ).one_or_none()
    facts = [f"{alert.detail}."]
    if tier:
        facts.append(f"Tier: {tier}")
    if names:
        more = still_open - len(names)
        facts.append(f"Who: {', '.join(names)}" + (f" and {more} more" if more > 0 else ""))
    return Message(
        to=claim.to, subject=f"{unit.organization().name}: {alert.detail}", text="\n".join(facts), key=claim.key
    )


def _hold_reminder(unit: Unit, claim: Claim) -> Message | None:
    """Remind of a hold; None once it was decided about."""
    return _hold_message(unit, claim, "still waits for your decision")


def _hold_message(unit: Unit, claim: Claim, what: str) -> Message | None:
    """Tell of what the brake holds now, and how to decide; None when nothing waits any more."""
    found = open_holds(unit)
    if not found:
        return None
    hold, organization = found[0], unit.organization()
    people = "a change of 1 person" if hold.number == 1 else f"a change of {hold.number:,} people"
    text = "\n".join(
        [
            hold.sentence,
            f"Held since {hold.at:%Y-%m-%d %H:%M} UTC. Until an owner decides, these people keep access and seats.",
            "",
            "Releasing it now would do this:",
            *(f"- {effect}" for effect in hold.effects),
            "",
            "Look at the names and decide in the console under Brake, or have the operator run",
            f"seatbridge brake show {organization.slug}",
        ]
    )
    return Message(to=claim.to, subject=f"{organization.name}: {people} {what}", text=text, key=claim.key)
