"""What a billing core keeps its books about, as it is here: pools, period, prices, invoices and payments."""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update

from bridge.core import CoreInvoice, CoreSubscription
from bridge.core.documents import read_subscription, subscription_document
from bridge.domain.identifiers import new_id, parse_id
from bridge.domain.roles import Permission
from bridge.errors import BillingCoreAnswerError, BillingCoreUnreachableError, NotFoundError
from bridge.ports import Renewal, SeatCount
from bridge.store.journal import record
from bridge.store.models import BillingConnection, BillingOrder, Contract, Invoice, InvoiceLine, Payment, SeatPool
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery, raise_alert, resolve_alerts
from bridge.usecases.core_pictures import INVOICE_CHANGED, is_news, unfit
from bridge.usecases.renew_contract import end_plan

#: Orders that may still change something: at most one for each organization.
OPEN_STATES = ("pending", "dead")
#: The alert of a core whose answers break the contract.
ANSWER_INVALID = "core_answer_invalid"
_ORDER = "order-"
_MIRRORED = "core:"


def find_connection(unit: Unit) -> BillingConnection | None:
    """Return how the organization's billing core is reached; None where it has none."""
    return unit.session.get(BillingConnection, unit.org_id, populate_existing=True)


def open_order(unit: Unit) -> BillingOrder | None:
    """Return the order that is on its way or was given up; None when nothing is open."""
    return unit.session.scalars(
        select(BillingOrder)
        .where(BillingOrder.org_id == unit.org_id, BillingOrder.state.in_(OPEN_STATES))
        .execution_options(populate_existing=True)
    ).one_or_none()


def refuse_former_connection(unit: Unit, generation: uuid.UUID) -> None:
    """Refuse what a core said just before another one was connected, or the same one anew.

    A core that was restored says anew where it stands: what it said before may be more than it knows now.

    Raises:
        BillingCoreUnreachableError: It was said by a connection that is no more.
    """
    unit.lock()
    if unit.session.get_one(BillingConnection, unit.org_id, populate_existing=True).generation != generation:
        raise BillingCoreUnreachableError("that was connected before", "not_connected")


def mirror_subscription(unit: Unit, subscription: CoreSubscription, *, reason: str) -> bool:
    """Take over a picture of the subscription, unless a newer one was taken before.

    Period and prices become the core's; the pools follow by :func:`write_pools`. A subscription that has ended takes
    every seat (rule R5).

    One that cannot be the plan's, for its currency or its tiers, is not taken over: reconciliation names it.

    Returns:
        Whether it was taken over.
    """
    unit.lock()
    if not is_news(unit, subscription) or unfit(unit, subscription) is not None:
        return False
    connection = unit.session.get_one(BillingConnection, unit.org_id)
    contract = unit.session.get_one(Contract, unit.org_id)
    renewed = subscription.period_start > contract.period_start
    connection.version, connection.subscription = subscription.version, subscription_document(subscription)
    # The period counts from its own start, so that a forecast needs no other boundary than the core's.
    contract.anchor, contract.period_index = subscription.period_start, 0
    contract.period_start, contract.period_end = subscription.period_start, subscription.period_end
    contract.credit_balance = subscription.credit_balance
    _write_prices(unit, subscription)
    if contract.status == "active" and not subscription.active:
        contract.status = "ended"
        unit.session.flush()
        none = {pool.tier: SeatCount(paid=0, next=0) for pool in read_pools(unit)}
        end_plan(unit, Renewal(at=unit.at, invoice=None, seats=none, ended=True))
        return True
    unit.session.flush()
    if renewed:
        record(
            unit,
            "contract.renewed",
            subject_kind="contract",
            subject_id=unit.org_id,
            reason=reason,
            body={
                "boundary": subscription.period_start.isoformat(),
                "seats": {key: tier.paid for key, tier in subscription.tiers.items()},
                "version": subscription.version,
            },
        )
    return True


