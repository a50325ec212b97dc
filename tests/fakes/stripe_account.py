"""An account at Stripe, as far as the product uses one: absolute quantities, prorations to the second, a card.

Written from Stripe's own documentation and not from our rules, so that both can be held against each other. Objects are
JSON documents in the shape of API version 2026-10-28.endive.
"""

import calendar
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

Document = dict[str, Any]


class StripeRefusalError(Exception):
    """An answer that is an error, as Stripe words it."""

    def __init__(self, status: int, kind: str, message: str, **details: Any) -> None:
        self.status = status
        self.body = {"error": {"type": kind, "message": message, **details}}
        super().__init__(message)


def invalid(message: str, **details: Any) -> StripeRefusalError:
    """Return the refusal of a request that makes no sense."""
    return StripeRefusalError(400, "invalid_request_error", message, **details)


def rounded(exact: Fraction) -> int:
    """Round to a whole minor unit, ties away from zero."""
    sign = -1 if exact < 0 else 1
    return sign * int(abs(exact) + Fraction(1, 2))


def a_period_later(anchor: int, count: int, interval: str) -> int:
    """Return the instant so many intervals after the anchor: its day of the month, clipped to short months."""
    start = datetime.fromtimestamp(anchor, UTC)
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


@dataclass(frozen=True, slots=True)
class Line:
    """A line before it is rounded."""

    quantity: int
    exact: Fraction
    start: int
    end: int
    text: str
    proration: bool


