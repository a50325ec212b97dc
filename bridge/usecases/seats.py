"""Seats and money as the pages show them: pools, the contract in sentences, invoices with their arithmetic."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE
from bridge.domain.roles import Permission
from bridge.errors import NotFoundError
from bridge.ports import Bill, FeeFacts
from bridge.store.agreed import is_followed
from bridge.store.models import BillingOrder, Contract, Invoice, InvoiceLine, Organization, Payment, SeatPool
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.agreed_changes import AgreedView, read_agreed_change
from bridge.usecases.evaluations import EvaluationView, read_evaluation
from bridge.usecases.licences import LicencesNow, licences_if_any
from bridge.usecases.lines import waiting_counts
from bridge.usecases.mirror_core import open_order
from bridge.usecases.tier_review import UserCounts, count_users
from mappings.tiers import ANY, TierLadder

INVOICES_SHOWN = 24
NO_REDUCTION = "Seats cannot be dropped before the term ends."
NO_RENEWAL = "Ends by itself with the period: members then have no seat, and nothing is deleted."
FOLLOWED = "Ends by itself then: another plan is agreed to follow it."
NO_LICENCE_RENEWAL = "Ends by itself with the month, which is billed; nothing is deleted."
_BILLED_AFTERWARDS = "Each calendar month is billed when it is over; nothing is bought ahead."
_LICENCE_SENTENCES = {
    "team_licence": (
        "Every team counts for a month in which it was not archived at some time.",
        "Archive a team on any day; it counts from the next month no more.",
        "People are not counted: have as many in a team as you like.",
        _BILLED_AFTERWARDS,
    ),
    "user_licence": (
        "Everybody counts, once, for a month in which they were in a team that was not archived at some time.",
        "Archive a team, or take people out of it, on any day; it counts from the next month.",
        "Members who are in no such team cost nothing.",
        _BILLED_AFTERWARDS,
    ),
}
_ENDED = "The plan has ended: nothing is charged any more, and nothing is deleted."
_EVALUATION_SENTENCES = (
    "Everything works, and nothing is invoiced, until the evaluation ends.",
    "Move a seat from one person to another: free, at once.",
    "Whoever runs this service sets the number of seats: none is bought or reduced meanwhile.",
)
_FOLLOWED_EVALUATION = "Becomes the agreed plan by itself then, or before when you say so."
NO_PLAN_AFTER = "Ends by itself then: members have no seat, and nothing is deleted."
NO_LOWER_FEE = "The fee cannot be lowered before the term ends."
_LOWER_FEE_AHEAD = (
    "Agree a lower fee for the next term on any day before, and cancel that until then.",
    "Renews by itself for another term.",
)
NO_NEXT_TERM = "Ends by itself with the term; nothing is deleted."
_FORBIDDING = (
    NO_REDUCTION,
    NO_RENEWAL,
    NO_LICENCE_RENEWAL,
    FOLLOWED,
    NO_PLAN_AFTER,
    NO_LOWER_FEE,
    NO_NEXT_TERM,
    _ENDED,
)


@dataclass(frozen=True, slots=True)
class PoolView:
    """The seats of one tier; ``lapsing`` are paid for now and end with the period."""

    tier: str
    name: str
    bought: int
    used: int
    free: int
    waiting: int
    lapsing: int
    price: int
    next_price: int

    @property
    def is_full(self) -> bool:
        """Whether no seat can be assigned."""
        return self.free == 0


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """An invoice with its lines, in their order; ``paid`` is what was collected so far, in minor units."""

    invoice: Invoice
    lines: tuple[InvoiceLine, ...]
    paid: int


@dataclass(frozen=True, slots=True)
class ContractSentence:
    """One thing that a contract says, and whether it allows or forbids."""

    text: str
    allows: bool = True


@dataclass(frozen=True, slots=True)
class FeeView:
    """A contract for a fixed fee, with its users. Its amounts are for who may see money (rule Z1)."""

    facts: FeeFacts
    users: UserCounts


@dataclass(frozen=True, slots=True)
class SeatsView:
    """Everything about seats; what costs is None or empty for who may not see it (rule Z1).

    ``fee`` is None for a plan that is sold by seats; ``order`` is one that is on its way to a core of its own.
    """

    organization: Organization
    contract: Contract
    ladder: TierLadder
    pools: tuple[PoolView, ...]
    waiting_for_any: int
    renewal: Bill | None
    following: Bill | None
    sentences: tuple[ContractSentence, ...]
    invoices: tuple[InvoiceView, ...]
    fee: FeeView | None = None
    licences: LicencesNow | None = None
    agreed: AgreedView | None = None
    order: BillingOrder | None = None
    evaluation: EvaluationView | None = None


def read_seats(unit: Unit) -> SeatsView:
    """Read pools, contract and, for owners, money.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    pools = read_pools(unit)
    views, waiting_for_any = pool_views(unit, pools)
    contract = read_contract(unit)
    return SeatsView(
        organization=unit.organization(),
        contract=contract,
        ladder=ladder_of(pools),
        pools=views,
        waiting_for_any=waiting_for_any,
        renewal=unit.billing.next_renewal() if sees_money and contract.status == "active" else None,
        following=unit.billing.following_bill() if sees_money and contract.status == "active" else None,
        sentences=tuple(
            ContractSentence(text, allows=text not in _FORBIDDING)
            for text in contract_sentences(contract, followed=is_followed(unit))
        ),
        invoices=tuple(list_invoices(unit)) if sees_money else (),
        licences=licences_if_any(unit),
        fee=read_fee_view(unit, contract),
        agreed=read_agreed_change(unit) if sees_money else None,
        order=open_order(unit) if sees_money else None,
        evaluation=read_evaluation(unit),
    )


