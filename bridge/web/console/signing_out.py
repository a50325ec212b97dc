"""Where a browser goes whose session has just ended."""

from flask import Response, flash, session, url_for

from bridge.web.rendering import see_other
from bridge.web.session import clear_session_cookie


def signed_out(message: str = "") -> Response:
    """Go to the sign-in page, with nothing left of the session in the browser but a message."""
    session.clear()
    if message:
        flash(message, "ok")
    response = see_other(url_for("entry.sign_in"))
    clear_session_cookie(response)
    return response
