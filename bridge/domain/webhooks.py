"""Events that the application behind the bridge is told of, and which change each of them stands for."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from bridge.errors import InvalidInputError


class EventType(StrEnum):
    """What happened, as the ``type`` of an event says it."""

    USER_CREATED = "user.created"
    USER_DEACTIVATED = "user.deactivated"
    USER_REACTIVATED = "user.reactivated"
    USER_REMOVED = "user.removed"
    SEAT_ASSIGNED = "seat.assigned"
    SEAT_RELEASED = "seat.released"
    SEAT_WAITING = "seat.waiting"
    SESSION_ENDED = "session.ended"


#: Sent on request only, to every endpoint.
TEST: Final = "webhook.test"
#: Of each action in the audit chain that is an event, which one: whatever is audited so is told, by whichever way.
EVENT_OF: Final[Mapping[str, EventType]] = MappingProxyType(
    {
        "member.created": EventType.USER_CREATED,
        "member.deactivated": EventType.USER_DEACTIVATED,
        "member.reactivated": EventType.USER_REACTIVATED,
        "member.removed": EventType.USER_REMOVED,
        "seat.assigned": EventType.SEAT_ASSIGNED,
        "seat.released": EventType.SEAT_RELEASED,
        "seat.waiting": EventType.SEAT_WAITING,
        "session.ended": EventType.SESSION_ENDED,
    }
)


def read_events(names: Collection[str]) -> tuple[EventType, ...]:
    """Read which events are wanted, in one order; none named means all of them.

    Raises:
        InvalidInputError: There is no such event.
    """
    unknown = sorted(set(names) - set(EventType))
    if unknown:
        raise InvalidInputError("events", f"{unknown[0]!r} is none of {', '.join(EventType)}")
    return tuple(event for event in EventType if not names or event in names)