@dataclass(frozen=True, slots=True)
class NextInvoice:
    """What the next invoice would be, and when."""

    at: datetime
    bill: Bill


def read_next_invoice(unit: Unit) -> NextInvoice | None:
    """Forecast the next invoice from today's seats, line by line; None where nothing more is billed.

    Raises:
        ForbiddenError: The actor may not see money.
    """
    unit.require(Permission.SEE_BILLING)
    contract = read_contract(unit)
    bill = unit.billing.next_renewal() if contract.status == "active" else None
    if bill is None:
        return None
    fee = read_fee_view(unit, contract)
    instalment = None if fee is None else fee.facts.next_at
    return NextInvoice(instalment or contract.period_end, bill)


def read_fee_view(unit: Unit, contract: Contract) -> FeeView | None:
    """Return a contract for a fixed fee with its users; None for every other kind of plan."""
    if contract.kind != FIXED_FEE:
        return None
    return FeeView(facts=unit.billing.fixed_fee().facts(), users=count_users(unit))


def pool_views(unit: Unit, pools: Sequence[SeatPool]) -> tuple[tuple[PoolView, ...], int]:
    """Return the pools with who waits for each, and how many would take a seat of any tier."""
    waiting = waiting_counts(unit)
    views = tuple(
        PoolView(
            tier=pool.tier,
            name=pool.name,
            bought=pool.paid,
            used=pool.used,
            free=pool.total - pool.used,
            waiting=waiting.get(pool.tier, 0),
            lapsing=pool.paid - pool.total,
            price=pool.price,
            next_price=pool.next_price,
        )
        for pool in pools
    )
    return views, waiting.get(ANY, 0)


def read_contract(unit: Unit) -> Contract:
    """Return the organization's contract."""
    return unit.session.scalars(
        select(Contract).where(Contract.org_id == unit.org_id).execution_options(populate_existing=True)
    ).one()


def read_ladder(unit: Unit) -> TierLadder:
    """Return the organization's tiers, best first."""
    return ladder_of(read_pools(unit))


def contract_sentences(contract: Contract, *, followed: bool = False) -> tuple[str, ...]:
    """Say in sentences what a contract allows (rules P2, P8, D1 to D7, R5, R7, U2 to U7, W1 to W7).

    Args:
        contract: Which.
        followed: Whether another plan is agreed to follow it (rule B1).
    """
    if contract.status != "active":
        return (_ENDED,)
    if contract.kind == EVALUATION:
        return (*_EVALUATION_SENTENCES, _FOLLOWED_EVALUATION if followed else NO_PLAN_AFTER)
    if contract.kind in _LICENCE_SENTENCES:
        ends = [FOLLOWED] if followed else [] if contract.auto_renew else [NO_LICENCE_RENEWAL]
        return (*_LICENCE_SENTENCES[contract.kind], *ends)
    if contract.kind == FIXED_FEE:
        return _fee_sentences(contract, followed=followed)
    return _seat_sentences(contract, followed=followed)


