"""The dialects of identity providers, brought into the one form the standard has.

Pure: JSON values in, JSON values out. What is known to be meant is rewritten; what could turn people off or empty a
group and is not known is refused (:class:`~scim.errors.UnknownShapeException`). Attributes that nobody declares pass:
the library drops them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from scim2_models import InvalidPathException, InvalidSyntaxException, InvalidValueException, MutabilityException

from bridge.domain.documents import ENTERPRISE
from scim.errors import UnknownShapeException
from scim.expressions import ENTERPRISE_NAMES, ENTERPRISE_SPELLINGS, path_text
from scim.extensions import NO_EXTENSIONS, Extensions, Place
from scim.limits import MAX_MEMBERS, MAX_VALUES
from scim.resources import GROUP, SEAT, USER

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

#: Attributes of a person that hold a list of entries (RFC 7643 §4.1.2).
MULTI_VALUED = frozenset(
    {"emails", "phonenumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509certificates"}
)
_COMPUTED = frozenset({"id", "meta", "groups", "schemas", "password", SEAT.casefold()})
_TRUTHS = {"true": True, "false": False}
_WORDS = frozenset({"null", "none", "nil", "undefined", "true", "false"})
_ID = re.compile(r"""[^\s\[\]{}",]+""")


def person(payload: Any, own: Extensions = NO_EXTENSIONS) -> dict[str, Any]:
    """Bring the body of a POST or PUT of a person into the standard's form.

    Args:
        payload: What was sent.
        own: The extensions the organization declared; others that nobody declares are ignored.
    """
    found: dict[str, Any] = {}
    enterprise: dict[str, Any] = {}
    for name, value in _object(payload, USER).items():
        key = name.casefold()
        if key in _COMPUTED:
            continue
        if key in ENTERPRISE_SPELLINGS:
            enterprise = {**enterprise, **_extension(value)}
        elif key in ENTERPRISE_NAMES:
            enterprise = {**_extension({name: value}), **enterprise}
        elif key == USER.casefold() and isinstance(value, Mapping):
            found.update(person(value))
        elif (extension := own.get(key)) is not None:
            found[extension.schema.urn] = extension.read(value)
        elif key != "active":
            found[name] = entries(key, value) if key in MULTI_VALUED else _plain(value)
        elif value is not None:
            found["active"] = boolean(value)
    if enterprise:
        found[ENTERPRISE] = enterprise
    return found


def group(payload: Any, own: Extensions = NO_EXTENSIONS) -> dict[str, Any]:
    """Bring the body of a POST or PUT of a group into the standard's form.

    Raises:
        UnknownShapeException: ``members`` is null, a bare text or has an entry without a value: never taken for an
            empty group.
    """
    found: dict[str, Any] = {}
    for name, value in _object(payload, GROUP).items():
        key = name.casefold()
        if key == "members":
            found["members"] = members(value, whole=True)
        elif (extension := own.get(key)) is not None:
            found[extension.schema.urn] = extension.read(value)
        elif key not in _COMPUTED:
            found[name] = _plain(value)
    return found


def patch(payload: Any, *, of_group: bool, own: Extensions = NO_EXTENSIONS) -> dict[str, Any]:
    """Bring a PATCH body into the standard's form: one operation for each attribute, every path and value plain."""
    if not isinstance(payload, Mapping):
        raise InvalidSyntaxException(detail="The body of a PATCH is an object with Operations")
    operations = next((value for name, value in payload.items() if name.casefold() == "operations"), None)
    if isinstance(operations, Mapping):
        operations = [operations]
    if not isinstance(operations, list) or not operations:
        raise InvalidSyntaxException(detail="Operations holds one or more operations")
    if len(operations) > MAX_VALUES:
        raise InvalidValueException(detail=f"A PATCH has at most {MAX_VALUES} operations")
    plain = [plain for operation in operations for plain in _operations(operation, own, of_group=of_group)]
    for each in plain:
        _check_required(each, of_group=of_group)
    touched = sum(len(each["value"]) for each in plain if isinstance(each.get("value"), list))
    if touched > MAX_MEMBERS:
        raise InvalidValueException(detail=f"One request changes at most {MAX_MEMBERS} members")
    return {"schemas": [PATCH_OP], "Operations": plain or [{"op": "add", "value": {}}]}


