"""The dialects that identity providers speak, brought into one form."""

import json
from typing import Any

import pytest
from scim2_models import InvalidFilterException, InvalidSyntaxException, InvalidValueException, SCIMException

from bridge.domain.documents import ENTERPRISE
from scim import normalize
from scim.errors import UnknownShapeException
from scim.expressions import filter_text

MANAGER = f"{ENTERPRISE}:manager"


def plain(*operations: Any, of_group: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = normalize.patch({"Operations": list(operations)}, of_group=of_group)["Operations"]
    return found


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("externalId eq ext-u1", 'externalId eq "ext-u1"'),
        ("externalId eq 12345", 'externalId eq "12345"'),
        ("active eq True", "active eq True"),
        ('userName eq "a b (c eq d"', 'userName eq "a b (c eq d"'),
        ('userName eq "a\\"b"', 'userName eq "a\\"b"'),
        ("department sw Fin", f'{ENTERPRISE}:department sw "Fin"'),
        (f"{ENTERPRISE.replace(':User', 'User')}:department pr", f"{ENTERPRISE}:department pr"),
        ("not (title pr)", "not (title pr)"),
        ("emails[type eq work].value pr", 'emails[type eq "work"].value pr'),
    ],
)
def test_a_filter_gets_its_quotes_and_full_names(sent: str, meant: str) -> None:
    assert filter_text(sent, of_people=True) == meant


@pytest.mark.parametrize("sent", ['manager eq "m1"', "manager eq m1", "manager[value eq m1]", f'{MANAGER} eq "m1"'])
def test_a_manager_is_compared_by_id(sent: str) -> None:
    meant = filter_text(sent, of_people=True)

    assert "".join(meant.split()).strip("()") == f'{MANAGER}.valueeq"m1"'


@pytest.mark.parametrize("text", ["x" * 9000, "(" * 50, " and ".join(["a pr"] * 301), 'a eq "\x00"'])
def test_a_filter_bomb_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilterException):
        filter_text(text, of_people=True)


@pytest.mark.parametrize("op", [None, "", "jump", 7, {"$ref": "x"}, ["add"]])
@pytest.mark.parametrize("of_group", [False, True])
def test_an_operation_without_a_known_op_is_refused(op: Any, *, of_group: bool) -> None:
    with pytest.raises(InvalidSyntaxException):
        plain({"op": op, "path": "externalId", "value": "x"}, of_group=of_group)


@pytest.mark.parametrize(
    "value", [False, "False", "false", ["False"], [False], {"value": "false"}, [{"$ref": None, "value": "False"}]]
)
def test_active_is_read_in_every_known_shape(value: Any) -> None:
    assert plain({"op": "Replace", "path": "active", "value": value})[0]["value"] is False
    assert normalize.person({"userName": "a", "active": value})["active"] is False


@pytest.mark.parametrize("value", ["perhaps", 0, 1, [], [True, False], {}, {"value": {"value": True}}, None])
def test_an_unknown_shape_of_active_is_refused(value: Any) -> None:
    with pytest.raises(UnknownShapeException):
        plain({"op": "replace", "path": "active", "value": value})


@pytest.mark.parametrize(
    "value",
    [
        ["m1"],
        "m1",
        {"value": "m1"},
        [{"value": "m1", "display": "x"}, {"Value": "m1"}],
        [{"$ref": None, "value": "m1"}],
    ],
)
def test_members_are_read_in_every_known_shape_each_once(value: Any) -> None:
    assert normalize.members(value) == [{"value": "m1"}]


@pytest.mark.parametrize("value", [None, 7, [7], [None], [{}], [{"display": "x"}], [{"value": ""}], [["m1"]], True])
def test_an_unknown_shape_of_members_is_refused_and_never_empties_a_group(value: Any) -> None:
    with pytest.raises(UnknownShapeException):
        plain({"op": "replace", "path": "members", "value": value}, of_group=True)
    with pytest.raises(UnknownShapeException):
        normalize.group({"displayName": "G", "members": value})


