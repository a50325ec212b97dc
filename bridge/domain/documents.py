"""Facts about a SCIM document that need no SCIM library: comparison values and the attributes mappings may ask for."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

#: Single-valued attributes that a mapping rule may ask for, and where a document keeps them.
MAPPABLE_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "userType": ("userType",),
    "title": ("title",),
    "locale": ("locale",),
    "preferredLanguage": ("preferredLanguage",),
    "department": (ENTERPRISE, "department"),
    "division": (ENTERPRISE, "division"),
    "organization": (ENTERPRISE, "organization"),
    "costCenter": (ENTERPRISE, "costCenter"),
    "employeeNumber": (ENTERPRISE, "employeeNumber"),
}

#: Attributes of several values that a mapping rule may ask for; each value is the ``value`` of an entry.
MAPPABLE_LISTS: Mapping[str, tuple[str, ...]] = {
    "emails": ("emails",),
    "entitlements": ("entitlements",),
    "roles": ("roles",),
}

#: All of them, in the order in which people are shown them.
MAPPABLE: Mapping[str, tuple[str, ...]] = {**MAPPABLE_ATTRIBUTES, **MAPPABLE_LISTS}


def comparison_key(text: str) -> str:
    """Fold a text for comparing what is not case-exact (RFC 7643 §2.2): NFC, then case-folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def comparison_document(document: Any) -> Any:
    """Fold every string value of a JSON document; names of attributes stay as they are."""
    if isinstance(document, str):
        return comparison_key(document)
    if isinstance(document, dict):
        return {name: comparison_document(value) for name, value in document.items()}
    if isinstance(document, list):
        return [comparison_document(value) for value in document]
    return document


def mappable_attributes(document: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    """Pick the attributes that mapping rules may ask for; several values as a tuple."""
    found: dict[str, str | tuple[str, ...]] = {}
    for name, path in MAPPABLE.items():
        value: Any = document
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            said = mappable_value(name, value)
            if said is not None:
                found[name] = said
    return found


def mappable_value(name: str, value: Any) -> str | tuple[str, ...] | None:
    """Return what rules see of one attribute, as a document has it; None for nothing."""
    if name in MAPPABLE_ATTRIBUTES:
        return value if isinstance(value, str) and value.strip() else None
    entries = value if isinstance(value, list) else ()
    values = (entry.get("value") for entry in entries if isinstance(entry, Mapping))
    return tuple(one for one in values if isinstance(one, str) and one.strip()) or None


def mappable_names(document: Mapping[str, Any]) -> frozenset[str]:
    """Name the attributes that mapping rules may ask for and that a document says anything of, blanks included."""
    return frozenset(name for name, path in MAPPABLE.items() if _is_said(document, path))


def _is_said(document: Any, path: Sequence[str]) -> bool:
    for step in path:
        if not isinstance(document, Mapping) or step not in document:
            return False
        document = document[step]
    return True


def primary_email(document: Mapping[str, Any]) -> str | None:
    """Return the primary mail address of a document, or its first one (RFC 7643 §4.1.2)."""
    emails = [entry for entry in document.get("emails") or () if isinstance(entry, Mapping) and entry.get("value")]
    chosen = next((entry for entry in emails if entry.get("primary") is True), emails[0] if emails else None)
    return str(chosen["value"]) if chosen else None


def display_name(document: Mapping[str, Any]) -> str:
    """Return what pages call the person: displayName, else the name's parts, else the userName."""
    name = document.get("name") or {}
    parts = " ".join(part for part in (name.get("givenName"), name.get("familyName")) if part)
    return str(document.get("displayName") or name.get("formatted") or parts or document["userName"])
