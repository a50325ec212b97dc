"""Random histories of every plan kind: what is shown is charged, the books agree, and every line has its reasons.

Currencies with 0, 2 and 3 decimals, time zones with and without daylight saving, starts on 29 February and the 31st.
"""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st
from sqlalchemy import func, select

from bridge.billing.ledger import Counts
from bridge.billing.rules.money import round_half_away
from bridge.billing.why_invoice import why_invoice
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import ConnectionId, new_id
from bridge.errors import BridgeError
from bridge.ports import Bill, ContractDraft, FeeDraft, TierPrice
from bridge.runtime import Runtime
from bridge.store.agreed import AgreedKind, agreed_change, plan_of
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Connection, Contract, Invoice, InvoiceLine, Member, Payment
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.agreed_changes import cancel_agreed_change
from bridge.usecases.amend_contract import AmendmentDraft, confirm_amendment, preview_amendment
from bridge.usecases.assign_seats import assign_tier, promote_waiting
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.usecases.change_plan import PlanDraft, confirm_plan_change, preview_plan_change
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.new_plan import confirm_new_plan, preview_new_plan, take_new_plan
from bridge.usecases.organizations import OrganizationDraft
from bridge.usecases.product_roles import change_roles
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, remove_member
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.renew_contract import grant_credit, set_auto_renew, set_price
from bridge.usecases.workspace_teams import archive_team, create_team, join_teams, leave_team, unarchive_team
from tests.conftest import SettableClock
from tests.factories import Customer

