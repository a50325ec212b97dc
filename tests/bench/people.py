"""The people the databases are filled with and the requests push: as Okta describes them, each told by a number."""

import uuid
from hashlib import md5
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

#: People beyond the ones counted: nobody's rule speaks of them until they join a mapped group.
OUTSIDERS = 512
ENGINEERING, DESIGN, SUPPORT = "Engineering", "Design", "Support"
_DESIGN_SHARE = 4

PREMIUM, STANDARD = "premium", "standard"
MEASURED_GROUPS = 3
#: The group whose members a changed mapping moves from Standard to Premium.
MOVERS = "Bench movers"
#: The group that gets many members at once.
BULK = "Bench bulk"
SYNCED_GROUPS, SYNCED_MAPPED_EVERY = 200, 10


def department_of(number: int, people: int) -> str:
    """Return the department of a seeded person: every fourth designs, who comes after ``people`` is an outsider."""
    if number >= people:
        return SUPPORT
    return DESIGN if number % _DESIGN_SHARE == _DESIGN_SHARE - 1 else ENGINEERING


def user_name(number: int) -> str:
    """Return the userName of a person."""
    return f"Person.{number:07}@bench.example.com"


def external_id(number: int) -> str:
    """Return the externalId of a person."""
    return f"00u{number:07}ExternalId"


def id_of(number: int) -> str:
    """Return the id that a seeded person has; SQL computes the same."""
    return str(uuid.UUID(md5(f"person {number}".encode(), usedforsecurity=False).hexdigest()))


def person(number: int, department: str = ENGINEERING) -> dict[str, Any]:
    """Return a person as Okta pushes one, some 600 bytes."""
    name = user_name(number)
    return {
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "externalId": external_id(number),
        "name": {"givenName": f"Given{number:07}", "familyName": f"Family{number:07}"},
        "displayName": f"Given{number:07} Family{number:07}",
        "title": "Engineer",
        "locale": "en-US",
        "preferredLanguage": "en",
        "timezone": "Europe/Oslo",
        "userType": "Employee",
        "active": True,
        "emails": [{"primary": True, "value": name, "type": "work"}],
        "phoneNumbers": [{"value": f"+47 {number:07}", "type": "mobile"}],
        ENTERPRISE: {
            "employeeNumber": f"{number:07}",
            "costCenter": "4130",
            "organization": "Bench AS",
            "division": "Products",
            "department": department,
        },
    }


def group(name: str, *members: str) -> dict[str, Any]:
    """Return a group with its members."""
    return {"schemas": [GROUP], "displayName": name, "members": [{"value": member} for member in members]}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a PATCH."""
    return {"schemas": [PATCH], "Operations": list(operations)}


def measured_group(place: int) -> str:
    """Return the name of a measured group; all of them are mapped."""
    return f"Bench {place}"


def synced_group(number: int) -> str:
    """Return the name of a group of the first sync; every tenth is mapped."""
    return f"Synced {number:03}"


def mapping_document(*, movers: bool = False) -> dict[str, Any]:
    """Return the mappings in force: two departments, the measured groups and some of the synced ones have a tier.

    Args:
        movers: Whether the movers get Premium, which moves those of them who have Standard.
    """
    rules: list[dict[str, Any]] = [
        {"attribute": "department", "equals": ENGINEERING, "tier": STANDARD},
        {"attribute": "department", "equals": DESIGN, "tier": PREMIUM},
        {"group": BULK, "expected": True, "tier": STANDARD},
        *({"group": measured_group(place), "expected": True, "tier": STANDARD} for place in range(MEASURED_GROUPS)),
        *(
            {"group": synced_group(number), "expected": True, "tier": PREMIUM}
            for number in range(0, SYNCED_GROUPS, SYNCED_MAPPED_EVERY)
        ),
    ]
    if movers:
        rules.append({"group": MOVERS, "expected": True, "tier": PREMIUM})
    return {"schema": 1, "on_exhausted": "unassigned", "default": "unassigned", "rules": rules}
