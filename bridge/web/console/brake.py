"""The brake: who is held, what releasing would do, and the owner's decision."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.brake import Thresholds
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.brake import set_thresholds
from bridge.usecases.decide_holds import drop_hold, release_hold
from bridge.usecases.preview_holds import preview_drop, preview_release
from bridge.usecases.read_holds import WOULD, list_holds, open_holds, read_thresholds
from bridge.usecases.seats import read_ladder
from bridge.web.console.forms import identifier, whole_number
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import plural, render, see_other
from bridge.web.session import Visit

pages = Blueprint("brake", __name__, url_prefix="/console/brake")


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """Show what waits for a decision, what was decided before, and what trips the brake."""
    return _page(visit)


@pages.post("/holds/<hold_id>/release")
@signed_in(Permission.DECIDE_HOLDS)
def release(visit: Visit, hold_id: str) -> Response:
    """Let what is held take effect."""
    try:
        done = release_hold(
            visit.unit,
            identifier("hold", hold_id),
            revision=whole_number(request.form.get("revision"), "revision"),
            reason=request.form.get("reason", ""),
            key=request.form.get("key") or None,
        )
    except InvalidInputError as mistake:
        return _page(visit, mistake)
    served = plural(done.promoted, "person in line got a seat", "people in line got a seat")
    flash(f"Released for {plural(done.people, 'person', 'people')}. {served}.", "ok")
    return see_other(url_for("brake.index"))


@pages.post("/holds/<hold_id>/drop")
@signed_in(Permission.DECIDE_HOLDS)
def drop(visit: Visit, hold_id: str) -> Response:
    """Let nothing of what is held take effect."""
    try:
        done = drop_hold(
            visit.unit,
            identifier("hold", hold_id),
            revision=whole_number(request.form.get("revision"), "revision"),
            reason=request.form.get("reason", ""),
            key=request.form.get("key") or None,
        )
    except InvalidInputError as mistake:
        return _page(visit, mistake)
    flash(done.sentences, "ok")
    return see_other(url_for("brake.index"))


@pages.post("/thresholds")
@signed_in(Permission.DECIDE_HOLDS)
def thresholds(visit: Visit) -> Response:
    """Set what trips the brake."""
    try:
        wanted = Thresholds(
            minimum=whole_number(request.form.get("minimum"), "minimum"),
            share=whole_number(request.form.get("share"), "share"),
            window_minutes=whole_number(request.form.get("window_minutes"), "window_minutes"),
        )
        set_thresholds(visit.unit, wanted)
    except InvalidInputError as mistake:
        return _page(visit, mistake)
    flash("Saved what trips the brake.", "ok")
    return see_other(url_for("brake.index"))


def _page(visit: Visit, mistake: InvalidInputError | None = None) -> Response:
    unit = visit.unit
    waiting = open_holds(unit)
    return render(
        "brake.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        preview=preview_release(unit, waiting[0].id) if waiting else None,
        if_dropped=preview_drop(unit, waiting[0].id) if waiting else None,
        decided=[one for one in list_holds(unit) if one not in waiting],
        thresholds=read_thresholds(unit),
        ladder=read_ladder(unit),
        would=WOULD,
    )
