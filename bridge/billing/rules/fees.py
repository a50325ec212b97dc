"""Contracts for a fixed annual fee: instalments that add up, amendments, and terms of several years (rules U4 to U7).

Start at :func:`start`, :func:`renew` and :func:`amend`; all are pure. A contract year begins on the day of the
contract's start, every year. It is cut into *periods* by the instants at which something is due: the beginning of the
year, and every instalment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from bridge.billing.rules.bills import Bill, BillReason, Line, LineKind, make_bill
from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.money import Currency, format_exact, format_money, round_half_away
from bridge.billing.rules.proration import ProrationMethod, Share, share
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.terms import MONTHS_PER_YEAR, Cycle, Term, index_at, term_at, whole_second_utc
from bridge.billing.rules.wording import counted, local_day

MAX_FEE: Final = 10**15
"""Minor units of an annual fee: more is a slip of the finger."""
MAX_PAID_USERS: Final = 1_000_000
MAX_TERM_YEARS: Final = 30


@dataclass(frozen=True, slots=True)
class Instalment:
    """A part of the annual fee.

    Attributes:
        month: When it is due: at the beginning of this month of the contract year; 1 is the year's own beginning.
        share: Part of the fee, above 0, at most 1.
    """

    month: int
    share: Fraction


def in_equal_parts(number: int) -> tuple[Instalment, ...]:
    """Return a schedule of equal instalments, one every twelve ÷ ``number`` months."""
    every = MONTHS_PER_YEAR // number
    return tuple(Instalment(1 + every * place, Fraction(1, number)) for place in range(number))


SCHEDULES: Final = {"annual": in_equal_parts(1), "quarterly": in_equal_parts(4), "monthly": in_equal_parts(12)}
"""The schedules that have a name (rule U4)."""


def custom_schedule(parts: Iterable[tuple[int, Fraction]]) -> tuple[Instalment, ...]:
    """Return a schedule of one's own, in the order of its months.

    Raises:
        ValueError: No part, a month that is not 1 to 12 or comes twice, a share that is not above 0, or shares that do
            not add up to exactly 1.
    """
    schedule = tuple(sorted((Instalment(month, part) for month, part in parts), key=lambda one: one.month))
    months = [one.month for one in schedule]
    if not months or not all(1 <= month <= MONTHS_PER_YEAR for month in months):
        raise ValueError("a schedule has instalments in months 1 to 12 of the contract year")
    if len(set(months)) != len(months):
        raise ValueError("a schedule names each month once")
    if any(one.share <= 0 for one in schedule):
        raise ValueError("every instalment has a share above 0")
    total = sum(one.share for one in schedule)
    if total != 1:
        raise ValueError(f"the shares of the instalments add up to {total}, not to 1")
    return schedule


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """What was agreed once for the whole contract.

    Attributes:
        anchor: Start of the contract, aware; every boundary is computed from it (rule R2).
        currency: All amounts are minor units of it.
        time_zone: IANA name; boundaries keep its wall clock (rule R3).
        tax_rate: Part of the net amount.
        schedule: The instalments of a contract year, in the order of their months.
        term_years: Contract years of a term (rule U5).
        auto_renew: Whether another term follows; without it the contract ends with the term (rule R5).
        discount: Part of every annual fee that is not charged (rule U6).

    Raises:
        ValueError: A naive anchor, a term or a discount that is not possible, a negative tax rate, no schedule.
        zoneinfo.ZoneInfoNotFoundError: The zone is unknown.
    """

    anchor: datetime
    currency: Currency
    time_zone: str
    tax_rate: Fraction = Fraction(0)
    schedule: tuple[Instalment, ...] = SCHEDULES["annual"]
    term_years: int = 1
    auto_renew: bool = False
    discount: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        problems = {
            "the plan's start has no time zone": self.anchor.tzinfo is None,
            "a tax rate cannot be negative": self.tax_rate < 0,
            f"a term has 1 to {MAX_TERM_YEARS} years": not 1 <= self.term_years <= MAX_TERM_YEARS,
            "a discount is a part of the fee: 0 or more, less than 1": not 0 <= self.discount < 1,
        }
        for problem, present in problems.items():
            if present:
                raise ValueError(problem)
        custom_schedule((one.month, one.share) for one in self.schedule)
        ZoneInfo(self.time_zone)

    @property
    def cuts(self) -> tuple[int, ...]:
        """Months of a contract year at whose beginning something is due, from 0; the year's own beginning always is."""
        return tuple(sorted({0, *(one.month - 1 for one in self.schedule)}))

    def period(self, index: int) -> Term:
        """Return period number ``index``, from 0: it begins and ends where something is due."""
        return Term(self._boundary(index), self._boundary(index + 1))

    def year_of(self, index: int) -> int:
        """Return the contract year, from 0, that a period is part of."""
        return index // len(self.cuts)

    def year(self, number: int) -> Term:
        """Return contract year ``number``, from 0."""
        return term_at(self.anchor, self.time_zone, Cycle.YEAR, number)

    def year_at(self, instant: datetime) -> int:
        """Return the contract year that holds an instant (rule R6)."""
        return index_at(self.anchor, self.time_zone, Cycle.YEAR, instant)

    def begins_year(self, index: int) -> bool:
        """Tell whether a period is the first of a contract year."""
        return index % len(self.cuts) == 0

    def begins_term(self, index: int) -> bool:
        """Tell whether a period is the first of a term."""
        return self.begins_year(index) and self.year_of(index) % self.term_years == 0

    def whole_term(self, index: int) -> Term:
        """Return the agreed term, of all its years, that a period is part of."""
        first = self.year_of(index) // self.term_years * self.term_years
        return Term(self.year(first).start, self.year(first + self.term_years).start)

    def place_of(self, index: int) -> int | None:
        """Return which instalment of the year, from 0, is due when a period begins; None when none is."""
        month = self.cuts[index % len(self.cuts)] + 1
        months = [one.month for one in self.schedule]
        return months.index(month) if month in months else None

    def _boundary(self, index: int) -> datetime:
        year, place = divmod(index, len(self.cuts))
        months = year * MONTHS_PER_YEAR + self.cuts[place]
        return term_at(self.anchor, self.time_zone, Cycle.MONTH, months).start


