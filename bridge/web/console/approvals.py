"""Requests to the owners for what costs: who asked for what, what it would do now, yes or no."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.approvals import (
    approve,
    decline,
    invoices_of,
    list_approvals,
    open_approval,
    withdraw,
)
from bridge.usecases.ask_owners import submit_mappings, submit_seats
from bridge.usecases.buy_seats import Promotion, SeatsPreview
from bridge.usecases.edit_mappings import MappingsPreview
from bridge.usecases.people import name_people
from bridge.usecases.seats import read_seats
from bridge.web.console.forms import identifier, whole_number
from bridge.web.credentials import signed_in
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit
from mappings.preview import Move

pages = Blueprint("approvals", __name__, url_prefix="/console/approvals")


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """List the requests, those that wait first."""
    return render("approvals.html", approvals=list_approvals(visit.unit), seats=read_seats(visit.unit))


@pages.post("/seats")
@signed_in(Permission.ASSIGN_SEATS)
def ask_for_seats(visit: Visit) -> Response:
    """Ask for more seats of a tier."""
    number = whole_number(request.form.get("number"), "number")
    if number < 1:
        raise InvalidInputError("number", "say how many seats are needed")
    return _sent(submit_seats(visit.unit, {request.form.get("tier", ""): number}, note=_note()).summary)


@pages.post("/mappings/<preview_id>")
@signed_in(Permission.EDIT_MAPPINGS)
def ask_for_mappings(visit: Visit, preview_id: str) -> Response:
    """Ask for previewed rules and the seats that they need."""
    return _sent(submit_mappings(visit.unit, identifier("preview", preview_id), note=_note()).summary)


@pages.post("/<approval_id>/open")
@signed_in(Permission.MANAGE_BILLING)
def show(visit: Visit, approval_id: str) -> Response:
    """Compute what a request would do and cost now, and show it to an owner."""
    moved: list[tuple[str, Move | Promotion]]
    opened = open_approval(visit.unit, identifier("approval", approval_id))
    shown = opened.preview
    if isinstance(shown, MappingsPreview):
        names = {str(member_id): name for member_id, name in shown.names.items()}
        moved = [(names.get(str(one.member_id), ""), one) for one in (shown.moves_if_bought or shown.moves).moves]
    else:
        promotions = shown.promotions if isinstance(shown, SeatsPreview) else ()
        served = name_people(visit.unit, [one.member_id for one in promotions])
        moved = [(served.get(one.member_id, ""), one) for one in promotions]
    rules = shown if isinstance(shown, MappingsPreview) else None
    return render(
        "approval.html",
        approval=opened.approval,
        preview=shown,
        rules=rules,
        moved=moved,
        ladder=read_seats(visit.unit).ladder,
    )


@pages.post("/<approval_id>/approve")
@signed_in(Permission.MANAGE_BILLING)
def say_yes(visit: Visit, approval_id: str) -> Response:
    """Do what an owner was shown, once, and charge exactly that."""
    done = approve(
        visit.unit,
        identifier("approval", approval_id),
        identifier("preview", request.form.get("preview", "")),
        acknowledged=request.form.get("acknowledged") == "yes",
        roles_acknowledged=request.form.get("roles_acknowledged") == "yes",
    )
    issued = "".join(f", invoice {number} was issued" for number in invoices_of(done))
    flash(f"Approved{issued}.", "ok")
    return see_other(url_for("approvals.index"))


@pages.post("/<approval_id>/decline")
@signed_in(Permission.MANAGE_BILLING)
def say_no(visit: Visit, approval_id: str) -> Response:
    """Decline, with a reason for who asked."""
    decline(visit.unit, identifier("approval", approval_id), reason=request.form.get("reason", ""))
    flash("Declined. Who asked reads your reason here.", "ok")
    return see_other(url_for("approvals.index"))


@pages.post("/<approval_id>/withdraw")
@signed_in(Permission.SEE_CONSOLE)
def take_back(visit: Visit, approval_id: str) -> Response:
    """Withdraw a request."""
    withdraw(visit.unit, identifier("approval", approval_id))
    flash("Withdrawn.", "ok")
    return see_other(url_for("approvals.index"))


def _note() -> str:
    return request.form.get("note", "")


def _sent(summary: str) -> Response:
    flash(f"Sent to the owners: {summary}.", "ok")
    return see_other(url_for("approvals.index"))
