"""The tables of the embedded core: the plan as the rules see it, and invoices that are numbered without gaps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, or_, select

from bridge.billing.rules import bills
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    ContractStatus,
    ContractTerms,
    Reduction,
    RenewalBasis,
    SeatCount,
    Tier,
    contract_terms,
)
from bridge.billing.rules.money import Currency
from bridge.billing.rules.proration import ProrationMethod
from bridge.billing.rules.terms import Cycle
from bridge.domain.identifiers import new_id
from bridge.domain.issued_facts import IssuedFacts, PrecedingInvoice
from bridge.domain.tax import treat_tax
from bridge.errors import IdempotencyConflictError
from bridge.ports import Bill, BillLine, InvoiceReference
from bridge.store.agreed import goes_on
from bridge.store.models import Contract, Invoice, InvoiceLine, Member, SeatPool
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.billing_details import billing_details_of


def read_contract(unit: Unit) -> Contract:
    """Return the organization's contract as the database has it now."""
    return unit.session.scalars(
        select(Contract).where(Contract.org_id == unit.org_id).execution_options(populate_existing=True)
    ).one()


def terms_of(contract: Contract, pools: Iterable[SeatPool], *, renews: bool) -> ContractTerms:
    """Return what was agreed, as the rules take it; the tiers stand lowest first."""
    return contract_terms(
        ContractKind(contract.kind),
        anchor=contract.anchor,
        currency=Currency(contract.currency),
        cycle=Cycle(contract.cycle),
        time_zone=contract.time_zone,
        tax_rate=Fraction(contract.tax_rate),
        proration=ProrationMethod(contract.proration),
        reduction=Reduction(contract.reduction),
        minimum_seats=contract.minimum_seats,
        auto_renew=renews,
        renewal_basis=RenewalBasis(contract.renewal_basis),
        contract_minimum=contract.contract_minimum,
        tiers=tuple(Tier(pool.tier, pool.name) for pool in sorted(pools, key=lambda pool: pool.rank)),
    )


def state_of(unit: Unit, contract: Contract) -> ContractState:
    """Return where the plan stands.

    A pool's ``total`` is the next period's allocation: never more than is paid for, so it is what can be assigned now.
    """
    pools = read_pools(unit)
    return ContractState(
        terms=terms_of(contract, pools, renews=goes_on(unit, contract)),
        period_index=contract.period_index,
        status=ContractStatus(contract.status),
        seats={pool.tier: SeatCount(paid=pool.paid, next=pool.total) for pool in pools},
        prices={pool.tier: pool.price for pool in pools},
        next_prices={pool.tier: pool.next_price for pool in pools},
        credit_balance=contract.credit_balance,
    )


def seats_in_use(unit: Unit) -> dict[str, int]:
    """Count the seats assigned to active members, by tier; a tier that nobody holds is missing (rule R7)."""
    rows = unit.session.execute(
        select(Member.tier, func.count())
        .where(Member.org_id == unit.org_id, Member.active, Member.tier.is_not(None))
        .group_by(Member.tier)
    )
    return {tier: count for tier, count in rows if tier is not None}


def bill_for_callers(bill: bills.Bill) -> Bill:
    """Return a bill of the rules in the words of the port."""
    return Bill(
        type=str(bill.type),
        reason=str(bill.reason),
        currency=bill.currency.code,
        lines=tuple(lines_for_callers(bill)),
        subtotal=bill.subtotal,
        tax=bill.tax,
        total=bill.total,
        credit_applied=bill.credit_applied,
        amount_due=bill.amount_due,
    )


def lines_for_callers(bill: bills.Bill) -> Iterable[BillLine]:
    """Return the lines of a bill in the words of the port."""
    return (
        BillLine(
            kind=str(line.kind),
            tier=line.tier,
            quantity=line.quantity,
            start=line.start,
            end=line.end,
            unit_price=line.unit_price,
            amount=line.amount,
            formula=line.formula,
            exact=line.exact_text,
            explanation=line.share.sentence,
            share=str(line.share.fraction),
        )
        for line in bill.lines
    )


def balance_change(bill: Bill) -> int:
    """Return what a bill does to the account's balance (rules C2 and C3)."""
    return -bill.total if bill.type == "credit_note" else -bill.credit_applied


def find_invoice(unit: Unit, key: str) -> Invoice | None:
    """Return the invoice of a business key, if that fact was billed before."""
    return unit.session.scalars(select(Invoice).where(Invoice.org_id == unit.org_id, Invoice.key == key)).one_or_none()


def repeated_invoice(unit: Unit, key: str, bill: Bill | None) -> Invoice | None:
    """Return the invoice that a repeated key has made already; None for a new key.

    What counts as the same content is what was bought (reason, tiers and quantities), not its price: the repeat may
    come a second later, when the rest of the period costs less.

    Raises:
        IdempotencyConflictError: The key billed something else (rule Q5).
    """
    invoice = find_invoice(unit, key)
    if invoice is None:
        return None
    billed = sorted(
        (kind, tier, quantity)
        for kind, tier, quantity in unit.session.execute(
            select(InvoiceLine.kind, InvoiceLine.tier, InvoiceLine.quantity).where(
                InvoiceLine.org_id == unit.org_id, InvoiceLine.invoice_id == invoice.id
            )
        )
    )
    wanted = sorted((line.kind, line.tier, line.quantity) for line in bill.lines) if bill else []
    if bill is None or (invoice.reason, billed) != (bill.reason, wanted):
        raise IdempotencyConflictError(key)
    return invoice


