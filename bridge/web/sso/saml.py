"""SAML sign-in for one connection: start, assertion consumer service, finish, and our metadata."""

from datetime import timedelta
from typing import Final

from flask import Blueprint, Response, request

from bridge.adapters.saml import (
    IdpTrust,
    PublishedKeys,
    SpKey,
    SpSettings,
    asserted_person,
    build_authn_request,
    initialise,
    new_request_id,
    sp_metadata,
    verify_response,
)
from bridge.domain.claims import ClaimMap
from bridge.domain.roles import Permission
from bridge.domain.sign_in import KeyStage, SignInProtocol
from bridge.errors import NotFoundError, SignInRefusedError
from bridge.runtime import Runtime
from bridge.store.models import Connection
from bridge.store.unit import Unit
from bridge.usecases.saml_trust import certificates_of, saml_provider
from bridge.usecases.service_keys import ensure_service_key, service_keys
from bridge.usecases.sign_in import AssertedSubject, Assertion, SignInRefusal
from bridge.web.credentials import assertion, public, signed_in
from bridge.web.session import Visit
from bridge.web.sso.cookies import request_cookie_hashes
from bridge.web.sso.flow import arrival_page, arrive, asked_return_path, depart, finish_page, refuse_embedding
from bridge.web.sso.places import PREFIX, Place, find_place, identity_provider
from bridge.web.sso.refusals import refusal_page, refusals_noted, signing_in

MAX_POST_BYTES: Final = 400_000
"""The largest response (256 kB) is a third larger in base64, and its plus signs grow again in the form."""


def saml_blueprint(runtime: Runtime) -> Blueprint:
    """Build the sign-in pages over a runtime; libxmlsec is prepared for strangers' documents on the way."""
    initialise()
    pages = Blueprint("saml", __name__, url_prefix=f"{PREFIX}/saml/<org>/<connection_id>", template_folder="templates")
    pages.register_error_handler(SignInRefusedError, refusal_page)

    @pages.get("/start")
    @public
    def start(org: str, connection_id: str) -> Response:
        """Send the browser to the identity provider; a plain link, so that no form's policy is in the way."""
        refuse_embedding()
        place = _place(runtime, org, connection_id)
        with refusals_noted(runtime, place), runtime.unit(place.org_id, signing_in(place)) as unit:
            return _sent_to_provider(runtime, unit, place, asked_return_path())

    @pages.get("/test")
    @signed_in(Permission.MANAGE_CONNECTIONS)
    def rehearse(visit: Visit, org: str, connection_id: str) -> Response:
        """Start a sign-in that shows what arrives and what would happen, and provisions nothing."""
        refuse_embedding()
        place = _place(runtime, org, connection_id)
        if place.org_id != visit.unit.org_id:
            raise NotFoundError("connection", connection_id)
        return _sent_to_provider(runtime, visit.unit, place, place.test_path)

    @pages.post("/acs")
    @assertion
    def acs(org: str, connection_id: str) -> Response:
        """Take the answer that the identity provider's page posted; ``RelayState`` is nothing to us."""
        place = _place(runtime, org, connection_id)
        request.max_content_length = MAX_POST_BYTES
        with refusals_noted(runtime, place):
            posted = request.form.get("SAMLResponse", "")
            with runtime.unit(place.org_id, signing_in(place)) as unit:
                arrived = arrive(unit, place, read_answer(runtime, unit, place, posted), request_cookie_hashes())
        return arrival_page(place, arrived)

    @pages.get("/finish")
    @public
    def finish(org: str, connection_id: str) -> Response:
        """Go on to where the sign-in was to end."""
        return finish_page(_place(runtime, org, connection_id))

    @pages.get("/metadata")
    @public
    def metadata(org: str, connection_id: str) -> Response:
        """Give our metadata, to be uploaded at the identity provider or fetched by it."""
        place = _place(runtime, org, connection_id)
        with runtime.unit(place.org_id, signing_in(place)) as unit:
            document = our_metadata(runtime, unit, place)
        return Response(document, content_type="application/samlmetadata+xml")

    return pages


