"""Mail domains of a connection: claimed, proved by a record, given up."""

from flask import Blueprint, Response, flash, request

from bridge.adapters.dns import read_txt_records, resolver_of
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.usecases.connections import claim_domain, normalized_domain, remove_domain, verify_domain
from bridge.web.console.connections import health_of, overview_page, to_connection
from bridge.web.credentials import Credential, asks_for, signed_in
from bridge.web.session import Visit, current_runtime, open_visit

pages = Blueprint("domains", __name__, url_prefix="/console/connections/<connection_id>/domains")


@pages.post("")
@signed_in(Permission.MANAGE_CONNECTIONS)
def claim(visit: Visit, connection_id: str) -> Response:
    """Claim a domain, whose people sign in by this connection."""
    health = health_of(visit.unit, connection_id)
    try:
        domain = claim_domain(visit.unit, request.form.get("domain", ""), health.connection.id)
    except InvalidInputError as mistake:
        return overview_page(visit, health, mistake)
    flash(f"{domain.name} is claimed: publish its record, then verify it.", "ok")
    return to_connection(connection_id)


@pages.post("/verify")
@asks_for(Credential.SESSION)
def verify(connection_id: str) -> Response:
    """Look for the record of a claimed domain; the name servers are asked while no unit of work is open."""
    with open_visit() as visit:
        visit.unit.require(Permission.MANAGE_CONNECTIONS)
        health_of(visit.unit, connection_id)
    try:
        name = normalized_domain(request.form.get("domain", ""))
        proof = read_txt_records(name, resolver=resolver_of(current_runtime().settings.sso.dns_servers))
        with open_visit() as visit:
            domain = verify_domain(visit.unit, name, proof=proof)
            flash(f"{domain.name} is verified.", "ok")
    except InvalidInputError as mistake:
        with open_visit() as visit:
            return overview_page(visit, health_of(visit.unit, connection_id), mistake)
    return to_connection(connection_id)


@pages.post("/remove")
@signed_in(Permission.MANAGE_CONNECTIONS)
def remove(visit: Visit, connection_id: str) -> Response:
    """Give a domain up."""
    health = health_of(visit.unit, connection_id)
    try:
        name = normalized_domain(request.form.get("domain", ""))
        remove_domain(visit.unit, name)
    except InvalidInputError as mistake:
        return overview_page(visit, health, mistake)
    flash(f"{name} is given up: it links nobody and finds no sign-in any more.", "ok")
    return to_connection(connection_id)
