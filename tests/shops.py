"""Three organizations that buy alike, each billed by another core: the embedded one, one over HTTP, and Stripe."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import URL, select, update

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import OrgId
from bridge.errors import PaymentFailedError
from bridge.jobs.work import catch_up_everywhere, place_orders_due, renew_due
from bridge.ports import Clock, PaymentOutcome
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import BillingConnection, Invoice, Payment
from bridge.store.pools import read_pools
from bridge.usecases.billing_orders import list_orders
from bridge.usecases.buy_seats import SeatsConfirmation, SeatsPreview, confirm_seats, preview_seats
from bridge.usecases.connect_core import connect_core
from tests.conftest import SettableClock
from tests.cores import ExampleCore, LaterClock, remote_customer, with_local_cores
from tests.factories import Customer, create_customer
from tests.fakes.stripe import API_KEY, PRICES, SUBSCRIPTION, WEBHOOK_SECRET, StripeStandIn, stripe_stand_in

#: A period of 31 days, half of which is over at noon of the 16th.
START, HALFWAY = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 16, 12, tzinfo=UTC)
RENEWED = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)


@dataclass
class Card:
    """The means of payment of the organization that the embedded core bills."""

    declining: bool = False

    def collect(self, org_id: OrgId, amount: int, currency: str, *, key: str) -> PaymentOutcome:
        return PaymentOutcome(approved=not self.declining, reason="declined" if self.declining else None)


@dataclass
class Shop:
    """A customer with 2 Premium seats at 150.00 and 5 Standard seats at 25.00 a month, in EUR: by the embedded core."""

    customer: Customer
    clock: SettableClock | LaterClock
    card: Card = field(default_factory=Card)

    @property
    def runtime(self) -> Runtime:
        return self.customer.runtime

    def preview(self, **changes: int) -> SeatsPreview:
        with self.customer.unit(self.customer.owner) as unit:
            return preview_seats(unit, changes)

    def confirm(self, preview: SeatsPreview) -> SeatsConfirmation:
        """Confirm a preview and let the workers do what there is to do."""
        with self.customer.unit(self.customer.owner) as unit:
            done = confirm_seats(unit, preview.id, acknowledged=True)
        place_orders_due(self.runtime)
        return done

    def is_declined(self, preview: SeatsPreview) -> bool:
        """Confirm what cannot be paid, and say whether the buyer hears so."""
        try:
            self.confirm(preview)
        except PaymentFailedError:
            return True
        return False

    def seats(self) -> dict[str, tuple[int, int]]:
        """Return how many seats are paid and how many can be assigned, by tier."""
        with self.customer.unit() as unit:
            return {pool.tier: (pool.paid, pool.total) for pool in read_pools(unit)}

    def ledger(self, reason: str = "seat_change") -> list[int]:
        """Return the totals of the invoices here."""
        with self.customer.unit() as unit:
            return list(
                unit.session.scalars(select(Invoice.total).where(Invoice.reason == reason).order_by(Invoice.at))
            )

    def charged(self) -> list[int]:
        """Return what was collected for seats, by the books of whoever collects it."""
        with self.customer.unit() as unit:
            paid = select(Payment.amount).join(Invoice, Payment.invoice_id == Invoice.id)
            return list(unit.session.scalars(paid.where(Invoice.reason == "seat_change").order_by(Payment.at)))

    def decline(self) -> None:
        """Have every payment declined from now on."""
        self.card.declining = True

    def later(self, time: timedelta) -> None:
        """Let time pass."""
        assert isinstance(self.clock, SettableClock)
        self.clock.at += time

    def renew(self) -> None:
        """Pass the end of the period, and have it told."""
        assert isinstance(self.clock, SettableClock)
        self.clock.at = RENEWED
        self.tell()

    def tell(self) -> None:
        """Have everything told that has happened, from the beginning, whether it is known here or not."""
        renew_due(self.runtime)


@dataclass
class RemoteShop(Shop):
    """The same, billed by a core that keeps its own books."""

    def is_declined(self, preview: SeatsPreview) -> bool:
        done = self.confirm(preview)
        with self.customer.unit(self.customer.owner) as unit:
            [order] = list_orders(unit)
        return done.order is not None and order.state == "declined"

    def tell(self) -> None:
        with self.customer.unit(OPERATOR) as unit:
            unit.session.execute(update(BillingConnection).values(cursor=None))
        catch_up_everywhere(self.runtime)


@dataclass
class HttpShop(RemoteShop):
    """Over HTTP."""

    core: ExampleCore = field(kw_only=True)
    books: Path = field(kw_only=True)

    def charged(self) -> list[int]:
        return [invoice["total"] for invoice in self.core.invoices(self.customer.slug)]

    def decline(self) -> None:
        with closing(sqlite3.connect(self.books, isolation_level=None)) as database:
            database.execute(
                "UPDATE subscription SET document = json_set(document, '$.card', 'declined') WHERE name = ?",
                [self.customer.slug],
            )

    def later(self, time: timedelta) -> None:
        assert isinstance(self.clock, LaterClock)
        self.clock.ahead += time

    def renew(self) -> None:
        self.core.act("POST", self.customer.slug, "/renew")
        self.tell()


@dataclass
class StripeShop(RemoteShop):
    """At Stripe."""

    stripe: StripeStandIn = field(kw_only=True)

    def charged(self) -> list[int]:
        return self.stripe.charges()

    def decline(self) -> None:
        self.stripe.set_card("declining")

    def later(self, time: timedelta) -> None:
        super().later(time)
        assert isinstance(self.clock, SettableClock)
        self.stripe.move_clock(self.clock.at)

    def renew(self) -> None:
        self.stripe.move_clock(RENEWED)
        super().renew()


@contextmanager
def _running(settings: Settings, url: URL, clock: Clock, card: Card | None = None) -> Iterator[Runtime]:
    runtime = build_runtime(settings, url, payments=card or BuiltinPayments(), clock=clock)
    try:
        yield runtime
    finally:
        runtime.close()


@contextmanager
def embedded_shop(settings: Settings, url: URL) -> Iterator[Shop]:
    clock, card = SettableClock(HALFWAY), Card()
    with _running(settings, url, clock, card) as runtime:
        yield Shop(create_customer(runtime, anchor=START), clock, card)


@contextmanager
def http_shop(settings: Settings, url: URL, core: ExampleCore, books: Path, slug: str) -> Iterator[Shop]:
    clock = LaterClock()
    with _running(with_local_cores(settings), url, clock) as runtime:
        yield HttpShop(remote_customer(runtime, core, slug), clock, core=core, books=books)


@contextmanager
def stripe_shop(settings: Settings, url: URL) -> Iterator[Shop]:
    clock = SettableClock(HALFWAY)
    with stripe_stand_in(START) as stripe:
        stripe.open_subscription(START)
        stripe.move_clock(HALFWAY)
        billing = settings.billing.model_copy(update={"stripe_url": stripe.url, "internal_hosts": ("127.0.0.1",)})
        with _running(settings.model_copy(update={"billing": billing}), url, clock) as runtime:
            customer = create_customer(runtime, billed_by="remote", premium=0, standard=0, anchor=START)
            with customer.unit() as unit:
                service = runtime.stripe_service(unit, SUBSCRIPTION, PRICES, key=API_KEY, webhook_secret=WEBHOOK_SECRET)
            found = service.check("month")
            address = runtime.sealed_address(
                customer.org_id,
                f"stripe:{SUBSCRIPTION}",
                token=API_KEY,
                webhook_secret=WEBHOOK_SECRET,
                prices=PRICES,
            )
            with customer.unit(OPERATOR) as unit:
                connect_core(unit, address, found, service.invoices())
            yield StripeShop(customer, clock, stripe=stripe)