def _check_required(operation: Mapping[str, Any], *, of_group: bool) -> None:
    """Refuse to take away what everybody, or every group, must have."""
    path = operation.get("path")
    if not isinstance(path, str):
        return
    name = path.rpartition(":")[2]
    if path != name and not path.casefold().startswith((USER.casefold(), GROUP.casefold())):
        return
    required = {"displayname": "displayName"} if of_group else {"username": "userName", "active": "active"}
    taken_away = operation.get("op") == "remove" or ("value" in operation and operation["value"] is None)
    if taken_away and name.casefold() in required:
        raise MutabilityException(detail=f"{required[name.casefold()]} is required: replace it, it cannot be removed")


def boolean(value: Any) -> bool:
    """Read a truth in the shapes that are sent: bare, as text of any case, in a list of one, in ``{"value": ...}``.

    Raises:
        UnknownShapeException: Anything else.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().casefold() in _TRUTHS:
        return _TRUTHS[value.strip().casefold()]
    if isinstance(value, list) and len(value) == 1:
        return boolean(value[0])
    if isinstance(value, Mapping) and "value" in value and not isinstance(value["value"], Mapping):
        return boolean(value["value"])
    raise UnknownShapeException(detail="active is true or false")


def members(value: Any, *, whole: bool = False) -> list[dict[str, str]]:
    """Read members: objects with a value, bare texts, or one of either without a list; each person once.

    Args:
        value: What was sent.
        whole: Whether it is the whole new membership: a text without a list is then refused, for taken as one member
            it would turn everybody else out.

    Raises:
        UnknownShapeException: null, a text that can be no id, or an entry that names nobody.
        InvalidValueException: More than 10,000.
    """
    if isinstance(value, Mapping) or (isinstance(value, str) and not whole and _can_be_id(value)):
        value = [value]
    if not isinstance(value, list):
        raise UnknownShapeException(detail="members is a list of objects with a value; [] empties a group")
    if len(value) > MAX_MEMBERS:
        raise InvalidValueException(detail=f"One request names at most {MAX_MEMBERS} members")
    return [{"value": each} for each in dict.fromkeys(_member(entry) for entry in value)]


def entries(name: str, value: Any) -> list[Any] | None:
    """Read a multi-valued attribute: one entry without a list, and entries that are bare texts, become objects."""
    if value is None:
        return None
    listed = value if isinstance(value, list) else [value]
    if len(listed) > MAX_VALUES:
        raise InvalidValueException(detail=f"{name}: a list has more than {MAX_VALUES} entries")
    return [_entry(name, each) for each in listed if each is not None]


def manager(value: Any) -> dict[str, Any] | None:
    """Read a manager: an object, a bare id, a list of one; empty is none. Only the id is kept, links are computed."""
    if isinstance(value, list):
        if len(value) > 1:
            raise InvalidValueException(detail="manager is one person")
        return manager(value[0]) if value else None
    if isinstance(value, Mapping):
        value = next((item for name, item in value.items() if name.casefold() == "value"), None)
        if isinstance(value, list | Mapping):
            raise InvalidValueException(detail="manager.value is a text")
    value = _scalar(value)
    return {"value": value} if value not in {None, ""} else None


def _object(payload: Any, schema: str) -> Mapping[str, Any]:
    if not isinstance(payload, Mapping):
        raise InvalidSyntaxException(detail="The body is an object")
    schemas = next((value for name, value in payload.items() if name.casefold() == "schemas"), None)
    if isinstance(schemas, list):
        sent = {each.casefold() for each in schemas if isinstance(each, str)}
        others = {USER.casefold(), GROUP.casefold()} - {schema.casefold()}
        if sent & others and schema.casefold() not in sent:
            raise InvalidSyntaxException(detail="schemas names another resource type than the endpoint")
    elif schemas is not None:
        raise InvalidSyntaxException(detail="schemas is a list of schema URIs")
    return payload


def _extension(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidSyntaxException(detail="An extension is an object")
    return {name: manager(item) if name.casefold() == "manager" else _plain(item) for name, item in value.items()}


def _plain(value: Any) -> Any:
    """Bring an undivided attribute into its form; the parts of a complex one (name) likewise."""
    if isinstance(value, Mapping):
        return {name: _scalar(item) for name, item in value.items()}
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """Write numbers as text: no attribute of people and groups is a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _entry(name: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        value = {"value": value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        folded = key.casefold()
        if folded == "primary":
            if item is not None:
                found["primary"] = boolean(item)
        elif folded == "displayname":
            found.setdefault("display", _scalar(item))
        else:
            found[folded if folded in {"value", "display", "type"} else key] = _scalar(item)
    if name in {"roles", "entitlements"} and isinstance(found.get("value"), str):
        found |= _unpacked(found["value"])
    return found


def _unpacked(text: str) -> dict[str, Any]:
    """Read an application role that Entra sends as a JSON document in a text: its value and display name."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    facts = {"value": inner.get("value"), "display": inner.get("displayName") or inner.get("display")}
    return {name: value for name, value in facts.items() if isinstance(value, str)}


def _member(entry: Any) -> str:
    if isinstance(entry, Mapping):
        entry = next((item for name, item in entry.items() if name.casefold() == "value"), None)
    if not isinstance(entry, str) or not entry.strip():
        raise UnknownShapeException(detail="A member is an object with the id of a person or group in value")
    return entry.strip()


def _can_be_id(text: str) -> bool:
    """Tell whether a text without a list may name one person: a token, no JSON that was put into a text."""
    return text.strip().casefold() not in _WORDS and _ID.fullmatch(text.strip()) is not None


def _operations(operation: Any, own: Extensions, *, of_group: bool) -> Iterator[dict[str, Any]]:
    """Yield the plain operations that one sent operation stands for."""
    if not isinstance(operation, Mapping):
        raise InvalidSyntaxException(detail="An operation is an object")
    facts = {name.casefold(): value for name, value in operation.items()}
    verb, path, value = facts.get("op"), facts.get("path"), facts.get("value")
    verb = verb.strip().casefold() if isinstance(verb, str) else None
    if verb not in {"add", "remove", "replace"}:
        raise InvalidSyntaxException(detail="op is add, remove or replace")
    if path is not None and not isinstance(path, str):
        raise InvalidSyntaxException(detail="path is a text")
    if path is not None and path.strip(" /"):
        path = path_text(path, of_people=not of_group)
        if path.casefold() not in {USER.casefold(), GROUP.casefold()}:
            yield from _at(verb, path, facts, own, of_group=of_group)
            return
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        yield {"op": verb, **({"value": facts["value"]} if "value" in facts else {})}
        return
    for key, item in value.items():
        inner = path_text(key, of_people=not of_group)
        if inner.casefold() not in _COMPUTED:
            yield from _at(verb, inner, {"value": item}, own, of_group=of_group)


def _at(verb: Any, path: str, facts: Mapping[str, Any], own: Extensions, *, of_group: bool) -> Iterator[dict[str, Any]]:
    """Yield the operations on one path, its value brought into the form of its attribute."""
    place = own.locate(path)
    if place is not None:
        yield from _on_own(verb, place, facts, own)
        return
    if path.casefold() == ENTERPRISE.casefold() and isinstance(facts.get("value"), Mapping):
        for key, item in facts["value"].items():
            yield from _at(verb, f"{ENTERPRISE}:{key}", {"value": item}, own, of_group=of_group)
        return
    plain = {"op": verb, "path": path}
    name, part, selected = _target(path)
    if of_group and name == "members":
        yield from _on_members(plain, facts, part=part, selected=selected)
        return
    if "value" not in facts:
        yield plain
        return
    value = facts["value"]
    if name == "active" and not of_group and verb != "remove":
        plain["value"] = boolean(value)
    elif name == "manager" and part in {None, "value"} and not of_group:
        chosen = manager(value)
        if chosen is None or verb == "remove":
            yield {"op": "remove", "path": f"{ENTERPRISE}:manager"}
            return
        plain |= {"path": f"{ENTERPRISE}:manager", "value": chosen}
    else:
        plain["value"] = _written(name, part, value, selected=selected)
    if plain["value"] is None and verb == "add":
        plain["op"] = "replace"
    yield plain


def _on_own(verb: Any, place: Place, facts: Mapping[str, Any], own: Extensions) -> Iterator[dict[str, Any]]:
    """Yield an operation on an extension the organization declared, or one for each of its attributes."""
    value = facts.get("value")
    if place.whole and isinstance(value, Mapping) and verb != "remove":
        for key, item in value.items():
            inner = own.locate(f"{place.path}:{key}")
            if inner is not None:
                yield from _on_own(verb, inner, {"value": item}, own)
        return
    plain = {"op": verb, "path": place.path}
    if "value" in facts:
        plain["value"] = place.value(value)
        if plain["value"] is None:
            plain["op"] = "replace" if verb == "add" else verb
    yield plain


def _on_members(
    plain: dict[str, Any], facts: Mapping[str, Any], *, part: str | None, selected: bool
) -> Iterator[dict[str, Any]]:
    """Yield an operation on members; a remove that carries a list takes only these, one without a value all.

    ``members.value`` are the members themselves, but for a remove without a value, which is never taken for all. Any
    other part of a member (its display name) belongs to the person, not to the group.
    """
    if part == "value":
        path, dot, _ = plain["path"].rpartition(".")
        if not dot or (selected and not path.endswith("]")):
            raise InvalidPathException(detail="Write the members as members, members[...] or members[...].value")
        if not selected and plain["op"] == "remove" and facts.get("value") is None:
            raise UnknownShapeException(detail="members.value without a value names no member; members names all")
        plain = {**plain, "path": path}
    elif part is not None:
        return
    if "value" not in facts or (plain["op"] == "remove" and facts["value"] is None):
        yield plain
    else:
        one = part == "value" and selected
        listed = members(facts["value"], whole=plain["op"] == "replace" and not one)
        if one and not listed:
            raise UnknownShapeException(detail="The value of a member is the id of a person or group")
        yield {**plain, "value": listed}


def _written(name: str, part: str | None, value: Any, *, selected: bool) -> Any:
    """Return a value in the form of its attribute: a list of entries, one entry, an object, or a text."""
    if part == "primary":
        return boolean(value)
    if part is not None or name not in MULTI_VALUED:
        value = _unwrapped(value, complex_value=part is None and name == "name")
        if name in {"roles", "entitlements"} and isinstance(value, str):
            return _unpacked(value).get("value", value)
        return _plain(value)
    if not selected:
        return entries(name, value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _entry(name, value) if isinstance(value, Mapping) else value


def _unwrapped(value: Any, *, complex_value: bool) -> Any:
    """Take a single value out of the list of one, and of the ``{"value": ...}``, that it may be wrapped in."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not complex_value and isinstance(value, Mapping) and "value" in value:
        value = value["value"]
    return value


def _target(path: str) -> tuple[str, str | None, bool]:
    """Return the attribute of a path, its part, and whether entries are selected; names folded."""
    head, bracket, rest = path.partition("[")
    tail = rest.rpartition("]")[2].lstrip(".") if bracket else ""
    name, _, part = head.rpartition(":")[2].partition(".") if head.casefold().startswith("urn:") else _split(head)
    return name.casefold(), (tail or part).casefold() or None, bool(bracket)


def _split(head: str) -> tuple[str, str, str]:
    return head.partition(".")
