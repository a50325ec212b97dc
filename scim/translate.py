"""Between rows and SCIM resources: what is stored of a person or group, and what the wire shows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from pydantic import ValidationError
from scim2_models import Resource

from bridge.domain.documents import ENTERPRISE
from bridge.domain.identifiers import GroupId, MemberId, parse_id
from bridge.errors import InvalidInputError
from bridge.store.lane_rows import PersonRow
from bridge.store.models import Group, Member
from bridge.usecases.provision_member import PersonDraft
from bridge.usecases.sync_groups import GroupDraft
from scim.extensions import NO_EXTENSIONS, Extensions
from scim.limits import MAX_DOCUMENT_BYTES, MAX_USER_NAME
from scim.members import MemberIds, MemberList, Members
from scim.resources import GROUP, POLICY, SEAT, USER

log = structlog.get_logger()

_OWN_FIELDS = ("schemas", "id", "meta", "userName", "externalId", "active", "groups", "password", SEAT)


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A person with what is computed: the groups and, for who may see it, why the seat is as it is.

    Groups are id and name: those the person is directly in, and those around them, ``inherited``.
    """

    member: Member
    groups: Sequence[tuple[GroupId, str]]
    reason: str | None
    shows_seat: bool = True
    groups_digest: str = "0"
    inherited: Sequence[tuple[GroupId, str]] = ()

    @property
    def version(self) -> str:
        """The weak entity tag: moves with the document, the groups, their names and every decision about the seat."""
        member = self.member
        seat = member.decision_id.hex[:12] if member.decision_id else "0"
        return f'W/"{member.version}-{seat}-{self.groups_digest}"'


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group with the people and the groups in it, or without them when nobody asked for them.

    People are id and name, or the ids alone where no name is asked for; groups are id and name.
    """

    group: Group
    members: Members | None
    nested: Sequence[tuple[GroupId, str]] = ()

    @property
    def version(self) -> str:
        """The weak entity tag: moves with the document and the membership."""
        return f'W/"{self.group.version}"'


Stored = StoredPerson | StoredGroup


def digest_of_groups(groups: Sequence[tuple[GroupId, str]], inherited: Sequence[tuple[GroupId, str]] = ()) -> str:
    """Return what moves when somebody's groups, direct or inherited, or the names of them, change."""
    if not groups and not inherited:
        return "0"
    shown = sorted(f"{group_id} {name}" for group_id, name in groups)
    if inherited:
        shown += ["", *sorted(f"{group_id} {name}" for group_id, name in inherited)]
    return hashlib.sha256("\n".join(shown).encode()).hexdigest()[:12]


def to_json(stored: Stored, base_url: str | None = None, own: Extensions | None = None) -> dict[str, Any]:
    """Return the SCIM representation of a stored resource.

    Args:
        stored: The rows.
        base_url: Address of the SCIM root, for ``meta.location`` and references; None leaves them to the library
            (no location, references relative to the root).
        own: The organization's own extensions, for an answer: what is shown on request only, or never, is left out.
            None gives everything that is stored.
    """
    if isinstance(stored, StoredPerson):
        return _person_json(stored, base_url, own)
    return _group_json(stored, base_url, own)


def to_resource(stored: Stored, model: type[Resource[Any]]) -> Resource[Any]:
    """Return a stored resource as the library's model, for PATCH and for answers that show a part.

    A stored value the model cannot hold (written by another way in) is left out: one odd record must not fail a list.
    """
    document = to_json(stored)
    try:
        return model.model_validate(document, scim_policy=POLICY)
    except ValidationError as error:
        odd = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
        log.warning("scim.odd_record", resource_id=document["id"], attributes=sorted(odd))
        names = {name.casefold().replace("_", "") for name in odd}
        kept = {
            name: value
            for name, value in document.items()
            if name.casefold() not in names and not (name.startswith("urn:") and names & {"enterpriseuser"})
        }
        return model.model_validate(kept, scim_policy=POLICY)


