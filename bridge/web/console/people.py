"""People: the list, one person with every decision, and what an admin does by hand."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.billing.why_person import why_person
from bridge.domain.identifiers import GroupId, MemberId
from bridge.domain.plan_kinds import FIXED_FEE
from bridge.domain.roles import Permission, Role
from bridge.errors import InvalidInputError, NotFoundError, UniquenessError
from bridge.store.directory import get_member
from bridge.usecases import sessions
from bridge.usecases.billing_orders import ordered_for
from bridge.usecases.change_role import change_role
from bridge.usecases.held_roles import roles_of
from bridge.usecases.list_people import PeopleFilter, PersonState, list_people
from bridge.usecases.people_by_hand import (
    confirm_seat,
    preview_seat,
    turn_off_member,
    turn_on_member,
)
from bridge.usecases.product_roles import add_user, change_roles, list_roles
from bridge.usecases.provision_member import PersonDraft, add_member, check_user_name_is_new
from bridge.usecases.provisional import confirm_member
from bridge.usecases.seats import read_contract, read_ladder, read_seats
from bridge.web.console.forms import identifier, mail_address
from bridge.web.console.signing_out import signed_out
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit, current_runtime

pages = Blueprint("people", __name__, url_prefix="/console/people")


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """List people."""
    wanted = _parse_filter()
    return render("people.html", people=list_people(visit.unit, wanted), wanted=wanted)


@pages.get("/add")
@signed_in(Permission.MANAGE_PEOPLE)
def add_form(visit: Visit) -> Response:
    """Ask who is to be added."""
    return render("person_add.html", seats=read_seats(visit.unit), known_roles=list_roles(visit.unit))


@pages.post("/add")
@signed_in(Permission.MANAGE_PEOPLE)
def add(visit: Visit) -> Response:
    """Add a person by hand."""
    try:
        draft = _parse_person()
        check_user_name_is_new(visit.unit, draft.user_name)
    except (InvalidInputError, UniquenessError) as mistake:
        status, problem = answer_for(mistake).status, sentence_of(mistake)
        if isinstance(mistake, UniquenessError):
            problem = f"{mistake.value} is here already, as {mistake.taken_by}: look for that person in the list."
        seats, known_roles = read_seats(visit.unit), list_roles(visit.unit)
        return render("person_add.html", status=status, seats=seats, known_roles=known_roles, problem=problem)
    role = request.form.get("product_role")
    if role:
        member = add_user(visit.unit, draft, [role])
    else:
        member = add_member(visit.unit, draft, tier=request.form.get("tier") or None)
    flash(f"{member.display_name} was added.", "ok")
    return see_other(url_for("people.show", member_id=member.id))


@pages.get("/<member_id>")
@signed_in(Permission.SEE_CONSOLE)
def show(visit: Visit, member_id: str) -> Response:
    """Show one person: why the seat, what happened, what can be done."""
    found = why_person(visit.unit, _member_id(member_id))
    why = found.explanation
    idle = current_runtime().settings.session.idle_seconds
    by_role = read_contract(visit.unit).kind == FIXED_FEE
    return render(
        "person.html",
        found=found,
        why=why,
        sessions=sessions.list_sessions(visit.unit, idle_seconds=idle, member_id=why.member.id),
        roles=roles_of(visit.unit, why.member.id) if by_role else (),
        known_roles=list_roles(visit.unit) if by_role else (),
    )


@pages.post("/<member_id>/product-roles")
@signed_in(Permission.ASSIGN_PRODUCT_ROLES)
def give_product_roles(visit: Visit, member_id: str) -> Response:
    """Give the person these roles in the product."""
    member = change_roles(visit.unit, _member_id(member_id), request.form.getlist("product_role"))
    flash(f"{member.display_name}'s roles in the product were saved.", "ok")
    return see_other(url_for("people.show", member_id=member.id))


@pages.post("/<member_id>/seat")
@signed_in(Permission.ASSIGN_SEATS)
def show_seat(visit: Visit, member_id: str) -> Response:
    """Show what placing the person by hand would do and cost."""
    preview = preview_seat(visit.unit, _member_id(member_id), request.form.get("tier", ""))
    return render("seat_preview.html", preview=preview)


@pages.post("/seat-previews/<preview_id>")
@signed_in(Permission.ASSIGN_SEATS)
def give_seat(visit: Visit, preview_id: str) -> Response:
    """Place the person as previewed."""
    member = confirm_seat(
        visit.unit, identifier("preview", preview_id), acknowledged=request.form.get("acknowledged") == "yes"
    )
    if ordered_for(visit.unit, member.id):
        flash(f"The seat is ordered. {member.display_name} gets it when your billing core has confirmed.", "ok")
    else:
        flash(f"{member.display_name}'s seat was set by hand.", "ok")
    return see_other(url_for("people.show", member_id=member.id))


@pages.post("/<member_id>/role")
@signed_in(Permission.CHANGE_ROLES)
def give_role(visit: Visit, member_id: str) -> Response:
    """Give the person another role."""
    before = visit.role
    member = change_role(visit.unit, _member_id(member_id), request.form.get("role", ""))
    if member.id == visit.member.id and Role(member.role) is not before:
        return signed_out(f"You are {member.role} now: sign in again.")
    flash(f"{member.display_name} is {member.role.replace('_', ' ')}.", "ok")
    return see_other(url_for("people.show", member_id=member.id))


@pages.post("/<member_id>/off")
@signed_in(Permission.MANAGE_PEOPLE)
def turn_off(visit: Visit, member_id: str) -> Response:
    """Turn the person's access off."""
    member = turn_off_member(visit.unit, _member_id(member_id))
    freed = ", and the seat is free" if read_ladder(visit.unit).keys else ""
    flash(f"Access of {member.display_name} is off: signed out everywhere{freed}.", "ok")
    return see_other(url_for("people.show", member_id=member.id))


