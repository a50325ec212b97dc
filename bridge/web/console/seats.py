"""Seats and billing: pools, the preview of a change, its confirmation, and invoices."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.roles import Permission
from bridge.usecases.buy_seats import confirm_seats, open_seats_preview, preview_seats
from bridge.usecases.people import name_people
from bridge.usecases.seats import read_invoice, read_seats
from bridge.web.console.forms import identifier, whole_number
from bridge.web.credentials import signed_in
from bridge.web.rendering import plural, render, see_other
from bridge.web.session import Visit

pages = Blueprint("seats", __name__, url_prefix="/console/seats")


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """Show the seats, and to owners what they cost."""
    return render("seats.html", seats=read_seats(visit.unit))


@pages.get("/change")
@signed_in(Permission.MANAGE_BILLING)
def change_form(visit: Visit) -> Response:
    """Ask how many seats to add or reduce."""
    wanted = {key.removeprefix("add."): value for key, value in request.args.items() if key.startswith("add.")}
    return render("seats_change.html", seats=read_seats(visit.unit), wanted=wanted)


@pages.post("/previews")
@signed_in(Permission.MANAGE_BILLING)
def preview(visit: Visit) -> Response:
    """Compute what the change would do and cost."""
    changes = {
        key.removeprefix("add."): whole_number(value, key)
        for key, value in request.form.items()
        if key.startswith("add.")
    }
    made = preview_seats(visit.unit, changes)
    return see_other(url_for("seats.show_preview", preview_id=made.id))


@pages.get("/previews/<preview_id>")
@signed_in(Permission.MANAGE_BILLING)
def show_preview(visit: Visit, preview_id: str) -> Response:
    """Show what the change would do and cost; nothing is bought yet."""
    shown = open_seats_preview(visit.unit, identifier("preview", preview_id))
    names = name_people(visit.unit, [promotion.member_id for promotion in shown.promotions])
    return render("seats_preview.html", preview=shown, seats=read_seats(visit.unit), names=names)


@pages.post("/previews/<preview_id>/confirm")
@signed_in(Permission.MANAGE_BILLING)
def confirm(visit: Visit, preview_id: str) -> Response:
    """Do what was shown, once, and charge exactly that."""
    done = confirm_seats(
        visit.unit,
        identifier("preview", preview_id),
        acknowledged=request.form.get("acknowledged") == "yes",
    )
    promoted = len(done.promoted)
    served = f" {plural(promoted, 'person in line got a seat', 'people in line got a seat')}." if promoted else ""
    flash(f"The seats were changed.{served}", "ok")
    if done.invoice is None:
        return see_other(url_for("seats.index"))
    return see_other(url_for("seats.invoice", invoice_id=done.invoice.id))


@pages.get("/invoices/<invoice_id>")
@signed_in(Permission.SEE_BILLING)
def invoice(visit: Visit, invoice_id: str) -> Response:
    """Show an invoice with its arithmetic, ready to print."""
    return render("invoice.html", view=read_invoice(visit.unit, identifier("invoice", invoice_id)))
