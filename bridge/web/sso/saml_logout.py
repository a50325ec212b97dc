"""Single logout by SAML: what the identity provider sends, and the way there from our own sign-out."""

import uuid

from flask import Response, request
from werkzeug.urls import iri_to_uri

from bridge.adapters.saml import (
    LogoutResponse,
    Posted,
    SessionName,
    logout_request_url,
    logout_response_url,
    new_request_id,
    read_logout,
)
from bridge.domain.sign_in import SignInProtocol
from bridge.runtime import Runtime
from bridge.store.unit import Unit
from bridge.usecases.saml_trust import saml_provider
from bridge.usecases.single_logout import end_at_providers_word, session_at_provider
from bridge.web.rendering import render
from bridge.web.sso.flow import to
from bridge.web.sso.places import Place, identity_provider
from bridge.web.sso.saml_messages import service_provider, signing_key, trust_of


def log_out_by_provider(runtime: Runtime, unit: Unit, place: Place) -> Response:
    """End the sessions that the identity provider names and send the browser back to it, or take its answer to ours.

    An answer changes nothing: our session had ended before we asked.

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: The message is not the provider's, not meant for us, not of now, or was used before.
    """
    trust = trust_of(unit, identity_provider(unit, place))
    message = read_logout(
        _sent(),
        location=place.logout_url,
        idp=trust,
        now=unit.at,
        skew_seconds=runtime.settings.sso.clock_skew_seconds,
    )
    if isinstance(message, LogoutResponse):
        return _signed_out_page(everywhere=message.succeeded)
    end_at_providers_word(
        unit,
        place.connection_id,
        issuer=trust.entity_id,
        message_id=message.id,
        expires_at=message.expires_at,
        name_id=message.name_id,
        indexes=message.indexes,
    )
    provider = saml_provider(unit, place.connection_id)
    if provider is None or provider.logout_response_url is None:
        return _signed_out_page(everywhere=True)
    return to(
        logout_response_url(
            provider.logout_response_url,
            entity_id=service_provider(place).entity_id,
            response_id=new_request_id(),
            answered=message,
            key=signing_key(runtime, unit, place.connection_id),
            now=unit.at,
        )
    )


def way_out(runtime: Runtime, unit: Unit, session_id: uuid.UUID) -> Response | None:
    """Return the page that leads on to the identity provider, to end a session there that has ended here.

    A page, because the policy of ours on forms blocks one that leads to another site.

    Returns:
        None where there is nothing to end elsewhere.
    """
    known = session_at_provider(unit, session_id)
    if known is None:
        return None
    place = Place(
        unit.org_id,
        unit.organization().slug,
        known.connection_id,
        SignInProtocol.SAML,
        runtime.settings.server.public_url,
    )
    url = logout_request_url(
        known.logout_url,
        entity_id=service_provider(place).entity_id,
        request_id=new_request_id(),
        session=SessionName(known.name_id, known.name_attributes, known.index),
        key=signing_key(runtime, unit, known.connection_id),
        now=unit.at,
    )
    response = render("sso/signed_out.html", target=url, everywhere=False)
    response.headers["Refresh"] = f"0; url={iri_to_uri(url)}"
    return response


def _sent() -> bytes | Posted:
    if request.method == "GET":
        return request.query_string
    field = "SAMLRequest" if "SAMLRequest" in request.form else "SAMLResponse"
    return Posted(field, request.form.get(field, ""), request.form.get("RelayState"))


def _signed_out_page(*, everywhere: bool) -> Response:
    return render("sso/signed_out.html", target=None, everywhere=everywhere)
