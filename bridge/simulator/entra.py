"""Microsoft Entra's provisioning service, as it speaks to an application from outside the gallery.

Operations are capitalised, booleans are text, members go one to a request, and references are checked by a filter
before they are written.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from bridge.simulator.directory import Directory, DirectoryGroup, Person
from bridge.simulator.provisioning import ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA, ProvisioningClient
from bridge.simulator.wire import Exchange, Wire

MICROSOFT_GROUP_SCHEMA = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


class EntraClient(ProvisioningClient):
    """Provisioning of one enterprise application."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._managers_sent: dict[str, str] = {}

    def begin(self) -> None:
        """Test the connection: look for somebody whom nobody can be."""
        self.send("GET", "/Users", query={"filter": f'userName eq "{uuid.uuid4()}"'})

    def finish(self, directory: Directory) -> None:
        """Write references last, when both ends are there: ask first whether the manager is so already."""
        for person in directory:
            subject, manager = self.linked.get(person.id), self.linked.get(person.manager or "")
            if subject is None or manager is None or self._managers_sent.get(person.id) == manager:
                continue
            check = {"filter": f'id eq "{subject}" and manager eq "{manager}"', "attributes": "id"}
            found = self.send("GET", "/Users", query=check)
            written = found.accepted and bool(found.answer.get("totalResults"))
            if not written:
                operation = {"op": "Add", "path": f"{ENTERPRISE_SCHEMA}:manager", "value": manager}
                written = self.patch(f"/Users/{subject}", operation).accepted
            if written:
                self._managers_sent[person.id] = manager

    def find_person(self, person: Person) -> Exchange:
        """Filter by the matching attribute, userName."""
        return self.send("GET", "/Users", query={"filter": f'userName eq "{person.user_name}"'})

    def create_person(self, person: Person) -> Exchange:
        """POST with the enterprise extension, a resourceType in ``meta`` and an empty list of roles."""
        return self.send(
            "POST",
            "/Users",
            {
                "schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA],
                "externalId": person.id,
                "userName": person.user_name,
                "active": person.active,
                "displayName": person.display_name,
                "emails": [{"primary": True, "type": "work", "value": person.user_name}],
                "meta": {"resourceType": "User"},
                "name": {
                    "formatted": person.display_name,
                    "familyName": person.family_name,
                    "givenName": person.given_name,
                },
                "roles": [],
                "title": person.title or None,
                ENTERPRISE_SCHEMA: {"department": person.department or None},
            },
        )

    def update_person(self, person: Person, before: Person | None) -> Sequence[Exchange]:
        """PATCH what differs, each attribute by its own operation."""
        old = {} if before is None else _attributes(before)
        operations = [
            {"op": "Replace", "path": path, "value": value}
            for path, value in _attributes(person).items()
            if old.get(path, "") != value
        ]
        if before is None:
            operations.append({"op": "Replace", "path": "active", "value": str(person.active)})
        return (self.patch(f"/Users/{self.linked[person.id]}", *operations),) if operations else ()

    def switch_person(self, person: Person) -> Sequence[Exchange]:
        """PATCH ``active`` with a text, which is how the service writes booleans without its compliance flag."""
        operation = {"op": "Replace", "path": "active", "value": str(person.active)}
        return (self.patch(f"/Users/{self.linked[person.id]}", operation),)

    def find_group(self, group: DirectoryGroup) -> Exchange:
        """Filter by displayName, without members."""
        query = {"excludedAttributes": "members", "filter": f'displayName eq "{group.name}"'}
        return self.send("GET", "/Groups", query=query)

    def create_group(self, group: DirectoryGroup) -> Exchange:
        """POST an empty group, with Microsoft's own schema beside the standard's."""
        return self.send(
            "POST",
            "/Groups",
            {
                "schemas": [GROUP_SCHEMA, MICROSOFT_GROUP_SCHEMA],
                "externalId": group.id,
                "displayName": group.name,
                "meta": {"resourceType": "Group"},
            },
        )

    def change_members(
        self, group: DirectoryGroup, added: Sequence[Person], removed: Sequence[Person]
    ) -> Sequence[Exchange]:
        """PATCH each member alone, in a list of one."""
        steps = [("Add", person) for person in added] + [("Remove", person) for person in removed]
        return tuple(
            self.patch(
                f"/Groups/{self.linked[group.id]}",
                {"op": operation, "path": "members", "value": [self._member(operation, person)]},
            )
            for operation, person in steps
        )

    def _member(self, operation: str, person: Person) -> dict[str, Any]:
        value = self.linked[person.id]
        return {"$ref": None, "value": value} if operation == "Add" else {"value": value}


def _attributes(person: Person) -> dict[str, str]:
    return {
        "userName": person.user_name,
        "displayName": person.display_name,
        'emails[type eq "work"].value': person.user_name,
        "name.givenName": person.given_name,
        "name.familyName": person.family_name,
        "name.formatted": person.display_name,
        "title": person.title,
        f"{ENTERPRISE_SCHEMA}:department": person.department,
    }
