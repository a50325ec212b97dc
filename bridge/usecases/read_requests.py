"""Reading the provisioning log: what came, what was answered, what it means, and which decisions came of it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_plus

from sqlalchemy import select

from bridge.domain.dialects import GENERIC, Behaviour, conclude
from bridge.domain.identifiers import ConnectionId, parse_id
from bridge.domain.redaction import read_kept, storable
from bridge.domain.request_log import MEANINGS, Mark
from bridge.domain.roles import Permission
from bridge.errors import NotFoundError
from bridge.store.models import Connection, Decision, Group, LoggedRequest, Member, ScimToken
from bridge.store.pools import ladder_of, read_pools
from bridge.store.request_log import signs_of_connections
from bridge.store.unit import Unit
from bridge.usecases.explain import ExplainedDecision, explain_decisions
from bridge.usecases.read_holds import hold_of_request

#: What a connection showed longer ago than this before it was last seen is forgotten: it may speak another way now.
REMEMBERED = timedelta(days=30)
#: A decision belongs to a request with its id of about the same time: clients may use an id twice.
_SAME_TIME = timedelta(minutes=10)
#: So many characters say what a request asked for; the whole is in the entry.
_MAX_SAID = 300

_VERBS = MappingProxyType({"POST": "create", "PUT": "replace", "PATCH": "change", "DELETE": "delete"})
_THINGS = MappingProxyType({"Users": "person", "Groups": "group"})

#: What an answer means and what helps, where no mark says it better; by status, or by status and scimType.
_HELP: Mapping[tuple[int, str | None], str] = MappingProxyType(
    {
        (400, None): "the request was not understood: the answer names the place",
        (
            400,
            "invalidValue",
        ): "a value is missing or does not fit: correct the attribute mapping that the answer names",
        (400, "invalidFilter"): "the filter is not valid for these resources",
        (400, "invalidPath"): "the path of an operation is not valid",
        (400, "noTarget"): "the path of an operation selects nothing",
        (400, "invalidSyntax"): "the body does not have the shape of this request",
        (403, None): "this token, or this change, is not allowed: the answer says which",
        (404, None): "there is nobody and nothing of that id in this directory: let the identity provider match again",
        (409, None): "the change collides with something that is here: the answer says with what",
        (409, "uniqueness"): "somebody has this value already: the same filter finds who",
        (412, None): "it was changed meanwhile: the identity provider reads it again, then repeats",
        (413, None): "the body is larger than the settings scim.max_body_bytes and scim.max_bulk_bytes allow",
        (415, None): "the body came packed or as another type than JSON",
        (500, None): "something went wrong here: the service's log has the request id",
        (503, None): "the database did not answer in time: the identity provider repeats",
    }
)


@dataclass(frozen=True, slots=True)
class RequestLine:
    """An entry in one line.

    Attributes:
        said: What was asked for, in words.
        answered: The status, with scimType and mark where there are any.
        meaning: What a refusal means and what helps, a sentence; None for what was accepted.
        named: What was asked for, with the name of who or what is here instead of its id.
    """

    id: uuid.UUID
    at: datetime
    connection: str | None
    method: str
    path: str
    said: str
    status: int
    answered: str
    latency_ms: float
    mark: str | None
    request_id: str
    meaning: str | None
    named: str


@dataclass(frozen=True, slots=True)
class RequestStory:
    """An entry with everything around it.

    Attributes:
        line: The entry in one line.
        entry: The entry.
        token: Label and first characters of the token; None where it is nobody's, or gone.
        people: Whom it is about, of those who are here.
        decisions: What it made of seats, newest first.
        hold_id: The hold that the brake put something of it under.
    """

    line: RequestLine
    entry: LoggedRequest
    token: str | None
    people: Sequence[Member]
    decisions: Sequence[ExplainedDecision]
    hold_id: uuid.UUID | None


def list_requests(
    unit: Unit,
    *,
    connection_id: ConnectionId | None = None,
    failed: bool = False,
    after: uuid.UUID | None = None,
    limit: int = 50,
) -> list[RequestLine]:
    """Return the newest entries, oldest of them first.

    Args:
        unit: The unit.
        connection_id: Of one connection only.
        failed: Refusals only.
        after: The oldest that are newer than this entry, instead of the newest.
        limit: At most so many.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    wanted = select(LoggedRequest).where(LoggedRequest.org_id == unit.org_id).limit(limit)
    if connection_id is not None:
        wanted = wanted.where(LoggedRequest.connection_id == connection_id)
    if failed:
        wanted = wanted.where(LoggedRequest.status >= 400)  # noqa: PLR2004 (the refusals of HTTP)
    if after is None:
        entries = list(unit.session.scalars(wanted.order_by(LoggedRequest.id.desc())))[::-1]
    else:
        entries = list(unit.session.scalars(wanted.where(LoggedRequest.id > after).order_by(LoggedRequest.id)))
    return lines_of(unit, entries)


