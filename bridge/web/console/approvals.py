"""Requests to the owners for what costs: who asked for what, what it would do now, yes or no."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.roles import Permission
from bridge.errors import ApprovalDecidedError, BridgeError, InvalidInputError, NotFoundError
from bridge.usecases.amend_contract import AmendmentPreview, read_fee
from bridge.usecases.approvals import (
    Approved,
    ShownPreview,
    approve,
    decline,
    invoices_of,
    list_approvals,
    open_approval,
    read_approval,
    withdraw,
)
from bridge.usecases.ask_owners import submit_amendment, submit_mappings, submit_seats
from bridge.usecases.buy_seats import Promotion, SeatsConfirmation, SeatsPreview
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.people import name_people
from bridge.usecases.seats import read_ladder, read_seats
from bridge.web.console.contract import parse_amendment
from bridge.web.console.forms import identifier, whole_number
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit
from mappings.preview import Move

pages = Blueprint("approvals", __name__, url_prefix="/console/approvals")


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """List the requests, those that wait first; who may not buy can ask here."""
    return render("approvals.html", approvals=list_approvals(visit.unit), seats=read_seats(visit.unit))


@pages.post("/seats")
@signed_in(Permission.ASSIGN_SEATS)
def ask_for_seats(visit: Visit) -> Response:
    """Ask for more seats of a tier."""
    number = whole_number(request.form.get("number"), "number")
    if number < 1:
        raise InvalidInputError("number", "say how many seats are needed")
    return _sent(submit_seats(visit.unit, {request.form.get("tier", ""): number}, note=_note()).summary)


@pages.post("/contract")
@signed_in(Permission.ASSIGN_PRODUCT_ROLES)
def ask_for_contract(visit: Visit) -> Response:
    """Ask for another tier, more paid users, or the fee that was agreed."""
    return _sent(submit_amendment(visit.unit, parse_amendment(visit), note=_note()).summary)


@pages.post("/mappings/<preview_id>")
@signed_in(Permission.EDIT_MAPPINGS)
def ask_for_mappings(visit: Visit, preview_id: str) -> Response:
    """Ask for previewed rules and the seats that they need."""
    return _sent(submit_mappings(visit.unit, identifier("preview", preview_id), note=_note()).summary)


@pages.post("/<approval_id>/open")
@signed_in(Permission.MANAGE_BILLING)
def show(visit: Visit, approval_id: str) -> Response:
    """Compute what a request would do and cost now, and show it to an owner; what is not possible can be declined."""
    unit, asked = visit.unit, identifier("approval", approval_id)
    shown, problem, status = None, "", 200
    try:
        opened = open_approval(unit, asked)
        approval, shown = opened.approval, opened.preview
    except (ApprovalDecidedError, NotFoundError):
        raise
    except BridgeError as refusal:
        approval = read_approval(unit, asked)
        problem, status = sentence_of(refusal), answer_for(refusal).status
    return render(
        "approval.html",
        status=status,
        approval=approval,
        kind=str(approval.kind),
        preview=shown,
        problem=problem,
        rules=shown if isinstance(shown, MappingsPreview) else None,
        moved=_moved(visit, shown),
        fee=read_fee(unit) if isinstance(shown, AmendmentPreview) else None,
        orders=not unit.billing.sells_at_once,
        ladder=read_ladder(unit),
    )


def _moved(visit: Visit, shown: ShownPreview | None) -> list[tuple[str, Move | Promotion]]:
    """Name who gets another seat."""
    if isinstance(shown, MappingsPreview):
        names = {str(member_id): name for member_id, name in shown.names.items()}
        return [(names.get(str(one.member_id), ""), one) for one in (shown.moves_if_bought or shown.moves).moves]
    promotions = shown.promotions if isinstance(shown, SeatsPreview) else ()
    served = name_people(visit.unit, [one.member_id for one in promotions])
    return [(served.get(one.member_id, ""), one) for one in promotions]


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
    flash(_what_happened(done), "ok")
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


def _what_happened(done: Approved) -> str:
    if isinstance(done, SeatsConfirmation) and done.order is not None:
        return "Approved: the seats are ordered. They come when your billing core has confirmed."
    return f"Approved{''.join(f', invoice {number} was issued' for number in invoices_of(done))}."


def _note() -> str:
    return request.form.get("note", "")


def _sent(summary: str) -> Response:
    flash(f"Sent to the owners: {summary}.", "ok")
    return see_other(url_for("approvals.index"))
