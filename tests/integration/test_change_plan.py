"""Another plan from the next period on: previewed, agreed, in the forecast, cancelled (rule B1)."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Role
from bridge.errors import (
    AccountManagerOnlyError,
    AcknowledgementMissingError,
    ForbiddenError,
    InvalidChangeError,
    InvalidInputError,
    NotFoundError,
    PreviewStaleError,
)
from bridge.ports import FeeDraft
from bridge.store.models import Alert, AuditEntry, Contract, Invoice, InvoiceLine, Payment
from bridge.store.pools import read_pools
from bridge.usecases.agreed_changes import cancel_agreed_change, read_agreed_change
from bridge.usecases.approvals import approve, open_approval
from bridge.usecases.ask_owners import submit_plan
from bridge.usecases.budgets import list_budgets
from bridge.usecases.buy_seats import change_seats, preview_seats
from bridge.usecases.change_plan import (
    PlanConfirmation,
    PlanDraft,
    agree_plan_change,
    confirm_plan_change,
    preview_plan_change,
)
from bridge.usecases.renew_contract import set_auto_renew, set_price
from tests.conftest import SettableClock
from tests.factories import Customer, set_budget

Make = Callable[..., Customer]
APRIL, MAY = datetime(2026, 4, 2, 9, tzinfo=UTC), datetime(2026, 5, 2, 9, tzinfo=UTC)
ENTERPRISE = PlanDraft("enterprise", "year", {"premium": 120_000, "standard": 24_000}, {"premium": 1, "standard": 4})


def agree(customer: Customer, draft: PlanDraft, key: str | None = None) -> PlanConfirmation:
    with customer.unit(customer.owner) as unit:
        preview = preview_plan_change(unit, draft)
    with customer.unit(customer.owner) as unit:
        return confirm_plan_change(unit, preview.id, acknowledged=True, key=key)


def newest(customer: Customer) -> tuple[str, int, list[tuple[str, int, int]]]:
    with customer.unit() as unit:
        invoice = unit.session.scalars(select(Invoice).order_by(Invoice.number.desc()).limit(1)).one()
        lines = unit.session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id)).all()
        return invoice.reason, invoice.total, sorted((line.tier, line.quantity, line.amount) for line in lines)


def test_b1_a_team_becomes_an_enterprise_at_its_renewal_and_not_before(
    make_customer: Make, clock: SettableClock
) -> None:
    customer = make_customer(premium=2, standard=5)
    ada = customer.push("ada@nordlys.test")

    done = agree(customer, ENTERPRISE)
    with customer.unit(customer.owner) as unit:
        forecast, waiting = unit.billing.next_renewal(), read_agreed_change(unit)
        kind = unit.session.get_one(Contract, unit.org_id).kind
    clock.at = APRIL
    with customer.unit(customer.owner) as unit:
        unit.lock()
        contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
        terms = (contract.kind, contract.cycle, contract.period_start, contract.period_end)
        pools = {pool.tier: (pool.paid, pool.total, pool.used, pool.price) for pool in read_pools(unit)}
        payments = unit.session.scalars(select(Payment.invoice_id)).all()
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "contract.renewed")).one()
        settled = read_agreed_change(unit)

    # 1 × 1,200.00 + 4 × 240.00, from the day on which the month ended.
    assert forecast is not None
    assert (kind, forecast.total) == ("team", 216_000)
    assert waiting is not None
    assert newest(customer) == ("renewal", 216_000, [("premium", 1, 120_000), ("standard", 4, 96_000)])
    assert terms == ("enterprise", "year", done.effective_at, datetime(2027, 4, 2, 9, tzinfo=UTC))
    assert pools == {"premium": (1, 1, 1, 120_000), "standard": (4, 4, 0, 24_000)}
    assert (len(payments), entry.body["change"], settled) == (1, str(done.change_id), None)
    assert ada.tier == "premium"


def test_b1_nobody_loses_a_seat_because_fewer_were_agreed(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(premium=2, standard=0)
    for name in ("ada", "bob"):
        customer.push(f"{name}@nordlys.test")
    agree(customer, ENTERPRISE)

    clock.at = APRIL
    with customer.unit(customer.owner) as unit:
        unit.lock()

    assert newest(customer)[2] == [("premium", 2, 240_000), ("standard", 4, 96_000)]


def test_b1_a_year_can_become_months_again(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(cycle="year", premium=0, standard=2, anchor=datetime(2025, 4, 2, 9, tzinfo=UTC))
    agree(customer, PlanDraft("team", "month", {"standard": 3_000}))

    clock.at = MAY
    with customer.unit(customer.owner) as unit:
        unit.lock()

    with customer.unit() as unit:
        reasons = unit.session.scalars(select(Invoice.total).order_by(Invoice.number)).all()
    # A year at 2 × 25.00, then April and May at 2 × 30.00.
    assert reasons == [5_000, 6_000, 6_000]


def test_b1_a_cancelled_change_never_happens_and_only_one_waits(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(premium=2, standard=5)
    agree(customer, ENTERPRISE)
    with pytest.raises(InvalidChangeError, match="agreed already"):
        agree(customer, PlanDraft("team", "year"))
    with customer.unit(customer.owner) as unit:
        cancel_agreed_change(unit)
    with pytest.raises(NotFoundError), customer.unit(customer.owner) as unit:
        cancel_agreed_change(unit)

    clock.at = APRIL
    with customer.unit(customer.owner) as unit:
        unit.lock()

    # 2 × 150.00 + 5 × 25.00, as every month.
    assert newest(customer)[:2] == ("renewal", 42_500)


def test_b1_seats_bought_meanwhile_are_previewed_with_the_plan_to_come(make_customer: Make) -> None:
    customer = make_customer(premium=2, standard=5)
    agree(customer, ENTERPRISE)

    with customer.unit(customer.owner) as unit:
        quote = preview_seats(unit, {"premium": 1}).quote

    assert (quote.renewal_before, quote.renewal_after) == (216_000, 216_000)


def test_q3_and_q5_a_preview_dies_of_a_change_and_a_repeat_agrees_nothing(make_customer: Make) -> None:
    customer = make_customer(premium=2, standard=5)
    with customer.unit(customer.owner) as unit:
        first, second = preview_plan_change(unit, ENTERPRISE), preview_plan_change(unit, ENTERPRISE)
    with pytest.raises(AcknowledgementMissingError), customer.unit(customer.owner) as unit:
        confirm_plan_change(unit, first.id, acknowledged=False)
    with customer.unit(customer.owner) as unit:
        done = confirm_plan_change(unit, first.id, acknowledged=True, key="k")
    with customer.unit(customer.owner) as unit:
        again = confirm_plan_change(unit, first.id, acknowledged=True, key="k")

    assert again == done
    with pytest.raises(PreviewStaleError), customer.unit(customer.owner) as unit:
        confirm_plan_change(unit, second.id, acknowledged=True)


def test_b1_what_cannot_be_is_refused(make_customer: Make) -> None:
    customer = make_customer(premium=2, standard=5)
    fee = make_customer("sydlys", fee=FeeDraft(annual_fee=100_000, tier="M", paid_users=5))

    with pytest.raises(InvalidChangeError, match="nothing of the plan"), customer.unit(customer.owner) as unit:
        preview_plan_change(unit, PlanDraft("team", "month"))
    with pytest.raises(InvalidChangeError, match="sold by seats"), fee.unit(fee.owner) as unit:
        preview_plan_change(unit, PlanDraft("team", "month"))
    with pytest.raises(ForbiddenError), customer.unit(Actor(ActorKind.MEMBER, role=Role.ADMIN)) as unit:
        preview_plan_change(unit, ENTERPRISE)
    with customer.unit(customer.owner) as unit:
        set_auto_renew(unit, value=False)
    with pytest.raises(InvalidChangeError, match="does not renew"), customer.unit(customer.owner) as unit:
        preview_plan_change(unit, ENTERPRISE)


def test_b1_what_was_agreed_beside_prices_and_seats_stays(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(kind="enterprise", premium=5, standard=5, anchor=datetime(2025, 4, 2, 9, tzinfo=UTC))
    with customer.unit() as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        contract.contract_minimum, contract.renewal_basis, contract.proration = {"premium": 3}, "in_use", "day"
        contract.reduction, contract.minimum_seats = "immediate_credit", 4
    customer.push("ada@nordlys.test")

    with customer.unit(customer.owner) as unit:
        told = preview_plan_change(unit, PlanDraft("enterprise", "year", {"premium": 130_000}, {})).quote.sentences
    agree(customer, PlanDraft("enterprise", "year", {"premium": 130_000}, {"premium": 1, "standard": 1}))
    lines = []
    for year in (2026, 2027):
        clock.at = datetime(year, 5, 2, 9, tzinfo=UTC)
        with customer.unit(customer.owner) as unit:
            unit.lock()
            contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
        lines.append(newest(customer)[2])

    # Of Premium at least 3 are billed: 3 × 1,300.00, in the change's period and in the next; nobody uses Standard.
    assert lines == [
        [("premium", 3, 390_000), ("standard", 1, 2_500)],
        [("premium", 3, 390_000)],
    ]
    assert (contract.renewal_basis, contract.proration) == ("in_use", "day")
    assert (contract.reduction, contract.minimum_seats) == ("immediate_credit", 4)
    assert contract.contract_minimum == {"premium": 3}
    assert "A renewal still bills at least 3 Premium seats, as agreed." in told
    assert not [sentence for sentence in told if "present plan" in sentence]


def test_b1_what_another_kind_of_plan_has_otherwise_is_said(make_customer: Make) -> None:
    customer = make_customer(kind="enterprise", premium=5, standard=5)
    with customer.unit() as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        contract.contract_minimum, contract.minimum_seats, contract.reduction = {"premium": 3}, 1, "immediate_credit"

    with customer.unit(customer.owner) as unit:
        told = preview_plan_change(unit, PlanDraft("team", "month")).quote.sentences

    assert [sentence for sentence in told if "present plan" in sentence] == [
        "The agreed minimum of 3 Premium seats ends with the present plan.",
        "That a reduction leaves at least 1 seat ends with the present plan.",
        "Seats shed within a period are credited at once in the present plan; that ends with it.",
        "Its renewals bill the seats allocated; those of the present plan bill the seats in use.",
        "Seats bought within a period are prorated to the second; in the present plan by months and days.",
    ]


def test_b1_another_kind_of_plan_has_no_terms_of_the_one_before(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(premium=1, standard=4)
    with customer.unit() as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        contract.minimum_seats, contract.reduction = 3, "immediate_credit"
    agree(customer, ENTERPRISE)

    clock.at = APRIL
    with customer.unit(customer.owner) as unit:
        unit.lock()
        contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)

    assert (contract.kind, contract.minimum_seats, contract.reduction) == ("enterprise", 0, "at_renewal")


@pytest.mark.parametrize("draft", [ENTERPRISE, PlanDraft("team", "month", {"standard": 100_000})])
def test_q1_budgets_end_where_another_plan_follows_and_nothing_is_bought_at_its_prices(
    make_customer: Make, clock: SettableClock, draft: PlanDraft
) -> None:
    customer = make_customer(premium=1, standard=4)
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=5)

    with customer.unit(customer.owner) as unit:
        preview = preview_plan_change(unit, draft)
        confirm_plan_change(unit, preview.id, acknowledged=True)
    with customer.unit(customer.owner) as unit:
        before = list_budgets(unit)
    clock.at = APRIL
    with customer.unit(customer.owner) as unit:
        unit.lock()
        after, alert = list_budgets(unit), unit.session.scalars(select(Alert)).one()
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "contract.renewed")).one()
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=1)
        settled = unit.session.scalars(select(Alert.resolved_at)).one()

    assert preview.budgets_dropped == ("standard",)
    assert ([budget.name for budget in before], after) == (["standard"], [])
    assert (alert.code, alert.detail) == ("budgets_ended", "Budgets ended with the plan (standard): set them anew")
    assert (entry.body["budgets_dropped"], settled) == (["standard"], APRIL)


def test_q3_a_preview_of_another_plan_dies_of_a_budget(make_customer: Make) -> None:
    customer = make_customer(premium=1, standard=4)
    with customer.unit(customer.owner) as unit:
        preview = preview_plan_change(unit, ENTERPRISE)
        set_budget(unit, "standard", seats=5)

    with pytest.raises(PreviewStaleError), customer.unit(customer.owner) as unit:
        confirm_plan_change(unit, preview.id, acknowledged=True)


def test_q1_budgets_outlive_a_renewal_of_the_same_plan(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(premium=1, standard=4)
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "standard", seats=5)

    clock.at = APRIL
    with customer.unit(customer.owner) as unit:
        unit.lock()
        after = [budget.name for budget in list_budgets(unit)]

    assert after == ["standard"]


@pytest.mark.parametrize("asked", [False, True])
def test_u7_no_owner_cancels_what_the_account_manager_agreed(make_customer: Make, *, asked: bool) -> None:
    customer = make_customer(kind="enterprise", premium=5, standard=0)
    draft = PlanDraft("enterprise", "year", {"premium": 150_000})
    if asked:
        with customer.unit() as unit:
            sent = submit_plan(unit, draft)
        with customer.unit(customer.owner) as unit:
            shown = open_approval(unit, sent.id).preview
            approve(unit, sent.id, shown.id, acknowledged=True)
    else:
        with customer.unit() as unit:
            agree_plan_change(unit, draft)

    with (
        pytest.raises(AccountManagerOnlyError, match="agreed with your account"),
        customer.unit(customer.owner) as unit,
    ):
        cancel_agreed_change(unit)
    with customer.unit(customer.owner) as unit:
        waiting = read_agreed_change(unit)
    with customer.unit() as unit:
        cancelled = cancel_agreed_change(unit)

    assert waiting is not None
    assert (waiting.cancellable, cancelled.cancellable) == (False, True)


@pytest.mark.parametrize(
    "take",
    [
        lambda unit: set_price(unit, "standard", 10**15),
        lambda unit: agree_plan_change(unit, PlanDraft("team", "year", {"standard": 10**15})),
    ],
)
def test_r6_no_price_is_taken_that_a_boundary_could_not_bill(make_customer: Make, take: Callable[..., object]) -> None:
    customer = make_customer(premium=1, standard=4)

    # A million seats at that price is more than the ledger can hold.
    with pytest.raises(InvalidInputError, match="1,000,000,000 minor units"), customer.unit() as unit:
        take(unit)


@pytest.mark.parametrize(
    ("cycle", "anchor", "draft", "ends"),
    [
        ("month", (2026, 1, 31), PlanDraft("team", "month", {"standard": 1}), [(2026, 3, 31), (2026, 4, 30)]),
        ("year", (2024, 2, 29), PlanDraft("team", "year", {"standard": 1}), [(2027, 2, 28), (2028, 2, 29)]),
        ("year", (2025, 3, 31), PlanDraft("team", "month"), [(2026, 4, 30), (2026, 5, 31)]),
        # Years cannot begin on 31 January any more: they begin where the months end.
        ("month", (2026, 1, 31), PlanDraft("team", "year"), [(2027, 2, 28), (2028, 2, 28)]),
    ],
)
def test_r2_another_plan_goes_on_counting_from_the_original_start(
    make_customer: Make,
    clock: SettableClock,
    cycle: str,
    anchor: tuple[int, int, int],
    *,
    draft: PlanDraft,
    ends: list[tuple[int, int, int]],
) -> None:
    clock.at = datetime(2026, 2, 1, tzinfo=UTC)
    customer = make_customer(cycle=cycle, premium=0, standard=2, anchor=datetime(*anchor, tzinfo=UTC))
    found = []

    done = agree(customer, draft)
    clock.at = done.effective_at
    for _ in ends:
        with customer.unit(customer.owner) as unit:
            unit.lock()
            contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
        found.append(clock.at)
        clock.at = contract.period_end

    assert [*found[1:], clock.at] == [datetime(*end, tzinfo=UTC) for end in ends]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        # Premium as agreed; standard as this period leaves it, at the price that was set meanwhile.
        ({"standard": 4}, [("premium", 3, 450_000), ("standard", 9, 29_997)]),
        ({"standard": -4}, [("premium", 3, 450_000), ("standard", 1, 3_333)]),
    ],
)
def test_b1_what_was_not_named_is_as_the_period_leaves_it(
    make_customer: Make, clock: SettableClock, change: dict[str, int], lines: list[tuple[str, int, int]]
) -> None:
    customer = make_customer(premium=2, standard=5)
    agree(customer, PlanDraft("team", "year", {"premium": 150_000}, {"premium": 3}))
    with customer.unit(customer.owner) as unit:
        change_seats(unit, change)
    with customer.unit() as unit:
        set_price(unit, "standard", 3_333)
    with customer.unit(customer.owner) as unit:
        forecast = unit.billing.next_renewal()

    clock.at = APRIL
    with customer.unit(customer.owner) as unit:
        unit.lock()

    assert newest(customer)[2] == lines
    assert forecast is not None
    assert newest(customer)[1] == forecast.total


def test_b1_more_seats_than_a_plan_has_are_refused(make_customer: Make) -> None:
    customer = make_customer(premium=2, standard=5)

    with pytest.raises(InvalidInputError, match="at most 1,000,000 seats"), customer.unit(customer.owner) as unit:
        preview_plan_change(unit, PlanDraft("team", "month", {}, {"premium": 1_000_001}))


def test_b1_cancelling_nothing_says_so(make_customer: Make) -> None:
    customer = make_customer()

    with pytest.raises(NotFoundError, match="Nothing is agreed ahead"), customer.unit(customer.owner) as unit:
        cancel_agreed_change(unit)
