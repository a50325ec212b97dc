"""Signed-in browsers: a random cookie, its SHA-256 in the table, ended by time, by hand or with the member's access."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from flask import Response, current_app, g, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge.config import Settings
from bridge.domain.actors import SYSTEM, Actor, ActorKind
from bridge.domain.credentials import credential_hash, new_credential
from bridge.domain.devices import device_words
from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission, Role, may
from bridge.errors import UnauthenticatedError
from bridge.observability import bound_ids
from bridge.runtime import Runtime
from bridge.store.gate import enter_session
from bridge.store.journal import record
from bridge.store.models import Member, Organization, WebSession
from bridge.store.unit import Unit
from bridge.usecases.sessions import NewSession, end_those

EXTENSION = "seatbridge"
_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a signed-in member: the open unit of work, and who it is."""

    unit: Unit
    member: Member
    organization: Organization
    session_id: uuid.UUID

    @property
    def role(self) -> Role:
        """The member's role."""
        return Role(self.member.role)

    def may(self, permission: Permission) -> bool:
        """Tell whether the member's role has a permission."""
        return may(self.role, permission)


def current_runtime() -> Runtime:
    """Return the runtime that the app was made with."""
    runtime: Runtime = current_app.extensions[EXTENSION]
    return runtime


def new_session(at: datetime, method: str, *, lifetime: timedelta | None = None) -> NewSession:
    """Make a session for the browser whose request this is; nothing is opened yet.

    Args:
        at: When it begins.
        method: How it is known who it is: a :class:`SignInProtocol`, ``link`` or ``break_glass``.
        lifetime: How long it lasts at most; as the settings have it by default.
    """
    credential = new_credential()
    return NewSession(
        id=new_id(),
        token=credential.text,
        token_hash=credential.hash,
        method=method,
        device=device_words(request.headers.get("User-Agent", "")),
        expires_at=at + (lifetime or timedelta(seconds=current_runtime().settings.session.lifetime_seconds)),
    )


def open_session(unit: Unit, member: Member, method: str, *, lifetime: timedelta | None = None) -> str:
    """Open a session for a member and return its token, which is stored nowhere else.

    Args:
        unit: The unit that verified who it is.
        member: Who.
        method: As for :func:`new_session`.
        lifetime: As for :func:`new_session`.
    """
    new = new_session(unit.at, method, lifetime=lifetime)
    unit.session.add(
        WebSession(
            org_id=unit.org_id,
            id=new.id,
            token_hash=new.token_hash,
            member_id=member.id,
            method=new.method,
            device=new.device,
            created_at=unit.at,
            last_seen_at=unit.at,
            expires_at=new.expires_at,
            ended_at=None,
            ended_by=None,
        )
    )
    entry = new.entry(member.id)
    record(
        unit,
        entry.action,
        subject_kind=entry.subject_kind,
        subject_id=entry.subject_id,
        reason=entry.reason,
        body=dict(entry.body),
        touches_seats=False,
    )
    return new.token


def is_secure(settings: Settings) -> bool:
    """Tell whether people reach the service over TLS."""
    return urlsplit(settings.server.public_url).scheme == "https"


def cookie_name(settings: Settings) -> str:
    """Return the session cookie's name: bound to the host by its prefix wherever there is TLS."""
    return "__Host-seatbridge" if is_secure(settings) else "seatbridge"


def shown_session() -> bytes | None:
    """Return the hash of the session cookie that came with the request, whatever it is worth."""
    token = request.cookies.get(cookie_name(current_runtime().settings))
    return credential_hash(token) if token else None


def end_former_session(token_hash: bytes | None) -> None:
    """End the session that a browser had before it signed in again, whosever it was, in whichever organization (I11).

    In a transaction of its own, after the new session's: the two may be of different organizations.
    """
    if token_hash is None:
        return
    runtime = current_runtime()
    at = runtime.clock.now()
    principal = runtime.ask_gate(lambda gate: enter_session(gate, token_hash, at))
    if principal is None:
        return
    with runtime.unit(principal.org_id, SYSTEM) as unit:
        unit.lock()
        end_those(unit, WebSession.id == principal.session_id, reason="signed_in_again")


def set_session_cookie(response: Response, token: str) -> None:
    """Hand the token to the browser; a session the browser had before is never continued."""
    settings = current_runtime().settings
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=settings.session.lifetime_seconds,
        path="/",
        secure=is_secure(settings),
        httponly=True,
        samesite="Lax",
    )


def clear_session_cookie(response: Response) -> None:
    """Take the cookie away again."""
    settings = current_runtime().settings
    response.delete_cookie(cookie_name(settings), path="/", secure=is_secure(settings), httponly=True, samesite="Lax")


@contextmanager
def open_visit() -> Iterator[Visit]:
    """Open the unit of work of whoever's session cookie came with the request; commit it at the end.

    The organization comes from the session, never from the address. The visit stays at hand for the error pages.

    Raises:
        UnauthenticatedError: No cookie, or one whose session is unknown, ended, expired or idle for too long.
    """
    runtime = current_runtime()
    token = request.cookies.get(cookie_name(runtime.settings), "")
    if not token:
        raise UnauthenticatedError
    at = runtime.clock.now()
    with Session(runtime.engine, expire_on_commit=False) as session, session.begin():
        principal = enter_session(session, credential_hash(token), at)
        if principal is None:
            raise UnauthenticatedError
        unit = runtime.bind(session, principal.org_id, SYSTEM, at=at)
        stored = session.get_one(WebSession, (principal.org_id, principal.session_id))
        member = session.get_one(Member, (principal.org_id, principal.member_id))
        idle = timedelta(seconds=runtime.settings.session.idle_seconds)
        if not member.active or at - stored.last_seen_at > idle:
            raise UnauthenticatedError
        unit.actor = Actor(ActorKind.MEMBER, member.id, Role(member.role))
        unit.recheck = partial(_refuse_who_lost_access, session_id=principal.session_id)
        visit = Visit(unit, member, unit.organization(), principal.session_id)
        g.visitor = visit
        with bound_ids(org_id=str(principal.org_id), member_id=str(member.id)):
            yield visit
            unit.finish()
        if at - stored.last_seen_at >= _SEEN_EVERY:
            # Last, after whatever locks the view took: the organization's lock always comes before this row's.
            stored.last_seen_at = at


def _refuse_who_lost_access(unit: Unit, *, session_id: uuid.UUID) -> None:
    """Refuse a click that waited for the lock while its session, its member's access or role came to an end (T18)."""
    now = unit.session.execute(
        select(Member.active, Member.role, WebSession.ended_at)
        .join(WebSession, (WebSession.org_id == Member.org_id) & (WebSession.member_id == Member.id))
        .where(WebSession.org_id == unit.org_id, WebSession.id == session_id)
    ).one_or_none()
    if now is None or not now.active or now.ended_at is not None or Role(now.role) is not unit.actor.role:
        raise UnauthenticatedError
