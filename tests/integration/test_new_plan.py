"""Another plan after one has ended, or when one ends: previewed, begun once, and everybody placed (rules R5, B1)."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL, select

from bridge.billing.why_invoice import why_invoice
from bridge.cli import main
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Role
from bridge.errors import (
    AcknowledgementMissingError,
    ForbiddenError,
    IdempotencyConflictError,
    InvalidChangeError,
    InvalidInputError,
    PaymentFailedError,
    PlanEndedError,
    PreviewStaleError,
)
from bridge.ports import ContractDraft, FeeDraft, TierPrice
from bridge.runtime import Runtime
from bridge.store.agreed import AgreedKind, agree, terms_of_plan
from bridge.store.models import AuditEntry, Contract, Decision, Invoice, InvoiceLine, Member, SeatBudget
from bridge.store.pools import read_pools
from bridge.usecases.agreed_changes import cancel_agreed_change
from bridge.usecases.alerts import open_alerts
from bridge.usecases.buy_for_line import serve_line
from bridge.usecases.buy_seats import preview_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.licences import holders_table, list_holders
from bridge.usecases.new_plan import (
    NewPlanConfirmation,
    confirm_new_plan,
    preview_new_plan,
    take_new_plan,
)
from bridge.usecases.overview import read_overview
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.renew_contract import grant_credit, set_auto_renew
from bridge.usecases.workspace_teams import create_team, join_teams
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.billing import Payments
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, create_customer, create_workspace
from tests.web import sign_in

Make = Callable[..., Customer]
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = datetime(2026, 5, 20, 9, tzinfo=UTC)


def by_seats(kind: str = "team", premium: int = 1, standard: int = 1, **terms: object) -> ContractDraft:
    tiers = (TierPrice("premium", "Premium", 2, 10_000, premium), TierPrice("standard", "Standard", 1, 2_000, standard))
    cycle = "month" if kind == "team" else "year"
    return ContractDraft(kind, cycle, START, "EUR", "UTC", tiers, **terms)  # type: ignore[arg-type] # terms by name


def for_a_fee() -> ContractDraft:
    return ContractDraft("contract", "year", START, "EUR", "UTC", (), fee=FeeDraft(1_200_000, "growth", 10))


def for_licences(kind: str = "user_licence") -> ContractDraft:
    return ContractDraft(kind, "month", START, "EUR", "UTC", (TierPrice(kind, "Licence", 1, 500, 0),))


def ended(customer: Customer, clock: SettableClock) -> Customer:
    """Let the customer's plan end at its next boundary, and come back after it."""
    with customer.unit() as unit:
        set_auto_renew(unit, value=False)
        clock.at = unit.session.get_one(Contract, unit.org_id).period_end + timedelta(days=3)
    with customer.unit() as unit:
        unit.lock()
    return customer


def begin(customer: Customer, draft: ContractDraft | None, *, ahead: bool = False) -> NewPlanConfirmation:
    with customer.unit() as unit:
        preview = preview_new_plan(unit, draft, ahead=ahead)
    with customer.unit() as unit:
        return confirm_new_plan(unit, preview.id, acknowledged=True)


def seats_of(customer: Customer) -> dict[str, str | None]:
    with customer.unit() as unit:
        return {one.user_name.partition("@")[0]: one.tier for one in unit.session.scalars(select(Member))}


def invoices_of(customer: Customer) -> list[tuple[str, int]]:
    with customer.unit() as unit:
        return [(one.reason, one.total) for one in unit.session.scalars(select(Invoice).order_by(Invoice.number))]


