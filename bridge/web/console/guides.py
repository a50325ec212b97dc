"""The set-up guide of a connection: the steps with the reader's own values, live checks, and set-up links."""

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.dialects import Behaviour
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.models import Connection, SetupLink
from bridge.usecases.read_connections import ConnectionHealth
from bridge.usecases.setup_checks import read_checks
from bridge.usecases.setup_links import LINK_DAYS, MAX_LINK_DAYS, create_setup_link, list_setup_links, revoke_setup_link
from bridge.web.console.connections import addresses_here, days_of, health_of
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.guides import GUIDES, Guide, likely_guide
from bridge.web.rendering import render, see_other
from bridge.web.session import Visit, current_runtime

pages = Blueprint("guides", __name__, url_prefix="/console/connections/<connection_id>")


@pages.get("/guide")
@signed_in(Permission.MANAGE_CONNECTIONS)
def show(visit: Visit, connection_id: str) -> Response:
    """Show the guide of the connection's identity provider, and how far its set-up is."""
    health = health_of(visit.unit, connection_id)
    guide = asked_guide(health.connection, health.behaviour)
    return render(
        "connection_guide.html",
        health=health,
        guide=guide,
        guides=GUIDES,
        addresses=addresses_here(visit.unit, health),
        checks=read_checks(visit.unit, health.connection.id, expects_groups=guide.pushes_groups),
        live=url_for("guides.show", connection_id=connection_id, guide=guide.key),
    )


@pages.get("/links")
@signed_in(Permission.MANAGE_CONNECTIONS)
def links(visit: Visit, connection_id: str) -> Response:
    """Show the set-up links that are good now."""
    return _links_page(visit, health_of(visit.unit, connection_id))


@pages.post("/links")
@signed_in(Permission.MANAGE_CONNECTIONS)
def create_link(visit: Visit, connection_id: str) -> Response:
    """Make a set-up link, and show it: this once."""
    health = health_of(visit.unit, connection_id)
    try:
        days = days_of(request.form.get("days"), default=LINK_DAYS, most=MAX_LINK_DAYS)
        link, credential = create_setup_link(
            visit.unit, health.connection.id, label=request.form.get("label", ""), days=days
        )
    except InvalidInputError as mistake:
        return _links_page(visit, health, mistake)
    address = current_runtime().settings.server.public_url + url_for("setup.show", token=credential.text)
    return _links_page(visit, health, made=(link, address))


@pages.post("/links/<link_id>/revoke")
@signed_in(Permission.MANAGE_CONNECTIONS)
def revoke_link(visit: Visit, connection_id: str, link_id: str) -> Response:
    """Revoke a set-up link."""
    health, wanted = health_of(visit.unit, connection_id), identifier("set-up link", link_id)
    if wanted not in {link.id for link in list_setup_links(visit.unit, health.connection.id)}:
        raise NotFoundError("set-up link", link_id)
    link = revoke_setup_link(visit.unit, wanted)
    flash(f"The link for {link.label} is revoked.", "ok")
    return see_other(url_for("guides.links", connection_id=connection_id))


def asked_guide(connection: Connection, behaviour: Behaviour) -> Guide:
    """Return the guide that the address asks for, else the likely one."""
    return GUIDES.get(request.args.get("guide", ""), likely_guide(connection.name, behaviour.dialect))


def _links_page(
    visit: Visit,
    health: ConnectionHealth,
    mistake: InvalidInputError | None = None,
    made: tuple[SetupLink, str] | None = None,
) -> Response:
    return render(
        "connection_links.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        health=health,
        links=list_setup_links(visit.unit, health.connection.id),
        made=made,
        days=LINK_DAYS,
        most=MAX_LINK_DAYS,
    )
