"""What budgets may cost: caps that hold for full periods, and previews that are exact or refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bridge.billing.rules.charges import MAX_SEATS
from bridge.billing.why_person import why_person
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.people_files import read_people
from bridge.domain.roles import Role
from bridge.errors import (
    AssertionFailedError,
    ForbiddenError,
    IdempotencyConflictError,
    PaymentFailedError,
    PreviewStaleError,
)
from bridge.store.directory import get_member
from bridge.store.models import Alert, AuditEntry, Invoice, SeatPool
from bridge.usecases.budgets import list_budgets
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.import_people import import_people, preview_import
from bridge.usecases.mapping_drafts import preview_draft, save_draft
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_many import Newcomer, provision_many
from bridge.usecases.provision_member import PersonDraft, Source
from bridge.usecases.set_budget import BudgetDraft, confirm_budget, preview_budget
from bridge.usecases.sync_groups import GroupDraft, create_group
from tests.billing import Payments
from tests.conftest import SettableClock
from tests.factories import Customer, set_budget
from tests.integration.test_budgets import (
    ENTERPRISE,
    MakeCustomer,
    alerts,
    allow,
    arrive,
    buy_when_full,
    engineers,
    purchases,
    seats,
    tiers,
)

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def invoices(customer: Customer) -> list[tuple[str, int]]:
    with customer.unit() as unit:
        rows = unit.session.execute(select(Invoice.reason, Invoice.total).order_by(Invoice.number))
        return [(row[0], row[1]) for row in rows]


def crowd(customer: Customer, number: int) -> list[MemberId]:
    """Push people by one file's worth at once."""
    newcomers = [Newcomer(PersonDraft(f"x{each}@nordlys.test")) for each in range(number)]
    with customer.unit(customer.directory) as unit:
        done = provision_many(unit, customer.connection_id, newcomers, Source.SCIM)
    return list(done.member_ids.values())


def two_labs(make_customer: MakeCustomer, clock: SettableClock, *, lapsing: int = 2) -> tuple[Customer, dict[str, Any]]:
    """Premium seats that will lapse, two labs of two people each, and rules that let both buy."""
    clock.at = MARCH
    customer = make_customer(premium=lapsing, standard=0, premium_price=10000, anchor=MARCH)
    if lapsing:
        with customer.unit(customer.owner) as unit:
            change_seats(unit, {"premium": -lapsing})
    people = sorted(crowd(customer, 4))
    with customer.unit() as unit:
        for place, each in enumerate(people):
            member = get_member(unit, each)
            member.document = {**member.document, ENTERPRISE: {"costCenter": "Lab A" if place < 2 else "Lab B"}}
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Engineering"), [str(each) for each in people])
    return customer, {
        "schema": 2,
        "on_exhausted": "buy_up_to",
        "rules": [{"group": "Engineering", "tier": "premium"}],
    }


def preview(customer: Customer, document: dict[str, Any]) -> MappingsPreview:
    with customer.unit(customer.owner) as unit:
        return preview_mappings(unit, document)


