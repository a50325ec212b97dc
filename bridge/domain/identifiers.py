"""Opaque identifiers. None of them is ever compared with an ``externalId`` of an identity provider."""

import uuid
from typing import NewType

OrgId = NewType("OrgId", uuid.UUID)
MemberId = NewType("MemberId", uuid.UUID)
GroupId = NewType("GroupId", uuid.UUID)
ConnectionId = NewType("ConnectionId", uuid.UUID)


def new_id() -> uuid.UUID:
    """Make a random identifier that tells nothing and repeats never."""
    return uuid.uuid4()


def parse_id(text: str) -> uuid.UUID | None:
    """Read an identifier in its one written form; None for anything else.

    Only the lower-case form with dashes is one of ours, so that two texts never name the same thing.
    """
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value if str(value) == text else None
