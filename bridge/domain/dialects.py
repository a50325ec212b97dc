"""Which identity provider a connection behaves like, told from what it sends.

A finding to be shown, never a switch: every dialect is understood on every connection. What is generic stays generic.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl


class Dialect(StrEnum):
    """Whose client speaks."""

    OKTA = "okta"
    ENTRA = "entra"
    GOOGLE = "google"
    ONELOGIN = "onelogin"
    JUMPCLOUD = "jumpcloud"
    PING = "ping"
    RIPPLING = "rippling"
    KEYCLOAK = "keycloak"
    GENERIC = "generic"


NAMES: Mapping[Dialect, str] = MappingProxyType(
    {
        Dialect.OKTA: "Okta",
        Dialect.ENTRA: "Entra ID",
        Dialect.GOOGLE: "Google",
        Dialect.ONELOGIN: "OneLogin",
        Dialect.JUMPCLOUD: "JumpCloud",
        Dialect.PING: "Ping",
        Dialect.RIPPLING: "Rippling",
        Dialect.KEYCLOAK: "Keycloak",
        Dialect.GENERIC: "a client of the standard",
    }
)

_SURE, _STRONG, _TYPICAL, _WEAK = 10, 3, 2, 1
#: Fewer points than this say nothing.
_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Sign:
    """Something a request can show.

    Attributes:
        dialect: Whom it speaks for; GENERIC for what only tells variants of one apart.
        weight: How much: 10 decides alone, 1 needs another sign beside it.
        seen_by: In words.
    """

    dialect: Dialect
    weight: int
    seen_by: str


SIGNS: Mapping[str, Sign] = MappingProxyType(
    {
        "agent_okta": Sign(Dialect.OKTA, _SURE, "its User-Agent"),
        "agent_entra": Sign(Dialect.ENTRA, _SURE, "its User-Agent"),
        "agent_google": Sign(Dialect.GOOGLE, _SURE, "its User-Agent"),
        "agent_onelogin": Sign(Dialect.ONELOGIN, _SURE, "its User-Agent"),
        "agent_jumpcloud": Sign(Dialect.JUMPCLOUD, _SURE, "its User-Agent"),
        "agent_ping": Sign(Dialect.PING, _SURE, "its User-Agent"),
        "agent_rippling": Sign(Dialect.RIPPLING, _SURE, "its User-Agent"),
        "agent_keycloak": Sign(Dialect.KEYCLOAK, _SURE, "its User-Agent"),
        "agent_empty": Sign(Dialect.ONELOGIN, _TYPICAL, "an empty User-Agent"),
        "entra_flag": Sign(Dialect.ENTRA, _SURE, "aadOptscim062020 in the address"),
        "entra_schema": Sign(Dialect.ENTRA, _SURE, "Microsoft's own schema URI"),
        "entra_app_role": Sign(Dialect.ENTRA, _SURE, "roles of the type WindowsAzureActiveDirectoryRole"),
        "entra_role_path": Sign(Dialect.ENTRA, _STRONG, 'the path roles[primary eq "True"]'),
        "entra_role_text": Sign(Dialect.ENTRA, _STRONG, "a role as a JSON document inside a string"),
        "entra_schema_typo": Sign(Dialect.ENTRA, _STRONG, "the schema URI without its last colon"),
        "entra_operation": Sign(Dialect.ENTRA, _STRONG, "capitalised operations (Add, Replace, Remove)"),
        "entra_boolean": Sign(Dialect.ENTRA, _STRONG, 'active as the text "True" or "False"'),
        "entra_null_ref": Sign(Dialect.ENTRA, _STRONG, "members with $ref null"),
        "entra_reference": Sign(Dialect.ENTRA, _STRONG, "references checked by a filter on id and manager or members"),
        "entra_guest": Sign(Dialect.ENTRA, _TYPICAL, "a guest's name with #EXT#"),
        "entra_resource_type": Sign(Dialect.ENTRA, _TYPICAL, "meta.resourceType in a new resource"),
        "entra_test": Sign(Dialect.ENTRA, _TYPICAL, "a look-up of a random GUID as userName"),
        "entra_without_members": Sign(Dialect.ENTRA, _WEAK, "groups asked for without members"),
        "okta_external_id": Sign(Dialect.OKTA, _SURE, "an externalId of 00u and 17 characters"),
        "okta_page": Sign(Dialect.OKTA, _TYPICAL, "look-ups with startIndex=1 and count=100"),
        "okta_import": Sign(Dialect.OKTA, _TYPICAL, "a list of two people from the first on"),
        "okta_groups": Sign(Dialect.OKTA, _TYPICAL, "an empty list of groups in a person"),
        "okta_pathless": Sign(Dialect.OKTA, _TYPICAL, "a replacement of one attribute without path"),
        "okta_rename": Sign(Dialect.OKTA, _TYPICAL, "a group changed by a replacement with its id, without path"),
        "okta_password": Sign(Dialect.OKTA, _WEAK, "a password for a new person"),
        "okta_display": Sign(Dialect.OKTA, _WEAK, "members with value and display"),
        "put_person": Sign(Dialect.GENERIC, 0, "people changed with PUT"),
        "patch_person": Sign(Dialect.GENERIC, 0, "people changed with PATCH"),
    }
)

_AGENTS = tuple(
    (re.compile(pattern, re.IGNORECASE), sign)
    for pattern, sign in (
        (r"\bokta\b", "agent_okta"),
        (r"azure|microsoft|\bentra\b|\bmsft", "agent_entra"),
        (r"onelogin", "agent_onelogin"),
        (r"jumpcloud", "agent_jumpcloud"),
        (r"ping ?(federate|one|identity)", "agent_ping"),
        (r"rippling", "agent_rippling"),
        (r"keycloak", "agent_keycloak"),
        (r"google", "agent_google"),
    )
)
_GUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_TEST = re.compile(rf'\s*userName\s+eq\s+"{_GUID}"\s*', re.IGNORECASE)
_REFERENCE = re.compile(r"\s*id\s+eq\s+\S+\s+and\s+(manager|members)\s+eq\s+\S+\s*", re.IGNORECASE)
_LOOKUP = re.compile(r"\s*(userName|displayName)\s+eq\s", re.IGNORECASE)
_OKTA_ID = re.compile(r"00u[0-9A-Za-z]{17}")
_ROLE_PATH = re.compile(r'roles\[primary eq "True"\]', re.IGNORECASE)
_CAPITALISED = frozenset({"Add", "Replace", "Remove"})
_MICROSOFT = "http://schemas.microsoft.com/"


@dataclass(frozen=True, slots=True)
class SentRequest:
    """What a request shows of its sender.

    Attributes:
        path: Below the organization's SCIM root, as ``/Users/42``.
        query: Encoded, without the question mark.
        user_agent: None without the header; "" for an empty one.
        body: The JSON value; None when there is none or it cannot be read.
    """

    method: str
    path: str
    query: str
    user_agent: str | None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Whom a connection behaves like, and what that was seen by."""

    dialect: Dialect
    variant: str | None = None
    seen_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Give the name, as ``Okta (custom app)``."""
        name = NAMES[self.dialect]
        return f"{name} ({self.variant})" if self.variant else name


GENERIC = Behaviour(Dialect.GENERIC)


def signs_of(sent: SentRequest) -> list[str]:
    """Return the signs a request shows, by the names of :data:`SIGNS`, each once."""
    found = [*_agent_signs(sent.user_agent), *_method_signs(sent), *_query_signs(sent.query)]
    if isinstance(sent.body, Mapping):
        found += _body_signs(sent, {str(name).casefold(): value for name, value in sent.body.items()})
    return list(dict.fromkeys(found))


def conclude(signs: Iterable[str]) -> Behaviour:
    """Say whom signs speak for: the dialect with most points, if they are enough and nobody else has as many.

    Args:
        signs: Names of :data:`SIGNS`; unknown ones, of another version, are ignored. How often one was seen is not
            asked: a shape that one provider has stays a single piece of evidence.
    """
    return _conclude(tuple(name for name in dict.fromkeys(signs) if name in SIGNS))


@lru_cache(maxsize=1024)
def _conclude(distinct: tuple[str, ...]) -> Behaviour:
    points: dict[Dialect, int] = {}
    for name in distinct:
        sign = SIGNS[name]
        points[sign.dialect] = points.get(sign.dialect, 0) + sign.weight
    points.pop(Dialect.GENERIC, None)
    ranked = sorted(points.items(), key=lambda item: item[1], reverse=True)
    if not ranked or ranked[0][1] < _ENOUGH or (len(ranked) > 1 and ranked[1][1] == ranked[0][1]):
        return GENERIC
    dialect = ranked[0][0]
    spoke = sorted((SIGNS[name] for name in distinct if SIGNS[name].dialect is dialect), key=lambda sign: -sign.weight)
    return Behaviour(dialect, _variant(dialect, distinct), tuple(dict.fromkeys(sign.seen_by for sign in spoke)))


def _variant(dialect: Dialect, signs: Sequence[str]) -> str | None:
    if dialect is Dialect.OKTA and "put_person" in signs:
        return "custom app"
    if dialect is Dialect.OKTA and ("patch_person" in signs or "okta_pathless" in signs):
        return "catalogue app"
    if dialect is Dialect.ENTRA and "entra_flag" in signs:
        return "aadOptscim062020"
    return None


@lru_cache(maxsize=256)
def _agent_signs(agent: str | None) -> tuple[str, ...]:
    if agent is None:
        return ()
    empty = () if agent.strip() else ("agent_empty",)
    named = next(((sign,) for pattern, sign in _AGENTS if pattern.search(agent)), ())
    return (*empty, *named)


def _method_signs(sent: SentRequest) -> Iterator[str]:
    if sent.method == "PUT" and _is_one(sent.path, "Users"):
        yield "put_person"
    if sent.method == "PATCH" and _is_one(sent.path, "Users"):
        yield "patch_person"


def _query_signs(query: str) -> Iterator[str]:
    if not query:
        return
    if "aadoptscim062020" in query.casefold():
        yield "entra_flag"
    asked = {name.casefold(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    wanted = asked.get("filter", "")
    page = (asked.get("startindex"), asked.get("count"))
    if _TEST.fullmatch(wanted):
        yield "entra_test"
    if _REFERENCE.fullmatch(wanted):
        yield "entra_reference"
    if "#ext#" in wanted.casefold():
        yield "entra_guest"
    if asked.get("excludedattributes", "").casefold() == "members":
        yield "entra_without_members"
    if _LOOKUP.match(wanted) and page == ("1", "100"):
        yield "okta_page"
    if not wanted and page == ("1", "2"):
        yield "okta_import"


def _body_signs(sent: SentRequest, body: Mapping[str, Any]) -> Iterator[str]:
    operations = body.get("operations")
    if sent.method == "PATCH" and isinstance(operations, list):
        of_group = sent.path.startswith("/Groups")
        for operation in operations[:50]:
            if isinstance(operation, Mapping):
                yield from _operation_signs(operation, of_group=of_group)
        return
    schemas = body.get("schemas")
    for schema in schemas if isinstance(schemas, list) else ():
        if isinstance(schema, str) and schema.startswith(_MICROSOFT):
            yield "entra_schema"
        if isinstance(schema, str) and schema.endswith(":2.0User"):
            yield "entra_schema_typo"
    if sent.path.startswith("/Users"):
        yield from _person_signs(sent.method, body)
    meta = body.get("meta")
    if sent.method == "POST" and isinstance(meta, Mapping) and list(meta) == ["resourceType"]:
        yield "entra_resource_type"
    yield from _member_signs(body.get("members"))


def _person_signs(method: str, body: Mapping[str, Any]) -> Iterator[str]:
    external_id, user_name = body.get("externalid"), body.get("username")
    if isinstance(external_id, str) and _OKTA_ID.fullmatch(external_id):
        yield "okta_external_id"
    if isinstance(user_name, str) and "#EXT#" in user_name:
        yield "entra_guest"
    if body.get("groups") == []:
        yield "okta_groups"
    if method == "POST" and isinstance(body.get("password"), str):
        yield "okta_password"
    yield from _role_signs(body.get("roles"))


def _operation_signs(operation: Mapping[str, Any], *, of_group: bool) -> Iterator[str]:
    facts = {str(name).casefold(): value for name, value in operation.items()}
    path, value = facts.get("path"), facts.get("value")
    if isinstance(facts.get("op"), str) and facts["op"] in _CAPITALISED:
        yield "entra_operation"
    if isinstance(path, str) and _ROLE_PATH.search(path):
        yield "entra_role_path"
    if path == "active" and _plain(value) in {"True", "False"}:
        yield "entra_boolean"
    if path == "roles":
        yield from _role_signs(value)
    if path == "members":
        yield from _member_signs(value)
    if path is None and facts.get("op") == "replace" and isinstance(value, Mapping):
        if of_group and {"id", "displayName"} <= set(value):
            yield "okta_rename"
        if not of_group and set(value) in ({"active"}, {"password"}) and not isinstance(value.get("active"), str):
            yield "okta_pathless"


def _role_signs(roles: Any) -> Iterator[str]:
    for role in roles if isinstance(roles, list) else ():
        if isinstance(role, Mapping):
            if role.get("type") == "WindowsAzureActiveDirectoryRole":
                yield "entra_app_role"
            if isinstance(role.get("value"), str) and role["value"].startswith('{"'):
                yield "entra_role_text"


def _member_signs(members: Any) -> Iterator[str]:
    for member in members[:50] if isinstance(members, list) else ():
        if isinstance(member, Mapping):
            if "$ref" in member and member["$ref"] is None:
                yield "entra_null_ref"
            if set(member) == {"value", "display"}:
                yield "okta_display"


def _plain(value: Any) -> Any:
    """Unwrap a value from the one-element lists and objects that some clients put around it."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        value = value.get("value")
    return value if isinstance(value, str) else None


def _is_one(path: str, endpoint: str) -> bool:
    return path.startswith(f"/{endpoint}/") and not path.endswith("/.search")
