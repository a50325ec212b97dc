"""The provisioning log's words: what is special about an entry, and identifiers in the order of arrival."""

import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class Mark(StrEnum):
    """What is special about an entry."""

    TOKEN_MISSING = "token_missing"  # noqa: S105 (a code, not a token)
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    CONNECTION_DISABLED = "connection_disabled"
    OTHER_ORGANIZATION = "other_organization"
    UNKNOWN_SHAPE = "unknown_shape"
    RATE_LIMITED = "rate_limited"
    HELD = "held"
    PUSHES_REFUSED = "pushes_refused"


#: What each mark means and what helps, ending without a full stop.
MEANINGS: Mapping[Mark, str] = MappingProxyType(
    {
        Mark.TOKEN_MISSING: "no bearer token was sent: set the token in the identity provider",
        Mark.TOKEN_UNKNOWN: "nobody here has this token: copy the connection's token into the identity provider again",
        Mark.TOKEN_EXPIRED: "the token has expired: issue another one and put it into the identity provider",
        Mark.TOKEN_REVOKED: "the token was revoked: put the connection's present token into the identity provider",
        Mark.CONNECTION_DISABLED: "the connection is disabled: its tokens are refused until it is enabled",
        Mark.OTHER_ORGANIZATION: "the token is good, but the address names another organization: correct the base URL",
        Mark.UNKNOWN_SHAPE: "members or active came in an unknown shape: that changed nothing, owners have an alert",
        Mark.RATE_LIMITED: "more requests came than are answered at once: the client was told when to come again",
        Mark.HELD: "it was accepted, and its effect on many people waits for an owner: see seatbridge brake show",
        Mark.PUSHES_REFUSED: "the provisioning mode takes no pushes: see seatbridge provisioning show",
    }
)


def ordered_id(at: datetime, count: int) -> uuid.UUID:
    """Make a UUIDv7 (RFC 9562 §5.7, §6.2 method 1): the milliseconds, a count of 12 bits, and 62 random bits.

    Args:
        at: The instant, aware.
        count: Orders what has the same millisecond; only its last 12 bits are kept.
    """
    return uuid.UUID(int=_at(at) | (7 << 76) | ((count & 0xFFF) << 64) | (2 << 62) | secrets.randbits(62))


def first_id_of(at: datetime) -> uuid.UUID:
    """Return what no :func:`ordered_id` of this instant or later is below."""
    return uuid.UUID(int=_at(at))


def _at(at: datetime) -> int:
    return int(at.timestamp() * 1000) << 80
