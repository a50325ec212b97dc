"""Team and enterprise plans: what was agreed, and where the plan stands in the present period."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Final, NamedTuple, Self
from zoneinfo import ZoneInfo

from bridge.billing.rules.money import Currency
from bridge.billing.rules.proration import ProrationMethod, Share, share
from bridge.billing.rules.terms import Cycle, Term, index_at, term_at


class ContractKind(StrEnum):
    """The plans sold by seats (rule G1)."""

    TEAM = "team"
    ENTERPRISE = "enterprise"


class Reduction(StrEnum):
    """When a Team reduction takes effect."""

    AT_RENEWAL = "at_renewal"
    """At the next renewal, without a credit (rule D2)."""
    IMMEDIATE_CREDIT = "immediate_credit"
    """At once, with a prorated credit note to the account's balance (rule D5)."""


class RenewalBasis(StrEnum):
    """Which seats a renewal bills."""

    ALLOCATED = "allocated"
    """The next period's allocation (rule R1)."""
    IN_USE = "in_use"
    """Seats assigned to an active member at the boundary (rule R7)."""


class ContractStatus(StrEnum):
    """Whether seats can be bought."""

    ACTIVE = "active"
    ENDED = "ended"


class Tier(NamedTuple):
    """A seat tier as the price list names it."""

    key: str
    name: str


DEFAULT_TIERS: Final = (Tier("standard", "Standard"), Tier("premium", "Premium"))
"""Lowest first (rule G2); lines of a bill stand in this order."""


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """What was agreed. :func:`contract_terms` fills in the defaults of each kind.

    Attributes:
        kind: Team or enterprise.
        cycle: Length of a period; an enterprise contract is annual.
        anchor: Start of the plan, aware; every period is computed from it (rule R2).
        currency: All amounts of the plan are minor units of it.
        time_zone: IANA name; days and renewals follow its wall clock (rule R3).
        tax_rate: Part of the net amount, ``Fraction(1, 4)`` for 25 %.
        proration: How the rest of a period is measured.
        reduction: When a Team reduction takes effect; without meaning for enterprise (rule D7).
        minimum_seats: Fewest seats of all tiers together that a reduction may leave (rule D6); 0 for none.
        auto_renew: Without it the plan ends at the next boundary (rule R5).
        renewal_basis: Which seats a renewal bills.
        contract_minimum: Fewest seats of a tier that a renewal bills (rule R7); a missing tier means 0.
        tiers: Lowest first.

    Raises:
        ValueError: A naive anchor, an enterprise contract that is not annual, a negative rate or minimum, a
            tier twice or a minimum for an unknown one.
        zoneinfo.ZoneInfoNotFoundError: The zone is unknown.
    """

    kind: ContractKind
    cycle: Cycle
    anchor: datetime
    currency: Currency
    time_zone: str
    tax_rate: Fraction
    proration: ProrationMethod
    reduction: Reduction
    minimum_seats: int
    auto_renew: bool
    renewal_basis: RenewalBasis
    contract_minimum: Mapping[str, int]
    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        keys = [tier.key for tier in self.tiers]
        enterprise = self.kind is ContractKind.ENTERPRISE
        problems = {
            "the plan's start has no time zone": self.anchor.tzinfo is None,
            "an enterprise contract is annual": enterprise and self.cycle is not Cycle.YEAR,
            "a tax rate cannot be negative": self.tax_rate < 0,
            "a minimum cannot be negative": min(self.minimum_seats, 0, *self.contract_minimum.values()) < 0,
            "every tier has its own key": not keys or len(set(keys)) != len(keys),
            "a contract minimum names a tier of the plan": not set(self.contract_minimum) <= set(keys),
        }
        for problem, present in problems.items():
            if present:
                raise ValueError(problem)
        ZoneInfo(self.time_zone)

    def term(self, index: int) -> Term:
        """Return period number ``index``, from 0."""
        return term_at(self.anchor, self.time_zone, self.cycle, index)

    def index_at(self, instant: datetime) -> int:
        """Return the number of the period that holds an instant (rule R6)."""
        return index_at(self.anchor, self.time_zone, self.cycle, instant)

    def share(self, index: int, at: datetime) -> Share:
        """Return the share of period ``index`` that is still to come at ``at``."""
        return share(self.term(index), at, self.proration, self.time_zone, self.anchor)

    def tier(self, key: str) -> Tier:
        """Return a tier by its key.

        Raises:
            KeyError: The plan has no such tier.
        """
        for tier in self.tiers:
            if tier.key == key:
                return tier
        raise KeyError(key)


