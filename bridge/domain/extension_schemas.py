"""Extension schemas that an organization declares of its own (RFC 7643 §3.3, §7), and what changing one means."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from bridge.errors import InvalidInputError

SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
RESOURCE_TYPES = ("User", "Group")
MAX_SCHEMAS = 20
MAX_ATTRIBUTES = 100
MAX_URN = 255
MAX_NAME = 64
MAX_DESCRIPTION = 1000

_URN = re.compile(r"urn(:[A-Za-z0-9][A-Za-z0-9._-]*){2,}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9$_-]*")
_PART_NAME = re.compile(r"\$?[A-Za-z][A-Za-z0-9$_-]*")
_SIGNS = re.compile(r"[$_-]")
#: What every resource has: in an extension these would be read as the resource's own (RFC 7643 §3.1).
_COMMON = frozenset({"schemas", "id", "externalid", "meta"})
#: Namespaces whose schemas others define: the standard's and our own.
_RESERVED = ("urn:ietf:", "urn:seatbridge:")
_SCHEMA_FIELDS = frozenset({"schemas", "id", "name", "description", "attributes", "resourceType", "meta"})
_ATTRIBUTE_FIELDS = frozenset(
    {
        "name", "type", "multiValued", "description", "required", "canonicalValues", "caseExact", "mutability",
        "returned", "uniqueness", "referenceTypes", "subAttributes",
    }
)  # fmt: skip
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


class AttributeType(StrEnum):
    """The data types of RFC 7643 §2.3."""

    STRING = "string"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BINARY = "binary"
    REFERENCE = "reference"
    COMPLEX = "complex"


class Returned(StrEnum):
    """When an attribute is shown (RFC 7643 §7)."""

    ALWAYS = "always"
    NEVER = "never"
    DEFAULT = "default"
    REQUEST = "request"


_ALWAYS_EXACT = frozenset({AttributeType.BINARY, AttributeType.REFERENCE})


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an extension, or one part of a complex attribute."""

    name: str
    type: AttributeType
    multi_valued: bool = False
    description: str = ""
    case_exact: bool = False
    read_only: bool = False
    returned: Returned = Returned.DEFAULT
    canonical_values: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()
    parts: tuple["Attribute", ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the representation of RFC 7643 §7, every characteristic written out."""
        document: dict[str, Any] = {
            "name": self.name,
            "type": str(self.type),
            "multiValued": self.multi_valued,
            "description": self.description,
            "required": False,
            "caseExact": self.case_exact,
            "mutability": "readOnly" if self.read_only else "readWrite",
            "returned": str(self.returned),
            "uniqueness": "none",
        }
        if self.canonical_values:
            document["canonicalValues"] = list(self.canonical_values)
        if self.type is AttributeType.REFERENCE:
            document["referenceTypes"] = list(self.reference_types)
        if self.type is AttributeType.COMPLEX:
            document["subAttributes"] = [part.document() for part in self.parts]
        return document


@dataclass(frozen=True, slots=True)
class ExtensionSchema:
    """An extension of User or Group that an organization declared."""

    urn: str
    name: str
    description: str
    resource_type: str
    attributes: tuple[Attribute, ...]

    @property
    def size(self) -> int:
        """How many attributes it has, their parts counted."""
        return sum(1 + len(attribute.parts) for attribute in self.attributes)

    def document(self) -> dict[str, Any]:
        """Return the representation of RFC 7643 §7."""
        return {
            "schemas": [SCHEMA],
            "id": self.urn,
            "name": self.name,
            "description": self.description,
            "attributes": [attribute.document() for attribute in self.attributes],
        }

    def declaration(self) -> dict[str, Any]:
        """Return what :func:`read_schema` reads: the representation and which resources it extends."""
        return {"resourceType": self.resource_type, **self.document()}


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One difference between two versions of a schema.

    Args:
        sentence: What changes, for people.
        endangers: The attribute (and its part) whose stored values would not fit any more; None when all still do.
            An empty path stands for every attribute.
    """

    sentence: str
    endangers: tuple[str, ...] | None = None


def read_schema(declaration: Any) -> ExtensionSchema:
    """Read a declaration: a Schema of RFC 7643 §7, and the ``resourceType`` it extends.

    What is not implemented is refused rather than ignored: nobody should rely on a characteristic that nothing keeps.

    Raises:
        InvalidInputError: Something is missing, misspelt or not supported; the field says where.
    """
    if not isinstance(declaration, Mapping):
        raise InvalidInputError("schema", "a declaration is an object with resourceType, id, name and attributes")
    _check_fields(declaration, _SCHEMA_FIELDS, "")
    if declaration.get("schemas", [SCHEMA]) != [SCHEMA]:
        _refuse("schemas", f"is [{SCHEMA!r}]")
    resource_type = declaration.get("resourceType")
    if resource_type not in RESOURCE_TYPES:
        _refuse("resourceType", "is User or Group")
    listed = declaration.get("attributes")
    if not isinstance(listed, list) or not listed:
        _refuse("attributes", "is a list of one or more attributes")
    attributes = _read_attributes(listed, "attributes", read_only=None)
    if sum(1 + len(attribute.parts) for attribute in attributes) > MAX_ATTRIBUTES:
        _refuse("attributes", f"a schema has at most {MAX_ATTRIBUTES} attributes, their parts counted")
    return ExtensionSchema(
        urn=_read_urn(declaration.get("id")),
        name=_read_text(declaration.get("name"), "name", MAX_NAME, needed=True),
        description=_read_text(declaration.get("description"), "description", MAX_DESCRIPTION),
        resource_type=str(resource_type),
        attributes=attributes,
    )


def check_beside(schema: ExtensionSchema, others: Sequence[ExtensionSchema]) -> None:
    """Refuse a schema that cannot stand beside the others of its organization.

    Raises:
        InvalidInputError: There are too many, or a path could mean an attribute of either of two.
    """
    if len(others) >= MAX_SCHEMAS:
        _refuse("id", f"an organization has at most {MAX_SCHEMAS} schemas of its own")
    mine = f"{schema.urn}:".casefold()
    for other in others:
        theirs = f"{other.urn}:".casefold()
        if mine.startswith(theirs) or theirs.startswith(mine):
            _refuse("id", f"a path could not be told apart from one of {other.urn}: one begins with the other")


def changes_between(old: ExtensionSchema | None, new: ExtensionSchema) -> list[SchemaChange]:
    """Tell what a new version of a schema changes; nothing when it says the same."""
    if old is None:
        noun = "attribute" if new.size == 1 else "attributes"
        return [SchemaChange(f"adds {new.urn} to {new.resource_type} with {new.size} {noun}")]
    found = []
    if old.resource_type != new.resource_type:
        found.append(SchemaChange(f"extends {new.resource_type} instead of {old.resource_type}", ()))
    if (old.urn, old.name, old.description) != (new.urn, new.name, new.description):
        found.append(SchemaChange("describes the schema differently", None if old.urn == new.urn else ()))
    found.extend(_changed_attributes(old.attributes, new.attributes, ()))
    if not found and old != new:
        found.append(SchemaChange("lists the attributes in another order"))
    return found


def _changed_attributes(
    old: Sequence[Attribute], new: Sequence[Attribute], above: tuple[str, ...]
) -> Iterator[SchemaChange]:
    before, after = ({attribute.name: attribute for attribute in each} for each in (old, new))
    for name in sorted(before.keys() - after.keys()):
        yield SchemaChange(f"removes {_path(above, name)}", (*above, name))
    for name, attribute in after.items():
        known, place = before.get(name), _path(above, name)
        if known is None:
            yield SchemaChange(f"adds {place} ({_kind(attribute)})")
        elif _kind(known) != _kind(attribute):
            yield SchemaChange(f"changes {place} from {_kind(known)} to {_kind(attribute)}", (*above, name))
        else:
            if _qualities(known) != _qualities(attribute):
                yield SchemaChange(f"changes what is said of {place}")
            yield from _changed_attributes(known.parts, attribute.parts, (*above, name))


def _qualities(attribute: Attribute) -> tuple[object, ...]:
    return (
        attribute.description, attribute.case_exact, attribute.read_only, attribute.returned,
        attribute.canonical_values, attribute.reference_types,
    )  # fmt: skip


def _kind(attribute: Attribute) -> str:
    return f"several {attribute.type}" if attribute.multi_valued else str(attribute.type)


def _path(above: tuple[str, ...], name: str) -> str:
    return ".".join((*above, name))


def _read_urn(value: Any) -> str:
    if not isinstance(value, str) or not _URN.fullmatch(value):
        _refuse("id", "is a URN, such as urn:example:params:scim:schemas:extension:acme:2.0:User")
    if len(value) > MAX_URN:
        _refuse("id", f"is longer than {MAX_URN} characters")
    if value.casefold().startswith(_RESERVED):
        _refuse("id", f"{value} is in a namespace of the standard or of this product: use one of your own")
    return value


def _read_attributes(listed: list[Any], place: str, *, read_only: bool | None) -> tuple[Attribute, ...]:
    attributes = tuple(
        _read_attribute(each, f"{place}[{number}]", read_only=read_only) for number, each in enumerate(listed)
    )
    seen: set[str] = set()
    for number, attribute in enumerate(attributes):
        plain = _SIGNS.sub("", attribute.name).casefold()
        if plain in seen:
            _refuse(f"{place}[{number}].name", f"{attribute.name} is there twice (case and signs make no difference)")
        seen.add(plain)
    return attributes


def _read_attribute(value: Any, place: str, *, read_only: bool | None) -> Attribute:
    """Read an attribute, or a part when ``read_only`` says what its attribute is."""
    if not isinstance(value, Mapping):
        _refuse(place, "an attribute is an object with at least name and type")
    _check_fields(value, _ATTRIBUTE_FIELDS, place)
    is_part = read_only is not None
    name = _read_name(value.get("name"), f"{place}.name", is_part=is_part)
    kind = _choice(value, "type", AttributeType, AttributeType.STRING, place)
    if _flag(value, "required", place):
        _refuse(f"{place}.required", "is false: a push that lacks an attribute of your own must not fail")
    if value.get("uniqueness", "none") != "none":
        _refuse(f"{place}.uniqueness", "is none: values of your own attributes are not checked against each other")
    mutability = value.get("mutability", "readOnly" if read_only else "readWrite")
    if mutability not in {"readWrite", "readOnly"}:
        _refuse(f"{place}.mutability", "is readWrite or readOnly; immutable and writeOnly are not implemented")
    if is_part and (mutability == "readOnly") != read_only:
        _refuse(f"{place}.mutability", "is that of its attribute")
    case_exact = _flag(value, "caseExact", place, default=kind in _ALWAYS_EXACT)
    if kind in _ALWAYS_EXACT and not case_exact:
        _refuse(f"{place}.caseExact", f"is true for {kind} (RFC 7643 §2.3)")
    if is_part and kind is AttributeType.COMPLEX:
        _refuse(f"{place}.type", "a part of a complex attribute is not complex itself (RFC 7643 §2.3.8)")
    multi_valued = _flag(value, "multiValued", place)
    if is_part and multi_valued:
        _refuse(f"{place}.multiValued", "is false for a part of a complex attribute")
    return Attribute(
        name=name,
        type=kind,
        multi_valued=multi_valued,
        description=_read_text(value.get("description"), f"{place}.description", MAX_DESCRIPTION),
        case_exact=case_exact,
        read_only=mutability == "readOnly",
        returned=_choice(value, "returned", Returned, Returned.DEFAULT, place),
        canonical_values=_texts(value, "canonicalValues", place),
        reference_types=_read_reference_types(value, kind, place),
        parts=_read_parts(value, kind, place, read_only=mutability == "readOnly"),
    )


def _read_name(name: Any, place: str, *, is_part: bool) -> str:
    if not isinstance(name, str) or len(name) > MAX_NAME or not (_PART_NAME if is_part else _NAME).fullmatch(name):
        _refuse(place, "begins with a letter and has letters, digits, $, - and _ only, 64 at most")
    if not is_part and name.casefold() in _COMMON:
        _refuse(place, f"{name} is an attribute of every resource")
    return name


def _read_parts(value: Mapping[str, Any], kind: AttributeType, place: str, *, read_only: bool) -> tuple[Attribute, ...]:
    listed = value.get("subAttributes")
    if kind is not AttributeType.COMPLEX:
        if listed:
            _refuse(f"{place}.subAttributes", "only a complex attribute has them")
        return ()
    if not isinstance(listed, list) or not listed:
        _refuse(f"{place}.subAttributes", "a complex attribute lists one or more")
    return _read_attributes(listed, f"{place}.subAttributes", read_only=read_only)


def _read_reference_types(value: Mapping[str, Any], kind: AttributeType, place: str) -> tuple[str, ...]:
    types = _texts(value, "referenceTypes", place)
    if kind is not AttributeType.REFERENCE:
        if types:
            _refuse(f"{place}.referenceTypes", "only a reference has them")
        return ()
    if not set(types) <= {"external", "uri", *RESOURCE_TYPES}:
        _refuse(f"{place}.referenceTypes", "are of external, uri, User and Group")
    return types or ("uri",)


def _texts(value: Mapping[str, Any], name: str, place: str) -> tuple[str, ...]:
    listed = value.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(each, str) and each for each in listed):
        _refuse(f"{place}.{name}", "is a list of texts")
    if len(listed) > MAX_ATTRIBUTES:
        _refuse(f"{place}.{name}", f"has at most {MAX_ATTRIBUTES} entries")
    return tuple(_read_text(each, f"{place}.{name}", MAX_DESCRIPTION) for each in listed)


def _choice(value: Mapping[str, Any], name: str, kind: type[ChoiceT], default: ChoiceT, place: str) -> ChoiceT:
    chosen = value.get(name, default)
    try:
        return kind(chosen)
    except ValueError:
        _refuse(f"{place}.{name}", f"is one of {', '.join(kind)}")


def _flag(value: Mapping[str, Any], name: str, place: str, *, default: bool = False) -> bool:
    flag = value.get(name, default)
    if not isinstance(flag, bool):
        _refuse(f"{place}.{name}", "is true or false")
    return flag


def _read_text(value: Any, place: str, limit: int, *, needed: bool = False) -> str:
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or (needed and not value.strip()):
        _refuse(place, "is a text")
    if len(value) > limit or "\x00" in value:
        _refuse(place, f"has at most {limit} characters, and no NUL")
    return value


def _check_fields(value: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    for name in value:
        if name not in known:
            _refuse(
                f"{place}.{name}" if place else str(name), f"is not known here; known are {', '.join(sorted(known))}"
            )


def _refuse(field: str, problem: str) -> NoReturn:
    raise InvalidInputError(field, problem)
