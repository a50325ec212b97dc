"""How much is answered at once: token buckets for connections and for refused credentials, slots for organizations.

Each process counts for itself, in memory that is bounded, by a clock that never jumps.
"""

import math
import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from bridge.config.settings import ScimSettings, ServerSettings
from bridge.domain.buckets import Buckets, Clock, network_of
from bridge.errors import TooManyRequestsError

KeyT = TypeVar("KeyT", bound=Hashable)

#: Refused credentials of one address are counted for each organization it names and, ten times as many, for all.
ADDRESS_FACTOR = 10
#: So long a request waits for a slot of its organization, in seconds.
PATIENCE_SECONDS = 1.0


class Slots(Generic[KeyT]):
    """How many requests of one key are worked on at once; one more waits a moment, but only while waiting helps.

    Once a wait was in vain, the next ones are turned away at once until a slot is given back: they would only hold the
    threads that others need.

    Args:
        limit: Slots of each key.
        patience: Seconds to wait.
    """

    def __init__(self, limit: int, *, patience: float = PATIENCE_SECONDS) -> None:
        self.limit, self.patience = limit, patience
        self._taken: dict[KeyT, int] = {}
        self._stuck: set[KeyT] = set()
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)

    def enter(self, key: KeyT) -> bool:
        """Take a slot, waiting for it if need be; False where none became free."""
        with self._lock:
            taken = self._taken.get(key, 0)
            if taken >= self.limit:
                if key in self._stuck or not self._free.wait_for(
                    lambda: self._taken.get(key, 0) < self.limit, self.patience
                ):
                    self._stuck.add(key)
                    return False
                taken = self._taken.get(key, 0)
            self._taken[key] = taken + 1
            return True

    def leave(self, key: KeyT) -> None:
        """Give a slot back."""
        with self._lock:
            left = self._taken[key] - 1
            if left:
                self._taken[key] = left
            else:
                del self._taken[key]
            if left == self.limit - 1:
                self._stuck.discard(key)
                self._free.notify_all()


class Rates:
    """The limits of the SCIM endpoint in one process.

    Args:
        scim: The limits.
        server: How many threads there are to share.
        clock: Seconds that never go backwards.
    """

    def __init__(self, scim: ScimSettings, server: ServerSettings, *, clock: Clock = time.monotonic) -> None:
        self.connections: Buckets[Hashable] = Buckets(scim.rate_burst, scim.rate_per_second, clock=clock)
        refused = scim.refused_per_minute
        self.refused: Buckets[tuple[str, str]] = Buckets(refused, refused / 60, clock=clock)
        self.addresses: Buckets[str] = Buckets(ADDRESS_FACTOR * refused, ADDRESS_FACTOR * refused / 60, clock=clock)
        self.slots: Slots[Hashable] = Slots(max(1, min(scim.concurrent_requests, server.threads - 1)))

    def spend(self, connection: Hashable) -> None:
        """Count a request of a connection.

        Raises:
            TooManyRequestsError: The connection has used up its burst and what came back since.
        """
        seconds = self.connections.take(connection)
        if seconds:
            raise TooManyRequestsError(max(1, math.ceil(seconds)))

    def check_stranger(self, address: str, slug: str) -> None:
        """Look whether a credential that nobody here knows yet may be looked up.

        Raises:
            TooManyRequestsError: Too many credentials of this address were refused lately.
        """
        network = network_of(address)
        seconds = max(self.refused.wait((network, slug)), self.addresses.wait(network))
        if seconds:
            raise TooManyRequestsError(max(1, math.ceil(seconds)))

    def note_refused(self, address: str, slug: str) -> None:
        """Count a refused credential."""
        network = network_of(address)
        self.refused.take((network, slug))
        self.addresses.take(network)

    def enter(self, organization: Hashable) -> None:
        """Take a slot of an organization, to be given back by ``slots.leave``.

        Raises:
            TooManyRequestsError: So many of its requests are being worked on that others would wait for it.
        """
        if not self.slots.enter(organization):
            raise TooManyRequestsError(1)
