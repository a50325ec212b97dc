"""Seats bought by provisioning within a budget that an owner set, when a tier is full (``buy_up_to``)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.people_files import read_people
from bridge.domain.roles import Role
from bridge.errors import (
    AcknowledgementMissingError,
    BudgetNotPossibleError,
    ForbiddenError,
    InvalidInputError,
    PreviewStaleError,
)
from bridge.jobs.work import buy_due
from bridge.ports import FeeDraft
from bridge.store.directory import get_member
from bridge.store.journal import verify
from bridge.store.models import Alert, AuditEntry, BudgetPurchase, Decision, Delivery, Invoice, Member, SeatBudget
from bridge.store.pools import read_pools
from bridge.usecases.budgets import list_budgets, remove_budget
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.explain import explain_member
from bridge.usecases.import_people import import_people, preview_import
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_many import Newcomer, provision_many
from bridge.usecases.provision_member import PersonDraft, Source, provision_member
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.sync_groups import GroupDraft, create_group
from tests.billing import Payments
from tests.conftest import SettableClock
from tests.factories import Customer, set_budget

MakeCustomer = Callable[..., Customer]
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def buy_when_full(customer: Customer, **rules: str) -> None:
    """Let provisioning buy: ``buy_when_full(customer, Engineering="premium")``."""
    document = {
        "schema": 1,
        "on_exhausted": "buy_up_to",
        "rules": [{"group": group, "tier": tier, "expected": True} for group, tier in rules.items()],
    }
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)


def allow(customer: Customer, tier: str = "premium", **caps: Any) -> None:
    with customer.unit(customer.owner) as unit:
        set_budget(unit, tier, **caps)


def arrive(customer: Customer, clock: SettableClock, *names: str, cost_centre: str | None = None) -> list[MemberId]:
    """Push people one second after the other."""
    document: dict[str, Any] = {ENTERPRISE: {"costCenter": cost_centre}} if cost_centre else {}
    ids = []
    for name in names:
        draft = PersonDraft(f"{name}@nordlys.test", document=document)
        with customer.unit(customer.directory) as unit:
            ids.append(provision_member(unit, customer.connection_id, draft, Source.SCIM).id)
        clock.at += timedelta(seconds=1)
    return ids


def tiers(customer: Customer, ids: list[MemberId]) -> list[str | None]:
    with customer.unit() as unit:
        return [get_member(unit, member_id).tier for member_id in ids]


def seats(customer: Customer) -> dict[str, tuple[int, int]]:
    with customer.unit() as unit:
        assert reconcile_pools(unit) == []
        assert verify(unit) is None
        return {pool.tier: (pool.total, pool.used) for pool in read_pools(unit)}


def alerts(customer: Customer) -> list[tuple[str, str | None]]:
    with customer.unit() as unit:
        still_open = select(Alert.code, Alert.tier).where(Alert.resolved_at.is_(None))
        rows = unit.session.execute(still_open.order_by(Alert.code))
        return [(row[0], row[1]) for row in rows]


def purchases(customer: Customer) -> list[tuple[str, str, int, int]]:
    with customer.unit() as unit:
        rows = unit.session.scalars(select(BudgetPurchase).order_by(BudgetPurchase.number))
        return [(row.tier, row.cost_centre_key, row.seats, row.amount) for row in rows]


def test_a_seat_is_bought_for_who_meets_a_full_tier_until_the_cap_and_then_people_wait(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=1, standard=0, premium_price=15000)
    buy_when_full(customer)
    allow(customer, seats=2)

    people = arrive(customer, clock, "a", "b", "c", "d")

    assert tiers(customer, people) == ["premium", "premium", "premium", None]
    assert seats(customer) == {"premium": (3, 3), "standard": (0, 0)}
    assert [each[:3] for each in purchases(customer)] == [("premium", "", 1), ("premium", "", 1)]
    assert alerts(customer) == [("budget_used_up", "premium")]
    with customer.unit() as unit:
        mails = unit.session.scalars(select(Delivery.kind).order_by(Delivery.kind)).all()
        bought = unit.session.scalars(select(Invoice).where(Invoice.reason == "seat_change")).all()
    # One alert; three invoices: of the start, and of each seat.
    assert (mails, len(bought)) == (["alert_mail", "invoice_mail", "invoice_mail", "invoice_mail"], 2)


def test_audit_and_decision_name_the_budget_the_formula_and_what_is_left(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    anchor = datetime(2026, 3, 1, tzinfo=UTC)
    clock.at = anchor
    customer = make_customer(premium=0, standard=0, premium_price=15500, anchor=anchor)
    buy_when_full(customer)
    allow(customer, seats=3, amount=40000)
    clock.at = datetime(2026, 3, 16, 12, tzinfo=UTC)

    (person,) = arrive(customer, clock, "a")

    # Half of March is over: 155.00 × 15.5 ÷ 31 = 77.50. The budget counts a full period: 400.00 − 155.00 = 245.00.
    with customer.unit() as unit:
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "budget.used")).one()
        decision = unit.session.scalars(
            select(Decision).where(Decision.member_id == person).order_by(Decision.seq.desc()).limit(1)
        ).one()
        invoice = unit.session.scalars(select(Invoice)).one()
        sentence = explain_member(unit, person).sentence
    facts = {
        "tier": "premium",
        "cost_centre": "",
        "set_by": f"member:{customer.owner_id}",
        "set_at": anchor.isoformat(),
        "until": datetime(2026, 4, 1, tzinfo=UTC).isoformat(),
        "seats": 1,
        "amount": 7750,
        "currency": "EUR",
        "formula": str((decision.purchase or {}).get("formula")),
        "total": 7750,
        "amount_due": 7750,
        "full_amount": 15500,
        "seats_left": 2,
        "amount_left": 24500,
    }
    assert decision.purchase == facts
    assert "€155.00" in str(facts["formula"])
    assert entry.body == {**facts, "invoice": str(invoice.id), "for": [str(person)]}
    assert entry.actor == f"directory:{customer.connection_id}"
    assert (decision.reason, decision.invoice_id, invoice.total) == ("bought", invoice.id, 7750)
    assert sentence == (
        "a@nordlys.test has Premium because every Premium seat was taken, so one was bought within the budget"
        f" ({facts['formula']})."
    )


def test_a3_without_a_budget_nothing_is_bought_and_the_owners_hear_of_it(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=0, standard=0)
    buy_when_full(customer)

    people = arrive(customer, clock, "a", "b")

    assert tiers(customer, people) == [None, None]
    assert (purchases(customer), alerts(customer)) == ([], [("budget_missing", "any")])


def test_a3_a_budget_alone_buys_nothing(make_customer: MakeCustomer, clock: SettableClock) -> None:
    customer = make_customer(premium=0, standard=0)
    allow(customer, seats=5)

    people = arrive(customer, clock, "a")

    assert tiers(customer, people) == [None]
    assert alerts(customer) == [("seats_exhausted", "any")]


def test_an_amount_is_never_passed(make_customer: MakeCustomer, clock: SettableClock) -> None:
    anchor = datetime(2026, 3, 1, tzinfo=UTC)
    clock.at = anchor
    customer = make_customer(premium=0, standard=0, premium_price=10000, anchor=anchor)
    buy_when_full(customer)
    allow(customer, amount=25000)

    with customer.unit(customer.directory) as unit:
        newcomers = [Newcomer(PersonDraft(f"p{number}@nordlys.test")) for number in range(5)]
        provision_many(unit, customer.connection_id, newcomers, Source.SCIM)

    # 2 × 100.00 fit into 250.00, 3 do not; one purchase for both.
    assert purchases(customer) == [("premium", "", 2, 20000)]
    assert seats(customer)["premium"] == (2, 2)
    assert alerts(customer) == [("budget_used_up", "premium")]


def test_each_cost_centre_has_its_own_budget_and_the_others_share_the_rest(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=0, standard=0)
    buy_when_full(customer)
    allow(customer, seats=1)
    allow(customer, seats=2, cost_centre="Lab 7")

    lab = arrive(customer, clock, "a", "b", "c", cost_centre="LAB 7")
    others = arrive(customer, clock, "d", cost_centre="Sales") + arrive(customer, clock, "e")

    assert tiers(customer, lab) == ["premium", "premium", None]
    assert tiers(customer, others) == ["premium", None]
    with customer.unit(customer.owner) as unit:
        left = {budget.cost_centre: budget.seats_left for budget in list_budgets(unit)}
    assert left == {"": 0, "Lab 7": 0}


def test_a_declined_payment_leaves_people_in_line_and_is_tried_again_after_an_hour(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    payments = Payments(make_customer(premium=0, standard=0))
    customer = payments.customer
    buy_when_full(customer)
    allow(customer, seats=5)
    payments.declined = True

    people = arrive(customer, clock, "a", "b")
    tried = len(payments.keys)
    waiting = tiers(customer, people)
    told = alerts(customer)
    payments.declined = False
    buy_due(customer.runtime)
    too_early = tiers(customer, people)
    clock.at += timedelta(hours=1)
    buy_due(customer.runtime)

    assert (tried, waiting, told) == (1, [None, None], [("budget_payment_declined", "premium")])
    assert too_early == [None, None]
    assert tiers(customer, people) == ["premium", "premium"]
    assert (purchases(customer)[0][:3], alerts(customer)) == (("premium", "", 2), [])
    # The declined one and the one that went through are the same business fact.
    assert len(set(payments.keys)) == 1
    assert seats(customer)["premium"] == (2, 2)


def test_a_new_month_serves_the_line_first(make_customer: MakeCustomer, clock: SettableClock) -> None:
    clock.at = datetime(2026, 3, 30, tzinfo=UTC)
    customer = make_customer(kind="enterprise", premium=0, standard=0)
    buy_when_full(customer)
    allow(customer, seats=1)
    march, first, second = arrive(customer, clock, "a", "b", "c")
    clock.at = datetime(2026, 4, 1, tzinfo=UTC)

    buy_due(customer.runtime)

    assert tiers(customer, [march, first, second]) == ["premium", "premium", None]
    assert alerts(customer) == [("budget_used_up", "premium")]


def test_a_raised_budget_serves_the_line_at_once(make_customer: MakeCustomer, clock: SettableClock) -> None:
    customer = make_customer(premium=0, standard=0)
    buy_when_full(customer)
    allow(customer, seats=1)
    people = arrive(customer, clock, "a", "b", "c")

    allow(customer, seats=3)

    assert tiers(customer, people) == ["premium"] * 3
    assert [each[2] for each in purchases(customer)] == [1, 2]
    assert alerts(customer) == []


def test_whoever_gets_a_bought_seat_leaves_the_lower_one_to_the_line(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer = make_customer(premium=0, standard=1)
    buy_when_full(customer, Engineering="premium")
    upgraded, waits = arrive(customer, clock, "a", "b")
    assert tiers(customer, [upgraded, waits]) == ["standard", None]
    allow(customer, "premium", seats=1)
    taken = tiers(customer, [upgraded, waits])

    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Engineering"), [str(upgraded)])
    clock.at += timedelta(seconds=1)
    (third,) = arrive(customer, clock, "c")
    short = tiers(customer, [upgraded, third])
    allow(customer, "premium", seats=2)

    # "b" would take any tier, so the first budget is spent on them at once; the second moves "a" up, and "c" takes the
    # seat that "a" leaves instead of a third one.
    assert (taken, short) == (["standard", "premium"], ["standard", None])
    assert tiers(customer, [upgraded, third]) == ["premium", "standard"]
    assert seats(customer) == {"premium": (2, 2), "standard": (1, 1)}


def test_the_preview_of_mappings_shows_what_is_bought_and_does_exactly_that(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    anchor = datetime(2026, 3, 1, tzinfo=UTC)
    clock.at = anchor
    customer = make_customer(premium=0, standard=0, premium_price=10000, anchor=anchor)
    people = arrive(customer, clock, "a", "b", "c")
    clock.at = anchor
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Engineering"), [str(each) for each in people])
    allow(customer, seats=2)
    rules = [{"group": "Engineering", "tier": "premium"}]

    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 1, "on_exhausted": "buy_up_to", "rules": rules})
    with customer.unit(customer.owner) as unit:
        applied = apply_mappings(unit, preview.id, acknowledged=True)

    (use,) = preview.budget_uses
    assert (use.tier, use.cost_centre, use.seats, use.amount, use.seats_left) == ("premium", "", 2, 20000, 0)
    assert {(move.member_id, move.to_tier, str(move.reason)) for move in preview.moves.moves} == {
        (people[0], "premium", "bought"),
        (people[1], "premium", "bought"),
    }
    assert (preview.shortage, applied.moved) == ({"premium": 1}, 2)
    assert tiers(customer, people) == ["premium", "premium", None]
    assert purchases(customer) == [("premium", "", 2, 20000)]


def test_what_budgets_pay_for_needs_the_tick_and_is_charged_at_the_price_and_the_invoice_that_were_shown(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    customer, document = engineers(make_customer, clock)
    allow(customer, seats=2)
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, document)
    clock.at += timedelta(minutes=14)

    with customer.unit(customer.owner) as unit, pytest.raises(AcknowledgementMissingError):
        apply_mappings(unit, preview.id, acknowledged=False)
    with customer.unit(customer.owner) as unit:
        applied = apply_mappings(unit, preview.id, acknowledged=False, budgets_acknowledged=True)
    with customer.unit(customer.owner) as unit:
        again = apply_mappings(unit, preview.id, acknowledged=True)

    (use,) = preview.budget_uses
    assert [row[2:] for row in purchases(customer)] == [(use.seats, use.amount)]
    assert (applied.invoice, len(applied.invoices), again) == (None, 1, applied)
    with customer.unit() as unit:
        invoice = unit.session.scalars(select(Invoice).where(Invoice.number == applied.invoices[0].number)).one()
        assert invoice.subtotal == use.amount


def test_a_preview_of_before_a_budget_s_new_month_is_stale(make_customer: MakeCustomer, clock: SettableClock) -> None:
    customer, document = engineers(make_customer, clock)
    allow(customer, seats=2)
    clock.at = datetime(2026, 3, 31, 23, 55, tzinfo=UTC)
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, document)
    clock.at = datetime(2026, 4, 1, 0, 5, tzinfo=UTC)

    with customer.unit(customer.owner) as unit, pytest.raises(PreviewStaleError):
        apply_mappings(unit, preview.id, acknowledged=True)

    assert purchases(customer) == []


def test_a_preview_of_before_a_pause_ran_out_is_stale(make_customer: MakeCustomer, clock: SettableClock) -> None:
    customer, document = engineers(make_customer, clock)
    allow(customer, seats=2)
    with customer.unit() as unit:
        unit.session.execute(update(SeatBudget).values(declined_at=clock.at - timedelta(minutes=55)))
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, document)
    clock.at += timedelta(minutes=10)

    with customer.unit(customer.owner) as unit, pytest.raises(PreviewStaleError):
        apply_mappings(unit, preview.id, acknowledged=False)

    assert (preview.budget_uses, purchases(customer)) == ((), [])


def engineers(make_customer: MakeCustomer, clock: SettableClock) -> tuple[Customer, dict[str, Any]]:
    """Three people of a group without a seat, and rules that would buy them one."""
    clock.at = datetime(2026, 3, 15, tzinfo=UTC)
    customer = make_customer(premium=0, standard=0, premium_price=10000, anchor=clock.at)
    people = arrive(customer, clock, "a", "b", "c")
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Engineering"), [str(each) for each in people])
    rules = [{"group": "Engineering", "tier": "premium"}]
    return customer, {"schema": 1, "on_exhausted": "buy_up_to", "rules": rules}


def test_the_preview_of_an_import_shows_the_purchase_and_buys_nothing(
    make_customer: MakeCustomer, clock: SettableClock
) -> None:
    payments = Payments(make_customer(premium=1, standard=0, premium_price=10000, anchor=clock.at))
    customer = payments.customer
    buy_when_full(customer)
    allow(customer, seats=2)
    file = read_people(b"userName\na@nordlys.test\nb@nordlys.test\nc@nordlys.test\nd@nordlys.test\n")
    asked = len(payments.keys)

    with customer.unit(customer.owner) as unit:
        preview = preview_import(unit, file)
    nothing = (purchases(customer), len(payments.keys) - asked)
    with customer.unit(customer.owner) as unit:
        done = import_people(unit, file, expect=preview.fingerprint)

    (use,) = preview.budget_uses
    assert (use.seats, use.amount, use.seats_left) == (2, 20000, 0)
    assert [one.tier for one in preview.effect.added] == ["premium", "premium", "premium", None]
    assert nothing == ([], 0)
    assert (done.applied, done.budget_uses) == (True, preview.budget_uses)
    assert purchases(customer) == [("premium", "", 2, 20000)]
    with customer.unit() as unit:
        held = unit.session.scalar(select(func.count()).select_from(Member).where(Member.tier == "premium"))
    assert held == 3


def test_z1_only_owners_set_budgets_or_see_them(customer: Customer) -> None:
    admin = Actor(ActorKind.MEMBER, customer.owner_id, Role.ADMIN)

    for act in (
        lambda unit: set_budget(unit, "premium", seats=1),
        lambda unit: remove_budget(unit, "premium"),
        list_budgets,
    ):
        with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
            act(unit)


@pytest.mark.parametrize(
    "caps",
    [{}, {"seats": -1}, {"amount": -1}, {"seats": 1, "period": "week"}, {"seats": 1, "cost_centre": "a\nb"}],
    ids=str,
)
def test_a_budget_needs_a_cap_and_a_known_period(customer: Customer, caps: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        allow(customer, **caps)


def test_a_plan_without_seats_has_no_budget(make_customer: MakeCustomer) -> None:
    customer = make_customer(fee=FeeDraft(annual_fee=1_000_000, tier="Blue", paid_users=10))

    with pytest.raises(BudgetNotPossibleError):
        allow(customer, seats=1)


def test_who_set_a_budget_since_when_and_what_was_before_is_kept(customer: Customer, clock: SettableClock) -> None:
    allow(customer, seats=1)
    clock.at += timedelta(days=1)
    allow(customer, seats=4, period="period")

    with customer.unit(customer.owner) as unit:
        (budget,) = list_budgets(unit)
        newest = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "budget.set").order_by(AuditEntry.seq.desc()).limit(1)
        ).one()
        before = newest.body["before"]
        remove_budget(unit, "premium")

    assert (budget.seats, budget.set_at, budget.set_by) == (4, clock.at, f"member:{customer.owner_id}")
    assert before == {"seats": 1, "amount": None, "period": "month"}
    with customer.unit(customer.owner) as unit:
        assert list_budgets(unit) == []
