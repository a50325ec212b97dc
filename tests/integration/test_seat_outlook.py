"""Thresholds and forecasts of seats, on PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidChangeError, InvalidInputError
from bridge.jobs.work import watch_due
from bridge.ports import FeeDraft
from bridge.store.directory import get_member
from bridge.store.models import Alert, AuditEntry, Delivery, Member
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.forecast_seats import forecast_seats
from bridge.usecases.provision_member import remove_member
from bridge.usecases.watch_tiers import read_thresholds, set_thresholds
from tests.conftest import SettableClock
from tests.factories import Customer

MakeCustomer = Callable[..., Customer]


def arrive(customer: Customer, number: int, *, prefix: str) -> None:
    for each in range(number):
        customer.push(f"{prefix}{each}@nordlys.test")


def leave(customer: Customer, *names: str) -> None:
    with customer.unit(customer.directory) as unit:
        for name in names:
            member_id = unit.session.scalars(select(Member.id).where(Member.user_name == name)).one()
            remove_member(unit, get_member(unit, member_id))


def open_alerts(customer: Customer) -> list[tuple[str | None, int | None]]:
    with customer.unit() as unit:
        rows = unit.session.execute(
            select(Alert.tier, Alert.number)
            .where(Alert.code == "tier_threshold", Alert.resolved_at.is_(None))
            .order_by(Alert.number)
        )
        return [(row[0], row[1]) for row in rows]


def mails(customer: Customer) -> int:
    with customer.unit() as unit:
        return len(unit.session.scalars(select(Delivery.id).where(Delivery.kind == "alert_mail")).all())


class TestThresholds:
    def test_each_crossing_is_one_alert_and_one_mail_and_ends_below(self, make_customer: MakeCustomer) -> None:
        customer = make_customer(premium=20, standard=0)
        seen: list[tuple[list[tuple[str | None, int | None]], int]] = []
        for number in (15, 1, 0, 3, 1):
            arrive(customer, number, prefix=f"w{len(seen)}-")
            watch_due(customer.runtime)
            seen.append((open_alerts(customer), mails(customer)))

        leave(customer, "w0-0@nordlys.test", "w0-1@nordlys.test")
        watch_due(customer.runtime)
        below = open_alerts(customer)
        arrive(customer, 2, prefix="again-")
        watch_due(customer.runtime)

        # Of 20 seats 16 are 80 %, 19 are 95 %, 20 are all.
        assert seen == [
            ([], 0),
            ([("premium", 80)], 1),
            ([("premium", 80)], 1),
            ([("premium", 80), ("premium", 95)], 2),
            ([("premium", 80), ("premium", 95), ("premium", 100)], 3),
        ]
        assert below == [("premium", 80)]
        # 95 % and full at once are one mail.
        assert (len(open_alerts(customer)), mails(customer)) == (3, 4)

    def test_bought_seats_end_the_alert_too(self, make_customer: MakeCustomer) -> None:
        customer = make_customer(premium=1, standard=0)
        arrive(customer, 1, prefix="a")
        watch_due(customer.runtime)

        with customer.unit(customer.owner) as unit:
            change_seats(unit, {"premium": 9})
        watch_due(customer.runtime)

        assert open_alerts(customer) == []

    def test_an_organization_has_its_own_thresholds(self, make_customer: MakeCustomer) -> None:
        customer = make_customer(premium=2, standard=0)
        arrive(customer, 1, prefix="a")

        with customer.unit(customer.owner) as unit:
            set_thresholds(unit, [50])

        with customer.unit() as unit:
            found = read_thresholds(unit)
            entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "thresholds.set")).one()
        assert (found.percents, found.set_by) == ((50,), f"member:{customer.owner_id}")
        assert entry.body == {"from": [80, 95, 100], "to": [50]}
        assert open_alerts(customer) == [("premium", 50)]
        with customer.unit(customer.owner) as unit:
            set_thresholds(unit, [])
        assert open_alerts(customer) == []

    def test_a_tier_without_seats_is_not_full(self, make_customer: MakeCustomer) -> None:
        customer = make_customer(premium=0, standard=0)

        assert watch_due(customer.runtime) == 0

    def test_members_set_no_thresholds_and_there_are_at_most_five(self, customer: Customer) -> None:
        with (
            pytest.raises(ForbiddenError),
            customer.unit(Actor(ActorKind.MEMBER, customer.owner_id, Role.MEMBER)) as unit,
        ):
            set_thresholds(unit, [50])
        for percents in ([0], [101], [10, 20, 30, 40, 50, 60]):
            with pytest.raises(InvalidInputError), customer.unit(customer.owner) as unit:
                set_thresholds(unit, percents)


class TestForecast:
    def grown(self, make_customer: MakeCustomer, clock: SettableClock, **facts: object) -> Customer:
        """A yearly plan since 1 January, with 2 people more on Premium in each of the last 8 weeks."""
        anchor = datetime(2026, 1, 1, tzinfo=UTC)
        clock.at = anchor
        customer = make_customer(
            **{
                "kind": "enterprise",
                "premium": 30,
                "standard": 10,
                "premium_price": 120000,
                "standard_price": 24000,
                "anchor": anchor,
                **facts,
            }
        )
        for week in range(8):
            clock.at += timedelta(weeks=1)
            arrive(customer, 2, prefix=f"w{week}-")
        clock.at += timedelta(hours=1)
        return customer

    def test_the_trend_says_when_the_tier_is_full_and_what_the_renewal_needs_and_costs(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer = self.grown(make_customer, clock)

        with customer.unit(customer.owner) as unit:
            found = forecast_seats(unit)

        premium, standard = found.tiers
        assert premium.trend is not None
        assert (premium.seats, premium.used, premium.weeks, premium.trend.per_week) == (30, 16, 8, Fraction(2))
        # 14 seats are left, 2 go each week.
        assert premium.full_at == clock.at + timedelta(weeks=7)
        # 26 February 01:00 to 1 January are 308 days and 23 hours: 16 + 2 × 44.14 = 104.3 → 105.
        assert (premium.needed_at_renewal, premium.to_buy) == (105, 75)
        assert (standard.used, standard.full_at, standard.needed_at_renewal) == (0, None, 0)
        renewal = found.renewal
        assert renewal is not None
        # In use today: 16 × 1,200.00 = 19,200.00; then 105 × 1,200.00 = 126,000.00.
        assert (renewal.as_of_today, renewal.with_trend) == (1920000, 12600000)

    def test_who_leaves_or_waits_counts(self, make_customer: MakeCustomer, clock: SettableClock) -> None:
        customer = self.grown(make_customer, clock, premium=10, standard=0)

        leave(customer, "w0-0@nordlys.test", "w1-0@nordlys.test")
        with customer.unit(customer.owner) as unit:
            premium, standard = forecast_seats(unit).tiers

        # 16 came and 2 left: 10 hold a seat, 4 would take any and count on the lowest tier.
        assert (premium.used, standard.waiting) == (10, 4)
        assert (premium.full_at, standard.full_at) == (clock.at, clock.at)

    def test_a_young_organization_has_no_trend(self, make_customer: MakeCustomer, clock: SettableClock) -> None:
        customer = make_customer(premium=5, standard=0)
        arrive(customer, 3, prefix="a")
        clock.at += timedelta(weeks=3)

        with customer.unit(customer.owner) as unit:
            premium = forecast_seats(unit).tiers[0]

        assert (premium.trend, premium.full_at, premium.needed_at_renewal) == (None, None, 3)

    def test_the_last_twelve_months_have_seats_and_invoices(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        anchor = datetime(2026, 1, 1, tzinfo=UTC)
        clock.at = anchor
        customer = make_customer(premium=4, standard=0, premium_price=1000, cycle="year", anchor=anchor)
        arrive(customer, 1, prefix="jan-")
        clock.at = datetime(2026, 3, 10, tzinfo=UTC)
        arrive(customer, 2, prefix="mar-")
        with customer.unit(customer.owner) as unit:
            change_seats(unit, {"premium": 1})
        clock.at = datetime(2026, 4, 2, tzinfo=UTC)

        with customer.unit(customer.owner) as unit:
            months = forecast_seats(unit).months

        assert [month.month for month in months][:2] == ["2025-05", "2025-06"]
        told = [(month.month, month.seats["premium"], month.used["premium"]) for month in months[7:]]
        assert told == [
            ("2025-12", 0, 0),
            ("2026-01", 4, 1),
            ("2026-02", 4, 1),
            ("2026-03", 5, 3),
            ("2026-04", 5, 3),
        ]
        # At the start 4 × 10.00; on 10 March one for the rest of the year, 297 of 365 days: 8.14.
        assert [month.invoiced for month in months[8:]] == [4000, 0, 814, 0]

    def test_z1_admins_see_seats_and_no_money(self, make_customer: MakeCustomer, clock: SettableClock) -> None:
        customer = make_customer()

        with customer.unit(Actor(ActorKind.MEMBER, customer.owner_id, Role.ADMIN)) as unit:
            found = forecast_seats(unit)

        assert found.renewal is None
        assert {month.invoiced for month in found.months} == {None}
        with (
            pytest.raises(ForbiddenError),
            customer.unit(Actor(ActorKind.MEMBER, customer.owner_id, Role.MEMBER)) as unit,
        ):
            forecast_seats(unit)

    def test_a_plan_without_seats_has_no_forecast(self, make_customer: MakeCustomer) -> None:
        customer = make_customer(fee=FeeDraft(annual_fee=1_000_000, tier="Blue", paid_users=10))

        with pytest.raises(InvalidChangeError), customer.unit(customer.owner) as unit:
            forecast_seats(unit)
