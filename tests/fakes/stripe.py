"""Handling the stand-in for Stripe from a test: start it, and do behind the product's back what happens at Stripe."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.adapters.stripe_documents import fetch_document
from bridge.billing.stripe import StripeBillingService
from bridge.billing.stripe.orders import OrderBook
from bridge.billing.stripe.sdk import StripeApi, open_client
from bridge.core import CoreOrder, CoreQuote, OrderRequest, SeatQuestion
from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId
from bridge.runtime import Runtime
from tests.fakes.stripe_account import Document
from tests.processes import ROOT

API_KEY = "sk_test_seatbridge"
WEBHOOK_SECRET = "whsec_stripe_of_tests"
SUBSCRIPTION = "sub_nordlys"
CUSTOMER = f"cus_{SUBSCRIPTION}"
#: Where a subscription is changed.
CHANGES = "/v1/subscriptions/"
PRICES = {"standard": "price_standard", "premium": "price_premium"}


@dataclass(frozen=True, slots=True)
class StripeStandIn:
    """The stand-in, in a process of its own."""

    url: str

    def open_subscription(self, start: datetime, **facts: Any) -> Document:
        """Open the subscription of the tests' customer: 5 Standard at €25.00 and 2 Premium at €150.00 a month."""
        seats = facts.pop("seats", {"standard": 5, "premium": 2})
        amounts = facts.pop("amounts", {"standard": 2500, "premium": 15000})
        items = [
            {"price": PRICES[tier], "unit_amount": amounts[tier], "quantity": seats[tier], "name": tier.capitalize()}
            for tier in PRICES
        ]
        wanted = {"id": SUBSCRIPTION, "currency": "eur", "interval": "month", "start": _seconds(start), "items": items}
        return self.do("subscription", {**wanted, **facts})

    def move_clock(self, to: datetime) -> None:
        """Let time pass at Stripe, with the renewals on the way."""
        self.do("clock", {"now": _seconds(to)})

    def break_things(self, faults: Mapping[str, float] | None = None, *, seed: int = 1, only: str = "") -> None:
        """Make answers to what is posted get lost and worse; without any, all is well again.

        Args:
            faults: Parts of 1, as :class:`tests.fakes.stripe_server.Faults` has them.
            seed: Of the dice.
            only: Addresses that begin so, as :data:`CHANGES`.
        """
        self.do("faults", {"faults": {**(faults or {}), "only": only}, "seed": seed})

    def set_card(self, state: str, customer: str = CUSTOMER) -> None:
        """Make the card ``declining``, ``cardless`` or ``fine``."""
        self.do("card", {"customer": customer, "state": state})

    def send_events(self, url: str) -> list[int]:
        """Send every event there was to a webhook endpoint; return the statuses that it answered."""
        return list(self.do("webhooks", {"url": url})["answers"])

    def do(self, verb: str, wanted: Mapping[str, Any]) -> Document:
        """Do something behind the product's back."""
        request = urllib.request.Request(f"{self.url}/_test/{verb}", json.dumps(wanted).encode(), method="POST")  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return dict(json.load(answer))

    def state(self) -> Document:
        """Return everything that there is at Stripe."""
        with urllib.request.urlopen(f"{self.url}/_test/state", timeout=20) as answer:  # noqa: S310 - loopback
            return dict(json.load(answer))

    def quantities(self) -> dict[str, int]:
        """Return the quantities of the tests' subscription by tier."""
        items = self.state()["subscriptions"][SUBSCRIPTION]["items"]["data"]
        tiers = {price: tier for tier, price in PRICES.items()}
        return {tiers[item["price"]["id"]]: item["quantity"] for item in items}

    def charges(self) -> list[int]:
        """Return what left the card since the subscription was opened, in minor units, oldest first."""
        return [charge["amount"] for charge in self.state()["charges"][1:]]


def service_of(
    runtime: Runtime, org_id: OrgId, url: str, *, api_key: str = API_KEY, immediate_credit: bool = False
) -> StripeBillingService:
    """Return the adapter over the tests' subscription, with the real SDK."""
    return StripeBillingService(
        api=StripeApi(open_client(api_key, api_base=url, timeout_seconds=5), url),
        subscription_id=SUBSCRIPTION,
        prices=PRICES,
        book=OrderBook(lambda: runtime.unit(org_id, SYSTEM), SUBSCRIPTION),
        clock=runtime.clock,
        webhook_secret=WEBHOOK_SECRET,
        fetch=lambda url: fetch_document(url, internal_hosts=("127.0.0.1",)),
        immediate_credit=immediate_credit,
    )


def request_of(
    service: StripeBillingService,
    quote: CoreQuote,
    key: str,
    changes: Mapping[str, int],
    upgrade_from: str | None = None,
) -> OrderRequest:
    """Return the order of a quote that is confirmed now."""
    return OrderRequest(
        key=key,
        quote_id=quote.id,
        changes=changes,
        upgrade_from=upgrade_from,
        total=quote.bill.total if quote.bill else 0,
        currency=quote.currency,
        confirmed_at=service.clock.now(),
    )


def order(
    service: StripeBillingService, key: str, changes: Mapping[str, int], upgrade_from: str | None = None
) -> tuple[CoreQuote, CoreOrder]:
    """Quote, reserve and confirm; return what was quoted and what came of it."""
    quote = service.quote(SeatQuestion(changes, upgrade_from), key=f"{key}:quote")
    service.reserve(request_of(service, quote, key, changes, upgrade_from))
    return quote, service.confirm(key)


@contextmanager
def stripe_stand_in(now: datetime) -> Iterator[StripeStandIn]:
    """Run the stand-in until the block ends."""
    command = [sys.executable, "-m", "tests.fakes.stripe_server", "--now", str(_seconds(now))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield StripeStandIn(process.stdout.readline().strip())
        finally:
            process.kill()


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
