"""A page of people by one statement, for the lists that directories walk through to compare them with their own."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from bridge.domain.identifiers import ConnectionId, MemberId, OrgId
from bridge.store.lane import Lane
from bridge.usecases.quick_writes import Caller

_READ = "lane_people"


class PersonOnPage(NamedTuple):
    """A person with the page they are on, named as :class:`~bridge.store.models.Member` names them.

    ``total`` is None on a page by cursor, ``reason`` for who does not only read. ``groups`` has id, name and the group
    between of each way into a group. ``active`` is what the directory reads, which the brake may
    keep from taking effect.
    """

    org_id: OrgId
    connection_id: ConnectionId
    can_write: bool
    schema_version: int
    total: int | None
    id: MemberId
    position: int
    user_name: str
    external_id: str | None
    active: bool
    document: dict[str, Any]
    version: int
    created_at: datetime
    modified_at: datetime
    tier: str | None
    waiting_for: str | None
    decision_id: uuid.UUID | None
    reason: str | None
    groups: Sequence[tuple[str, str, str | None]] | None

    @property
    def is_on(self) -> bool:
        """Whether the directory reads the person as active."""
        return self.active


_ID = PersonOnPage._fields.index("id")


@dataclass(frozen=True, slots=True)
class PageOfPeople:
    """People in the order in which they were read, and who asked."""

    org_id: OrgId
    can_write: bool
    schema_version: int
    total: int | None
    people: Sequence[PersonOnPage]


def page_by_index(lane: Lane, caller: Caller, *, skip: int, most: int) -> PageOfPeople | None:
    """Read people in order of arrival, some of them skipped, and count all there are.

    Returns:
        None when the general way has to answer.
    """
    return _page(lane, caller, (True, skip, False, most))


def page_past(lane: Lane, caller: Caller, position: int, *, backwards: bool, most: int) -> PageOfPeople | None:
    """Read people past a position of arrival, or before it from the nearest on.

    Returns:
        None when the general way has to answer.
    """
    return _page(lane, caller, (False, position, backwards, most))


def _page(lane: Lane, caller: Caller, asked: tuple[bool, int, bool, int]) -> PageOfPeople | None:
    parameters = (caller.token_hash, caller.at, caller.slug, *asked)
    rows = lane.ask_for_all(_READ, parameters, PersonOnPage._make)
    if not rows:
        return None
    first = rows[0]
    is_empty = first[_ID] is None
    return PageOfPeople(first.org_id, first.can_write, first.schema_version, first.total, () if is_empty else rows)