class TestCap:
    def test_a_seat_bought_at_the_end_of_a_period_counts_by_its_full_price(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        clock.at = MARCH
        customer = make_customer(premium=0, standard=0, premium_price=15000, anchor=MARCH)
        buy_when_full(customer)
        allow(customer, amount=32000)
        clock.at = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)

        crowd(customer, 20)

        # 2 × 150.00 fit into 320.00 and 3 do not, though a minute of each costs less than a cent: 15,000 × 60 ÷
        # 2,678,400 = 0.34 cents, two of them 1 cent.
        assert purchases(customer) == [("premium", "", 2, 1)]
        with customer.unit(customer.owner) as unit:
            (budget,) = list_budgets(unit)
            renewal = unit.billing.next_renewal()
        assert (budget.amount_used, budget.amount_charged, budget.amount_left) == (30000, 1, 2000)
        assert renewal is not None
        assert renewal.subtotal == 30000
        assert alerts(customer) == [("budget_used_up", "premium")]

    def test_d4_seats_that_are_taken_back_count_by_their_full_price(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        clock.at = MARCH
        customer = make_customer(premium=10, standard=0, premium_price=15000, anchor=MARCH)
        buy_when_full(customer)
        with customer.unit(customer.owner) as unit:
            change_seats(unit, {"premium": -10})
        allow(customer, amount=30000)

        crowd(customer, 10)

        assert purchases(customer) == [("premium", "", 2, 0)]
        assert seats(customer)["premium"] == (2, 2)

    def test_the_price_of_the_next_period_counts_where_it_is_higher(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        clock.at = MARCH
        customer = make_customer(premium=0, standard=0, premium_price=10000, anchor=MARCH)
        buy_when_full(customer)
        with customer.unit() as unit:
            unit.session.execute(update(SeatPool).where(SeatPool.tier == "premium").values(next_price=20000))
        allow(customer, amount=50000)

        crowd(customer, 5)

        assert [each[2] for each in purchases(customer)] == [2]

    def test_no_cost_centre_passes_its_cap_when_seats_are_taken_back_for_several(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer, document = two_labs(make_customer, clock)
        with customer.unit(customer.owner) as unit:
            set_budget(unit, "premium", amount=10000, cost_centre="Lab A")
            set_budget(unit, "premium", amount=10000, cost_centre="Lab B")

        shown = preview(customer, document)
        with customer.unit(customer.owner) as unit:
            apply_mappings(unit, shown.id, acknowledged=True)

        # Two were about to lapse: one for each lab, and nothing is charged today.
        assert sorted((use.cost_centre, use.seats, use.amount, use.amount_left) for use in shown.budget_uses) == [
            ("Lab A", 1, 0, 0),
            ("Lab B", 1, 0, 0),
        ]
        assert [each[2:] for each in purchases(customer)] == [(1, 0), (1, 0)]
        assert invoices(customer) == [("start", 20000)]


class TestPreview:
    def test_several_budgets_are_quoted_one_after_the_other_and_cost_what_was_shown(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer, document = two_labs(make_customer, clock)
        with customer.unit(customer.owner) as unit:
            set_budget(unit, "premium", amount=50000, cost_centre="Lab A")
            set_budget(unit, "premium", amount=50000, cost_centre="Lab B")

        shown = preview(customer, document)
        with customer.unit(customer.owner) as unit:
            applied = apply_mappings(unit, shown.id, acknowledged=True)

        # The first lab takes back the two that would lapse; the second one buys 2 × 100.00.
        assert [use.amount for use in shown.budget_uses] == [0, 20000]
        assert shown.outlay is not None
        assert (shown.outlay.total, shown.outlay.together.renewal_after) == (20000, 40000)
        assert [invoice.total for invoice in applied.invoices] == [20000]

    def test_z1_who_may_see_no_prices_asserts_no_cost_and_hears_nothing_of_one(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer, document = two_labs(make_customer, clock, lapsing=0)
        allow(customer, amount=50000, cost_centre="Lab B")
        admin = Actor(ActorKind.MEMBER, customer.owner.id, Role.ADMIN)
        document["assert"] = [{"cost_at_most": "199.99"}]

        with customer.unit(admin) as unit:
            for write in (preview_mappings, lambda unit, document: save_draft(unit, "May", document)):
                with pytest.raises(ForbiddenError):
                    write(unit, document)
        with customer.unit(customer.owner) as unit:
            save_draft(unit, "May", document)
        with customer.unit(admin) as unit:
            kept = save_draft(unit, "May", {**document, "on_exhausted": "unassigned"})
            save_draft(unit, "May", document)
            shown = preview_draft(unit, "May")
            with pytest.raises(AssertionFailedError) as refused:
                apply_mappings(unit, shown.id, acknowledged=True)

        assert kept.version == 2
        assert [(str(one), one.is_told) for one in shown.findings] == [
            ("one condition is about money: an owner sees it", False)
        ]
        assert "199" not in str(refused.value)
        assert "200" not in str(refused.value)

    def test_missing_seats_and_budgets_are_quoted_together_and_assertions_see_the_sum(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer, document = two_labs(make_customer, clock)
        allow(customer, amount=50000, cost_centre="Lab B")
        document["assert"] = [{"cost_at_most": "199.99"}]

        shown = preview(customer, document)
        with customer.unit(customer.owner) as unit, pytest.raises(AssertionFailedError):
            apply_mappings(unit, shown.id, acknowledged=True, buy=True)
        document["assert"] = [{"cost_at_most": "200.00"}]
        again = preview(customer, document)
        with customer.unit(customer.owner) as unit:
            applied = apply_mappings(unit, again.id, acknowledged=True, buy=True)

        # Lab A's two are missing and take back what would lapse; Lab B's budget pays 2 × 100.00.
        assert again.outlay_if_bought is not None
        assert (again.shortage, again.outlay_if_bought.total) == ({"premium": 2}, 20000)
        assert again.outlay_if_bought.together.renewal_after == 40000
        assert [invoice.total for invoice in applied.invoices] == [20000]

    def test_the_missing_seats_serve_everybody_whoever_stands_first(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer, document = two_labs(make_customer, clock)
        allow(customer, amount=50000, cost_centre="Lab A")

        shown = preview(customer, document)

        # Lab A's two stand first and take what is bought for Lab B's: for nobody to wait it has to be all four.
        assert shown.moves_if_bought is not None
        assert (shown.shortage, shown.moves_if_bought.short_by, shown.budget_uses_if_bought) == ({"premium": 4}, {}, ())

    @pytest.mark.parametrize("asserted", [[], [{"people": {"tier": "premium"}, "at_least": 2}]], ids=["", "asserted"])
    def test_q4_a_declined_payment_within_a_budget_refuses_the_whole(
        self, make_customer: MakeCustomer, clock: SettableClock, asserted: list[Any]
    ) -> None:
        made: list[Payments] = []

        def paying(**terms: Any) -> Customer:
            made.append(Payments(make_customer(**terms)))
            return made[0].customer

        customer, document = engineers(paying, clock)
        allow(customer, seats=2)
        shown = preview(customer, {**document, "schema": 2, "assert": asserted})
        made[0].declined = True

        with pytest.raises(PaymentFailedError), customer.unit(customer.owner) as unit:
            apply_mappings(unit, shown.id, acknowledged=True)

        assert (purchases(customer), invoices(customer)) == ([], [])
        with customer.unit() as unit:
            assert unit.state().mapping_version == 0

    def test_q4_an_import_whose_purchase_is_declined_takes_nobody_in(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        payments = Payments(make_customer(premium=0, standard=0, anchor=clock.at))
        customer = payments.customer
        buy_when_full(customer)
        allow(customer, seats=2)
        file = read_people(b"userName\na@nordlys.test\n")
        with customer.unit(customer.owner) as unit:
            shown = preview_import(unit, file)
        payments.declined = True

        with pytest.raises(PaymentFailedError), customer.unit(customer.owner) as unit:
            import_people(unit, file, expect=shown.fingerprint)

        with customer.unit(customer.owner) as unit:
            assert preview_import(unit, file).fingerprint == shown.fingerprint

    def test_q5_a_repeat_that_buys_otherwise_is_a_conflict(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer, document = engineers(make_customer, clock)
        shown = preview(customer, {**document, "on_exhausted": "unassigned"})
        with customer.unit(customer.owner) as unit:
            first = apply_mappings(unit, shown.id, acknowledged=True)

        with customer.unit(customer.owner) as unit:
            again = apply_mappings(unit, shown.id, acknowledged=True)
        with customer.unit(customer.owner) as unit, pytest.raises(IdempotencyConflictError):
            apply_mappings(unit, shown.id, acknowledged=True, buy=True)

        assert again == first


class TestSetting:
    def test_q1_what_a_budget_buys_at_once_is_shown_and_charged_as_shown(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        clock.at = MARCH
        customer = make_customer(premium=0, standard=0, premium_price=15000, anchor=MARCH)
        buy_when_full(customer)
        people = arrive(customer, clock, "a", "b", "c")

        with customer.unit(customer.owner) as unit:
            shown = preview_budget(unit, BudgetDraft(tier="premium", seats=5))
        before = (invoices(customer), tiers(customer, people))
        clock.at += timedelta(minutes=14)
        with customer.unit(customer.owner) as unit:
            done = confirm_budget(unit, shown.id, acknowledged=True)
        with customer.unit(customer.owner) as unit:
            again = confirm_budget(unit, shown.id, acknowledged=True)

        assert before == ([], [None] * 3)
        assert [(use.seats, use.seats_left) for use in shown.uses] == [(3, 2)]
        assert invoices(customer) == [("seat_change", shown.total)]
        assert (done.seats_left, done.moved, len(done.invoices), again) == (2, 3, 1, done)

    def test_q3_one_more_in_line_makes_the_preview_of_a_budget_stale(
        self, make_customer: MakeCustomer, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=0, standard=0)
        buy_when_full(customer)
        with customer.unit(customer.owner) as unit:
            shown = preview_budget(unit, BudgetDraft(tier="premium", seats=5))
        arrive(customer, clock, "a")

        with customer.unit(customer.owner) as unit, pytest.raises(PreviewStaleError):
            confirm_budget(unit, shown.id, acknowledged=True)

        assert invoices(customer) == []

    def test_q4_a_declined_payment_leaves_no_budget(self, make_customer: MakeCustomer, clock: SettableClock) -> None:
        payments = Payments(make_customer(premium=0, standard=0))
        customer = payments.customer
        buy_when_full(customer)
        arrive(customer, clock, "a")
        payments.declined = True

        with pytest.raises(PaymentFailedError):
            allow(customer, seats=5)

        with customer.unit(customer.owner) as unit:
            assert list_budgets(unit) == []


def test_another_refusal_than_a_declined_payment_is_told_as_what_it_is(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=0, standard=0)
    buy_when_full(customer)
    allow(customer, seats=5)
    with customer.unit() as unit:
        full = {"paid": MAX_SEATS, "total": MAX_SEATS, "used": MAX_SEATS}
        unit.session.execute(update(SeatPool).where(SeatPool.tier == "premium").values(**full))

    arrive(customer, clock, "a")
    clock.at += timedelta(minutes=5)
    arrive(customer, clock, "b")

    with customer.unit() as unit:
        (told,) = unit.session.scalars(select(Alert).where(Alert.resolved_at.is_(None)))
        written = unit.session.scalars(select(AuditEntry.reason).where(AuditEntry.action == "budget.purchase_refused"))
        assert list(written) == ["invalid_change"]
    assert told.code == "budget_purchase_refused"
    assert told.detail == (
        "No Premium seat was bought within a budget: This change is not possible: a plan has at most 1,000,000 premium"
        " seats"
    )


@pytest.mark.parametrize(("role", "priced"), [(Role.MEMBER, False), (Role.ADMIN, False), (Role.OWNER, True)])
def test_z1_only_owners_read_the_price_of_a_bought_seat(
    make_customer: MakeCustomer, clock: SettableClock, role: Role, *, priced: bool
) -> None:
    customer = make_customer(premium=0, standard=0)
    buy_when_full(customer)
    allow(customer, seats=5)
    (person,) = arrive(customer, clock, "a")

    with customer.unit(Actor(ActorKind.MEMBER, person, role)) as unit:
        why = why_person(unit, person)

    told = " ".join([why.sentence, *(f"{step.text} {step.detail}" for step in why.steps), *map(str, why.history)])
    assert "one was bought within the budget" in told
    assert ("€" in told, "NORDLYS-000001" in told) == (priced, priced)
    assert ("A seat was bought for it" in told) is not priced
