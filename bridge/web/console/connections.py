"""Connections: how each identity provider is doing, its addresses and tokens, and turning it on and off."""

from datetime import timedelta

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.identifiers import ConnectionId
from bridge.domain.provisioning import Confirmation
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.unit import Unit
from bridge.usecases.connection_addresses import addresses_of
from bridge.usecases.connections import (
    create_connection,
    issue_scim_token,
    list_domains,
    list_sign_ins,
    live_tokens,
    revoke_scim_token,
    set_jit,
)
from bridge.usecases.disable_connection import disable_connection, enable_connection
from bridge.usecases.enforce_sso import shut_out_without
from bridge.usecases.people import name_people
from bridge.usecases.provisional import set_confirmation
from bridge.usecases.read_connections import COUNTED, ConnectionHealth, read_connection, read_connections
from bridge.usecases.saml_trust import certificates_of, saml_provider
from bridge.usecases.scim_clients import clients_of
from bridge.web.console.forms import identifier, whole_number
from bridge.web.console.validity import draw_validity
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import plural, render, see_other
from bridge.web.session import Visit, current_runtime

pages = Blueprint("connections", __name__, url_prefix="/console/connections")

_LONGEST_DAYS = 3650
SIGN_INS_SHOWN = 100


@pages.get("")
@signed_in(Permission.MANAGE_CONNECTIONS)
def index(visit: Visit) -> Response:
    """Show every identity provider, and how it is doing."""
    return _index(visit)


@pages.post("")
@signed_in(Permission.MANAGE_CONNECTIONS)
def create(visit: Visit) -> Response:
    """Make a connection."""
    try:
        made = create_connection(visit.unit, request.form.get("name", ""))
    except InvalidInputError as mistake:
        return _index(visit, mistake)
    flash(f"{made.name} is here. Follow the guide: it says when each step has worked.", "ok")
    return see_other(url_for("guides.show", connection_id=made.id))


@pages.get("/<connection_id>")
@signed_in(Permission.MANAGE_CONNECTIONS)
def show(visit: Visit, connection_id: str) -> Response:
    """Show one identity provider: how it is doing, its tokens, certificates, domains, and our addresses."""
    return overview_page(visit, health_of(visit.unit, connection_id))


@pages.get("/<connection_id>/sign-ins")
@signed_in(Permission.MANAGE_CONNECTIONS)
def sign_ins(visit: Visit, connection_id: str) -> Response:
    """Show how the newest sign-ins ended, refused ones with their reason."""
    health = health_of(visit.unit, connection_id)
    events = list_sign_ins(visit.unit, health.connection.id, SIGN_INS_SHOWN)
    names = name_people(visit.unit, {event.member_id for event in events if event.member_id is not None})
    return render("connection_sign_ins.html", health=health, events=events, names=names, most=SIGN_INS_SHOWN)


@pages.post("/<connection_id>/tokens")
@signed_in(Permission.MANAGE_CONNECTIONS)
def issue_token(visit: Visit, connection_id: str) -> Response:
    """Issue a token, and show it: this once."""
    health = health_of(visit.unit, connection_id)
    form = request.form
    try:
        days = days_of(form.get("days"), default=365, most=_LONGEST_DAYS)
        credential = issue_scim_token(
            visit.unit,
            health.connection.id,
            label=form.get("label", "").strip(),
            can_write=form.get("scope") != "read",
            lifetime=timedelta(days=days),
        )
    except InvalidInputError as mistake:
        return overview_page(visit, health, mistake)
    return render(
        "connection_token.html",
        health=health,
        token=credential.text,
        guide=form.get("guide"),
        addresses=addresses_here(visit.unit, health),
        expires_at=visit.unit.at + timedelta(days=days),
    )


@pages.post("/<connection_id>/tokens/<token_id>/revoke")
@signed_in(Permission.MANAGE_CONNECTIONS)
def revoke_token(visit: Visit, connection_id: str, token_id: str) -> Response:
    """Revoke a token: the next request with it is refused."""
    health, wanted = health_of(visit.unit, connection_id), identifier("token", token_id)
    if wanted not in {token.id for token in live_tokens(visit.unit, health.connection.id)}:
        raise NotFoundError("token", token_id)
    token = revoke_scim_token(visit.unit, wanted)
    flash(f"{token.label} is revoked: the next request with it is refused.", "ok")
    return to_connection(connection_id)


