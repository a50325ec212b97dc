"""Seat tiers of an organization and their order."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

UNASSIGNED: Final = "unassigned"
"""What a rule says in place of a tier key when it gives no seat (rule G2)."""

ANY: Final = "any"
"""What somebody waits for who takes a seat of whichever tier frees first."""

HIGHEST_AVAILABLE: Final = "highest_available"
"""The default for people whom no mapping speaks of: the best tier that has a free seat (rule A1)."""

NO_SEAT: Final = "No seat"

_KEY = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_RESERVED: Final = frozenset({UNASSIGNED, ANY, HIGHEST_AVAILABLE})


@dataclass(frozen=True, slots=True)
class SeatTier:
    """A kind of seat that is bought in numbers.

    Attributes:
        key: Stable code, ``^[a-z][a-z0-9_-]{0,31}$``.
        name: What people read, such as "Premium".
        rank: Greater is better; only the order counts.

    Raises:
        ValueError: The key has another shape or is a word that rules use for something else.
    """

    key: str
    name: str
    rank: int

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            shape = "a small letter, then at most 31 small letters, digits, '-' or '_'"
            raise ValueError(f"{self.key!r} is no tier key, which is {shape}")
        if self.key in _RESERVED:
            raise ValueError(f"{self.key!r} has a meaning of its own and cannot be a tier key")


class TierLadder:
    """An organization's tiers, best first; never changes.

    Raises:
        ValueError: Two tiers share a key or a rank, so that "best" would have no answer.
    """

    __slots__ = ("_by_key", "_tiers")

    def __init__(self, tiers: Iterable[SeatTier]) -> None:
        self._tiers = tuple(sorted(tiers, key=lambda tier: tier.rank, reverse=True))
        self._by_key = {tier.key: tier for tier in self._tiers}
        if len(self._by_key) != len(self._tiers):
            raise ValueError("two tiers have the same key")
        if len({tier.rank for tier in self._tiers}) != len(self._tiers):
            raise ValueError("two tiers have the same rank")

    def __iter__(self) -> Iterator[SeatTier]:
        return iter(self._tiers)

    def __len__(self) -> int:
        return len(self._tiers)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def __getitem__(self, key: str) -> SeatTier:
        return self._by_key[key]

    def __eq__(self, other: object) -> bool:
        return self._tiers == other._tiers if isinstance(other, TierLadder) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._tiers)

    def __repr__(self) -> str:
        return f"TierLadder({list(self._tiers)!r})"

    def get(self, key: str) -> SeatTier | None:
        """Return the tier, or None when there is none of this key."""
        return self._by_key.get(key)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every tier key, best first."""
        return tuple(self._by_key)

    def best_first(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Order the keys best first, each once; keys of no tier are left out."""
        wanted = frozenset(keys)
        return tuple(key for key in self._by_key if key in wanted)

    def below(self, key: str) -> tuple[str, ...]:
        """Return the tiers of lower rank, best first.

        Raises:
            KeyError: There is no tier of this key.
        """
        rank = self._by_key[key].rank
        return tuple(tier.key for tier in self._tiers if tier.rank < rank)

    def is_better(self, key: str, than: str | None) -> bool:
        """Say whether a tier ranks above another; any ranks above no seat (None) and a tier that is gone."""
        other = None if than is None else self._by_key.get(than)
        return other is None or self._by_key[key].rank > other.rank

    def name_of(self, key: str | None) -> str:
        """Return what people read for a tier; the key itself for a tier that is gone."""
        if key is None or key == UNASSIGNED:
            return NO_SEAT
        tier = self._by_key.get(key)
        return key if tier is None else tier.name
