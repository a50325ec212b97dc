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


def mappable_attributes(document: Mapping[str, Any]) -> dict[str, str]:
    """Pick the attributes that mapping rules may ask for."""
    found: dict[str, str] = {}
    for name, path in MAPPABLE_ATTRIBUTES.items():
        value: Any = document
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value.strip():
            found[name] = value
    return found


def mappable_names(document: Mapping[str, Any]) -> frozenset[str]:
    """Name the attributes that mapping rules may ask for and that a document says anything of, blanks included."""
    return frozenset(name for name, path in MAPPABLE_ATTRIBUTES.items() if _is_said(document, path))


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