PAIRS: dict[str, tuple[dict[str, Any], ContractDraft, list[tuple[str, int]]]] = {
    "team to enterprise": ({"kind": "team"}, by_seats("enterprise"), [("start", 12_000)]),
    "contract to team": ({"fee": FeeDraft(1_000_000, "growth", 10)}, by_seats("team"), [("start", 12_000)]),
    "team to user licence": ({"kind": "team"}, for_licences(), []),
    "team to team licence": ({"kind": "team"}, for_licences("team_licence"), []),
    "enterprise to contract": ({"kind": "enterprise"}, for_a_fee(), [("instalment", 1_200_000)]),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_r5_a_new_plan_of_any_kind_begins_after_one_has_ended(
    make_customer: Make, clock: SettableClock, pair: str
) -> None:
    terms, draft, billed = PAIRS[pair]
    customer = make_customer(**terms)
    customer.push("ada@nordlys.test")
    ended(customer, clock)
    before = invoices_of(customer)

    done = begin(customer, draft)

    with customer.unit(customer.owner) as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        assert (contract.kind, contract.status, contract.period_start) == (draft.kind, "active", clock.at)
        assert [pool.tier for pool in read_pools(unit)] == [tier.key for tier in draft.pools]
        assert (open_alerts(unit), reconcile_pools(unit)) == ([], [])
        newest = unit.session.scalars(select(Decision).order_by(Decision.seq.desc()).limit(1)).one()
        assert newest.reason == ("highest_available" if draft.pools else "not_by_seats")
    assert (done.kind, done.ahead) == (draft.kind, False)
    # What was invoiced before stays, and the first invoice of the new plan comes behind it.
    assert invoices_of(customer) == [*before, *billed]
    assert seats_of(customer) == {"owner": None, "ada": "premium" if draft.pools else None}


def test_r5_a_workspace_with_licences_becomes_a_team(runtime: Runtime, clock: SettableClock) -> None:
    customer = create_workspace(runtime)
    ada = customer.push("ada@nordlys.test")
    with customer.unit(customer.owner) as unit:
        create_team(unit, "Platform")
        join_teams(unit, ada.id, ["Platform"])
    ended(customer, clock)

    begin(customer, by_seats())

    with customer.unit(customer.owner) as unit:
        assert [holder.name for holder in list_holders(unit, "2026-03")] == ["ada@nordlys.test"]
        assert len(list(holders_table(unit).rows)) == 1
    # One licence of 5.00 for March, then 1 × 100.00 + 1 × 20.00.
    assert invoices_of(customer) == [("month", 500), ("start", 12_000)]
    assert seats_of(customer) == {"owner": None, "ada": "premium"}


def test_a1_people_are_placed_in_the_order_in_which_they_came_and_the_rest_waits(
    make_customer: Make, clock: SettableClock
) -> None:
    customer = make_customer(premium=2, standard=5)
    people = [customer.push(f"p{number}@nordlys.test") for number in range(4)]
    ended(customer, clock)
    late = customer.push("late@nordlys.test")
    with customer.unit() as unit:
        shown = preview_new_plan(unit, by_seats(premium=1, standard=2)).seats

    begin(customer, by_seats(premium=1, standard=2))

    order = [one.id for one in [*people, late]]
    with customer.unit() as unit:
        held = {one.id: (one.tier, one.waiting_for) for one in unit.session.scalars(select(Member))}
    expected = [("premium", None), ("standard", None), ("standard", None), (None, "any"), (None, "any")]
    assert [held[one] for one in order] == expected
    assert [(one.tier, one.kept, one.given) for one in shown.tiers] == [("premium", 0, 1), ("standard", 0, 2)]
    assert shown.waiting_for_any == 2
    assert [(one.member_id, one.to_tier) for one in shown.moves] == [
        (order[0], "premium"),
        (order[1], "standard"),
        (order[2], "standard"),
    ]


def test_q2_the_preview_is_what_the_confirmation_bills_with_the_credit_there_is(
    make_customer: Make, clock: SettableClock
) -> None:
    customer = ended(make_customer(), clock)
    with customer.unit() as unit:
        grant_credit(unit, 5_000)
        preview = preview_new_plan(unit, by_seats("enterprise"))

    with customer.unit() as unit:
        done = confirm_new_plan(unit, preview.id, acknowledged=True, key="k")
    with customer.unit() as unit:
        again = confirm_new_plan(unit, preview.id, acknowledged=True, key="k")
        balance = unit.session.get_one(Contract, unit.org_id).credit_balance
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "plan.began")).one()

    bill = preview.quote.bill
    assert bill is not None
    assert done.invoice is not None
    assert again == done
    # 120.00, of which 50.00 are paid by the credit.
    assert (bill.total, bill.amount_due, done.invoice.amount_due, balance) == (12_000, 7_000, 7_000, 0)
    assert (entry.body["invoice"], entry.body["kind"], entry.actor) == (done.invoice.id, "enterprise", "operator")


