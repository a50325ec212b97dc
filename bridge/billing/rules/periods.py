"""Periods: the first one, the next one, and what the next one would cost (rules P1 and R1 to R7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bridge.billing.rules.bills import Bill, BillReason, LineKind, make_bill, seat_line
from bridge.billing.rules.contracts import (
    ContractState,
    ContractStatus,
    ContractTerms,
    RenewalBasis,
    SeatCount,
)
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.wording import counted, local_day


@dataclass(frozen=True, slots=True)
class Renewal:
    """What happens at the end of a period.

    Attributes:
        bill: None when the plan ends or no seat is billed.
        next_state: The plan in its next period, or ended.
        ended: The plan has ended: its members become unassigned (rule R5).
        sentence: Why.
    """

    bill: Bill | None
    next_state: ContractState
    ended: bool
    sentence: str


def start(
    terms: ContractTerms, seats: Mapping[str, int], prices: Mapping[str, int], credit_balance: int = 0
) -> Bill | None:
    """Bill the first period in advance: for each tier quantity × price; None without a seat.

    :meth:`ContractState.opening` is the state that belongs to it.

    Raises:
        RuleRefusal: ``invalid_change`` for seats of an unknown tier, below zero, or without a price.

    Source: rule P1.
    """
    check_tiers(terms, seats)
    for key, count in seats.items():
        if count < 0:
            raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=f"{key} seats cannot be {count}")
    return period_bill(BillReason.START, terms, 0, seats, prices, credit_balance=credit_balance)


def renew(state: ContractState, in_use: Mapping[str, int]) -> Renewal:
    """End the present period: bill the next one in advance, or end the plan.

    Bills the next period's allocation (R1) or the seats in use (R7), never under the contract's minimum, at
    the prices agreed for it (R4). What is billed becomes the allocation; with nothing to bill the plan goes
    on without an invoice.

    Args:
        state: The plan in the period that ends.
        in_use: Seats assigned to an active member at the boundary, before any other change of that instant
            (R6).

    Raises:
        RuleRefusal: ``plan_ended``.

    Source: rules R1 to R7.
    """
    if state.status is ContractStatus.ENDED:
        raise RuleRefusal(RefusalCode.PLAN_ENDED)
    terms, boundary = state.terms, state.term.end
    day = local_day(boundary, terms.time_zone)
    if not terms.auto_renew:
        ended = replace(state, status=ContractStatus.ENDED, seats={})
        return Renewal(None, ended, ended=True, sentence=f"The plan ended on {day}: no auto-renewal.")
    seats, prices = _renewed_seats(state, in_use), state.renewal_prices
    index = state.period_index + 1
    bill = period_bill(BillReason.RENEWAL, terms, index, seats, prices, credit_balance=state.credit_balance)
    next_state = replace(
        state,
        period_index=index,
        seats={key: SeatCount(count, count) for key, count in seats.items()},
        prices=prices,
        next_prices={},
        credit_balance=state.credit_balance + (bill.balance_change if bill else 0),
    )
    basis = "the seats in use" if terms.renewal_basis is RenewalBasis.IN_USE else "the seats allocated"
    what = ", ".join(counted(seats[tier.key], f"{tier.name} seat") for tier in terms.tiers if seats[tier.key])
    sentence = f"Renewed on {day} with {basis}: {what or 'none'}."
    return Renewal(bill, next_state, ended=False, sentence=sentence)


def renewal_subtotal(state: ContractState, in_use: Mapping[str, int]) -> int:
    """Return what the next renewal bills before tax if nothing else changes; 0 for a plan that ends.

    Source: rules R1, R4, R5 and R7.
    """
    if state.status is ContractStatus.ENDED or not state.terms.auto_renew:
        return 0
    prices = state.renewal_prices
    return sum(count * agreed_price(prices, key) for key, count in _renewed_seats(state, in_use).items() if count)


def check_tiers(terms: ContractTerms, keys: Iterable[str]) -> None:
    """Refuse a tier that the plan does not have.

    Raises:
        RuleRefusal: ``invalid_change``.
    """
    known = {tier.key for tier in terms.tiers}
    for key in keys:
        if key not in known:
            raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=f"the plan has no tier {key}")


def agreed_price(prices: Mapping[str, int], key: str) -> int:
    """Return the price of a tier in minor units for one seat and period.

    Raises:
        RuleRefusal: ``invalid_change`` when none is agreed.
    """
    if key not in prices:
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=f"no price is agreed for {key} seats")
    return prices[key]


def _renewed_seats(state: ContractState, in_use: Mapping[str, int]) -> dict[str, int]:
    terms = state.terms
    by_use = terms.renewal_basis is RenewalBasis.IN_USE
    return {
        key: max(in_use.get(key, 0) if by_use else seats.next, terms.contract_minimum.get(key, 0))
        for key, seats in state.seats.items()
    }


def period_bill(
    reason: BillReason,
    terms: ContractTerms,
    index: int,
    seats: Mapping[str, int],
    prices: Mapping[str, int],
    *,
    credit_balance: int,
) -> Bill | None:
    """Bill one period in advance: for each tier quantity × price (rule P1); None without a seat."""
    term = terms.term(index)
    lines = [
        seat_line(
            LineKind.SEAT,
            tier.key,
            seats[tier.key],
            agreed_price(prices, tier.key),
            term=term,
            currency=terms.currency,
        )
        for tier in terms.tiers
        if seats.get(tier.key)
    ]
    if not lines:
        return None
    return make_bill(reason, lines, currency=terms.currency, tax_rate=terms.tax_rate, credit_balance=credit_balance)
