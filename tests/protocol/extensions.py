"""A schema of an organization's own with an attribute of every type, for tests."""

from typing import Any

from bridge.usecases.extension_schemas import apply_schema
from tests.factories import Customer

ACME = "urn:example:params:scim:schemas:extension:acme:2.0:User"
CREW = "urn:example:params:scim:schemas:extension:crew:2.0:Group"


def attribute(name: str, kind: str = "string", **facts: Any) -> dict[str, Any]:
    """Return the declaration of an attribute."""
    return {"name": name, "type": kind, **facts}


EVERY_TYPE: dict[str, Any] = {
    "resourceType": "User",
    "id": ACME,
    "name": "Acme",
    "description": "What Acme keeps of its people",
    "attributes": [
        attribute("badge"),
        attribute("code", caseExact=True),
        attribute("level", "integer"),
        attribute("ratio", "decimal"),
        attribute("remote", "boolean"),
        attribute("hiredAt", "dateTime"),
        attribute("profile", "reference", referenceTypes=["external"]),
        attribute("seal", "binary"),
        attribute("tags", multiValued=True),
        attribute("scores", "integer", multiValued=True),
        attribute(
            "desk",
            "complex",
            subAttributes=[attribute("building"), attribute("floor", "integer"), attribute("since", "dateTime")],
        ),
        attribute(
            "contracts",
            "complex",
            multiValued=True,
            subAttributes=[
                attribute("value"),
                attribute("type"),
                attribute("code", caseExact=True),
                attribute("hours", "decimal"),
                attribute("primary", "boolean"),
            ],
        ),
        attribute("note", returned="request"),
        attribute("pin", returned="never"),
        attribute("site", returned="always"),
        attribute("grade", mutability="readOnly"),
    ],
}
OF_GROUPS: dict[str, Any] = {
    "resourceType": "Group",
    "id": CREW,
    "name": "Crew",
    "attributes": [attribute("costCode"), attribute("size", "integer")],
}


def declare(customer: Customer, *declarations: dict[str, Any]) -> None:
    """Declare schemas for a customer."""
    with customer.unit() as unit:
        for declaration in declarations:
            apply_schema(unit, declaration)