def service_provider(place: Place, key: SpKey | None = None) -> SpSettings:
    """Describe this service as the connection's identity provider knows it; with a key, requests are signed.

    The entityID is the address of our metadata, so that an identity provider can fetch it by its name.
    """
    return SpSettings(f"{place.public_url}{place.path}/metadata", place.answer_url, key)


def our_metadata(runtime: Runtime, unit: Unit, place: Place) -> bytes:
    """Write our metadata for a connection; its first key is made when it is first asked for.

    Raises:
        NotFoundError: There is no such connection.
    """
    identity_provider(unit, place)
    provider = saml_provider(unit, place.connection_id)
    keys = ensure_service_key(unit, place.connection_id, runtime.make_service_key)
    offers = provider is None or provider.offers_encryption
    published = PublishedKeys(
        signing=tuple(key.certificate for key in keys if key.stage != KeyStage.OLD),
        encryption=tuple(key.certificate for key in keys if offers and key.stage == KeyStage.CURRENT),
    )
    signs = provider is not None and provider.signs_requests
    return sp_metadata(service_provider(place), published, signs_requests=signs)


def read_answer(runtime: Runtime, unit: Unit, place: Place, raw: str) -> AssertedSubject:
    """Verify a response with what the connection trusts now, and read who it is about.

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: With the reason.
    """
    connection = identity_provider(unit, place)
    skew = runtime.settings.sso.clock_skew_seconds
    verified = verify_response(
        raw,
        sp=service_provider(place),
        idp=_trust(unit, connection),
        expected_request=None,
        now=unit.at,
        skew_seconds=skew,
        our_keys=lambda: _opening_keys(runtime, unit, place),
    )
    person = asserted_person(verified, ClaimMap.read(connection.claims))
    claimed = person.claimed
    return AssertedSubject(
        connection_id=place.connection_id,
        issuer=verified.issuer,
        subject=person.subject,
        request_id=verified.in_response_to,
        assertion=Assertion(verified.assertion_id, verified.not_on_or_after + timedelta(seconds=skew)),
        directory_name=person.directory_name,
        email=claimed.email,
        is_email_verified=True,
        given_name=claimed.given_name,
        family_name=claimed.family_name,
        display_name=claimed.display_name,
        groups=claimed.groups,
        groups_overage=person.groups_overage,
        attributes=claimed.attributes,
    )


def _place(runtime: Runtime, org: str, connection_id: str) -> Place:
    return find_place(runtime, SignInProtocol.SAML, org, connection_id)


def _sent_to_provider(runtime: Runtime, unit: Unit, place: Place, return_path: str) -> Response:
    identity_provider(unit, place)
    provider = saml_provider(unit, place.connection_id)
    if provider is None:
        raise SignInRefusedError(SignInRefusal.CONNECTION_DISABLED, "The connection has no SAML metadata yet")
    request_id = new_request_id()
    key = _signing_key(runtime, unit, place) if provider.signs_requests else None
    url = build_authn_request(service_provider(place, key), provider, request_id, None, unit.at)
    return depart(unit, place, url, request_id, return_path)


def _opening_keys(runtime: Runtime, unit: Unit, place: Place) -> list[SpKey]:
    """Return every key that something may still be encrypted to; during a change that is more than one."""
    return [SpKey(key.certificate, runtime.private_key_of(key)) for key in service_keys(unit, place.connection_id)]


def _signing_key(runtime: Runtime, unit: Unit, place: Place) -> SpKey:
    keys = ensure_service_key(unit, place.connection_id, runtime.make_service_key)
    current = next(key for key in keys if key.stage == KeyStage.CURRENT)
    return SpKey(current.certificate, runtime.private_key_of(current))


def _trust(unit: Unit, connection: Connection) -> IdpTrust:
    if connection.issuer is None:
        raise SignInRefusedError(SignInRefusal.CONNECTION_DISABLED, "The connection has no SAML metadata yet")
    certificates = certificates_of(unit, connection.id)
    return IdpTrust(connection.issuer, tuple(certificate.pem for certificate in certificates))