def person_draft(
    resource: Resource[Any], *, stored: Member | PersonRow | None = None, own: Extensions = NO_EXTENSIONS
) -> PersonDraft:
    """Return what a resource says of a person.

    Args:
        resource: The whole new state.
        stored: The person as they are: what the resource does not say of ``active`` stays (a leaver must not come
            back by omission), and so do values that nobody may write. None for a new person, who is active.
        own: The organization's own extensions.

    Raises:
        InvalidInputError: The userName is missing or longer than 255 characters, or all that is said is larger than
            256 KiB.
    """
    document = _document(resource)
    user_name = document.get("userName")
    if not isinstance(user_name, str) or not user_name.strip():
        raise InvalidInputError("userName", "must not be empty")
    if len(user_name) > MAX_USER_NAME:
        raise InvalidInputError("userName", f"must not be longer than {MAX_USER_NAME} characters")
    active = document.get("active")
    if active is None:
        active = stored.is_on if stored is not None else True
    return PersonDraft(
        user_name=user_name,
        external_id=document.get("externalId") or None,
        active=active,
        document=_bounded(
            _with_kept(
                _without_links({name: value for name, value in document.items() if name not in _OWN_FIELDS}),
                stored,
                own,
            )
        ),
    )


def group_draft(resource: Resource[Any], *, stored: Group | None = None, own: Extensions = NO_EXTENSIONS) -> GroupDraft:
    """Return what a resource says of a group, without its members; values that nobody may write stay.

    Raises:
        InvalidInputError: The displayName is missing, or all that is said is larger than 256 KiB.
    """
    document = _document(resource)
    display_name = document.get("displayName")
    if not isinstance(display_name, str) or not display_name.strip():
        raise InvalidInputError("displayName", "must not be empty")
    extra = {"schemas", "id", "meta", "displayName", "externalId", "members"}
    return GroupDraft(
        display_name=display_name,
        external_id=document.get("externalId") or None,
        document=_bounded(
            _with_kept({name: value for name, value in document.items() if name not in extra}, stored, own)
        ),
    )


def _bounded(document: dict[str, Any]) -> dict[str, Any]:
    """Refuse what grew too large, be it by one body or by many small additions: every list would have to carry it."""
    if len(orjson.dumps(document)) > MAX_DOCUMENT_BYTES:
        raise InvalidInputError("attributes", f"must not be larger than {MAX_DOCUMENT_BYTES} bytes together")
    return document


def _with_kept(document: dict[str, Any], stored: Any, own: Extensions) -> dict[str, Any]:
    """Keep the values of extensions that nobody may write as they are stored."""
    kept = own.kept(stored.document) if stored is not None and own else {}
    return document | {urn: document.get(urn, {}) | values for urn, values in kept.items()}


def member_values(resource: Resource[Any]) -> list[str] | None:
    """Return the values of a group's members; None when the resource does not speak of members."""
    listed = getattr(resource, "members", None)
    if listed is None:
        return [] if "members" in resource.model_fields_set else None
    return [entry.value for entry in listed if entry is not None and entry.value]


def _document(resource: Resource[Any]) -> dict[str, Any]:
    dumped: dict[str, Any] = _pruned(resource.model_dump())
    return dumped


def _pruned(value: Any) -> Any:
    """Leave out what is unassigned: null, and lists and objects without content (RFC 7643 §2.5)."""
    if isinstance(value, Mapping):
        pruned = {name: _pruned(item) for name, item in value.items()}
        return {name: item for name, item in pruned.items() if item is not None and item not in ([], {})}
    if isinstance(value, list):
        return [item for item in map(_pruned, value) if item is not None and item != {}]
    return value