Draw = Callable[..., Any]
SECOND = timedelta(seconds=1)
ZONES = ("UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
STARTS = (date(2028, 2, 29), date(2026, 1, 31), date(2026, 3, 29), date(2026, 10, 25), date(2027, 12, 1))
SCHEDULES: tuple[str | tuple[tuple[int, str], ...], ...] = ("annual", "quarterly", "monthly", ((2, "1/3"), (7, "2/3")))
KINDS = ("team month", "team year", "enterprise", "contract", "team_licence", "user_licence")

history = settings(
    max_examples=int(os.environ.get("MONEY_EXAMPLES", "5")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(repr=False)
class World:
    """One organization and what its history has done so far."""

    customer: Customer
    clock: SettableClock
    draw: Draw
    kind: str
    arrived: int = 0
    teams: list[str] = field(default_factory=list)

    def until(self, at: datetime) -> None:
        """Let time pass: a second before every boundary the forecast is what the boundary's invoice says."""
        while True:
            with self.customer.unit(self.customer.owner) as unit:
                contract = unit.session.get_one(Contract, unit.org_id)
                boundary, active = contract.period_end, contract.status == "active"
                self.kind = contract.kind
            if not active or boundary > at:
                break
            self.clock.at = max(boundary - SECOND, self.clock.at)
            with self.customer.unit(self.customer.owner) as unit:
                bills = self._due(unit)
                before = count_invoices(unit)
            self.clock.at = boundary
            with self.customer.unit(self.customer.owner) as unit:
                unit.lock()
                new = unit.session.scalars(
                    select(Invoice).where(Invoice.org_id == unit.org_id).order_by(Invoice.number).offset(before)
                ).all()
                assert [money_of(unit, one) for one in new] == [money_of_bill(bill) for bill in bills]
                assert {one.at for one in new} <= {boundary}
        self.clock.at = max(at, self.clock.at)

    def _due(self, unit: Unit) -> list[Bill]:
        """Return what is due at the boundary that comes next: of this plan, then of one that follows it there."""
        contract, ahead = unit.session.get_one(Contract, unit.org_id), agreed_change(unit, AgreedKind.SUCCESSOR)
        own = self._forecast(unit)
        if ahead is None or ahead.effective_at > contract.period_end:
            return [] if own is None else [own]
        first = unit.billing.quote_start(plan_of(ahead.terms, ahead.effective_at)).bill
        if not contract.kind.endswith("licence"):
            return [] if first is None else [first]
        # The month is billed first, and may use up the credit that the forecast of the other still counts with.
        month = None if own == first else own
        if month is not None and first is not None and month.credit_applied:
            left = contract.credit_balance - month.credit_applied
            used = min(left, first.total)
            first = replace(first, credit_applied=used, amount_due=first.total - used)
        return [bill for bill in (month, first) if bill is not None]

    def _forecast(self, unit: Unit) -> Bill | None:
        """Return the forecast of what is due at the boundary that comes next."""
        forecast = unit.billing.next_renewal()
        if self.kind == "contract" and forecast is not None:
            facts = unit.billing.fixed_fee().facts()
            contract = unit.session.get_one(Contract, unit.org_id)
            return forecast if facts.next_at == contract.period_end else None
        return forecast

    def act(self) -> None:
        """Do something; what is refused changes nothing."""
        acts = [self._arrive, self._leave, self._credit, self._renewal]
        if self.kind in {"team", "enterprise"}:
            acts += [self._buy, self._buy, self._place, self._price, self._plan]
        elif self.kind == "contract":
            acts += [self._amend, self._amend, self._roles]
        else:
            acts += [self._team, self._team, self._join, self._join, self._price]
        acts += [self._follow, self._begin, self._begin]
        before = self._books()
        try:
            acts[self.draw(st.integers(0, len(acts) - 1))]()
        except BridgeError:
            assert self._books() == before

    def _books(self) -> tuple[int, int, int]:
        with self.customer.unit() as unit:
            contract = unit.session.get_one(Contract, unit.org_id)
            entries = unit.session.scalars(select(func.count()).select_from(AuditEntry)).one()
            return contract.credit_balance, count_invoices(unit), entries

    def _arrive(self) -> None:
        customer, number = self.customer, self.arrived
        self.arrived += 1
        with customer.unit(customer.directory) as unit:
            draft = PersonDraft(f"p{number}@{customer.slug}.test")
            provision_member(unit, customer.connection_id, draft, Source.SCIM)

    def _somebody(self, unit: Unit) -> Member:
        """Return one of the people who are there; the owner where nobody else is."""
        known = unit.session.scalars(select(Member).where(Member.org_id == unit.org_id).order_by(Member.position)).all()
        return known[self.draw(st.integers(0, len(known) - 1))]

    def _leave(self) -> None:
        removed = self.draw(st.booleans())
        with self.customer.unit(self.customer.owner) as unit:
            unit.lock()
            member = self._somebody(unit)
            if member.id == self.customer.owner_id:
                return
            if removed:
                remove_member(unit, member, reason="by_hand")
            else:
                promote_waiting(unit, [deactivate_member(unit, member, reason="by_hand")])

    def _credit(self) -> None:
        with self.customer.unit(OPERATOR) as unit:
            grant_credit(unit, self.draw(st.integers(1, 50_000)))

    def _renewal(self) -> None:
        with self.customer.unit(self.customer.owner) as unit:
            set_auto_renew(unit, value=self.draw(st.integers(0, 9)) > 0)

    def _buy(self) -> None:
        changes = {tier: self.draw(st.integers(-2, 4)) for tier in ("premium", "standard")}
        with self.customer.unit(self.customer.owner) as unit:
            preview = preview_seats(unit, changes)
        self.clock.at += self.draw(st.integers(0, 800)) * SECOND
        with self.customer.unit(self.customer.owner) as unit:
            before = count_invoices(unit)
            done = confirm_seats(unit, preview.id, acknowledged=True)
            bill = preview.quote.bill
            assert (done.invoice is None) == (bill is None)
            assert count_invoices(unit) == before + (bill is not None)
            if done.invoice is not None and bill is not None:
                invoice = unit.session.get_one(Invoice, (unit.org_id, uuid.UUID(done.invoice.id)))
                assert money_of(unit, invoice) == money_of_bill(bill)

    def _place(self) -> None:
        with self.customer.unit(self.customer.owner) as unit:
            tier = self.draw(st.sampled_from(["premium", "standard", "unassigned"]))
            assign_tier(unit, self._somebody(unit).id, tier, buy_if_needed=self.draw(st.booleans()))

    def _price(self) -> None:
        tier = self.kind if self.kind.endswith("licence") else self.draw(st.sampled_from(["premium", "standard"]))
        with self.customer.unit(OPERATOR) as unit:
            set_price(unit, tier, self.draw(st.integers(0, 100_000)))

    def _plan(self) -> None:
        if self.draw(st.integers(0, 3)) == 0:
            with self.customer.unit(self.customer.owner) as unit:
                cancel_agreed_change(unit)
            return
        kind, cycle = self.draw(st.sampled_from([("team", "month"), ("team", "year"), ("enterprise", "year")]))
        draft = PlanDraft(kind, cycle, {"premium": self.draw(st.integers(0, 90_000))}, {"standard": 3})
        with self.customer.unit(OPERATOR) as unit:
            preview = preview_plan_change(unit, draft)
        with self.customer.unit(OPERATOR) as unit:
            confirm_plan_change(unit, preview.id, acknowledged=True)
            # What was shown is what the forecast says from now on.
            assert unit.billing.next_renewal() == preview.quote.after

    def _another_plan(self) -> ContractDraft:
        """Draw a plan of any kind, in the currency, zone and with the tax of the one there is."""
        with self.customer.unit() as unit:
            contract = unit.session.get_one(Contract, unit.org_id)
            terms = {name: getattr(contract, name) for name in ("currency", "time_zone", "tax_rate")}
        return draw_plan(self.draw, self.draw(st.sampled_from(KINDS)), self.clock.at, **terms)

    def _follow(self) -> None:
        """Agree a plan of any kind to follow; or begin at once the one that is agreed to follow an evaluation."""
        early = self.draw(st.booleans())
        draft = None if early else self._another_plan()
        with self.customer.unit() as unit:
            take_new_plan(unit, draft, ahead=not early)
            self.kind = unit.session.get_one(Contract, unit.org_id).kind

    def _begin(self) -> None:
        """Begin a plan of any kind where one has ended: what was shown is invoiced."""
        draft = self._another_plan()
        with self.customer.unit(OPERATOR) as unit:
            preview, before = preview_new_plan(unit, draft), count_invoices(unit)
        with self.customer.unit(OPERATOR) as unit:
            done = confirm_new_plan(unit, preview.id, acknowledged=True)
            bill = preview.quote.bill
            assert count_invoices(unit) == before + (bill is not None)
            if done.invoice is not None and bill is not None:
                invoice = unit.session.get_one(Invoice, (unit.org_id, uuid.UUID(done.invoice.id)))
                assert money_of(unit, invoice) == money_of_bill(bill)
            self.kind = draft.kind

    def _amend(self) -> None:
        draft = AmendmentDraft(
            annual_fee=self.draw(st.integers(1, 3_000_000)),
            paid_users=self.draw(st.integers(0, 20)),
            ahead=self.draw(st.booleans()),
        )
        with self.customer.unit(OPERATOR) as unit:
            preview = preview_amendment(unit, draft)
        self.clock.at += self.draw(st.integers(0, 800)) * SECOND
        with self.customer.unit(OPERATOR) as unit:
            done = confirm_amendment(unit, preview.id, acknowledged=True)
            assert (done.invoice is None) == (preview.quote.bill is None)
            if done.invoice is not None and preview.quote.bill is not None:
                invoice = unit.session.get_one(Invoice, (unit.org_id, uuid.UUID(done.invoice.id)))
                assert money_of(unit, invoice) == money_of_bill(preview.quote.bill)

    def _roles(self) -> None:
        with self.customer.unit(self.customer.owner) as unit:
            roles = self.draw(st.lists(st.sampled_from(["team_member", "client"]), unique=True))
            change_roles(unit, self._somebody(unit).id, roles)

    def _team(self) -> None:
        with self.customer.unit(self.customer.owner) as unit:
            act = (create_team, archive_team, unarchive_team)[self.draw(st.integers(0, 2))]
            if act is create_team or not self.teams:
                self.teams.append(f"team {len(self.teams)}")
                create_team(unit, self.teams[-1])
            else:
                act(unit, self.draw(st.sampled_from(self.teams)))

    def _join(self) -> None:
        if not self.teams:
            return
        team = self.draw(st.sampled_from(self.teams))
        with self.customer.unit(self.customer.owner) as unit:
            member = self._somebody(unit)
            if self.draw(st.integers(0, 2)):
                join_teams(unit, member.id, [team])
            else:
                leave_team(unit, member.id, team)


def count_invoices(unit: Unit) -> int:
    return unit.session.scalars(select(func.count()).select_from(Invoice).where(Invoice.org_id == unit.org_id)).one()


def lines_of(unit: Unit, invoice: Invoice) -> list[InvoiceLine]:
    return list(
        unit.session.scalars(
            select(InvoiceLine)
            .where(InvoiceLine.org_id == unit.org_id, InvoiceLine.invoice_id == invoice.id)
            .order_by(InvoiceLine.position)
        )
    )


def money_of(unit: Unit, invoice: Invoice) -> tuple[object, ...]:
    """Everything that a bill promises."""
    lines = [(one.kind, one.tier, one.quantity, one.start, one.end, one.amount) for one in lines_of(unit, invoice)]
    sums = (invoice.subtotal, invoice.tax, invoice.total, invoice.credit_applied, invoice.amount_due)
    return invoice.type, invoice.reason, lines, *sums


def money_of_bill(bill: Bill) -> tuple[object, ...]:
    lines = [(one.kind, one.tier, one.quantity, one.start, one.end, one.amount) for one in bill.lines]
    return bill.type, bill.reason, lines, bill.subtotal, bill.tax, bill.total, bill.credit_applied, bill.amount_due


def begin(draw: Draw, runtime: Runtime, clock: SettableClock, kind: str) -> World:
    """Start an organization on a plan of this kind."""
    zone = draw(st.sampled_from(ZONES))
    day, hour = draw(st.sampled_from(STARTS)), draw(st.sampled_from([0, 2, 23]))
    anchor = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone))
    anchor = anchor.astimezone(UTC)
    contract = draw_plan(
        draw,
        kind,
        anchor,
        currency=draw(st.sampled_from(["EUR", "JPY", "KWD"])),
        time_zone=zone,
        tax_rate=draw(st.sampled_from(["0", "0.25", "0.077"])),
    )
    plan = contract
    if draw(st.integers(0, 3)) == 0:
        # First an evaluation with the same tiers, which this plan follows.
        contract = replace(
            plan,
            kind="evaluation",
            cycle="none",
            tiers=tuple(replace(tier, price=0) for tier in plan.tiers),
            reduction="at_renewal",
            contract_minimum={},
            fee=None,
            auto_renew=False,
            until=anchor + timedelta(days=draw(st.integers(1, 60))),
        )
    clock.at = anchor
    slug = f"o{uuid.uuid4().hex[:12]}"
    created = runtime.create_organization(
        OrganizationDraft(
            slug=slug,
            name=slug,
            locale="en",
            time_zone=zone,
            contract=contract,
            owner_email=f"owner@{slug}.test",
            owner_name="Olga Owner",
        )
    )
    connection_id = ConnectionId(new_id())
    with runtime.unit(created.org_id, OPERATOR) as unit:
        unit.session.add(
            Connection(org_id=created.org_id, id=connection_id, kind="idp", name="Okta", created_at=unit.at)
        )
        if plan is not contract:
            take_new_plan(unit, plan, ahead=True)
    customer = Customer(runtime, created.org_id, slug, created.owner_id, connection_id)
    return World(customer, clock, draw, contract.kind)


def draw_plan(
    draw: Draw, kind: str, anchor: datetime, *, currency: str, time_zone: str, tax_rate: str
) -> ContractDraft:
    """Draw the terms of a plan of this kind."""
    name, _, cycle = kind.partition(" ")
    by_seats = name in {"team", "enterprise"}
    tiers: tuple[TierPrice, ...] = ()
    if by_seats:
        tiers = tuple(
            TierPrice(tier, tier.title(), rank, draw(st.integers(0, 100_000)), draw(st.integers(0, 4)))
            for rank, tier in enumerate(["standard", "premium"], 1)
        )
    elif name != "contract":
        tiers = (TierPrice(name, name, 1, draw(st.integers(0, 5_000)), 0),)
    fee = None
    if name == "contract":
        fee = FeeDraft(
            annual_fee=draw(st.integers(0, 2_000_000)),
            tier="M",
            paid_users=3,
            schedule=draw(st.sampled_from(SCHEDULES)),
            term_years=draw(st.integers(1, 2)),
            discount=draw(st.sampled_from(["0", "0.125"])),
        )
    return ContractDraft(
        kind=name,
        cycle=cycle or ("year" if name in {"enterprise", "contract"} else "month"),
        anchor=anchor,
        currency=currency,
        time_zone=time_zone,
        tiers=tiers,
        tax_rate=tax_rate,
        reduction=draw(st.sampled_from(["at_renewal", "immediate_credit"])) if name == "team" else "at_renewal",
        contract_minimum={"standard": draw(st.integers(0, 2))} if name == "enterprise" else {},
        fee=fee,
    )


def check_books(world: World) -> None:
    """Hold the invoices against the sums, the payments, the balance and the pools."""
    with world.customer.unit(world.customer.owner) as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        invoices = unit.session.scalars(
            select(Invoice).where(Invoice.org_id == unit.org_id).order_by(Invoice.number)
        ).all()
        assert [int(one.number.rpartition("-")[2]) for one in invoices] == list(range(1, len(invoices) + 1))
        balance = granted(unit)
        for invoice in invoices:
            lines = lines_of(unit, invoice)
            assert sum(line.amount for line in lines) == invoice.subtotal
            assert invoice.tax == round_half_away(invoice.subtotal * Fraction(contract.tax_rate))
            assert invoice.total == invoice.subtotal + invoice.tax
            assert 0 <= invoice.credit_applied <= max(invoice.total, 0)
            assert invoice.amount_due == max(invoice.total - invoice.credit_applied, 0)
            assert (invoice.type == "credit_note") == (invoice.total < 0)
            balance += -invoice.total if invoice.type == "credit_note" else -invoice.credit_applied
            assert balance >= 0 or invoice is not invoices[-1]
            paid = unit.session.scalars(
                select(func.coalesce(func.sum(Payment.amount), 0)).where(
                    Payment.org_id == unit.org_id, Payment.invoice_id == invoice.id
                )
            ).one()
            assert paid == (invoice.amount_due if debited(unit, invoice) else 0)
        assert contract.credit_balance == balance >= 0
        if contract.status == "active" and contract.kind != "evaluation":
            check_pools(unit, contract, invoices)
        assert reconcile_pools(unit) == []
        assert verify(unit) is None


def debited(unit: Unit, invoice: Invoice) -> bool:
    """Tell whether the plan of that moment is one that is debited at once, by what the journal says of changes."""
    entries = unit.session.scalars(
        select(AuditEntry).where(AuditEntry.org_id == unit.org_id).order_by(AuditEntry.seq)
    ).all()
    kind = next(str(entry.body["kind"]) for entry in entries if entry.action == "organization.created")
    agreed = {entry.body["change"]: str(entry.body["kind"]) for entry in entries if entry.reason == "plan_change"}
    for entry in entries:
        # The entry of the plan that begins, or of the renewal that begins it, comes right after its first invoice.
        if entry.seq > invoice.journal_seq + 1:
            break
        if entry.action == "contract.renewed":
            kind = agreed.get(entry.body.get("change"), kind)
        elif entry.action == "plan.began":
            kind = str(entry.body["kind"])
    return kind == "team"


def granted(unit: Unit) -> int:
    entries = unit.session.scalars(
        select(AuditEntry).where(AuditEntry.org_id == unit.org_id, AuditEntry.action == "contract.credit_granted")
    )
    return sum(entry.body["amount"] for entry in entries)


def check_pools(unit: Unit, contract: Contract, invoices: Sequence[Invoice]) -> None:
    """The seats paid for in this period are those that its invoices bought."""
    bought: Counter[str] = Counter()
    for invoice in invoices:
        # The last month of licences is billed at the very instant at which seats may follow.
        if invoice.at >= contract.period_start and invoice.reason != "month":
            for line in lines_of(unit, invoice):
                bought[line.tier] += -line.quantity if line.kind == "seat_credit" else line.quantity
    for pool in read_pools(unit):
        assert pool.paid == bought[pool.tier]
        assert pool.used <= pool.total <= pool.paid


def check_reasons(world: World) -> None:
    """Every line is explained, and where it counts people or teams it names exactly that many."""
    with world.customer.unit(world.customer.owner) as unit:
        for invoice in unit.session.scalars(select(Invoice).where(Invoice.org_id == unit.org_id)).all():
            why = why_invoice(unit, invoice.id)
            assert len(why.lines) == len(lines_of(unit, invoice))
            assert why.cause.actor
            for one in why.lines:
                assert one.sentence.endswith(".")
                assert one.steps
                if one.counts == Counts.TEAMS or invoice.reason == "month":
                    assert len(one.people) == one.line.quantity
                elif one.counts == Counts.PEOPLE:
                    assert len(one.people) + one.unheld == one.line.quantity
                elif one.line.kind == "seat":
                    assert len(one.people) <= one.line.quantity


@pytest.mark.parametrize("kind", KINDS)
@history
@given(data=st.data())
def test_whatever_happens_the_books_agree_and_every_line_has_its_reasons(
    data: st.DataObject, runtime: Runtime, clock: SettableClock, kind: str
) -> None:
    draw = data.draw
    world = begin(draw, runtime, clock, kind)
    longest = 60 if kind in {"team month", "team_licence", "user_licence"} else 250
    for _ in range(draw(st.integers(4, 12))):
        world.act()
        world.until(clock.at + timedelta(seconds=draw(st.integers(0, longest * 86_400))))

    with world.customer.unit() as unit:
        target(float(count_invoices(unit)), label="invoices")
    check_books(world)
    check_reasons(world)
