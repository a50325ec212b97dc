"""A contract for a fixed fee in the console: amend it, or agree ahead what counts from the next term."""

import re
from collections.abc import Mapping

from flask import Blueprint, Response, flash, request, url_for

from bridge.billing.rules.money import Currency, to_minor
from bridge.domain.roles import Permission
from bridge.errors import AccountManagerOnlyError, BridgeError, InvalidChangeError, InvalidInputError, LowerFeeError
from bridge.usecases.agreed_changes import cancel_agreed_change
from bridge.usecases.amend_contract import (
    AmendmentDraft,
    confirm_amendment,
    open_amendment_preview,
    preview_amendment,
    read_fee,
)
from bridge.usecases.seats import read_contract, read_ladder
from bridge.web.console.forms import identifier, whole_number
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit

pages = Blueprint("contract", __name__, url_prefix="/console/contract")

#: Commas part thousands. Taken for nothing, one before decimals would make the fee a hundred times as high.
_BY_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
_MISTAKES = (AccountManagerOnlyError, InvalidInputError, InvalidChangeError, LowerFeeError)


@pages.get("/change")
@signed_in(Permission.MANAGE_BILLING)
def change_form(visit: Visit) -> Response:
    """Ask what is to be amended."""
    return _form(visit, {})


@pages.post("/previews")
@signed_in(Permission.MANAGE_BILLING)
def preview(visit: Visit) -> Response:
    """Compute what the amendment would cost."""
    try:
        made = preview_amendment(visit.unit, parse_amendment(visit))
    except _MISTAKES as mistake:
        return _form(visit, request.form, mistake)
    return see_other(url_for("contract.show_preview", preview_id=made.id))


@pages.get("/previews/<preview_id>")
@signed_in(Permission.MANAGE_BILLING)
def show_preview(visit: Visit, preview_id: str) -> Response:
    """Show what the amendment would cost."""
    shown = open_amendment_preview(visit.unit, identifier("preview", preview_id))
    return render("contract_preview.html", preview=shown, fee=read_fee(visit.unit), ladder=read_ladder(visit.unit))


@pages.post("/previews/<preview_id>/confirm")
@signed_in(Permission.MANAGE_BILLING)
def confirm(visit: Visit, preview_id: str) -> Response:
    """Amend as shown, once, and charge exactly that."""
    done = confirm_amendment(
        visit.unit, identifier("preview", preview_id), acknowledged=request.form.get("acknowledged") == "yes"
    )
    ahead = done.effective_at > visit.unit.at
    flash("It is agreed for the next term." if ahead else "The contract was amended.", "ok")
    if done.invoice is None:
        return see_other(url_for("seats.index"))
    return see_other(url_for("seats.invoice", invoice_id=done.invoice.id))


@pages.post("/agreed/cancel")
@signed_in(Permission.MANAGE_BILLING)
def cancel(visit: Visit) -> Response:
    """Cancel what was agreed ahead."""
    cancel_agreed_change(visit.unit)
    flash("Cancelled: the contract goes on as it is.", "ok")
    return see_other(url_for("seats.index"))


def parse_amendment(visit: Visit) -> AmendmentDraft:
    """Read the form; what is left empty stays as it is.

    Raises:
        InvalidInputError: A number cannot be read.
    """
    form = request.form
    written, users = form.get("annual_fee", "").strip(), form.get("paid_users", "").strip()
    annual_fee = None
    if written:
        if "," in written and not _BY_THOUSANDS.fullmatch(written):
            raise InvalidInputError("annual fee", "write decimals with a point, as in 13000.50 or 13,000.50")
        written = written.replace(",", "")
        try:
            annual_fee = to_minor(written, Currency(read_contract(visit.unit).currency))
        except ValueError as problem:
            raise InvalidInputError("annual fee", str(problem)) from problem
    return AmendmentDraft(
        annual_fee=annual_fee,
        tier=form.get("tier", "").strip() or None,
        paid_users=whole_number(users, "paid users") if users else None,
        ahead=form.get("when") == "next_term",
    )


def _form(visit: Visit, wanted: Mapping[str, str], mistake: BridgeError | None = None) -> Response:
    status, problem = 200, ""
    if mistake is not None:
        status, problem = answer_for(mistake).status, sentence_of(mistake)
    return render("contract_change.html", status=status, fee=read_fee(visit.unit), wanted=wanted, problem=problem)