@dataclass(frozen=True, slots=True)
class FeeDeal:
    """What an amendment can change.

    Attributes:
        annual_fee: Minor units for a contract year, before the discount.
        tier: Name of the contracted tier.
        paid_users: So many paid users the tier is meant for; more are let in (rule U3).

    Raises:
        ValueError: Something is negative, too large, or the tier has no name.
    """

    annual_fee: int
    tier: str
    paid_users: int

    def __post_init__(self) -> None:
        if not 0 <= self.annual_fee <= MAX_FEE:
            raise ValueError(f"an annual fee is 0 to {MAX_FEE:,} minor units")
        if not 0 <= self.paid_users <= MAX_PAID_USERS:
            raise ValueError(f"a tier has 0 to {MAX_PAID_USERS:,} paid users")
        if not 1 <= len(self.tier) <= _LONGEST_TIER or not self.tier.isprintable() or not self.tier.strip():
            raise ValueError(f"a tier has a name of 1 to {_LONGEST_TIER} printable characters")

    def fee(self, terms: FeeTerms) -> int:
        """Return what a contract year costs: the discount is applied once, and the result rounded (rule U6)."""
        return round_half_away(self.annual_fee * (1 - terms.discount))


_LONGEST_TIER: Final = 64


@dataclass(frozen=True, slots=True)
class FeeState:
    """Where a contract stands.

    Attributes:
        terms: What was agreed once.
        index: Number of the present period, from 0.
        status: Active, or ended.
        deal: What is agreed now.
        year_deal: What was agreed when the present contract year began: its instalments are computed from it (rule U7).
        credit_balance: Minor units the customer may use up, never paid out (rule C2).
    """

    terms: FeeTerms
    index: int
    status: ContractStatus
    deal: FeeDeal
    year_deal: FeeDeal
    credit_balance: int = 0

    @property
    def period(self) -> Term:
        """The present period."""
        return self.terms.period(self.index)


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
        bill: None when nothing is charged.
        next_state: The contract once the amendment is confirmed.
        fee_before: Minor units of a contract year, discount included, without it.
        fee_after: The same with it.
        sentences: What happens, one sentence for each effect.
    """

    at: datetime
    bill: Bill | None
    next_state: FeeState
    fee_before: int
    fee_after: int
    sentences: tuple[str, ...]


def split_fee(fee: int, shares: Sequence[Fraction]) -> tuple[int, ...]:
    """Cut a fee into whole minor units by shares that add up to 1; the parts add up to the fee exactly.

    Every part is its share rounded down; the minor units that are thereby spare go to the first parts, one each.

    Source: rule U4.
    """
    parts = [(fee * part).__floor__() for part in shares]
    spare = fee - sum(parts)
    return tuple(part + 1 if place < spare else part for place, part in enumerate(parts))


def start(terms: FeeTerms, deal: FeeDeal) -> FeeStep:
    """Begin the contract, and bill the first instalment where one is due at once.

    Source: rules U4 and P1.
    """
    state = FeeState(terms=terms, index=0, status=ContractStatus.ACTIVE, deal=deal, year_deal=deal)
    return _with_bill(state)


def renew(state: FeeState) -> FeeStep:
    """Pass the end of the present period: bill an instalment, begin a contract year or a term, or end the contract.

    A new contract year costs what is agreed when it begins (rules U5, U7).

    Raises:
        RuleRefusal: ``plan_ended``.

    Source: rules U4, U5, R2, R3, R5 and R6.
    """
    if state.status is ContractStatus.ENDED:
        raise RuleRefusal(RefusalCode.PLAN_ENDED)
    terms, index = state.terms, state.index + 1
    if terms.begins_term(index) and not terms.auto_renew:
        return FeeStep(bill=None, next_state=replace(state, status=ContractStatus.ENDED), ended=True)
    year_deal = state.deal if terms.begins_year(index) else state.year_deal
    return _with_bill(replace(state, index=index, year_deal=year_deal))


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
    if after < before:
        end = terms.whole_term(state.index).end
        raise RuleRefusal(RefusalCode.REDUCTION_NOT_ALLOWED, term_end=end, what="The fee cannot be lowered")
    line = _amendment_line(state, deal, at) if after > before else None
    bill = None if line is None else _bill(BillReason.AMENDMENT, line, state)
    balance = state.credit_balance + (bill.balance_change if bill else 0)
    return AmendmentQuote(
        at=at,
        bill=bill,
        next_state=replace(state, deal=deal, credit_balance=balance),
        fee_before=before,
        fee_after=after,
        sentences=tuple(_amendment_sentences(state, deal, line)),
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


def _with_bill(state: FeeState) -> FeeStep:
    terms, place = state.terms, state.terms.place_of(state.index)
    new_term = state.index > 0 and terms.begins_term(state.index)
    if place is None:
        return FeeStep(bill=None, next_state=state, new_term=new_term)
    bill = _bill(BillReason.INSTALMENT, _instalment_line(state, place), state)
    balance = state.credit_balance + bill.balance_change
    return FeeStep(bill=bill, next_state=replace(state, credit_balance=balance), new_term=new_term)


def _bill(reason: BillReason, line: Line, state: FeeState) -> Bill:
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
    return _line(
        LineKind.CONTRACT_INSTALMENT,
        deal.tier,
        terms.year(terms.year_of(state.index)),
        unit_price=fee,
        base=f"1 × {format_money(fee, terms.currency)}",
        part=Share(fraction=part, sentence="; ".join(words), formula=str(part)),
        amount=amounts[place],
        currency=terms.currency,
    )


def _amendment_line(state: FeeState, deal: FeeDeal, at: datetime) -> Line:
    """Charge the difference of the fees for the rest of the contract year."""
    terms = state.terms
    year = terms.year(terms.year_of(state.index))
    rest = share(year, at, ProrationMethod.MONTH_DAY, terms.time_zone, terms.anchor)
    before, after = state.deal.fee(terms), deal.fee(terms)
    money = (format_money(after, terms.currency), format_money(before, terms.currency))
    return _line(
        LineKind.CONTRACT_AMENDMENT,
        deal.tier,
        Term(at, year.end),
        unit_price=after - before,
        base=f"({money[0]} − {money[1]})",
        part=rest,
        amount=round_half_away((after - before) * rest.fraction),
        currency=terms.currency,
    )


def _line(
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
    if terms.begins_term((terms.year_of(state.index) + 1) * len(terms.cuts)) and not terms.auto_renew:
        yield f"The contract ends on {day}: it does not renew by itself."
    else:
        yield f"The contract year that begins on {day} costs {fee} before tax."


def _percent(part: Fraction) -> str:
    percent = part * 100
    return f"{(Decimal(percent.numerator) / percent.denominator).normalize():f} %"
