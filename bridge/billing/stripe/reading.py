"""What Stripe's documents mean to us: a subscription's seats, an invoice's lines, in the words of the port."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from bridge.billing.rules.bills import BillReason, BillType, LineKind, seat_line
from bridge.billing.rules.money import Currency, format_money
from bridge.billing.rules.proration import WHOLE_PERIOD, ProrationMethod, Share, share
from bridge.billing.rules.terms import Term
from bridge.billing.stripe.sdk import Document
from bridge.core import CoreInvoice, CoreSubscription, CoreTier
from bridge.ports import Bill, BillLine

#: Metadata of the subscription: the marks of the orders that were carried out last, the newest at the end.
ORDERS: Final = "seatbridge_orders"
#: The order of which a first step was carried out and a second one is not yet.
HALFWAY: Final = "seatbridge_halfway"
#: "<start of the period> <tier>=<seats> ...": seats paid for in that period where they differ from the quantities.
PAID: Final = "seatbridge_paid"
_KEPT_ORDERS: Final = 12
_ENDED: Final = frozenset({"canceled", "incomplete_expired"})
_REASONS: Final = {
    "subscription_create": BillReason.START,
    "subscription_cycle": BillReason.RENEWAL,
    "upcoming": BillReason.RENEWAL,
}
#: Lines that somebody added at Stripe by hand.
OTHER_LINE: Final = "other"


@dataclass(frozen=True, slots=True)
class Item:
    """One tier's item: Stripe's id, the quantity, which is next period's allocation, and the price of a seat."""

    id: str
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A subscription as Stripe has it at one moment.

    Args:
        items: By tier.
        paid: Seats paid for in this period, by tier; fewer are in ``items`` when some lapse at its end (rule D2).
        orders: Marks of the orders that were carried out last.
        halfway: Mark of the order whose first step is done and whose second is not.
        at: The instant at Stripe: of the test clock if the subscription hangs on one, None if it is now.
        version: Grows by every change.
    """

    id: str
    customer: str
    active: bool
    ends: bool
    currency: Currency
    term: Term
    items: Mapping[str, Item]
    paid: Mapping[str, int]
    orders: tuple[str, ...]
    halfway: str | None
    newest_invoice: str | None
    credit_balance: int
    at: datetime | None
    version: int = 0

    @property
    def fingerprint(self) -> str:
        """A short text that differs where callers would see a difference."""
        return hashlib.sha256(repr(replace(self.for_callers(), version=0)).encode()).hexdigest()

    @property
    def quantities(self) -> dict[str, int]:
        """Quantities by item id, as they stand."""
        return {item.id: item.quantity for item in self.items.values()}

    def for_callers(self) -> CoreSubscription:
        """Return it in the words of the port."""
        return CoreSubscription(
            version=self.version,
            active=self.active,
            currency=self.currency.code,
            period_start=self.term.start,
            period_end=self.term.end,
            tiers={
                tier: CoreTier(paid=self.paid[tier], next=item.quantity, price=item.price, next_price=item.price)
                for tier, item in self.items.items()
            },
            credit_balance=self.credit_balance,
        )


def read_picture(document: Document, prices: Mapping[str, str]) -> Picture:
    """Read a subscription.

    Args:
        document: With ``customer`` and ``test_clock`` expanded.
        prices: Stripe's id of each tier's price.

    Raises:
        ValueError: A tier has no item, an item no whole price, or the items have different periods.
    """
    by_price = {str(item["price"]["id"]): item for item in document["items"]["data"]}
    missing = [tier for tier, price in prices.items() if price not in by_price]
    if missing:
        raise ValueError(f"the subscription has no item for the price of {', '.join(missing)}")
    items = {tier: _read_item(tier, by_price[price]) for tier, price in prices.items()}
    periods = {
        (by_price[price]["current_period_start"], by_price[price]["current_period_end"]) for price in prices.values()
    }
    if len(periods) != 1:
        raise ValueError("the items of the subscription have different periods: give their prices one interval")
    start, end = periods.pop()
    metadata: Mapping[str, str] = document.get("metadata") or {}
    clock = document.get("test_clock")
    customer = document["customer"]
    return Picture(
        id=document["id"],
        customer=customer["id"],
        active=document["status"] not in _ENDED,
        ends=bool(document.get("cancel_at_period_end")),
        currency=Currency(str(document["currency"]).upper()),
        term=Term(instant_of(start), instant_of(end)),
        items=items,
        paid=_read_paid(metadata.get(PAID, ""), start, items),
        orders=tuple(metadata.get(ORDERS, "").split()),
        halfway=metadata.get(HALFWAY) or None,
        newest_invoice=_id_of(document.get("latest_invoice")),
        credit_balance=max(-int(customer.get("balance") or 0), 0),
        at=instant_of(clock["frozen_time"]) if isinstance(clock, Mapping) else None,
    )


def _id_of(thing: object) -> str | None:
    """Return the id of a thing that may be expanded."""
    identifier = thing.get("id") if isinstance(thing, Mapping) else thing
    return identifier if isinstance(identifier, str) else None


def _read_item(tier: str, item: Document) -> Item:
    price = item["price"]
    if price.get("unit_amount") is None or price.get("billing_scheme", "per_unit") != "per_unit":
        raise ValueError(f"the price of {tier} must be one whole amount for each seat")
    return Item(id=item["id"], quantity=int(item["quantity"]), price=int(price["unit_amount"]))


def _read_paid(note: str, start: int, items: Mapping[str, Item]) -> dict[str, int]:
    """Return the seats paid for in the period that starts at an instant: the quantities, unless the note says more."""
    noted: dict[str, int] = {}
    words = note.split()
    if words and words[0] == str(start):
        noted = {tier: int(count) for tier, _, count in (word.partition("=") for word in words[1:]) if count.isdigit()}
    return {tier: max(noted.get(tier, 0), item.quantity) for tier, item in items.items()}


def paid_note(term: Term, paid: Mapping[str, int]) -> str:
    """Write down the seats paid for in a period; it means nothing in the next one."""
    counts = " ".join(f"{tier}={count}" for tier, count in sorted(paid.items()))
    return f"{int(term.start.timestamp())} {counts}"


def orders_note(orders: tuple[str, ...], mark: str) -> str:
    """Add an order to those that were carried out last."""
    return " ".join([*(known for known in orders if known != mark), mark][-_KEPT_ORDERS:])


def instant_of(seconds: int) -> datetime:
    """Return an instant that Stripe gives in seconds since 1970."""
    return datetime.fromtimestamp(int(seconds), UTC)


def belongs_to(invoice: Document) -> str | None:
    """Return the subscription that an invoice is of."""
    parent: Mapping[str, Any] = invoice.get("parent") or {}
    details: Mapping[str, Any] = parent.get("subscription_details") or {}
    return _id_of(details.get("subscription"))


def is_for_order(invoice: Document, mark: str, proration_date: int) -> bool:
    """Tell whether an order made an invoice.

    Its lines count from the order's instant. Stripe also keeps the subscription's metadata with each invoice as they
    were when it was finalised: an invoice with another order's mark is not ours.
    """
    if invoice.get("billing_reason") != "subscription_update":
        return False
    if not any(line["period"]["start"] == proration_date for line in invoice["lines"]["data"]):
        return False
    return mark in (marks_of(invoice) or (mark,))


def marks_of(invoice: Document) -> tuple[str, ...]:
    """Return the marks that an invoice carries: of the order that was carried out last, and of one halfway."""
    parent: Mapping[str, Any] = invoice.get("parent") or {}
    metadata: Mapping[str, str] = (parent.get("subscription_details") or {}).get("metadata") or {}
    halfway = metadata.get(HALFWAY)
    return (*metadata.get(ORDERS, "").split()[-1:], *([halfway] if halfway else []))


def read_invoice(document: Document, prices: Mapping[str, str], term: Term) -> CoreInvoice:
    """Read a finalised invoice.

    Args:
        document: The invoice.
        prices: Stripe's id of each tier's price.
        term: The subscription's period, which tells how long a period is.
    """
    at = (document.get("status_transitions") or {}).get("finalized_at") or document["created"]
    return CoreInvoice(
        id=document["id"],
        number=document.get("number") or document["id"],
        at=instant_of(at),
        bill=read_bill(document, prices, term),
        paid=document.get("status") == "paid",
    )


def read_bill(document: Document, prices: Mapping[str, str], term: Term) -> Bill:
    """Read an invoice or preview: Stripe's amounts, with our formulas where they come to the same."""
    currency = Currency(str(document["currency"]).upper())
    subtotal, total = int(document["subtotal"]), int(document["total"])
    credit = total < 0
    return Bill(
        type=BillType.CREDIT_NOTE if credit else BillType.INVOICE,
        reason=_REASONS.get(document.get("billing_reason") or "", BillReason.SEAT_CHANGE),
        currency=currency.code,
        lines=tuple(_read_line(line, prices, term, currency) for line in _ordered(document, prices)),
        subtotal=subtotal,
        tax=total - subtotal,
        total=total,
        credit_applied=0 if credit else total - int(document["amount_due"]),
        amount_due=0 if credit else int(document["amount_due"]),
    )


