"""The values of the port as JSON documents, written and read; what is read is checked, field by field."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

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

ValueT = TypeVar("ValueT")
#: More than any amount or count that means something, and what a column holds.
_MOST = 10**15
_LONGEST = 2000
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_NOT_PRINTED = re.compile(r"[\n\t]")


def question_document(question: SeatQuestion) -> dict[str, Any]:
    """Write a question."""
    return {
        "changes": dict(question.changes),
        "upgrade_from": question.upgrade_from,
        "seats_in_use": dict(question.seats_in_use),
    }


def read_question(document: object) -> SeatQuestion:
    """Read a question; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "question")
    return SeatQuestion(
        changes=_numbers(fields, "changes"),
        upgrade_from=_maybe(fields, "upgrade_from", _text),
        seats_in_use=_numbers(fields, "seats_in_use"),
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
        "confirmed_at": _instant_text(order.confirmed_at),
    }


def read_order_request(document: object) -> OrderRequest:
    """Read what is ordered; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "order")
    return OrderRequest(
        key=_text(fields, "key"),
        quote_id=_text(fields, "quote"),
        changes=_numbers(fields, "changes"),
        upgrade_from=_maybe(fields, "upgrade_from", _text),
        total=_number(fields, "total"),
        currency=_text(fields, "currency"),
        confirmed_at=_instant(fields, "confirmed_at"),
    )


def quote_document(quote: CoreQuote) -> dict[str, Any]:
    """Write a quote, as the core answers it and as a preview keeps it."""
    return {
        "id": quote.id,
        "at": _instant_text(quote.at),
        "expires_at": _instant_text(quote.expires_at),
        "currency": quote.currency,
        "bill": bill_document(quote.bill) if quote.bill else None,
        "seats": {tier: {"paid": count.paid, "next": count.next} for tier, count in quote.seats.items()},
        "renewal": {
            "at": _instant_text(quote.renewal_at),
            "before": quote.renewal_before,
            "after": quote.renewal_after,
            "lines": [_line_document(line) for line in quote.renewal_lines],
        },
        "sentences": list(quote.sentences),
    }


def read_quote(document: object) -> CoreQuote:
    """Read a quote; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "quote")
    renewal = _object(fields.get("renewal"), "renewal")
    seats = _object(fields.get("seats"), "seats")
    currency = _currency(fields)
    return CoreQuote(
        id=_text(fields, "id"),
        at=_instant(fields, "at"),
        expires_at=_instant(fields, "expires_at"),
        currency=currency,
        bill=None if fields.get("bill") is None else read_bill(fields["bill"], currency),
        seats={tier: _seat_count(count, tier) for tier, count in seats.items()},
        renewal_at=_instant(renewal, "at"),
        renewal_before=_number(renewal, "before"),
        renewal_after=_number(renewal, "after"),
        renewal_lines=tuple(_read_line(line) for line in _list(renewal, "lines")),
        sentences=tuple(str(sentence)[:_LONGEST] for sentence in _list(fields, "sentences")),
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
    """Read what is billed; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "bill")
    kind = _text(fields, "type")
    if kind not in {"invoice", "credit_note"}:
        raise ValueError("type must be invoice or credit_note")
    return Bill(
        type=kind,
        reason=_text(fields, "reason"),
        currency=currency,
        lines=tuple(_read_line(line) for line in _list(fields, "lines")),
        subtotal=_number(fields, "subtotal"),
        tax=_number(fields, "tax"),
        total=_number(fields, "total"),
        credit_applied=_number(fields, "credit_applied"),
        amount_due=_number(fields, "amount_due"),
    )


def subscription_document(subscription: CoreSubscription) -> dict[str, Any]:
    """Write where a subscription stands."""
    return {
        "version": subscription.version,
        "status": "active" if subscription.active else "ended",
        "currency": subscription.currency,
        "period": {
            "start": _instant_text(subscription.period_start),
            "end": _instant_text(subscription.period_end),
        },
        "tiers": {
            key: {"paid": tier.paid, "next": tier.next, "price": tier.price, "next_price": tier.next_price}
            for key, tier in subscription.tiers.items()
        },
        "credit_balance": subscription.credit_balance,
    }


def read_subscription(document: object) -> CoreSubscription:
    """Read where a subscription stands; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "subscription")
    period = _object(fields.get("period"), "period")
    status = _text(fields, "status")
    if status not in {"active", "ended"}:
        raise ValueError("status must be active or ended")
    start, end = _instant(period, "start"), _instant(period, "end")
    if start >= end:
        raise ValueError("period.end must come after period.start")
    return CoreSubscription(
        version=_count(fields, "version"),
        active=status == "active",
        currency=_currency(fields),
        period_start=start,
        period_end=end,
        tiers={key: _read_tier(tier, key) for key, tier in _object(fields.get("tiers"), "tiers").items()},
        credit_balance=_count(fields, "credit_balance"),
    )


