"""The brake: how many people a directory may let go or move within a few minutes before an owner is asked.

An effect is one person who loses access or the seat, goes to another tier, or loses a role or team that a rule gave.
Effects are counted by minute, and a minute counts as long as any of it lies within the window: the count is never lower
than that of the true window, so no window of this length ever has more effects than were allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bridge.errors import InvalidInputError

#: What an owner may set: from, to.
MINIMUM_BOUNDS: Final = (1, 1_000_000)
SHARE_BOUNDS: Final = (1, 100)
WINDOW_BOUNDS: Final = (1, 1440)

MAX_REASON = 500


class HeldEffect(StrEnum):
    """What is held for one person."""

    TURN_OFF = "turn_off"
    """The directory turned the person off."""
    REMOVE = "remove"
    """The directory deleted the person."""
    RESEAT = "reseat"
    """The person's groups or attributes no longer give the seat, role or teams that the person has."""
    PROMOTE = "promote"
    """A seat became free for which the person stands in line, who holds one of another tier."""
    UNCONFIRMED = "unconfirmed"
    """The person signed in before the directory named them, and it has not done so in time."""


class HoldState(StrEnum):
    """What became of a hold."""

    OPEN = "open"
    RELEASED = "released"
    DROPPED = "dropped"
    DISSOLVED = "dissolved"
    """Nobody was left under it: the directory took back what it had said, or somebody settled it by hand."""


class Outcome(StrEnum):
    """What became of what was held for one person."""

    RELEASED = "released"
    DROPPED = "dropped"
    REVERSED = "reversed"
    """The directory took it back."""
    APPLIED = "applied"
    """The directory said something of the person alone, which took effect at once."""
    BY_HAND = "by_hand"
    """Somebody here decided about the person."""
    OWNER = "owner"
    """The person has become an owner, whom no directory can touch."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What trips the brake.

    Attributes:
        minimum: So many effects are always allowed, however few the people are.
        share: So many of a hundred active people are allowed.
        window_minutes: Within how long.
    """

    minimum: int = 5
    share: int = 20
    window_minutes: int = 10

    def limit(self, people: int) -> int:
        """Return how many effects are allowed within the window: the larger of minimum and share, rounded down."""
        return max(self.minimum, people * self.share // 100)

    def check(self) -> None:
        """Refuse thresholds out of bounds.

        Raises:
            InvalidInputError: Naming the one.
        """
        for field, value, (low, high) in (
            ("minimum", self.minimum, MINIMUM_BOUNDS),
            ("share", self.share, SHARE_BOUNDS),
            ("window_minutes", self.window_minutes, WINDOW_BOUNDS),
        ):
            if not low <= value <= high:
                raise InvalidInputError(field, f"must be a whole number from {low:,} to {high:,}")


@dataclass(frozen=True, slots=True)
class Count:
    """What has been counted.

    Attributes:
        by_minute: Effects by minute since 1970, as JSON keeps them.
        limit: How many were allowed when the people were last counted; None when they have to be counted first.
        limit_at: When that was.
    """

    by_minute: Mapping[str, int]
    limit: int | None = None
    limit_at: datetime | None = None

    def used(self, at: datetime, window_minutes: int) -> int:
        """Return how many effects the window that ends now has, the started minute at its beginning included."""
        first = minute_of(at) - window_minutes
        return sum(number for minute, number in self.by_minute.items() if int(minute) >= first)

    def allows(self, number: int, at: datetime, window_minutes: int) -> bool | None:
        """Tell whether so many more effects are allowed; None when the people have to be counted first.

        They are counted again when the count is older than the window, and before the brake trips.
        """
        if self.limit is None or self.limit_at is None or minute_of(at) - minute_of(self.limit_at) >= window_minutes:
            return None
        return True if self.used(at, window_minutes) + number <= self.limit else None

    def plus(self, number: int, at: datetime, window_minutes: int) -> dict[str, int]:
        """Return the effects by minute with so many more, without those that no window has any more."""
        minute = minute_of(at)
        kept = {key: value for key, value in self.by_minute.items() if int(key) >= minute - window_minutes}
        return {**kept, str(minute): kept.get(str(minute), 0) + number}


def minute_of(at: datetime) -> int:
    """Return the minute since 1970 that an instant is in."""
    return int(at.timestamp()) // 60


def is_loss(from_tier: str | None, to_tier: str | None, *, less_access: bool) -> bool:
    """Tell whether what the rules give somebody now is an effect that counts.

    Losing the seat and going to another tier count, and so does less access: the role of an admin lost, or a team. What
    is only gained does not.
    """
    return less_access or (from_tier is not None and to_tier != from_tier)
