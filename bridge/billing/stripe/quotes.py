"""A quote's id, which carries what Stripe does not keep: the pinned instant, and a seal over what was shown."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

QUOTE_LIFETIME: Final = timedelta(minutes=15)
_PREFIX: Final = "sq"
_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class PinnedQuote:
    """What the id of a quote says.

    Args:
        at: The proration instant.
        expires_at: Excluded.
        base: Of the subscription that it was computed from.
        seal: Over what was asked and what it costs.
    """

    at: datetime
    expires_at: datetime
    base: str
    seal: str

    @property
    def id(self) -> str:
        """The id, as the port takes it."""
        return f"{_PREFIX}_{_seconds(self.at)}_{_seconds(self.expires_at)}_{self.base}_{self.seal}"

    @classmethod
    def read(cls, identifier: str) -> "PinnedQuote | None":
        """Read an id; None for what is none of ours."""
        parts = identifier.split("_")
        if len(parts) != _PARTS or parts[0] != _PREFIX or not all(part.isdecimal() for part in parts[1:3]):
            return None
        try:
            at, expires_at = (datetime.fromtimestamp(int(part), UTC) for part in parts[1:3])
        except (ValueError, OverflowError, OSError):
            return None
        return cls(at, expires_at, parts[3], parts[4])


def seal_of(changes: Mapping[str, int], upgrade_from: str | None, total: int, currency: str) -> str:
    """Return a seal over what was asked and what it costs."""
    wanted = {tier: number for tier, number in changes.items() if number}
    content = json.dumps([wanted, upgrade_from, total, currency], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