def _seat_sentences(contract: Contract, *, followed: bool) -> tuple[str, ...]:
    """Say what a plan sold by seats allows (rules P2, P8, D1 to D7, R5 and R7)."""
    team = contract.kind == "team"
    period = "month" if contract.cycle == "month" else "year"
    rest = f"the rest of the {period}" if team else "the rest of the term"
    sentences = [
        f"Add seats on any day; you pay for {rest} only.",
        "Move a seat from one person to another: free, at once.",
    ]
    if not team:
        sentences.append(NO_REDUCTION)
    elif contract.reduction == "immediate_credit":
        sentences.append("Reduce seats on any day; what is left of the period becomes a credit.")
    else:
        sentences.append(f"Reduce seats on any day; it counts from the next {period}, without a credit.")
    if contract.minimum_seats:
        sentences.append(f"The plan has a minimum of {contract.minimum_seats} seats.")
    if followed:
        sentences.append(FOLLOWED)
    elif not contract.auto_renew:
        sentences.append(NO_RENEWAL)
    elif contract.renewal_basis == "in_use":
        sentences.append("Renews by itself with the seats in use that day; unused seats lapse.")
    else:
        sentences.append(f"Renews by itself with the seats you have, every {period}.")
    return tuple(sentences)


def _fee_sentences(contract: Contract, *, followed: bool) -> tuple[str, ...]:
    """Say what a contract for a fixed fee allows (rules U2, U3, U7, R5)."""
    return (
        "Add, remove or move people on any day: it costs nothing.",
        "More paid users than the tier is meant for are let in, uncharged: a matter for the next review.",
        "Raise the fee on any day; you pay the difference for the rest of the contract year only.",
        "Instalments of a contract year keep the fee that it began with.",
        NO_LOWER_FEE,
        *((FOLLOWED,) if followed else _LOWER_FEE_AHEAD if contract.auto_renew else (NO_NEXT_TERM,)),
    )


def list_invoices(unit: Unit, limit: int = INVOICES_SHOWN) -> list[InvoiceView]:
    """Return the newest invoices with their lines.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    invoices = unit.session.scalars(
        select(Invoice)
        .where(Invoice.org_id == unit.org_id)
        .order_by(Invoice.at.desc(), Invoice.number.desc())
        .limit(limit)
    ).all()
    return _with_lines(unit, invoices)


def read_invoice(unit: Unit, invoice_id: uuid.UUID) -> InvoiceView:
    """Return one invoice.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        NotFoundError: There is no such invoice here.
    """
    unit.require(Permission.SEE_BILLING)
    invoice = unit.session.get(Invoice, (unit.org_id, invoice_id))
    if invoice is None:
        raise NotFoundError("invoice", str(invoice_id))
    return _with_lines(unit, [invoice])[0]


def read_invoices(unit: Unit, ids: Sequence[uuid.UUID]) -> list[InvoiceView]:
    """Return some invoices, in the order of their numbers; unknown ids are passed over.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    invoices = unit.session.scalars(
        select(Invoice).where(Invoice.org_id == unit.org_id, Invoice.id.in_(ids)).order_by(Invoice.number)
    ).all()
    return _with_lines(unit, invoices)


def _with_lines(unit: Unit, invoices: Sequence[Invoice]) -> list[InvoiceView]:
    ids = [invoice.id for invoice in invoices]
    if not ids:
        return []
    lines: dict[uuid.UUID, list[InvoiceLine]] = {}
    for line in unit.session.scalars(
        select(InvoiceLine)
        .where(InvoiceLine.org_id == unit.org_id, InvoiceLine.invoice_id.in_(ids))
        .order_by(InvoiceLine.position)
    ):
        lines.setdefault(line.invoice_id, []).append(line)
    paid: dict[uuid.UUID, int] = {
        row[0]: int(row[1])
        for row in unit.session.execute(
            select(Payment.invoice_id, func.sum(Payment.amount))
            .where(Payment.org_id == unit.org_id, Payment.invoice_id.in_(ids))
            .group_by(Payment.invoice_id)
        )
    }
    return [InvoiceView(invoice, tuple(lines.get(invoice.id, ())), paid.get(invoice.id, 0)) for invoice in invoices]