def test_q3_a_preview_dies_when_people_change(make_customer: Make, clock: SettableClock) -> None:
    customer = ended(make_customer(), clock)
    with customer.unit() as unit:
        preview = preview_new_plan(unit, by_seats())
    with pytest.raises(AcknowledgementMissingError), customer.unit() as unit:
        confirm_new_plan(unit, preview.id, acknowledged=False)
    customer.push("ada@nordlys.test")

    with pytest.raises(PreviewStaleError), customer.unit() as unit:
        confirm_new_plan(unit, preview.id, acknowledged=True)


def test_q4_a_declined_first_payment_begins_nothing(make_customer: Make, clock: SettableClock) -> None:
    customer = ended(make_customer(), clock)
    customer.push("ada@nordlys.test")
    declining = Payments(customer, declined=True).customer

    with pytest.raises(PaymentFailedError):
        begin(declining, by_seats())

    with customer.unit() as unit:
        assert unit.session.get_one(Contract, unit.org_id).status == "ended"
    assert seats_of(customer)["ada"] is None
    assert invoices_of(customer) == [("start", 42_500)]


def test_q5_a_repeated_key_begins_once(make_customer: Make, clock: SettableClock) -> None:
    customer = ended(make_customer(), clock)
    with customer.unit() as unit:
        first = take_new_plan(unit, by_seats(), key="begin")
    with customer.unit() as unit:
        second = take_new_plan(unit, by_seats(), key="begin")

    assert first == second
    with pytest.raises(IdempotencyConflictError), customer.unit() as unit:
        take_new_plan(unit, by_seats(premium=9), key="begin")


@pytest.mark.parametrize("ahead", [False, True])
def test_q1_budgets_end_with_the_plan_and_nothing_is_bought_that_was_not_shown(
    make_customer: Make, clock: SettableClock, *, ahead: bool
) -> None:
    customer = make_customer(premium=0, standard=3)
    with customer.unit(customer.owner) as unit:
        rules = {"schema": 2, "on_exhausted": "buy_up_to", "default": "standard", "rules": []}
        apply_mappings(unit, preview_mappings(unit, rules).id, acknowledged=False)
        set_at = {"set_at": unit.at, "set_by": "operator", "period": "month"}
        unit.session.add(
            SeatBudget(org_id=unit.org_id, tier="standard", cost_centre_key="", cost_centre="", seats=100, **set_at)
        )
    for name in ("ada", "bo", "cy"):
        customer.push(f"{name}@nordlys.test")
    if not ahead:
        ended(customer, clock)
    draft = by_seats(premium=0, standard=1)

    with customer.unit() as unit:
        preview = preview_new_plan(unit, draft, ahead=ahead)
    with customer.unit() as unit:
        confirm_new_plan(unit, preview.id, acknowledged=True)
    if ahead:
        clock.at = datetime(2026, 4, 2, 9, 1, tzinfo=UTC)
    with customer.unit() as unit:
        serve_line(unit)
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "plan.began")).one()

    assert preview.budgets_dropped == ("standard",)
    # One seat at 20.00, as shown; two of the three wait.
    assert [total for reason, total in invoices_of(customer) if reason == "start"][1:] == [2_000]
    assert (len(invoices_of(customer)), entry.body["budgets_dropped"]) == (2, ["standard"])
    assert sorted(seats_of(customer).values(), key=str) == [None, None, None, "standard"]


def test_q1_seats_bought_before_another_plan_follows_are_shown_to_end_with_theirs(make_customer: Make) -> None:
    customer = make_customer(premium=1, standard=2)
    begin(customer, by_seats(premium=1, standard=1), ahead=True)

    with customer.unit(customer.owner) as unit:
        quote = preview_seats(unit, {"standard": 3}).quote

    # 1 × 100.00 + 1 × 20.00, whatever is bought now.
    assert (quote.followed_by, quote.renewal_before, quote.renewal_after) == ("team", 12_000, 12_000)
    assert {line.tier: line.quantity for line in quote.renewal_lines} == {"premium": 1, "standard": 1}
    assert quote.sentences[-1] == (
        "The plan ends on 2 April 2026, and so do its seats. The team plan that follows bills €120.00 before tax when "
        "it begins. Its seats: 1 Premium, 1 Standard."
    )


