"""Usage summed up over a quarter and before a renewal (rule B6)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import new_id
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidInputError
from bridge.jobs.messages import compose
from bridge.jobs.work import mail_usage_everywhere
from bridge.runtime import Runtime
from bridge.store.models import Delivery, Member
from bridge.usecases.assign_seats import promote_waiting
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.deliver import Claim
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.usage import read_usage
from bridge.usecases.workspace_teams import create_team, join_teams
from tests.conftest import SettableClock
from tests.factories import Customer, create_workspace

Make = Callable[..., Customer]
JULY = datetime(2026, 7, 1, tzinfo=UTC)


def turn_off(customer: Customer, member: Member) -> None:
    with customer.unit(customer.owner) as unit:
        unit.lock()
        stored = unit.session.get_one(Member, (unit.org_id, member.id))
        promote_waiting(unit, [deactivate_member(unit, stored, reason="by_hand")])


def test_b6_a_quarter_that_is_over_has_the_same_numbers_whenever_it_is_asked_for(
    make_customer: Make, clock: SettableClock
) -> None:
    clock.at = JULY
    customer = make_customer(kind="enterprise", premium=0, standard=2, standard_price=36_500)
    ada = customer.push("ada@nordlys.test", displayName="Ada")
    clock.at = JULY + timedelta(days=46)  # half of the quarter's 92 days
    customer.push("bob@nordlys.test", displayName="Bob")
    with customer.unit(customer.owner) as unit:
        change_seats(unit, {"standard": 2})

    clock.at = datetime(2026, 10, 2, tzinfo=UTC)
    with customer.unit(customer.owner) as unit:
        first = read_usage(unit, of="2026Q3")
    turn_off(customer, ada)
    with customer.unit(customer.owner) as unit:
        change_seats(unit, {"standard": 5})
    clock.at = datetime(2026, 12, 2, tzinfo=UTC)
    with customer.unit(customer.owner) as unit:
        again = read_usage(unit, of="2026Q3")

    assert again == first
    assert first.complete
    standard = next(one for one in first.tiers if one.tier == "standard")
    # One person for 92 days and one more for 46: 1.5; 2 seats, then 4 for half of it: 3.
    assert (standard.used.peak, standard.used.mean, standard.used.last) == (2, "1.50", 2)
    assert (standard.bought.peak, standard.bought.mean, standard.bought.last) == (4, "3.00", 4)
    assert (first.moves.given, first.moves.taken, first.moves.changed) == (2, 0, 0)
    assert [one.name for one in first.idle] == ["Ada", "Bob"]
    # 2 × 365.00 on 1 July; 2 × 365.00 × (10 + 16/31) ÷ 12 on 16 August = 639.7311…
    assert (first.cost.invoices, first.cost.subtotal) == (2, 73_000 + 63_973)


def test_b6_months_of_licences_are_in_the_quarter_that_billed_them(runtime: Runtime, clock: SettableClock) -> None:
    clock.at = JULY
    workspace = create_workspace(runtime)
    ada = workspace.push("ada@nordlys.test")
    with workspace.unit() as unit:
        create_team(unit, "Red")
        join_teams(unit, ada.id, ["Red"])
    clock.at = datetime(2026, 11, 2, tzinfo=UTC)
    with workspace.unit(workspace.owner) as unit:
        unit.lock()
        usage = read_usage(unit, of="2026Q3")

    assert usage.licences == {"2026-07": 1, "2026-08": 1, "2026-09": 1}
    assert usage.tiers == ()


def test_b6_the_cost_of_licences_is_that_of_the_months_named(runtime: Runtime, clock: SettableClock) -> None:
    clock.at = datetime(2026, 6, 1, tzinfo=UTC)
    workspace = create_workspace(runtime, price=500)
    for month, name in ((6, "ada"), (7, "bob"), (8, "cid"), (9, "dan")):
        clock.at = datetime(2026, month, 2, tzinfo=UTC)
        member = workspace.push(f"{name}@nordlys.test")
        with workspace.unit() as unit:
            if month == 6:
                create_team(unit, "Red")
            join_teams(unit, member.id, ["Red"])

    clock.at = datetime(2026, 10, 1, 0, 0, 5, tzinfo=UTC)
    with workspace.unit(workspace.owner) as unit:
        before = read_usage(unit, of="2026Q3")
        unit.lock()
        after = read_usage(unit, of="2026Q3")

    assert (before.complete, after.complete) == (False, True)
    assert after.licences == {"2026-07": 2, "2026-08": 3, "2026-09": 4}
    # (2 + 3 + 4) × 5.00.
    assert (after.cost.invoices, after.cost.subtotal) == (3, 4_500)


def test_b6_a_quarter_is_complete_when_no_boundary_is_due(make_customer: Make, clock: SettableClock) -> None:
    clock.at = datetime(2026, 6, 10, tzinfo=UTC)
    customer = make_customer(premium=0, standard=5)
    clock.at = datetime(2026, 10, 2, tzinfo=UTC)

    with customer.unit(customer.owner) as unit:
        before = read_usage(unit, of="2026Q3")
        unit.lock()
        after = read_usage(unit, of="2026Q3")

    assert (before.complete, after.complete) == (False, True)
    assert (before.cost.invoices, after.cost.invoices) == (0, 3)


def test_b6_usage_is_for_owners_and_for_quarters_that_have_begun(make_customer: Make) -> None:
    customer = make_customer()

    with pytest.raises(ForbiddenError), customer.unit(Actor(ActorKind.MEMBER, role=Role.ADMIN)) as unit:
        read_usage(unit)
    with pytest.raises(InvalidInputError, match="has not begun"), customer.unit() as unit:
        read_usage(unit, of="2031Q1")


def test_b6_owners_are_mailed_once_before_a_yearly_renewal(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(kind="enterprise", premium=1, standard=2)
    customer.push("ada@nordlys.test", displayName="Ada")
    monthly = make_customer("sydlys")
    early = mail_usage_everywhere(customer.runtime)
    clock.at += timedelta(days=340)
    with monthly.unit() as unit:
        unit.lock()
    late = mail_usage_everywhere(customer.runtime)
    again = mail_usage_everywhere(customer.runtime)
    with customer.unit() as unit:
        queued = unit.session.scalars(select(Delivery).where(Delivery.kind == "usage_mail")).one()
        claim = Claim(new_id(), 1, queued.kind, queued.key, queued.subject_id, ("owner@nordlys.test",))
        message = compose(unit, claim)

    assert (early, late, again) == (0, 1, 0)
    assert message is not None
    assert "Premium: 1 seat paid for, 1 in use now, 1 at most" in message.text
    assert "The next invoice, as things are: €150.00" in message.text
