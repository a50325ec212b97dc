"""A row of a file laid over what is known of a person: what it says counts, what it leaves empty stays."""

from collections.abc import Mapping
from typing import Any

from bridge.domain.documents import ENTERPRISE, comparison_key, primary_email
from bridge.domain.people_files import Column, PersonRow

#: Fields of a stored document that have their own columns.
_OWN = frozenset({"userName", "externalId", "active"})
_PLACES: Mapping[Column, tuple[str, ...]] = {
    Column.GIVEN_NAME: ("name", "givenName"),
    Column.FAMILY_NAME: ("name", "familyName"),
    Column.DISPLAY_NAME: ("displayName",),
    Column.TITLE: ("title",),
    Column.USER_TYPE: ("userType",),
    Column.LOCALE: ("locale",),
    Column.LANGUAGE: ("preferredLanguage",),
    Column.DEPARTMENT: (ENTERPRISE, "department"),
    Column.DIVISION: (ENTERPRISE, "division"),
    Column.ORGANIZATION: (ENTERPRISE, "organization"),
    Column.COST_CENTER: (ENTERPRISE, "costCenter"),
    Column.EMPLOYEE_NUMBER: (ENTERPRISE, "employeeNumber"),
}


def laid_over(row: PersonRow, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return a person's attributes after a row, without userName, externalId and active.

    Args:
        row: What the file says.
        known: The stored document; empty for somebody new.
    """
    document = {name: value for name, value in known.items() if name not in _OWN}
    for column, (outer, *inner) in _PLACES.items():
        text = row.values.get(column)
        if text is None:
            continue
        if inner:
            document[outer] = {**(document.get(outer) or {}), inner[0]: text}
        else:
            document[outer] = text
    email = row.values.get(Column.EMAIL)
    if email is not None and comparison_key(email) != comparison_key(primary_email(document) or ""):
        document["emails"] = _with_primary(email, document.get("emails") or [])
    return document


def _with_primary(email: str, emails: list[Any]) -> list[Any]:
    """Put an address in the place of the primary one; the others stay."""
    rest = [entry for entry in emails if isinstance(entry, Mapping) and entry.get("primary") is not True]
    if len(rest) == len(emails):
        rest = rest[1:]
    others = [entry for entry in rest if comparison_key(str(entry.get("value", ""))) != comparison_key(email)]
    return [{"value": email, "type": "work", "primary": True}, *others]


def changed_attributes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the attributes in which two documents differ, those of the enterprise extension by their own names."""
    flat_before, flat_after = _flat(before), _flat(after)
    names = {*flat_before, *flat_after}
    return tuple(sorted(name for name in names if flat_before.get(name) != flat_after.get(name)))


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    extension = document.get(ENTERPRISE)
    inner = extension if isinstance(extension, Mapping) else {}
    return {**{name: value for name, value in document.items() if name != ENTERPRISE}, **inner}
