"""The one place where a change of the allocation is charged."""

from collections.abc import Callable

from bridge.ports import Bill, InvoiceReference, SeatQuote
from bridge.store.journal import record
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery

CostCheck = Callable[[Bill | None, str], None]
"""Is told what is about to be charged, None for nothing, and in which currency; refuses what nobody accepted."""


def execute_change(unit: Unit, quote: SeatQuote, *, key: str) -> InvoiceReference | None:
    """Charge a quote, set the new allocation and write down both.

    Args:
        unit: The unit; its organization is locked here.
        quote: What the preview showed, recomputed under the lock.
        key: The business fact that is charged; it is charged once.

    Returns:
        The invoice, or None when the change costs nothing.

    Raises:
        PaymentFailedError: The payment was declined; the unit must roll back (rule Q4).
    """
    unit.lock()
    invoice = unit.billing.execute(quote, key=key)
    record(
        unit,
        "seats.changed",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="seat_change",
        body={
            "changes": dict(quote.change.changes),
            "seats": {tier: [count.paid, count.next] for tier, count in quote.seats.items()},
            "invoice": invoice.id if invoice else None,
            "total": invoice.total if invoice else 0,
        },
    )
    if invoice is not None:
        queue_delivery(unit, "invoice_mail", key=f"invoice:{invoice.id}", subject_id=invoice.id)
    return invoice
