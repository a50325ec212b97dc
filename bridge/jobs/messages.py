"""The mails that deliveries turn into: plain text, invoices as PDF beside it."""

import uuid
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from bridge.billing.documents import InvoiceDocument, read_document
from bridge.billing.pdf import to_pdf
from bridge.billing.rules.money import Currency, format_money
from bridge.billing.rules.wording import counted, day_text
from bridge.domain.plan_kinds import plan_word
from bridge.ports import Attachment, Message
from bridge.store.agreed import is_followed
from bridge.store.models import Alert, Contract, Invoice, Member, SeatPool
from bridge.store.unit import Unit
from bridge.usecases.approvals import waiting_approval
from bridge.usecases.billing_details import billing_details_of
from bridge.usecases.brake import ALERT as BRAKE_ALERT
from bridge.usecases.deliver import Claim
from bridge.usecases.evaluations import read_evaluation
from bridge.usecases.read_holds import open_holds
from bridge.usecases.remind import EVALUATION_MAIL, USAGE_MAIL
from bridge.usecases.usage import read_usage

#: So many people a mail names; the console lists them all.
PEOPLE_NAMED = 10
_ATTACHED = "It is attached as PDF."


def compose(unit: Unit, claim: Claim) -> Message | None:
    """Write the mail of a delivery; None when there is nobody to tell, or nothing to tell any more.

    Raises:
        NotInstalledError: An invoice is to go as PDF, which cannot be made here.
    """
    writers = {
        "invoice_mail": _invoice_message,
        "alert_mail": _alert_message,
        "approval_mail": _approval_message,
        "hold_reminder": _hold_reminder,
        USAGE_MAIL: _usage_message,
        EVALUATION_MAIL: _evaluation_message,
    }
    return writers[claim.kind](unit, claim)


def _invoice_message(unit: Unit, claim: Claim) -> Message | None:
    """Send an invoice as PDF to the agreed mailboxes (rule W8); without one, tell the owners where it is."""
    invoice_id = uuid.UUID(claim.subject_id)
    if unit.session.get(Invoice, (unit.org_id, invoice_id)) is None:
        return None
    document = read_document(unit, invoice_id)
    mailboxes = billing_details_of(unit).mailboxes
    if not (mailboxes or claim.to):
        return None
    page = f"{plan_word(unit.session.get_one(Contract, unit.org_id).kind)} & billing"
    download = (
        f"Download it in the console, under {page}. No mailbox is agreed that invoices go to: "
        "owners can name one there, under Billing details."
    )
    attached = [Attachment(f"{document.file_name}.pdf", "application/pdf", to_pdf(document))] if mailboxes else []
    return Message(
        to=mailboxes or claim.to,
        subject=f"{document.title} {document.number}{_seller_of(document)}",
        text="\n".join((*_invoice_lines(document), "", _ATTACHED if mailboxes else download)),
        key=claim.key,
        attachments=attached,
    )


def _invoice_lines(document: InvoiceDocument) -> Iterator[str]:
    """Write what an invoice says, for who reads the mail and not the file."""
    facts, money = document.facts, document.money
    issued = f"{document.title} {document.number}{_seller_of(document)} for {facts.buyer_name}"
    yield f"{issued}, {day_text(facts.issued_on)}."
    if facts.buyer.purchase_order:
        yield f"Order number: {facts.buyer.purchase_order}"
    if document.credits:
        yield f"Credits: {document.credits}"
    yield ""
    for line in document.lines:
        yield f"{line.name}: {line.formula}"
    yield ""
    yield f"Subtotal: {money(document.subtotal)}"
    yield f"{document.tax_label}: {money(document.tax)}"
    yield f"{'Credited' if document.is_credit_note else 'Total'}: {money(document.total)}"
    if document.credit_applied:
        yield f"Credit used: {money(-document.credit_applied)}"
    if not document.is_credit_note:
        yield f"Amount due: {money(document.amount_due)}"
    yield ""
    yield document.terms
    if document.transfer_to:
        yield f"Transfer to {document.transfer_to}, and name {document.number}."


