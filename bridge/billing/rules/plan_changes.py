"""Another plan sold by seats, from the next period on (rule B1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.billing.rules.bills import BillReason
from bridge.billing.rules.contracts import ContractState, ContractStatus, ContractTerms, SeatCount
from bridge.billing.rules.money import format_money
from bridge.billing.rules.periods import Renewal, check_tiers, period_bill
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.wording import counted, local_day


@dataclass(frozen=True, slots=True)
class NewPlan:
    """What counts from the boundary on.

    Attributes:
        terms: Its anchor is the end of the present period.
        prices: Minor units for one seat and period of the new plan, for each tier.
        seats: Seats it begins with; a tier that is missing has as many as this period leaves.
    """

    terms: ContractTerms
    prices: Mapping[str, int]
    seats: Mapping[str, int]


def change_plan(state: ContractState, new: NewPlan, in_use: Mapping[str, int]) -> Renewal:
    """End the present period and begin another plan: its first period is billed in advance.

    Nobody loses a seat by it: of each tier at least the seats in use are billed.

    Args:
        state: The plan in the period that ends.
        new: What was agreed.
        in_use: Seats assigned to an active member at the boundary.

    Raises:
        RuleRefusal: ``plan_ended``; ``invalid_change`` when the tiers are others, a price is missing, a number is
            negative, or the plan does not go on.
        ValueError: The new plan begins at another instant.

    Source: rules B1, P1, R6.
    """
    if state.status is ContractStatus.ENDED:
        raise RuleRefusal(RefusalCode.PLAN_ENDED)
    boundary = state.term.end
    if new.terms.anchor != boundary:
        raise ValueError(f"the new plan begins at {new.terms.anchor}, and the period ends at {boundary}")
    day = local_day(boundary, state.terms.time_zone)
    if not state.terms.auto_renew:
        problem = f"the plan ends on {day} and does not renew by itself: no period follows"
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=problem)
    check_tiers(state.terms, [*new.seats, *new.prices])
    if min([0, *new.seats.values(), *new.prices.values()]) < 0:
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem="seats and prices cannot be negative")
    seats = {key: max(new.seats.get(key, count.next), in_use.get(key, 0)) for key, count in state.seats.items()}
    bill = period_bill(BillReason.RENEWAL, new.terms, 0, seats, new.prices, credit_balance=state.credit_balance)
    next_state = ContractState(
        terms=new.terms,
        period_index=0,
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
    end = local_day(terms.term(0).end, terms.time_zone)
    told = [
        "Nothing is charged now: this period stays as it is.",
        f"From {day} the plan is {terms.kind} by the {terms.cycle}; its first period ends on {end}.",
    ]
    for tier in terms.tiers:
        seats, used = after.next_state.seats[tier.key].next, in_use.get(tier.key, 0)
        price = format_money(after.next_state.prices.get(tier.key, 0), terms.currency)
        told.append(f"{counted(seats, f'{tier.name} seat')} at {price} a {terms.cycle}, {used:,} in use today.")
    told.append("Nobody loses a seat: of each tier at least the seats in use that day are billed.")
    told.append(f"It can be cancelled until {day}.")
    return tuple(told)
