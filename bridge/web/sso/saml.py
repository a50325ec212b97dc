"""SAML sign-in for one connection: start, assertion consumer service, finish, and our metadata."""

from typing import Final

from flask import Blueprint, Response, request

from bridge.adapters.saml import IdpTrust, build_authn_request, initialise, new_request_id
from bridge.domain.claims import ClaimMap
from bridge.domain.credentials import credential_hash
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import SignInRefusedError
from bridge.runtime import Runtime
from bridge.store.unit import Unit
from bridge.usecases.quick_sign_in import KnownConnection
from bridge.usecases.saml_trust import saml_provider
from bridge.usecases.sign_in import SignInRefusal
from bridge.usecases.single_logout import keep_provider_session
from bridge.web.credentials import assertion, public, signature
from bridge.web.sso.cookies import request_cookie_hashes
from bridge.web.sso.flow import Accepted, Rehearsed, arrival_page, arrive, depart
from bridge.web.sso.lane import SignInLane
from bridge.web.sso.limits import SignInLimits
from bridge.web.sso.pages import sign_in_pages
from bridge.web.sso.places import Place, find_place, identity_provider
from bridge.web.sso.refusals import refusals_noted, signing_in
from bridge.web.sso.saml_logout import log_out_by_provider
from bridge.web.sso.saml_messages import (
    named_session,
    opening_keys,
    our_metadata,
    read_answer,
    service_provider,
    signing_key,
    trust_of,
    verify_answer,
)

MAX_POST_BYTES: Final = 400_000
"""The largest response (256 kB) is a third larger in base64, and its plus signs grow again in the form."""


def saml_blueprint(runtime: Runtime, *, with_lanes: bool = True) -> Blueprint:
    """Build the sign-in pages over a runtime; libxmlsec is prepared for strangers' documents on the way.

    Args:
        runtime: The product.
        with_lanes: Whether frequent sign-ins take their short way; every answer is the same without.
    """
    initialise()
    limits = SignInLimits(runtime.settings.sso)
    lane = SignInLane(runtime, SignInProtocol.SAML)
    pages = sign_in_pages(runtime, SignInProtocol.SAML, limits, _sent_to_provider)

    @pages.post("/acs")
    @assertion
    def acs(org: str, connection_id: str) -> Response:
        """Take the answer that the identity provider's page posted; ``RelayState`` is nothing to us."""
        known = lane.known(org, connection_id)
        place = known[0] if known is not None else _place(runtime, org, connection_id)
        request.max_content_length = MAX_POST_BYTES
        with refusals_noted(runtime, place, limits):
            posted = request.form.get("SAMLResponse", "")
            quick = None if known is None else _arrived_by_lane(runtime, lane, *known, posted)
            arrived = quick or _arrived(runtime, place, posted)
        if with_lanes:
            lane.learn(place)
        return arrival_page(place, arrived)

    @pages.route("/logout", methods=["GET", "POST"])
    @signature
    def log_out(org: str, connection_id: str) -> Response:
        """Take what the identity provider says about ending sessions: its request, or its answer to ours."""
        place = _place(runtime, org, connection_id)
        request.max_content_length = MAX_POST_BYTES
        with refusals_noted(runtime, place, limits), runtime.unit(place.org_id, signing_in(place)) as unit:
            return log_out_by_provider(runtime, unit, place)

    @pages.get("/metadata")
    @public
    def metadata(org: str, connection_id: str) -> Response:
        """Give our metadata, to be uploaded at the identity provider or fetched by it."""
        place = _place(runtime, org, connection_id)
        with runtime.unit(place.org_id, signing_in(place)) as unit:
            document = our_metadata(runtime, unit, place)
        return Response(document, content_type="application/samlmetadata+xml")

    return pages


def _arrived_by_lane(
    runtime: Runtime, lane: SignInLane, place: Place, known: KnownConnection, posted: str
) -> Accepted | None:
    """Sign in by one statement, with what is remembered of the connection; None where the general way has to answer."""
    at = runtime.clock.now()
    try:
        verified = verify_answer(runtime, place, IdpTrust(known.issuer, known.certificates), posted, now=at)
        subject = read_answer(runtime, place, known.claims, verified)
    except SignInRefusedError:
        return None
    return lane.arrive(place, known, subject, named_session(verified), at)


def _arrived(runtime: Runtime, place: Place, posted: str) -> Accepted | Rehearsed:
    """Sign in with what the connection believes now.

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: With the reason.
    """
    with runtime.unit(place.org_id, signing_in(place)) as unit:
        connection = identity_provider(unit, place)  # held, so that the session reads it once
        verified = verify_answer(
            runtime,
            place,
            trust_of(unit, connection),
            posted,
            now=unit.at,
            our_keys=lambda: opening_keys(runtime, unit, place),
        )
        subject = read_answer(runtime, place, ClaimMap.read(connection.claims), verified)
        arrived = arrive(unit, place, subject, request_cookie_hashes())
        if isinstance(arrived, Accepted):
            keep_provider_session(unit, credential_hash(arrived.token), place.connection_id, named_session(verified))
        return arrived


def _place(runtime: Runtime, org: str, connection_id: str) -> Place:
    return find_place(runtime, SignInProtocol.SAML, org, connection_id)


def _sent_to_provider(runtime: Runtime, unit: Unit, place: Place, return_path: str) -> Response:
    identity_provider(unit, place)
    provider = saml_provider(unit, place.connection_id)
    if provider is None:
        raise SignInRefusedError(SignInRefusal.CONNECTION_DISABLED, "The connection has no SAML metadata yet")
    request_id = new_request_id()
    key = signing_key(runtime, unit, place.connection_id) if provider.signs_requests else None
    url = build_authn_request(service_provider(place, key), provider, request_id, None, unit.at)
    return depart(unit, place, url, request_id, return_path)
