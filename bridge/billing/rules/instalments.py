"""Instalments of a fixed annual fee: they add up to it exactly, year by year and term by term (rules U4 to U6).

Start at :func:`start` and :func:`renew`; all are pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from bridge.billing.rules.bills import Bill, BillReason, Line, LineKind, make_bill
from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.fee_terms import FeeDeal, FeeState, FeeTerms
from bridge.billing.rules.money import Currency, format_exact, format_money
from bridge.billing.rules.proration import Share
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.terms import Term


@dataclass(frozen=True, slots=True)
class FeeStep:
    """What happens when a period begins, or would begin.

    Attributes:
        bill: The instalment; None when none is due then.
        next_state: The contract in that period, or ended.
        ended: The contract ended with its term (rule R5).
        new_term: Another term begins.
    """

    bill: Bill | None
    next_state: FeeState
    ended: bool = False
    new_term: bool = False


def split_fee(fee: int, shares: Sequence[Fraction]) -> tuple[int, ...]:
    """Cut a fee into whole minor units by shares that add up to 1; the parts add up to the fee exactly.

    Every part is its share rounded down; the minor units that are thereby spare go to the first parts, one each.

    Source: rule U4.
    """
    parts = [(fee * part).__floor__() for part in shares]
    spare = fee - sum(parts)
    return tuple(part + 1 if place < spare else part for place, part in enumerate(parts))


def start(terms: FeeTerms, deal: FeeDeal, credit_balance: int = 0) -> FeeStep:
    """Begin the contract, and bill the first instalment where one is due at once.

    Source: rules U4 and P1.
    """
    state = FeeState(
        terms=terms,
        index=0,
        status=ContractStatus.ACTIVE,
        deal=deal,
        year_deal=deal,
        credit_balance=credit_balance,
    )
    return _with_bill(state)


def renew(state: FeeState) -> FeeStep:
    """Pass the end of the present period: bill an instalment, begin a contract year or a term, or end the contract.

    A new contract year costs what is agreed when it begins; a new term what was agreed ahead for it (rules U5, U7).

    Raises:
        RuleRefusal: ``plan_ended``.

    Source: rules U4, U5, R2, R3, R5 and R6.
    """
    if state.status is ContractStatus.ENDED:
        raise RuleRefusal(RefusalCode.PLAN_ENDED)
    terms, index = state.terms, state.index + 1
    if terms.begins_term(index) and not terms.auto_renew:
        return FeeStep(bill=None, next_state=replace(state, status=ContractStatus.ENDED), ended=True)
    deal, ahead = state.deal, state.next_deal
    if terms.begins_term(index) and ahead is not None:
        deal, ahead = ahead, None
    year_deal = deal if terms.begins_year(index) else state.year_deal
    return _with_bill(replace(state, index=index, deal=deal, year_deal=year_deal, next_deal=ahead))


def forecast(state: FeeState) -> FeeStep | None:
    """Return the step of the next instalment if nothing else changes; None when no other follows.

    It is due at the start of the step's own period.
    """
    ahead = state
    for _ in state.terms.cuts:
        if ahead.status is ContractStatus.ENDED:
            return None
        step = renew(ahead)
        if step.bill is not None:
            return step
        ahead = step.next_state
    return None


def _with_bill(state: FeeState) -> FeeStep:
    terms, place = state.terms, state.terms.place_of(state.index)
    new_term = state.index > 0 and terms.begins_term(state.index)
    if place is None:
        return FeeStep(bill=None, next_state=state, new_term=new_term)
    bill = fee_bill(BillReason.INSTALMENT, _instalment_line(state, place), state)
    balance = state.credit_balance + bill.balance_change
    return FeeStep(bill=bill, next_state=replace(state, credit_balance=balance), new_term=new_term)


def fee_bill(reason: BillReason, line: Line, state: FeeState) -> Bill:
    """Make a bill of one line, taxed, with the balance used before money (rules X1 and C3)."""
    return make_bill(
        reason,
        [line],
        currency=state.terms.currency,
        tax_rate=state.terms.tax_rate,
        credit_balance=state.credit_balance,
    )


def _instalment_line(state: FeeState, place: int) -> Line:
    """Charge one instalment; it stands for its whole contract year."""
    terms, deal = state.terms, state.year_deal
    fee, part = deal.fee(terms), terms.schedule[place].share
    amounts = split_fee(fee, [one.share for one in terms.schedule])
    number = len(terms.schedule)
    words = [f"instalment {place + 1} of {number} of the contract year" if number > 1 else "the whole contract year"]
    if terms.discount:
        listed = format_money(deal.annual_fee, terms.currency)
        words.append(f"the annual fee of {listed} less {_percent(terms.discount)}, rounded once")
    spare = sum(amounts) - sum((fee * one.share).__floor__() for one in terms.schedule)
    if spare:
        what = "minor unit that is spare goes" if spare == 1 else "minor units that are spare go"
        words.append(f"{spare} {what} to the first {'one' if spare == 1 else f'{spare} instalments'}")
    return fee_line(
        LineKind.CONTRACT_INSTALMENT,
        deal.tier,
        terms.year(terms.year_of(state.index)),
        unit_price=fee,
        base=f"1 × {format_money(fee, terms.currency)}",
        part=Share(fraction=part, sentence="; ".join(words), formula=str(part)),
        amount=amounts[place],
        currency=terms.currency,
    )


def fee_line(
    kind: LineKind,
    tier: str,
    term: Term,
    *,
    unit_price: int,
    base: str,
    part: Share,
    amount: int,
    currency: Currency,
) -> Line:
    """Make a line of a fee with its arithmetic; an instalment's amount is decided by :func:`split_fee` (rule U4)."""
    exact = unit_price * part.fraction
    exact_text = format_exact(exact, currency)
    factors = base if part.fraction == 1 else f"{base} × {part.formula}"
    result = exact_text if exact.denominator == 1 else f"{exact_text} → {format_money(amount, currency)}"
    return Line(
        kind=kind,
        tier=tier,
        quantity=1,
        start=term.start,
        end=term.end,
        unit_price=unit_price,
        share=part,
        exact=exact,
        amount=amount,
        exact_text=exact_text,
        formula=f"{factors} = {result}",
    )


def _percent(part: Fraction) -> str:
    percent = part * 100
    return f"{(Decimal(percent.numerator) / percent.denominator).normalize():f} %"