def _write_prices(unit: Unit, subscription: CoreSubscription) -> None:
    for pool in read_pools(unit):
        tier = subscription.tiers.get(pool.tier)
        if tier is None:
            continue
        if pool.next_price != tier.next_price:
            record(
                unit,
                "contract.price_changed",
                subject_kind="contract",
                subject_id=unit.org_id,
                reason="core",
                body={"tier": pool.tier, "from": pool.next_price, "to": tier.next_price},
            )
        pool.price, pool.next_price = tier.price, tier.next_price


def write_pools(unit: Unit) -> list[str]:
    """Set every pool to the newest picture of the subscription, less what an open order holds back (rule D3).

    Seats that people hold stay, whatever the core says: the owners are told, and reconciliation names them.

    Returns:
        The tiers of which more seats can be assigned than before.
    """
    unit.lock()
    unit.session.flush()
    connection = unit.session.get_one(BillingConnection, unit.org_id, populate_existing=True)
    subscription = read_subscription(connection.subscription)
    if not subscription.active:
        return []
    order = open_order(unit)
    held_back: Mapping[str, int] = order.held_back if order is not None else {}
    grown, over = [], []
    for pool in read_pools(unit):
        tier = subscription.tiers.get(pool.tier)
        if tier is None:
            continue
        agreed = max(min(tier.paid, tier.next) - held_back.get(pool.tier, 0), 0)
        total = max(agreed, pool.used)
        if total > agreed:
            over.append(pool.tier)
        if total > pool.total:
            grown.append(pool.tier)
        _set_pool(unit, pool.tier, paid=max(tier.paid, total), total=total)
    _tell_of_seats_over(unit, over)
    return grown


def _set_pool(unit: Unit, tier: str, *, paid: int, total: int) -> None:
    unit.session.execute(
        update(SeatPool)
        .where(SeatPool.org_id == unit.org_id, SeatPool.tier == tier)
        .values(paid=paid, total=total)
        .execution_options(synchronize_session=False)
    )


def _tell_of_seats_over(unit: Unit, tiers: Collection[str]) -> None:
    for tier in tiers:
        raise_alert(unit, "seats_over_core", tier=tier)
    resolve_alerts(unit, "seats_over_core", but_for=tiers)


def tell_of_answer(unit: Unit, error: BillingCoreAnswerError) -> None:
    """Tell the owners that the core answers what cannot be used, until it answers well again."""
    sentence = (
        f"The billing core answered {error.verb} with what its contract does not allow: {error.problem}. Nothing was"
        " changed, and it is asked again: tell whoever runs it"
    )
    raise_alert(unit, ANSWER_INVALID, detail=sentence)


def tell_of_picture(unit: Unit, problem: str) -> None:
    """Tell the owners that the core told of a subscription that cannot be theirs, until it tells of one that can."""
    sentence = (
        f"The billing core told of a subscription that cannot be taken over: {problem}. Seats, prices and the period"
        " stay as they were: tell whoever runs it"
    )
    raise_alert(unit, ANSWER_INVALID, detail=sentence)


def mirror_invoice(unit: Unit, invoice: CoreInvoice, *, reason: str) -> Invoice | None:
    """Write an invoice of the core into the ledger here, once, under the core's own number; a mail brings it.

    An id that comes again with another instant is another invoice: of a core that was restored from a back-up and
    numbers on from there. Another sum of the same invoice changes nothing here: the owners are told.

    Returns:
        The mirrored invoice, of now or of the first time; None for one in another currency than the contract's, which
        is not written: reconciliation names it.
    """
    unit.lock()
    connection = unit.session.get_one(BillingConnection, unit.org_id, populate_existing=True)
    mirrored = mirrored_invoices(unit, connection.core_id, invoice.id).get((invoice.id, invoice.at))
    if mirrored is None:
        if invoice.bill.currency != unit.session.get_one(Contract, unit.org_id).currency:
            return None
        mirrored = _write_invoice(unit, invoice, _free_key(unit, connection.core_id, invoice))
        record(
            unit,
            "invoice.mirrored",
            subject_kind="invoice",
            subject_id=mirrored.id,
            reason=reason,
            body={"core_id": invoice.id, "number": invoice.number, "total": invoice.bill.total},
            touches_seats=False,
        )
        queue_delivery(unit, "invoice_mail", key=f"invoice:{mirrored.id}", subject_id=str(mirrored.id))
    elif (mirrored.total, mirrored.currency) != (invoice.bill.total, invoice.bill.currency):
        sentence = f"Invoice {mirrored.number} is another sum at the billing core than here: ask who keeps its books"
        raise_alert(unit, INVOICE_CHANGED, detail=sentence, told_apart=True)
    if invoice.paid:
        _note_payment(unit, mirrored)
    return mirrored


