"""Token buckets: how often somebody may do something, in memory that is bounded, by a clock that never jumps."""

import threading
import time
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
Clock = Callable[[], float]

MAX_BUCKETS = 10_000


class Buckets(Generic[KeyT]):
    """Token buckets: each key may take ``capacity`` at once, and what was taken comes back at a steady pace.

    The key that has been known longest is forgotten beyond ``max_keys``: it then starts with a full bucket.

    Args:
        capacity: What a full bucket holds.
        per_second: What flows back.
        clock: Seconds that never go backwards.
        max_keys: Buckets that are remembered.
    """

    def __init__(
        self, capacity: float, per_second: float, *, clock: Clock = time.monotonic, max_keys: int = MAX_BUCKETS
    ) -> None:
        self.capacity, self.per_second = float(capacity), float(per_second)
        self._clock, self._max_keys = clock, max_keys
        self._levels: dict[KeyT, list[float]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: KeyT) -> float:
        """Take one; return 0.0, or the seconds until one is there when there is none now."""
        return self._look(key, taking=1.0)

    def wait(self, key: KeyT) -> float:
        """Return the seconds until one can be taken, without taking it."""
        return self._look(key, taking=0.0)

    def _look(self, key: KeyT, *, taking: float) -> float:
        now = self._clock()
        with self._lock:
            bucket = self._levels.get(key)
            if bucket is None:
                bucket = [self.capacity, now]
                if taking:
                    self._levels[key] = bucket
                    if len(self._levels) > self._max_keys:
                        del self._levels[next(iter(self._levels))]
            level = bucket[0] + (now - bucket[1]) * self.per_second
            level = min(level, self.capacity)
            if level < 1.0:
                return (1.0 - level) / self.per_second
            if taking:
                bucket[0], bucket[1] = level - taking, now
            return 0.0


def network_of(address: str) -> str:
    """Return what one client has at its command: an IPv4 address, or the /64 around an IPv6 one (RFC 6177)."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
