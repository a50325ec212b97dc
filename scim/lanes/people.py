"""The lanes for people: read by id, look up by name, create, replace, patch."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import cast

from scim2_models import ResourceType
from scim2_server.conditions import Conditions

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId, parse_id
from bridge.store.lane import Lane
from bridge.store.models import Member
from bridge.usecases.quick_people import FoundPerson, Nobody, change, find_person, take_in, turn, write_texts
from bridge.usecases.quick_writes import Caller, Rules
from scim.lanes.call import Call
from scim.lanes.edits import edit_of
from scim.resources import model_of, policy_for
from scim.service import BridgeService
from scim.translate import StoredPerson, digest_of_groups, person_draft, to_resource

# Letters beyond ASCII fold into some of these, and spaces beyond it are none for the filter's grammar.
_LOOK_UP = re.compile(
    r' *(userName|externalId|id) +eq +"([^"\\\x00-\x1f\ud800-\udfff]{1,255})" *', re.IGNORECASE | re.ASCII
)
_NAMES = {name.casefold(): name for name in ("userName", "externalId", "id")}


def look_up_terms(query: Mapping[str, str]) -> tuple[str, str] | None:
    """Read a search that compares one unique attribute: its name and the value it is compared by.

    None for any other search.
    """
    if not query.keys() <= {"filter", "startIndex", "count"} or query.get("startIndex", "1") != "1":
        return None
    count = query.get("count", "1")
    found = _LOOK_UP.fullmatch(query.get("filter", ""))
    if found is None or not (count.isascii() and count.isdigit() and int(count[:9]) > 0):
        return None
    attribute, value = _NAMES[found.group(1).casefold()], found.group(2)
    if attribute == "userName":
        return attribute, comparison_key(value)
    if attribute == "id" and parse_id(value) is None:
        return None
    return attribute, value


class PeopleLane:
    """Answers requests about one person.

    Args:
        lane: Connections.
        base_url: Address of the organization's SCIM root.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane

    def read(self, caller: Caller, member_id: str) -> FoundPerson | None:
        """Find a person by id; None when nobody has it."""
        found = find_person(self.lane, caller, "id", member_id)
        return None if isinstance(found, Nobody) else found

    def look_up(self, caller: Caller, attribute: str, value: str) -> FoundPerson | Nobody | None:
        """Find a person by a unique attribute."""
        return find_person(self.lane, caller, attribute, value)

    def create(self, caller: Caller, rules: Rules, service: BridgeService, call: Call) -> FoundPerson | None:
        """Take a new person in."""
        with service.provider:
            resource = service.read_creation(_users(service), *call.content(service.max_body_bytes))
            draft = person_draft(resource)
        return take_in(self.lane, caller, rules, draft)

    def replace(
        self, caller: Caller, rules: Rules, service: BridgeService, member_id: str, call: Call
    ) -> FoundPerson | None:
        """Replace what is said of a person; what the body leaves out of externalId and active stays."""
        found = self._read_to_write(caller, rules, member_id)
        if found is None:
            return None
        with service.provider:
            replacement = service.read_replacement(_users(service), *call.content(service.max_body_bytes))
            if getattr(replacement, "external_id", None) in {None, ""}:
                replacement.external_id = found.person.external_id
            draft = person_draft(replacement, stored=found.person, own=service.own["User"])
        return change(self.lane, caller, rules, found, draft)

    def patch(
        self, caller: Caller, rules: Rules, service: BridgeService, member_id: str, call: Call
    ) -> FoundPerson | None:
        """Apply a PATCH: texts and ``active`` straight to the document, anything else through the model."""
        users = _users(service)
        plain = service.plain_patch(users, *call.content(service.max_body_bytes))
        edit = edit_of(plain["Operations"])
        if edit is not None and edit.texts and not edit.listed and edit.active is None:
            written = write_texts(self.lane, caller, rules, uuid.UUID(member_id), edit.texts)
            if written is not None:
                return written
        elif edit is not None and edit.active is not None and not edit.texts and not edit.listed:
            turned = turn(self.lane, caller, rules, MemberId(uuid.UUID(member_id)), active=edit.active)
            if turned is not None:
                return turned
        found = self._read_to_write(caller, rules, member_id)
        if found is None:
            return None
        # Somebody was turned off or on by hand: what the PATCH changes is told by what is shown, not by the document.
        is_as_stored = found.person.document.get("active") is found.person.active
        draft = edit.of(found.person) if edit is not None and is_as_stored else None
        if draft is None:
            texts = (json.dumps(each, ensure_ascii=False) for each in (found.person.document, plain))
            with service.provider, policy_for(*texts):
                patch_op = service.validated_patch(users, plain)
                resource = to_resource(stored_of(found), model_of(service.provider, users))
                if service.apply_patch(resource, patch_op, Conditions()) is None:
                    return found
                draft = person_draft(resource, stored=found.person, own=service.own["User"])
        return change(self.lane, caller, rules, found, draft)

    def _read_to_write(self, caller: Caller, rules: Rules, member_id: str) -> FoundPerson | None:
        found = self.read(caller, member_id)
        if found is None or not found.can_write or found.schema_version != rules.schema_version:
            return None
        return found


def stored_of(found: FoundPerson) -> StoredPerson:
    """Return a person as answers are made from: with the seat for who only reads."""
    member = cast("Member", found.person)  # a row has every name that an answer reads
    direct = [group for group in found.groups if group[0] not in found.inherited]
    around = [group for group in found.groups if group[0] in found.inherited]
    digest = digest_of_groups(direct, around)
    return StoredPerson(member, direct, found.reason, not found.can_write, digest, around)


def _users(service: BridgeService) -> ResourceType:
    return service.resource_type_at("Users")
