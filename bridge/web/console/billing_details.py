"""Whom invoices are made out to and where they go: owners read and change it (rules B1, W8 and Z1)."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.billing_parties import FIELDS, MAX_LINES, flat
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.billing_details import change_billing_details, read_billing_details
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit

pages = Blueprint("billing_details", __name__, url_prefix="/console/billing-details")


@pages.get("")
@signed_in(Permission.MANAGE_BILLING)
def show(visit: Visit) -> Response:
    """Show the form with what is known."""
    return _form(visit, flat(read_billing_details(visit.unit)))


@pages.post("")
@signed_in(Permission.MANAGE_BILLING)
def change(visit: Visit) -> Response:
    """Set every field of the form; they count for invoices that are issued from now on."""
    wanted = _wanted()
    try:
        change_billing_details(visit.unit, wanted)
    except InvalidInputError as mistake:
        return _form(visit, wanted, mistake)
    flash("Saved. It counts for invoices from now on; those that are out stay as they are.", "ok")
    return see_other(url_for("seats.index"))


def _wanted() -> dict[str, Any]:
    """Read the form: address lines come one by one, mailboxes one on a line."""
    form = request.form
    lists = {"lines": form.getlist("lines"), "mailboxes": form.get("mailboxes", "").split()}
    return {name: lists[name] if name in lists else form.get(name, "") for name in FIELDS}


def _form(visit: Visit, fields: Mapping[str, Any], mistake: InvalidInputError | None = None) -> Response:
    return render(
        "billing_details.html",
        status=200 if mistake is None else answer_for(mistake).status,
        fields={name: "" if value is None else value for name, value in fields.items()},
        lines=MAX_LINES,
        problem="" if mistake is None else sentence_of(mistake),
        wrong="" if mistake is None else mistake.field,
        usual_terms=visit.unit.payment_terms_days,
    )
