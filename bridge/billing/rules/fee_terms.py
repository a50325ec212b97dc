"""What a contract for a fixed annual fee agrees: its schedule, its years and terms, and where it stands (rules U4, U5).

A contract year begins on the day of the contract's start, every year. It is cut into *periods* by the instants at which
something is due: the beginning of the year, and every instalment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.money import Currency, round_half_away
from bridge.billing.rules.terms import MONTHS_PER_YEAR, Cycle, Term, index_at, term_at

MAX_FEE: Final = 10**15
"""Minor units of an annual fee: more is a slip of the finger."""
MAX_PAID_USERS: Final = 1_000_000
MAX_TERM_YEARS: Final = 30
_LONGEST_TIER: Final = 64


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


@dataclass(frozen=True, slots=True)
class FeeState:
    """Where a contract stands.

    Attributes:
        terms: What was agreed once.
        index: Number of the present period, from 0.
        status: Active, or ended.
        deal: What is agreed now.
        year_deal: What was agreed when the present contract year began: its instalments are computed from it (rule U7).
        next_deal: What is agreed for the next term, a lower fee above all; None leaves it as it is (rule U7).
        credit_balance: Minor units the customer may use up, never paid out (rule C2).
    """

    terms: FeeTerms
    index: int
    status: ContractStatus
    deal: FeeDeal
    year_deal: FeeDeal
    credit_balance: int = 0
    next_deal: FeeDeal | None = None

    @property
    def period(self) -> Term:
        """The present period."""
        return self.terms.period(self.index)
