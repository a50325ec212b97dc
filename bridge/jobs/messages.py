"""The mails that deliveries turn into, plain text."""

import uuid
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from bridge.billing.rules.money import Currency, format_money
from bridge.billing.rules.wording import counted
from bridge.ports import Message
from bridge.store.models import Alert, Contract, Invoice, InvoiceLine, Member, SeatPool
from bridge.store.unit import Unit
from bridge.usecases.deliver import Claim
from bridge.usecases.remind import USAGE_MAIL
from bridge.usecases.usage import read_usage

#: So many people a mail names; the console lists them all.
PEOPLE_NAMED = 10


def compose(unit: Unit, claim: Claim) -> Message | None:
    """Write the mail of a delivery; None when there is nobody to tell, or nothing to tell any more."""
    if not claim.to:
        return None
    kinds = {"invoice_mail": _invoice_message, "alert_mail": _alert_message, USAGE_MAIL: _usage_message}
    return kinds[claim.kind](unit, claim)


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


def _usage_message(unit: Unit, claim: Claim) -> Message | None:
    """Sum up the period before its renewal; None when it is over already (rule B6)."""
    contract = unit.session.get_one(Contract, unit.org_id)
    if contract.status != "active" or contract.period_end.isoformat() != claim.subject_id:
        return None
    organization, usage, forecast = unit.organization(), read_usage(unit, of="period"), unit.billing.next_renewal()
    day = f"{contract.period_end.astimezone(ZoneInfo(organization.time_zone)):%Y-%m-%d}"
    currency = Currency(contract.currency)
    what = "ends" if forecast is None else "renews"
    facts = [f"The period of {organization.name} {what} on {day}. So far:", ""]
    facts += [
        f"{one.name}: {counted(one.bought.last, 'seat')} paid for, {one.used.last} in use now, "
        f"{one.used.peak} at most, {one.used.mean} on average"
        for one in usage.tiers
    ]
    if usage.tiers:
        facts.append(f"Holders without a sign-in for {usage.idle_days} days: {len(usage.idle)}")
    if usage.users:
        facts.append(f"Paid users: {usage.users['paid']}, free users: {usage.users['free']}")
    facts.append(f"Invoiced in this period, before tax: {format_money(usage.cost.subtotal, currency)}")
    if forecast is not None:
        facts.append(f"The next invoice, as things are: {format_money(forecast.total, currency)}")
    return Message(
        to=claim.to, subject=f"{organization.name}: usage before {day}", text="\n".join(facts), key=claim.key
    )


def _alert_message(unit: Unit, claim: Claim) -> Message | None:
    """Tell of an alert and of everybody of whom the same is open by now; None when it is settled for all of them."""
    alert = unit.session.get(Alert, (unit.org_id, uuid.UUID(claim.subject_id)))
    if alert is None:
        return None
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
