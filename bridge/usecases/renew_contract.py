"""A period's end: the next one is billed in advance, or the plan ends; and the terms that count from there."""

from dataclasses import replace

from sqlalchemy import or_, select
from sqlalchemy.exc import DataError, IntegrityError

from bridge.domain.actors import SYSTEM
from bridge.domain.plan_kinds import BUILTIN, EVALUATION, REMOTE
from bridge.domain.roles import Permission
from bridge.errors import BridgeError, InvalidChangeError, InvalidInputError, PlanEndedError, UnavailableError
from bridge.ports import Renewal
from bridge.store.agreed import (
    AgreedKind,
    AgreedState,
    agreed_change,
    is_followed,
    plan_of,
    refuse_in_evaluation,
    settle_agreed,
)
from bridge.store.journal import record
from bridge.store.models import AgreedChange, AuditEntry, Contract, LicencePlan, Member, SeatPool
from bridge.store.pools import pools_snapshot, read_pools, set_allocation
from bridge.store.teams import find_licence_plan
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery, raise_alert, resolve_alerts
from bridge.usecases.assign_seats import promote_waiting
from bridge.usecases.begin_plan import begin_plan
from bridge.usecases.budgets import BUDGETS_ENDED, end_budgets
from bridge.usecases.organizations import MAX_PRICE
from bridge.usecases.release_seats import release_seats
from bridge.usecases.tier_review import settle_tier_review, users_body
from mappings.reasons import SeatReason

_EVALUATION_ENDED = "The evaluation has ended without a plan: nobody holds a seat, all data stays"
_NO_SEATS_ENDED = "The plan has ended without a renewal: nothing counts or is charged any more, all data stays"
_NOT_CLOSED = "The plan, whose last period cannot be closed,"
_TRY_AGAIN_SECONDS = 300
#: What a boundary dies of that will not be better by itself.
BOUNDARY_FAILURES = (ArithmeticError, BridgeError, DataError, IntegrityError, LookupError, RuntimeError, ValueError)
#: More than anybody grants, and far from what the column holds.
MAX_MINOR_UNITS = 10**15


def pass_boundaries(unit: Unit) -> None:
    """Pass every boundary that the unit's instant has reached, before anything else is written (rule R6).

    Each writing unit does this when it takes the lock, so that the seats in use are counted as they were at the
    boundary (rule R7) and no purchase is prorated in a period that is over, however late a worker comes. The
    boundaries of a plan that a core of its own bills come from there.

    Raises:
        UnavailableError: One cannot be passed. Nothing is written in a period that is over; what a directory pushes, it
            sends again later, rather than reading that something is wrong with it.
    """
    due = select(Contract.org_id).where(
        Contract.org_id == unit.org_id,
        Contract.status == "active",
        Contract.billed_by == BUILTIN,
        Contract.period_end <= unit.at,
    )
    while unit.session.scalar(due) is not None:
        try:
            renew_contract(unit)
        except BOUNDARY_FAILURES as failure:
            raise UnavailableError(_NOT_CLOSED, retry_after_seconds=_TRY_AGAIN_SECONDS) from failure


def tell_of_failed_boundary(unit: Unit) -> None:
    """Have the owners know that their plan's boundary cannot be passed, until it has been."""
    unit.lock(settle=False)
    raise_alert(unit, "boundary_failed")


def renew_contract(unit: Unit) -> Renewal | None:
    """Pass the contract's next boundary if the unit's instant has reached it.

    The period that begins is billed and its invoice sent. Without auto-renewal the plan ends instead, and so does an
    evaluation: the plan that was agreed to follow begins; where none was, members become unassigned, their data stays
    and purchases are refused from then on. A declined payment raises an alert
    and holds nothing up.

    Returns:
        What happened; None when no boundary is due. Call it again: several may be.

    Source: rules R1 to R7, B1 and B2.
    """
    unit.lock(settle=False)
    system = replace(unit, actor=SYSTEM)
    renewal = system.billing.renew()
    if renewal is None:
        return None
    resolve_alerts(system, "boundary_failed")
    resolve_alerts(system, BUDGETS_ENDED)
    invoice = renewal.invoice
    if invoice is not None:
        queue_delivery(system, "invoice_mail", key=f"invoice:{invoice.id}", subject_id=invoice.id)
    if renewal.ended:
        successor = agreed_change(system, AgreedKind.SUCCESSOR)
        if successor is None:
            end_plan(system, renewal)
        else:
            follow(system, renewal, successor)
        return renewal
    budgets = end_budgets(system) if renewal.applied else []
    record(
        system,
        "contract.renewed",
        subject_kind="contract",
        subject_id=system.org_id,
        reason=renewal.reason,
        body={
            "boundary": renewal.at.isoformat(),
            "seats": {tier: count.next for tier, count in renewal.seats.items()},
            "invoice": invoice.id if invoice else None,
            "total": invoice.total if invoice else 0,
            **({"change": renewal.applied} if renewal.applied else {}),
            **({"budgets_dropped": budgets} if budgets else {}),
            **users_body(system),
        },
    )
    if renewal.payment_declined:
        raise_alert(system, "renewal_payment_declined")
    if renewal.new_term:
        settle_tier_review(system)
    promote_waiting(system, list(renewal.seats))
    system.session.flush()
    return renewal


