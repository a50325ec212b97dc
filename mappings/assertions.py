"""What a mapping document says must be so once it is applied."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from mappings.conditions import Condition
from mappings.tiers import UNASSIGNED, TierLadder

MAX_ASSERTIONS: Final = 100


@dataclass(frozen=True, slots=True)
class NobodyLosesSeat:
    """Nobody who has a seat is left without one."""

    def told(self, ladder: TierLadder) -> str:  # noqa: ARG002 (as the other assertions)
        """Say what must be so."""
        return "nobody loses their seat"


@dataclass(frozen=True, slots=True)
class CostAtMost:
    """The seats that are bought cost no more than this, tax included.

    Attributes:
        amount: In the plan's currency, in its major unit.
    """

    amount: Decimal

    def told(self, ladder: TierLadder) -> str:  # noqa: ARG002 (as the other assertions)
        """Say what must be so."""
        return f"the cost is at most {self.amount}"


@dataclass(frozen=True, slots=True)
class PeopleCount:
    """So many people hold a tier.

    Attributes:
        at_least: No fewer; None for no bound.
        at_most: No more; None for no bound.
        tier: Which tier, or "unassigned"; None counts people whatever they hold.
        condition: Only those of whom this holds; None counts everybody.
    """

    at_least: int | None
    at_most: int | None
    tier: str | None = None
    condition: Condition | None = None

    def told(self, ladder: TierLadder) -> str:
        """Say what must be so."""
        if self.at_least == self.at_most:
            number = f"exactly {self.at_least}"
        elif self.at_most is None:
            number = f"at least {self.at_least}"
        else:
            number = f"at most {self.at_most}" + ("" if self.at_least is None else f" and at least {self.at_least}")
        holds = "" if self.tier is None else f" with {seat_name(ladder, self.tier)}"
        whom = "" if self.condition is None else f" among {self.condition}"
        people = "person" if (self.at_least if self.at_most is None else self.at_most) == 1 else "people"
        return f"{number} {people}{holds}{whom}"


@dataclass(frozen=True, slots=True)
class PersonHas:
    """One person holds a tier, or "unassigned".

    Attributes:
        person: The userName or mail address.
        tier: Which.
    """

    person: str
    tier: str

    def told(self, ladder: TierLadder) -> str:
        """Say what must be so."""
        return f"{self.person} has {seat_name(ladder, self.tier)}"


Assertion = NobodyLosesSeat | CostAtMost | PeopleCount | PersonHas


def conditions_of(assertions: Collection[Assertion]) -> Iterator[Condition]:
    """Go through the conditions that assertions ask about people."""
    for assertion in assertions:
        if isinstance(assertion, PeopleCount) and assertion.condition is not None:
            yield assertion.condition


def seat_name(ladder: TierLadder, tier: str) -> str:
    """Name a tier, or "no seat"."""
    return "no seat" if tier == UNASSIGNED else ladder.name_of(tier)
