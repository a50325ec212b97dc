"""The picture of certificates: from when until when each is valid, with today, in percent of its width."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from bridge.domain.connection_health import WARNED_BEFORE
from bridge.store.models import IdpCertificate

_BEFORE, _AT_LEAST, _AT_MOST = timedelta(days=60), timedelta(days=150), timedelta(days=500)
_TICKS = 3
_ROOM_FOR_WORDS = 36.0


@dataclass(frozen=True, slots=True)
class Span:
    """One certificate's bar; ``label`` is the beginning of its fingerprint."""

    label: str
    left: float
    width: float
    look: str
    until: datetime
    row: int

    @property
    def text_at(self) -> float:
        """Where the words begin: in the bar, or behind one that is too short for them."""
        end = self.left + self.width
        return end + 1.0 if self.width < _ROOM_FOR_WORDS and end < 100 - _ROOM_FOR_WORDS else min(self.left + 1.5, 60.0)


@dataclass(frozen=True, slots=True)
class Validity:
    """The bars, where today is, and some days for the axis."""

    spans: tuple[Span, ...]
    today: float
    ticks: tuple[tuple[float, date], ...]

    @property
    def height(self) -> int:
        """The height in pixels: a row for each bar, and the axis."""
        return 30 * len(self.spans) + 26


def draw_validity(certificates: Sequence[IdpCertificate], now: datetime) -> Validity:
    """Place certificates on an axis from two months ago until the last one ends, at most sixteen months from now."""
    begin = now - _BEFORE
    last = max((one.not_after for one in certificates), default=now)
    end = min(max(last, now + _AT_LEAST), now + _AT_MOST)

    def place(at: datetime) -> float:
        return round(100 * min(max((at - begin) / (end - begin), 0.0), 1.0), 2)

    spans = tuple(
        Span(
            label=f"{one.fingerprint[:5]}…",
            left=place(one.not_before),
            width=max(place(one.not_after) - place(one.not_before), 0.5),
            look="over" if one.not_after <= now else "soon" if one.not_after - now < WARNED_BEFORE else "good",
            until=one.not_after,
            row=row,
        )
        for row, one in enumerate(certificates)
    )
    days = [begin + (end - begin) * step / (_TICKS + 1) for step in range(1, _TICKS + 1)]
    return Validity(spans, place(now), tuple((place(day), day.date()) for day in days))
