"""One organization's subscription at Stripe, as a billing core (:class:`bridge.core.BillingService`).

Stripe has no orders: a purchase is a subscription's new quantities, which are absolute. So that two orders never
overwrite each other they take turns for the whole of reading, computing and sending; the exact request is stored before
it is sent; and after anything but a clear answer the subscription and its invoices are read before something is sent
again, because Stripe forgets an idempotency key after 24 hours and repeats a status 500 until then.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from bridge.billing.stripe.connecting import check_subscription
from bridge.billing.stripe.events import (
    KINDS,
    RELEVANT,
    carried_out_marks,
    invoice_kind,
    is_ours,
    read_signed,
    thing_of,
)
from bridge.billing.stripe.marks import mark_of
from bridge.billing.stripe.orders import OrderBook, SentCall, StoredOrder, Turn
from bridge.billing.stripe.quotes import QUOTE_LIFETIME, PinnedQuote, seal_of
from bridge.billing.stripe.reading import (
    Picture,
    belongs_to,
    instant_of,
    is_for_order,
    marks_of,
    read_bill,
    read_invoice,
    read_picture,
)
from bridge.billing.stripe.sdk import Document, PaymentDeclinedError, StripeApi
from bridge.billing.stripe.steps import (
    Change,
    Steps,
    call_params,
    preview_params,
    renewal_params,
    steps_for,
)
from bridge.core import (
    CoreEvent,
    CoreInvoice,
    CoreOrder,
    CoreQuote,
    CoreSubscription,
    EventKind,
    OrderRequest,
    OrderState,
    SeatQuestion,
)
from bridge.errors import BillingCoreRefusedError, BillingCoreUnreachableError
from bridge.ports import Bill, Clock

ValueT = TypeVar("ValueT")

#: Stripe keeps an idempotency key for 24 hours; one that is nearly as old is not relied on.
KEY_LIFETIME: Final = timedelta(hours=23)
#: A request that was sent this long ago has arrived by now, or never will.
IN_FLIGHT: Final = timedelta(minutes=2)
#: Clocks differ: invoices of an order are looked for from this long before it was sent.
_LOOK_BACK: Final = timedelta(days=1)
#: An organization that was connected just now is asked for the events of so long.
_FIRST_LOOK: Final = timedelta(days=3)
_BASE_LENGTH: Final = 16
_UNKNOWN_RENEWAL: Final = "invoice_upcoming_none"


@dataclass(frozen=True, slots=True)
class StripeBillingService:
    """The port over one subscription.

    Args:
        api: Stripe, with the organization's key.
        subscription_id: Stripe's id of the subscription.
        prices: Stripe's id of each tier's price, lowest tier first.
        book: What was reserved and sent.
        clock: Ours; a subscription on a test clock goes by that one.
        webhook_secret: What Stripe signs its events with.
        fetch: Gets a document from a public address.
        immediate_credit: Whether seats that are dropped are credited at once (rule D5).
    """

    api: StripeApi
    subscription_id: str
    prices: Mapping[str, str]
    book: OrderBook
    clock: Clock
    webhook_secret: str = field(repr=False)
    fetch: Callable[[str], bytes]
    immediate_credit: bool = False

    @property
    def host(self) -> str:
        """The name that refusals and logs give Stripe."""
        return self.api.host

    def quote(self, question: SeatQuestion, *, key: str) -> CoreQuote:
        """Ask Stripe what a change costs, pinned to this second; nothing is written, so a repeat is a new quote."""
        del key
        picture = self._picture()
        at = self._proration_instant(picture)
        steps = steps_for(picture, self._change(question.changes, question.upgrade_from))
        bill = self._cost(picture, steps, at)
        before = self._renewal(picture, renewal_params(picture))
        after = self._renewal(picture, renewal_params(picture, steps.seats))
        total = bill.total if bill else 0
        pinned = PinnedQuote(
            at,
            self.clock.now() + QUOTE_LIFETIME,
            picture.fingerprint[:_BASE_LENGTH],
            seal_of(question.changes, question.upgrade_from, total, picture.currency.code),
        )
        return CoreQuote(
            id=pinned.id,
            at=at,
            expires_at=pinned.expires_at,
            currency=picture.currency.code,
            bill=bill,
            seats=steps.seats,
            renewal_at=picture.term.end,
            renewal_before=before.subtotal if before else 0,
            renewal_after=after.subtotal if after else 0,
            renewal_lines=after.lines if after else (),
        )

    def reserve(self, order: OrderRequest) -> CoreOrder:
        """Take an order in, unless the subscription has changed since its quote; it is carried out when confirmed."""
        quote = PinnedQuote.read(order.quote_id)
        if quote is None:
            raise BillingCoreRefusedError("quote_unknown", "There is no such quote: ask for a new one")
        if quote.seal != seal_of(order.changes, order.upgrade_from, order.total, order.currency):
            raise BillingCoreRefusedError("quote_differs", "The order is not what was quoted: ask for a new quote")
        if order.confirmed_at >= quote.expires_at:
            raise BillingCoreRefusedError("quote_expired", "The quote had expired when it was confirmed")
        stored = self.book.find(order.key)
        if stored is None:
            if quote.base != self._picture().fingerprint[:_BASE_LENGTH]:
                raise BillingCoreRefusedError("quote_stale", "The subscription has changed since the quote")
            stored = self.book.reserve(order)
        if stored.request is not None and stored.request != order:
            raise BillingCoreRefusedError(
                "idempotency_conflict", f"The key {order.key!r} ordered something else before"
            )
        return stored.for_callers()

    def confirm(self, key: str) -> CoreOrder:
        """Charge a reserved order and change the subscription, once: placed or declined."""
        with self.book.turn(self.host) as turn:
            stored = self.book.find(key)
            if stored is None or stored.request is None:
                raise BillingCoreRefusedError("order_unknown", "There is no such order to confirm: reserve it first")
            if stored.state is not OrderState.RESERVED:
                return stored.for_callers()
            self._settle_others(turn, key)
            return self._carry_out(turn, stored, stored.request)

    def cancel(self, key: str) -> CoreOrder:
        """Give up an order that is not placed; one whose request may have arrived is looked for at Stripe first."""
        with self.book.turn(self.host) as turn:
            stored = self.book.find(key)
            if stored is None:
                return self.book.remember_cancelled(key).for_callers()
            if stored.state is not OrderState.RESERVED or stored.request is None:
                return stored.for_callers()
            if stored.call is not None:
                picture = self._picture()
                if self._progress(picture, key, stored.call):
                    return self._carry_out(turn, stored, stored.request, picture)
                self._wait_for_arrival(stored.call)
            return self.book.settle(key, CoreOrder(key, OrderState.CANCELLED)).for_callers()

    def order_by_key(self, key: str) -> CoreOrder | None:
        """Return the order of a key; of one whose request may have arrived, confirming it again tells what became.

        One that is not written down here, as after a restored backup, is looked for on the subscription.
        """
        stored = self.book.find(key)
        if stored is not None:
            return stored.for_callers()
        picture, mark = self._picture(), mark_of(self.subscription_id, key)
        if mark not in picture.orders:
            return None
        made = [invoice for invoice in self.api.invoices(self.subscription_id) if mark in marks_of(invoice)]
        by_order = next((invoice for invoice in made if invoice["billing_reason"] == "subscription_update"), None)
        return CoreOrder(
            key,
            OrderState.PLACED,
            invoice=self._read(lambda: self._invoice(by_order, picture)) if by_order else None,
            subscription=picture.for_callers(),
        )

    def subscription(self) -> CoreSubscription:
        """Return where the subscription stands."""
        return self._picture().for_callers()

    def invoices(self) -> Sequence[CoreInvoice]:
        """Return every finalised invoice of the subscription, oldest first."""
        picture = self._picture()
        issued = [invoice for invoice in self.api.invoices(self.subscription_id) if _is_issued(invoice)]
        return self._read(lambda: [self._invoice(invoice, picture) for invoice in issued])

    def document(self, invoice_id: str) -> bytes:
        """Return an invoice as Stripe prints it (PDF)."""
        invoice = self.api.invoice(invoice_id)
        if belongs_to(invoice) != self.subscription_id or not invoice.get("invoice_pdf"):
            raise BillingCoreRefusedError("invoice_unknown", "Stripe has no such document of this subscription")
        return self.fetch(str(invoice["invoice_pdf"]))

    def report_units(self, units: Mapping[str, int], at: datetime, *, key: str) -> None:
        """Do nothing: these plans bill the seats that were bought, and Stripe knows them."""

    def events(self, after: str | None) -> tuple[Sequence[CoreEvent], str | None]:
        """Return what happened behind an event, oldest first: the account's events that are about the subscription."""
        newest = self.api.newest_event()
        # Nothing from before the connection is needed: it read the subscription, and reconciling reads the invoices.
        since = 0 if after else int((self.clock.now() - _FIRST_LOOK).timestamp())
        try:
            told = self.api.events(RELEVANT, after, since=since)
        except BillingCoreRefusedError:
            # The cursor's event is older than the 30 days that Stripe keeps one: begin with the oldest there is.
            told = self.api.events(RELEVANT, None)
        ours = [event for event in told if is_ours(event, self.subscription_id)]
        picture = self._picture() if ours else None
        read = [self._event(event, picture) for event in ours] if picture else []
        return [event for event in read if event is not None], newest or after

    def verify(self, headers: Mapping[str, str], body: bytes, at: datetime) -> CoreEvent | None:
        """Check the signature of an event and read it; None for one that is about something else."""
        event = read_signed(headers, body, self.webhook_secret, at)
        return self._event(event, self._picture()) if is_ours(event, self.subscription_id) else None

    def check(self, cycle: str) -> CoreSubscription:
        """Return where the subscription stands, if it can be billed as a plan of a cycle (month or year) says.

        Raises:
            InvalidInputError: Naming what to change at Stripe.
        """
        check_subscription(self.api.subscription(self.subscription_id), self.prices, cycle=cycle)
        return self.subscription()

    def portal(self, return_url: str) -> str:
        """Open Stripe's billing portal for the customer and return its address, good for minutes (rule B1)."""
        return self.api.portal(self._picture().customer, return_url)

    def _change(self, changes: Mapping[str, int], upgrade_from: str | None) -> Change:
        return Change(changes, upgrade_from, self.immediate_credit)

    def _picture(self) -> Picture:
        read_at = time.time_ns() // 1_000_000
        document = self.api.subscription(self.subscription_id)
        picture = self._read(lambda: read_picture(document, self.prices))
        return replace(picture, version=self.book.version_of(picture.fingerprint, read_at))

    def _proration_instant(self, picture: Picture) -> datetime:
        """Return now, in whole seconds, within the present period."""
        at = (picture.at or self.clock.now()).replace(microsecond=0)
        if at >= picture.term.end:
            # Stripe renews within minutes of the boundary; until then there is no period to buy in.
            raise BillingCoreUnreachableError(self.host, "renewing", 60)
        return max(at, picture.term.start)

    def _cost(self, picture: Picture, steps: Steps, at: datetime) -> Bill | None:
        if not steps.calls or not steps.calls[0].invoiced:
            return None
        document = self._preview(preview_params(picture, steps.calls[0], int(at.timestamp())))
        return self._read(lambda: read_bill(document, self.prices, picture.term))

    def _renewal(self, picture: Picture, params: Document) -> Bill | None:
        """Forecast the next renewal; None for a subscription that ends there."""
        if picture.ends:
            return None
        try:
            document = self._preview(params)
        except BillingCoreRefusedError as refusal:
            if refusal.core_code == _UNKNOWN_RENEWAL:
                return None
            raise
        return self._read(lambda: read_bill(document, self.prices, picture.term))

    def _preview(self, params: Document) -> Document:
        try:
            return self.api.preview(params)
        except PaymentDeclinedError as refusal:
            raise BillingCoreRefusedError(refusal.reason, "Stripe refused to compute this") from refusal

    def _settle_others(self, turn: Turn, key: str) -> None:
        """Bring orders to their end that somebody left halfway: a late request of theirs would overwrite a new one."""
        for other in self.book.begun():
            if other.key != key and other.request is not None:
                self._carry_out(turn, other, other.request)

    def _carry_out(
        self, turn: Turn, stored: StoredOrder, order: OrderRequest, picture: Picture | None = None
    ) -> CoreOrder:
        """Bring an order to its end, from wherever the last attempt left it; the turn is taken."""
        picture = picture or self._picture()
        call = stored.call
        done = self._progress(picture, order.key, call) if call else 0
        if call is None or (not done and not self._may_be_repeated(call, picture)):
            try:
                call = self._new_call(stored, order, picture)
            except BillingCoreRefusedError as refusal:
                return self.book.settle(
                    order.key, CoreOrder(order.key, OrderState.DECLINED, reason=refusal.core_code)
                ).for_callers()
            self.book.keep_call(order.key, call)
        for number in range(done, len(call.params)):
            turn.check()
            try:
                self._send(order.key, call, number)
            except PaymentDeclinedError as refusal:
                declined = CoreOrder(order.key, OrderState.DECLINED, reason=refusal.reason)
                return self.book.settle(order.key, declined).for_callers()
        return self._placed(order.key, call)

    def _progress(self, picture: Picture, key: str, call: SentCall) -> int:
        """Return how many of an order's calls Stripe has carried out, by the marks it left on the subscription.

        Should the marks have been pushed out or removed since, its invoice tells.
        """
        mark = mark_of(self.subscription_id, key)
        if mark in picture.orders:
            return len(call.params)
        if picture.halfway == mark:
            return 1
        return len(call.params) if len(call.params) == 1 and self._invoice_of(key, call, picture.newest_invoice) else 0

    def _may_be_repeated(self, call: SentCall, picture: Picture) -> bool:
        """Tell whether exactly the stored request may be sent again, under its key.

        Raises:
            BillingCoreUnreachableError: It may still be on its way: try again later.
        """
        if not call.spent and call.base == picture.quantities and self.clock.now() - call.sent_at < KEY_LIFETIME:
            return True
        self._wait_for_arrival(call)
        return False

    def _wait_for_arrival(self, call: SentCall) -> None:
        left = call.sent_at + IN_FLIGHT - self.clock.now()
        if left > timedelta(0) and not call.spent:
            raise BillingCoreUnreachableError(self.host, "in_flight", int(left.total_seconds()) + 1)

    def _new_call(self, stored: StoredOrder, order: OrderRequest, picture: Picture) -> SentCall:
        """Work the request out from the subscription as it is now, and see that it costs what was shown (rule Q2).

        Raises:
            BillingCoreRefusedError: It would not, or cannot be.
        """
        quote = PinnedQuote.read(order.quote_id)
        if quote is None or quote.at not in picture.term:
            raise BillingCoreRefusedError("quote_stale", "The subscription was renewed since the quote")
        steps = steps_for(picture, self._change(order.changes, order.upgrade_from))
        bill = self._cost(picture, steps, quote.at)
        if (bill.total if bill else 0) != order.total:
            raise BillingCoreRefusedError("quote_stale", "The subscription has changed since the quote")
        proration_date = int(quote.at.timestamp())
        mark = mark_of(self.subscription_id, order.key)
        return SentCall(
            number=stored.call.number + 1 if stored.call else 1,
            base=picture.quantities,
            params=tuple(
                call_params(picture, steps, number, mark=mark, proration_date=proration_date)
                for number in range(len(steps.calls))
            ),
            proration_date=proration_date,
            sent_at=self.clock.now(),
            spent=False,
        )

    def _send(self, key: str, call: SentCall, number: int) -> None:
        """Send one stored call; after a status 500, which Stripe would repeat for a day, its key is used up."""
        mark = mark_of(self.subscription_id, key)
        # Always in one order: it comes from memory the first time and from the database afterwards.
        params = json.loads(json.dumps(call.params[number], sort_keys=True))
        try:
            self.api.update(self.subscription_id, params, key=f"seatbridge-{mark}-{call.number}-{number + 1}")
        except BillingCoreUnreachableError as problem:
            if problem.why.startswith("status_5") and number == 0:
                self.book.keep_call(key, call.used_up())
            raise

    def _placed(self, key: str, call: SentCall) -> CoreOrder:
        picture = self._picture()
        invoice = self._invoice_of(key, call, picture.newest_invoice)
        order = CoreOrder(
            key,
            OrderState.PLACED,
            invoice=self._read(lambda: self._invoice(invoice, picture)) if invoice else None,
            subscription=picture.for_callers(),
        )
        return self.book.settle(key, order).for_callers()

    def _invoice_of(self, key: str, call: SentCall, newest_invoice: str | None) -> Document | None:
        """Find the invoice that an order made at Stripe; None for one that cost nothing, or did not arrive.

        Nearly always it is the subscription's newest; otherwise all since the order was sent are looked through.
        """
        if not call.is_invoiced:
            return None
        mark = mark_of(self.subscription_id, key)
        newest = self.api.invoice(newest_invoice) if newest_invoice else None
        if newest is not None and is_for_order(newest, mark, call.proration_date):
            return newest
        since = min(call.sent_at - _LOOK_BACK, instant_of(call.proration_date) - _LOOK_BACK)
        made = self.api.invoices(self.subscription_id, since=int(since.timestamp()))
        return next((invoice for invoice in made if is_for_order(invoice, mark, call.proration_date)), None)

    def _invoice(self, invoice: Document, picture: Picture) -> CoreInvoice:
        return read_invoice(invoice, self.prices, picture.term)

    def _event(self, event: Document, picture: Picture) -> CoreEvent | None:
        """Read an event by what is so now: it names the thing, and the thing is read in our version of the API."""
        kind = str(event["type"])
        if kind.startswith("invoice."):
            return self._invoice_event(event, picture)
        identifier, at = str(event["id"]), instant_of(event["created"])
        if carried_out_marks(event) is None:
            return CoreEvent(identifier, KINDS[kind], at, subscription=picture.for_callers())
        orders = [self.book.find_by_mark(mark) for mark in carried_out_marks(event) or ()]
        placed = [order for order in orders if order is not None and order.state is OrderState.PLACED]
        return CoreEvent(identifier, EventKind.ORDER_PLACED, at, order=placed[-1].for_callers()) if placed else None

    def _invoice_event(self, event: Document, picture: Picture) -> CoreEvent | None:
        """Read what happened to an invoice; None for that of an order, which brings it itself."""
        invoice = self.api.invoice(thing_of(event))
        kind = invoice_kind(event, invoice)
        marks = marks_of(invoice)
        by_order = invoice.get("billing_reason") == "subscription_update" and marks
        if kind is None or by_order or belongs_to(invoice) != self.subscription_id or not _is_issued(invoice):
            return None
        return CoreEvent(
            str(event["id"]),
            kind,
            instant_of(event["created"]),
            subscription=picture.for_callers() if kind is EventKind.RENEWED else None,
            invoice=self._read(lambda: self._invoice(invoice, picture)),
        )

    def _read(self, read: Callable[[], ValueT]) -> ValueT:
        """Read a document of Stripe's; one that is not as it should be is no usable answer."""
        try:
            return read()
        except (ValueError, KeyError, TypeError) as problem:
            raise BillingCoreUnreachableError(self.host, "unreadable") from problem


def _is_issued(invoice: Document) -> bool:
    return invoice.get("status") in {"open", "paid", "uncollectible"}
