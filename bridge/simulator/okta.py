"""Okta's SCIM client: an application made with the App Integration Wizard ("custom app").

It PUTs whole profiles, deactivation included, pushes groups with PATCH, never deletes a user, and never tries a refused
request again.
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bridge.simulator.directory import DirectoryGroup, Person
from bridge.simulator.provisioning import GROUP_SCHEMA, USER_SCHEMA, ProvisioningClient
from bridge.simulator.wire import Exchange

_PAGE = {"startIndex": 1, "count": 100}


class OktaClient(ProvisioningClient):
    """Provisioning of one custom app."""

    user_agent: ClassVar[str | None] = "Okta SCIM Client 1.0.0"

    def find_person(self, person: Person) -> Exchange:
        """Filter by userName, as before every POST."""
        return self.send("GET", "/Users", query={"filter": f'userName eq "{person.user_name}"', **_PAGE})

    def create_person(self, person: Person) -> Exchange:
        """POST with ``groups: []`` and a password, which Okta makes up where it does not synchronize one."""
        body = _profile(person)
        return self.send(
            "POST",
            "/Users",
            {
                **body,
                "locale": "en-US",
                "externalId": okta_id(person.id),
                "groups": [],
                "password": secrets.token_urlsafe(9),
            },
        )

    def update_person(self, person: Person, before: Person | None) -> Sequence[Exchange]:
        """Read the user, then PUT the whole profile, without ``externalId``."""
        del before
        return self._put(person)

    def switch_person(self, person: Person) -> Sequence[Exchange]:
        """Deactivate by the same PUT, with ``active: false``."""
        return self._put(person)

    def find_group(self, group: DirectoryGroup) -> Exchange:
        """Filter by displayName."""
        return self.send("GET", "/Groups", query={"filter": f'displayName eq "{group.name}"', **_PAGE})

    def create_group(self, group: DirectoryGroup) -> Exchange:
        """POST with the members filled in already."""
        members = self._linked_people(self.members_sent_with(group))
        return self.send(
            "POST",
            "/Groups",
            {
                "schemas": [GROUP_SCHEMA],
                "displayName": group.name,
                "members": [self._member(person) for person in members],
            },
        )

    def members_sent_with(self, group: DirectoryGroup) -> tuple[str, ...]:
        """Return everybody the product has."""
        return tuple(one for one in group.members if one in self.linked)

    def change_members(
        self, group: DirectoryGroup, added: Sequence[Person], removed: Sequence[Person]
    ) -> Sequence[Exchange]:
        """PATCH once: a filter for each who left, one list of those who joined."""
        operations: list[Mapping[str, Any]] = [
            {"op": "remove", "path": f'members[value eq "{self.linked[person.id]}"]'} for person in removed
        ]
        if added:
            operations.append({"op": "add", "path": "members", "value": [self._member(person) for person in added]})
        return (self.patch(f"/Groups/{self.linked[group.id]}", *operations),)

    def _put(self, person: Person) -> Sequence[Exchange]:
        path = f"/Users/{self.linked[person.id]}"
        present = self.send("GET", path)
        if not present.accepted:
            return (present,)
        return (self.send("PUT", path, {"id": self.linked[person.id], **_profile(person), "groups": []}),)

    def _member(self, person: Person) -> dict[str, str]:
        return {"value": self.linked[person.id], "display": person.user_name}


def okta_id(person_id: str) -> str:
    """Return an id the way Okta writes it: ``00u`` and 17 letters and digits."""
    number, digits = uuid.UUID(person_id).int, ""
    for _ in range(17):
        number, rest = divmod(number, 36)
        digits += "0123456789abcdefghijklmnopqrstuvwxyz"[rest]
    return f"00u{digits}"


def _profile(person: Person) -> dict[str, Any]:
    return {
        "schemas": [USER_SCHEMA],
        "userName": person.user_name,
        "name": {"givenName": person.given_name, "familyName": person.family_name},
        "emails": [{"primary": True, "value": person.user_name, "type": "work"}],
        "displayName": person.display_name,
        "active": person.active,
    }
