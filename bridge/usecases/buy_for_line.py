"""Buying seats within budgets for who waits, in waiting order: all of a unit's newcomers by one purchase a budget."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from bridge.domain.brake import HeldEffect
from bridge.domain.identifiers import MemberId
from bridge.errors import BridgeError, PaymentFailedError
from bridge.ports import InvoiceReference
from bridge.store.journal import record
from bridge.store.models import Alert, BudgetPurchase, Member, SeatBudget
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.assign_seats import read_placement
from bridge.usecases.brake import hold_people, lets_through
from bridge.usecases.budgets import Budget, BudgetKey, read_budgets
from bridge.usecases.charges import execute_change
from bridge.usecases.purses import BudgetPurse, BudgetUse, open_purse
from bridge.usecases.settle_many import SeatPurchase, member_id_of, settle_many
from bridge.usecases.waiting_people import waiting_people
from mappings.allocation import Occasion, SeatReason
from mappings.people import Person, Pool
from mappings.preview import MovesPreview, moves_under_budget
from mappings.tiers import ANY

USED_UP, MISSING = "budget_used_up", "budget_missing"
DECLINED, REFUSED = "budget_payment_declined", "budget_purchase_refused"


@dataclass(frozen=True, slots=True)
class _Bought:
    """What was bought within one budget, and for whom."""

    use: BudgetUse
    members: tuple[MemberId, ...]
    invoice: InvoiceReference | None

    @property
    def invoice_id(self) -> uuid.UUID | None:
        return uuid.UUID(self.invoice.id) if self.invoice else None


@dataclass(frozen=True, slots=True)
class LineServed:
    """Who moved up, in order: by a bought seat, or by one that thereby became free; and what was charged for it.

    Attributes:
        uses: What was bought, by budget, in the order of buying.
        refusals: Why a budget's purchase was not made; its people stay in line.
    """

    moved: tuple[MemberId, ...] = ()
    invoices: tuple[InvoiceReference, ...] = ()
    uses: tuple[BudgetUse, ...] = ()
    refusals: tuple[BridgeError, ...] = ()

    def refuse_partial(self) -> None:
        """Refuse what somebody was shown as a whole and was not all bought; the unit must roll back.

        Raises:
            BridgeError: The first refusal, as PaymentFailedError.
        """
        if self.refusals:
            raise self.refusals[0]


def is_worth_buying(unit: Unit) -> bool:
    """Tell, without locking anything, whether a budget may have something left for who waits, or alerts are over."""
    if _wanted(unit):
        return any(_has_left(budget, unit.at) for budget in read_budgets(unit))
    return bool(_open_alerts(unit))


def buy_for_line(unit: Unit) -> tuple[MemberId, ...]:
    """Buy what :func:`serve_line` buys; return who moved up, in order."""
    return serve_line(unit).moved


def serve_line(unit: Unit, *, priced_at: datetime | None = None) -> LineServed:
    """Buy seats within the budgets for who waits and whom the rules let buy (``buy_up_to``), first in line first.

    Who cannot be bought a seat goes on waiting, and the owners are told once. A purchase that is refused, as by a
    declined payment, leaves them in line too, and is tried again after an hour.

    Args:
        unit: The unit.
        priced_at: The instant that the proration counts from (rule Q2); the unit's by default.
    """
    unit.lock()
    unit.session.flush()
    purse = open_purse(unit, priced_at=priced_at)
    if _is_told(unit, purse):
        return LineServed()
    line = waiting_people(unit)
    effect = _effect(unit, purse, line)
    if not lets_through(unit, len(moving := _moved_on(effect))):
        hold_people(unit, moving, HeldEffect.PROMOTE)
        line = _stand_alone(line, effect)
        purse = open_purse(unit, priced_at=priced_at)
        effect = _effect(unit, purse, line)
    done, refused = _spend(unit, purse)
    if refused:
        effect = _effect(unit, purse.limited_to({key: len(one.members) for key, one in done.items()}), line)
    if done:
        settle_many(unit, effect, read_placement(unit), Occasion.PROMOTION, purchases=_by_member(done.values()))
    _tell_owners(unit, purse, refused)
    if not done:
        return LineServed(refusals=tuple(refused.values()))
    return LineServed(
        moved=tuple(MemberId(move.member_id) for move in effect.moves),  # type: ignore[arg-type] # the store's ids
        invoices=tuple(one.invoice for one in done.values() if one.invoice),
        uses=tuple(one.use for one in done.values()),
        refusals=tuple(refused.values()),
    )


def expected_purchases(unit: Unit, purse: BudgetPurse | None = None) -> tuple[MovesPreview, tuple[BudgetUse, ...]]:
    """Show what :func:`buy_for_line` would do now; nothing is written and nothing charged.

    Args:
        unit: The unit.
        purse: What budgets would have left; what they have now by default.
    """
    unit.session.flush()
    purse = purse or open_purse(unit)
    effect = _effect(unit, purse, waiting_people(unit))
    return effect, purse.uses()


def _has_left(budget: Budget, at: datetime) -> bool:
    return not budget.is_used_up and (budget.paused_until is None or budget.paused_until <= at)


def _wanted(unit: Unit) -> set[str]:
    """Return what people wait for: tiers, and ``any``."""
    rows = unit.session.scalars(
        select(Member.waiting_for).where(Member.org_id == unit.org_id, Member.waiting_for.is_not(None)).distinct()
    )
    return {tier for tier in rows if tier is not None}


def _is_told(unit: Unit, purse: BudgetPurse) -> bool:
    """Tell whether nothing can be bought and the owners know it already: then nobody in line has to be looked at."""
    if any(_has_left(budget, unit.at) for budget in purse.budgets.values()):
        return False
    wanted, told = _wanted(unit), {alert.tier for alert in _open_alerts(unit)}
    return bool(wanted) and bool(told) and wanted - {ANY} <= told


def _open_alerts(unit: Unit) -> Sequence[Alert]:
    return unit.session.scalars(
        select(Alert).where(
            Alert.org_id == unit.org_id,
            Alert.code.in_([USED_UP, MISSING, DECLINED, REFUSED]),
            Alert.resolved_at.is_(None),
        )
    ).all()


def _effect(unit: Unit, purse: BudgetPurse, line: Iterable[Person]) -> MovesPreview:
    placement = read_placement(unit)
    pools = {pool.tier: Pool(pool.total, pool.used) for pool in read_pools(unit)}
    return moves_under_budget(line, placement.mapping_set, placement.ladder, pools, purse)


def _moved_on(effect: MovesPreview) -> list[MemberId]:
    """Return who would leave their tier for a seat that somebody else leaves for a bought one.

    Who leaves theirs for a bought one was counted when a directory put them in line.
    """
    moves = (move for move in effect.moves if move.from_tier is not None and move.reason is not SeatReason.BOUGHT)
    return [member_id_of(move.member_id) for move in moves]


def _stand_alone(line: Iterable[Person], effect: MovesPreview) -> list[Person]:
    """Return whom in line a purchase serves without anybody moving on: who is bought a seat, and who has none."""
    bought = {move.member_id for move in effect.moves if move.reason is SeatReason.BOUGHT}
    return [person for person in line if person.holding.tier is None or person.member_id in bought]


def _spend(unit: Unit, purse: BudgetPurse) -> tuple[dict[BudgetKey, _Bought], dict[BudgetKey, BridgeError]]:
    """Charge what was taken from each budget; one that cannot be paid leaves the others as they are."""
    done: dict[BudgetKey, _Bought] = {}
    refused: dict[BudgetKey, BridgeError] = {}
    for key, members in purse.taken.items():
        if not members:
            continue
        budget = purse.budgets[key]
        number = 1 + (
            unit.session.scalar(select(func.max(BudgetPurchase.number)).where(BudgetPurchase.org_id == unit.org_id))
            or 0
        )
        try:
            with unit.savepoint():
                done[key] = _buy(unit, purse, key, number)
        except BridgeError as refusal:
            refused[key] = refusal
            unit.session.execute(
                update(SeatBudget)
                .where(
                    SeatBudget.org_id == unit.org_id,
                    SeatBudget.tier == budget.tier,
                    SeatBudget.cost_centre_key == key[1],
                )
                .values(declined_at=unit.at, refused_for=refusal.code)
                .execution_options(synchronize_session=False)
            )
            record(
                unit,
                "budget.payment_declined" if isinstance(refusal, PaymentFailedError) else "budget.purchase_refused",
                subject_kind="budget",
                subject_id=budget.name,
                reason=refusal.code,
                body={"seats": len(members)},
                touches_seats=False,
            )
    return done, refused


def _buy(unit: Unit, purse: BudgetPurse, key: BudgetKey, number: int) -> _Bought:
    """Buy what was taken from a budget; the number of the purchase is the business fact that is charged once."""
    budget, members = purse.budgets[key], tuple(purse.taken[key])
    quote, use = purse.quote_next(key)
    invoice = execute_change(unit, quote, key=f"budget:{number}")
    invoice_id = uuid.UUID(invoice.id) if invoice else None
    unit.session.add(
        BudgetPurchase(
            org_id=unit.org_id,
            number=number,
            at=unit.at,
            tier=budget.tier,
            cost_centre_key=key[1],
            seats=len(members),
            amount=use.amount,
            full_amount=use.full_amount,
            invoice_id=invoice_id,
        )
    )
    record(
        unit,
        "budget.used",
        subject_kind="budget",
        subject_id=budget.name,
        reason="buy_up_to",
        body={**use.facts, "invoice": invoice.id if invoice else None, "for": [str(each) for each in members]},
    )
    return _Bought(use, members, invoice)


def _by_member(purchases: Iterable[_Bought]) -> dict[MemberId, SeatPurchase]:
    return {member_id: SeatPurchase(one.invoice_id, one.use.facts) for one in purchases for member_id in one.members}


def _tell_owners(unit: Unit, purse: BudgetPurse, refused: Mapping[BudgetKey, BridgeError]) -> None:
    """Raise an alert for each tier whose budget lets somebody wait, and settle those that are no longer so."""
    names = {pool.tier: pool.name for pool in read_pools(unit)}
    open_now: set[tuple[str, str]] = set()

    def tell(code: str, tier: str, detail: str | None = None) -> None:
        if (code, tier) not in open_now:
            open_now.add((code, tier))
            raise_alert(unit, code, tier=tier, detail=detail)

    for tier in sorted(purse.missing):
        tell(MISSING, tier, None if tier == ANY else f"{_no_budget(names[tier])}: people wait in line")
    for key in sorted(purse.short | refused.keys()):
        budget = purse.budgets[key]
        paused = budget.paused_until is not None and unit.at < budget.paused_until
        refusal = refused.get(key)
        if refusal is None and not paused:
            tell(USED_UP, budget.tier, f"{_used_up(names[budget.tier], budget)}: people wait in line")
        elif (refusal.code if refusal else budget.refused_for or PaymentFailedError.code) == PaymentFailedError.code:
            tell(DECLINED, budget.tier)
        else:
            why = f"No {names[budget.tier]} seat was bought within a budget: {refusal}" if refusal else None
            tell(REFUSED, budget.tier, why)
    unit.session.flush()
    for alert in _open_alerts(unit):
        if (alert.code, alert.tier) not in open_now:
            alert.resolved_at = unit.at
    unit.session.flush()


def _no_budget(name: str) -> str:
    return f"The rules buy {name} seats when every one is taken, but there is no budget for them"


def _used_up(name: str, budget: Budget) -> str:
    whose = f" of the cost centre {budget.cost_centre}" if budget.cost_centre else ""
    return f"The budget{whose} for {name} seats does not reach for another one before {budget.end:%Y-%m-%d}"
