"""The arithmetic of the benchmark: readings of interleaved rounds, their ratios, and whether a target is met."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share of the values does not exceed (nearest rank).

    Args:
        values: At least one, in any order.
        share: Above 0, up to 1.
    """
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)  # rounded up
    return ordered[max(0, int(rank) - 1)]


@dataclass(frozen=True, slots=True)
class Round:
    """What one slice of one side gave: requests a second, and p50 and p95 in milliseconds."""

    rate: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Reading:
    """All rounds of one side; each figure is the median over the rounds.

    Attributes:
        client_share: Largest share of a processor that the client used in a round.
    """

    rounds: tuple[Round, ...]
    client_share: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return median(each.rate for each in self.rounds)

    @property
    def p50(self) -> float:
        """Half of the requests took no longer, in milliseconds."""
        return median(each.p50 for each in self.rounds)

    @property
    def p95(self) -> float:
        """95 of 100 requests took no longer, in milliseconds."""
        return median(each.p95 for each in self.rounds)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One side's figure over another's: of the medians, and the least and the greatest of any single round."""

    value: float
    least: float
    greatest: float


def ratio(mine: Sequence[float], other: Sequence[float]) -> Ratio:
    """Compare figures of the same rounds; each round's two were measured one right after the other."""
    singles = [one / another for one, another in zip(mine, other, strict=True)]
    return Ratio(median(mine) / median(other), min(singles), max(singles))


def ratio_of_rates(mine: Reading, other: Reading) -> Ratio:
    """Compare requests a second: above 1 is quicker."""
    return ratio([each.rate for each in mine.rounds], [each.rate for each in other.rounds])


def ratio_of_times(mine: Reading, other: Reading) -> Ratio:
    """Compare p50: above 1 is slower."""
    return ratio([each.p50 for each in mine.rounds], [each.p50 for each in other.rounds])


@dataclass(frozen=True, slots=True)
class Target:
    """A limit that a figure shall keep: at least or at most."""

    limit: float
    at_least: bool

    def is_met(self, value: float) -> bool:
        """Tell whether a figure keeps the limit."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


def at_least(limit: float) -> Target:
    """Return a target that a figure must reach."""
    return Target(limit, at_least=True)


def at_most(limit: float) -> Target:
    """Return a target that a figure must not exceed."""
    return Target(limit, at_least=False)
