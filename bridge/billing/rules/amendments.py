"""Amendments of a contract for a fixed annual fee: more at once, less from the next term on (rules U6 and U7)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.billing.rules.bills import Bill, BillReason, Line, LineKind
from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.fee_terms import FeeDeal, FeeState
from bridge.billing.rules.instalments import fee_bill, fee_line
from bridge.billing.rules.money import format_money, round_half_away
from bridge.billing.rules.proration import ProrationMethod, share
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.terms import Term, whole_second_utc
from bridge.billing.rules.wording import counted, local_day


@dataclass(frozen=True, slots=True)
class Amendment:
    """What an amendment is to change; None leaves as it is."""

    annual_fee: int | None = None
    tier: str | None = None
    paid_users: int | None = None


@dataclass(frozen=True, slots=True)
class AmendmentQuote:
    """What an amendment costs now, and from the next contract year on.

    Attributes:
        at: Instant it is prorated from, aware UTC, whole seconds; confirm with the same one (rule Q2).
        effective: When what is agreed counts: at once, or from the next term's beginning.
        bill: None when nothing is charged.
        next_state: The contract once the amendment is confirmed.
        fee_before: Minor units of a contract year, discount included, without it.
        fee_after: The same with it.
        sentences: What happens, one sentence for each effect.
    """

    at: datetime
    effective: datetime
    bill: Bill | None
    next_state: FeeState
    fee_before: int
    fee_after: int
    sentences: tuple[str, ...]


def amend(state: FeeState, wanted: Amendment, at: datetime) -> AmendmentQuote:
    """Change fee, tier or number of paid users during the term.

    A higher fee costs the difference for the rest of the contract year at once, counted by ``month_day``. Instalments
    of this year that are still to come stay as they are; later years cost the new fee. The discount counts for the new
    fee too. The same fee with another tier or number of users costs nothing.

    Args:
        state: The contract in the period that holds ``at``.
        wanted: What is to change.
        at: Aware instant of the change; parts of a second are dropped.

    Raises:
        RuleRefusal: ``plan_ended``; ``invalid_change`` when nothing changes or a value is not possible;
            ``reduction_not_allowed`` for a lower fee.
        ValueError: ``at`` is not in the state's period: the boundary comes first (R6).

    Source: rules U6, U7, P6 and X1.
    """
    if state.status is ContractStatus.ENDED:
        raise RuleRefusal(RefusalCode.PLAN_ENDED)
    terms, at = state.terms, whole_second_utc(at)
    if at not in state.period:
        raise ValueError(f"{at} is not in the period from {state.period.start} to {state.period.end}")
    deal = _amended(state.deal, wanted)
    before, after = state.deal.fee(terms), deal.fee(terms)
    if after < before or deal.annual_fee < state.deal.annual_fee:
        end = terms.whole_term(state.index).end
        raise RuleRefusal(RefusalCode.REDUCTION_NOT_ALLOWED, term_end=end, what="The fee cannot be lowered")
    line = _amendment_line(state, deal, at) if after > before else None
    bill = None if line is None else fee_bill(BillReason.AMENDMENT, line, state)
    balance = state.credit_balance + (bill.balance_change if bill else 0)
    return AmendmentQuote(
        at=at,
        effective=at,
        bill=bill,
        next_state=replace(state, deal=deal, credit_balance=balance),
        fee_before=before,
        fee_after=after,
        sentences=tuple(_amendment_sentences(state, deal, line)),
    )


def agree_ahead(state: FeeState, wanted: Amendment, at: datetime) -> AmendmentQuote:
    """Agree what counts from the next term on, a lower fee above all: nothing is charged before, or given back.

    Args:
        state: The contract in the period that holds ``at``; what was agreed ahead before is replaced.
        wanted: What is to change then.
        at: Aware instant of the agreement.

    Raises:
        RuleRefusal: ``plan_ended``; ``invalid_change`` when nothing changes, a value is not possible, or no term
            follows.

    Source: rule U7.
    """
    if state.status is ContractStatus.ENDED:
        raise RuleRefusal(RefusalCode.PLAN_ENDED)
    terms = state.terms
    begins = terms.whole_term(state.index).end
    day = local_day(begins, terms.time_zone)
    if not terms.auto_renew:
        problem = f"the contract ends on {day} and does not renew by itself: no term follows that it could count for"
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=problem)
    deal = _amended(state.deal, wanted)
    before, after = state.deal.fee(terms), deal.fee(terms)
    told = [f"Nothing is charged now. From the term that begins on {day} this counts:"]
    if after != before:
        money = (format_money(fee, terms.currency) for fee in (after, before))
        told.append("The fee is {} a contract year instead of {}.".format(*money))
    if (deal.tier, deal.paid_users) != (state.deal.tier, state.deal.paid_users):
        was = f"instead of {state.deal.tier} with {state.deal.paid_users:,}"
        told.append(f"The tier is {deal.tier} with {counted(deal.paid_users, 'paid user')}, {was}.")
    told.append(f"It can be cancelled until {day}.")
    return AmendmentQuote(
        at=whole_second_utc(at),
        effective=begins,
        bill=None,
        next_state=replace(state, next_deal=deal),
        fee_before=before,
        fee_after=after,
        sentences=tuple(told),
    )


def _amended(deal: FeeDeal, wanted: Amendment) -> FeeDeal:
    try:
        amended = FeeDeal(
            annual_fee=deal.annual_fee if wanted.annual_fee is None else wanted.annual_fee,
            tier=deal.tier if wanted.tier is None else wanted.tier,
            paid_users=deal.paid_users if wanted.paid_users is None else wanted.paid_users,
        )
    except ValueError as problem:
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=str(problem)) from problem
    if amended == deal:
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem="nothing of the contract is changed")
    return amended


def _amendment_line(state: FeeState, deal: FeeDeal, at: datetime) -> Line:
    """Charge the difference of the fees for the rest of the contract year."""
    terms = state.terms
    year = terms.year(terms.year_of(state.index))
    rest = share(year, at, ProrationMethod.MONTH_DAY, terms.time_zone, terms.anchor)
    before, after = state.deal.fee(terms), deal.fee(terms)
    money = (format_money(after, terms.currency), format_money(before, terms.currency))
    return fee_line(
        LineKind.CONTRACT_AMENDMENT,
        deal.tier,
        Term(at, year.end),
        unit_price=after - before,
        base=f"({money[0]} − {money[1]})",
        part=rest,
        amount=round_half_away((after - before) * rest.fraction),
        currency=terms.currency,
    )


def _amendment_sentences(state: FeeState, deal: FeeDeal, line: Line | None) -> Iterable[str]:
    terms, old = state.terms, state.deal
    fee = format_money(deal.fee(terms), terms.currency)
    if line is None:
        yield f"The fee stays {fee} a contract year: nothing is charged."
    else:
        before = format_money(old.fee(terms), terms.currency)
        yield f"The fee rises from {before} to {fee} a contract year."
        yield f"The difference is charged at once for {line.share.sentence}: {line.formula}."
        if state.index + 1 < (terms.year_of(state.index) + 1) * len(terms.cuts):
            yield "Instalments of this contract year that are still to come stay as they are."
    if (deal.tier, deal.paid_users) != (old.tier, old.paid_users):
        yield (
            f"The tier is {deal.tier} with {counted(deal.paid_users, 'paid user')} from now on, "
            f"instead of {old.tier} with {old.paid_users:,}."
        )
    year_end = terms.year(terms.year_of(state.index)).end
    day = local_day(year_end, terms.time_zone)
    following = (terms.year_of(state.index) + 1) * len(terms.cuts)
    if terms.begins_term(following) and not terms.auto_renew:
        yield f"The contract ends on {day}: it does not renew by itself."
    elif terms.begins_term(following) and state.next_deal is not None:
        ahead = format_money(state.next_deal.fee(terms), terms.currency)
        yield f"The contract year that begins on {day} costs {ahead} before tax, as agreed ahead."
    else:
        yield f"The contract year that begins on {day} costs {fee} before tax."
