"""An issued invoice or credit note as one view: console page, PDF, e-invoices and exports all say what stands here.

Amounts are whole minor units. Those of a credit note are what is credited, so positive; in the ledger, and in the
arithmetic of its lines, they carry a minus.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from bridge.billing.rules.bills import BillType, LineKind
from bridge.billing.rules.money import Currency, format_money
from bridge.billing.rules.wording import counted, day_text
from bridge.domain.billing_parties import BillingDetails
from bridge.domain.issued_facts import IssuedFacts
from bridge.domain.plan_kinds import LICENCE_NAMES
from bridge.domain.roles import Permission
from bridge.domain.tax import TaxCategory, TaxTreatment
from bridge.errors import NotFoundError
from bridge.store.models import Invoice, InvoiceLine
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.mirror_core import is_mirrored
from bridge.usecases.seats import InvoiceView, read_contract, read_invoice, read_invoices

_INSTANT: Final = timedelta(microseconds=1)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9](\.?[A-Za-z0-9_-]){0,79}")
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LINE_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        LineKind.SEAT: "{} seat",
        LineKind.SEAT_PRORATION: "{} seat, rest of the period",
        LineKind.SEAT_CREDIT: "{} seat, unused time",
        LineKind.TEAM_LICENCE: LICENCE_NAMES["team_licence"],
        LineKind.USER_LICENCE: LICENCE_NAMES["user_licence"],
        LineKind.CONTRACT_INSTALMENT: "{}, annual fee",
        LineKind.CONTRACT_AMENDMENT: "{}, higher fee for the rest of the contract year",
    }
)
_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "start": "the first period",
        "renewal": "renewal",
        "seat_change": "a change of seats",
        "month": "a month of licences",
        "instalment": "an instalment of the annual fee",
        "amendment": "an amendment of the contract",
    }
)


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One line; ``start`` and ``end`` are its first and its last day.

    Attributes:
        tier: Key of the tier, for who looks it up.
        name: What is charged, in words.
        quantity: Always positive.
        unit_price: For one and a whole period.
        amount: Negative where something is credited on an invoice.
        formula: The whole sum.
        exact: The amount before it was rounded.
        explanation: The share of the period in words; empty where the whole is charged.
    """

    position: int
    kind: str
    tier: str
    name: str
    quantity: int
    start: date
    end: date
    unit_price: int
    amount: int
    formula: str
    exact: str
    explanation: str


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """What an issued document says. ``facts`` are its parties, days and tax; ``at`` is the instant of issue.

    ``rate_is_known`` is False where a core of the customer's own issued it, which tells the amount of the tax only.
    """

    id: uuid.UUID
    number: str
    type: BillType
    reason: str
    at: datetime
    currency: Currency
    facts: IssuedFacts
    lines: tuple[DocumentLine, ...]
    subtotal: int
    tax: int
    total: int
    credit_applied: int
    amount_due: int
    rate_is_known: bool = True

    @property
    def is_credit_note(self) -> bool:
        """Whether it gives money back, to the account's balance (rule C2)."""
        return self.type is BillType.CREDIT_NOTE

    @property
    def title(self) -> str:
        """What kind of document it is."""
        return "Credit note" if self.is_credit_note else "Invoice"

    @property
    def file_name(self) -> str:
        """The name of its files, without an ending: its number where that is a plain name.

        A core of the customer's own numbers as it likes. Any other number keeps what is plain of it, behind a part of
        the invoice's id, so that no two share a name and none leads into another folder.
        """
        kind = "credit-note" if self.is_credit_note else "invoice"
        if _PLAIN_NAME.fullmatch(self.number):
            return f"{kind}-{self.number}"
        return f"{kind}-{self.id.hex[-12:]}-{_NOT_PLAIN.sub('-', self.number)[:60].strip('-')}".rstrip("-")

    @property
    def what_for(self) -> str:
        """What it was made for, to stand after "For"."""
        return _REASONS.get(self.reason, self.reason)

    @property
    def credits(self) -> str:
        """The invoices of which a credit note gives something back: "NORDLYS-000001 of 1 March 2026"; else empty."""
        return ", ".join(f"{one.number} of {day_text(one.issued_on)}" for one in self.facts.preceding)

    @property
    def tax_label(self) -> str:
        """Name the tax with its rate, if it is known: "VAT 25 %", "VAT 0 %, reverse charge", "No VAT", "VAT"."""
        if not self.rate_is_known:
            return "VAT"
        category = self.facts.tax.category
        if category is TaxCategory.OUT_OF_SCOPE:
            return "No VAT"
        rate = f"VAT {percent_text(self.facts.tax.fraction)} %"
        return f"{rate}, reverse charge" if category is TaxCategory.REVERSE_CHARGE else rate

    @property
    def tax_formula(self) -> str:
        """The tax as a sum: "25 % of €240.00 = €60.00" (rule X1); empty where the rate is not known."""
        if not self.rate_is_known:
            return ""
        rate = percent_text(self.facts.tax.fraction)
        return f"{rate} % of {self.money(self.subtotal)} = {self.money(self.tax)}"

    @property
    def terms(self) -> str:
        """How and when it is paid, as a sentence."""
        if self.is_credit_note:
            return "Added to the account's balance, which is used before money; nothing is paid out."
        if not self.amount_due:
            return "Nothing is due."
        if self.facts.debited:
            return "Collected by itself from the agreed means of payment; nothing has to be transferred."
        days = (self.facts.due_on - self.facts.issued_on).days
        within = f", {counted(days, 'day')} from the invoice's date" if days else ""
        return f"To be paid by {day_text(self.facts.due_on)}{within}."

    @property
    def transfer_to(self) -> str:
        """The account to transfer to, as people read it; empty where nothing has to be transferred."""
        seller = self.facts.seller
        if self.is_credit_note or not self.amount_due or self.facts.debited or seller is None or not seller.iban:
            return ""
        account = " ".join(seller.iban[at : at + 4] for at in range(0, len(seller.iban), 4))
        return f"{account}, BIC {seller.bic}" if seller.bic else account

    @property
    def period(self) -> tuple[date, date]:
        """The first and the last day that any line charges."""
        return min(line.start for line in self.lines), max(line.end for line in self.lines)

    def money(self, minor: int) -> str:
        """Write one of its amounts for people."""
        return format_money(minor, self.currency)


