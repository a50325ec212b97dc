"""What budgets have left, taken person by person while it is decided who is bought a seat."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import MAPPABLE_ATTRIBUTES, comparison_key
from bridge.domain.identifiers import MemberId
from bridge.domain.plan_kinds import EVALUATION
from bridge.ports import SeatChange, SeatQuote
from bridge.store.agreed import AgreedKind, agreed_change
from bridge.store.models import Contract, Member, SeatPool
from bridge.store.unit import Unit
from bridge.usecases.budgets import Budget, BudgetKey, by_key, read_budgets
from mappings.allocation import MemberKey
from mappings.tiers import ANY


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """Seats of a tier bought within a budget at once, or that would be.

    Attributes:
        cost_centre: The budget's; empty for that of everybody else.
        set_by: Who set it.
        until: When its present period ends.
        amount: What is charged today, minor units before tax.
        formula: How the amount comes about; empty where nothing is to be paid.
        total: What is charged today, tax included.
        amount_due: What of it is to be paid, once the account's balance is used (rule C3).
        full_amount: What the seats cost for a full period, minor units before tax: by it the budget counts.
        seats_left: Of the budget afterwards; None when only the amount has a cap.
        amount_left: The same in minor units for a full period; None when only the seats have a cap.
    """

    tier: str
    cost_centre: str
    set_by: str
    set_at: datetime
    until: datetime
    seats: int
    amount: int
    currency: str
    formula: str
    total: int
    amount_due: int
    full_amount: int
    seats_left: int | None
    amount_left: int | None

    @property
    def facts(self) -> dict[str, object]:
        """What decisions and audit keep of it."""
        kept = asdict(self)
        return {**kept, "set_at": self.set_at.isoformat(), "until": self.until.isoformat()}


@dataclass(slots=True)
class BudgetPurse:
    """Takes seats from budgets, first asked, first served (:class:`mappings.people.Purse`). Nothing is charged by it.

    Attributes:
        priced_at: The instant that the proration counts from (rule Q2).
        bought_before: What is bought without a budget before it, in the same unit.
        caps: How many seats each budget pays for at most; known from the first look at it on.
        taken: For whom a seat was taken, by budget, in the order of taking.
        short: Budgets that somebody asked for who got nothing.
        missing: Tiers, or ``any``, for which there is no budget at all though somebody asked.
    """

    unit: Unit
    budgets: Mapping[BudgetKey, Budget]
    priced_at: datetime
    bought_before: tuple[SeatChange, ...] = ()
    caps: dict[BudgetKey, int] = field(default_factory=dict)
    taken: dict[BudgetKey, list[MemberId]] = field(default_factory=dict)
    short: set[BudgetKey] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    _centres: dict[MemberKey, str] = field(default_factory=dict)
    _prices: dict[str, int] = field(default_factory=dict)
    _asked: int = 0

    @property
    def bought(self) -> Mapping[str, int]:
        """How many seats were taken so far, by tier."""
        counts: Counter[str] = Counter()
        for (tier, _), members in self.taken.items():
            counts[tier] += len(members)
        return counts

    def look_up(self, member_ids: Collection[MemberKey]) -> None:
        """Read the cost centres of people who may be asked about, by one statement."""
        self._asked = max(self._asked, len(member_ids))
        if not member_ids or not any(cost_centre for _, cost_centre in self.budgets):
            return
        rows = self.unit.session.execute(
            select(Member.id, Member.document[MAPPABLE_ATTRIBUTES["costCenter"]].astext).where(
                Member.org_id == self.unit.org_id, Member.id == any_(literal(list(member_ids), ARRAY(Uuid)))
            )
        )
        self._centres |= {row[0]: comparison_key(row[1].strip()) for row in rows if row[1]}

    def take(self, member_id: MemberKey, tiers: Sequence[str]) -> str | None:
        """Take one seat for somebody, of the first of these tiers that their budget has left for."""
        keys = [key for key in (self._key(member_id, tier) for tier in tiers) if key in self.budgets]
        if not keys:
            self.missing.add(tiers[0] if len(tiers) == 1 else ANY)
        for key in keys:
            members = self.taken.setdefault(key, [])
            if len(members) < self.cap(key):
                members.append(member_id)  # type: ignore[arg-type] # members of the store have its ids
                return key[0]
        self.short.update(keys)
        return None

    def would_take(self, member_id: MemberKey, tiers: Sequence[str]) -> str | None:
        """Return what :meth:`take` would, and take nothing."""
        keys = [self._key(member_id, tier) for tier in tiers]
        return next(
            (key[0] for key in keys if key in self.budgets and len(self.taken.get(key, ())) < self.cap(key)), None
        )

    def cap(self, key: BudgetKey) -> int:
        """Return how many seats a budget pays for at most, as far as anybody asks."""
        if key not in self.caps:
            self.caps[key] = self._affordable(self.budgets[key])
        return self.caps[key]

    def uses(self) -> tuple[BudgetUse, ...]:
        """Say what it would cost to buy what was taken, one budget after the other, and what would be left of each."""
        made, found = self.bought_before, []
        for key, members in self.taken.items():
            if members:
                change = replace(self._change(key, len(members)), after=made)
                found.append(self._use(key, self.unit.billing.quote(change)))
                made = (*made, change)
        return tuple(found)

    def quote_next(self, key: BudgetKey) -> tuple[SeatQuote, BudgetUse]:
        """Quote what was taken from a budget, now that all that comes before it is bought."""
        quote = self.unit.billing.quote(self._change(key, len(self.taken[key])))
        return quote, self._use(key, quote)

    def limited_to(self, caps: Mapping[BudgetKey, int]) -> "BudgetPurse":
        """Return a fresh purse that pays for exactly so many; for a budget that is not named, nothing."""
        known = {key: caps.get(key, 0) for key in self.budgets}
        return BudgetPurse(self.unit, self.budgets, self.priced_at, caps=known)

    def seat_price(self, tier: str) -> int:
        """Return what a seat costs for a full period, minor units: by the price of this one or of the next, the higher.

        The next period's is that of the plan that is agreed for it.
        """
        if tier not in self._prices:
            pool = self.unit.session.get_one(SeatPool, (self.unit.org_id, tier))
            ahead = agreed_change(self.unit, AgreedKind.PLAN)
            agreed = ahead.terms["prices"].get(tier, 0) if ahead is not None else 0
            self._prices[tier] = max(pool.price, pool.next_price, agreed)
        return self._prices[tier]

    def _change(self, key: BudgetKey, number: int) -> SeatChange:
        return SeatChange({key[0]: number}, at=self.priced_at, placed={key[0]: number})

    def _use(self, key: BudgetKey, quote: SeatQuote) -> BudgetUse:
        """Say what buying what was taken, by this quote, makes of a budget."""
        budget, seats, bill = self.budgets[key], len(self.taken[key]), quote.bill
        full = seats * self.seat_price(budget.tier)
        return BudgetUse(
            tier=budget.tier,
            cost_centre=budget.cost_centre,
            set_by=budget.set_by,
            set_at=budget.set_at,
            until=budget.end,
            seats=seats,
            amount=bill.subtotal if bill else 0,
            currency=budget.currency,
            formula="; ".join(line.formula for line in bill.lines) if bill else "",
            total=bill.total if bill else 0,
            amount_due=bill.amount_due if bill else 0,
            full_amount=full,
            seats_left=None if budget.seats_left is None else budget.seats_left - seats,
            amount_left=None if budget.amount_left is None else budget.amount_left - full,
        )

    def _key(self, member_id: MemberKey, tier: str) -> BudgetKey:
        own = (tier, self._centres.get(member_id, ""))
        return own if own in self.budgets else (tier, "")

    def _affordable(self, budget: Budget) -> int:
        if budget.paused_until is not None and self.unit.at < budget.paused_until:
            return 0
        asked, left = max(self._asked, 1), budget.amount_left
        most = asked if budget.seats_left is None else min(budget.seats_left, asked)
        if left is None or most == 0:
            return most
        price = self.seat_price(budget.tier)
        return most if price == 0 else min(most, left // price)


def open_purse(
    unit: Unit,
    *,
    priced_at: datetime | None = None,
    bought_before: tuple[SeatChange, ...] = (),
    instead: Budget | None = None,
) -> BudgetPurse:
    """Return what the budgets have left now; a plan that sells no seats now has none (rules B2 and R5).

    Args:
        unit: The unit.
        priced_at: The instant that the proration counts from (rule Q2); the unit's by default.
        bought_before: What is bought without a budget before it, in the same unit.
        instead: A budget that is to be set, in the place of the one that there may be.
    """
    contract = unit.session.get_one(Contract, unit.org_id)
    sells = contract.status == "active" and contract.kind != EVALUATION and unit.billing.sells_at_once
    budgets = by_key(read_budgets(unit)) if sells else {}
    if instead is not None and sells:
        budgets |= {instead.key: instead}
    return BudgetPurse(unit, budgets, priced_at or unit.at, bought_before)
