"""What a run found, as data: for the terminal, for a file, and for ``--check``."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.figures import Ratio, Reading, Target


@dataclass(frozen=True, slots=True)
class Comparison:
    """A workload on our service beside the ceiling.

    Attributes:
        ratio: Of requests a second, or of p50 where ``by_time``.
    """

    key: str
    title: str
    people: int
    clients: int
    ours: Reading
    ceiling: Reading
    ratio: Ratio
    by_time: bool = False
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.target.is_met(self.ratio.value)


@dataclass(frozen=True, slots=True)
class Growth:
    """A workload's p50 at several numbers of people, or members, and the largest over the smallest."""

    key: str
    title: str
    milliseconds: dict[int, float]
    ratio: Ratio
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.target.is_met(self.ratio.value)


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure of its own: seconds, megabytes or a ratio; ``note`` says how it came about."""

    key: str
    title: str
    value: float
    unit: str
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.target.is_met(self.value)


@dataclass(frozen=True, slots=True)
class Failure:
    """A workload that could not be measured, and why."""

    key: str
    title: str
    reason: str


@dataclass(slots=True)
class Results:
    """Everything one run found."""

    machine: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def unmet(self) -> list[str]:
        """Name what misses its target or could not be measured."""
        judged: list[Comparison | Growth | Fact] = [*self.comparisons, *self.growth, *self.facts]
        missed = [_named(one) for one in judged if one.met is False]
        return [*missed, *(failure.title for failure in self.failures)]

    def document(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return {
            "machine": self.machine,
            "warnings": self.warnings,
            "seconds": round(self.seconds, 1),
            "comparisons": [asdict(one) | {"met": one.met} | _readings(one) for one in self.comparisons],
            "growth": [asdict(one) | {"met": one.met} for one in self.growth],
            "facts": [asdict(one) | {"met": one.met} for one in self.facts],
            "failures": [asdict(one) for one in self.failures],
            "unmet": self.unmet(),
        }


def _named(one: Comparison | Growth | Fact) -> str:
    if isinstance(one, Comparison):
        return f"{one.title}, {one.clients} client{'s' if one.clients > 1 else ''}"
    return f"{one.title}, growth" if isinstance(one, Growth) else one.title


def _readings(one: Comparison) -> dict[str, Any]:
    """Return each side's rounds with their medians beside them."""
    return {
        name: {**asdict(reading), "rate": reading.rate, "p50": reading.p50, "p95": reading.p95}
        for name, reading in (("ours", one.ours), ("ceiling", one.ceiling))
    }
