"""What a core quoted, in the words of every preview."""

from collections.abc import Mapping
from typing import Any

from bridge.core.documents import quote_document, read_quote
from bridge.core.port import CoreQuote
from bridge.ports import PinnedQuote, SeatChange, SeatQuote


def pin(quote: CoreQuote, *, digits: int) -> PinnedQuote:
    """Keep a quote as it came, for the order that it may become."""
    return PinnedQuote(document=quote_document(quote), expires_at=quote.expires_at, digits=digits)


def kept(pinned: PinnedQuote | None) -> dict[str, Any] | None:
    """Return what a preview keeps of a pinned quote, in JSON values."""
    return None if pinned is None else {"quote": dict(pinned.document), "digits": pinned.digits}


def restored(document: Mapping[str, Any]) -> PinnedQuote:
    """Return the pinned quote that a preview kept."""
    return PinnedQuote(document["quote"], read_quote(document["quote"]).expires_at, document["digits"])


def seat_quote(change: SeatChange, pinned: PinnedQuote) -> SeatQuote:
    """Return a pinned quote as a preview shows it; the proration counts from the core's instant (rule Q2)."""
    quote = read_quote(pinned.document)
    return SeatQuote(
        change=SeatChange(change.changes, at=quote.at, upgrade_from=change.upgrade_from, placed=change.placed),
        bill=quote.bill,
        seats=quote.seats,
        currency=quote.currency,
        digits=pinned.digits,
        renewal_at=quote.renewal_at,
        renewal_before=quote.renewal_before,
        renewal_after=quote.renewal_after,
        renewal_lines=quote.renewal_lines,
        sentences=quote.sentences,
        pinned=pinned,
    )