@pages.post("/<connection_id>/switches")
@signed_in(Permission.MANAGE_CONNECTIONS)
def switches(visit: Visit, connection_id: str) -> Response:
    """Say whether a sign-in creates who is new, and whether the directory has to confirm them."""
    connection = health_of(visit.unit, connection_id).connection
    wanted = request.form.get("confirmation", connection.confirmation)
    if wanted not in set(Confirmation):
        raise InvalidInputError("confirmation", "must be when_pushing, always or never")
    set_jit(visit.unit, connection.id, jit=request.form.get("jit") == "yes")
    set_confirmation(visit.unit, connection.id, Confirmation(wanted))
    flash("Saved what a first sign-in does.", "ok")
    return to_connection(connection_id)


@pages.post("/<connection_id>/disable")
@signed_in(Permission.MANAGE_CONNECTIONS)
def disable(visit: Visit, connection_id: str) -> Response:
    """Turn the connection off."""
    connection = health_of(visit.unit, connection_id).connection
    if request.form.get("sure") != "yes":
        raise InvalidInputError("sure", "tick that nobody signs in by it, and nothing is pushed, until it is on again")
    ended = disable_connection(visit.unit, connection.id)
    flash(f"{connection.name} is off. {plural(ended, 'session was', 'sessions were')} ended.", "ok")
    return to_connection(connection_id)


@pages.post("/<connection_id>/enable")
@signed_in(Permission.MANAGE_CONNECTIONS)
def enable(visit: Visit, connection_id: str) -> Response:
    """Turn the connection on again."""
    connection = enable_connection(visit.unit, health_of(visit.unit, connection_id).connection.id)
    flash(f"{connection.name} is on again: its people sign in, and its tokens push.", "ok")
    return to_connection(connection_id)


def days_of(text: str | None, *, default: int, most: int) -> int:
    """Read for how many days something is to be good.

    Raises:
        InvalidInputError: None, or more than so many.
    """
    days = whole_number(text, "days", default=default)
    if not 1 <= days <= most:
        raise InvalidInputError("days", f"must be 1 to {most}")
    return days


def to_connection(connection_id: str) -> Response:
    """Go back to the connection's first page."""
    return see_other(url_for("connections.show", connection_id=connection_id))


def health_of(unit: Unit, connection_id: str) -> ConnectionHealth:
    """Return the connection that an address names.

    Raises:
        NotFoundError: There is none.
    """
    return read_connection(unit, ConnectionId(identifier("connection", connection_id)))


def overview_page(visit: Visit, health: ConnectionHealth, mistake: InvalidInputError | None = None) -> Response:
    """Render the first page of a connection."""
    unit, connection = visit.unit, health.connection
    tokens = live_tokens(unit, connection.id)
    events = list_sign_ins(unit, connection.id)
    certificates = certificates_of(unit, connection.id) if connection.protocol == "saml" else ()
    writing = [token for token in tokens if token.can_write]
    return render(
        "connection.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        health=health,
        counted=COUNTED,
        addresses=addresses_here(unit, health),
        tokens=tokens,
        clients=clients_of(unit, connection.id),
        rotating=writing if len(writing) > 1 else (),
        certificates=certificates,
        validity=draw_validity(certificates, unit.at),
        provider=saml_provider(unit, connection.id),
        domains=[one for one in list_domains(unit) if one.connection_id in {None, connection.id}],
        rehearsed=next((event for event in events if event.outcome == "rehearsed"), None),
        shut_out=() if connection.disabled_at else shut_out_without(unit, connection.id),
        now=unit.at,
    )


def addresses_here(unit: Unit, health: ConnectionHealth) -> object:
    """Return the connection's addresses at this installation."""
    return addresses_of(current_runtime().settings.server.public_url, unit, health.connection)


def _index(visit: Visit, mistake: InvalidInputError | None = None) -> Response:
    return render(
        "connections.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        connections=read_connections(visit.unit),
        counted=COUNTED,
    )
