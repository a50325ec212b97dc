"""What a PATCH says that can be written straight into a document: texts, and whether somebody is active."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import validate_email

from bridge.domain.documents import ENTERPRISE, comparison_key
from bridge.store.lane_rows import PersonRow
from bridge.usecases.provision_member import PersonDraft
from scim.expressions import ENTERPRISE_NAMES
from scim.limits import MAX_DOCUMENT_BYTES

#: Attributes with one text, which a PATCH may write straight into the document: the folded path and the steps to it.
_TEXTS: Mapping[str, tuple[str, ...]] = {
    **{
        name.casefold(): (name,)
        for name in ("displayName", "title", "nickName", "userType", "preferredLanguage", "locale", "timezone")
    },
    **{
        f"name.{part}".casefold(): ("name", part)
        for part in ("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")
    },
    **{
        f"{ENTERPRISE}:{name}".casefold(): (ENTERPRISE, name) for name in ENTERPRISE_NAMES.values() if name != "manager"
    },
}
#: One part of the entry of a type, as ``emails[type eq "work"].value``, and the parts that are plain texts.
_LISTED = re.compile(r'(\w+)\[ *type +eq +"([^"\\]{1,64})" *\]\.(\w+)', re.IGNORECASE | re.ASCII)
_LISTED_TEXTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    name.casefold(): (name, {part.casefold(): part for part in parts})
    for name, parts in (
        ("emails", ("value", "display")),
        ("phoneNumbers", ("value", "display")),
        ("ims", ("value", "display")),
        ("addresses", ("formatted", "streetAddress", "locality", "region", "postalCode", "country")),
    )
}


@dataclass(frozen=True, slots=True)
class Edit:
    """A PATCH that does nothing but give texts, and turn somebody on or off.

    Attributes:
        texts: Attributes with their texts; complex ones as mappings of the parts that change.
        listed: Parts of entries of lists.
        active: None where the PATCH does not say.
    """

    texts: dict[str, Any]
    listed: list["_Listed"]
    active: bool | None

    def of(self, person: PersonRow) -> PersonDraft | None:
        """Return what is said of a person then; None when that is too much, or an entry is not there exactly once."""
        document = dict(person.document)
        for name, value in self.texts.items():
            outer = document.get(name)
            document[name] = {**outer, **value} if isinstance(value, dict) and isinstance(outer, dict) else value
        for each in self.listed:
            entries = each.written_into(document.get(each.name))
            if entries is None:
                return None
            document[each.name] = entries
        if len(orjson.dumps(document)) > MAX_DOCUMENT_BYTES:
            return None
        active = person.active if self.active is None else self.active
        return PersonDraft(user_name=person.user_name, external_id=person.external_id, active=active, document=document)


def edit_of(operations: list[dict[str, Any]]) -> Edit | None:
    """Read operations that do nothing else; None when there is more to do."""
    texts: dict[str, Any] = {}
    listed: list[_Listed] = []
    active: bool | None = None
    for operation in operations:
        path, value = operation.get("path"), operation.get("value")
        if operation.get("op") not in {"add", "replace"} or not isinstance(path, str):
            return None
        if path.casefold() == "active" and isinstance(value, bool):
            active = value
            continue
        if not isinstance(value, str) or not value:
            return None
        # Letters beyond ASCII fold into those of some names, which they are not.
        steps = _TEXTS.get(path.casefold()) if path.isascii() else None
        if steps is None:
            each = _listed(path, value) if operation["op"] == "replace" else None
            if each is None:
                return None
            listed.append(each)
            continue
        if len(steps) == 1:
            texts[steps[0]] = value
        else:
            texts.setdefault(steps[0], {})[steps[1]] = value
    return Edit(texts, listed, active)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A text for one part of the entry of a type: ``emails``, ``work``, ``value`` and the address."""

    name: str
    kind: str
    part: str
    value: str

    def written_into(self, entries: object) -> list[Any] | None:
        """Return the entries with the text in the only one of the type; None where there is none, or another one."""
        if not isinstance(entries, list):
            return None
        matching = [
            place
            for place, entry in enumerate(entries)
            if isinstance(entry, dict)
            and isinstance(entry.get("type"), str)
            and comparison_key(entry["type"]) == comparison_key(self.kind)
        ]
        if len(matching) != 1:
            return None
        written = list(entries)
        written[matching[0]] = {**written[matching[0]], self.part: self.value}
        return written


def _listed(path: str, value: str) -> _Listed | None:
    """Read a path to a part of an entry; None for any other, and for a mail address that is not quite plain."""
    found = _LISTED.fullmatch(path)
    if found is None:
        return None
    name, parts = _LISTED_TEXTS.get(found.group(1).casefold(), ("", {}))
    part = parts.get(found.group(3).casefold())
    if part is None or (name == "emails" and part == "value" and not _is_plain_address(value)):
        return None
    return _Listed(name, found.group(2), part, value)


def _is_plain_address(value: str) -> bool:
    """Tell whether the library's models take a mail address, and leave it as it is."""
    try:
        return validate_email(value)[1] == value
    except ValueError:
        return False