def is_paid(unit: Unit, invoice: Invoice) -> bool:
    """Tell whether an invoice asks for no money, or a payment of it is noted."""
    paid = select(Payment.id).where(Payment.org_id == unit.org_id, Payment.invoice_id == invoice.id)
    return not invoice.amount_due or unit.session.scalars(paid.limit(1)).first() is not None


def _free_key(unit: Unit, core_id: uuid.UUID, invoice: CoreInvoice) -> str:
    """Return the ledger's key of an invoice that is not there; with its instant where its id was used before."""
    again = f"@{invoice.at:%Y%m%dT%H%M%S%f}" if mirrored_invoices(unit, core_id, invoice.id) else ""
    return f"{_MIRRORED}{core_id}{again}:{invoice.id}"


def _read_key(key: str) -> tuple[uuid.UUID, str]:
    """Return the core of a mirrored invoice's key, and its own id there."""
    core, _, own_id = key.removeprefix(_MIRRORED).partition(":")
    return uuid.UUID(core.partition("@")[0]), own_id


def is_mirrored(invoice: Invoice) -> bool:
    """Tell whether an invoice came from a core of the customer's own."""
    return invoice.key.startswith(_MIRRORED)


def is_of_core(core_id: uuid.UUID) -> ColumnElement[bool]:
    """Match the invoices that were mirrored from a core."""
    return Invoice.key.startswith(f"{_MIRRORED}{core_id}")


def mirrored_invoices(unit: Unit, core_id: uuid.UUID, own_id: str | None = None) -> dict[tuple[str, datetime], Invoice]:
    """Return the invoices that were mirrored from a core, by the core's own id and the instant, oldest first.

    Args:
        unit: The unit.
        core_id: Which core.
        own_id: Only those of this id: several where a core that was restored has used it again.
    """
    found = select(Invoice).where(Invoice.org_id == unit.org_id, is_of_core(core_id)).order_by(Invoice.at)
    if own_id is not None:
        found = found.where(Invoice.key.endswith(f":{own_id}", autoescape=True))
    read = [(_read_key(invoice.key)[1], invoice) for invoice in unit.session.scalars(found)]
    return {(its_id, invoice.at): invoice for its_id, invoice in read if own_id in (None, its_id)}


def find_core(unit: Unit, invoices: Iterable[CoreInvoice], *, first: uuid.UUID | None) -> uuid.UUID | None:
    """Recognise a core by its invoices: those that were mirrored from it are the same there, as far as it has them.

    One invoice of the same id, instant, number and total makes no core the same if another one is not: two cores that
    number from 1 may begin with the same month's bill.

    Args:
        unit: The unit.
        invoices: Every invoice of the core.
        first: The core that is connected, which is meant where several can be.

    Returns:
        Which of the cores that were connected here it is; None for one whose invoices are not known, or are others.
    """
    known = select(Invoice).where(Invoice.org_id == unit.org_id, Invoice.key.startswith(_MIRRORED))
    books: dict[uuid.UUID, dict[str, Invoice]] = {}
    for mirrored in unit.session.scalars(known.order_by(Invoice.at)):
        core_id, own_id = _read_key(mirrored.key)
        books.setdefault(core_id, {})[own_id] = mirrored
    theirs = list(invoices)
    agreeing: dict[uuid.UUID, int] = {}
    for core_id, book in books.items():
        shared = [(book[one.id], one) for one in theirs if one.id in book]
        if shared and all(_is_the_same(here, there) for here, there in shared):
            agreeing[core_id] = len(shared)
    return max(agreeing, key=lambda core_id: (agreeing[core_id], core_id == first), default=None)


