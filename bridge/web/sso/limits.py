"""How many sign-ins one address may start and answer at a connection, and how many refusals it may have there."""

import math

from flask import request

from bridge.config.settings import SsoSettings
from bridge.domain.buckets import Buckets, network_of
from bridge.domain.identifiers import ConnectionId
from bridge.errors import TooManyRequestsError

#: All addresses together may ask so many times as often as one of them.
CONNECTION_FACTOR = 10


class SignInLimits:
    """Counts what comes to the sign-in pages by connection and by the network it comes from, in one process.

    Args:
        settings: How much one address may ask of one connection, and be refused there.
    """

    def __init__(self, settings: SsoSettings) -> None:
        asked, refused = settings.requests_per_minute, settings.refused_per_minute
        self._asked: Buckets[tuple[ConnectionId, str]] = Buckets(asked, asked / 60)
        self._refused: Buckets[tuple[ConnectionId, str]] = Buckets(refused, refused / 60)
        everybody = CONNECTION_FACTOR * asked
        self._connections: Buckets[ConnectionId] = Buckets(everybody, everybody / 60)

    def spend(self, connection_id: ConnectionId) -> None:
        """Count a request.

        Raises:
            TooManyRequestsError: Too many came from its address, or for its connection, or too many were refused.
        """
        key = (connection_id, network_of(request.remote_addr or ""))
        seconds = self._refused.wait(key) or self._asked.take(key) or self._connections.take(connection_id)
        if seconds:
            raise TooManyRequestsError(max(1, math.ceil(seconds)))

    def note_refused(self, connection_id: ConnectionId) -> None:
        """Count a refusal."""
        self._refused.take((connection_id, network_of(request.remote_addr or "")))
