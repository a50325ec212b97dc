"""The plan that was agreed to follow an evaluation, in the console: owners begin it early (rules B2 and Q1)."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.roles import Permission
from bridge.usecases.new_plan import confirm_new_plan, open_new_plan_preview, preview_new_plan
from bridge.usecases.people import name_people
from bridge.usecases.seats import read_ladder
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit

pages = Blueprint("plan", __name__, url_prefix="/console/plan")

#: So many people are named whose seat changes.
_NAMED = 50


@pages.post("/previews")
@signed_in(Permission.MANAGE_BILLING)
def preview(visit: Visit) -> Response:
    """Compute what beginning the agreed plan now would bill, and who would hold which seat."""
    return see_other(url_for("plan.show_preview", preview_id=preview_new_plan(visit.unit, None).id))


@pages.get("/previews/<preview_id>")
@signed_in(Permission.MANAGE_BILLING)
def show_preview(visit: Visit, preview_id: str) -> Response:
    """Show what it would bill, and who would hold which seat."""
    shown = open_new_plan_preview(visit.unit, identifier("preview", preview_id))
    moves = shown.seats.moves[:_NAMED]
    return render(
        "plan_preview.html",
        preview=shown,
        moves=moves,
        names=name_people(visit.unit, [move.member_id for move in moves]),
        ladder=read_ladder(visit.unit),
    )


@pages.post("/previews/<preview_id>/confirm")
@signed_in(Permission.MANAGE_BILLING)
def confirm(visit: Visit, preview_id: str) -> Response:
    """Begin the plan as shown, once, and charge exactly that."""
    done = confirm_new_plan(
        visit.unit, identifier("preview", preview_id), acknowledged=request.form.get("acknowledged") == "yes"
    )
    flash("The plan has begun.", "ok")
    if done.invoice is None:
        return see_other(url_for("seats.index"))
    return see_other(url_for("seats.invoice", invoice_id=done.invoice.id))