@dataclass(slots=True)
class Account:
    """Everything behind one secret key.

    ``charges`` is what really left cards, in order; ``declining`` holds the customers whose card says no, and
    ``cardless`` those who have none.
    """

    now: int
    address: str = ""
    customers: dict[str, Document] = field(default_factory=dict)
    prices: dict[str, Document] = field(default_factory=dict)
    subscriptions: dict[str, Document] = field(default_factory=dict)
    invoices: dict[str, Document] = field(default_factory=dict)
    events: list[Document] = field(default_factory=list)
    meter_events: dict[str, Document] = field(default_factory=dict)
    charges: list[Document] = field(default_factory=list)
    declining: set[str] = field(default_factory=set)
    cardless: set[str] = field(default_factory=set)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_id(self, prefix: str) -> str:
        """Return the next identifier of a kind."""
        return f"{prefix}_{next(self.ids):08}"

    def open_subscription(self, wanted: Mapping[str, Any]) -> Document:
        """Open a customer with a subscription and bill its first period, as the Dashboard would.

        Args:
            wanted: ``id``; ``customer``; ``currency``; ``interval``; ``start`` (seconds); ``tax_percent``; ``items`` as
                ``[{"price", "unit_amount", "quantity", "name"}]``; ``collection_method``;
                ``test_clock`` to make it go by the server's clock.
        """
        customer = str(wanted.get("customer", "cus_" + wanted["id"]))
        self.customers[customer] = {
            "id": customer,
            "object": "customer",
            "balance": 0,
            "currency": wanted["currency"],
            "email": "ap@nordlys.test",
            "metadata": {},
        }
        start, interval = int(wanted["start"]), str(wanted["interval"])
        items = [self._item(wanted, item, start, interval) for item in wanted["items"]]
        percent = str(wanted.get("tax_percent", "0"))
        rates = [{"id": "txr_1", "object": "tax_rate", "percentage": float(percent), "inclusive": False}]
        subscription: Document = {
            "id": wanted["id"],
            "object": "subscription",
            "customer": customer,
            "status": "active",
            "collection_method": wanted.get("collection_method", "charge_automatically"),
            "currency": wanted["currency"],
            "billing_cycle_anchor": start,
            "billing_mode": {"type": "flexible"},
            "cancel_at_period_end": False,
            "canceled_at": None,
            "created": start,
            "default_tax_rates": rates if percent != "0" else [],
            "items": {"object": "list", "data": items, "has_more": False, "url": "/v1/subscription_items"},
            "latest_invoice": None,
            "livemode": False,
            "metadata": {},
            "pending_update": None,
            "schedule": None,
            "test_clock": "clock_1" if wanted.get("test_clock") else None,
        }
        self.subscriptions[subscription["id"]] = subscription
        self._bill(subscription, self._period_lines(subscription), "subscription_create", at=start)
        return subscription

    def _item(self, wanted: Mapping[str, Any], item: Mapping[str, Any], start: int, interval: str) -> Document:
        price = {
            "id": item["price"],
            "object": "price",
            "active": True,
            "billing_scheme": "per_unit",
            "currency": wanted["currency"],
            "livemode": False,
            "metadata": {},
            "nickname": item.get("name"),
            "product": f"prod_{item['price']}",
            "recurring": {"interval": interval, "interval_count": 1, "usage_type": "licensed", "meter": None},
            "type": "recurring",
            "unit_amount": item["unit_amount"],
            "unit_amount_decimal": str(item["unit_amount"]),
        }
        self.prices[price["id"]] = price
        return {
            "id": self.new_id("si"),
            "object": "subscription_item",
            "created": start,
            "current_period_start": start,
            "current_period_end": a_period_later(start, 1, interval),
            "metadata": {},
            "price": price,
            "quantity": item["quantity"],
            "subscription": wanted["id"],
        }

    def subscription(self, identifier: str) -> Document:
        """Return a subscription, or refuse as Stripe does."""
        return self._found(self.subscriptions, "subscription", identifier)

    def invoice(self, identifier: str) -> Document:
        """Return an invoice, or refuse as Stripe does."""
        return self._found(self.invoices, "invoice", identifier)

    def customer(self, identifier: str) -> Document:
        """Return a customer, or refuse as Stripe does."""
        return self._found(self.customers, "customer", identifier)

    def _found(self, things: Mapping[str, Document], kind: str, identifier: str) -> Document:
        if identifier not in things:
            raise StripeRefusalError(
                404, "invalid_request_error", f"No such {kind}: '{identifier}'", code="resource_missing", param=kind
            )
        return things[identifier]

    def update_subscription(self, identifier: str, params: Mapping[str, Any]) -> Document:
        """Change quantities and metadata, prorate, invoice and collect, or refuse and change nothing."""
        subscription = self.subscription(identifier)
        if subscription["status"] == "canceled":
            raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
        quantities = _wanted_quantities(subscription, params.get("items", ()))
        behavior = params.get("proration_behavior", "create_prorations")
        at = int(params.get("proration_date", self.now))
        lines: list[Document] = []
        if behavior == "always_invoice":
            _check_proration_date(subscription, at)
            lines = self._prorations(subscription, quantities, at)
        elif behavior != "none":
            raise invalid("this account only knows always_invoice and none")
        metadata = _merged(subscription["metadata"], params.get("metadata", {}))
        if lines:
            self._bill(
                {**subscription, "metadata": metadata},
                lines,
                "subscription_update",
                at=self.now,
                may_fail=params.get("payment_behavior") == "error_if_incomplete",
            )
            subscription["latest_invoice"] = next(reversed(self.invoices))
        before = {key: subscription["metadata"].get(key) for key in {*subscription["metadata"], *metadata}}
        changed = {key: old for key, old in before.items() if old != metadata.get(key)}
        subscription["metadata"] = metadata
        for item in subscription["items"]["data"]:
            item["quantity"] = quantities[item["id"]]
        self._tell("customer.subscription.updated", subscription, {"metadata": changed} if changed else {})
        return subscription

    def preview(self, params: Mapping[str, Any]) -> Document:
        """Return the invoice that would come: of a change's prorations, or of the next renewal."""
        subscription = self.subscription(params["subscription"])
        details = params.get("subscription_details", {})
        quantities = _wanted_quantities(subscription, details.get("items", ()))
        behavior = details.get("proration_behavior", "create_prorations")
        if behavior == "always_invoice":
            at = int(details.get("proration_date", self.now))
            _check_proration_date(subscription, at)
            lines, reason = self._prorations(subscription, quantities, at), "subscription_update"
        else:
            if "proration_date" in details:
                raise invalid("You cannot set `proration_date` when `proration_behavior` is `none`.")
            lines, reason = self._period_lines(subscription, quantities, upcoming=True), "upcoming"
        invoice = self._draft(subscription, lines, reason, at=self.now)
        return {**invoice, "id": "upcoming_in_1", "status": "draft"}

    def advance(self, to: int) -> None:
        """Move the clock on and renew what is due on the way, oldest first."""
        while True:
            due = [
                (item["current_period_end"], subscription["id"])
                for subscription in self.subscriptions.values()
                for item in subscription["items"]["data"]
                if subscription["status"] != "canceled" and item["current_period_end"] <= to
            ]
            if not due:
                break
            boundary, identifier = min(due)
            self.now = max(self.now, boundary)
            self._renew(self.subscriptions[identifier], boundary)
        self.now = max(self.now, to)

    def _renew(self, subscription: Document, boundary: int) -> None:
        if subscription["cancel_at_period_end"]:
            subscription["status"], subscription["canceled_at"] = "canceled", boundary
            self._tell("customer.subscription.deleted", subscription)
            return
        anchor = subscription["billing_cycle_anchor"]
        for item in subscription["items"]["data"]:
            interval = item["price"]["recurring"]["interval"]
            passed = next(n for n in itertools.count(1) if a_period_later(anchor, n, interval) > boundary)
            item["current_period_start"], item["current_period_end"] = (
                boundary,
                a_period_later(anchor, passed, interval),
            )
        self._tell("customer.subscription.updated", subscription)
        self._bill(subscription, self._period_lines(subscription), "subscription_cycle", at=boundary)

    def cancel_at_period_end(self, identifier: str) -> None:
        """Let a subscription run out."""
        self.subscription(identifier)["cancel_at_period_end"] = True

    def _prorations(self, subscription: Document, quantities: Mapping[str, int], at: int) -> list[Document]:
        """Return, for each item that changes, unused time on the old quantity and remaining time on the new one."""
        lines = []
        for item in subscription["items"]["data"]:
            old, new = item["quantity"], quantities[item["id"]]
            if old == new:
                continue
            start, end = item["current_period_start"], item["current_period_end"]
            share = Fraction(end - at, end - start)
            name, day = _name(item), f"{datetime.fromtimestamp(at, UTC):%d %b %Y}"
            for quantity, sign, words in ((old, -1, "Unused time on"), (new, 1, "Remaining time on")):
                if quantity:
                    exact = sign * quantity * Fraction(item["price"]["unit_amount_decimal"]) * share
                    text = f"{words} {quantity} × {name} after {day}"
                    line = Line(quantity, exact, at, end, text, proration=True)
                    lines.append(self._line(subscription, item, line))
        return lines

    def _period_lines(
        self, subscription: Document, quantities: Mapping[str, int] | None = None, *, upcoming: bool = False
    ) -> list[Document]:
        lines = []
        for item in subscription["items"]["data"]:
            quantity = (quantities or {}).get(item["id"], item["quantity"])
            start, end = item["current_period_start"], item["current_period_end"]
            if upcoming:
                interval, anchor = item["price"]["recurring"]["interval"], subscription["billing_cycle_anchor"]
                start = end
                end = next(t for n in itertools.count(1) if (t := a_period_later(anchor, n, interval)) > start)
            exact = quantity * Fraction(item["price"]["unit_amount_decimal"])
            text = f"{quantity} × {_name(item)}"
            if quantity:
                line = Line(quantity, exact, start, end, text, proration=False)
                lines.append(self._line(subscription, item, line))
        return lines

    def _line(self, subscription: Document, item: Document, line: "Line") -> Document:
        details = {
            "invoice_item": None,
            "proration": line.proration,
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        }
        return {
            "id": self.new_id("il"),
            "object": "line_item",
            "amount": rounded(line.exact),
            "currency": subscription["currency"],
            "description": line.text,
            "discounts": [],
            "livemode": False,
            "metadata": {},
            "parent": {
                "type": "subscription_item_details",
                "invoice_item_details": None,
                "subscription_item_details": details,
            },
            "period": {"start": line.start, "end": line.end},
            "pricing": {
                "type": "price_details",
                "price_details": {"price": item["price"]["id"], "product": item["price"]["product"]},
                "unit_amount_decimal": item["price"]["unit_amount_decimal"],
            },
            "quantity": line.quantity,
        }

    def _draft(self, subscription: Document, lines: list[Document], reason: str, *, at: int) -> Document:
        balance = self.customers[subscription["customer"]]["balance"]
        subtotal = sum(line["amount"] for line in lines)
        tax = sum(
            rounded(subtotal * Fraction(str(rate["percentage"])) / 100) for rate in subscription["default_tax_rates"]
        )
        total = subtotal + tax
        # A balance below zero is the customer's credit; a total below zero adds to it.
        used = min(total, -balance) if total > 0 > balance else min(total, 0)
        return {
            "id": self.new_id("in"),
            "object": "invoice",
            "amount_due": max(total - used, 0),
            "amount_paid": 0,
            "amount_remaining": max(total - used, 0),
            "billing_reason": reason,
            "collection_method": subscription["collection_method"],
            "created": at,
            "currency": subscription["currency"],
            "customer": subscription["customer"],
            "ending_balance": balance + used,
            "lines": {"object": "list", "data": lines, "has_more": False, "url": "/v1/invoices/lines"},
            "livemode": False,
            "metadata": {},
            "number": None,
            "parent": {
                "type": "subscription_details",
                "quote_details": None,
                "subscription_details": {
                    "metadata": dict(subscription["metadata"]),
                    "subscription": subscription["id"],
                    "subscription_proration_date": None,
                },
            },
            "period_start": at,
            "period_end": at,
            "starting_balance": balance,
            "status": "draft",
            "status_transitions": {"finalized_at": None, "paid_at": None},
            "subtotal": subtotal,
            "total": total,
            "total_excluding_tax": subtotal,
            "total_taxes": [{"amount": tax, "tax_behavior": "exclusive"}] if tax else [],
        }

    def _bill(
        self, subscription: Document, lines: list[Document], reason: str, *, at: int, may_fail: bool = False
    ) -> None:
        """Finalise an invoice and collect it; with ``may_fail`` a card that says no undoes it."""
        if not lines:
            return
        invoice = self._draft(subscription, lines, reason, at=at)
        customer = subscription["customer"]
        paid = not invoice["amount_due"] or not (customer in self.declining or customer in self.cardless)
        if not paid and may_fail:
            if customer in self.cardless:
                raise invalid(
                    "This customer has no attached payment source or default payment method.", code="resource_missing"
                )
            raise StripeRefusalError(
                402, "card_error", "Your card was declined.", code="card_declined", decline_code="insufficient_funds"
            )
        number = sum(1 for known in self.invoices.values() if known["customer"] == customer) + 1
        invoice["number"] = f"{customer[-8:].upper().replace('_', '')}-{number:04}"
        invoice["status"] = "paid" if paid else "open"
        invoice["status_transitions"] = {"finalized_at": at, "paid_at": at if paid else None}
        invoice["invoice_pdf"] = f"{self.address}/invoice/{invoice['id']}/pdf"
        invoice["hosted_invoice_url"] = f"/invoice/{invoice['id']}"
        self.customers[customer]["balance"] = invoice["ending_balance"]
        self.invoices[invoice["id"]] = invoice
        self.subscriptions[subscription["id"]]["latest_invoice"] = invoice["id"]
        self._tell("invoice.finalized", invoice)
        if not paid:
            self.subscriptions[subscription["id"]]["status"] = "past_due"
            self._tell("invoice.payment_failed", invoice)
            return
        if invoice["amount_due"]:
            invoice["amount_paid"], invoice["amount_remaining"] = invoice["amount_due"], 0
            self.charges.append({"invoice": invoice["id"], "amount": invoice["amount_due"], "at": at})
        self._tell("invoice.paid", invoice)

    def pay(self, identifier: str) -> None:
        """Collect an open invoice at last."""
        invoice = self.invoice(identifier)
        invoice["status"], invoice["amount_paid"], invoice["amount_remaining"] = "paid", invoice["amount_due"], 0
        invoice["status_transitions"]["paid_at"] = self.now
        self.charges.append({"invoice": identifier, "amount": invoice["amount_due"], "at": self.now})
        self.subscriptions[invoice["parent"]["subscription_details"]["subscription"]]["status"] = "active"
        self._tell("invoice.paid", invoice)

    def _tell(self, kind: str, thing: Document, before: Document | None = None) -> None:
        data = {"object": _copied(thing)}
        if before is not None:
            data["previous_attributes"] = before
        self.events.append(
            {
                "id": self.new_id("evt"),
                "object": "event",
                "api_version": "2026-10-28.endive",
                "created": self.now,
                "data": data,
                "livemode": False,
                "pending_webhooks": 1,
                "request": {"id": None, "idempotency_key": None},
                "type": kind,
            }
        )

    def report_usage(self, params: Mapping[str, Any]) -> Document:
        """Take a meter event; one identifier counts once within 24 hours."""
        identifier = str(params.get("identifier") or self.new_id("mev"))
        if identifier in self.meter_events:
            raise invalid(f"An event already exists with identifier {identifier}.", code="duplicate_meter_event")
        event = {
            "object": "billing.meter_event",
            "created": self.now,
            "event_name": params["event_name"],
            "identifier": identifier,
            "livemode": False,
            "payload": dict(params["payload"]),
            "timestamp": int(params.get("timestamp", self.now)),
        }
        self.meter_events[identifier] = event
        return event


