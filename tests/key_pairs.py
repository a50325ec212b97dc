"""Key pairs for tests: short keys, made once for all tests of a process, because making a real one takes time."""

import itertools
from collections.abc import Callable
from datetime import datetime
from functools import cache

from bridge.adapters.key_pairs import KeyPair, make_key_pair

_SHORT_BITS = 2048


def ready_made_keys() -> Callable[[str, datetime], KeyPair]:
    """Return a key factory whose first, second, … key is the same for everybody who asks at the same instant."""
    numbers = itertools.count()
    return lambda _name, now: key_pair(next(numbers), now)


@cache
def key_pair(number: int, now: datetime) -> KeyPair:
    """Return the key pair of a number."""
    return make_key_pair(f"Seatbridge test {number}", now, bits=_SHORT_BITS)
