"""What a process remembers, bounded: whatever was used longest ago is forgotten first."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Recent(Generic[KeyT, ValueT]):
    """Values by key, at most so many; for any number of threads.

    Args:
        at_most: Values that are kept.
    """

    def __init__(self, at_most: int) -> None:
        self._kept: OrderedDict[KeyT, ValueT] = OrderedDict()
        self._at_most = at_most
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._kept

    def get(self, key: KeyT) -> ValueT | None:
        """Return the value of a key, which counts as a use."""
        with self._lock:
            value = self._kept.get(key)
            if value is not None:
                self._kept.move_to_end(key)
            return value

    def keep(self, key: KeyT, value: ValueT) -> None:
        """Remember a value, and forget what is too much."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._at_most:
                self._kept.popitem(last=False)

    def forget(self, key: KeyT) -> None:
        """Forget a value."""
        with self._lock:
            self._kept.pop(key, None)
