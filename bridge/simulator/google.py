"""Google Workspace's auto-provisioning: plain POST and PUT of users, groups as the standard has them."""

from collections.abc import Sequence
from typing import Any

from bridge.simulator.directory import DirectoryGroup, Person
from bridge.simulator.provisioning import (
    ENTERPRISE_SCHEMA,
    GROUP_SCHEMA,
    USER_SCHEMA,
    ProvisioningClient,
)
from bridge.simulator.wire import Exchange


class GoogleClient(ProvisioningClient):
    """Provisioning of one application."""

    def find_person(self, person: Person) -> Exchange:
        """Filter by userName."""
        return self.send("GET", "/Users", query={"filter": f'userName eq "{person.user_name}"'})

    def create_person(self, person: Person) -> Exchange:
        """POST the whole user."""
        return self.send("POST", "/Users", _user(person))

    def update_person(self, person: Person, before: Person | None) -> Sequence[Exchange]:
        """PUT the whole user."""
        del before
        return (self.send("PUT", f"/Users/{self.linked[person.id]}", _user(person)),)

    def switch_person(self, person: Person) -> Sequence[Exchange]:
        """PUT the whole user, suspended or not."""
        return self.update_person(person, None)

    def find_group(self, group: DirectoryGroup) -> Exchange:
        """Filter by displayName."""
        return self.send("GET", "/Groups", query={"filter": f'displayName eq "{group.name}"'})

    def create_group(self, group: DirectoryGroup) -> Exchange:
        """POST the group alone."""
        return self.send("POST", "/Groups", {"schemas": [GROUP_SCHEMA], "displayName": group.name})

    def change_members(
        self, group: DirectoryGroup, added: Sequence[Person], removed: Sequence[Person]
    ) -> Sequence[Exchange]:
        """PATCH once, in the standard's own words."""
        operations: list[dict[str, Any]] = [
            {"op": "remove", "path": f'members[value eq "{self.linked[person.id]}"]'} for person in removed
        ]
        if added:
            members = [{"value": self.linked[person.id]} for person in added]
            operations.append({"op": "add", "path": "members", "value": members})
        return (self.patch(f"/Groups/{self.linked[group.id]}", *operations),)


def _user(person: Person) -> dict[str, Any]:
    return {
        "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
        "userName": person.user_name,
        "externalId": person.id,
        "name": {"givenName": person.given_name, "familyName": person.family_name},
        "emails": [{"value": person.user_name, "type": "work", "primary": True}],
        "displayName": person.display_name,
        "active": person.active,
        ENTERPRISE_SCHEMA: {"department": person.department},
    }