def contract_terms(
    kind: ContractKind,
    *,
    anchor: datetime,
    currency: Currency,
    cycle: Cycle | None = None,
    time_zone: str = "UTC",
    tax_rate: Fraction = Fraction(0),
    proration: ProrationMethod | None = None,
    reduction: Reduction = Reduction.AT_RENEWAL,
    minimum_seats: int = 0,
    auto_renew: bool = True,
    renewal_basis: RenewalBasis | None = None,
    contract_minimum: Mapping[str, int] | None = None,
    tiers: tuple[Tier, ...] = DEFAULT_TIERS,
) -> ContractTerms:
    """Return the terms of a kind, with its defaults where nothing else was agreed.

    Team: monthly, ``second`` (rule P4), renews what is allocated (rule R1). Enterprise: annual, ``month_day``
    (rule P8), renews what is in use (rule R7).

    Raises:
        ValueError: As :class:`ContractTerms`.
    """
    team = kind is ContractKind.TEAM
    return ContractTerms(
        kind=kind,
        cycle=cycle or (Cycle.MONTH if team else Cycle.YEAR),
        anchor=anchor,
        currency=currency,
        time_zone=time_zone,
        tax_rate=tax_rate,
        proration=proration or (ProrationMethod.SECOND if team else ProrationMethod.MONTH_DAY),
        reduction=reduction,
        minimum_seats=minimum_seats,
        auto_renew=auto_renew,
        renewal_basis=renewal_basis or (RenewalBasis.ALLOCATED if team else RenewalBasis.IN_USE),
        contract_minimum=dict(contract_minimum or {}),
        tiers=tiers,
    )


@dataclass(frozen=True, slots=True)
class SeatCount:
    """Seats of one tier.

    Attributes:
        paid: Seats paid for this period.
        next: Seats of the next period; fewer than ``paid`` when some are about to lapse (rule D2).
    """

    paid: int
    next: int

    def __post_init__(self) -> None:
        if self.paid < 0 or self.next < 0:
            raise ValueError(f"Seats cannot be negative: {self.paid} paid, {self.next} next")

    @property
    def assignable(self) -> int:
        """Seats that members may hold: those about to lapse can't be assigned any more (rule D3)."""
        return min(self.paid, self.next)

    @property
    def lapsing(self) -> int:
        """Seats paid for this period that the next one does not have."""
        return max(self.paid - self.next, 0)

    def plus(self, *, paid: int = 0, following: int = 0) -> Self:
        """Return the counts with seats added to this period and the following one; below 0 takes away."""
        return type(self)(paid=self.paid + paid, next=self.next + following)


@dataclass(frozen=True, slots=True)
class ContractState:
    """Where a plan stands in one period.

    Every tier of the terms has a count; a missing one is filled in with 0.

    Attributes:
        terms: What was agreed.
        period_index: Number of the present period, from 0.
        status: Active, or ended.
        seats: Counts by tier key.
        prices: Minor units for one seat and period, by tier key, for this period's additions (rule R4).
        next_prices: The same from the next renewal on; a missing tier keeps its price.
        credit_balance: Minor units the customer may use up, never paid out (rule C2).

    Raises:
        ValueError: Seats or prices of an unknown tier, a negative price, balance or period.
    """

    terms: ContractTerms
    period_index: int
    status: ContractStatus
    seats: Mapping[str, SeatCount]
    prices: Mapping[str, int]
    next_prices: Mapping[str, int]
    credit_balance: int

    def __post_init__(self) -> None:
        keys = [tier.key for tier in self.terms.tiers]
        unknown = {*self.seats, *self.prices, *self.next_prices}.difference(keys)
        if unknown:
            raise ValueError(f"The plan has no tier {', '.join(sorted(unknown))}")
        amounts = (self.credit_balance, self.period_index, *self.prices.values(), *self.next_prices.values())
        if min(amounts) < 0:
            raise ValueError("Prices, the balance and the number of the period cannot be negative")
        object.__setattr__(self, "seats", {key: self.seats.get(key, SeatCount(0, 0)) for key in keys})

    @classmethod
    def opening(
        cls,
        terms: ContractTerms,
        seats: Mapping[str, int],
        prices: Mapping[str, int],
        credit_balance: int = 0,
    ) -> Self:
        """Return the state of a plan in its first period, every seat paid and renewed."""
        return cls(
            terms=terms,
            period_index=0,
            status=ContractStatus.ACTIVE,
            seats={key: SeatCount(count, count) for key, count in seats.items()},
            prices=dict(prices),
            next_prices={},
            credit_balance=credit_balance,
        )

    @property
    def term(self) -> Term:
        """The present period."""
        return self.terms.term(self.period_index)

    @property
    def renewal_prices(self) -> dict[str, int]:
        """Prices from the next renewal on, by tier key (rule R4)."""
        return {**self.prices, **self.next_prices}

    def with_next_price(self, tier: str, minor: int) -> Self:
        """Return the state with a price for one seat and period that counts from the renewal (rule R4)."""
        return replace(self, next_prices={**self.next_prices, tier: minor})
