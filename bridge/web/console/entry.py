"""The way in and out: sign-in by company, one-time links, sign-out, and a member's own page."""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, flash, request, session, url_for

from bridge.domain.actors import SYSTEM
from bridge.domain.credentials import credential_hash
from bridge.domain.mail_domains import normal_form
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import NotFoundError, SignInRefusedError
from bridge.store.gate import find_domain, find_sign_in_link
from bridge.store.models import Connection, WebSession
from bridge.usecases.find_sign_in import sign_ins_of
from bridge.usecases.me import read_own_page
from bridge.usecases.sessions import end_session, end_sessions_of, list_sessions
from bridge.usecases.sign_in_links import use_sign_in_link
from bridge.web.console.forms import identifier
from bridge.web.console.signing_out import signed_out
from bridge.web.credentials import link, public, signed_in
from bridge.web.rendering import render, see_other
from bridge.web.session import (
    Visit,
    current_runtime,
    end_former_session,
    open_session,
    set_session_cookie,
    shown_session,
)
from bridge.web.sso import way_out

pages = Blueprint("entry", __name__)

LONGEST_ADDRESS = 254
#: Where somebody was going who was asked to sign in: kept in the browser until a link has signed them in.
_NEXT = "next"
#: What of a hint is shown: an address, never a sentence.
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to sign in: what people call the provider, and the path that leads there."""

    provider: str
    start_path: str


@dataclass(frozen=True, slots=True)
class Company:
    """Where the people of a mail domain sign in, by at least one way."""

    name: str
    ways: tuple[Way, ...]


@pages.get("/")
@signed_in()
def home(visit: Visit) -> Response:
    """Go to the page that the member works with."""
    target = "overview.show" if visit.may(Permission.SEE_CONSOLE) else "entry.me"
    return see_other(url_for(target))


@pages.get("/docs/provisioning")
@public
def provisioning_help() -> Response:
    """Say what an identity provider needs to push; ServiceProviderConfig leads here (RFC 7643 §5)."""
    return render("provisioning_help.html", base_url=current_runtime().settings.server.public_url)


@pages.get("/sign-in")
@public
def sign_in() -> Response:
    """Ask for the mail address."""
    hint = request.args.get("login_hint", "").strip()
    email = hint if _ADDRESS.fullmatch(hint) and len(hint) <= LONGEST_ADDRESS else ""
    next_path = safe_path(request.args.get("next"))
    # Whoever then comes in by a one-time link gets there, too.
    session[_NEXT] = next_path
    return render("sign_in.html", email=email, company=None, asked=False, next=next_path)


@pages.post("/sign-in")
@public
def find_sign_in() -> Response:
    """Say where the company of an address signs in; the domain alone decides, never the person."""
    given = request.form.get("email", "").strip()[:LONGEST_ADDRESS]
    email = given if given.isprintable() else ""
    next_path = safe_path(request.form.get("next"))
    return render("sign_in.html", email=email, company=_find_company(email, next_path), asked=True, next=next_path)


@pages.get("/sign-in/link/<token>")
@link
def sign_in_link(token: str) -> Response:
    """Show a button: mail scanners open every link, and must not use this one up."""
    return render("sign_in_link.html", token=token)


@pages.post("/sign-in/link/<token>")
@link
def use_link(token: str) -> Response:
    """Use the link up and open a session."""
    runtime = current_runtime()
    found = runtime.ask_gate(lambda gate: find_sign_in_link(gate, credential_hash(token), runtime.clock.now()))
    if found is None:
        raise SignInRefusedError("link_unknown", "The sign-in link is unknown, was used before, or has expired")
    org_id, link_id = found
    with runtime.unit(org_id, SYSTEM) as unit:
        used = use_sign_in_link(unit, link_id)
        fresh = open_session(unit, used.member, used.method, lifetime=used.lifetime)
    next_path = safe_path(session.get(_NEXT))
    session.clear()
    end_former_session(shown_session())
    response = see_other(next_path)
    set_session_cookie(response, fresh)
    return response


@pages.post("/sign-out")
@signed_in()
def sign_out(visit: Visit) -> Response:
    """End this session, then the one at the identity provider where that is offered: ours ends whatever it says."""
    end_session(visit.unit, visit.session_id, reason="sign_out")
    return signed_out(elsewhere=way_out(current_runtime(), visit.unit, visit.session_id))


@pages.get("/me")
@signed_in()
def me(visit: Visit) -> Response:
    """Show the member's own seat and why, or why there is none."""
    own = read_own_page(visit.unit, visit.member.id)
    idle = current_runtime().settings.session.idle_seconds
    sessions = list_sessions(visit.unit, idle_seconds=idle, member_id=visit.member.id)
    return render("me.html", own=own, why=own.explanation, sessions=sessions, session_id=visit.session_id)


@pages.post("/me/sessions/end")
@signed_in()
def end_my_sessions(visit: Visit) -> Response:
    """End every session of the member, this one included."""
    end_sessions_of(visit.unit, visit.member.id)
    return signed_out("You are signed out everywhere.")


@pages.post("/me/sessions/<session_id>/end")
@signed_in()
def end_my_session(visit: Visit, session_id: str) -> Response:
    """End one session of the member; ending this one signs out. Anybody else's is as unknown as none."""
    wanted = identifier("session", session_id)
    stored = visit.unit.session.get(WebSession, (visit.unit.org_id, wanted))
    if stored is None or stored.member_id != visit.member.id:
        raise NotFoundError("session", session_id)
    end_session(visit.unit, wanted)
    if wanted == visit.session_id:
        return signed_out()
    flash("The session was ended.", "ok")
    return see_other(url_for("entry.me"))


def safe_path(path: str | None) -> str:
    """Return a path of this very service, or "/" for anything else (I9)."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable():
        return "/"
    return path


def _find_company(email: str, next_path: str) -> Company | None:
    """Find where an address signs in; None for a domain nobody has, and for one that has no sign-in yet, alike."""
    runtime = current_runtime()
    local, at, domain = email.rpartition("@")
    name = normal_form(domain) if local and at else None
    if name is None:
        return None

    owner = runtime.ask_gate(lambda gate: find_domain(gate, name))
    if owner is None:
        return None
    with runtime.unit(owner.org_id, SYSTEM) as unit:
        ways = tuple(Way(one.name, _start_path(one, owner.slug, email, next_path)) for one in sign_ins_of(unit, name))
        return Company(unit.organization().name, ways) if ways else None


def _start_path(connection: Connection, slug: str, email: str, next_path: str) -> str:
    query = {"return": next_path} if next_path != "/" else {}
    if connection.protocol == SignInProtocol.OIDC:
        query["login_hint"] = email
    return f"/sso/{connection.protocol}/{slug}/{connection.id}/start{'?' if query else ''}{urlencode(query)}"
