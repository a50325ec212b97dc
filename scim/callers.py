"""Whose token a hash is, as a process remembers it: for limits and for the log, never for letting anybody in."""

import uuid
from dataclasses import dataclass

from bridge.domain.identifiers import ConnectionId, OrgId

MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """The connection behind a token; a token never changes hands."""

    org_id: OrgId
    slug: str
    connection_id: ConnectionId
    token_id: uuid.UUID


class KnownCallers:
    """Callers by the hash of their token; the one learned first is forgotten beyond the bound."""

    def __init__(self, *, max_callers: int = MAX_CALLERS) -> None:
        self._known: dict[bytes, KnownCaller] = {}
        self._max_callers = max_callers

    def get(self, token_hash: bytes | None) -> KnownCaller | None:
        """Return whose token it is, where that is known."""
        return None if token_hash is None else self._known.get(token_hash)

    def learn(self, token_hash: bytes, caller: KnownCaller) -> None:
        """Remember whose token it is."""
        self._known[token_hash] = caller
        while len(self._known) > self._max_callers:
            self._known.pop(next(iter(self._known)), None)