def _ordered(document: Document, prices: Mapping[str, str]) -> list[Document]:
    """Put lines in the order of the tiers, what was paid for before what is charged."""
    order = list(prices.values())
    lines: list[Document] = document["lines"]["data"]

    def place(line: Document) -> tuple[int, int]:
        price = _price_of(line)
        return (order.index(price) if price in order else len(order), 0 if line["amount"] < 0 else 1)

    return sorted(lines, key=place)


def _price_of(line: Document) -> str:
    details = (line.get("pricing") or {}).get("price_details") or {}
    price = details.get("price")
    return str(price["id"] if isinstance(price, Mapping) else price)


def _read_line(line: Document, prices: Mapping[str, str], term: Term, currency: Currency) -> BillLine:
    tier = next((tier for tier, price in prices.items() if price == _price_of(line)), None)
    start, end = instant_of(line["period"]["start"]), instant_of(line["period"]["end"])
    amount, quantity = int(line["amount"]), int(line.get("quantity") or 0)
    words = str(line.get("description") or "")
    if tier is not None and quantity and end > start:
        computed = _computed(line, tier, Term(start, end), term, currency)
        if computed is not None and computed.amount == amount:
            return computed
    return BillLine(
        kind=OTHER_LINE if tier is None else LineKind.SEAT,
        tier=tier or words or OTHER_LINE,
        quantity=quantity,
        start=start,
        end=end,
        unit_price=amount // quantity if quantity else amount,
        amount=amount,
        formula=f"{words}: {format_money(amount, currency)}, as Stripe computed it",
        exact=format_money(amount, currency),
        explanation=words,
        share=None,
    )


