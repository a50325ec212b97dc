"""The console's dry run of a request: it stands here because the protocol's own code answers it."""

import orjson
from flask import Blueprint, Response

from bridge.domain.roles import Permission
from bridge.errors import NotReplayableError
from bridge.runtime import Runtime
from bridge.web.console.forms import identifier
from bridge.web.credentials import Credential, asks_for
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import render
from bridge.web.session import open_visit
from scim.resend import replay_request


def replay_blueprint(runtime: Runtime) -> Blueprint:
    """Serve the dry run beside the console's own pages of the provisioning log."""
    pages = Blueprint("replays", __name__, url_prefix="/console/provisioning-log")

    @pages.post("/<request_id>/replay")
    @asks_for(Credential.SESSION)
    def rehearse(request_id: str) -> Response:
        """Send a request again and take everything back; its unit of work is another one than the visitor's."""
        with open_visit() as visit:
            visit.unit.require(Permission.MANAGE_CONNECTIONS)
            name, org_id = identifier("request in the log", request_id), visit.unit.org_id
        outcome, problem = None, None
        try:
            outcome = replay_request(runtime, org_id, str(name))
        except NotReplayableError as refusal:
            problem = refusal
        answer = None if outcome is None or outcome.answer is None else outcome.answer
        with open_visit():
            return render(
                "request_replay.html",
                status=200 if problem is None else answer_for(problem).status,
                name=name,
                problem="" if problem is None else sentence_of(problem),
                outcome=outcome,
                answer=None if answer is None else orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode(),
            )

    return pages
