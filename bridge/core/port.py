"""The port of a billing core that keeps its own books: one organization's subscription, in our words.

No verb is called while the organization is locked, and none by provisioning or sign-in: seats are paid ahead, so those
are decided by the pools here. A purchase is an order that is reserved, then confirmed; it is known by its key, so that
a lost answer can be asked back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bridge.ports import Bill, BillLine, SeatCount


class OrderState(StrEnum):
    """Where an order stands at the core; only ``reserved`` changes any more."""

    RESERVED = "reserved"
    PLACED = "placed"
    DECLINED = "declined"
    CANCELLED = "cancelled"


class EventKind(StrEnum):
    """What a core tells of by itself."""

    RENEWED = "subscription.renewed"
    PRICE_CHANGED = "subscription.price_changed"
    ENDED = "subscription.ended"
    INVOICE_PAID = "invoice.paid"
    PAYMENT_FAILED = "invoice.payment_failed"
    ORDER_PLACED = "order.placed"
    ORDER_DECLINED = "order.declined"


@dataclass(frozen=True, slots=True)
class SeatQuestion:
    """A wished change of seats.

    Args:
        changes: Plus or minus seats by tier.
        upgrade_from: The paid tier of the member whom a one-seat upgrade is for (rules P7 and P9).
        seats_in_use: Seats held now, by tier, for the forecast of a renewal that bills them (rule R7).
    """

    changes: Mapping[str, int]
    upgrade_from: str | None = None
    seats_in_use: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CoreQuote:
    """What a change would cost, pinned by the core under ``id`` until ``expires_at`` (excluded).

    Args:
        at: The instant that the proration counts from (rule Q2).
        seats: All tiers as they would be: paid in this period, and next period's allocation.
        renewal_before: Subtotal of the next renewal without the change, minor units.
        renewal_after: The same with it.
        sentences: What else the core wants the buyer to read.
    """

    id: str
    at: datetime
    expires_at: datetime
    currency: str
    bill: Bill | None
    seats: Mapping[str, SeatCount]
    renewal_at: datetime
    renewal_before: int
    renewal_after: int
    renewal_lines: tuple[BillLine, ...] = ()
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CoreTier:
    """One tier of a subscription; prices are minor units for one seat and period, of this one and of the next."""

    paid: int
    next: int
    price: int
    next_price: int


@dataclass(frozen=True, slots=True)
class CoreSubscription:
    """Where a subscription stands; ``version`` grows by every change, so that an older picture is never taken.

    The period is [period_start, period_end).
    """

    version: int
    active: bool
    currency: str
    period_start: datetime
    period_end: datetime
    tiers: Mapping[str, CoreTier]
    credit_balance: int = 0


@dataclass(frozen=True, slots=True)
class CoreInvoice:
    """An invoice or credit note in the core's books, under the core's own id and number."""

    id: str
    number: str
    at: datetime
    bill: Bill
    paid: bool = False


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What is ordered: a quote that was confirmed, with what it said, so that a core that disagrees can refuse.

    ``confirmed_at`` is when the buyer confirmed it: a core honours a quote that was confirmed before it expired,
    however late the order arrives, unless the subscription has changed since.
    """

    key: str
    quote_id: str
    changes: Mapping[str, int]
    upgrade_from: str | None
    total: int
    currency: str
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class CoreOrder:
    """An order as the core knows it; ``invoice`` and ``subscription`` come with a placed one, ``reason`` otherwise."""

    key: str
    state: OrderState
    invoice: CoreInvoice | None = None
    subscription: CoreSubscription | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CoreEvent:
    """Something that happened in the core; an event is applied once, by its id, in any order."""

    id: str
    kind: EventKind
    at: datetime
    subscription: CoreSubscription | None = None
    invoice: CoreInvoice | None = None
    order: CoreOrder | None = None


class BillingService(Protocol):
    """One organization's subscription in a billing core of its own.

    Every verb raises :class:`bridge.errors.BillingCoreUnreachableError` when no usable answer came: whether it had an
    effect is then unknown, and it is asked again with the same key. What the core refuses for good raises
    :class:`bridge.errors.BillingCoreRefusedError`.
    """

    def quote(self, question: SeatQuestion, *, key: str) -> CoreQuote:
        """Compute a change's billing effect and pin it; nothing changes."""

    def reserve(self, order: OrderRequest) -> CoreOrder:
        """Take an order in without charging it; the same key answers the same order."""

    def confirm(self, key: str) -> CoreOrder:
        """Charge a reserved order and change the subscription, once: placed or declined."""

    def cancel(self, key: str) -> CoreOrder:
        """Give up an order that is not placed; an unknown key is remembered, so that it can never be reserved later.

        Returns:
            The order, ``cancelled``, or as it is if it was placed or declined before.
        """

    def order_by_key(self, key: str) -> CoreOrder | None:
        """Return the order of a key; None when it never arrived."""

    def subscription(self) -> CoreSubscription:
        """Return where the subscription stands."""

    def invoices(self) -> Sequence[CoreInvoice]:
        """Return every invoice and credit note of the subscription, oldest first."""

    def document(self, invoice_id: str) -> bytes:
        """Return an invoice as the core prints it (PDF)."""

    def report_units(self, units: Mapping[str, int], at: datetime, *, key: str) -> None:
        """Tell how many seats of each tier are in use, for what is billed by use (rule R7); once for each key."""

    def events(self, after: str | None) -> tuple[Sequence[CoreEvent], str | None]:
        """Return the events behind a cursor, oldest first, and the cursor behind the last of them."""

    def verify(self, headers: Mapping[str, str], body: bytes, at: datetime) -> CoreEvent | None:
        """Check the signature of an event that came in, and read it; None for one that says nothing to us.

        Args:
            headers: Of the request, names in small letters.
            body: Exactly as it came.
            at: Now; an older or newer signature than five minutes is refused.

        Raises:
            WebhookRefusedError: It was not signed by this core, or too long ago.
        """
