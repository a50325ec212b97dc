"""The match preview of a connection: who a directory's people would be here, before it pushes them."""

from flask import Blueprint, Response, request

from bridge.domain.people_files import read_people
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.store.models import Domain
from bridge.store.unit import Unit
from bridge.usecases.connections import list_domains
from bridge.usecases.preview_matches import (
    ListedPerson,
    MatchPreview,
    Verdict,
    listed_in_file,
    listed_in_text,
    looked_up,
    preview_matches,
)
from bridge.usecases.read_connections import ConnectionHealth
from bridge.web.console.connections import health_of
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render
from bridge.web.session import Visit

pages = Blueprint("matches", __name__, url_prefix="/console/connections/<connection_id>/matches")

SHOWN = 500


@pages.get("")
@signed_in(Permission.MANAGE_CONNECTIONS)
def form(visit: Visit, connection_id: str) -> Response:
    """Ask who is in the directory."""
    return _page(visit, health_of(visit.unit, connection_id))


@pages.post("")
@signed_in(Permission.MANAGE_CONNECTIONS)
def show(visit: Visit, connection_id: str) -> Response:
    """Say who would be linked, created and refused; nothing is kept of the list."""
    health = health_of(visit.unit, connection_id)
    try:
        preview = preview_matches(visit.unit, health.connection.id, _listed(visit.unit, health))
    except InvalidInputError as mistake:
        return _page(visit, health, mistake=mistake)
    return _page(visit, health, preview)


def _listed(unit: Unit, health: ConnectionHealth) -> list[ListedPerson]:
    if request.form.get("from") == "lookups":
        return looked_up(unit, health.connection.id)
    file = request.files.get("file")
    raw = file.read() if file is not None else b""
    if not raw:
        return listed_in_text(request.form.get("names", ""))
    read = read_people(raw)
    if not read.people and read.problems:
        problem = read.problems[0]
        raise InvalidInputError("file", f"row {problem.row}: {problem}" if problem.row else str(problem))
    return listed_in_file(read.people)


def _page(
    visit: Visit,
    health: ConnectionHealth,
    preview: MatchPreview | None = None,
    mistake: InvalidInputError | None = None,
) -> Response:
    unit = visit.unit
    domains: list[Domain] = [one for one in list_domains(unit) if one.verified_at is not None]
    return render(
        "connection_matches.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        health=health,
        preview=preview,
        verdicts=Verdict,
        shown=SHOWN,
        found=len(looked_up(unit, health.connection.id)),
        domains=[one.name for one in domains if one.connection_id in {None, health.connection.id}],
    )