def _without_links(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is computed when it is shown: the link to the manager."""
    enterprise = document.get(ENTERPRISE)
    if isinstance(enterprise, dict) and isinstance(enterprise.get("manager"), dict):
        value = enterprise["manager"].get("value")
        rest = {name: item for name, item in enterprise.items() if name != "manager"}
        enterprise = {**rest, "manager": {"value": value}} if value else rest
        document = {**document, ENTERPRISE: enterprise} if enterprise else _without(document, ENTERPRISE)
    return document


def _without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in document.items() if key != name}


def _person_json(stored: StoredPerson, base_url: str | None, own: Extensions | None) -> dict[str, Any]:
    member = stored.member
    document = {
        "schemas": [USER],
        "id": str(member.id),
        **(own.shown(member.document) if own else member.document),
        "userName": member.user_name,
        "active": member.is_on,
    }
    if member.external_id is not None:
        document["externalId"] = member.external_id
    enterprise = document.pop(ENTERPRISE, None)
    if enterprise:
        document["schemas"].append(ENTERPRISE)
        document[ENTERPRISE] = _with_manager_link(enterprise, base_url)
    _move_extensions(document)
    if stored.groups or stored.inherited:
        document["groups"] = [
            {
                "value": str(group_id),
                "$ref": _reference(base_url, "Groups", group_id),
                "display": name,
                "type": kind,
            }
            for kind, groups in (("direct", stored.groups), ("indirect", stored.inherited))
            for group_id, name in groups
        ]
    if stored.shows_seat:
        document["schemas"].append(SEAT)
        document[SEAT] = _seat(member, stored.reason)
    document["meta"] = _meta("User", member, document["id"], stored.version, base_url)
    return document


def _move_extensions(document: dict[str, Any]) -> None:
    """Put the organization's own extensions behind the core attributes, and name their schemas."""
    for name in [name for name in document if ":" in name and name != ENTERPRISE]:
        document["schemas"].append(name)
        document[name] = document.pop(name)


def _group_json(stored: StoredGroup, base_url: str | None, own: Extensions | None) -> dict[str, Any]:
    group = stored.group
    document = {
        "schemas": [GROUP],
        "id": str(group.id),
        **(own.shown(group.document) if own else group.document),
        "displayName": group.display_name,
    }
    if group.external_id is not None:
        document["externalId"] = group.external_id
    _move_extensions(document)
    if stored.members or stored.nested:
        nested = [_member_json("Group", *group, base_url) for group in stored.nested]
        if isinstance(stored.members, MemberIds):
            document["members"] = MemberList(stored.members, nested, base_url or "")
        else:
            people = [_member_json("User", *member, base_url) for member in stored.members or ()]
            document["members"] = people + nested
    document["meta"] = _meta("Group", group, document["id"], stored.version, base_url)
    return document


def _member_json(kind: str, identifier: MemberId | GroupId, name: str, base_url: str | None) -> dict[str, str]:
    entry = {"value": str(identifier), "$ref": _reference(base_url, f"{kind}s", identifier), "type": kind}
    return entry if base_url else {**entry, "display": name}


def _seat(member: Member, reason: str | None) -> dict[str, str]:
    state = "assigned" if member.tier else "waiting" if member.waiting_for else "unassigned"
    facts = {"tier": member.tier, "state": state, "reason": reason}
    return {name: value for name, value in facts.items() if value is not None}


def _with_manager_link(enterprise: dict[str, Any], base_url: str | None) -> dict[str, Any]:
    value = (enterprise.get("manager") or {}).get("value")
    if not isinstance(value, str) or parse_id(value) is None:
        return enterprise
    return {**enterprise, "manager": {"value": value, "$ref": _reference(base_url, "Users", value)}}


def _reference(base_url: str | None, endpoint: str, identifier: object) -> str:
    return f"{base_url}/{endpoint}/{identifier}" if base_url else f"{endpoint}/{identifier}"


def _meta(kind: str, row: Member | Group, identifier: str, version: str, base_url: str | None) -> dict[str, str]:
    meta = {
        "resourceType": kind,
        "created": _instant(row.created_at),
        "lastModified": _instant(row.modified_at),
        "version": version,
    }
    if base_url:
        meta["location"] = f"{base_url}/{kind}s/{identifier}"
    return meta


def _instant(at: datetime) -> str:
    """Write an instant; the quicker library writes it as the slower one does."""
    return orjson.dumps(at, option=orjson.OPT_UTC_Z)[1:-1].decode()
