"""Looking for entries of the provisioning log: newest first, page by page, at a price that has a limit."""

import shlex
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote_plus

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased

from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.domain.redaction import storable
from bridge.domain.request_log import Mark
from bridge.domain.roles import Permission
from bridge.store.directory import get_member
from bridge.store.models import LoggedRequest
from bridge.store.unit import Unit
from bridge.usecases.read_requests import RequestLine, lines_of

PAGE_LENGTH: Final = 25
#: Entries that one page looks through: bodies are searched without an index, so that is what a search costs at most.
LOOKED_THROUGH: Final = 5000
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: What stands for the token where a request is shown as a command.
TOKEN_PLACEHOLDER: Final = "$SEATBRIDGE_SCIM_TOKEN"  # noqa: S105 (a placeholder, not a token)

_REFUSED = HTTPStatus.BAD_REQUEST


class Outcome(StrEnum):
    """How a request ended."""

    ANY = "any"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which entries are wanted.

    Attributes:
        nobodys: Only those whose token is nobody's.
        text: In the address, a body, or the request id; case does not count.
        member_id: Those that name this person, by id, userName or externalId.
        before: Only entries older than this one: where the page before ended.
    """

    connection_id: ConnectionId | None = None
    nobodys: bool = False
    outcome: Outcome = Outcome.ANY
    method: str = ""
    text: str = ""
    member_id: MemberId | None = None
    before: uuid.UUID | None = None

    @property
    def narrows(self) -> bool:
        """Whether anything but the page is asked for."""
        return self != RequestFilter(before=self.before)


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Entries, newest first.

    Attributes:
        older: Where the next page goes on; None at the end of the log.
        gave_up: The page is shorter than it could be, for enough was looked through: the next one looks further.
    """

    lines: Sequence[RequestLine]
    older: uuid.UUID | None
    gave_up: bool


def search_requests(unit: Unit, wanted: RequestFilter) -> RequestPage:
    """Return a page of the newest entries that are wanted.

    Raises:
        ForbiddenError: The actor may not open the console.
        NotFoundError: There is no such person.
    """
    unit.require(Permission.SEE_CONSOLE)
    base = select(LoggedRequest).where(LoggedRequest.org_id == unit.org_id)
    if wanted.outcome is Outcome.REFUSED:
        base = base.where(LoggedRequest.status >= _REFUSED)
    if wanted.before is not None:
        base = base.where(LoggedRequest.id < wanted.before)
    looked_at = base.order_by(LoggedRequest.id.desc()).limit(LOOKED_THROUGH).subquery()
    entry = aliased(LoggedRequest, looked_at)
    found = unit.session.scalars(
        select(entry).where(*_conditions(unit, entry, wanted)).order_by(entry.id.desc()).limit(PAGE_LENGTH + 1)
    ).all()
    page = found[:PAGE_LENGTH]
    if len(found) > PAGE_LENGTH:
        return RequestPage(lines_of(unit, page), page[-1].id, gave_up=False)
    ids = base.with_only_columns(LoggedRequest.id).order_by(LoggedRequest.id.desc())
    last = unit.session.scalar(ids.offset(LOOKED_THROUGH - 1).limit(1))
    return RequestPage(lines_of(unit, page), last, gave_up=last is not None)


def as_curl(entry: LoggedRequest, base_url: str) -> str | None:
    """Write a request as a command for a shell, with a placeholder for the token; None where a part was not kept."""
    if not entry.request_whole or (entry.request_body is None and entry.bytes_in):
        return None
    query = f"?{entry.query}" if entry.query else ""
    lines = [f"curl -X {entry.method} {shlex.quote(f'{base_url}{entry.path}{query}')}"]
    lines.append(f'-H "Authorization: Bearer {TOKEN_PLACEHOLDER}"')
    if entry.content_type:
        lines.append(f"-H {shlex.quote(f'Content-Type: {entry.content_type}')}")
    if entry.request_body:
        lines.append(f"--data-raw {shlex.quote(entry.request_body)}")
    return " \\\n  ".join(lines)


def _conditions(unit: Unit, entry: type[LoggedRequest], wanted: RequestFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.connection_id is not None:
        found.append(entry.connection_id == wanted.connection_id)
    if wanted.nobodys:
        found.append(entry.connection_id.is_(None))
    if wanted.outcome is Outcome.ACCEPTED:
        found.append(entry.status < _REFUSED)
    if wanted.outcome is Outcome.HELD:
        found.append(entry.mark == Mark.HELD)
    if wanted.method:
        found.append(entry.method == wanted.method)
    if wanted.text:
        found.append(_mentions(entry, wanted.text))
    if wanted.member_id is not None:
        member = get_member(unit, wanted.member_id)
        names = (str(member.id), member.user_name, member.external_id)
        found.append(or_(*(_mentions(entry, name) for name in names if name)))
    return found


def _mentions(entry: type[LoggedRequest], text: str) -> ColumnElement[bool]:
    """Look for a text where a request may have it: as it is, and as an address writes it."""
    plain = storable(text).lower()
    ways = {plain, quote(plain, safe="").lower(), unquote_plus(plain)}
    places = (entry.path, entry.query, entry.request_body, entry.response_body, entry.request_id)
    return or_(
        *(func.strpos(func.lower(func.coalesce(place, "")), way) > 0 for place in places for way in sorted(ways))
    )
