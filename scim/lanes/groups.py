"""The lanes for groups: read without members, look up by name, let a few people in or out."""

import re
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from scim2_models import ResourceType
from scim2_server.responses import ScimResponse

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import parse_id
from bridge.store.lane import Lane
from bridge.store.models import Group
from bridge.usecases.quick_groups import FoundGroup, change_membership, find_group
from bridge.usecases.quick_writes import Caller, Rules
from scim.handler import MAX_MEMBERS_SHOWN
from scim.lanes.call import Call
from scim.memberships import members_delta
from scim.service import LIST_RESPONSE, BridgeService
from scim.services import Services
from scim.translate import StoredGroup, to_json

#: The most people that one request of the lane lets in or out.
MAX_TOUCHED = 100
#: A longer body names more people: it is not read here first, to be read again there.
_MOST_BYTES = 32_768

_LOOK_UP = re.compile(
    r' *(displayName|externalId) +eq +"([^"\\\x00-\x1f\ud800-\udfff]{1,255})" *', re.IGNORECASE | re.ASCII
)
_NAMES = {"displayname": "displayName", "externalid": "externalId"}


class GroupsLane:
    """Answers requests about one group.

    Args:
        lane: Connections.
        services: The protocol of each organization.
        root: Address of SCIM, without the organization.
    """

    def __init__(self, lane: Lane, services: Services, root: str) -> None:
        self.lane, self.services, self.root = lane, services, root

    def read(self, caller: Caller, group_id: str, query: Mapping[str, str]) -> ScimResponse | None:
        """Answer with a group, its members left out."""
        if query.keys() != {"excludedAttributes"} or not _leaves_members_out(query):
            return None
        found = find_group(self.lane, caller, "id", group_id, most=0)
        if not isinstance(found, FoundGroup):
            return None
        return self._shown(caller, found, self._service_of(found))

    def search(self, caller: Caller, query: Mapping[str, str]) -> ScimResponse | None:
        """Answer a search that compares one unique attribute."""
        terms = look_up_terms(query)
        if terms is None:
            return None
        without = "excludedAttributes" in query
        found = find_group(self.lane, caller, *terms, most=0 if without else MAX_TOUCHED)
        if found is None:
            return None
        groups = []
        if isinstance(found, FoundGroup):
            own = self._service_of(found).own["Group"]
            groups.append(to_json(_stored(found), f"{self.root}/{caller.slug}", own))
        body = {
            "schemas": [LIST_RESPONSE],
            "totalResults": len(groups),
            "itemsPerPage": len(groups),
            "startIndex": 1,
            "Resources": groups,
        }
        return ScimResponse(HTTPStatus.OK, body)

    def patch(
        self, caller: Caller, rules: Rules, service: BridgeService, group_id: str, call: Call
    ) -> ScimResponse | None:
        """Let people in or out; None for a PATCH that says anything else."""
        if (call.request.content_length or 0) > _MOST_BYTES:
            return None
        plain = service.plain_patch(_groups(service), *call.content(service.max_body_bytes))
        delta = members_delta(plain["Operations"])
        if delta is None or delta.whole is not None or not 0 < len(delta.added) + len(delta.removed) <= MAX_TOUCHED:
            return None
        added, removed = _ids(delta.added), _ids(delta.removed)
        if added is None or removed is None:
            return None
        found = change_membership(
            self.lane, caller, rules, uuid.UUID(group_id), add=added, remove=removed, most=MAX_MEMBERS_SHOWN
        )
        if found is None:
            return None
        if found.too_many:
            return ScimResponse(HTTPStatus.NO_CONTENT, None, {"ETag": _stored(found).version})
        return self._shown(caller, found, service)

    def _service_of(self, found: FoundGroup) -> BridgeService:
        return self.services.at(found.org_id, found.schema_version, can_write=found.can_write)

    def _shown(self, caller: Caller, found: FoundGroup, service: BridgeService) -> ScimResponse:
        stored = _stored(found)
        base_url = f"{self.root}/{caller.slug}"
        headers = {"ETag": stored.version, "Content-Location": f"{base_url}/Groups/{found.group.id}"}
        return ScimResponse(HTTPStatus.OK, to_json(stored, base_url, service.own["Group"]), headers)


def look_up_terms(query: Mapping[str, str]) -> tuple[str, str] | None:
    """Read a search that compares one unique attribute: its name and the value it is compared by.

    None for any other search, and for one that shows a part of a group other than all but its members.
    """
    if not query.keys() <= {"filter", "startIndex", "count", "excludedAttributes"}:
        return None
    if query.get("startIndex", "1") != "1":
        return None
    if "excludedAttributes" in query and not _leaves_members_out(query):
        return None
    count = query.get("count", "1")
    found = _LOOK_UP.fullmatch(query.get("filter", ""))
    if found is None or not (count.isascii() and count.isdigit() and int(count[:9]) > 0):
        return None
    attribute, value = _NAMES[found.group(1).casefold()], found.group(2)
    return attribute, comparison_key(value) if attribute == "displayName" else value


def _leaves_members_out(query: Mapping[str, str]) -> bool:
    return query["excludedAttributes"].lower() == "members"


def _stored(found: FoundGroup) -> StoredGroup:
    """Return a group as answers are made from."""
    group = cast("Group", found.group)  # a row has every name that an answer reads
    return StoredGroup(group, None if found.members is None else [(member_id, "") for member_id in found.members])


def _groups(service: BridgeService) -> ResourceType:
    return service.resource_type_at("Groups")


def _ids(values: Mapping[str, Any]) -> set[uuid.UUID] | None:
    """Return values as ids; None when one of them is none."""
    ids: set[uuid.UUID] = set()
    for value in values:
        identifier = parse_id(value)
        if identifier is None:
            return None
        ids.add(identifier)
    return ids