def _is_the_same(here: Invoice, there: CoreInvoice) -> bool:
    facts = (here.at, here.total, here.currency) == (there.at, there.bill.total, there.bill.currency)
    return facts and bears_number(here, there.number)


def core_invoice_id(unit: Unit, invoice_id: uuid.UUID) -> str | None:
    """Return the core's own id of a mirrored invoice; None for one that was issued here.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        NotFoundError: There is no such invoice, or the core that issued it is not connected any more.
    """
    unit.require(Permission.SEE_BILLING)
    invoice, connection = unit.session.get(Invoice, (unit.org_id, invoice_id)), find_connection(unit)
    if invoice is None:
        raise NotFoundError("invoice", str(invoice_id))
    if not is_mirrored(invoice):
        return None
    core_id, own_id = _read_key(invoice.key)
    if connection is None or core_id != connection.core_id:
        raise NotFoundError("invoice of the connected core", invoice.number)
    if list(mirrored_invoices(unit, core_id, own_id).values())[-1].id != invoice.id:
        # The core was restored, and has another invoice under its id by now.
        raise NotFoundError("invoice of the connected core", invoice.number)
    return own_id


def _write_invoice(unit: Unit, invoice: CoreInvoice, key: str) -> Invoice:
    bill = invoice.bill
    mirrored = Invoice(
        org_id=unit.org_id,
        id=new_id(),
        number=_free_number(unit, invoice.number),
        key=key,
        type=bill.type,
        reason=bill.reason,
        counts="seats",
        journal_seq=unit.state().audit_seq,
        at=invoice.at,
        currency=bill.currency,
        subtotal=bill.subtotal,
        tax=bill.tax,
        total=bill.total,
        credit_applied=bill.credit_applied,
        amount_due=bill.amount_due,
    )
    unit.session.add(mirrored)
    unit.session.flush()
    unit.session.add_all(
        # Another core may round in another way: its arithmetic stands in its own words, and is not computed anew.
        InvoiceLine(org_id=unit.org_id, invoice_id=mirrored.id, position=position, **(asdict(line) | {"share": None}))
        for position, line in enumerate(bill.lines, 1)
    )
    unit.session.flush()
    return mirrored


def _free_number(unit: Unit, number: str) -> str:
    """Return the core's number; with a mark where another invoice bears it here already, whatever its case."""
    begins_alike = func.starts_with(func.upper(Invoice.number), func.upper(number))
    alike = unit.session.scalars(select(Invoice.number).where(Invoice.org_id == unit.org_id, begins_alike))
    taken = {one.casefold() for one in alike}
    marked = (f"{number}/{again}" for again in range(2, len(taken) + 3))
    return next(one for one in (number, *marked) if one.casefold() not in taken)


def bears_number(invoice: Invoice, number: str) -> bool:
    """Tell whether a mirrored invoice has the core's number here, as it is or with a mark."""
    return invoice.number == number or re.fullmatch(re.escape(number) + r"/[0-9]+", invoice.number) is not None


def _note_payment(unit: Unit, invoice: Invoice) -> None:
    """Write that an invoice was paid at the core, once."""
    known = select(Payment.id).where(Payment.org_id == unit.org_id, Payment.key == invoice.key)
    if not invoice.amount_due or unit.session.scalar(known) is not None:
        return
    unit.session.add(
        Payment(
            org_id=unit.org_id,
            id=new_id(),
            invoice_id=invoice.id,
            key=invoice.key,
            amount=invoice.amount_due,
            currency=invoice.currency,
            reference=invoice.key,
            at=unit.at,
        )
    )
    unit.session.flush()


def order_key(order_id: uuid.UUID) -> str:
    """Return the key that the core knows an order by."""
    return f"{_ORDER}{order_id}"


def order_id_of(key: str) -> uuid.UUID | None:
    """Return the order of a key that the core named; None for one that is not ours."""
    return parse_id(key.removeprefix(_ORDER)) if key.startswith(_ORDER) else None