def _computed(line: Document, tier: str, charged: Term, term: Term, currency: Currency) -> BillLine | None:
    """Compute a line by our own rules; None for a price that is no whole number of minor units (rule P6)."""
    unit = Fraction(str(line["pricing"]["unit_amount_decimal"]))
    if unit.denominator != 1:
        return None
    part, kind, quantity = WHOLE_PERIOD, LineKind.SEAT, int(line["quantity"])
    if _is_proration(line):
        kind = LineKind.SEAT_CREDIT if line["amount"] < 0 else LineKind.SEAT_PRORATION
        part = _share_until_end(charged, term)
    made = seat_line(kind, tier, quantity, unit.numerator, term=charged, currency=currency, share=part)
    return BillLine(
        kind=kind,
        tier=tier,
        quantity=quantity,
        start=charged.start,
        end=charged.end,
        unit_price=unit.numerator,
        amount=made.amount,
        formula=made.formula,
        exact=made.exact_text,
        explanation=f"{line.get('description')}: {part.sentence}",
        share=str(part.fraction),
    )


def _share_until_end(charged: Term, term: Term) -> Share:
    """Return which part of its period a line charges: from its start to the period's end (rule P4)."""
    whole = term if charged.end == term.end and charged.start in term else charged
    return share(whole, charged.start, ProrationMethod.SECOND, "UTC", whole.start)


def _is_proration(line: Document) -> bool:
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return bool(details.get("proration"))
