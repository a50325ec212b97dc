"""The cookie of one sign-in request: it proves that the answer comes back in the browser that asked.

One cookie for each request, so that two tabs do not take each other's away. An identity provider's answer is a
cross-site POST, on which browsers send cookies of ``SameSite=None`` only, and those must be ``Secure``. On plain http
that works where a browser trusts the address as it trusts TLS: Chromium does for 127.0.0.1 and localhost.
"""

import hashlib

from flask import Response, request

from bridge.domain.credentials import credential_hash
from bridge.web.session import current_runtime, is_secure
from bridge.web.sso.places import Place

_NAME = "seatbridge-sso-"


def set_request_cookie(response: Response, place: Place, request_id: str, secret: str) -> None:
    """Give the browser the secret of a request, for where this connection's answers come only."""
    response.set_cookie(
        _name(request_id),
        secret,
        max_age=current_runtime().settings.sso.request_lifetime_seconds,
        path=place.answer_path,
        secure=True,
        httponly=True,
        samesite="None",
    )


def forget_request_cookie(response: Response, place: Place, request_id: str) -> None:
    """Take the cookie of an answered request away."""
    response.delete_cookie(_name(request_id), path=place.answer_path, secure=True, httponly=True, samesite="None")


def request_cookie_hashes() -> tuple[bytes, ...]:
    """Return the hashes of every request cookie that the browser sent."""
    prefix = _prefix()
    return tuple(credential_hash(value) for name, value in request.cookies.items() if name.startswith(prefix))


def _name(request_id: str) -> str:
    return _prefix() + hashlib.sha256(request_id.encode()).hexdigest()[:16]


def _prefix() -> str:
    # The prefix __Secure- keeps plain-http neighbours from planting one; without TLS browsers refuse the name.
    return f"__Secure-{_NAME}" if is_secure(current_runtime().settings) else _NAME
