"""Evaluations: full function until a date and no invoice, then the agreed plan, or nobody has a seat (rule B2)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL, select

from bridge.billing.why_invoice import why_invoice
from bridge.billing.why_person import why_person
from bridge.cli import main
from bridge.domain.identifiers import ConnectionId, new_id
from bridge.errors import (
    BridgeError,
    BudgetNotPossibleError,
    InEvaluationError,
    InvalidChangeError,
    InvalidInputError,
    PaymentFailedError,
    PlanEndedError,
    SeatsInUseError,
)
from bridge.jobs.messages import compose
from bridge.jobs.work import remind_everywhere, renew_due
from bridge.ports import ContractDraft, FeeDraft, TierPrice
from bridge.runtime import Runtime
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Connection, Contract, Delivery, Invoice, Member
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import open_alerts
from bridge.usecases.buy_seats import preview_seats
from bridge.usecases.change_plan import PlanDraft, preview_plan_change
from bridge.usecases.deliver import claim_delivery
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.evaluations import change_evaluation, end_evaluation, read_evaluation
from bridge.usecases.new_plan import confirm_new_plan, preview_new_plan, take_new_plan
from bridge.usecases.organizations import OrganizationDraft
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.product_roles import change_roles
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.renew_contract import grant_credit, set_auto_renew, set_price
from bridge.usecases.seats import read_seats
from bridge.usecases.usage import read_usage
from bridge.usecases.workspace_teams import create_team, join_teams
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.billing import Payments
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, set_budget
from tests.web import make_admin, sign_in

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
UNTIL = datetime(2026, 4, 1, 9, tzinfo=UTC)
SEATS = (TierPrice("premium", "Premium", 2, 0, 1), TierPrice("standard", "Standard", 1, 0, 3))
Run = Callable[..., Result]


def evaluation(*, until: datetime = UNTIL, tiers: tuple[TierPrice, ...] = SEATS) -> ContractDraft:
    return ContractDraft("evaluation", "none", NOW, "EUR", "UTC", tiers, auto_renew=False, until=until)


def team(premium: int = 1, standard: int = 1) -> ContractDraft:
    tiers = (TierPrice("premium", "Premium", 2, 10_000, premium), TierPrice("standard", "Standard", 1, 2_000, standard))
    return ContractDraft("team", "month", NOW, "EUR", "UTC", tiers)


PLANS: dict[str, tuple[ContractDraft, list[tuple[str, int]], str | None]] = {
    "team": (team(), [("start", 12_000)], "premium"),
    "enterprise": (
        ContractDraft("enterprise", "year", NOW, "EUR", "UTC", team().tiers),
        [("start", 12_000)],
        "premium",
    ),
    "contract": (
        ContractDraft("contract", "year", NOW, "EUR", "UTC", (), fee=FeeDraft(1_200_000, "growth", 10)),
        [("instalment", 1_200_000)],
        None,
    ),
    "team_licence": (
        ContractDraft("team_licence", "month", NOW, "EUR", "UTC", (TierPrice("team_licence", "Licence", 1, 500, 0),)),
        [],
        None,
    ),
    "user_licence": (
        ContractDraft("user_licence", "month", NOW, "EUR", "UTC", (TierPrice("user_licence", "Licence", 1, 500, 0),)),
        [],
        None,
    ),
}


def take_in(runtime: Runtime, contract: ContractDraft, slug: str = "nordlys") -> Customer:
    created = runtime.create_organization(
        OrganizationDraft(slug, slug.title(), "en", "UTC", contract, f"owner@{slug}.test", "Olga Owner")
    )
    connection_id = ConnectionId(new_id())
    customer = Customer(runtime, created.org_id, slug, created.owner_id, connection_id)
    with customer.unit() as unit:
        unit.session.add(
            Connection(org_id=created.org_id, id=connection_id, kind="idp", name="Okta", created_at=unit.at)
        )
    return customer


@pytest.fixture
def customer(runtime: Runtime, clock: SettableClock) -> Customer:
    """Nordlys, in evaluation with 1 premium and 3 standard seats until 1 April."""
    clock.at = NOW
    return take_in(runtime, evaluation())


def agree(customer: Customer, draft: ContractDraft) -> None:
    with customer.unit() as unit:
        take_new_plan(unit, draft, ahead=True)


def invoices_of(unit: Unit) -> list[tuple[str, int, datetime]]:
    return [(one.reason, one.total, one.at) for one in unit.session.scalars(select(Invoice).order_by(Invoice.number))]


def tiers_of(customer: Customer) -> dict[str, str | None]:
    with customer.unit() as unit:
        return {one.user_name.partition("@")[0]: one.tier for one in unit.session.scalars(select(Member))}


def test_b2_everything_works_in_an_evaluation_and_nothing_is_invoiced(customer: Customer, clock: SettableClock) -> None:
    for name in ("ada", "bob", "cem", "dee", "eve"):
        customer.push(f"{name}@nordlys.test")

    clock.at = UNTIL - timedelta(seconds=1)
    with customer.unit(customer.owner) as unit:
        unit.lock()
        view, seats = read_evaluation(unit), read_seats(unit)
        assert invoices_of(unit) == []
        assert {pool.tier: (pool.used, pool.total) for pool in read_pools(unit)} == {
            "premium": (1, 1),
            "standard": (3, 3),
        }
        assert [alert.code for alert in open_alerts(unit)] == ["seats_exhausted"]

    assert sorted(tiers_of(customer).values(), key=str) == [None, None, "premium", "standard", "standard", "standard"]
    assert view is not None
    assert (view.until, view.days_left, view.follows, view.first_bill) == (UNTIL, 1, None, None)
    assert (seats.renewal, seats.sentences[-1].allows) == (None, False)


@pytest.mark.parametrize("do", ["buy", "reduce", "change_plan", "price", "auto_renew"])
def test_b2_what_is_bought_or_priced_is_refused_in_an_evaluation(customer: Customer, do: str) -> None:
    acts: dict[str, Callable[[Unit], object]] = {
        "buy": lambda unit: preview_seats(unit, {"premium": 1}),
        "reduce": lambda unit: preview_seats(unit, {"standard": -1}),
        "change_plan": lambda unit: preview_plan_change(unit, PlanDraft("team", "year")),
        "price": lambda unit: set_price(unit, "premium", 100),
        "auto_renew": lambda unit: set_auto_renew(unit, value=True),
    }

    with pytest.raises(InEvaluationError, match="until 1 Apr 2026") as refusal, customer.unit(customer.owner) as unit:
        acts[do](unit)

    assert refusal.value.code == "in_evaluation"


def test_b2_budgets_and_mappings_buy_nothing_in_an_evaluation(customer: Customer) -> None:
    rules = {"schema": 2, "on_exhausted": "buy_up_to", "default": "premium", "rules": []}
    with (
        pytest.raises(BudgetNotPossibleError, match="an evaluation buys nothing"),
        customer.unit(customer.owner) as unit,
    ):
        set_budget(unit, "premium", seats=3)
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, rules)
        apply_mappings(unit, preview.id, acknowledged=False)

    ada, bob = customer.push("ada@nordlys.test"), customer.push("bob@nordlys.test")

    assert (preview.quote, preview.shortage) == (None, {})
    with customer.unit(customer.owner) as unit:
        assert sum(pool.total for pool in read_pools(unit)) == 4
        assert read_usage(unit, of="period").cost.total == 0
    assert sorted([ada.tier or "", bob.tier or ""]) == ["", "premium"]


@pytest.mark.parametrize("kind", PLANS)
def test_b2_it_converts_to_the_agreed_plan_by_itself_at_the_date(
    customer: Customer, clock: SettableClock, kind: str
) -> None:
    draft, billed, tier = PLANS[kind]
    customer.push("ada@nordlys.test")
    agree(customer, draft)
    with customer.unit(customer.owner) as unit:
        view = read_evaluation(unit)
        assert view is not None
        assert (view.follows, sum(line.amount for line in view.first_bill.lines) if view.first_bill else 0) == (
            kind,
            billed[0][1] if billed else 0,
        )

    # A worker comes 40 hours late, and another one after it: the plan began at the date, once.
    clock.at = UNTIL + timedelta(hours=40)
    assert renew_due(customer.runtime) == 1
    assert renew_due(customer.runtime) == 0

    with customer.unit(customer.owner) as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        assert (contract.kind, contract.status, contract.anchor) == (kind, "active", UNTIL)
        assert invoices_of(unit) == [(*one, UNTIL) for one in billed]
        assert (read_evaluation(unit), open_alerts(unit), reconcile_pools(unit)) == (None, [], [])
        actions = unit.session.scalars(select(AuditEntry.action).order_by(AuditEntry.seq)).all()
        assert [one for one in actions if one in {"plan.ended", "plan.began"}] == ["plan.ended", "plan.began"]
        assert verify(unit) is None
        for invoice_id in unit.session.scalars(select(Invoice.id)).all():
            assert why_invoice(unit, invoice_id).cause.text == "another plan began"
    assert tiers_of(customer)["ada"] == tier


def test_b2_without_an_agreed_plan_members_become_unassigned_and_data_stays(
    customer: Customer, clock: SettableClock
) -> None:
    ada = customer.push("ada@nordlys.test")

    clock.at = UNTIL
    renew_due(customer.runtime)

    with customer.unit(customer.owner) as unit:
        assert invoices_of(unit) == []
        assert [alert.detail for alert in open_alerts(unit)] == [
            "The evaluation has ended without a plan: nobody holds a seat, all data stays"
        ]
        assert why_person(unit, ada.id).sentence.endswith("has no seat because the plan has ended.")
    with pytest.raises(PlanEndedError), customer.unit(customer.owner) as unit:
        preview_seats(unit, {"premium": 1})
    # And then a plan begins all the same.
    with customer.unit() as unit:
        take_new_plan(unit, team())
    assert tiers_of(customer) == {"owner": None, "ada": "premium"}


def test_b2_exactly_the_agreed_seats_are_billed_and_who_came_first_keeps_theirs(
    customer: Customer, clock: SettableClock
) -> None:
    people = [customer.push(f"p{number}@nordlys.test") for number in range(4)]
    agree(customer, team(premium=1, standard=2))

    clock.at = UNTIL
    renew_due(customer.runtime)

    with customer.unit(customer.owner) as unit:
        held = {one.id: one.tier for one in unit.session.scalars(select(Member))}
        waiting = [one.id for one in unit.session.scalars(select(Member).where(Member.waiting_for.is_not(None)))]
        # 1 × 100.00 + 2 × 20.00, though four seats were in use.
        assert invoices_of(unit) == [("start", 14_000, UNTIL)]
        assert reconcile_pools(unit) == []
    # One of the three standard holders lets go: the one who came last.
    before = [one for one in people if one.tier == "standard"]
    assert held[before[-1].id] is None
    assert [held[one.id] for one in before[:-1]] == ["standard", "standard"]
    assert waiting == [before[-1].id]


def test_q1_an_owner_converts_early_to_the_agreed_plan_and_sees_its_first_invoice(
    customer: Customer, clock: SettableClock
) -> None:
    customer.push("ada@nordlys.test")
    with pytest.raises(InvalidChangeError, match="no plan is agreed"), customer.unit(customer.owner) as unit:
        preview_new_plan(unit, None)
    agree(customer, team())
    with pytest.raises(InvalidChangeError, match="agreed to follow"), customer.unit() as unit:
        preview_new_plan(unit, team(premium=9))

    clock.at = NOW + timedelta(days=3)
    with customer.unit(customer.owner) as unit:
        preview = preview_new_plan(unit, None)
    with customer.unit(customer.owner) as unit:
        done = confirm_new_plan(unit, preview.id, acknowledged=True)

    with customer.unit(customer.owner) as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        assert (contract.kind, contract.period_start) == ("team", clock.at)
        assert invoices_of(unit) == [("start", 12_000, clock.at)]
        assert unit.billing.next_renewal() is not None
    assert done.invoice is not None
    assert preview.quote.bill is not None
    assert preview.quote.bill.total == done.invoice.total
    # The date of the evaluation has no meaning any more.
    clock.at = UNTIL
    assert renew_due(customer.runtime) == 0


def test_r1_a_declined_payment_at_the_date_holds_nothing_up(customer: Customer, clock: SettableClock) -> None:
    agree(customer, team())
    declining = Payments(customer, declined=True).customer

    clock.at = UNTIL
    renew_due(declining.runtime)

    with customer.unit(customer.owner) as unit:
        assert unit.session.get_one(Contract, unit.org_id).kind == "team"
        assert [alert.code for alert in open_alerts(unit)] == ["renewal_payment_declined"]


def test_c3_a_credit_that_was_granted_is_used_by_the_first_invoice(customer: Customer, clock: SettableClock) -> None:
    with customer.unit() as unit:
        grant_credit(unit, 20_000)
    agree(customer, team())

    clock.at = UNTIL
    renew_due(customer.runtime)

    with customer.unit(customer.owner) as unit:
        invoice = unit.session.scalars(select(Invoice)).one()
        # 120.00 of 200.00.
        assert (invoice.amount_due, unit.session.get_one(Contract, unit.org_id).credit_balance) == (0, 8_000)


def test_b2_it_is_extended_with_more_seats_and_the_plan_begins_later(customer: Customer, clock: SettableClock) -> None:
    for number in range(5):
        customer.push(f"p{number}@nordlys.test")
    agree(customer, team())
    later = UNTIL + timedelta(days=14)

    with customer.unit() as unit:
        change_evaluation(unit, until=later, seats={"premium": 2})
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "evaluation.changed")).one()
    with pytest.raises(SeatsInUseError), customer.unit() as unit:
        change_evaluation(unit, seats={"standard": 2})

    assert (entry.body["seats_before"], entry.body["seats"]) == ({"premium": 1}, {"premium": 2})
    assert list(tiers_of(customer).values()).count("premium") == 2
    clock.at = UNTIL
    assert renew_due(customer.runtime) == 0
    clock.at = later
    assert renew_due(customer.runtime) == 1
    with customer.unit(customer.owner) as unit:
        assert invoices_of(unit) == [("start", 12_000, later)]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"until": UNTIL},
        {"until": NOW},
        {"until": NOW + timedelta(days=400)},
        {"seats": {"gold": 1}},
        {"seats": {"premium": -1}},
        {"seats": {"premium": 1}},
    ],
)
def test_b2_what_changes_nothing_or_cannot_be_is_refused(customer: Customer, wanted: dict[str, Any]) -> None:
    with pytest.raises((InvalidInputError, InvalidChangeError)), customer.unit() as unit:
        change_evaluation(unit, **wanted)


def test_b2_it_is_ended_at_once_unless_a_plan_is_agreed(customer: Customer, clock: SettableClock) -> None:
    customer.push("ada@nordlys.test")
    with customer.unit() as unit:
        end_evaluation(unit)

    assert tiers_of(customer)["ada"] is None
    with pytest.raises(PlanEndedError), customer.unit() as unit:
        end_evaluation(unit)
    with pytest.raises(PlanEndedError), customer.unit() as unit:
        change_evaluation(unit, until=UNTIL)
    clock.at = UNTIL
    assert renew_due(customer.runtime) == 0


def test_b2_an_agreed_plan_keeps_an_evaluation_from_being_ended(customer: Customer) -> None:
    agree(customer, team())

    with pytest.raises(InvalidChangeError, match="cancel it first"), customer.unit() as unit:
        end_evaluation(unit)


def test_b2_owners_are_reminded_two_weeks_and_two_days_before_and_anew_after_an_extension(
    customer: Customer, clock: SettableClock
) -> None:
    def reminded(at: datetime) -> int:
        clock.at = at
        return remind_everywhere(customer.runtime)

    agree(customer, team())
    counts = [
        reminded(UNTIL - timedelta(days=15)),
        reminded(UNTIL - timedelta(days=14)),
        reminded(UNTIL - timedelta(days=13)),
        reminded(UNTIL - timedelta(days=2)),
        reminded(UNTIL - timedelta(days=1)),
    ]
    with customer.unit() as unit:
        change_evaluation(unit, until=UNTIL + timedelta(days=10))
    counts.append(reminded(UNTIL))

    assert counts == [0, 1, 0, 1, 0, 1]
    with customer.unit() as unit:
        rows = unit.session.scalars(select(Delivery).where(Delivery.kind == "evaluation_mail")).all()
        claims = [claim_delivery(unit, row.id) for row in rows]
        messages = [compose(unit, claim) for claim in claims if claim is not None]
    # Of the three only the last one speaks of the end as it is now.
    written = [one for one in messages if one is not None]
    assert [one.subject for one in written] == ["Nordlys: the evaluation ends in 10 days"]
    assert "then the team plan begins by itself" in written[0].text
    assert "First invoice then, as things are: €120.00" in written[0].text


@pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=40)])
def test_b2_past_its_date_an_evaluation_is_over_whether_or_not_a_worker_came(
    customer: Customer, runtime: Runtime, clock: SettableClock, late: timedelta
) -> None:
    agree(customer, team())
    clock.at = UNTIL + late

    with customer.unit(customer.owner) as unit:
        seen = read_evaluation(unit)
    reminded = remind_everywhere(customer.runtime)

    assert (seen, reminded) == (None, 0)
    with customer.unit() as unit:
        assert unit.session.get_one(Contract, unit.org_id).kind == "team"


def test_b2_who_begins_the_agreed_plan_too_late_reads_that_it_has_begun(
    customer: Customer, runtime: Runtime, clock: SettableClock
) -> None:
    agree(customer, team())
    clock.at = UNTIL + timedelta(hours=1)
    browser = sign_in(create_web_app(runtime, console_blueprints()), customer)

    refused = browser.post("/console/plan/previews")

    assert refused.status == 422
    assert "the organization is in no evaluation: it has a team plan" in refused.text
    assert "how many seats" not in refused.text


def test_q4_a_declined_first_invoice_says_that_nothing_has_begun(customer: Customer) -> None:
    agree(customer, team())
    declined = Payments(customer, declined=True).customer

    with pytest.raises(PaymentFailedError, match="Nothing was bought, begun or charged"), declined.unit() as unit:
        take_new_plan(unit, None)


def test_w1_licences_are_tried_with_teams_and_billed_from_the_date_on(runtime: Runtime, clock: SettableClock) -> None:
    clock.at = NOW
    tried = take_in(runtime, evaluation(tiers=(TierPrice("user_licence", "User licence", 1, 0, 0),)))
    ada = tried.push("ada@nordlys.test")
    with tried.unit(tried.owner) as unit:
        create_team(unit, "Platform")
        join_teams(unit, ada.id, ["Platform"])
        view, seats = read_evaluation(unit), read_seats(unit)
    agree(tried, PLANS["user_licence"][0])

    clock.at = datetime(2026, 5, 1, tzinfo=UTC)
    renew_due(runtime)

    assert view is not None
    assert seats.licences is not None
    assert (view.tries, seats.licences.licensed) == ("user_licence", 1)
    with tried.unit(tried.owner) as unit:
        # March cost nothing; what is left of April from the 1st at 09:00 counts whole (rule W4).
        assert invoices_of(unit) == [("month", 500, datetime(2026, 5, 1, tzinfo=UTC))]


def test_u1_roles_are_tried_and_kept(runtime: Runtime, clock: SettableClock) -> None:
    clock.at = NOW
    tried = take_in(runtime, evaluation(tiers=()))
    ada = tried.push("ada@nordlys.test")
    with tried.unit(tried.owner) as unit:
        change_roles(unit, ada.id, ["team_member"])
    agree(tried, PLANS["contract"][0])

    clock.at = UNTIL
    renew_due(runtime)

    with tried.unit(tried.owner) as unit:
        assert invoices_of(unit) == [("instalment", 1_200_000, UNTIL)]
        assert "is a paid user" in why_person(unit, ada.id).sentence


def test_why_tells_a_seat_of_an_evaluation(customer: Customer) -> None:
    ada = customer.push("ada@nordlys.test", displayName="Ada")

    with customer.unit(customer.owner) as unit:
        sentence = why_person(unit, ada.id).sentence

    assert sentence == (
        "Ada has Premium because no mapping applies, so the best tier with a free seat. "
        "It is a seat of the evaluation, which costs nothing until 1 April 2026."
    )


@pytest.mark.parametrize(
    "contract",
    [
        evaluation(until=NOW),
        evaluation(until=NOW + timedelta(days=400)),
        evaluation(tiers=team().tiers),
        ContractDraft("evaluation", "none", NOW, "EUR", "UTC", SEATS, until=UNTIL, billed_by="remote"),
    ],
)
def test_b2_an_evaluation_that_cannot_be_is_refused(
    runtime: Runtime, clock: SettableClock, contract: ContractDraft
) -> None:
    clock.at = NOW

    with pytest.raises(BridgeError) as refusal:
        take_in(runtime, contract)

    assert refusal.value.code == "invalid_input"


def test_b2_nobody_is_offered_to_buy_or_to_ask_for_a_seat(customer: Customer, runtime: Runtime) -> None:
    app = create_web_app(runtime, console_blueprints())
    with customer.unit() as unit:
        change_evaluation(unit, seats={"premium": 0, "standard": 0})
    bo = customer.push("bo@nordlys.test")
    owner, admin = sign_in(app, customer), sign_in(app, customer, make_admin(customer).id)

    requests = admin.get("/console/approvals").text
    full = [who.post(f"/console/people/{bo.id}/seat", {"tier": "premium"}) for who in (owner, admin)]

    assert ("Ask for seats" in requests, "whoever runs this service sets the seats" in requests) == (False, True)
    assert [(one.status, "whoever runs this service sets how many" in one.text) for one in full] == [(200, True)] * 2


def test_q1_owners_read_of_it_in_the_console_and_begin_the_agreed_plan(customer: Customer, runtime: Runtime) -> None:
    customer.push("ada@nordlys.test", displayName="Ada")
    browser = sign_in(create_web_app(runtime, console_blueprints()), customer)
    before = browser.get("/console/seats").text
    agree(customer, team())

    overview, seats = browser.get("/console").text, browser.get("/console/seats").text
    refused = browser.post("/console/seats/previews", {"add.premium": "1"})
    place = browser.post("/console/plan/previews").location
    shown = browser.get(place)
    done = browser.post(f"{place}/confirm", {"acknowledged": "yes"})

    assert "30 days left; then members have no seat and all data stays" in before
    assert "Begin the" not in before
    assert "then the team plan begins by itself" in overview
    assert "Begin the team plan…" in seats
    assert "When the evaluation ends, on 1 Apr 2026" in seats
    assert (refused.status, "in evaluation" in refused.text.lower()) == (409, True)
    assert "€120.00" in shown.text
    assert "Nobody's seat changes" in shown.text.replace("&#39;", "'")
    assert "/console/seats/invoices/" in done.location


class TestCommandLine:
    """The operator's way."""

    @pytest.fixture
    def run(self, monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Run:
        """Run ``seatbridge ...`` here."""
        monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
        monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
        return lambda *arguments, typed="": CliRunner().invoke(main, list(arguments), input=typed)

    def test_an_evaluation_from_its_start_to_a_plan(self, run: Run) -> None:
        day = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
        later = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%d}"
        customer = ("--name", "Nordlys", "--owner-email", "olga@nordlys.test")

        started = run(
            "evaluation", "start", "nordlys", *customer, "--until", day, "--tier", "premium=2", "--tier", "standard=5"
        )
        agreed = run("contract", "begin", "nordlys", "--kind", "team", "--tier", "premium=2@150", "--next", "--yes")
        shown = run("evaluation", "show", "nordlys", "--json")
        extended = run("evaluation", "extend", "nordlys", "--until", later, "--tier", "premium=3")
        seats = run("seats", "show", "nordlys")
        preview = run("evaluation", "convert", "nordlys", "--preview")
        refused = run("evaluation", "convert", "nordlys", "--accept-cost", "299.00")
        done = run("evaluation", "convert", "nordlys", "--accept-cost", "300.00", "--json")
        after = run("evaluation", "show", "nordlys")

        assert f"in evaluation until  {day} 00:00 UTC" in started.output
        assert "Agreed: the team plan begins on" in agreed.output
        assert json.loads(shown.stdout)["follows"] == "team"
        assert "40 days left; then the team plan begins by itself." in extended.output
        assert "In evaluation until" in seats.output
        assert "Total: €300.00" in preview.output
        assert (refused.exit_code, json.loads(done.stdout)["invoice"]["total"]) == (1, 30_000)
        assert "In no evaluation" in after.output

    def test_an_evaluation_that_is_ended(self, run: Run) -> None:
        day = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
        customer = ("--name", "Nordlys", "--owner-email", "olga@nordlys.test")
        run("evaluation", "start", "nordlys", *customer, "--until", day, "--tries", "user_licence")

        refused = run("evaluation", "end", "nordlys", "--json")
        done = run("evaluation", "end", "nordlys", "--yes")

        assert (refused.exit_code, done.exit_code) == (2, 0)
        assert "all data stays" in done.output
        assert "evaluation, ended" in run("org", "show", "nordlys").output

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ((), "tier"),
            (("--tier", "premium=x"), "KEY=SEATS"),
            (("--tier", "premium=1", "--tries", "user_licence"), "--tries"),
        ],
    )
    def test_what_cannot_be_tried_is_refused(self, run: Run, options: tuple[str, ...], named: str) -> None:
        common = ("--name", "N", "--owner-email", "o@n.test", "--until", "2099-01-01")

        done = run("evaluation", "start", "nordlys", *common, *options)

        assert done.exit_code == 1
        assert named in done.output
