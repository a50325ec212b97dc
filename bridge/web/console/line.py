"""The waiting line and the swap: who is served next, who leaves the line, and two people who exchange their seats."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, InvalidInputError, MemberInactiveError, NotFoundError, SameTierError
from bridge.store.directory import get_member
from bridge.usecases.people import find_person, name_people
from bridge.usecases.seats import read_ladder
from bridge.usecases.swap_seats import confirm_swap, preview_swap
from bridge.usecases.waiting_list import leave_line, list_waiting, move_to_front
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit

pages = Blueprint("line", __name__, url_prefix="/console/seats")

_MISTAKES = (InvalidInputError, InvalidChangeError, MemberInactiveError, NotFoundError, SameTierError)


@pages.get("/line")
@signed_in(Permission.SEE_CONSOLE)
def show(visit: Visit) -> Response:
    """Show who waits, in the order in which they get a seat."""
    return render("line.html", line=list_waiting(visit.unit), ladder=read_ladder(visit.unit))


@pages.post("/line/<member_id>/front")
@signed_in(Permission.ASSIGN_SEATS)
def front(visit: Visit, member_id: str) -> Response:
    """Let somebody be served next."""
    return _changed(visit, member_id, "is first in line now.", leaves=False)


@pages.post("/line/<member_id>/leave")
@signed_in(Permission.ASSIGN_SEATS)
def leave(visit: Visit, member_id: str) -> Response:
    """Take somebody out of the line."""
    return _changed(visit, member_id, "waits no more, and keeps what they have.", leaves=True)


@pages.get("/swap")
@signed_in(Permission.ASSIGN_SEATS)
def swap_form(visit: Visit) -> Response:
    """Ask which two people exchange their seats; who came from a page of one of them is filled in."""
    first = request.args.get("first")
    known = get_member(visit.unit, MemberId(identifier("member", first))).user_name if first else ""
    return render("swap.html", first=known, second="", problem="")


@pages.post("/swap/preview")
@signed_in(Permission.ASSIGN_SEATS)
def swap_preview(visit: Visit) -> Response:
    """Show who would hold what; nothing is changed."""
    unit, names = visit.unit, [request.form.get(field, "").strip() for field in ("first", "second")]
    try:
        first, second = (find_person(unit, name).id for name in names)
        preview = preview_swap(unit, first, second)
    except _MISTAKES as mistake:
        status = answer_for(mistake).status
        return render("swap.html", status=status, first=names[0], second=names[1], problem=sentence_of(mistake))
    return render("swap_preview.html", preview=preview, ladder=read_ladder(unit))


@pages.post("/swap/<preview_id>")
@signed_in(Permission.ASSIGN_SEATS)
def swap(visit: Visit, preview_id: str) -> Response:
    """Swap as previewed."""
    first, second = confirm_swap(visit.unit, identifier("preview", preview_id))
    flash(f"{first.display_name} and {second.display_name} have swapped seats. It costs nothing.", "ok")
    return see_other(url_for("people.show", member_id=first.id))


def _changed(visit: Visit, member_id: str, sentence: str, *, leaves: bool) -> Response:
    whom = MemberId(identifier("member", member_id))
    try:
        (leave_line if leaves else move_to_front)(visit.unit, whom, request.form.get("why", ""))
    except InvalidInputError as mistake:
        flash(sentence_of(mistake), "err")
    else:
        flash(f"{name_people(visit.unit, [whom])[whom]} {sentence}", "ok")
    return see_other(url_for("line.show"))
