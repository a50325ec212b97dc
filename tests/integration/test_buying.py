"""What a buyer may rely on, whoever bills: one class of tests over the embedded core, one over HTTP, and Stripe."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, func, select

from bridge.config import Settings
from bridge.domain.actors import OPERATOR
from bridge.errors import IdempotencyConflictError, PreviewExpiredError, PreviewStaleError, SeatsInUseError
from bridge.jobs.documents import print_invoice
from bridge.store.models import AuditEntry, Invoice
from bridge.usecases.buy_seats import change_seats, confirmed_seats
from bridge.usecases.seats import read_invoices
from tests.cores import ExampleCore, example_core
from tests.shops import Shop, embedded_shop, http_shop, stripe_shop

UNTOUCHED = {"premium": (2, 2), "standard": (5, 5)}


class BuyingContract:
    """2 Premium seats at 150.00 and 5 Standard seats at 25.00 a month; nobody holds one yet."""

    def test_q1_q2_nothing_happens_before_the_confirmation_and_then_what_was_shown(self, shop: Shop) -> None:
        preview = shop.preview(premium=1)
        before = shop.seats(), shop.charged()

        shop.confirm(preview)

        assert preview.quote.bill is not None
        assert before == (UNTOUCHED, [])
        assert shop.charged() == shop.ledger() == [preview.quote.bill.total]
        assert shop.seats() == {"premium": (3, 3), "standard": (5, 5)}

    def test_q5_a_purchase_whose_answer_was_lost_is_found_and_not_repeated(self, shop: Shop) -> None:
        preview = shop.preview(premium=1)
        first = shop.confirm(preview)

        again = shop.confirm(preview)
        with shop.customer.unit(shop.customer.owner) as unit:
            found = confirmed_seats(unit, preview.id)

        assert again == found == first
        assert len(shop.charged()) == 1
        assert shop.seats()["premium"] == (3, 3)

    def test_q5_the_same_key_with_other_content_is_refused(self, shop: Shop) -> None:
        with shop.customer.unit(shop.customer.owner) as unit:
            first = change_seats(unit, {"premium": 1}, "monday")

        with shop.customer.unit(shop.customer.owner) as unit:
            again = change_seats(unit, {"premium": 1}, "monday")
        with pytest.raises(IdempotencyConflictError), shop.customer.unit(shop.customer.owner) as unit:
            change_seats(unit, {"premium": 2}, "monday")

        assert again == first

    def test_q4_a_declined_payment_is_told_and_changes_nothing(self, shop: Shop) -> None:
        shop.decline()

        declined = shop.is_declined(shop.preview(premium=1))

        assert declined
        assert (shop.seats(), shop.charged(), shop.ledger()) == (UNTOUCHED, [], [])

    def test_q3_a_preview_that_expired_or_that_is_no_longer_so_is_refused(self, shop: Shop) -> None:
        old, other = shop.preview(premium=1), shop.preview(standard=1)
        shop.confirm(other)

        with pytest.raises(PreviewStaleError):
            shop.confirm(old)
        late = shop.preview(premium=1)
        shop.later(timedelta(minutes=15))
        with pytest.raises(PreviewExpiredError):
            shop.confirm(late)

        assert shop.seats() == {"premium": (2, 2), "standard": (6, 6)}
        assert len(shop.charged()) == 1

    def test_d2_a_reduction_credits_nothing_and_counts_from_the_renewal(self, shop: Shop) -> None:
        preview = shop.preview(standard=-2)

        shop.confirm(preview)

        assert preview.quote.bill is None
        # 2 × 150.00 + 5 × 25.00 = 425.00; with 3 × 25.00 it is 375.00.
        assert (preview.quote.renewal_before, preview.quote.renewal_after) == (42500, 37500)
        assert (shop.seats()["standard"], shop.charged(), shop.ledger()) == ((5, 3), [], [])

    def test_d3_seats_in_use_are_not_shed(self, shop: Shop) -> None:
        for number in range(7):
            shop.customer.push(f"u{number}@nordlys.test")

        with pytest.raises(SeatsInUseError):
            shop.preview(standard=-1)

    def test_b1_every_invoice_adds_up_and_is_printed_by_whoever_issued_it(self, shop: Shop) -> None:
        shop.confirm(shop.preview(premium=1))

        with shop.customer.unit(shop.customer.owner) as unit:
            views = read_invoices(unit, unit.session.scalars(select(Invoice.id)).all())
        number = next(view.invoice.number for view in views if view.invoice.reason == "seat_change")
        printed = print_invoice(shop.runtime, shop.customer.org_id, number, OPERATOR)

        assert all(sum(line.amount for line in view.lines) == view.invoice.subtotal for view in views)
        assert all(view.paid == view.invoice.amount_due for view in views if view.invoice.reason == "seat_change")
        assert printed.startswith(b"%PDF")

    def test_r1_a_renewal_bills_the_whole_next_period_once_however_often_it_is_told(self, shop: Shop) -> None:
        before = renewals(shop)

        shop.renew()
        shop.tell()

        assert shop.ledger("renewal") == [42500]
        assert shop.seats() == UNTOUCHED
        assert renewals(shop) - before == 1


def renewals(shop: Shop) -> int:
    """Count the renewals in the journal."""
    with shop.customer.unit() as unit:
        renewed = select(func.count()).where(AuditEntry.action == "contract.renewed")
        return unit.session.scalar(renewed) or 0


class TestEmbedded(BuyingContract):
    """In the same transaction."""

    @pytest.fixture
    def shop(self, settings: Settings, database_url: URL) -> Iterator[Shop]:
        with embedded_shop(settings, database_url) as shop:
            yield shop


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("core")


@pytest.fixture(scope="module")
def core(books: Path) -> Iterator[ExampleCore]:
    with example_core(books) as core:
        yield core


class TestHttp(BuyingContract):
    """By orders, at the example core in a process of its own."""

    @pytest.fixture
    def shop(self, settings: Settings, database_url: URL, core: ExampleCore, books: Path) -> Iterator[Shop]:
        slug = f"n-{uuid.uuid4()}"
        with http_shop(settings, database_url, core, books / "core.sqlite3", slug) as shop:
            yield shop


class TestStripe(BuyingContract):
    """By orders, at the stand-in for Stripe in a process of its own."""

    @pytest.fixture
    def shop(self, settings: Settings, database_url: URL) -> Iterator[Shop]:
        with stripe_shop(settings, database_url) as shop:
            yield shop
