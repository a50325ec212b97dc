"""Addresses and methods under ``/scim`` that no route has: they too are answered in SCIM's own words."""

import re
from collections.abc import Callable

from flask import Response, request

_ADDRESS = re.compile(r"/scim/v2/(?P<org>[^/]+)(?:/(?P<path>.*))?", re.DOTALL)


def answer_unrouted(serve: Callable[[str, str], Response]) -> Callable[[], Response | None]:
    """Return what runs before every request of the app, and answers those under ``/scim`` that the router refused.

    The router would answer an unknown method (TRACE) and an empty segment (``//Users``) with a page.

    Args:
        serve: The edge: takes the organization's slug and the path below its root.
    """

    def answer() -> Response | None:
        if request.routing_exception is None or not request.path.startswith("/scim/"):
            return None
        found = _ADDRESS.fullmatch(request.path)
        return serve(found["org"], found["path"] or "") if found else serve("", request.path)

    return answer
