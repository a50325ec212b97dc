"""Whom a connection believes: SAML metadata, an OpenID Connect provider, and under which names they say what."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.claims import FACTS
from bridge.domain.documents import MAPPABLE_ATTRIBUTES
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.map_claims import claims_of, map_claims
from bridge.usecases.oidc_trust import oidc_provider
from bridge.usecases.saml_trust import certificates_of, saml_provider, set_saml_options
from bridge.usecases.service_keys import service_keys
from bridge.web.console.connections import addresses_here, health_of
from bridge.web.console.trust_forms import believe_oidc, believe_saml, given_metadata, given_provider
from bridge.web.credentials import Credential, asks_for, signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.guides import GUIDES
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit, current_runtime, open_visit

pages = Blueprint("connection_trust", __name__, url_prefix="/console/connections/<connection_id>")

#: Of a page that asks somebody outside: it opens its unit of work itself, before and after.
session_cookie = asks_for(Credential.SESSION)


@pages.get("/sign-in")
@signed_in(Permission.MANAGE_CONNECTIONS)
def sign_in(visit: Visit, connection_id: str) -> Response:
    """Show whom the connection believes, and let it believe another."""
    return _sign_in_page(visit, connection_id)


@pages.post("/saml")
@session_cookie
def trust_saml(connection_id: str) -> Response:
    """Believe a SAML identity provider by its metadata."""
    _check_permission(connection_id)
    try:
        given = given_metadata(current_runtime().settings)
        with open_visit() as visit:
            connection = health_of(visit.unit, connection_id).connection
            trust = believe_saml(visit.unit, connection.id, given)
            flash(f"{connection.name} believes {trust.entity_id} from now on. Try a test sign-in.", "ok")
            return _believed(connection_id)
    except InvalidInputError as mistake:
        return _with_problem(connection_id, mistake)


@pages.post("/saml-options")
@signed_in(Permission.MANAGE_CONNECTIONS)
def saml_options(visit: Visit, connection_id: str) -> Response:
    """Say how we speak to the SAML identity provider, and whether a sign-in may start there."""
    form = request.form
    signs = {"yes": True, "no": False}.get(form.get("sign_requests", ""))
    set_saml_options(
        visit.unit,
        health_of(visit.unit, connection_id).connection.id,
        sign_requests=signs,
        offers_encryption=form.get("offers_encryption") == "yes",
        idp_initiated=form.get("idp_initiated") == "yes",
    )
    flash("Saved how we speak to the identity provider.", "ok")
    return _to_sign_in(connection_id)


@pages.post("/oidc")
@session_cookie
def trust_oidc(connection_id: str) -> Response:
    """Believe an OpenID Connect provider, after it was asked to describe itself."""
    _check_permission(connection_id)
    runtime = current_runtime()
    try:
        given = given_provider(runtime.settings)
        with open_visit() as visit:
            connection = health_of(visit.unit, connection_id).connection
            believe_oidc(visit.unit, connection, given, runtime.secrets)
            flash(f"{connection.name} believes {given.issuer} from now on. Try a test sign-in.", "ok")
            return _believed(connection_id)
    except InvalidInputError as mistake:
        return _with_problem(connection_id, mistake)


@pages.get("/attributes")
@signed_in(Permission.MANAGE_CONNECTIONS)
def attributes(visit: Visit, connection_id: str) -> Response:
    """Show under which names the identity provider says what."""
    return _attributes_page(visit, connection_id)


@pages.post("/attributes")
@signed_in(Permission.MANAGE_CONNECTIONS)
def map_attributes(visit: Visit, connection_id: str) -> Response:
    """Say under which names the identity provider says what."""
    form = request.form
    try:
        map_claims(
            visit.unit,
            health_of(visit.unit, connection_id).connection.id,
            facts={fact: form.get(f"fact.{fact}", "") for fact in FACTS},
            attributes={name: form.get(f"attribute.{name}", "") for name in MAPPABLE_ATTRIBUTES},
            forget_links=form.get("forget_links") == "yes",
        )
    except InvalidInputError as mistake:
        return _attributes_page(visit, connection_id, mistake)
    flash("Saved under which names the identity provider says what.", "ok")
    return see_other(url_for("connection_trust.attributes", connection_id=connection_id))


def _check_permission(connection_id: str) -> None:
    """Refuse who may not, before anybody outside is asked anything for them."""
    with open_visit() as visit:
        visit.unit.require(Permission.MANAGE_CONNECTIONS)
        health_of(visit.unit, connection_id)


def _with_problem(connection_id: str, mistake: InvalidInputError) -> Response:
    with open_visit() as visit:
        return _sign_in_page(visit, connection_id, mistake)


def _believed(connection_id: str) -> Response:
    """Go back to the guide that the form stood in, else to the page of sign-in."""
    guide = request.args.get("guide")
    if guide in GUIDES:
        return see_other(url_for("guides.show", connection_id=connection_id, guide=guide))
    return _to_sign_in(connection_id)


def _to_sign_in(connection_id: str) -> Response:
    return see_other(url_for("connection_trust.sign_in", connection_id=connection_id))


def _sign_in_page(visit: Visit, connection_id: str, mistake: InvalidInputError | None = None) -> Response:
    health = health_of(visit.unit, connection_id)
    connection = health.connection
    is_oidc = connection.protocol == "oidc"
    return render(
        "connection_sign_in.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        health=health,
        addresses=addresses_here(visit.unit, health),
        provider=None if is_oidc else saml_provider(visit.unit, connection.id),
        certificates=() if is_oidc else certificates_of(visit.unit, connection.id),
        keys=service_keys(visit.unit, connection.id),
        relying=oidc_provider(visit.unit, connection.id) if is_oidc else None,
        given=request.form,
    )


def _attributes_page(visit: Visit, connection_id: str, mistake: InvalidInputError | None = None) -> Response:
    health = health_of(visit.unit, connection_id)
    return render(
        "connection_attributes.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        health=health,
        claims=claims_of(visit.unit, health.connection.id),
        attributes=MAPPABLE_ATTRIBUTES,
        given=request.form,
    )
