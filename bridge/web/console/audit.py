"""The audit chain: who did what, to whom or what, when and why; and whether it is what was written."""

from flask import Blueprint, Response, request

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError
from bridge.usecases.people import find_person
from bridge.usecases.read_audit import TOPICS, AuditFilter, Verdict, read_audit, verify_audit
from bridge.web.console.forms import identifier, whole_number
from bridge.web.credentials import signed_in
from bridge.web.errors import sentence_of
from bridge.web.rendering import render
from bridge.web.session import Visit

pages = Blueprint("audit", __name__, url_prefix="/console/audit")


@pages.get("")
@signed_in(Permission.REVIEW_ACCESS)
def index(visit: Visit) -> Response:
    """Show the chain, the newest entries first."""
    return _page(visit)


@pages.post("/verify")
@signed_in(Permission.REVIEW_ACCESS)
def verify(visit: Visit) -> Response:
    """Check the whole chain and say what came of it."""
    return _page(visit, verify_audit(visit.unit))


def _page(visit: Visit, verdict: Verdict | None = None) -> Response:
    arguments = request.args
    who, problem, person = arguments.get("person", "").strip(), "", None
    if who:
        try:
            person = find_person(visit.unit, who).id
        except (NotFoundError, InvalidInputError) as mistake:
            # The chain outlasts who was removed: they are followed by their id.
            try:
                person = MemberId(identifier("person", who))
            except NotFoundError:
                problem = sentence_of(mistake)
    wanted = AuditFilter(
        topic=arguments.get("topic", ""),
        person=person,
        request=arguments.get("request", "").strip(),
        before=whole_number(arguments.get("before"), "before") or None,
    )
    return render(
        "audit.html",
        page=None if problem else read_audit(visit.unit, wanted),
        wanted=wanted,
        who=who,
        problem=problem,
        topics=tuple(TOPICS),
        verdict=verdict,
    )
