"""The values of the port as JSON documents, written and read; what is read is checked, field by field.

Every reader raises :class:`bridge.core.fields.FieldError` naming the field that is not as it should be.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from bridge.core import fields as read
from bridge.core.fields import FieldError
from bridge.core.port import (
    CoreEvent,
    CoreInvoice,
    CoreOrder,
    CoreQuote,
    CoreSubscription,
    CoreTier,
    EventKind,
    OrderRequest,
    OrderState,
    SeatQuestion,
)
from bridge.ports import Bill, BillLine, SeatCount

ItemT = TypeVar("ItemT")


class _Status(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


class _Kind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """A part of a list: its items, the cursor behind the last of them, and whether another part follows."""

    items: tuple[ItemT, ...]
    next: str | None
    more: bool


def question_document(question: SeatQuestion) -> dict[str, Any]:
    """Write a question."""
    return {
        "changes": dict(question.changes),
        "upgrade_from": question.upgrade_from,
        "seats_in_use": dict(question.seats_in_use),
    }


def read_question(document: object) -> SeatQuestion:
    """Read a question."""
    fields = read.as_object(document)
    return SeatQuestion(
        changes=read.each(fields, "changes", read.as_number),
        upgrade_from=read.maybe(fields, "upgrade_from", read.text),
        seats_in_use=read.each(fields, "seats_in_use", read.as_count),
    )


def order_document(order: OrderRequest) -> dict[str, Any]:
    """Write what is ordered."""
    return {
        "key": order.key,
        "quote": order.quote_id,
        "changes": dict(order.changes),
        "upgrade_from": order.upgrade_from,
        "total": order.total,
        "currency": order.currency,
        "confirmed_at": read.instant_text(order.confirmed_at),
    }


def read_order_request(document: object) -> OrderRequest:
    """Read what is ordered."""
    fields = read.as_object(document)
    return OrderRequest(
        key=read.text(fields, "key"),
        quote_id=read.text(fields, "quote"),
        changes=read.each(fields, "changes", read.as_number),
        upgrade_from=read.maybe(fields, "upgrade_from", read.text),
        total=read.number(fields, "total"),
        currency=read.currency(fields),
        confirmed_at=read.instant(fields, "confirmed_at"),
    )


def quote_document(quote: CoreQuote) -> dict[str, Any]:
    """Write a quote, as the core answers it and as a preview keeps it."""
    return {
        "id": quote.id,
        "at": read.instant_text(quote.at),
        "expires_at": read.instant_text(quote.expires_at),
        "currency": quote.currency,
        "bill": bill_document(quote.bill) if quote.bill else None,
        "seats": {tier: {"paid": count.paid, "next": count.next} for tier, count in quote.seats.items()},
        "renewal": {
            "at": read.instant_text(quote.renewal_at),
            "before": quote.renewal_before,
            "after": quote.renewal_after,
            "lines": [_line_document(line) for line in quote.renewal_lines],
        },
        "sentences": list(quote.sentences),
    }


def read_quote(document: object) -> CoreQuote:
    """Read a quote."""
    fields = read.as_object(document)
    currency = read.currency(fields)
    with read.inside("renewal"):
        renewal = read.as_object(fields.get("renewal"))
        renewal_at = read.instant(renewal, "at")
        before, after = read.number(renewal, "before"), read.number(renewal, "after")
        renewal_lines = read.listed(renewal, "lines", _read_line)
    return CoreQuote(
        id=read.text(fields, "id"),
        at=read.instant(fields, "at"),
        expires_at=read.instant(fields, "expires_at"),
        currency=currency,
        bill=read.null_or(fields, "bill", _bill_in(currency)),
        seats=read.each(fields, "seats", _read_seat_count),
        renewal_at=renewal_at,
        renewal_before=before,
        renewal_after=after,
        renewal_lines=renewal_lines,
        sentences=read.listed(fields, "sentences", read.as_text),
    )


def bill_document(bill: Bill) -> dict[str, Any]:
    """Write what is billed; amounts are minor units of the quote's or invoice's currency."""
    return {
        "type": bill.type,
        "reason": bill.reason,
        "lines": [_line_document(line) for line in bill.lines],
        "subtotal": bill.subtotal,
        "tax": bill.tax,
        "total": bill.total,
        "credit_applied": bill.credit_applied,
        "amount_due": bill.amount_due,
    }


def read_bill(document: object, currency: str) -> Bill:
    """Read what is billed."""
    fields = read.as_object(document)
    return Bill(
        type=str(read.choice(fields, "type", _Kind)),
        reason=read.text(fields, "reason"),
        currency=currency,
        lines=read.listed(fields, "lines", _read_line),
        subtotal=read.number(fields, "subtotal"),
        tax=read.number(fields, "tax"),
        total=read.number(fields, "total"),
        credit_applied=read.number(fields, "credit_applied"),
        amount_due=read.number(fields, "amount_due"),
    )


def subscription_document(subscription: CoreSubscription) -> dict[str, Any]:
    """Write where a subscription stands."""
    return {
        "version": subscription.version,
        "status": "active" if subscription.active else "ended",
        "currency": subscription.currency,
        "period": {
            "start": read.instant_text(subscription.period_start),
            "end": read.instant_text(subscription.period_end),
        },
        "tiers": {
            key: {"paid": tier.paid, "next": tier.next, "price": tier.price, "next_price": tier.next_price}
            for key, tier in subscription.tiers.items()
        },
        "credit_balance": subscription.credit_balance,
    }


def read_subscription(document: object) -> CoreSubscription:
    """Read where a subscription stands."""
    fields = read.as_object(document)
    with read.inside("period"):
        period = read.as_object(fields.get("period"))
        start, end = read.instant(period, "start"), read.instant(period, "end")
        if start >= end:
            raise FieldError(("end",), "must come after period.start")
    return CoreSubscription(
        version=read.count(fields, "version"),
        active=read.choice(fields, "status", _Status) is _Status.ACTIVE,
        currency=read.currency(fields),
        period_start=start,
        period_end=end,
        tiers=read.each(fields, "tiers", _read_tier),
        credit_balance=read.count(fields, "credit_balance"),
    )


def invoice_document(invoice: CoreInvoice) -> dict[str, Any]:
    """Write an invoice."""
    return {
        "id": invoice.id,
        "number": invoice.number,
        "at": read.instant_text(invoice.at),
        "currency": invoice.bill.currency,
        "paid": invoice.paid,
        **bill_document(invoice.bill),
    }


def read_invoice(document: object) -> CoreInvoice:
    """Read an invoice."""
    fields = read.as_object(document)
    return CoreInvoice(
        id=read.identifier(fields, "id"),
        number=read.identifier(fields, "number"),
        at=read.instant(fields, "at"),
        bill=read_bill(fields, read.currency(fields)),
        paid="paid" in fields and read.flag(fields, "paid"),
    )


def core_order_document(order: CoreOrder) -> dict[str, Any]:
    """Write an order as the core knows it."""
    return {
        "key": order.key,
        "state": str(order.state),
        "invoice": invoice_document(order.invoice) if order.invoice else None,
        "subscription": subscription_document(order.subscription) if order.subscription else None,
        "reason": order.reason,
    }


def read_core_order(document: object) -> CoreOrder:
    """Read an order as the core knows it."""
    fields = read.as_object(document)
    order = CoreOrder(
        key=read.text(fields, "key"),
        state=read.choice(fields, "state", OrderState),
        invoice=_maybe(fields, "invoice", read_invoice),
        subscription=_maybe(fields, "subscription", read_subscription),
        reason=read.maybe(fields, "reason", read.identifier),
    )
    if order.state is OrderState.PLACED and order.subscription is None:
        raise FieldError(("subscription",), "must come with a placed order")
    return order


def event_document(event: CoreEvent) -> dict[str, Any]:
    """Write an event."""
    return {
        "id": event.id,
        "type": str(event.kind),
        "at": read.instant_text(event.at),
        "data": {
            "subscription": subscription_document(event.subscription) if event.subscription else None,
            "invoice": invoice_document(event.invoice) if event.invoice else None,
            "order": core_order_document(event.order) if event.order else None,
        },
    }


def read_event(document: object) -> CoreEvent:
    """Read an event."""
    fields = read.as_object(document)
    with read.inside("data"):
        data = read.as_object(fields.get("data"))
        subscription = _maybe(data, "subscription", read_subscription)
        invoice, order = _maybe(data, "invoice", read_invoice), _maybe(data, "order", read_core_order)
    return CoreEvent(
        id=read.identifier(fields, "id"),
        kind=read.choice(fields, "type", EventKind),
        at=read.instant(fields, "at"),
        subscription=subscription,
        invoice=invoice,
        order=order,
    )


def read_known_event(document: object) -> CoreEvent | None:
    """Read an event; None for one of a type that says nothing to us, whatever else it holds."""
    fields = read.as_object(document)
    return read_event(fields) if read.text(fields, "type") in set(EventKind) else None


def read_page(document: object, name: str, read_item: Callable[[Any], ItemT]) -> Page[ItemT]:
    """Read a part of a list that stands in the field ``name``."""
    fields = read.as_object(document)
    return Page(
        items=read.listed(fields, name, read_item),
        next=read.null_or(fields, "next", read.as_text),
        more=read.flag(fields, "more"),
    )


def _line_document(line: BillLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "tier": line.tier,
        "quantity": line.quantity,
        "from": read.instant_text(line.start),
        "to": read.instant_text(line.end),
        "unit_price": line.unit_price,
        "amount": line.amount,
        "formula": line.formula,
        "exact": line.exact,
        "explanation": line.explanation,
        "share": line.share,
    }


def _read_line(document: object) -> BillLine:
    fields = read.as_object(document)
    amount = read.number(fields, "amount")
    start, end = read.instant(fields, "from"), read.instant(fields, "to")
    if start > end:
        raise FieldError(("to",), "must not come before from")
    return BillLine(
        kind=read.text(fields, "kind"),
        tier=read.text(fields, "tier"),
        quantity=read.number(fields, "quantity"),
        start=start,
        end=end,
        unit_price=read.number(fields, "unit_price"),
        amount=amount,
        formula=read.text(fields, "formula"),
        exact=read.text_or_nothing(fields, "exact") or str(amount),
        explanation=read.text_or_nothing(fields, "explanation"),
        share=read.text_or_nothing(fields, "share") or None,
    )


def _read_tier(document: object) -> CoreTier:
    fields = read.as_object(document)
    return CoreTier(
        paid=read.seats(fields, "paid"),
        next=read.seats(fields, "next"),
        price=read.count(fields, "price"),
        next_price=read.count(fields, "next_price"),
    )


def _read_seat_count(document: object) -> SeatCount:
    fields = read.as_object(document)
    return SeatCount(paid=read.seats(fields, "paid"), next=read.seats(fields, "next"))


def _bill_in(currency: str) -> Callable[[object], Bill]:
    return lambda document: read_bill(document, currency)


def _maybe(fields: Mapping[str, Any], name: str, reader: Callable[[Any], ItemT]) -> ItemT | None:
    """Read a document that stands in a field, if one does."""
    return None if fields.get(name) is None else read.within(fields, name, reader)