@pages.post("/<member_id>/on")
@signed_in(Permission.MANAGE_PEOPLE)
def turn_on(visit: Visit, member_id: str) -> Response:
    """Turn the person's access on again."""
    member = turn_on_member(visit.unit, _member_id(member_id))
    flash(f"Access of {member.display_name} is on again.", "ok")
    return see_other(url_for("people.show", member_id=member.id))


@pages.post("/<member_id>/confirm")
@signed_in(Permission.MANAGE_PEOPLE)
def confirm(visit: Visit, member_id: str) -> Response:
    """Let a person stay whom the directory has not named."""
    member = confirm_member(visit.unit, get_member(visit.unit, _member_id(member_id)))
    flash(f"{member.display_name} stays: nothing ends by itself any more.", "ok")
    return see_other(url_for("people.show", member_id=member.id))


@pages.post("/<member_id>/sessions/<session_id>/end")
@signed_in(Permission.MANAGE_PEOPLE)
def end_session(visit: Visit, member_id: str, session_id: str) -> Response:
    """Sign the person out of one browser."""
    whose = sessions.end_session(visit.unit, identifier("session", session_id))
    if whose != _member_id(member_id):
        raise NotFoundError("session", session_id)
    flash("The session was ended.", "ok")
    return see_other(url_for("people.show", member_id=member_id))


@pages.post("/<member_id>/sessions/end")
@signed_in(Permission.MANAGE_PEOPLE)
def end_sessions(visit: Visit, member_id: str) -> Response:
    """Sign the person out everywhere."""
    ended = sessions.end_sessions_of(visit.unit, _member_id(member_id))
    flash("1 session was ended." if ended == 1 else f"{ended} sessions were ended.", "ok")
    return see_other(url_for("people.show", member_id=member_id))


def _member_id(text: str) -> MemberId:
    return MemberId(identifier("member", text))


def _parse_filter() -> PeopleFilter:
    arguments = request.args
    states = {state.value: state for state in PersonState}
    return PeopleFilter(
        search=arguments.get("q", ""),
        tier=arguments.get("tier") or None,
        source=arguments.get("source") or None,
        state=states.get(arguments.get("state", ""), PersonState.ACTIVE),
        group=GroupId(identifier("group", arguments["group"])) if arguments.get("group") else None,
        after=_member_id(arguments["after"]) if arguments.get("after") else None,
        before=_member_id(arguments["before"]) if arguments.get("before") else None,
    )


def _parse_person() -> PersonDraft:
    email = mail_address(request.form.get("email"), "e-mail")
    name = request.form.get("name", "").strip()
    document = {"displayName": name or email, "emails": [{"value": email, "primary": True}]}
    return PersonDraft(user_name=email, document=document)
