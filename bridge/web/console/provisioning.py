"""The provisioning mode: the table of modes, whom a switch touches, and the switch."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.provisioning import MODES
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.provisioning_mode import preview_mode, read_provisioning, switch_mode
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit

pages = Blueprint("provisioning", __name__, url_prefix="/console/provisioning")


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """Show who creates, changes and removes people in each mode, and which one is in force."""
    return _page(visit)


@pages.post("/preview")
@signed_in(Permission.SWITCH_PROVISIONING)
def preview(visit: Visit) -> Response:
    """Show whom switching to a mode would touch."""
    try:
        found = preview_mode(visit.unit, request.form.get("mode", ""))
    except InvalidInputError as mistake:
        return _page(visit, mistake)
    return render("provisioning_preview.html", preview=found, modes=MODES)


@pages.post("/switches/<preview_id>")
@signed_in(Permission.SWITCH_PROVISIONING)
def switch(visit: Visit, preview_id: str) -> Response:
    """Switch to the mode that was previewed."""
    done = switch_mode(visit.unit, identifier("preview", preview_id))
    flash(f"Switched from {done.before} to {done.after}.", "ok")
    return see_other(url_for("provisioning.index"))


def _page(visit: Visit, mistake: InvalidInputError | None = None) -> Response:
    return render(
        "provisioning.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        provisioning=read_provisioning(visit.unit),
        modes=MODES,
    )
