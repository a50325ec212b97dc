"""Whose token a hash is, as a process remembers it: for limits and for the log, never for letting anybody in."""

import uuid
from dataclasses import dataclass

from bridge.domain.identifiers import ConnectionId, OrgId
from bridge.domain.recent import Recent

MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """The connection behind a token; a token never changes hands."""

    org_id: OrgId
    slug: str
    connection_id: ConnectionId
    token_id: uuid.UUID


class KnownCallers(Recent[bytes, KnownCaller]):
    """Callers by the hash of their token."""

    def __init__(self) -> None:
        super().__init__(MAX_CALLERS)

    def of(self, token_hash: bytes | None) -> KnownCaller | None:
        """Return whose token it is, where that is known."""
        return None if token_hash is None else self.get(token_hash)
