"""What a billing core tells by itself: each event applied once, in any order, pushed or asked for."""

from collections.abc import Sequence

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from bridge.core import CoreEvent, EventKind
from bridge.store.models import BillingConnection, CoreEventApplied, Invoice
from bridge.store.unit import Unit
from bridge.usecases.alerts import SENTENCES, raise_alert, resolve_alerts
from bridge.usecases.assign_seats import promote_waiting
from bridge.usecases.billing_orders import settle_order
from bridge.usecases.core_pictures import is_news, unfit
from bridge.usecases.mirror_core import is_paid, mirror_invoice, mirror_subscription, tell_of_picture, write_pools


def apply_event(unit: Unit, event: CoreEvent) -> bool:
    """Do what an event says; a repeated one does nothing.

    An order is settled, a newer picture of the subscription taken over, an invoice mirrored, and who waits is served.
    Of a picture that cannot be the plan's the owners are told; it changes nothing.

    Returns:
        Whether it was new.
    """
    unit.lock()
    core_id = unit.session.get_one(BillingConnection, unit.org_id, populate_existing=True).core_id
    new = unit.session.execute(
        insert(CoreEventApplied)
        .values(
            org_id=unit.org_id,
            core_id=core_id,
            event_id=event.id,
            kind=str(event.kind),
            at=event.at,
            applied_at=unit.at,
        )
        .on_conflict_do_nothing()
        .returning(CoreEventApplied.event_id)
    ).first()
    note_heard(unit)
    if new is None:
        return False
    problem = _unfit_news(unit, event)
    if problem is not None:
        # Refused, it would hold up every event behind it. An order stays open: its worker asks for it by its key.
        tell_of_picture(unit, problem)
    else:
        _take_over(unit, event)
    invoice = None
    if event.invoice is not None:
        invoice = mirror_invoice(unit, event.invoice, reason=str(event.kind))
    if event.kind is EventKind.PAYMENT_FAILED:
        _tell_of_failed_payment(unit, invoice)
    if event.kind is EventKind.INVOICE_PAID:
        sentences = None if invoice is None else [SENTENCES["renewal_payment_declined"], _declined_sentence(invoice)]
        resolve_alerts(unit, "renewal_payment_declined", details=sentences)
    unit.session.flush()
    return True


def _unfit_news(unit: Unit, event: CoreEvent) -> str | None:
    """Say why the pictures that an event brings cannot be the plan's; None where they can, or are old."""
    pictures = (event.order.subscription if event.order is not None else None, event.subscription)
    problems = (unfit(unit, one) for one in pictures if one is not None and is_news(unit, one))
    return next((problem for problem in problems if problem is not None), None)


def _take_over(unit: Unit, event: CoreEvent) -> None:
    if event.order is not None:
        settle_order(unit, event.order, reason="event")
    if event.subscription is not None and mirror_subscription(unit, event.subscription, reason="event"):
        promote_waiting(unit, write_pools(unit))


def _tell_of_failed_payment(unit: Unit, invoice: Invoice | None) -> None:
    """Tell the owners, unless the invoice was paid meanwhile: a failure may be told late."""
    if invoice is None:
        raise_alert(unit, "renewal_payment_declined")
    elif not is_paid(unit, invoice):
        raise_alert(unit, "renewal_payment_declined", detail=_declined_sentence(invoice), told_apart=True)


def _declined_sentence(invoice: Invoice) -> str:
    return f"The payment of invoice {invoice.number} was declined: it is still to be paid"


def apply_events(unit: Unit, events: Sequence[CoreEvent], cursor: str | None) -> int:
    """Apply a page of events that was asked for, and remember where it ended; return how many were new."""
    unit.lock()
    new = sum(apply_event(unit, event) for event in events)
    unit.session.execute(
        update(BillingConnection)
        .where(BillingConnection.org_id == unit.org_id)
        .values(cursor=cursor)
        .execution_options(synchronize_session=False)
    )
    return new


def note_heard(unit: Unit) -> None:
    """Remember that the core was heard of."""
    unit.session.execute(
        update(BillingConnection)
        .where(BillingConnection.org_id == unit.org_id)
        .values(heard_at=unit.at)
        .execution_options(synchronize_session=False)
    )
