"""How many wrong secrets one address may present, and for how many codes it may ask.

Whoever has shown a right secret never waits for the others there.
"""

import hashlib
import math
import threading
import uuid
from typing import Final

from flask import request

from bridge.adapters.oauth import Answer
from bridge.domain.buckets import Buckets, network_of
from bridge.errors import TooManyRequestsError

_REMEMBERED: Final = 1000


class RefusedClients:
    """Counts refused applications and provisioning clients by the network they come from, in one process.

    Args:
        per_minute: Refusals that one address may have.
    """

    def __init__(self, per_minute: int) -> None:
        self._refused: Buckets[str] = Buckets(per_minute, per_minute / 60)
        self._good: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """Let this request in.

        Raises:
            TooManyRequestsError: Too many of its address were refused lately, and its secret is not known to be good.
        """
        seconds = self._refused.wait(network_of(request.remote_addr or ""))
        if seconds and _shown() not in self._good:
            raise TooManyRequestsError(max(1, math.ceil(seconds)))

    def learn(self, answer: Answer) -> Answer:
        """Learn from the answer whether the secret was good; return the answer."""
        shown = _shown()
        if (answer.document or {}).get("error") == "invalid_client":
            self._refused.take(network_of(request.remote_addr or ""))
            self._good.pop(shown, None)
        elif answer.status == 200 and shown not in self._good:  # noqa: PLR2004 - HTTP's own number
            with self._lock:
                self._good[shown] = None
                if len(self._good) > _REMEMBERED:
                    del self._good[next(iter(self._good))]
        return answer


class GivenCodes:
    """Counts the codes that one application is given by the network they are asked from, in one process.

    Args:
        per_minute: Codes that one address may have for one application.
    """

    def __init__(self, per_minute: int) -> None:
        self._given: Buckets[tuple[uuid.UUID, str]] = Buckets(per_minute, per_minute / 60)

    def take(self, app_id: uuid.UUID) -> None:
        """Let this request in.

        Raises:
            TooManyRequestsError: Its address has asked for too many codes of this application lately.
        """
        seconds = self._given.take((app_id, network_of(request.remote_addr or "")))
        if seconds:
            raise TooManyRequestsError(max(1, math.ceil(seconds)))


def _shown() -> bytes:
    """Return what the secret of this request is known by; the secret itself is not kept."""
    secret = request.form.get("client_secret", "")
    texts = (request.headers.get("Authorization", ""), request.form.get("client_id", ""), secret)
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()
