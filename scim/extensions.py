"""The extension schemas an organization declared: reading values of their types, and what answers may show of them.

Pure: JSON values in, JSON values out. What is known to be meant is rewritten into the attribute's type, as for the core
attributes; what does not fit is refused by the name of the attribute.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scim2_models import InvalidSyntaxException, InvalidValueException

from bridge.domain.extension_schemas import Attribute, AttributeType, ExtensionSchema, Returned
from scim.limits import MAX_VALUES

LARGEST_INTEGER = 2**63 - 1
_INTEGER = re.compile(r"[+-]?\d{1,19}(\.0*)?")
_QUOTED_NUMBER = re.compile(r'"(-?\d+(?:\.\d+)?)"')
_TRUTHS = {"true": True, "false": False}
_NUMBERS = frozenset({AttributeType.INTEGER, AttributeType.DECIMAL})
_HIDDEN = frozenset({Returned.NEVER, Returned.REQUEST})


@dataclass(frozen=True, slots=True)
class Place:
    """What the path of an operation names in an extension.

    Args:
        path: The path, spelt as the schema does.
        attribute: None for the whole extension, and for an attribute that it does not declare.
        part: The part of a complex attribute.
        selected: Whether entries are selected by a filter.
        whole: Whether the path is the extension itself.
    """

    path: str
    attribute: Attribute | None = None
    part: Attribute | None = None
    selected: bool = False
    whole: bool = False

    def value(self, value: Any) -> Any:
        """Return a value in the type of what the path names."""
        if self.attribute is None:
            return value
        name = self.path.partition("[")[0]
        if self.part is not None:
            return read_value(self.part, value, name)
        if not self.selected:
            return read_value(self.attribute, value, name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return _read_one(self.attribute, value, name)


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension with its attributes by folded name."""

    schema: ExtensionSchema
    attributes: Mapping[str, Attribute]

    @property
    def always(self) -> list[Attribute]:
        """The attributes that every answer has."""
        return [attribute for attribute in self.attributes.values() if attribute.returned is Returned.ALWAYS]

    def read(self, value: Any) -> dict[str, Any]:
        """Read the object of the extension in a body; what nobody may write and what is not declared is left out."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise InvalidSyntaxException(detail=f"{self.schema.urn} is an object")
        found: dict[str, Any] = {}
        for name, item in value.items():
            attribute = self.attributes.get(name.casefold())
            if attribute is not None and not attribute.read_only:
                found[attribute.name] = read_value(attribute, item, f"{self.schema.urn}:{attribute.name}")
        return found

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what is shown on request only, or never."""
        found = {}
        for name, value in values.items():
            attribute = self.attributes.get(name.casefold())
            if attribute is None or attribute.returned in _HIDDEN:
                continue
            shown = _shown_parts(attribute, value)
            if shown not in ({}, []):
                found[name] = shown
        return found


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions of one resource type, by folded URN."""

    by_urn: Mapping[str, Extension] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.by_urn)

    def get(self, urn: str) -> Extension | None:
        """Return the extension of a URN, without case."""
        return self.by_urn.get(urn.casefold())

    def locate(self, path: str) -> Place | None:
        """Tell what a path names; None when it is about none of these extensions."""
        folded = path.casefold()
        for urn, extension in self.by_urn.items():
            if folded == urn:
                return Place(extension.schema.urn, whole=True)
            if folded.startswith(f"{urn}:"):
                return _place(extension, path[len(urn) + 1 :])
        return None

    def shown(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stored document as an answer without ``attributes`` shows it: its own extensions only."""
        found: dict[str, Any] = {}
        for name, value in document.items():
            extension = self.get(name) if ":" in name else None
            if extension is None:
                found[name] = value
            elif values := extension.shown(value):
                found[name] = values
        return found

    def with_always(self, shown: dict[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
        """Add what is always returned to an answer that shows a part of a document (RFC 7643 §7)."""
        for extension in self.by_urn.values():
            urn = extension.schema.urn
            stored = document.get(urn) or {}
            always = {each.name: stored[each.name] for each in extension.always if each.name in stored}
            if always:
                shown[urn] = {**always, **shown.get(urn, {})}
                if urn not in shown["schemas"]:
                    shown["schemas"].append(urn)
        return shown

    def kept(self, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return what a replacement cannot touch of a stored document: the values nobody may write, by URN."""
        found = {}
        for extension in self.by_urn.values():
            stored = document.get(extension.schema.urn) or {}
            fixed = {name: stored[name] for name in stored if _is_read_only(extension.attributes.get(name.casefold()))}
            if fixed:
                found[extension.schema.urn] = fixed
        return found


#: No extension of its own: what most organizations have.
NO_EXTENSIONS = Extensions()


def extensions_of(schemas: Sequence[ExtensionSchema], resource_type: str) -> Extensions:
    """Pick the extensions of one resource type (``User`` or ``Group``)."""
    return Extensions(
        {
            schema.urn.casefold(): Extension(schema, {each.name.casefold(): each for each in schema.attributes})
            for schema in schemas
            if schema.resource_type == resource_type
        }
    )


def read_value(attribute: Attribute, value: Any, name: str) -> Any:
    """Read a value in the shapes that are sent: bare, as text, in a list of one, in ``{"value": ...}``.

    Args:
        attribute: Its type.
        value: What was sent.
        name: What a refusal calls the attribute.

    Raises:
        InvalidValueException: It does not fit the attribute.
    """
    if value is None:
        return None
    if attribute.multi_valued:
        listed = value if isinstance(value, list) else [value]
        if len(listed) > MAX_VALUES:
            raise InvalidValueException(detail=f"{name}: a list has more than {MAX_VALUES} entries")
        found = [_read_one(attribute, each, name) for each in listed]
        return [each for each in found if each is not None]
    if isinstance(value, list):
        if len(value) > 1:
            raise InvalidValueException(detail=f"{name} has one value, not a list of them")
        value = value[0] if value else None
    return _read_one(attribute, value, name)


def _read_one(attribute: Attribute, value: Any, name: str) -> Any:
    if value is None:
        return None
    if attribute.type is AttributeType.COMPLEX:
        return _read_parts(attribute, value, name)
    if isinstance(value, Mapping):
        value = next((item for key, item in value.items() if key.casefold() == "value"), value)
    if isinstance(value, Mapping | list):
        raise InvalidValueException(detail=f"{name}: {attribute.type} is expected")
    if value == "" and attribute.type is not AttributeType.STRING:
        return None
    return _READERS[attribute.type](value, name)


def _read_parts(attribute: Attribute, value: Any, name: str) -> dict[str, Any]:
    parts = {part.name.casefold(): part for part in attribute.parts}
    if not isinstance(value, Mapping):
        if "value" not in parts:
            raise InvalidValueException(detail=f"{name} is an object")
        value = {"value": value}
    found = {}
    for key, item in value.items():
        part = parts.get(key.casefold())
        if part is not None:
            found[part.name] = read_value(part, item, f"{name}.{part.name}")
    return found


def _read_text(value: Any, name: str) -> str:
    if isinstance(value, bool):
        raise InvalidValueException(detail=f"{name} is a text")
    return str(value)


def _read_binary(value: Any, name: str) -> str:
    """Return base64 (RFC 4648 §4) in its one form, without line breaks."""
    try:
        return base64.b64encode(base64.b64decode("".join(str(value).split()), validate=True)).decode()
    except ValueError:
        raise InvalidValueException(detail=f"{name} is base64") from None


def _read_boolean(value: Any, name: str) -> bool:
    truth = value if isinstance(value, bool) else _TRUTHS.get(str(value).strip().casefold())
    if truth is None:
        raise InvalidValueException(detail=f"{name} is true or false")
    return truth


def _read_integer(value: Any, name: str) -> int:
    number: int | None = None
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        number = int(value.strip().partition(".")[0])
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number is None or abs(number) > LARGEST_INTEGER:
        raise InvalidValueException(detail=f"{name} is an integer of at most 64 bits")
    return number


def _read_decimal(value: Any, name: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    # The database writes a number out: what is larger would come back as more digits than an answer can have.
    if not abs(number) < LARGEST_INTEGER:
        raise InvalidValueException(detail=f"{name} is a number between -2^63 and 2^63")
    return number


def _read_instant(value: Any, name: str) -> str:
    """Return an instant as RFC 3339 writes it, with its zone; one without is in UTC."""
    try:
        at = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        if at is not None:
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            at.astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if at is None or (at.utcoffset() or at - at).seconds % 60:
        raise InvalidValueException(detail=f"{name} is an instant such as 2026-01-31T12:00:00Z")
    return at.isoformat().replace("+00:00", "Z")


_READERS: Mapping[AttributeType, Callable[[Any, str], Any]] = {
    AttributeType.STRING: _read_text,
    AttributeType.REFERENCE: _read_text,
    AttributeType.BINARY: _read_binary,
    AttributeType.BOOLEAN: _read_boolean,
    AttributeType.INTEGER: _read_integer,
    AttributeType.DECIMAL: _read_decimal,
    AttributeType.DATE_TIME: _read_instant,
}


def _place(extension: Extension, rest: str) -> Place:
    head, bracket, tail = rest.partition("[")
    name, _, part = head.partition(".")
    within, _, behind = tail.rpartition("]")
    part = behind.removeprefix(".") if bracket else part
    attribute = extension.attributes.get(name.casefold())
    if attribute is None:
        return Place(f"{extension.schema.urn}:{rest}")
    known = next((each for each in attribute.parts if each.name.casefold() == part.casefold()), None)
    if bracket and attribute.type in _NUMBERS:
        within = _QUOTED_NUMBER.sub(r"\1", within)
    path = f"{extension.schema.urn}:{attribute.name}" + (f"[{within}]" if bracket else "")
    if part:
        path += f".{known.name if known else part}"
    return Place(path, None if part and known is None else attribute, known, selected=bool(bracket))


def _shown_parts(attribute: Attribute, value: Any) -> Any:
    hidden = {part.name for part in attribute.parts if part.returned in _HIDDEN}
    if not hidden:
        return value
    if isinstance(value, list):
        entries = [{name: item for name, item in entry.items() if name not in hidden} for entry in value]
        return [entry for entry in entries if entry]
    return {name: item for name, item in value.items() if name not in hidden}


def _is_read_only(attribute: Attribute | None) -> bool:
    return attribute is not None and attribute.read_only
