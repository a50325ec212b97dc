"""The provisioning log: what identity providers sent, what they were answered, what it means and what helps."""

import json
from dataclasses import dataclass

from flask import Blueprint, Response, current_app, request, url_for

from bridge.domain.dialects import NAMES, Dialect
from bridge.domain.identifiers import ConnectionId, MemberId, parse_id
from bridge.domain.redaction import read_kept
from bridge.domain.roles import Permission
from bridge.store.directory import get_member
from bridge.usecases.connections import list_connections
from bridge.usecases.read_requests import RequestStory, read_request
from bridge.usecases.search_requests import (
    METHODS,
    TOKEN_PLACEHOLDER,
    Outcome,
    RequestFilter,
    as_curl,
    search_requests,
)
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.rendering import render
from bridge.web.session import Visit, current_runtime

pages = Blueprint("request_log", __name__, url_prefix="/console/provisioning-log")

_LONGEST_TEXT = 200
#: The view that sends a request again stands above the console: the protocol's own code answers it.
_REPLAY = "replays.rehearse"


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it is shown: JSON in lines, or as it came."""

    text: str
    is_whole: bool


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    """One request with everything that its page shows.

    Attributes:
        curl: As a command; None where a part of it was not kept.
        dialect: Whom this request alone speaks for, by name.
        replay_url: Where it is sent again as a dry run; None where nothing answers the protocol.
    """

    story: RequestStory
    sent: Body | None
    answer: Body | None
    curl: str | None
    dialect: str | None
    replay_url: str | None


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """List the newest requests."""
    return _page(visit, None)


@pages.get("/<name>")
@signed_in(Permission.SEE_CONSOLE)
def show(visit: Visit, name: str) -> Response:
    """Show one request with its answer, beside the list."""
    return _page(visit, read_request(visit.unit, name))


def _page(visit: Visit, story: RequestStory | None) -> Response:
    unit, wanted = visit.unit, _parse_filter()
    settings = current_runtime().settings
    base_url = f"{settings.server.public_url}/scim/v2/{visit.organization.slug}"
    return render(
        "provisioning_log.html",
        page=search_requests(unit, wanted),
        wanted=wanted,
        person=None if wanted.member_id is None else get_member(unit, wanted.member_id),
        connections=list_connections(unit),
        outcomes=Outcome,
        methods=METHODS,
        filters=_kept_arguments(),
        live=request.args.get("live") == "1" and wanted.before is None,
        days=settings.scim.request_log_days,
        opened=None if story is None else _open(story, base_url),
        placeholder=TOKEN_PLACEHOLDER,
    )


def _open(story: RequestStory, base_url: str) -> OpenedRequest:
    entry = story.entry
    return OpenedRequest(
        story=story,
        sent=_body(entry.request_body, is_whole=entry.request_whole),
        answer=_body(entry.response_body, is_whole=entry.response_whole),
        curl=as_curl(entry, base_url),
        dialect=NAMES[Dialect(entry.dialect)] if entry.dialect in set(Dialect) else None,
        replay_url=url_for(_REPLAY, request_id=entry.id) if _REPLAY in current_app.view_functions else None,
    )


def _parse_filter() -> RequestFilter:
    arguments = request.args
    connection, person = arguments.get("connection", ""), arguments.get("person")
    outcomes = {outcome.value: outcome for outcome in Outcome}
    method = arguments.get("method", "")
    of = None if connection in {"", "nobody"} else ConnectionId(identifier("connection", connection))
    return RequestFilter(
        connection_id=of,
        nobodys=connection == "nobody",
        outcome=outcomes.get(arguments.get("outcome", ""), Outcome.ANY),
        method=method if method in METHODS else "",
        text=arguments.get("q", "").strip()[:_LONGEST_TEXT],
        member_id=MemberId(identifier("member", person)) if person else None,
        before=parse_id(arguments.get("before", "")),
    )


def _kept_arguments() -> dict[str, str]:
    """Return what the address filters by, for the links of the page."""
    names = ("q", "connection", "outcome", "method", "person", "live")
    return {name: value for name in names if (value := request.args.get(name, ""))}


def _body(text: str | None, *, is_whole: bool) -> Body | None:
    if not text:
        return None
    document = read_kept(text)
    try:
        shown = text if document is None else json.dumps(document, indent=2, ensure_ascii=False)
    except RecursionError:  # the writer of indented JSON goes less deep than the reader
        shown = text
    return Body(shown, is_whole)
