"""Seats bought at a billing core of the organization's own, which runs as another process (rules Q1 to Q5, D3)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, func, select

from bridge.adapters.core_http import HttpBillingService
from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.core import CoreOrder, CoreQuote, SeatQuestion
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.errors import (
    BillingCoreRefusedError,
    BillingCoreUnreachableError,
    InvalidChangeError,
    NoSeatAvailableError,
    OrderClosedError,
    OrderOpenError,
    SeatsInUseError,
)
from bridge.jobs.orders import cancel_order
from bridge.jobs.reconciliation import reconcile_organization
from bridge.jobs.work import place_orders_due
from bridge.runtime import Runtime, build_runtime
from bridge.store.gate import waiting_work
from bridge.store.models import Alert, AuditEntry, BillingOrder, Delivery, Invoice, Member, Payment
from bridge.store.pools import read_pools
from bridge.usecases.approvals import approve, open_approval
from bridge.usecases.ask_owners import submit_mappings, submit_seats
from bridge.usecases.assign_seats import assign_tier
from bridge.usecases.attempts import LEASE, MAX_ATTEMPTS
from bridge.usecases.billing_orders import claim_order, list_orders, retry_order
from bridge.usecases.buy_seats import SeatsConfirmation, change_seats, confirm_seats, preview_seats
from bridge.usecases.connect_core import connect_core
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.people_by_hand import confirm_seat, preview_seat
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.renew_contract import set_price
from bridge.usecases.sync_groups import GroupDraft, create_group
from bridge.usecases.usage import read_usage
from tests.conftest import OPERATOR
from tests.cores import (
    SECRET,
    TOKEN,
    ExampleCore,
    LaterClock,
    Line,
    example_core,
    line_to,
    remote_customer,
    with_local_cores,
)
from tests.factories import Customer


@pytest.fixture
def time() -> LaterClock:
    return LaterClock()


@pytest.fixture
def runtime(settings: Settings, database_url: URL, time: LaterClock) -> Iterator[Runtime]:
    runtime = build_runtime(with_local_cores(settings), database_url, payments=BuiltinPayments(), clock=time)
    yield runtime
    runtime.close()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[ExampleCore]:
    with example_core(tmp_path) as core:
        yield core


@pytest.fixture
def line(core: ExampleCore) -> Iterator[Line]:
    with line_to(core) as line:
        yield line


@pytest.fixture
def customer(runtime: Runtime, core: ExampleCore, line: Line) -> Customer:
    return remote_customer(runtime, core)


def pools(customer: Customer) -> dict[str, tuple[int, int, int]]:
    with customer.unit() as unit:
        return {pool.tier: (pool.paid, pool.total, pool.used) for pool in read_pools(unit)}


def order(customer: Customer, **changes: int) -> BillingOrder:
    """Preview and confirm a change, and return the order that came of it."""
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, changes)
    with customer.unit(customer.owner) as unit:
        confirm_seats(unit, preview.id, acknowledged=True)
    return newest(customer)


def newest(customer: Customer) -> BillingOrder:
    with customer.unit() as unit:
        return list_orders(unit)[0]


def count(customer: Customer, table: type) -> int:
    with customer.unit() as unit:
        return unit.session.scalar(select(func.count()).select_from(table)) or 0


def alerts(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        return list(unit.session.scalars(select(Alert.code).where(Alert.resolved_at.is_(None)).order_by(Alert.code)))


def test_q1_the_preview_shows_what_the_core_said_and_the_core_charges_that(
    customer: Customer, core: ExampleCore, runtime: Runtime
) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": 2})
    with customer.unit(customer.owner) as unit:
        done = confirm_seats(unit, preview.id, acknowledged=True)
    before = pools(customer)

    settled = place_orders_due(runtime)

    assert done.order is not None
    assert done.invoice is None
    assert before == {"premium": (2, 2, 0), "standard": (5, 5, 0)}
    assert settled == 1
    assert pools(customer) == {"premium": (4, 4, 0), "standard": (5, 5, 0)}
    [charged] = core.invoices("nordlys")
    assert preview.quote.bill is not None
    with customer.unit() as unit:
        mirrored = unit.session.scalars(select(Invoice).where(Invoice.reason == "seat_change")).one()
        paid = unit.session.scalars(select(Payment).where(Payment.invoice_id == mirrored.id)).one()
        mails = unit.session.scalars(select(Delivery.subject_id)).all()
    assert (mirrored.number, mirrored.total) == (charged["number"], preview.quote.bill.total)
    assert mirrored.total == charged["total"]
    assert paid.amount == mirrored.amount_due
    assert str(mirrored.id) in mails
    assert newest(customer).state == "placed"


def test_who_waits_is_promoted_when_the_core_has_confirmed(customer: Customer, runtime: Runtime) -> None:
    for number in range(9):
        customer.push(f"u{number}@nordlys.test")

    order(customer, standard=1)
    waiting = count_waiting(customer)
    place_orders_due(runtime)

    # 9 people, 2 + 5 seats: two wait; one seat more.
    assert (waiting, count_waiting(customer)) == (2, 1)
    assert pools(customer)["standard"] == (6, 6, 6)


def count_waiting(customer: Customer) -> int:
    with customer.unit() as unit:
        waits = select(func.count()).select_from(Member).where(Member.waiting_for.is_not(None))
        return unit.session.scalar(waits) or 0


def test_d3_seats_to_shed_cannot_be_assigned_from_the_confirmation_on(customer: Customer, runtime: Runtime) -> None:
    order(customer, premium=-2)
    held = pools(customer)["premium"]
    pushed = customer.push("ada@nordlys.test")
    place_orders_due(runtime)

    assert held == (2, 0, 0)
    assert pushed.tier == "standard"
    assert pools(customer)["premium"] == (2, 0, 0)


def test_d3_seats_in_use_are_not_shed(customer: Customer) -> None:
    customer.push("ada@nordlys.test")

    with pytest.raises(SeatsInUseError), customer.unit(customer.owner) as unit:
        preview_seats(unit, {"premium": -2})


def test_q4_a_declined_order_changes_nothing_and_releases_what_was_held_back(
    runtime: Runtime, core: ExampleCore
) -> None:
    core.open("poor", card="declined")
    poor = remote_customer(runtime, core, "poor")

    order(poor, premium=1, standard=-1)
    held = pools(poor)
    place_orders_due(runtime)

    assert held == {"premium": (2, 2, 0), "standard": (5, 4, 0)}
    assert pools(poor) == {"premium": (2, 2, 0), "standard": (5, 5, 0)}
    assert (newest(poor).state, newest(poor).last_error) == ("declined", "payment_failed")
    assert core.invoices("poor") == []
    assert alerts(poor) == ["order_declined"]


def test_p7_an_exchange_gives_the_seat_to_whom_it_was_bought_for(customer: Customer, runtime: Runtime) -> None:
    people = [customer.push(f"u{number}@nordlys.test") for number in range(8)]
    last = MemberId(people[6].id)

    with customer.unit(customer.owner) as unit:
        preview = preview_seat(unit, last, "premium")
    with customer.unit(customer.owner) as unit:
        confirm_seat(unit, preview.id, acknowledged=True)
    place_orders_due(runtime)

    # 2 Premium and 5 Standard, all taken: the seventh goes from Standard to a new Premium seat, the eighth still waits.
    assert preview.quote is not None
    assert preview.quote.bill is not None
    assert [line.quantity for line in preview.quote.bill.lines] == [-1, 1]
    assert pools(customer) == {"premium": (3, 3, 3), "standard": (4, 4, 4)}
    with customer.unit() as unit:
        moved = unit.session.get_one(Member, (customer.org_id, last))
    assert (moved.tier, moved.pinned) == ("premium", True)
    assert count_waiting(customer) == 1


def test_assigning_without_a_free_seat_says_to_buy_first(customer: Customer) -> None:
    people = [customer.push(f"u{number}@nordlys.test") for number in range(8)]

    with pytest.raises(NoSeatAvailableError), customer.unit(customer.owner) as unit:
        assign_tier(unit, MemberId(people[7].id), "premium")
    with (
        pytest.raises(InvalidChangeError, match="ordered from its billing core"),
        customer.unit(customer.owner) as unit,
    ):
        assign_tier(unit, MemberId(people[7].id), "premium", buy_if_needed=True)


def test_one_order_at_a_time_is_open(customer: Customer, runtime: Runtime) -> None:
    order(customer, premium=1)

    with pytest.raises(OrderOpenError), customer.unit(customer.owner) as unit:
        preview_seats(unit, {"premium": 1})
    place_orders_due(runtime)
    order(customer, premium=1)
    place_orders_due(runtime)

    assert pools(customer)["premium"] == (4, 4, 0)


def test_q5_a_repeated_key_orders_once_and_answers_the_same(customer: Customer, runtime: Runtime) -> None:
    with customer.unit(customer.owner) as unit:
        first = change_seats(unit, {"premium": 1}, "monday")
    place_orders_due(runtime)
    with customer.unit(customer.owner) as unit:
        again = change_seats(unit, {"premium": 1}, "monday")

    assert again == first
    assert count(customer, BillingOrder) == 1
    assert pools(customer)["premium"] == (3, 3, 0)


@pytest.mark.parametrize("lost", ["POST /v1/subscriptions/nordlys/orders HTTP", "/confirm HTTP"])
def test_case_x2_a_lost_answer_is_asked_back_and_charged_once(
    customer: Customer, core: ExampleCore, line: Line, time: LaterClock, lost: str
) -> None:
    runtime = customer.runtime
    line.cut = lambda first: lost in first
    order(customer, premium=1)

    first = place_orders_due(runtime)
    line.cut = lambda _: False
    too_early = place_orders_due(runtime)
    time.ahead = LEASE
    second = place_orders_due(runtime)

    assert (first, too_early, second) == (0, 0, 1)
    assert any("GET /v1/subscriptions/nordlys/orders/order-" in request for request in line.requests)
    assert len(core.invoices("nordlys")) == 1
    assert pools(customer)["premium"] == (3, 3, 0)


def test_case_x2_a_worker_that_died_after_the_call_is_followed_by_one_that_asks_back(
    customer: Customer, core: ExampleCore, runtime: Runtime, time: LaterClock
) -> None:
    ordered = order(customer, premium=1)
    with customer.unit() as unit:
        claimed = claim_order(unit, ordered.id)
        service = runtime.billing_service(unit)
    assert claimed is not None
    assert service is not None
    service.reserve(claimed.request)
    service.confirm(claimed.request.key)

    in_hand = place_orders_due(runtime)
    time.ahead = LEASE + timedelta(seconds=1)
    settled = place_orders_due(runtime)

    assert (in_hand, settled) == (0, 1)
    assert len(core.invoices("nordlys")) == 1
    assert pools(customer)["premium"] == (3, 3, 0)


@pytest.mark.parametrize("trouble", ["down", "answer_500", "slow"])
def test_case_x8_a_core_in_trouble_leaves_provisioning_alone_and_the_order_waits(
    customer: Customer, core: ExampleCore, line: Line, time: LaterClock, trouble: str
) -> None:
    runtime = customer.runtime
    order(customer, premium=1)
    setattr(line, trouble, True)

    tried = place_orders_due(runtime)
    pushed = customer.push("ada@nordlys.test")
    time.ahead = timedelta(hours=1)
    with pytest.raises(OrderOpenError), customer.unit(customer.owner) as unit:
        preview_seats(unit, {"premium": 1})
    waiting = runtime.ask_gate(waiting_work)
    line.stalled.set()
    setattr(line, trouble, False)
    settled = place_orders_due(runtime)

    assert tried == 0
    assert pushed.tier == "premium"
    assert waiting.orders == 1
    assert waiting.oldest_order is not None
    assert runtime.clock.now() - waiting.oldest_order > timedelta(minutes=59)
    assert settled == 1
    assert len(core.invoices("nordlys")) == 1


def test_case_x8_a_preview_says_that_the_core_does_not_answer(customer: Customer, line: Line) -> None:
    line.down = True

    with pytest.raises(BillingCoreUnreachableError) as refusal, customer.unit(customer.owner) as unit:
        preview_seats(unit, {"premium": 1})

    assert refusal.value.code == "billing_core_unreachable"
    assert "provisioning and sign-in go on" in str(refusal.value)
    assert count(customer, BillingOrder) == 0


def test_an_order_that_never_arrives_is_given_up_visibly_and_can_be_retried(
    customer: Customer, core: ExampleCore, line: Line, runtime: Runtime, time: LaterClock
) -> None:
    ordered = order(customer, premium=1)
    line.down = True
    for _ in range(MAX_ATTEMPTS + 1):
        place_orders_due(runtime)
        time.ahead += timedelta(hours=4)
    dead = newest(customer)
    told = alerts(customer)

    line.down = False
    with customer.unit(OPERATOR) as unit:
        retry_order(unit, ordered.id)
    place_orders_due(runtime)

    assert (dead.state, dead.attempts, dead.last_error) == ("dead", MAX_ATTEMPTS, "connection")
    assert told == ["order_given_up"]
    assert newest(customer).state == "placed"
    assert alerts(customer) == []
    assert len(core.invoices("nordlys")) == 1


def test_a_poison_order_stops_nobody_else(customer: Customer, runtime: Runtime, core: ExampleCore) -> None:
    other = remote_customer(runtime, core, "other")
    order(customer, premium=1)
    order(other, premium=1)
    with customer.unit() as unit:
        stored = unit.session.scalars(select(BillingOrder)).one()
        stored.body = {"nothing": "in here"}

    settled = place_orders_due(runtime)

    assert settled == 1
    assert pools(other)["premium"] == (3, 3, 0)
    assert newest(customer).state == "pending"


def test_an_order_that_was_never_sent_is_cancelled_without_the_core(
    customer: Customer, core: ExampleCore, line: Line, runtime: Runtime
) -> None:
    ordered = order(customer, standard=-1)
    line.down = True

    state = cancel_order(runtime, customer.org_id, ordered.id, OPERATOR)

    assert state == "cancelled"
    assert pools(customer)["standard"] == (5, 5, 0)
    assert place_orders_due(runtime) == 0
    with pytest.raises(OrderClosedError):
        cancel_order(runtime, customer.org_id, ordered.id, OPERATOR)


def test_an_order_that_the_core_has_charged_is_settled_as_bought_when_it_is_cancelled(
    customer: Customer, core: ExampleCore, line: Line, runtime: Runtime
) -> None:
    line.cut = lambda first: "/confirm" in first
    ordered = order(customer, premium=1)
    place_orders_due(runtime)

    state = cancel_order(runtime, customer.org_id, ordered.id, OPERATOR)

    assert state == "placed"
    assert pools(customer)["premium"] == (3, 3, 0)
    assert len(core.invoices("nordlys")) == 1


def test_a_cancelled_order_is_refused_by_the_core_for_ever(
    customer: Customer, core: ExampleCore, line: Line, runtime: Runtime, time: LaterClock
) -> None:
    ordered = order(customer, premium=1)
    line.down = True
    place_orders_due(runtime)
    line.down = False
    with customer.unit() as unit:
        time.ahead = LEASE
        slow_worker = unit.session.get_one(BillingOrder, (customer.org_id, ordered.id))
    cancelled = cancel_order(runtime, customer.org_id, ordered.id, OPERATOR)

    late = core.service("nordlys").order_by_key(slow_worker.body["key"])

    assert cancelled == "cancelled"
    assert late is not None
    assert late.state == "cancelled"
    assert core.invoices("nordlys") == []


def test_prices_and_renewal_of_a_remote_plan_are_not_set_here(customer: Customer) -> None:
    with pytest.raises(InvalidChangeError, match="billing core"), customer.unit(OPERATOR) as unit:
        set_price(unit, "premium", 1)


def test_every_step_of_an_order_is_in_the_audit(customer: Customer, runtime: Runtime) -> None:
    order(customer, premium=1)
    place_orders_due(runtime)

    with customer.unit() as unit:
        actions = unit.session.scalars(
            select(AuditEntry.action).where(AuditEntry.subject_kind == "order").order_by(AuditEntry.seq)
        ).all()
    assert actions == ["seats.ordered", "seats.changed"]


def test_case_x2_what_the_core_carried_out_is_placed_although_it_refused_the_repeat(
    customer: Customer, core: ExampleCore, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm = HttpBillingService.confirm

    def carried_out_and_refused(service: HttpBillingService, key: str) -> CoreOrder:
        confirm(service, key)
        raise BillingCoreRefusedError("request_in_progress", "A request with this key is being processed")

    monkeypatch.setattr(HttpBillingService, "confirm", carried_out_and_refused)
    order(customer, premium=3)

    settled = place_orders_due(runtime)

    assert (settled, newest(customer).state) == (1, "placed")
    assert pools(customer)["premium"] == (5, 5, 0)
    assert len(core.invoices("nordlys")) == 1


def test_a_number_that_another_core_used_gets_a_mark(customer: Customer, runtime: Runtime, tmp_path: Path) -> None:
    order(customer, premium=1)
    place_orders_due(runtime)
    (tmp_path / "second").mkdir()
    with example_core(tmp_path / "second") as second:
        second.open("nordlys", premium=3)
        url = second.subscription_url("nordlys")
        address = runtime.sealed_address(customer.org_id, url, token=TOKEN, webhook_secret=SECRET)
        service = second.service("nordlys")
        with customer.unit(OPERATOR) as unit:
            connect_core(unit, address, service.subscription(), service.invoices())
        order(customer, premium=1)
        place_orders_due(runtime)

    with customer.unit() as unit:
        first, again = unit.session.scalars(
            select(Invoice.number).where(Invoice.reason == "seat_change").order_by(Invoice.number)
        ).all()
    assert newest(customer).state == "placed"
    assert again == f"{first}/2"
    assert pools(customer)["premium"] == (4, 4, 0)


@pytest.mark.parametrize("currency", ["JPY", "ZZZ"])
def test_a_quote_in_another_currency_is_no_answer(
    customer: Customer, monkeypatch: pytest.MonkeyPatch, currency: str
) -> None:
    ask = HttpBillingService.quote

    def in_another(service: HttpBillingService, question: SeatQuestion, *, key: str) -> CoreQuote:
        return replace(ask(service, question, key=key), currency=currency)

    monkeypatch.setattr(HttpBillingService, "quote", in_another)

    with (
        pytest.raises(BillingCoreUnreachableError, match="another currency"),
        customer.unit(customer.owner) as unit,
    ):
        preview_seats(unit, {"premium": 1})


def test_q2_another_total_than_was_confirmed_is_told_and_named(
    customer: Customer, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm = HttpBillingService.confirm

    def dearer(service: HttpBillingService, key: str) -> CoreOrder:
        placed = confirm(service, key)
        assert placed.invoice is not None
        return replace(placed, invoice=replace(placed.invoice, bill=replace(placed.invoice.bill, total=99_999)))

    monkeypatch.setattr(HttpBillingService, "confirm", dearer)
    ordered = order(customer, premium=1)
    place_orders_due(runtime)

    found = reconcile_organization(runtime, customer.org_id, OPERATOR)
    told = alerts(customer)
    reconcile_organization(runtime, customer.org_id, OPERATOR, adopt=True)
    accepted = reconcile_organization(runtime, customer.org_id, OPERATOR)

    assert (newest(customer).state, told) == ("placed", ["order_charged_otherwise"])
    [named] = [one.sentence for one in found.differences if one.code == "order_charged_otherwise"]
    assert f"was confirmed for {ordered.body['total'] / 100:.2f} EUR, and the billing core charged 999.99 EUR" in named
    assert alerts(customer) == []
    assert "order_charged_otherwise" not in [one.code for one in accepted.differences]


def test_b6_usage_counts_the_seats_that_a_core_of_its_own_has(customer: Customer, runtime: Runtime) -> None:
    order(customer, premium=3)
    place_orders_due(runtime)

    with customer.unit(customer.owner) as unit:
        usage = read_usage(unit)

    assert {one.tier: one.bought.last for one in usage.tiers} == {"premium": 5, "standard": 5}


def admin_of(customer: Customer) -> Actor:
    member = customer.push("ada@nordlys.test")
    with customer.unit() as unit:
        unit.session.get_one(Member, (unit.org_id, member.id)).role = Role.ADMIN
    return Actor(ActorKind.MEMBER, member.id, Role.ADMIN)


def test_rule_z2_seats_of_a_core_are_asked_for_and_an_owner_orders_them(customer: Customer, runtime: Runtime) -> None:
    with customer.unit(admin_of(customer)) as unit:
        asked = submit_seats(unit, {"premium": 2})
    with customer.unit(customer.owner) as unit:
        opened = open_approval(unit, asked.id)

    with customer.unit(customer.owner) as unit:
        done = approve(unit, asked.id, opened.preview.id, acknowledged=True)

    assert isinstance(done, SeatsConfirmation)
    assert done.order is not None
    assert place_orders_due(runtime) == 1
    assert pools(customer)["premium"][0] == 4


def test_rules_cannot_buy_what_a_core_sells_and_are_refused_rather_than_told_as_bought(customer: Customer) -> None:
    people = [customer.push(f"e{number}@nordlys.test").id for number in range(5)]
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Eng"), [str(each) for each in people])
    rules = {"schema": 2, "default": "unassigned", "rules": [{"group": "Eng", "tier": "premium"}]}
    with customer.unit(customer.owner) as unit:
        shown = preview_mappings(unit, rules)

    for act in (
        lambda unit: apply_mappings(unit, shown.id, acknowledged=True, buy=True),
        lambda unit: submit_mappings(unit, shown.id),
    ):
        with pytest.raises(InvalidChangeError, match="order them by themselves"), customer.unit(customer.owner) as unit:
            act(unit)
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, shown.id, acknowledged=False)

    assert shown.shortage == {"premium": 3}
    assert (pools(customer)["premium"], count(customer, BillingOrder)) == ((2, 2, 2), 0)