def lines_of(unit: Unit, entries: Sequence[LoggedRequest]) -> list[RequestLine]:
    """Tell each of these entries in one line."""
    names, called = _connection_names(unit), _names_of_subjects(unit, entries)
    return [_line(entry, names, called) for entry in entries]


def find_request(unit: Unit, name: str) -> LoggedRequest:
    """Return an entry by its id, or the newest by a request id.

    Raises:
        ForbiddenError: The actor may not open the console.
        NotFoundError: There is none, or no longer.
    """
    unit.require(Permission.SEE_CONSOLE)
    own = LoggedRequest.org_id == unit.org_id
    identifier = parse_id(name)
    found = None
    if identifier is not None:
        found = unit.session.scalars(select(LoggedRequest).where(own, LoggedRequest.id == identifier)).one_or_none()
    if found is None:
        found = unit.session.scalars(
            select(LoggedRequest)
            .where(own, LoggedRequest.request_id == storable(name))
            .order_by(LoggedRequest.id.desc())
            .limit(1)
        ).one_or_none()
    if found is None:
        raise NotFoundError("request in the log", name)
    return found


def read_request(unit: Unit, name: str) -> RequestStory:
    """Tell the story of one entry, named as for :func:`find_request`.

    Raises:
        ForbiddenError: The actor may not open the console.
        NotFoundError: There is none, or no longer.
    """
    entry = find_request(unit, name)
    return RequestStory(
        line=lines_of(unit, [entry])[0],
        entry=entry,
        token=_token_name(unit, entry),
        people=_people_of(unit, entry),
        decisions=decisions_of(unit, entry.request_id, around=entry.at),
        hold_id=hold_of_request(unit, entry.request_id),
    )


def decisions_of(unit: Unit, request_id: str, *, around: datetime) -> list[ExplainedDecision]:
    """Return the decisions about seats that a request made, newest first."""
    stored = unit.session.scalars(
        select(Decision)
        .where(
            Decision.org_id == unit.org_id,
            Decision.request_id == request_id,
            Decision.at.between(around - _SAME_TIME, around + _SAME_TIME),
        )
        .order_by(Decision.seq.desc())
    ).all()
    return explain_decisions(unit, stored, ladder_of(read_pools(unit))) if stored else []


def behaviours(unit: Unit) -> dict[ConnectionId, Behaviour]:
    """Return whom each connection behaves like, by what it sent in the 30 days before it was last seen."""
    found: dict[ConnectionId, Behaviour] = {}
    for connection_id, signs in signs_of_connections(unit).items():
        newest = max(sign.last_at for sign in signs)
        found[connection_id] = conclude(sign.sign for sign in signs if sign.last_at >= newest - REMEMBERED)
    return found


def behaviour_of(unit: Unit, connection_id: ConnectionId) -> Behaviour:
    """Return whom one connection behaves like."""
    return behaviours(unit).get(connection_id, GENERIC)


def meaning_of(status: int, scim_type: str | None, mark: str | None) -> str | None:
    """Say what a refusal or a mark means and what helps, as a sentence; None for what was accepted without one."""
    if status < 400 and mark is None:  # noqa: PLR2004 (the refusals of HTTP)
        return None
    meaning = MEANINGS.get(Mark(mark)) if mark in set(Mark) else None
    meaning = meaning or _HELP.get((status, scim_type)) or _HELP.get((status, None)) or "the answer says why"
    return f"{meaning[0].upper()}{meaning[1:]}."


def said_by(method: str, path: str, query: str, body: str | None) -> str:
    """Say in a few words what a request asked for; whatever was sent, something is said."""
    said = storable(_said(method, path, query, body))
    return said if len(said) <= _MAX_SAID else f"{said[: _MAX_SAID - 1]}…"


def _said(method: str, path: str, query: str, body: str | None) -> str:
    endpoint, _, rest = path.strip("/").partition("/")
    thing = _THINGS.get(endpoint)
    if endpoint == "Bulk":
        return "several operations (Bulk)"
    if method in {"GET", "HEAD"} or rest == ".search":
        if thing is None:
            return f"read {endpoint or 'everything'}"
        asked = {name: unquote_plus(value) for name, _, value in (each.partition("=") for each in query.split("&"))}
        if rest and rest != ".search":
            return f"read {thing} {rest}"
        return f"find {thing}: {asked['filter']}" if asked.get("filter") else f"list of each {thing}"
    verb = _VERBS.get(method, method)
    document = read_kept(body)
    named = _named(document) if isinstance(document, Mapping) else ""
    return " ".join(part for part in (verb, thing or endpoint, rest, named) if part)


