"""Passing a boundary: on time or late, with money or without, and the end of a plan."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bridge.domain.actors import SYSTEM
from bridge.errors import InvalidInputError, PlanEndedError, UnavailableError
from bridge.jobs.work import renew_due
from bridge.store.directory import get_member
from bridge.store.gate import due_renewals
from bridge.store.journal import verify
from bridge.store.models import Alert, AuditEntry, Contract, Decision, Delivery, Invoice, Payment
from bridge.store.pools import read_pools
from bridge.usecases.alerts import open_alerts
from bridge.usecases.buy_seats import change_seats, preview_seats
from bridge.usecases.renew_contract import grant_credit, renew_contract, set_auto_renew, set_price
from tests.billing import Payments
from tests.conftest import SettableClock
from tests.factories import Customer

BOUNDARY = datetime(2026, 4, 2, 9, tzinfo=UTC)
"""One month after the customers' start on 2 March 2026 at 09:00."""


def invoices(customer: Customer) -> list[tuple[str, str, datetime]]:
    with customer.unit() as unit:
        rows = unit.session.execute(select(Invoice.number, Invoice.reason, Invoice.at).order_by(Invoice.number))
        return [(row.number, row.reason, row.at) for row in rows]


def test_nothing_is_renewed_before_its_time(customer: Customer) -> None:
    with customer.unit(SYSTEM, at=BOUNDARY - timedelta(seconds=1)) as unit:
        assert renew_contract(unit) is None


def test_a_due_contract_is_found_by_the_worker_and_renewed_once(customer: Customer) -> None:
    assert list(customer.runtime.ask_gate(lambda session: due_renewals(session, BOUNDARY))) == [customer.org_id]

    with customer.unit(SYSTEM, at=BOUNDARY) as unit:
        first = renew_contract(unit)
    with customer.unit(SYSTEM, at=BOUNDARY) as unit:
        second = renew_contract(unit)

    assert first is not None
    assert second is None
    assert invoices(customer)[1:] == [("NORDLYS-000002", "renewal", BOUNDARY)]


def test_r2_a_late_worker_passes_each_boundary_at_its_own_instant(customer: Customer) -> None:
    late = BOUNDARY + timedelta(days=65)

    with customer.unit(SYSTEM, at=late) as unit:
        renewals = [renewal.at for _ in range(4) if (renewal := renew_contract(unit)) is not None]

    assert renewals == [BOUNDARY, datetime(2026, 5, 2, 9, tzinfo=UTC), datetime(2026, 6, 2, 9, tzinfo=UTC)]
    assert [at for _, _, at in invoices(customer)[1:]] == renewals


def test_r6_whoever_writes_first_after_the_boundary_renews_first(customer: Customer) -> None:
    with customer.unit(customer.owner, at=BOUNDARY + timedelta(minutes=1)) as unit:
        change_seats(unit, {"premium": 1})

    assert [reason for _, reason, _ in invoices(customer)] == ["start", "renewal", "seat_change"]
    with customer.unit() as unit:
        renewed = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "contract.renewed")).one()
    assert renewed.actor == "system"