def test_a_remove_of_members_without_value_removes_all_and_with_an_empty_list_nobody() -> None:
    assert plain({"op": "remove", "path": "members"}, of_group=True) == [{"op": "remove", "path": "members"}]
    assert plain({"op": "remove", "path": "members", "value": []}, of_group=True)[0]["value"] == []


def test_a_pathless_operation_becomes_one_for_each_attribute() -> None:
    value = {
        "id": "ignored",
        "displayName": "D",
        "name.givenName": "G",
        'emails[type eq "work"].value': "a@b.c",
        f"{ENTERPRISE}:employeeNumber": 7,
        ENTERPRISE: {"department": "Fin"},
        "manager": "m1",
    }

    operations = plain({"op": "Replace", "value": value})

    assert {operation["path"]: operation["value"] for operation in operations} == {
        "displayName": "D",
        "name.givenName": "G",
        'emails[type eq "work"].value': "a@b.c",
        f"{ENTERPRISE}:employeeNumber": "7",
        f"{ENTERPRISE}:department": "Fin",
        MANAGER: {"value": "m1"},
    }
    assert {operation["op"] for operation in operations} == {"replace"}


@pytest.mark.parametrize("path", ["manager", "/manager", MANAGER, "Manager.value", 'manager[value eq "m0"]'])
@pytest.mark.parametrize("value", ["m1", ["m1"], {"value": "m1"}, [{"$ref": "http://x/Users/m1", "value": "m1"}]])
def test_a_manager_is_set_in_every_known_shape(path: str, value: Any) -> None:
    assert plain({"op": "Add", "path": path, "value": value}) == [
        {"op": "add", "path": MANAGER, "value": {"value": "m1"}}
    ]


@pytest.mark.parametrize("value", ["", None, [], {"value": ""}, [{"value": None}]])
def test_an_empty_manager_is_none(value: Any) -> None:
    assert plain({"op": "replace", "path": "manager", "value": value}) == [{"op": "remove", "path": MANAGER}]


def test_a_role_in_a_json_text_is_unpacked() -> None:
    text = json.dumps({"id": "1", "value": "premium", "displayName": "Premium"})

    (operation,) = plain({"op": "Add", "path": "roles", "value": [{"value": text}]})

    assert operation["value"] == [{"value": "premium", "display": "Premium"}]


def test_a_person_gets_enterprise_attributes_where_they_belong_and_nothing_computed() -> None:
    sent = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:private"],
        "id": "1", "meta": {}, "groups": [], "password": "secret",
        "userName": 7, "department": "Fin", "manager": None, "emails": "a@b.c",
        ENTERPRISE.replace(":User", "User"): {"costCenter": 1},
    }  # fmt: skip

    assert normalize.person(sent) == {
        "userName": "7",
        "emails": [{"value": "a@b.c"}],
        ENTERPRISE: {"department": "Fin", "manager": None, "costCenter": "1"},
    }


@pytest.mark.parametrize(
    "payload",
    [None, [], "x", {"Operations": None}, {"Operations": []}, {"Operations": [1]}, {"Operations": [{"path": 7}]}],
)  # fmt: skip
def test_a_patch_of_no_shape_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidSyntaxException):
        normalize.patch(payload, of_group=False)


def test_one_request_has_limits_on_operations_and_members() -> None:
    with pytest.raises(InvalidValueException):
        plain(*[{"op": "remove", "path": "title"}] * 1001)
    with pytest.raises(InvalidValueException):
        plain(*[{"op": "add", "path": "members", "value": [str(n * 5001 + m) for m in range(5001)]} for n in range(2)],
              of_group=True)  # fmt: skip
    with pytest.raises(SCIMException):
        normalize.person({"userName": "a", "emails": ["a@b.c"] * 1001})
