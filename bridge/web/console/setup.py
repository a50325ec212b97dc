"""What somebody without an account sees by a set-up link: the guide of one connection, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.actors import SYSTEM
from bridge.domain.credentials import credential_hash
from bridge.errors import BridgeError, InvalidInputError, SetupLinkGoneError
from bridge.store.gate import find_setup_link
from bridge.store.models import Connection, SetupLink
from bridge.store.unit import Unit
from bridge.usecases.connection_addresses import addresses_of
from bridge.usecases.connections import issue_scim_token
from bridge.usecases.read_requests import behaviour_of
from bridge.usecases.setup_checks import read_checks
from bridge.usecases.setup_links import live_setup_link, open_setup_link
from bridge.web.console.guides import asked_guide
from bridge.web.console.trust_forms import believe_oidc, believe_saml, given_metadata, given_provider
from bridge.web.credentials import link
from bridge.web.errors import answer_for, sentence_of
from bridge.web.guides import GUIDES
from bridge.web.rendering import render, see_other
from bridge.web.session import current_runtime

pages = Blueprint("setup", __name__, url_prefix="/set-up/<token>")


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody with a set-up link: the unit that works for them, and the only connection they see."""

    unit: Unit
    link: SetupLink
    connection: Connection


@pages.get("")
@link
def show(token: str) -> Response:
    """Show the guide with the connection's own values, and how far the set-up is."""
    with opened(token) as guest:
        return _page(guest, token)


@pages.post("/token")
@link
def issue_token(token: str) -> Response:
    """Issue a SCIM token, and show it: this once."""
    with opened(token) as guest:
        try:
            credential = issue_scim_token(guest.unit, guest.connection.id)
        except BridgeError as refusal:
            return _page(guest, token, problem=refusal)
        return _page(guest, token, scim_token=credential.text)


@pages.post("/saml")
@link
def trust_saml(token: str) -> Response:
    """Say which SAML identity provider the connection believes, as long as it believes nobody."""
    with opened(token) as guest:
        _refuse_another(guest)
    try:
        given = given_metadata(current_runtime().settings)
        with opened(token) as guest:
            _refuse_another(guest)
            believe_saml(guest.unit, guest.connection.id, given)
    except InvalidInputError as mistake:
        with opened(token) as guest:
            return _page(guest, token, problem=mistake)
    return _back(token, "The metadata was taken. Try a sign-in.")


@pages.post("/oidc")
@link
def trust_oidc(token: str) -> Response:
    """Say which OpenID Connect provider the connection believes, as long as it believes nobody."""
    with opened(token) as guest:
        _refuse_another(guest)
    try:
        given = given_provider(current_runtime().settings)
        with opened(token) as guest:
            _refuse_another(guest)
            believe_oidc(guest.unit, guest.connection, given, current_runtime().secrets)
    except InvalidInputError as mistake:
        with opened(token) as guest:
            return _page(guest, token, problem=mistake)
    return _back(token, "The provider was asked, and is believed. Try a sign-in.")


@contextmanager
def opened(token: str) -> Iterator[Guest]:
    """Open the unit of work of whoever has the link; the connection comes from the link, never from the address.

    Raises:
        SetupLinkGoneError: The link is unknown, has expired or was revoked.
    """
    runtime = current_runtime()
    token_hash = credential_hash(token)
    found = runtime.ask_gate(lambda gate: find_setup_link(gate, token_hash))
    if found is None:
        raise SetupLinkGoneError
    org_id, link_id = found

    def recheck(unit: Unit) -> None:
        """Refuse a click that waited for the lock while the link was revoked."""
        if live_setup_link(unit, link_id) is None:
            raise SetupLinkGoneError

    with runtime.unit(org_id, SYSTEM) as unit:
        unit.recheck = recheck
        known = open_setup_link(unit, link_id, token_hash)
        yield Guest(unit, known.link, known.connection)


def _refuse_another(guest: Guest) -> None:
    if guest.connection.protocol is not None:
        raise InvalidInputError(
            "connection", "believes an identity provider already: an administrator of the organization may change that"
        )


def _back(token: str, sentence: str) -> Response:
    flash(sentence, "ok")
    return see_other(url_for("setup.show", token=token, guide=request.args.get("guide")))


def _page(guest: Guest, token: str, *, scim_token: str = "", problem: BridgeError | None = None) -> Response:
    unit = guest.unit
    guide = asked_guide(guest.connection, behaviour_of(unit, guest.connection.id))
    return render(
        "setup.html",
        status=200 if problem is None else answer_for(problem).status,
        problem="" if problem is None else sentence_of(problem),
        organization=unit.organization(),
        link=guest.link,
        token=token,
        health=guest,
        guide=guide,
        guides=GUIDES,
        addresses=addresses_of(current_runtime().settings.server.public_url, unit, guest.connection),
        checks=read_checks(unit, guest.connection.id, expects_groups=guide.pushes_groups),
        live=url_for("setup.show", token=token, guide=guide.key),
        scim_token=scim_token,
        given=request.form,
    )