def test_r7_seats_are_counted_as_at_the_boundary_however_late_the_worker_is(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(kind="enterprise", premium=1, standard=3)
    customer.push("ana@nordlys.test")
    year_later = datetime(2027, 3, 2, 9, tzinfo=UTC)

    with customer.unit(customer.directory, at=year_later + timedelta(minutes=5)) as unit:
        unit.lock()
        counts = {pool.tier: (pool.paid, pool.total, pool.used) for pool in read_pools(unit)}

    assert counts == {"premium": (1, 1, 1), "standard": (0, 0, 0)}


def test_looking_at_prices_after_the_boundary_sees_the_new_period(customer: Customer) -> None:
    with customer.unit(customer.owner, at=BOUNDARY) as unit:
        preview = preview_seats(unit, {"premium": 1})

    assert preview.quote.bill is not None
    # The whole month is left: 150.00.
    assert preview.quote.bill.total == 15000


def test_a_declined_renewal_stays_to_be_paid_and_alerts_the_owners(customer: Customer) -> None:
    declining = Payments(customer, declined=True)

    with declining.customer.unit(SYSTEM, at=BOUNDARY) as unit:
        renewal = renew_contract(unit)

    assert renewal is not None
    assert renewal.payment_declined
    with customer.unit() as unit:
        assert len(unit.session.scalars(select(Payment)).all()) == 1
        assert [alert.code for alert in unit.session.scalars(select(Alert))] == ["renewal_payment_declined"]
        assert unit.session.get_one(Contract, customer.org_id).status == "active"


def test_r6_a_boundary_that_cannot_be_passed_is_told_and_pushes_come_again(
    customer: Customer, clock: SettableClock
) -> None:
    def count_in(time_zone: str) -> None:
        with customer.unit(SYSTEM, at=BOUNDARY - timedelta(days=1)) as unit:
            unit.session.get_one(Contract, unit.org_id).time_zone = time_zone

    count_in("Mars/Olympus")
    clock.at = BOUNDARY

    renewed = renew_due(customer.runtime)
    with pytest.raises(UnavailableError, match="whose last period cannot be closed"):
        customer.push("ada@nordlys.test")
    with customer.unit() as unit:
        told = [alert.code for alert in open_alerts(unit)]
    count_in("UTC")
    again = renew_due(customer.runtime)

    assert (renewed, told, again) == (0, ["boundary_failed"], 1)
    customer.push("ada@nordlys.test")
    with customer.unit() as unit:
        assert "boundary_failed" not in [alert.code for alert in open_alerts(unit)]


def test_a_renewal_sends_its_invoice(customer: Customer) -> None:
    with customer.unit(SYSTEM, at=BOUNDARY) as unit:
        renewal = renew_contract(unit)

    assert renewal is not None
    assert renewal.invoice is not None
    with customer.unit() as unit:
        mail = unit.session.scalars(select(Delivery).where(Delivery.subject_id == renewal.invoice.id)).one()
    assert mail.kind == "invoice_mail"


def test_r5_the_plan_ends_for_everybody_at_once_and_keeps_their_data(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=1, standard=1)
    people = [customer.push(f"{name}@nordlys.test").id for name in ("ana", "bo", "cy")]
    with customer.unit(customer.owner) as unit:
        set_auto_renew(unit, value=False)

    with customer.unit(SYSTEM, at=BOUNDARY) as unit:
        renewal = renew_contract(unit)

    assert renewal is not None
    assert renewal.ended
    with customer.unit() as unit:
        members = [get_member(unit, member_id) for member_id in people]
        assert [(member.tier, member.waiting_for, member.active) for member in members] == [(None, None, True)] * 3
        reasons = [unit.session.get_one(Decision, (unit.org_id, member.decision_id)).reason for member in members]
        assert reasons == ["plan_ended"] * 3
        assert [(pool.paid, pool.total, pool.used) for pool in read_pools(unit)] == [(0, 0, 0)] * 2
        open_codes = unit.session.scalars(select(Alert.code).where(Alert.resolved_at.is_(None))).all()
        assert open_codes == ["plan_ended"]
        assert verify(unit) is None


def test_r5_an_ended_plan_refuses_purchases_and_lets_people_arrive_without_a_seat(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        set_auto_renew(unit, value=False)
    with customer.unit(SYSTEM, at=BOUNDARY) as unit:
        renew_contract(unit)

    with pytest.raises(PlanEndedError), customer.unit(customer.owner, at=BOUNDARY) as unit:
        change_seats(unit, {"premium": 1})
    with pytest.raises(PlanEndedError), customer.unit(customer.owner, at=BOUNDARY) as unit:
        set_auto_renew(unit, value=True)
    assert customer.push("ana@nordlys.test").tier is None


def test_r5_whoever_writes_first_after_the_end_finds_nobody_seated(customer: Customer, clock: SettableClock) -> None:
    ana = customer.push("ana@nordlys.test")
    with customer.unit(customer.owner) as unit:
        set_auto_renew(unit, value=False)
    clock.at = BOUNDARY + timedelta(hours=1)

    customer.push("bo@nordlys.test")

    with customer.unit() as unit:
        assert get_member(unit, ana.id).tier is None


def test_r4_a_new_price_is_in_the_forecast_before_it_counts(customer: Customer) -> None:
    with customer.unit() as unit:
        set_price(unit, "standard", 3000)

        forecast = unit.billing.next_renewal()

    # 5 × 30.00 + 2 × 150.00 = 450.00.
    assert forecast is not None
    assert forecast.subtotal == 45000


def test_a_plan_that_ends_has_no_forecast(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        set_auto_renew(unit, value=False)

        assert unit.billing.next_renewal() is None


@pytest.mark.parametrize("amount", [0, -1])
def test_c2_a_credit_is_above_nothing(customer: Customer, amount: int) -> None:
    with pytest.raises(InvalidInputError, match="amount"), customer.unit() as unit:
        grant_credit(unit, amount)


@pytest.mark.parametrize(("tier", "price"), [("gold", 1), ("standard", -1)])
def test_r4_an_impossible_price_is_refused(customer: Customer, tier: str, price: int) -> None:
    with pytest.raises(InvalidInputError), customer.unit() as unit:
        set_price(unit, tier, price)