@dataclass(frozen=True, slots=True)
class Charged:
    """What came of a charge: no invoice where nothing was billed, an older one where the key is not new."""

    invoice: Invoice | None
    is_new: bool


def charge_once(unit: Unit, bill: Bill | None, *, key: str, counts: "Counts", write: Callable[[], None]) -> Charged:
    """Charge a bill for a business fact and write what it is for; a repeated key writes nothing.

    Args:
        unit: The unit; the organization is locked here.
        bill: What was shown; None when nothing is charged.
        key: The business fact.
        counts: What the invoice's quantities count.
        write: Refuses what is no longer as it was shown, and writes what is charged for.

    Raises:
        IdempotencyConflictError: The key billed something else (rule Q5).
        PreviewStaleError: As ``write`` says.
    """
    unit.lock()
    repeated = repeated_invoice(unit, key, bill)
    if repeated is not None:
        return Charged(repeated, is_new=False)
    write()
    if bill is None:
        return Charged(None, is_new=True)
    read_contract(unit).credit_balance += balance_change(bill)
    return Charged(issue_invoice(unit, bill, key=key, at=unit.at, counts=counts), is_new=True)


class Counts(StrEnum):
    """What the quantities of an invoice count."""

    SEATS = "seats"
    PEOPLE = "people"
    """Who held a seat or a licence, each once."""
    TEAMS = "teams"
    FEE = "fee"
    """Nothing: a fee is one whatever is used."""


def issue_invoice(unit: Unit, bill: Bill, *, key: str, at: datetime, counts: Counts) -> Invoice:
    """Write an invoice with its lines and the organization's next number, as "NORDLYS-000001".

    Args:
        unit: The unit; the organization's lock makes the numbers one sequence without gaps.
        bill: What it says.
        key: The business fact it bills.
        at: When it is issued: the boundary for a renewal, however late a worker comes to it.
        counts: What its quantities count.
    """
    state = unit.lock()
    state.invoice_number += 1
    invoice = Invoice(
        org_id=unit.org_id,
        id=new_id(),
        number=f"{unit.organization().slug.upper()}-{state.invoice_number:06}",
        key=key,
        type=bill.type,
        reason=bill.reason,
        counts=str(counts),
        journal_seq=state.audit_seq,
        at=at,
        currency=bill.currency,
        subtotal=bill.subtotal,
        tax=bill.tax,
        total=bill.total,
        credit_applied=bill.credit_applied,
        amount_due=bill.amount_due,
        facts=replace(facts_at_issue(unit, at), preceding=_preceding(unit, bill)).to_document(),
    )
    unit.session.add(invoice)
    unit.session.flush()
    unit.session.add_all(
        InvoiceLine(
            org_id=unit.org_id,
            invoice_id=invoice.id,
            position=position,
            kind=line.kind,
            tier=line.tier,
            quantity=line.quantity,
            start=line.start,
            end=line.end,
            unit_price=line.unit_price,
            amount=line.amount,
            formula=line.formula,
            exact=line.exact,
            explanation=line.explanation,
            share=line.share,
        )
        for position, line in enumerate(bill.lines, 1)
    )
    unit.session.flush()
    return invoice


def facts_at_issue(unit: Unit, at: datetime) -> IssuedFacts:
    """Gather what a document that is issued now says beside its amounts (rule B1)."""
    organization, contract = unit.organization(), read_contract(unit)
    buyer = billing_details_of(unit)
    issued_on = at.astimezone(ZoneInfo(organization.time_zone)).date()
    debited = contract.kind == ContractKind.TEAM
    terms = buyer.payment_terms_days if buyer.payment_terms_days is not None else unit.payment_terms_days
    return IssuedFacts(
        issued_on=issued_on,
        due_on=issued_on if debited else issued_on + timedelta(days=terms),
        debited=debited,
        time_zone=organization.time_zone,
        organization=organization.name,
        seller=unit.seller,
        buyer=buyer,
        tax=treat_tax(contract.tax_rate, unit.seller, buyer),
        names={pool.tier: pool.name for pool in read_pools(unit)},
    )


def _preceding(unit: Unit, bill: Bill) -> tuple[PrecedingInvoice, ...]:
    """Find what a credit note gives something back of: the invoices that charged its tiers for any of its time."""
    if bill.type != bills.BillType.CREDIT_NOTE:
        return ()
    charged = or_(
        *(
            and_(InvoiceLine.tier == line.tier, InvoiceLine.start < line.end, InvoiceLine.end > line.start)
            for line in bill.lines
        )
    )
    found = unit.session.execute(
        select(Invoice.number, Invoice.at, Invoice.facts)
        .join(InvoiceLine, and_(InvoiceLine.org_id == Invoice.org_id, InvoiceLine.invoice_id == Invoice.id))
        .where(Invoice.org_id == unit.org_id, Invoice.type == bills.BillType.INVOICE, InvoiceLine.amount > 0, charged)
        .order_by(Invoice.at, Invoice.number)
    )
    zone = ZoneInfo(unit.organization().time_zone)
    days = {
        number: date.fromisoformat(facts["issued_on"]) if facts else at.astimezone(zone).date()
        for number, at, facts in found
    }
    return tuple(PrecedingInvoice(number, day) for number, day in days.items())


def reference_to(invoice: Invoice) -> InvoiceReference:
    """Return an invoice as the rest of the product refers to it."""
    return InvoiceReference(
        id=str(invoice.id),
        number=invoice.number,
        total=invoice.total,
        amount_due=invoice.amount_due,
        currency=invoice.currency,
    )
