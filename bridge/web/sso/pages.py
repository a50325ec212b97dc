"""The pages that a sign-in has whatever its protocol: start, test and finish."""

from collections.abc import Callable

from flask import Blueprint, Response

from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import NotFoundError, SignInRefusedError
from bridge.runtime import Runtime
from bridge.store.unit import Unit
from bridge.web.credentials import public, signed_in
from bridge.web.session import Visit
from bridge.web.sso.flow import asked_return_path, finish_page, refuse_embedding
from bridge.web.sso.limits import SignInLimits
from bridge.web.sso.places import PREFIX, Place, find_place
from bridge.web.sso.refusals import refusal_page, refusals_noted, signing_in

#: Notes a request and sends the browser to the identity provider with it; the text is the path to end at.
Departure = Callable[[Runtime, Unit, Place, str], Response]


def sign_in_pages(runtime: Runtime, protocol: SignInProtocol, limits: SignInLimits, depart: Departure) -> Blueprint:
    """Build what the sign-ins of a protocol have in common; the protocol adds what takes the answers."""
    pages = Blueprint(
        protocol, __name__, url_prefix=f"{PREFIX}/{protocol}/<org>/<connection_id>", template_folder="templates"
    )
    pages.register_error_handler(SignInRefusedError, refusal_page)

    @pages.get("/start")
    @public
    def start(org: str, connection_id: str) -> Response:
        """Send the browser to the identity provider; a plain link, so that no form's policy is in the way.

        An OpenID provider may ask for it too (OpenID Connect Core §4).
        """
        refuse_embedding()
        place = find_place(runtime, protocol, org, connection_id)
        with refusals_noted(runtime, place, limits), runtime.unit(place.org_id, signing_in(place)) as unit:
            return depart(runtime, unit, place, asked_return_path())

    @pages.get("/test")
    @signed_in(Permission.MANAGE_CONNECTIONS)
    def rehearse(visit: Visit, org: str, connection_id: str) -> Response:
        """Start a sign-in that shows what arrives and what would happen, and provisions nothing."""
        refuse_embedding()
        place = find_place(runtime, protocol, org, connection_id)
        if place.org_id != visit.unit.org_id:
            raise NotFoundError("connection", connection_id)
        return depart(runtime, visit.unit, place, place.test_path)

    @pages.get("/finish")
    @public
    def finish(org: str, connection_id: str) -> Response:
        """Go on to where the sign-in was to end."""
        return finish_page(find_place(runtime, protocol, org, connection_id))

    return pages