def _named(document: Mapping[str, Any]) -> str:
    """Name what a body is about: a person, a group, or the attributes that operations change."""
    facts = {name.casefold(): value for name, value in document.items()}
    operations = facts.get("operations")
    if isinstance(operations, list):
        return ", ".join(dict.fromkeys(filter(None, (_operation(each) for each in operations[:5]))))
    name = next((name for name in (facts.get("username"), facts.get("displayname")) if isinstance(name, str)), "")
    return ", ".join(part for part in (name, "active: false" if _is_off(facts.get("active")) else "") if part)


def _is_off(active: Any) -> bool:
    """Tell whether ``active`` turns somebody off, also inside a list of one or an object, as some clients send it."""
    if isinstance(active, list) and len(active) == 1:
        active = active[0]
    if isinstance(active, Mapping):
        active = active.get("value")
    return active is False or (isinstance(active, str) and active.casefold() == "false")


def _operation(operation: Any) -> str:
    if not isinstance(operation, Mapping):
        return ""
    facts = {name.casefold(): value for name, value in operation.items()}
    verb, path, value = facts.get("op"), facts.get("path"), facts.get("value")
    about = path if isinstance(path, str) and path else ", ".join(value) if isinstance(value, Mapping) else ""
    return f"{verb.lower() if isinstance(verb, str) else ''} {about}".strip()


def _line(entry: LoggedRequest, names: Mapping[uuid.UUID, str], called: Mapping[str, str]) -> RequestLine:
    said = said_by(entry.method, entry.path, entry.query, entry.request_body)
    subject = _subject_of(entry)
    query = f"?{unquote_plus(entry.query)}" if entry.query else ""
    return RequestLine(
        id=entry.id,
        at=entry.at,
        connection=None if entry.connection_id is None else names.get(entry.connection_id, str(entry.connection_id)),
        method=entry.method,
        path=f"{entry.path}{query}",
        said=said,
        status=entry.status,
        answered=" ".join(str(part) for part in (entry.status, entry.scim_type, entry.mark) if part),
        latency_ms=entry.latency_ms,
        mark=entry.mark,
        request_id=entry.request_id,
        meaning=meaning_of(entry.status, entry.scim_type, entry.mark),
        named=said.replace(subject, called[subject]) if subject in called else said,
    )


def _subject_of(entry: LoggedRequest) -> str:
    """Return what the address names, which may be an id."""
    return entry.path.strip("/").partition("/")[2]


def _names_of_subjects(unit: Unit, entries: Sequence[LoggedRequest]) -> dict[str, str]:
    """Return what pages call the people and groups that these entries' addresses name, by id."""
    ids = {found for entry in entries if (found := parse_id(_subject_of(entry))) is not None}
    if not ids:
        return {}
    people = select(Member.id, Member.display_name).where(Member.org_id == unit.org_id, Member.id.in_(ids))
    groups = select(Group.id, Group.display_name).where(Group.org_id == unit.org_id, Group.id.in_(ids))
    return {str(row[0]): row[1] for row in unit.session.execute(people.union_all(groups))}


def _people_of(unit: Unit, entry: LoggedRequest) -> Sequence[Member]:
    """Return who is named by the address, by the answer to their creation, or as who has a value already."""
    endpoint, _, rest = entry.path.strip("/").partition("/")
    if endpoint != "Users":
        return ()
    document = read_kept(entry.response_body)
    answered = document if isinstance(document, Mapping) else {}
    named = {rest, *(text for text in (answered.get("id"),) if isinstance(text, str))}
    if entry.status == HTTPStatus.CONFLICT:
        named |= set(str(answered.get("detail", "")).split())
    ids = {member_id for text in named if (member_id := parse_id(text)) is not None}
    if not ids:
        return ()
    return unit.session.scalars(
        select(Member).where(Member.org_id == unit.org_id, Member.id.in_(ids)).order_by(Member.position)
    ).all()


def _connection_names(unit: Unit) -> dict[uuid.UUID, str]:
    rows = unit.session.execute(select(Connection.id, Connection.name).where(Connection.org_id == unit.org_id))
    return {row.id: row.name for row in rows}


def _token_name(unit: Unit, entry: LoggedRequest) -> str | None:
    if entry.token_id is None:
        return None
    token = unit.session.get(ScimToken, (unit.org_id, entry.token_id))
    return None if token is None else f"{token.label} ({token.prefix}…)"
