"""The lane for lists: one page of all people, by index or by cursor."""

from collections.abc import Mapping
from typing import Any

from scim2_models import SearchRequest
from scim2_server.responses import ScimResponse

from bridge.store.lane import Lane
from bridge.usecases.quick_pages import PageOfPeople, page_by_index, page_past
from bridge.usecases.quick_writes import Caller
from scim.reading import PersonReader
from scim.search import FARTHEST, Found, anchor_at, one_page, position_of
from scim.services import Services

_PLAIN = frozenset({"startIndex", "count", "cursor"})
_PEOPLE = 0


class PagesLane:
    """Answers searches for all people that ask for nothing but a page.

    Args:
        lane: Connections.
        services: The protocol of each organization.
        root: Address of SCIM, without the organization.
    """

    def __init__(self, lane: Lane, services: Services, root: str) -> None:
        self.lane, self.services, self.root = lane, services, root
        self._users = [services.standard.resource_type_at("Users")]

    def search(self, caller: Caller, query: Mapping[str, str]) -> ScimResponse | None:
        """Answer with a page; None for any search that asks for more, or for nobody."""
        if not query.keys() <= _PLAIN:
            return None
        request, position = self.services.standard.read_search_query(self._users, query)
        if not request.count:
            return None
        by_index = request.cursor is None
        found = self._by_index(caller, request) if by_index else self._by_cursor(caller, request, position)
        if found is None:
            return None
        page, listed = found
        service = self.services.at(page.org_id, page.schema_version, can_write=page.can_write)
        base_url = f"{self.root}/{caller.slug}"
        users = [service.resource_type_at("Users")]
        with service.provider:
            return service.listing(base_url, users, listed, list(listed.stored or ()), request)

    def _by_index(self, caller: Caller, request: "SearchRequest[Any]") -> tuple[PageOfPeople, Found] | None:
        skip = min((request.start_index or 1) - 1, FARTHEST)
        page = page_by_index(self.lane, caller, skip=skip, most=request.count or 0)
        return None if page is None else (page, _found(page, page.people))

    def _by_cursor(
        self, caller: Caller, request: "SearchRequest[Any]", position: Any
    ) -> tuple[PageOfPeople, Found] | None:
        anchor, count = anchor_at(position), request.count or 0
        place, backwards = (-1, False) if anchor is None else (anchor.position, anchor.backwards)
        page = page_past(self.lane, caller, place, backwards=backwards, most=count + 1)
        if page is None:
            return None
        people, has_next, has_previous = one_page(page.people, count, anchor)
        following = position_of("next", _PEOPLE, people[-1].position) if has_next else None
        previous = position_of("previous", _PEOPLE, people[0].position) if has_previous else None
        return page, _found(page, people, following, previous)


def _found(page: PageOfPeople, people: Any, following: Any = None, previous: Any = None) -> Found:
    reader = PersonReader(shows_seat=not page.can_write, related=True)
    keys = [("User", person.id) for person in people]
    return Found(keys, page.total, following, previous, [reader.stored(person) for person in people])
