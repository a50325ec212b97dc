"""Evaluations: how long one goes on, with how many seats, what follows, and its end (rule B2).

For the operator, but for reading: no page and no API of a customer changes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bridge.domain.plan_kinds import EVALUATION
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, InvalidInputError, PlanEndedError, SeatsInUseError
from bridge.ports import Bill, SeatCount
from bridge.store.agreed import AgreedKind, agreed_change, is_followed
from bridge.store.journal import record
from bridge.store.models import Contract, SeatPool
from bridge.store.pools import read_pools, set_allocation
from bridge.store.teams import find_licence_plan
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import promote_waiting
from bridge.usecases.organizations import LONGEST_EVALUATION, MAX_SEATS
from bridge.usecases.renew_contract import end_plan

SEATS, ROLES = "seats", "roles"


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """An evaluation that goes on.

    Attributes:
        until: When it ends.
        days_left: Days until then, one that has begun counted whole.
        tries: What is tried: ``seats``, ``roles``, ``team_licence`` or ``user_licence``.
        follows: Kind of the plan that begins then; None: members become unassigned.
        first_bill: What that plan bills then; None where nothing is billed, or for who may not see money.
        time_zone: In which the day is told.
    """

    until: datetime
    days_left: int
    tries: str
    follows: str | None
    first_bill: Bill | None
    time_zone: str

    @property
    def sentence(self) -> str:
        """Say how long it goes on and what comes then, without a full stop."""
        local = self.until.astimezone(ZoneInfo(self.time_zone))
        left = "1 day left" if self.days_left == 1 else f"{self.days_left:,} days left"
        then = "members have no seat and all data stays"
        if self.follows is not None:
            then = f"the {self.follows.replace('_', ' ')} plan begins by itself"
        return f"In evaluation until {local.day} {local:%b %Y, %H:%M}, {left}; then {then}"


def read_evaluation(unit: Unit) -> EvaluationView | None:
    """Return the evaluation the organization is in; None when it is in none, or its end is reached.

    What follows begins with the next thing that is written (:meth:`bridge.store.unit.Unit.lock`).

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    if contract.kind != EVALUATION or contract.status != "active" or contract.period_end <= unit.at:
        return None
    licences, agreed = find_licence_plan(unit), agreed_change(unit, AgreedKind.SUCCESSOR)
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    return EvaluationView(
        until=contract.period_end,
        days_left=-((unit.at - contract.period_end) // timedelta(days=1)),
        tries=licences.kind if licences else SEATS if read_pools(unit) else ROLES,
        follows=None if agreed is None else str(agreed.terms["kind"]),
        first_bill=unit.billing.next_renewal() if sees_money else None,
        time_zone=contract.time_zone,
    )


def change_evaluation(unit: Unit, *, until: datetime | None = None, seats: Mapping[str, int] | None = None) -> None:
    """Give an evaluation another end, or other numbers of seats; who waits is served at once.

    The plan that is agreed to follow begins at the new end.

    Raises:
        ForbiddenError: The actor may not change the plan (rule Z1).
        InvalidChangeError: The organization is in no evaluation, or nothing is changed.
        InvalidInputError: The end is past or too far ahead, or there is no such tier or number of seats.
        PlanEndedError: The evaluation has ended (rule R5).
        SeatsInUseError: Fewer seats than people hold (rule D3).
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    contract = _running(unit)
    pools = {pool.tier: pool for pool in read_pools(unit)}
    wanted = {tier: number for tier, number in sorted((seats or {}).items()) if number != _total(pools, tier, number)}
    end = contract.period_end if until is None else until.replace(microsecond=0)
    if end == contract.period_end and not wanted:
        raise InvalidChangeError("nothing of the evaluation is changed")
    if end != contract.period_end and not unit.at < end <= unit.at + LONGEST_EVALUATION:
        raise InvalidInputError("until", f"must be to come, and at most {LONGEST_EVALUATION.days} days ahead")
    for tier, number in wanted.items():
        if not pools[tier].used <= number:
            raise SeatsInUseError(tier=tier, used=pools[tier].used, requested=number)
    record(
        unit,
        "evaluation.changed",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="operator",
        body={
            "until": [contract.period_end.isoformat(), end.isoformat()],
            "seats": wanted,
            "seats_before": {tier: pools[tier].total for tier in wanted},
        },
    )
    contract.period_end = end
    agreed = agreed_change(unit, AgreedKind.SUCCESSOR)
    if agreed is not None:
        agreed.effective_at = end
    unit.session.flush()
    set_allocation(unit, {tier: SeatCount(paid=number, next=number) for tier, number in wanted.items()})
    promote_waiting(unit, [tier for tier, number in wanted.items() if number > pools[tier].used])


def end_evaluation(unit: Unit) -> None:
    """End an evaluation now, with no plan to follow: members become unassigned, data stays (rules B2 and R5).

    Raises:
        ForbiddenError: The actor may not change the plan (rule Z1).
        InvalidChangeError: The organization is in no evaluation, or a plan is agreed to follow.
        PlanEndedError: It has ended already.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    contract = _running(unit)
    if is_followed(unit):
        raise InvalidChangeError("a plan is agreed to follow the evaluation: convert to it, or cancel it first")
    contract.period_end = unit.at
    unit.session.flush()
    renewal = unit.billing.renew()
    if renewal is None:
        raise RuntimeError("an evaluation whose end is reached does not end")
    end_plan(unit, renewal)


def _running(unit: Unit) -> Contract:
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    if contract.kind != EVALUATION:
        raise InvalidChangeError(f"the organization is in no evaluation: it has a {contract.kind} plan")
    if contract.status != "active":
        raise PlanEndedError
    return contract


def _total(pools: Mapping[str, SeatPool], tier: str, number: int) -> int:
    pool = pools.get(tier)
    if pool is None:
        raise InvalidInputError("tier", f"there is no tier {tier!r}; there is {', '.join(pools) or 'none'}")
    if not 0 <= number <= MAX_SEATS:
        raise InvalidInputError("tier", f"an evaluation has 0 to {MAX_SEATS:,} seats of a tier")
    return pool.total
