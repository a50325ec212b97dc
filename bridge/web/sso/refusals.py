"""How a refused sign-in ends: its reason in the sign-in log, and one page that tells a stranger nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import structlog
from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from bridge.adapters.saml import SamlRefusal
from bridge.domain.actors import Actor, ActorKind
from bridge.errors import BridgeError, NotFoundError, SignInRefusedError, UnavailableError
from bridge.runtime import Runtime
from bridge.usecases.sign_in import SignInRefusal, note_sign_in
from bridge.web.errors import error_page
from bridge.web.sso.limits import SignInLimits
from bridge.web.sso.places import Place

log = structlog.get_logger(__name__)


@contextmanager
def refusals_noted(runtime: Runtime, place: Place, limits: SignInLimits) -> Iterator[None]:
    """Write the reason of a refusal into the sign-in log, in a unit of its own: the sign-in's own was rolled back.

    Raises:
        SignInRefusedError: For every refusal inside, whatever its class; what is unknown stays unknown.
        TooManyRequestsError: Before anything is looked at, and noted nowhere: a flood would hide what is in the log.
    """
    limits.spend(place.connection_id)
    try:
        yield
    except (NotFoundError, UnavailableError):
        raise
    except (BridgeError, RequestEntityTooLarge) as error:
        refusal = _as_refusal(error)
        limits.note_refused(place.connection_id)
        _note(runtime, place, refusal)
        raise refusal from (None if refusal is error else error)


def _as_refusal(error: BridgeError | RequestEntityTooLarge) -> SignInRefusedError:
    if isinstance(error, SignInRefusedError):
        return error
    if isinstance(error, BridgeError):
        return SignInRefusedError(SignInRefusal.NOT_POSSIBLE, str(error))
    return SignInRefusedError(SamlRefusal.TOO_LARGE, "More was posted than any identity provider sends")


def refusal_page(refusal: SignInRefusedError) -> Response:
    """Say that the sign-in was refused; the reason is for the log, except to people whose access is off."""
    if refusal.reason in {SignInRefusal.DEACTIVATED, SignInRefusal.REMOVED}:
        return error_page(
            HTTPStatus.FORBIDDEN,
            "Your access is turned off",
            refusal.told or "Your company turned off your access to this service.",
            "Your work is kept, and belongs to your company: if access comes back, you find it as it was. If you think "
            "this is a mistake, ask your IT contact, with the request id below: only they can turn it on again.",
        )
    if refusal.reason == SignInRefusal.UNCONFIRMED:
        return error_page(
            HTTPStatus.FORBIDDEN,
            "Your access has ended",
            "You signed in before your company's directory had named you, and it has not done so since.",
            "If you need this service, ask your IT contact to assign it to you. Then sign in again.",
        )
    if request.endpoint is not None and request.endpoint.endswith(".log_out"):
        return error_page(
            HTTPStatus.FORBIDDEN,
            "You could not be signed out from there",
            "The message was refused. The reason is in the sign-in log of your organization.",
            "Sign out by the menu of this service. If it happens again, tell your IT contact the request id below.",
        )
    return error_page(
        HTTPStatus.FORBIDDEN,
        "You could not be signed in",
        "The sign-in was refused. The reason is in the sign-in log of your organization.",
        "Start again from your company's sign-in. If it happens again, tell your IT contact the request id below.",
    )


def signing_in(place: Place) -> Actor:
    """Return the connection, as the one who signs people in."""
    return Actor(ActorKind.SIGN_IN, place.connection_id)


def _note(runtime: Runtime, place: Place, refusal: SignInRefusedError) -> None:
    log.info("sso.refused", connection_id=str(place.connection_id), reason=str(refusal.reason))
    with runtime.unit(place.org_id, signing_in(place)) as unit:
        note_sign_in(
            unit,
            connection_id=place.connection_id,
            outcome="refused",
            reason=refusal.reason,
            detail=refusal.detail,
        )