def invoice_document(invoice: CoreInvoice) -> dict[str, Any]:
    """Write an invoice."""
    return {
        "id": invoice.id,
        "number": invoice.number,
        "at": _instant_text(invoice.at),
        "currency": invoice.bill.currency,
        "paid": invoice.paid,
        **bill_document(invoice.bill),
    }


def read_invoice(document: object) -> CoreInvoice:
    """Read an invoice; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "invoice")
    return CoreInvoice(
        id=_text(fields, "id"),
        number=_text(fields, "number"),
        at=_instant(fields, "at"),
        bill=read_bill(fields, _currency(fields)),
        paid=fields.get("paid") is True,
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
    """Read an order as the core knows it; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "order")
    order = CoreOrder(
        key=_text(fields, "key"),
        state=OrderState(_text(fields, "state")),
        invoice=None if fields.get("invoice") is None else read_invoice(fields["invoice"]),
        subscription=None if fields.get("subscription") is None else read_subscription(fields["subscription"]),
        reason=_maybe(fields, "reason", _text),
    )
    if order.state is OrderState.PLACED and order.subscription is None:
        raise ValueError("subscription must come with a placed order")
    return order


def event_document(event: CoreEvent) -> dict[str, Any]:
    """Write an event."""
    return {
        "id": event.id,
        "type": str(event.kind),
        "at": _instant_text(event.at),
        "data": {
            "subscription": subscription_document(event.subscription) if event.subscription else None,
            "invoice": invoice_document(event.invoice) if event.invoice else None,
            "order": core_order_document(event.order) if event.order else None,
        },
    }


def read_event(document: object) -> CoreEvent:
    """Read an event; raises ValueError naming the field that is not as it should be."""
    fields = _object(document, "event")
    data = _object(fields.get("data"), "data")
    return CoreEvent(
        id=_text(fields, "id"),
        kind=EventKind(_text(fields, "type")),
        at=_instant(fields, "at"),
        subscription=None if data.get("subscription") is None else read_subscription(data["subscription"]),
        invoice=None if data.get("invoice") is None else read_invoice(data["invoice"]),
        order=None if data.get("order") is None else read_core_order(data["order"]),
    )


def read_known_event(document: object) -> CoreEvent | None:
    """Read an event; None for one of a type that says nothing to us, whatever else it holds."""
    fields = _object(document, "event")
    return read_event(fields) if _text(fields, "type") in set(EventKind) else None


def _line_document(line: BillLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "tier": line.tier,
        "quantity": line.quantity,
        "from": _instant_text(line.start),
        "to": _instant_text(line.end),
        "unit_price": line.unit_price,
        "amount": line.amount,
        "formula": line.formula,
        "exact": line.exact,
        "explanation": line.explanation,
        "share": line.share,
    }


def _read_line(document: object) -> BillLine:
    fields = _object(document, "line")
    return BillLine(
        kind=_text(fields, "kind"),
        tier=_text(fields, "tier"),
        quantity=_number(fields, "quantity"),
        start=_instant(fields, "from"),
        end=_instant(fields, "to"),
        unit_price=_number(fields, "unit_price"),
        amount=_number(fields, "amount"),
        formula=_text(fields, "formula"),
        exact=_text(fields, "exact") if fields.get("exact") else str(_number(fields, "amount")),
        explanation=_text(fields, "explanation") if fields.get("explanation") else "",
        share=_text(fields, "share") if fields.get("share") else None,
    )


def _read_tier(document: object, key: str) -> CoreTier:
    fields = _object(document, f"tiers.{key}")
    return CoreTier(
        paid=_count(fields, "paid"),
        next=_count(fields, "next"),
        price=_count(fields, "price"),
        next_price=_count(fields, "next_price"),
    )


def _seat_count(document: object, key: str) -> SeatCount:
    fields = _object(document, f"seats.{key}")
    return SeatCount(paid=_count(fields, "paid"), next=_count(fields, "next"))


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name} must be an object")
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if isinstance(value, list):
        return value
    raise ValueError(f"{name} must be a list")


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not _NOT_PRINTED.sub("", value).isprintable():
        raise ValueError(f"{name} must be a text of 1 to {_LONGEST} characters")
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MOST:
        raise ValueError(f"{name} must be a whole number")
    return value


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = _number(fields, name)
    if value < 0:
        raise ValueError(f"{name} must not be negative")
    return value


def _currency(fields: Mapping[str, Any]) -> str:
    code = _text(fields, "currency")
    if not _CURRENCY.fullmatch(code):
        raise ValueError("currency must be a code of ISO 4217")
    return code


def _numbers(fields: Mapping[str, Any], name: str) -> dict[str, int]:
    values = _object(fields.get(name), name)
    return {key: _number(values, key) for key in values}


def _instant(fields: Mapping[str, Any], name: str) -> datetime:
    try:
        value = datetime.fromisoformat(_text(fields, name))
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise ValueError(f"{name} must be an instant with its offset, as 2026-03-02T09:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} is out of range") from None


def _instant_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _maybe(fields: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any], str], ValueT]) -> ValueT | None:
    return None if fields.get(name) is None else read(fields, name)