def follow(unit: Unit, renewal: Renewal, successor: AgreedChange) -> None:
    """Begin the plan that was agreed to follow, at the very instant at which the one before has ended (rules B1, B2).

    A declined payment raises an alert and holds nothing up, as at every boundary.
    """
    note_end(unit, renewal, reason="successor")
    settle_agreed(unit, AgreedState.APPLIED)
    plan = plan_of(successor.terms, renewal.at)
    begin_plan(unit, plan, reason="agreed", insist=False, change=str(successor.id))
    unit.session.flush()


def end_plan(unit: Unit, renewal: Renewal) -> None:
    """Take every seat, place in line and pin, in sets; nobody is removed, and purchases are refused (rule R5)."""
    unit.session.flush()
    settle_agreed(unit, AgreedState.LAPSED)
    entry = note_end(unit, renewal)
    everybody = or_(Member.tier.is_not(None), Member.waiting_for.is_not(None), Member.pinned)
    none = {tier: {"total": 0, "used": 0} for tier in pools_snapshot(unit)}
    release_seats(unit, everybody, entry, SeatReason.PLAN_ENDED, none)
    set_allocation(unit, renewal.seats)
    unit.session.expire_all()
    raise_alert(unit, "plan_ended", detail=_what_ended(unit, by_seats=bool(none)))
    unit.session.flush()


def note_end(unit: Unit, renewal: Renewal, *, reason: str = "plan_ended") -> AuditEntry:
    """Write down that the plan has ended, with the last invoice of one that bills what was in use."""
    entry = record(
        unit,
        "plan.ended",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason=reason,
        body={"boundary": renewal.at.isoformat(), **_last_bill(renewal)},
    )
    unit.session.flush()
    return entry


def _what_ended(unit: Unit, *, by_seats: bool) -> str | None:
    """Say what has ended; None for the usual sentence."""
    if unit.session.get_one(Contract, unit.org_id).kind == EVALUATION:
        return _EVALUATION_ENDED
    return None if by_seats else _NO_SEATS_ENDED


def _last_bill(renewal: Renewal) -> dict[str, object]:
    """Name the invoice of a plan that bills what was in use, when it ends."""
    if renewal.invoice is None:
        return {}
    return {"invoice": renewal.invoice.id, "total": renewal.invoice.total}


def _refuse_for_remote(unit: Unit) -> None:
    """Refuse to change terms that a billing core of its own decides.

    Raises:
        InvalidChangeError: It does.
    """
    if unit.session.get_one(Contract, unit.org_id, populate_existing=True).billed_by == REMOTE:
        raise InvalidChangeError("prices, credits and renewal of this plan are set in its billing core")


def set_price(unit: Unit, tier: str, price: int) -> None:
    """Set the price that a seat of a tier, or a licence, has from the next renewal on (rule R4).

    For the operator: no page and no API of a customer offers it.

    Args:
        unit: The unit.
        tier: Which tier; for licences their kind, ``team_licence`` or ``user_licence``.
        price: Minor units for one seat or licence and period.

    Raises:
        ForbiddenError: The actor may not change the plan.
        InvalidInputError: There is no such tier, or the price is negative, or a slip.
        InvalidChangeError: A billing core of its own decides it.
        InEvaluationError: Nothing costs anything yet.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    _refuse_for_remote(unit)
    refuse_in_evaluation(unit.session.get_one(Contract, unit.org_id))
    licences = find_licence_plan(unit)
    pools: dict[str, SeatPool | LicencePlan] = {pool.tier: pool for pool in read_pools(unit)}
    if licences is not None:
        pools[licences.kind] = licences
    if tier not in pools:
        raise InvalidInputError("tier", f"there is no tier {tier!r}; there is {', '.join(pools)}")
    if not 0 <= price <= MAX_PRICE:
        raise InvalidInputError("price", f"must be 0 to {MAX_PRICE:,} minor units")
    before = pools[tier].next_price
    pools[tier].next_price = price
    record(
        unit,
        "contract.price_changed",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="price",
        body={"tier": tier, "from": before, "to": price},
    )


def set_auto_renew(unit: Unit, *, value: bool) -> None:
    """Say whether the plan renews by itself at its next boundary, or ends there (rule R5).

    Raises:
        ForbiddenError: The actor may not change the plan.
        PlanEndedError: It has ended already.
        InvalidChangeError: A billing core of its own decides it, or another plan is agreed to follow.
        InEvaluationError: It ends with its date.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    _refuse_for_remote(unit)
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    if contract.status != "active":
        raise PlanEndedError
    refuse_in_evaluation(contract)
    if is_followed(unit):
        raise InvalidChangeError("another plan is agreed to follow this one: cancel that first")
    if contract.auto_renew == value:
        return
    contract.auto_renew = value
    record(
        unit,
        "contract.auto_renew_changed",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="auto_renew",
        body={"to": value},
    )


def grant_credit(unit: Unit, amount: int) -> int:
    """Put a credit on the account, to be used before money and never paid out (rules C2 and C3).

    For the operator: no page and no API of a customer offers it.

    Args:
        unit: The unit.
        amount: Minor units of the contract's currency, above 0.

    Returns:
        The balance afterwards.

    Raises:
        ForbiddenError: The actor may not change the plan.
        InvalidInputError: The amount is not above 0.
        InvalidChangeError: A billing core of its own decides it.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    _refuse_for_remote(unit)
    if not 0 < amount <= MAX_MINOR_UNITS:
        raise InvalidInputError("amount", f"must be 1 to {MAX_MINOR_UNITS} minor units")
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    contract.credit_balance += amount
    record(
        unit,
        "contract.credit_granted",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="credit",
        body={"amount": amount, "balance": contract.credit_balance},
    )
    return contract.credit_balance