def read_document(unit: Unit, invoice_id: uuid.UUID) -> InvoiceDocument:
    """Return an issued document.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        NotFoundError: There is no such invoice here.
    """
    return document_of(unit, read_invoice(unit, invoice_id))


def find_by_number(unit: Unit, number: str) -> uuid.UUID:
    """Return the id of an invoice by its number, whatever its case; the very number comes before another case of it.

    Raises:
        NotFoundError: There is none here.
    """
    wanted = (
        select(Invoice.id)
        .where(Invoice.org_id == unit.org_id, func.upper(Invoice.number) == func.upper(number))
        .order_by((Invoice.number == number).desc(), Invoice.number)
        .limit(1)
    )
    found = unit.session.scalar(wanted)
    if found is None:
        raise NotFoundError("invoice", number)
    return found


def list_ids(unit: Unit) -> list[uuid.UUID]:
    """Return the ids of every issued document, in the order of their numbers.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    return list(unit.session.scalars(select(Invoice.id).where(Invoice.org_id == unit.org_id).order_by(Invoice.number)))


def documents_of(unit: Unit, ids: Sequence[uuid.UUID]) -> Iterator[tuple[InvoiceDocument, int]]:
    """Yield issued documents in the order of their numbers, each with what was paid of it so far.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    for view in read_invoices(unit, ids):
        yield document_of(unit, view), view.paid


def document_of(unit: Unit, view: InvoiceView) -> InvoiceDocument:
    """Put a stored invoice and its lines together."""
    invoice = view.invoice
    facts = IssuedFacts.from_document(invoice.facts) if invoice.facts else _reconstructed(unit, invoice)
    kind = BillType(invoice.type)
    sign = -1 if kind is BillType.CREDIT_NOTE else 1
    zone = ZoneInfo(facts.time_zone)
    return InvoiceDocument(
        id=invoice.id,
        number=invoice.number,
        type=kind,
        reason=invoice.reason,
        at=invoice.at,
        currency=Currency(invoice.currency),
        facts=facts,
        lines=tuple(_line(line, facts, zone, sign) for line in view.lines),
        subtotal=sign * invoice.subtotal,
        tax=sign * invoice.tax,
        total=sign * invoice.total,
        credit_applied=invoice.credit_applied,
        amount_due=invoice.amount_due,
        rate_is_known=bool(invoice.facts) or not is_mirrored(invoice),
    )


def percent_text(share: Fraction) -> str:
    """Write a share of a hundred without needless zeros: "25", "5.5"."""
    percent = share * 100
    return f"{(Decimal(percent.numerator) / percent.denominator).normalize():f}"


def _line(line: InvoiceLine, facts: IssuedFacts, zone: ZoneInfo, sign: int) -> DocumentLine:
    name = facts.names.get(line.tier, line.tier)
    return DocumentLine(
        position=line.position,
        kind=line.kind,
        tier=line.tier,
        name=_LINE_WORDS[line.kind].format(name) if line.kind in _LINE_WORDS else name,
        quantity=abs(line.quantity),
        start=line.start.astimezone(zone).date(),
        # What another core charges for one instant is of that day.
        end=max(line.end - _INSTANT, line.start).astimezone(zone).date(),
        unit_price=line.unit_price,
        amount=sign * line.amount,
        formula=line.formula,
        exact=line.exact,
        explanation=line.explanation,
    )


def _reconstructed(unit: Unit, invoice: Invoice) -> IssuedFacts:
    """Say of an invoice from before such facts were kept what can be said: nothing of either party's address."""
    organization, contract = unit.organization(), read_contract(unit)
    issued_on = invoice.at.astimezone(ZoneInfo(organization.time_zone)).date()
    return IssuedFacts(
        issued_on=issued_on,
        due_on=issued_on,
        debited=contract.kind == "team",
        time_zone=organization.time_zone,
        organization=organization.name,
        seller=None,
        buyer=BillingDetails(),
        tax=TaxTreatment(TaxCategory.STANDARD if invoice.tax else TaxCategory.ZERO, contract.tax_rate),
        names={pool.tier: pool.name for pool in read_pools(unit)},
    )