def _copied(value: Any) -> Any:
    """Copy a document through and through: an event tells how a thing was."""
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list) else value


def _name(item: Document) -> str:
    return str(item["price"]["nickname"] or item["price"]["id"])


def _merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Merge metadata: an empty text takes a key away."""
    if len({**old, **new}) > 50 or any(len(key) > 40 or len(value) > 500 for key, value in new.items()):
        raise invalid("Metadata has at most 50 keys of 40 characters, with values of at most 500.")
    return {key: value for key, value in {**old, **new}.items() if value != ""}


def _check_proration_date(subscription: Document, at: int) -> None:
    item = subscription["items"]["data"][0]
    if not item["current_period_start"] <= at <= item["current_period_end"]:
        raise invalid(
            "Invalid proration_date: it must be within the current subscription period.", param="proration_date"
        )


def _wanted_quantities(subscription: Document, items: Any) -> dict[str, int]:
    """Return each item's quantity after a change; what is not named stays."""
    quantities = {item["id"]: int(item["quantity"]) for item in subscription["items"]["data"]}
    for item in items:
        if item.get("id") not in quantities:
            raise invalid(f"No such subscription item: '{item.get('id')}'", code="resource_missing")
        quantity = int(item["quantity"])
        if quantity < 0:
            raise invalid("Invalid non-negative integer", param="items[0][quantity]")
        quantities[item["id"]] = quantity
    return quantities
