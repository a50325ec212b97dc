"""Drafts of the rules: several people see, preview, send and discard them; they decide about nobody."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.ask_owners import submit_draft
from bridge.usecases.mapping_drafts import discard_draft, find_draft, list_drafts, preview_draft
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.errors import sentence_of
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit

pages = Blueprint("drafts", __name__, url_prefix="/console/mappings/drafts")


@pages.get("")
@signed_in(Permission.EDIT_MAPPINGS)
def index(visit: Visit) -> Response:
    """List the drafts."""
    return render("drafts.html", drafts=list_drafts(visit.unit))


@pages.get("/<draft_id>")
@signed_in(Permission.EDIT_MAPPINGS)
def show(visit: Visit, draft_id: str) -> Response:
    """Show in what a draft differs from the rules in force."""
    return render("draft.html", draft=find_draft(visit.unit, identifier("draft", draft_id)))


@pages.post("/<draft_id>/preview")
@signed_in(Permission.EDIT_MAPPINGS)
def preview(visit: Visit, draft_id: str) -> Response:
    """Compute what a draft would do now; it is applied from there like any rules."""
    draft = find_draft(visit.unit, identifier("draft", draft_id))
    try:
        made = preview_draft(visit.unit, draft.name)
    except InvalidInputError as mistake:
        return _back(draft_id, mistake)
    return see_other(url_for("mappings.show_preview", preview_id=made.id))


@pages.post("/<draft_id>/submit")
@signed_in(Permission.EDIT_MAPPINGS)
def submit(visit: Visit, draft_id: str) -> Response:
    """Ask the owners for a draft and the seats that it needs."""
    draft = find_draft(visit.unit, identifier("draft", draft_id))
    try:
        asked = submit_draft(visit.unit, draft.name, note=request.form.get("note", ""))
    except InvalidInputError as mistake:
        return _back(draft_id, mistake)
    flash(f"Sent to the owners: {asked.summary}.", "ok")
    return see_other(url_for("approvals.index"))


@pages.post("/<draft_id>/discard")
@signed_in(Permission.EDIT_MAPPINGS)
def discard(visit: Visit, draft_id: str) -> Response:
    """Remove a draft."""
    draft = find_draft(visit.unit, identifier("draft", draft_id))
    discard_draft(visit.unit, draft.name)
    flash(f"The draft “{draft.name}” is discarded.", "ok")
    return see_other(url_for("drafts.index"))


def _back(draft_id: str, mistake: InvalidInputError) -> Response:
    flash(sentence_of(mistake), "err")
    return see_other(url_for("drafts.show", draft_id=draft_id))
