"""Buying seats: what the page shows, what the confirmation does, and what is written down."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.errors import (
    AcknowledgementMissingError,
    ForbiddenError,
    IdempotencyConflictError,
    NotFoundError,
    PaymentFailedError,
    PreviewExpiredError,
    PreviewStaleError,
    SeatsInUseError,
)
from bridge.ports import SeatChange, SeatCount
from bridge.store.directory import get_member
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Delivery, Invoice, InvoiceLine, Payment
from bridge.store.pools import read_pools
from bridge.usecases.buy_seats import change_seats, confirm_seats, open_seats_preview, preview_seats
from bridge.usecases.provision_member import remove_member
from tests.billing import Payments
from tests.conftest import SettableClock
from tests.factories import Customer

HALF = datetime(2026, 3, 17, 21, tzinfo=UTC)
"""The middle of 2 March 09:00 to 2 April 09:00, which is 31 days."""


@pytest.fixture
def seatless(make_customer: Callable[..., Customer]) -> Customer:
    """A customer that has bought no seat yet: who arrives waits."""
    return make_customer(premium=0, standard=0)


def push_in_turn(customer: Customer, clock: SettableClock, *names: str) -> list[MemberId]:
    """Push people one second after the other, so that their places in line are certain."""
    ids = []
    for name in names:
        clock.at += timedelta(seconds=1)
        ids.append(customer.push(f"{name}@nordlys.test").id)
    return ids


def numbers(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(Invoice.number).order_by(Invoice.number)))


def test_the_preview_shows_the_invoice_the_renewal_and_who_is_served(seatless: Customer, clock: SettableClock) -> None:
    waiting = push_in_turn(seatless, clock, "ana", "bo", "cy")

    with seatless.unit(seatless.owner, at=HALF) as unit:
        preview = preview_seats(unit, {"standard": 1, "premium": 1})

    # 1 × 25.00 × 1/2 = 12.50 and 1 × 150.00 × 1/2 = 75.00.
    assert preview.quote.bill is not None
    assert [(line.tier, line.amount) for line in preview.quote.bill.lines] == [("standard", 1250), ("premium", 7500)]
    assert (preview.quote.renewal_before, preview.quote.renewal_after) == (0, 17500)
    assert [line.amount for line in preview.quote.renewal_lines] == [2500, 15000]
    assert [(one.member_id, one.to_tier) for one in preview.promotions] == [
        (waiting[0], "premium"),
        (waiting[1], "standard"),
    ]
    assert preview.quote.seats == {"standard": SeatCount(1, 1), "premium": SeatCount(1, 1)}
    assert preview.expires_at == HALF + timedelta(minutes=15)


def test_the_confirmation_serves_whom_the_preview_showed_in_that_order(
    seatless: Customer, clock: SettableClock
) -> None:
    push_in_turn(seatless, clock, "ana", "bo", "cy")
    with seatless.unit(seatless.owner, at=HALF) as unit:
        preview = preview_seats(unit, {"standard": 1, "premium": 1})

    with seatless.unit(seatless.owner, at=HALF) as unit:
        done = confirm_seats(unit, preview.id, acknowledged=True)

    assert done.promoted == tuple(one.member_id for one in preview.promotions)
    with seatless.unit() as unit:
        assert [get_member(unit, one.member_id).tier for one in preview.promotions] == ["premium", "standard"]


def test_nothing_is_charged_by_looking(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        preview_seats(unit, {"premium": 5})

    assert numbers(customer) == ["NORDLYS-000001"]


def test_q1_a_confirmation_without_the_tick_is_refused(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})

    with pytest.raises(AcknowledgementMissingError), customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview.id, acknowledged=False)

    assert numbers(customer) == ["NORDLYS-000001"]


def test_q5_a_repeated_confirmation_answers_the_same(customer: Customer, clock: SettableClock) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})
    with customer.unit(customer.owner) as unit:
        first = confirm_seats(unit, preview.id, acknowledged=True, key="order-1")
    clock.at += timedelta(hours=1)

    with customer.unit(customer.owner) as unit:
        with_key = confirm_seats(unit, preview.id, acknowledged=True, key="order-1")
        without = confirm_seats(unit, preview.id, acknowledged=False)

    assert first == with_key == without
    assert numbers(customer) == ["NORDLYS-000001", "NORDLYS-000002"]


def test_q5_a_key_of_one_preview_does_not_confirm_another(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        first = preview_seats(unit, {"premium": 1})
        confirm_seats(unit, first.id, acknowledged=True, key="order-1")
        second = preview_seats(unit, {"premium": 1})

    with pytest.raises(IdempotencyConflictError), customer.unit(customer.owner) as unit:
        confirm_seats(unit, second.id, acknowledged=True, key="order-1")


def test_z1_a_repeated_key_answers_nobody_who_may_not_buy(customer: Customer) -> None:
    """The permission comes before the key: who may not buy is not told what was bought."""
    admin = Actor(ActorKind.MEMBER, customer.push("ada@nordlys.test").id, Role.ADMIN)
    with customer.unit(customer.owner) as unit:
        change_seats(unit, {"premium": 1}, "order-1")
        preview = preview_seats(unit, {"premium": 1})
        confirm_seats(unit, preview.id, acknowledged=True, key="order-2")

    with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
        change_seats(unit, {"premium": 1}, "order-1")
    with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
        confirm_seats(unit, preview.id, acknowledged=True, key="order-2")


def test_a_preview_can_be_shown_again_until_it_dies(customer: Customer, clock: SettableClock) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})
    clock.at += timedelta(minutes=14)

    with customer.unit(customer.owner) as unit:
        assert open_seats_preview(unit, preview.id) == preview

    clock.at += timedelta(minutes=1)
    with pytest.raises(PreviewExpiredError), customer.unit(customer.owner) as unit:
        open_seats_preview(unit, preview.id)


def test_a_confirmed_preview_is_not_shown_as_open(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})
        confirm_seats(unit, preview.id, acknowledged=True)

    with pytest.raises(PreviewStaleError), customer.unit(customer.owner) as unit:
        open_seats_preview(unit, preview.id)


def test_a_preview_whose_promotions_changed_is_stale(seatless: Customer, clock: SettableClock) -> None:
    ana, _ = push_in_turn(seatless, clock, "ana", "bo")
    with seatless.unit(seatless.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})
    with seatless.unit() as unit:
        remove_member(unit, get_member(unit, ana))

    with pytest.raises(PreviewStaleError), seatless.unit(seatless.owner) as unit:
        confirm_seats(unit, preview.id, acknowledged=True)


def test_an_unknown_preview_is_not_found(customer: Customer) -> None:
    with pytest.raises(NotFoundError), customer.unit(customer.owner) as unit:
        confirm_seats(unit, uuid.uuid4(), acknowledged=True)


def test_t1_a_preview_of_another_organization_is_not_found(
    customer: Customer, make_customer: Callable[..., Customer]
) -> None:
    other = make_customer("fjord")
    with other.unit(other.owner) as unit:
        preview = preview_seats(unit, {"premium": 1})

    with pytest.raises(NotFoundError), customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview.id, acknowledged=True)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
def test_z1_who_is_no_owner_neither_looks_nor_buys(customer: Customer, role: Role) -> None:
    actor = Actor(ActorKind.MEMBER, uuid.uuid4(), role)

    with pytest.raises(ForbiddenError), customer.unit(actor) as unit:
        preview_seats(unit, {"premium": 1})
    with pytest.raises(ForbiddenError), customer.unit(actor) as unit:
        change_seats(unit, {"premium": 1})


def test_d3_seats_in_use_are_named_in_the_refusal(customer: Customer) -> None:
    customer.push("ana@nordlys.test")

    with pytest.raises(SeatsInUseError) as refused, customer.unit(customer.owner) as unit:
        preview_seats(unit, {"premium": -2})

    assert (refused.value.tier, refused.value.used, refused.value.requested) == ("premium", 1, 0)


def test_a_purchase_is_written_down_everywhere(customer: Customer) -> None:
    with customer.unit(customer.owner, at=HALF) as unit:
        done = change_seats(unit, {"premium": 1})

    assert done.invoice is not None
    with customer.unit() as unit:
        invoice = unit.session.scalars(select(Invoice).where(Invoice.number == "NORDLYS-000002")).one()
        line = unit.session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id)).one()
        payment = unit.session.scalars(select(Payment).where(Payment.invoice_id == invoice.id)).one()
        mail = unit.session.scalars(select(Delivery).where(Delivery.subject_id == str(invoice.id))).one()
        audit = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "seats.changed")).one()
        chain = verify(unit)
    assert str(invoice.id) == done.invoice.id
    assert line.formula == "1 × €150.00 × 1,339,200 s ÷ 2,678,400 s = €75.00"
    assert (payment.amount, payment.currency) == (7500, "EUR")
    assert (mail.kind, mail.state) == ("invoice_mail", "pending")
    assert audit.body["invoice"] == done.invoice.id
    assert chain is None


def test_q4_enterprise_leaves_no_payment_row(make_customer: Callable[..., Customer]) -> None:
    fjord = make_customer("fjord", kind="enterprise")

    with fjord.unit(fjord.owner) as unit:
        change_seats(unit, {"premium": 1})

    with fjord.unit() as unit:
        assert unit.session.scalars(select(Payment)).all() == []
    assert numbers(fjord) == ["FJORD-000001", "FJORD-000002"]


def test_q4_a_declined_payment_rolls_everything_back(customer: Customer) -> None:
    declining = Payments(customer, declined=True)

    with pytest.raises(PaymentFailedError), declining.customer.unit(customer.owner) as unit:
        change_seats(unit, {"premium": 1}, "order-1")

    with customer.unit() as unit:
        assert {pool.tier: (pool.paid, pool.total) for pool in read_pools(unit)} == {
            "premium": (2, 2),
            "standard": (5, 5),
        }
    assert numbers(customer) == ["NORDLYS-000001"]


def test_case_x2_the_same_business_key_reaches_the_provider_on_a_retry(customer: Customer) -> None:
    payments = Payments(customer, declined=True)
    for _ in range(2):
        with pytest.raises(PaymentFailedError), payments.customer.unit(customer.owner) as unit:
            change_seats(unit, {"premium": 1}, "order-1")

    assert payments.keys == [f"{customer.org_id}:change:order-1"] * 2


def test_execute_refuses_a_quote_that_another_change_has_overtaken(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        quote = unit.billing.quote(SeatChange({"premium": 1}, at=unit.at))
        change_seats(unit, {"premium": 1})

        with pytest.raises(PreviewStaleError):
            unit.billing.execute(quote, key="late")


def test_execute_answers_a_repeated_key_with_the_same_invoice(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        quote = unit.billing.quote(SeatChange({"premium": 1}, at=unit.at))
        first = unit.billing.execute(quote, key="fact")

        again = unit.billing.execute(quote, key="fact")

    assert first == again


def test_execute_refuses_a_repeated_key_with_another_content(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        unit.billing.execute(unit.billing.quote(SeatChange({"premium": 1}, at=unit.at)), key="fact")
        other = unit.billing.quote(SeatChange({"premium": 2}, at=unit.at))

        with pytest.raises(IdempotencyConflictError):
            unit.billing.execute(other, key="fact")


def test_the_line_is_served_across_tiers_longest_wait_first(
    make_customer: Callable[..., Customer], clock: SettableClock
) -> None:
    customer = make_customer(premium=1, standard=1)
    holder, mover, ana, bo = push_in_turn(customer, clock, "holder", "mover", "ana", "bo")
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 1, "standard": 1})

    with customer.unit(customer.owner) as unit:
        done = confirm_seats(unit, preview.id, acknowledged=True)

    assert done.promoted == (ana, bo)
    with customer.unit() as unit:
        held = [get_member(unit, member_id).tier for member_id in (holder, mover, ana, bo)]
    assert held == ["premium", "standard", "premium", "standard"]