def _seller_of(document: InvoiceDocument) -> str:
    return f" from {document.facts.seller.name}" if document.facts.seller else ""


def _usage_message(unit: Unit, claim: Claim) -> Message | None:
    """Sum up the period before its renewal; None when it is over already (rule B6)."""
    contract = unit.session.get_one(Contract, unit.org_id)
    if not claim.to or contract.status != "active" or contract.period_end.isoformat() != claim.subject_id:
        return None
    organization, usage, forecast = unit.organization(), read_usage(unit, of="period"), unit.billing.next_renewal()
    day = f"{contract.period_end.astimezone(ZoneInfo(organization.time_zone)):%Y-%m-%d}"
    currency = Currency(contract.currency)
    what = "ends" if forecast is None or is_followed(unit) else "renews"
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


def _evaluation_message(unit: Unit, claim: Claim) -> Message | None:
    """Say that an evaluation ends, and what comes then; None when its end is another one by now (rule B2)."""
    view = read_evaluation(unit)
    if view is None or not claim.to or view.until.isoformat() != claim.subject_id:
        return None
    organization, bill = unit.organization(), view.first_bill
    lines = [f"{view.sentence}.", ""]
    if bill is not None:
        lines += [f"{line.tier}: {line.formula}" for line in bill.lines]
        lines.append(f"First invoice then, as things are: {format_money(bill.total, Currency(bill.currency))}")
    elif view.follows is not None:
        lines.append("Nothing is invoiced when it begins.")
    if view.follows is not None:
        lines.append("You can begin it earlier, or cancel it until then, in the console under Seats & billing.")
    else:
        lines.append("To go on, agree a plan with your account manager before. Nothing is deleted either way.")
    subject = f"{organization.name}: the evaluation ends in {counted(view.days_left, 'day')}"
    return Message(to=claim.to, subject=subject, text="\n".join(lines), key=claim.key)


def _alert_message(unit: Unit, claim: Claim) -> Message | None:
    """Tell of an alert and of everybody of whom the same is open by now; None when it is settled for all of them."""
    alert = unit.session.get(Alert, (unit.org_id, uuid.UUID(claim.subject_id)))
    if alert is None or not claim.to:
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
    if not found or not claim.to:
        return None
    hold, organization = found[0], unit.organization()
    people = "a change of 1 person" if hold.number == 1 else f"a change of {hold.number:,} people"
    text = "\n".join(
        [
            hold.sentence,
            f"Held since {hold.at:%Y-%m-%d %H:%M} UTC. Until an owner decides, these people keep access and seats.",
            *([hold.deadline] if hold.deadline else []),
            "",
            "Releasing it now would do this:",
            *(f"- {effect}" for effect in hold.effects),
            "",
            "Look at the names and decide in the console under Brake, or have the operator run",
            f"seatbridge brake show {organization.slug}",
        ]
    )
    return Message(to=claim.to, subject=f"{organization.name}: {people} {what}", text=text, key=claim.key)


def _approval_message(unit: Unit, claim: Claim) -> Message | None:
    """Tell of a request that waits for an owner; None when it was decided meanwhile."""
    approval = waiting_approval(unit, uuid.UUID(claim.subject_id))
    if approval is None or not claim.to:
        return None
    who = f"{approval.submitted_by[:1].upper()}{approval.submitted_by[1:]}"
    lines = [f"{who} asks for {approval.summary}.", *([f"“{approval.note}”"] if approval.note else [])]
    lines += ["", "Open it in the console under Requests: you see what it does and costs at that moment."]
    lines += ["Approve exactly that, or decline. Nothing happens before."]
    subject = f"{unit.organization().name}: a change waits for your approval"
    return Message(to=claim.to, subject=subject, text="\n".join(lines), key=claim.key)
