"""Declarations of extension schemas: what is read, what is refused and where, what a change endangers."""

from typing import Any

import pytest

from bridge.domain.extension_schemas import (
    MAX_ATTRIBUTES,
    MAX_SCHEMAS,
    changes_between,
    check_beside,
    read_schema,
)
from bridge.errors import InvalidInputError

URN = "urn:example:params:scim:schemas:extension:acme:2.0:User"


def declaration(*attributes: dict[str, Any], **facts: Any) -> dict[str, Any]:
    listed = list(attributes) or [{"name": "badge"}]
    return {"resourceType": "User", "id": URN, "name": "Acme", "attributes": listed, **facts}


def test_every_characteristic_is_written_out() -> None:
    document = read_schema(declaration({"name": "seal", "type": "binary"})).document()

    assert document["attributes"] == [
        {
            "name": "seal",
            "type": "binary",
            "multiValued": False,
            "description": "",
            "required": False,
            "caseExact": True,
            "mutability": "readWrite",
            "returned": "default",
            "uniqueness": "none",
        }
    ]


def test_what_is_written_out_reads_as_the_same_schema() -> None:
    schema = read_schema(
        declaration(
            {"name": "desk", "type": "complex", "subAttributes": [{"name": "$ref", "type": "reference"}]},
            {"name": "code", "canonicalValues": ["a"], "returned": "request", "mutability": "readOnly"},
        )
    )

    assert read_schema(schema.declaration()) == schema


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ([], "schema"),
        (declaration(resourceType="Device"), "resourceType"),
        (declaration(id="acme"), "id"),
        (declaration(id="urn:ietf:params:scim:schemas:core:2.0:User"), "id"),
        (declaration(id="URN:ietf:params:scim:schemas:core:2.0:User"), "id"),
        (declaration(id="urn:SEATBRIDGE:params:scim:schemas:extension:seat:2.0:User"), "id"),
        (declaration(id=f"urn:example:{'x' * 300}"), "id"),
        (declaration(id="urn:example:a b"), "id"),
        (declaration(name=""), "name"),
        (declaration(attributes=[]), "attributes"),
        (declaration(attribute=[]), "attribute"),
        (declaration(schemas=["urn:x:y:z"]), "schemas"),
        (declaration({"name": "9lives"}), "attributes[0].name"),
        (declaration({"name": "a.b"}), "attributes[0].name"),
        (declaration({"name": "meta"}), "attributes[0].name"),
        (declaration({"name": "a"}, {"name": "A"}), "attributes[1].name"),
        (declaration({"name": "cost-center"}, {"name": "costCenter"}), "attributes[1].name"),
        (declaration({"name": "a", "type": "text"}), "attributes[0].type"),
        (declaration({"name": "a", "required": True}), "attributes[0].required"),
        (declaration({"name": "a", "uniqueness": "server"}), "attributes[0].uniqueness"),
        (declaration({"name": "a", "mutability": "immutable"}), "attributes[0].mutability"),
        (declaration({"name": "a", "mutability": "writeOnly"}), "attributes[0].mutability"),
        (declaration({"name": "a", "returned": "often"}), "attributes[0].returned"),
        (declaration({"name": "a", "multiValued": "yes"}), "attributes[0].multiValued"),
        (declaration({"name": "a", "caseexact": True}), "attributes[0].caseexact"),
        (declaration({"name": "a", "type": "reference", "caseExact": False}), "attributes[0].caseExact"),
        (declaration({"name": "a", "referenceTypes": ["User"]}), "attributes[0].referenceTypes"),
        (declaration({"name": "a", "type": "complex"}), "attributes[0].subAttributes"),
        (declaration({"name": "a", "subAttributes": [{"name": "b"}]}), "attributes[0].subAttributes"),
        (
            declaration({"name": "a", "type": "complex", "subAttributes": [{"name": "b", "type": "complex"}]}),
            "attributes[0].subAttributes[0].type",
        ),
        (
            declaration({"name": "a", "type": "complex", "subAttributes": [{"name": "b", "multiValued": True}]}),
            "attributes[0].subAttributes[0].multiValued",
        ),
        (
            declaration({"name": "a", "type": "complex", "subAttributes": [{"name": "b", "mutability": "readOnly"}]}),
            "attributes[0].subAttributes[0].mutability",
        ),
        (declaration(*({"name": f"a{number}"} for number in range(MAX_ATTRIBUTES + 1))), "attributes"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_place(wrong: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_schema(wrong)

    assert refused.value.field == field


def test_schemas_that_a_path_could_not_tell_apart_are_refused() -> None:
    schema = read_schema(declaration())
    inner = read_schema(declaration(id=f"{URN.upper().replace('URN', 'urn')}:more"))

    with pytest.raises(InvalidInputError, match="told apart"):
        check_beside(inner, [schema])


def test_there_are_at_most_twenty() -> None:
    others = [read_schema(declaration(id=f"{URN}{number}")) for number in range(MAX_SCHEMAS)]

    with pytest.raises(InvalidInputError, match="at most 20"):
        check_beside(read_schema(declaration()), others)


def test_a_change_names_what_it_endangers() -> None:
    desk = {"name": "desk", "type": "complex", "subAttributes": [{"name": "floor"}, {"name": "room"}]}
    old = read_schema(declaration({"name": "badge"}, {"name": "level"}, {"name": "gone"}, desk))
    moved = {"name": "desk", "type": "complex", "subAttributes": [{"name": "floor", "type": "integer"}]}
    new = read_schema(
        declaration(
            {"name": "badge", "returned": "request"}, {"name": "level", "multiValued": True}, moved, {"name": "new"}
        )
    )

    changes = {change.sentence: change.endangers for change in changes_between(old, new)}

    assert changes == {
        "removes gone": ("gone",),
        "changes what is said of badge": None,
        "changes level from string to several string": ("level",),
        "removes desk.room": ("desk", "room"),
        "changes desk.floor from string to integer": ("desk", "floor"),
        "adds new (string)": None,
    }


def test_the_same_declaration_changes_nothing() -> None:
    assert changes_between(read_schema(declaration()), read_schema(declaration(meta={"version": "1"}))) == []
