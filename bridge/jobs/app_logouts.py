"""Telling applications that a session ended: durable like every delivery, once for each application and session."""

import uuid
from typing import Final
from urllib.parse import urlencode, urlsplit

import structlog

from bridge.adapters.fetch import ExchangeError, Request, exchange
from bridge.adapters.oauth import Signer, logout_token
from bridge.domain.actors import SYSTEM
from bridge.errors import UnavailableError
from bridge.runtime import Runtime
from bridge.usecases.apps import RegisteredApp, registered_app
from bridge.usecases.deliver import Claim
from bridge.usecases.signing_keys import key_ring

log = structlog.get_logger()

#: What the functions of the database call such a delivery (``bridge/store/functions/apps.sql``).
KIND: Final = "app_logout"
_SECONDS: Final = 5.0


def tell_app_of_logout(runtime: Runtime, claim: Claim, silent: set[uuid.UUID]) -> str | None:
    """Post the logout token of a delivery to its application; return why nothing was sent, as a code.

    Args:
        runtime: The product.
        claim: The delivery: application, person, and the session that ended, or none for all of them.
        silent: Applications that did not answer just now: they are not waited for again by the same worker.

    Raises:
        UnavailableError: The application did not take it: again later.
        InvalidInputError: Its address leads where nothing may be sent to.
    """
    app_id, member_id, *session_id = claim.subject_id.split()
    with runtime.installation(SYSTEM) as installation:
        app = registered_app(installation.session, uuid.UUID(app_id))
        ring = key_ring(installation.session, installation.at)
    if app is None or app.backchannel_logout_uri is None:
        return "app_gone"
    if app.id in silent:
        raise UnavailableError(app.name)
    signer = Signer(runtime.secrets, runtime.settings.server.public_url)
    session = session_id[0] if session_id else None
    token = logout_token(signer, ring, app, member_id=member_id, session_id=session, at=runtime.clock.now())
    _post(runtime, app, app.backchannel_logout_uri, token, silent)
    return None


def _post(runtime: Runtime, app: RegisteredApp, address: str, token: str, silent: set[uuid.UUID]) -> None:
    body = urlencode({"logout_token": token}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        answer = exchange(
            Request(address, "POST", headers, body),
            max_bytes=None,
            timeout_seconds=_SECONDS,
            internal=urlsplit(address).hostname in runtime.settings.apps.internal_hosts,
        )
    except ExchangeError as problem:
        silent.add(app.id)
        log.warning("app_logout.no_answer", app_id=str(app.id), problem=problem.problem)
        raise UnavailableError(app.name) from problem
    if not answer.is_success:
        log.warning("app_logout.refused", app_id=str(app.id), status=answer.status)
        raise UnavailableError(app.name)
