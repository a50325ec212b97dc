"""Taking people in from a file: upload, what it would do, and doing exactly that."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.identifiers import ConnectionId
from bridge.domain.people_files import Column
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.connections import list_connections
from bridge.usecases.seats import read_ladder
from bridge.usecases.upload_people import MOST_PEOPLE, apply_upload, preview_upload
from bridge.web.console.documents import download
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import plural, render, see_other
from bridge.web.session import Visit

pages = Blueprint("imports", __name__, url_prefix="/console/people/import")

#: So many people, and so many problems, are named on a page.
SHOWN = 100
_EXAMPLE = (
    "userName,givenName,familyName,department,groups\r\n"
    "ann.berg@example.com,Ann,Berg,Research,Engineering;All staff\r\n"
)


@pages.get("")
@signed_in(Permission.MANAGE_PEOPLE)
def form(visit: Visit) -> Response:
    """Ask for the file."""
    return _form(visit)


@pages.get("/example.csv")
@signed_in(Permission.MANAGE_PEOPLE)
def example(visit: Visit) -> Response:  # noqa: ARG001 (who may not manage people has no use for it)
    """Give a file to begin with."""
    return download(_EXAMPLE.encode(), "people.csv", "text/csv; charset=utf-8")


@pages.post("/preview")
@signed_in(Permission.MANAGE_PEOPLE)
def preview(visit: Visit) -> Response:
    """Show what the file would do to everybody and every seat; nothing of it stays."""
    wanted = request.form.get("connection")
    try:
        content, name = _uploaded()
        connection = ConnectionId(identifier("connection", wanted)) if wanted else None
        made = preview_upload(visit.unit, content, name, connection)
    except InvalidInputError as mistake:
        return _form(visit, mistake)
    return render("import_preview.html", preview=made, report=made.report, ladder=read_ladder(visit.unit), shown=SHOWN)


@pages.post("/<preview_id>/apply")
@signed_in(Permission.MANAGE_PEOPLE)
def apply(visit: Visit, preview_id: str) -> Response:
    """Take the people in, as previewed."""
    skips = request.form.get("skip_bad_rows") == "yes"
    done = apply_upload(visit.unit, identifier("preview", preview_id), skip_bad_rows=skips)
    if done is None:
        flash("This file was imported already, once.", "ok")
    else:
        added, changed = len(done.effect.added), len(done.effect.changed)
        flash(
            f"Imported: {plural(added, 'person', 'people')} added, {changed:,} changed, "
            f"{done.effect.unchanged:,} as they were.",
            "ok",
        )
    return see_other(url_for("people.index"))


def _uploaded() -> tuple[bytes, str]:
    """Return the file and what it is called."""
    sent = request.files.get("file")
    content = b"" if sent is None else sent.read()
    if sent is None or not content:
        raise InvalidInputError("file", "is missing or empty: choose one")
    return content, sent.filename or "The file"


def _form(visit: Visit, mistake: InvalidInputError | None = None) -> Response:
    may_choose = visit.may(Permission.MANAGE_CONNECTIONS)
    return render(
        "import.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        connections=[one for one in list_connections(visit.unit) if one.kind == "idp"] if may_choose else [],
        columns=tuple(Column),
        most=MOST_PEOPLE,
    )
