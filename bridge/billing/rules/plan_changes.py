"""Another plan sold by seats, from the next period on (rule B1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bridge.billing.rules.bills import BillReason
from bridge.billing.rules.contracts import ContractState, ContractStatus, ContractTerms, RenewalBasis, SeatCount
from bridge.billing.rules.money import format_money
from bridge.billing.rules.periods import Renewal, check_tiers, period_bill
from bridge.billing.rules.proration import ProrationMethod
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.terms import Cycle, index_at, term_at
from bridge.billing.rules.wording import counted, local_day

_BASES: Final[Mapping[RenewalBasis, str]] = {
    RenewalBasis.ALLOCATED: "the seats allocated",
    RenewalBasis.IN_USE: "the seats in use",
}
_METHODS: Final[Mapping[ProrationMethod, str]] = {
    ProrationMethod.SECOND: "to the second",
    ProrationMethod.DAY: "by days",
    ProrationMethod.MONTH_DAY: "by months and days",
    ProrationMethod.MONTH: "by months, a started one whole",
}


@dataclass(frozen=True, slots=True)
class NewPlan:
    """What counts from the boundary on.

    Attributes:
        terms: One of its periods begins where the present one ends (:func:`counted_from`).
        prices: Minor units for one seat and period of the new plan, for each tier.
        seats: Seats it begins with; a tier that is missing has as many as this period leaves.
    """

    terms: ContractTerms
    prices: Mapping[str, int]
    seats: Mapping[str, int]


def counted_from(anchor: datetime, time_zone: str, cycle: Cycle, boundary: datetime) -> datetime:
    """Return where the periods of another plan are counted from: as long as it fits, still the original start.

    A plan of 31 January that becomes another one on 28 February goes on with 31 March. Months that become years begin
    anew at the boundary, unless whole years have passed.

    Args:
        anchor: Start of the present plan.
        time_zone: IANA name of the account's zone.
        cycle: Of the new plan.
        boundary: The end of the present period, where it begins.

    Source: rule R2.
    """
    return (
        anchor
        if term_at(anchor, time_zone, cycle, index_at(anchor, time_zone, cycle, boundary)).start == boundary
        else boundary
    )


def change_plan(state: ContractState, new: NewPlan, in_use: Mapping[str, int]) -> Renewal:
    """End the present period and begin another plan: its first period is billed in advance.

    Nobody loses a seat by it: of each tier at least the seats in use are billed, and the new contract's minimum.

    Args:
        state: The plan in the period that ends.
        new: What was agreed.
        in_use: Seats assigned to an active member at the boundary.

    Raises:
        RuleRefusal: ``plan_ended``; ``invalid_change`` when the tiers are others, a price is missing, a number is
            negative, or the plan does not go on.
        ValueError: No period of the new plan begins there.

    Source: rules B1, P1, R6.
    """
    if state.status is ContractStatus.ENDED:
        raise RuleRefusal(RefusalCode.PLAN_ENDED)
    boundary = state.term.end
    index = new.terms.index_at(boundary)
    if new.terms.term(index).start != boundary:
        raise ValueError(
            f"the period ends at {boundary}, and none of the new plan from {new.terms.anchor} begins there"
        )
    day = local_day(boundary, state.terms.time_zone)
    if not state.terms.auto_renew:
        problem = f"the plan ends on {day} and does not renew by itself: no period follows"
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=problem)
    check_tiers(state.terms, [*new.seats, *new.prices])
    if min([0, *new.seats.values(), *new.prices.values()]) < 0:
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem="seats and prices cannot be negative")
    minimum = new.terms.contract_minimum
    seats = {
        key: max(new.seats.get(key, count.next), in_use.get(key, 0), minimum.get(key, 0))
        for key, count in state.seats.items()
    }
    bill = period_bill(BillReason.RENEWAL, new.terms, index, seats, new.prices, credit_balance=state.credit_balance)
    next_state = ContractState(
        terms=new.terms,
        period_index=index,
        status=ContractStatus.ACTIVE,
        seats={key: SeatCount(count, count) for key, count in seats.items()},
        prices=dict(new.prices),
        next_prices={},
        credit_balance=state.credit_balance + (bill.balance_change if bill else 0),
    )
    return Renewal(bill, next_state, ended=False, sentence=f"Another plan since {day}.")


def sentences(state: ContractState, after: Renewal, in_use: Mapping[str, int]) -> tuple[str, ...]:
    """Say what a change of the plan does, one sentence for each effect."""
    terms, plan = after.next_state.terms, state.terms
    day = local_day(state.term.end, plan.time_zone)
    end = local_day(after.next_state.term.end, terms.time_zone)
    told = [
        "Nothing is charged now: this period stays as it is.",
        f"From {day} the plan is {terms.kind} by the {terms.cycle}; its first period ends on {end}.",
    ]
    for tier in terms.tiers:
        seats, used = after.next_state.seats[tier.key].next, in_use.get(tier.key, 0)
        price = format_money(after.next_state.prices.get(tier.key, 0), terms.currency)
        told.append(f"{counted(seats, f'{tier.name} seat')} at {price} a {terms.cycle}, {used:,} in use today.")
    told += _terms_told(plan, terms)
    told.append("Nobody loses a seat: of each tier at least the seats in use that day are billed.")
    told.append(f"It can be cancelled until {day}.")
    return tuple(told)


def _terms_told(plan: ContractTerms, terms: ContractTerms) -> Iterator[str]:
    """Say what of the agreed terms stays that bills something by itself, and everything that does not stay."""
    for tier in terms.tiers:
        minimum = terms.contract_minimum.get(tier.key, 0)
        ends = plan.contract_minimum.get(tier.key, 0)
        if minimum:
            yield f"A renewal still bills at least {counted(minimum, f'{tier.name} seat')}, as agreed."
        elif ends:
            yield f"The agreed minimum of {counted(ends, f'{tier.name} seat')} ends with the present plan."
    if plan.minimum_seats > terms.minimum_seats:
        yield f"That a reduction leaves at least {counted(plan.minimum_seats, 'seat')} ends with the present plan."
    if terms.reduction is not plan.reduction:
        yield "Seats shed within a period are credited at once in the present plan; that ends with it."
    if terms.renewal_basis is not plan.renewal_basis:
        was, now = _BASES[plan.renewal_basis], _BASES[terms.renewal_basis]
        yield f"Its renewals bill {now}; those of the present plan bill {was}."
    if terms.proration is not plan.proration:
        yield (
            f"Seats bought within a period are prorated {_METHODS[terms.proration]}; "
            f"in the present plan {_METHODS[plan.proration]}."
        )
