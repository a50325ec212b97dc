"""Seats and billing: pools, the preview of a change, its confirmation, and invoices."""

from collections.abc import Mapping

from flask import Blueprint, Response, flash, request, url_for

from bridge.billing.documents import document_of
from bridge.billing.why_invoice import why_invoice
from bridge.domain.roles import Permission
from bridge.errors import (
    BelowMinimumError,
    BillingCoreRefusedError,
    BillingCoreUnreachableError,
    BridgeError,
    InvalidChangeError,
    InvalidInputError,
    OrderOpenError,
    ReductionNotAllowedError,
    SeatsInUseError,
)
from bridge.usecases.billing_details import read_billing_details
from bridge.usecases.budgets import list_budgets
from bridge.usecases.buy_seats import (
    SeatsConfirmation,
    confirm_seats,
    confirmed_seats,
    open_seats_preview,
    preview_seats,
)
from bridge.usecases.people import name_people
from bridge.usecases.seats import read_invoice, read_ladder, read_seats
from bridge.web.console.charts import read_charts
from bridge.web.console.forms import identifier, whole_number
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import plural, render, see_other
from bridge.web.session import Visit

pages = Blueprint("seats", __name__, url_prefix="/console/seats")

_MISTAKES = (
    InvalidInputError,
    InvalidChangeError,
    SeatsInUseError,
    BelowMinimumError,
    ReductionNotAllowedError,
    BillingCoreRefusedError,
    BillingCoreUnreachableError,
    OrderOpenError,
)
"""Refusals of a form that stay in the form, beside what was typed."""


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """Show the seats, and to owners what they cost."""
    details = read_billing_details(visit.unit) if visit.may(Permission.SEE_BILLING) else None
    forecast, charts = read_charts(visit.unit)
    return render(
        "seats.html",
        seats=read_seats(visit.unit),
        details=details,
        forecast=forecast,
        charts=charts,
        budgets=list_budgets(visit.unit) if visit.may(Permission.SEE_BILLING) else (),
    )


@pages.get("/change")
@signed_in(Permission.MANAGE_BILLING)
def change_form(visit: Visit) -> Response:
    """Ask how many seats to add or reduce."""
    wanted = {key.removeprefix("add."): value for key, value in request.args.items() if key.startswith("add.")}
    return _change_form(visit, wanted)


@pages.post("/previews")
@signed_in(Permission.MANAGE_BILLING)
def preview(visit: Visit) -> Response:
    """Compute what the change would do and cost."""
    wanted = {key.removeprefix("add."): value for key, value in request.form.items() if key.startswith("add.")}
    names = {pool.tier: pool.name for pool in read_seats(visit.unit).pools}
    try:
        changes = {tier: whole_number(value, names.get(tier, tier)) for tier, value in wanted.items()}
        made = preview_seats(visit.unit, changes)
    except _MISTAKES as mistake:
        return _change_form(visit, wanted, mistake)
    return see_other(url_for("seats.show_preview", preview_id=made.id))


@pages.get("/previews/<preview_id>")
@signed_in(Permission.MANAGE_BILLING)
def show_preview(visit: Visit, preview_id: str) -> Response:
    """Show what the change would do and cost; what was confirmed is not shown again, but told."""
    done = confirmed_seats(visit.unit, identifier("preview", preview_id))
    if done is not None:
        return _told(done, "This preview was confirmed already: the seats were changed, once.")
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
    return _told(done, "The seats were changed.")


def _told(done: SeatsConfirmation, sentence: str) -> Response:
    """Say what a confirmed change did, where it is to be seen."""
    if done.order is not None:
        flash("The seats are ordered. They come when your billing core has confirmed.", "ok")
        return see_other(url_for("seats.index"))
    promoted = len(done.promoted)
    served = f" {plural(promoted, 'person in line got a seat', 'people in line got a seat')}." if promoted else ""
    flash(f"{sentence}{served}", "ok")
    if done.invoice is None:
        return see_other(url_for("seats.index"))
    return see_other(url_for("seats.invoice", invoice_id=done.invoice.id))


@pages.get("/invoices/<invoice_id>")
@signed_in(Permission.SEE_BILLING)
def invoice(visit: Visit, invoice_id: str) -> Response:
    """Show an invoice with its arithmetic."""
    view = read_invoice(visit.unit, identifier("invoice", invoice_id))
    document = document_of(visit.unit, view)
    return render("invoice.html", document=document, paid=view.paid, ladder=read_ladder(visit.unit))


@pages.get("/invoices/<invoice_id>/why")
@signed_in(Permission.SEE_BILLING)
def why(visit: Visit, invoice_id: str) -> Response:
    """Explain every line of an invoice: the event, the people, the arithmetic, and what is new."""
    found = why_invoice(visit.unit, identifier("invoice", invoice_id))
    return render("invoice_why.html", found=found)


def _change_form(visit: Visit, wanted: Mapping[str, str], mistake: BridgeError | None = None) -> Response:
    seats = read_seats(visit.unit)
    if not seats.pools:
        flash("The plan is not sold by seats: there is nothing to buy.", "err")
        return see_other(url_for("seats.index"))
    status, problem = 200, ""
    if mistake is not None:
        status, problem = answer_for(mistake).status, sentence_of(mistake)
    return render("seats_change.html", status=status, seats=seats, wanted=wanted, problem=problem)
