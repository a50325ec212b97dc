"""How a connection is doing: from what was seen of it, one word that a card can show."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

#: So long before something ends, a page says so.
WARNED_BEFORE: Final = timedelta(days=30)


class ConnectionState(StrEnum):
    """How a connection is doing."""

    DISABLED = "disabled"
    FAILING = "failing"
    EXPIRED = "expired"
    EXPIRING = "expiring"
    HEALTHY = "healthy"
    UNUSED = "unused"


class Expiring(StrEnum):
    """What of a connection ends by time."""

    CERTIFICATE = "certificate"
    TOKEN = "token"  # noqa: S105 (a kind, not a token)


@dataclass(frozen=True, slots=True)
class Expiry:
    """Until when something of a connection is good; of several that overlap, the last one counts."""

    what: Expiring
    at: datetime

    def days_left(self, now: datetime) -> int:
        """Return the whole days that are left; negative once it has ended."""
        return (self.at - now).days


def state_of(
    *, disabled: bool, is_refused: bool, is_used: bool, expiry: Expiry | None, now: datetime
) -> ConnectionState:
    """Say how a connection is doing; what needs somebody soonest comes first.

    Args:
        disabled: It was turned off by hand.
        is_refused: The newest request of the last day was refused as a whole: its credential, or a fault of ours.
        is_used: Somebody was pushed or signed in by it once.
        expiry: What ends first.
        now: The instant.
    """
    if disabled:
        return ConnectionState.DISABLED
    if expiry is not None and expiry.at <= now:
        return ConnectionState.EXPIRED
    if is_refused:
        return ConnectionState.FAILING
    if expiry is not None and expiry.at - now < WARNED_BEFORE:
        return ConnectionState.EXPIRING
    return ConnectionState.HEALTHY if is_used else ConnectionState.UNUSED