def test_b1_the_forecast_of_licences_names_what_the_plan_bills_that_follows(
    runtime: Runtime, clock: SettableClock
) -> None:
    customer = create_workspace(runtime)
    app = create_web_app(runtime, console_blueprints())
    ada = customer.push("ada@nordlys.test")
    begin(customer, by_seats(), ahead=True)

    with customer.unit(customer.owner) as unit:
        nothing_yet = read_overview(unit)
        create_team(unit, "Platform")
        join_teams(unit, ada.id, ["Platform"])
    with customer.unit(customer.owner) as unit:
        counted = read_overview(unit)
    page = sign_in(app, customer).get("/console/seats").text

    # 1 × 100.00 + 1 × 20.00 of the team; one licence of 5.00 counts so far, and seats never do.
    assert [(one.total if one else 0) for one in (nothing_yet.renewal, nothing_yet.following)] == [12_000, 0]
    assert [(one.total if one else 0) for one in (counted.renewal, counted.following)] == [500, 12_000]
    assert [(one.licences.counted if one.licences else None) for one in (nothing_yet, counted)] == [0, 1]
    assert "The plan that follows bills €120.00 more when it begins" in page


def test_what_cannot_begin_is_refused(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer()
    admin = Actor(ActorKind.MEMBER, customer.owner_id, Role.ADMIN)

    with pytest.raises(InvalidChangeError, match="goes on"), customer.unit() as unit:
        preview_new_plan(unit, by_seats())
    with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
        preview_new_plan(unit, by_seats())
    ended(customer, clock)
    with pytest.raises(PlanEndedError), customer.unit() as unit:
        preview_new_plan(unit, by_seats(), ahead=True)
    with pytest.raises(InvalidChangeError, match="no plan is agreed"), customer.unit() as unit:
        preview_new_plan(unit, None)
    dollars = ContractDraft("team", "month", START, "USD", "UTC", by_seats().tiers)
    with pytest.raises(InvalidInputError, match="kept in EUR"), customer.unit() as unit:
        preview_new_plan(unit, dollars)


def test_a_plan_of_a_core_of_its_own_begins_there(runtime: Runtime, clock: SettableClock) -> None:
    customer = create_customer(runtime, billed_by="remote")

    with pytest.raises(InvalidChangeError, match="begin it there"), customer.unit() as unit:
        preview_new_plan(unit, by_seats(), ahead=True)


def test_b1_licences_follow_seats_at_the_boundary_and_seats_follow_licences(
    make_customer: Make, clock: SettableClock
) -> None:
    customer = make_customer()
    ada = customer.push("ada@nordlys.test")
    agreed = begin(customer, for_licences(), ahead=True)
    with pytest.raises(InvalidChangeError, match="agreed already"), customer.unit() as unit:
        preview_new_plan(unit, by_seats(), ahead=True)
    with pytest.raises(InvalidChangeError, match="follow"), customer.unit() as unit:
        set_auto_renew(unit, value=False)
    assert seats_of(customer)["ada"] == "premium"

    # Twelve days late: the plan began at the boundary, 2 April at 09:00, all the same.
    clock.at = datetime(2026, 4, 14, 9, tzinfo=UTC)
    with customer.unit(customer.owner) as unit:
        create_team(unit, "Platform")
        join_teams(unit, ada.id, ["Platform"])
        assert unit.session.get_one(Contract, unit.org_id).anchor == agreed.effective_at
    begin(customer, by_seats(), ahead=True)
    clock.at = datetime(2026, 5, 1, tzinfo=UTC)
    with customer.unit() as unit:
        unit.lock()

    # March in advance; nothing on 2 April; April's licence and the first month of the new plan on 1 May.
    assert invoices_of(customer) == [("start", 42_500), ("month", 500), ("start", 12_000)]
    assert seats_of(customer)["ada"] == "premium"
    with customer.unit() as unit:
        ats = unit.session.scalars(select(Invoice.at).order_by(Invoice.number)).all()
        assert ats[1:] == [datetime(2026, 5, 1, tzinfo=UTC)] * 2
        assert reconcile_pools(unit) == []


def test_b1_what_is_agreed_to_follow_can_be_cancelled(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer()
    begin(customer, for_licences(), ahead=True)
    with customer.unit(customer.owner) as unit:
        assert read_overview(unit).followed
        assert unit.billing.next_renewal() is None
    with customer.unit() as unit:
        cancel_agreed_change(unit)

    clock.at = datetime(2026, 4, 2, 9, tzinfo=UTC)
    with customer.unit() as unit:
        unit.lock()

    assert invoices_of(customer) == [("start", 42_500), ("renewal", 42_500)]


def test_u5_a_plan_follows_a_contract_when_its_whole_term_is_over(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer(fee=FeeDraft(1_000_000, "growth", 10, schedule="quarterly"))
    customer.push("ada@nordlys.test")

    done = begin(customer, by_seats("enterprise"), ahead=True)
    clock.at = done.effective_at
    with customer.unit() as unit:
        unit.lock()

    assert done.effective_at.year == 2027
    # Four instalments of 2,500.00, and the first year of the enterprise plan.
    assert invoices_of(customer) == [*[("instalment", 250_000)] * 4, ("start", 12_000)]
    assert seats_of(customer)["ada"] == "premium"


ELSEWHERE = {
    # Oslo's March ends an hour or two before that of UTC, and UTC's four hours before New York's.
    "Oslo to UTC": ("user_licence", "Europe/Oslo", "UTC"),
    "UTC to New York": ("team_licence", "UTC", "America/New_York"),
}


@pytest.mark.parametrize(("kind", "was", "wanted"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_w2_licences_that_would_bill_a_month_again_are_refused_until_it_is_over(
    runtime: Runtime, clock: SettableClock, kind: str, was: str, wanted: str
) -> None:
    clock.at = START
    customer = create_workspace(runtime, kind=kind, time_zone=was)
    draft = replace(for_licences(kind), time_zone=wanted)

    with pytest.raises(InvalidInputError, match=f"2026-03 are billed before.*from 1 Apr 2026, 00:00 on; or keep {was}"):
        begin(customer, draft, ahead=True)
    with customer.unit(customer.owner) as unit:
        create_team(unit, "Platform")
        join_teams(unit, customer.owner_id, ["Platform"])
    with customer.unit() as unit:
        set_auto_renew(unit, value=False)
        clock.at = unit.session.get_one(Contract, unit.org_id).period_end
    with pytest.raises(InvalidInputError, match="2026-03 are billed before"):
        begin(customer, draft)
    clock.at = datetime(2026, 4, 1, tzinfo=ZoneInfo(wanted)).astimezone(UTC)
    begin(customer, draft)

    assert invoices_of(customer) == [("month", 500)]


def test_w2_a_month_is_billed_once_and_no_boundary_fails_where_a_second_one_was_agreed(
    runtime: Runtime, clock: SettableClock
) -> None:
    clock.at = START
    customer = create_workspace(runtime, time_zone="Europe/Oslo")
    with customer.unit(customer.owner) as unit:
        create_team(unit, "Platform")
        join_teams(unit, customer.owner_id, ["Platform"])
        # As it could be agreed before it was refused.
        ends = unit.session.get_one(Contract, unit.org_id).period_end
        agree(unit, AgreedKind.SUCCESSOR, terms_of_plan(for_licences()), effective_at=ends)

    clock.at = datetime(2026, 5, 1, tzinfo=UTC)
    customer.push("ada@nordlys.test")

    # March by the first plan, nothing for its last hours elsewhere, April by the second.
    assert invoices_of(customer) == [("month", 500), ("month", 500)]
    with customer.unit() as unit:
        assert unit.session.get_one(Contract, unit.org_id).period_start == clock.at


def test_c2_no_plan_in_another_currency_is_agreed_while_the_present_one_may_bill(
    runtime: Runtime, clock: SettableClock
) -> None:
    clock.at = START
    customer = create_workspace(runtime)
    yen = ContractDraft("team", "month", START, "JPY", "UTC", (TierPrice("standard", "Standard", 1, 3_000, 3),))

    with pytest.raises(InvalidInputError, match="in EUR until it ends: begin a plan in JPY when nothing is left of it"):
        begin(customer, yen, ahead=True)
    ended(customer, clock)
    begin(customer, yen)

    # Nothing was in use and no credit was given: there were no books yet.
    assert invoices_of(customer) == [("start", 9_000)]


FOLLOWING = {
    "team": (by_seats(), "First invoice of the plan that follows, on 2 Mar 2027", "1 premium × €100.00"),
    "contract": (for_a_fee(), "First invoice of the plan that follows, on 2 Mar 2027", "growth, of €12,000.00 a year"),
}


@pytest.mark.parametrize(("draft", "when", "line"), FOLLOWING.values(), ids=FOLLOWING)
def test_q1_pages_forecast_the_plan_that_follows_a_fixed_fee(
    make_customer: Make, runtime: Runtime, draft: ContractDraft, when: str, line: str
) -> None:
    customer = make_customer(fee=FeeDraft(1_000_000, "growth", 10))
    begin(customer, draft, ahead=True)
    browser = sign_in(create_web_app(runtime, console_blueprints()), customer)

    pages = [browser.get(path) for path in ("/console", "/console/seats")]

    assert [page.status for page in pages] == [200, 200]
    assert [(when in page.text, line in page.text) for page in pages] == [(True, True)] * 2


def test_r3_documents_tell_days_in_the_time_zone_of_the_plan(make_customer: Make, clock: SettableClock) -> None:
    customer = ended(make_customer(), clock)
    # Midnight of 1 June in Oslo, which is 31 May still in UTC.
    clock.at = datetime(2026, 5, 31, 22, tzinfo=UTC)

    begin(customer, replace(by_seats(), time_zone="Europe/Oslo"))

    with customer.unit() as unit:
        invoice = unit.session.scalars(select(Invoice).order_by(Invoice.number.desc()).limit(1)).one()
        assert (invoice.facts or {})["issued_on"] == "2026-06-01"
        assert unit.organization().time_zone == "Europe/Oslo"
        began = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "plan.began")).one()
        assert began.body["time_zone"] == ["UTC", "Europe/Oslo"]


class TestCommandLine:
    """The operator's way."""

    @pytest.fixture
    def run(self, monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Callable[..., Result]:
        """Run ``seatbridge ...`` here."""
        monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
        monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
        return lambda *arguments, typed="": CliRunner().invoke(main, list(arguments), input=typed)

    def test_a_plan_is_begun_after_one_has_ended_and_another_agreed(
        self, run: Callable[..., Result], runtime: Runtime
    ) -> None:
        customer = create_customer(runtime, anchor=datetime.now(UTC) - timedelta(days=40), auto_renew=False)
        customer.push("ada@nordlys.test", displayName="Ada")
        plan = ("--kind", "enterprise", "--tier", "premium=1@1200", "--tier", "standard=2@240")

        shown = run("contract", "begin", customer.slug, *plan, "--preview")
        asked = run("contract", "begin", customer.slug, *plan, typed="n\n")
        done = run("contract", "begin", customer.slug, *plan, "--yes", "--json", "--key", "k")
        again = run("contract", "begin", customer.slug, *plan, "--yes", "--json", "--key", "k")
        ahead = run("contract", "begin", customer.slug, "--kind", "user_licence", "--price", "5.55", "--next", "--yes")
        agreed = run("contract", "agreed", customer.slug)

        assert "Total: €1,680.00" in shown.output
        assert "- Ada: no seat → premium" in shown.output
        assert (asked.exit_code, "Aborted" in asked.output) == (1, True)
        assert done.output == again.output
        assert json.loads(done.stdout)["invoice"]["total"] == 168_000
        assert "Agreed: the user licence plan begins on" in ahead.output
        assert "User licence at €5.55" in agreed.output
        assert run("contract", "begin", customer.slug, *plan, "--json").exit_code == 2


def test_c2_an_invoice_of_every_plan_is_explained(make_customer: Make, clock: SettableClock) -> None:
    customer = make_customer()
    customer.push("ada@nordlys.test")
    ended(customer, clock)
    begin(customer, by_seats())

    with customer.unit(customer.owner) as unit:
        ids = unit.session.scalars(select(Invoice.id).order_by(Invoice.number)).all()
        told = [why_invoice(unit, invoice_id).cause.text for invoice_id in ids]
        lines = unit.session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == ids[1])).all()

    assert told == ["the plan began", "another plan began"]
    assert sorted((line.tier, line.quantity) for line in lines) == [("premium", 1), ("standard", 1)]
