"""Sessions of people in their browsers: which there are, and their end, each with an entry of its own in the audit."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Uuid, any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission, Role
from bridge.errors import NotFoundError
from bridge.store.directory import get_member
from bridge.store.journal import Entry, record_many
from bridge.store.models import Member, SignInLink, WebSession
from bridge.store.unit import Unit

LINK: Final = "link"
"""The ``method`` of a session that a sign-in link opened."""
BREAK_GLASS: Final = "break_glass"
"""The ``method`` of a session that an owner's emergency link opened."""
#: Why sessions end with a role: the reason in the audit.
ROLE_LOST = "role_lost"


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that is about to be opened; of its token only the hash is stored."""

    id: uuid.UUID
    token: str = field(repr=False)
    token_hash: bytes = field(repr=False)
    method: str
    device: str
    expires_at: datetime

    def entry(self, member_id: object) -> Entry:
        """Return what the audit says of it."""
        return Entry("session.opened", "member", member_id, self.method, {"session": str(self.id)})


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session that still opens doors; ``expires_at`` is when it ends at the latest, however it is used.

    Attributes:
        device: The browser and its system in words; empty where the browser did not say.
        method: How the person signed in: ``saml``, ``oidc``, ``link`` or ``break_glass``.
    """

    id: uuid.UUID
    member_id: MemberId
    user_name: str
    display_name: str
    device: str
    method: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


def list_sessions(unit: Unit, *, idle_seconds: int, member_id: MemberId | None = None) -> list[SessionView]:
    """Return the sessions that still open doors, of one person or of everybody, newest first.

    Args:
        unit: The unit.
        idle_seconds: After how long without a request a session is over.
        member_id: Whose; anybody may look at their own.

    Raises:
        ForbiddenError: The actor may not see other people's.
    """
    if member_id is None or unit.actor.id != member_id:
        unit.require(Permission.SEE_CONSOLE)
    rows = unit.session.execute(
        select(WebSession, Member.user_name, Member.display_name)
        .join(Member, (Member.org_id == WebSession.org_id) & (Member.id == WebSession.member_id))
        .where(
            WebSession.org_id == unit.org_id,
            WebSession.ended_at.is_(None),
            WebSession.expires_at > unit.at,
            WebSession.last_seen_at >= unit.at - timedelta(seconds=idle_seconds),
            *([] if member_id is None else [WebSession.member_id == member_id]),
        )
        .order_by(WebSession.created_at.desc(), WebSession.id)
    )
    return [
        SessionView(
            id=one.id,
            member_id=one.member_id,
            user_name=user_name,
            display_name=display_name,
            device=one.device,
            method=one.method,
            created_at=one.created_at,
            last_seen_at=one.last_seen_at,
            expires_at=one.expires_at,
        )
        for one, user_name, display_name in rows
    ]


def end_session(unit: Unit, session_id: uuid.UUID, *, reason: str = "by_hand") -> MemberId:
    """End one session: its cookie is worth nothing from the commit on. One that is over already stays as it is.

    Returns:
        Whose it was.

    Raises:
        ForbiddenError: It is somebody else's, and the actor may not manage people, or not owners.
        NotFoundError: There is no such session here.
    """
    stored = unit.session.get(WebSession, (unit.org_id, session_id))
    if stored is None:
        unit.require(Permission.MANAGE_PEOPLE)
        raise NotFoundError("session", str(session_id))
    if unit.actor.id != stored.member_id:
        unit.require(Permission.MANAGE_PEOPLE)
        _refuse_for_owners(unit, stored.member_id)
    unit.lock()
    end_those(unit, WebSession.id == session_id, reason=reason)
    return stored.member_id


def end_sessions_of(unit: Unit, member_id: MemberId) -> int:
    """End every session, sign-in link and sign-in to an application of a person by hand; return how many sessions.

    Raises:
        ForbiddenError: It is somebody else, and the actor may not manage people, or not owners.
        NotFoundError: There is no such member here.
    """
    if unit.actor.id != member_id:
        unit.require(Permission.MANAGE_PEOPLE)
        _refuse_for_owners(unit, member_id)
    unit.lock()
    return end_sign_ins(unit, [get_member(unit, member_id).id], reason="by_hand")


def _refuse_for_owners(unit: Unit, member_id: MemberId) -> None:
    """Leave an owner's sessions and links to owners: a link may be the owner's only way back in."""
    if Role(get_member(unit, member_id).role).is_owner:
        unit.require(Permission.END_OWNERS_SESSIONS)


def end_sign_ins(unit: Unit, member_ids: Collection[MemberId], *, reason: str) -> int:
    """End what people are signed in to, applications too, in this very transaction (T18); return how many sessions."""
    unit.lock()
    unit.session.execute(
        select(func.end_app_grants(unit.org_id, literal(list(member_ids), ARRAY(Uuid)), unit.at, reason))
    )
    return end_sessions(unit, member_ids, reason=reason)


def end_sessions(unit: Unit, member_ids: Collection[MemberId], *, reason: str) -> int:
    """End every session and sign-in link of people; return how many sessions.

    A sign-in to an application ends with the session, but for one that outlasts sessions: its next token says what the
    person may do then.
    """
    if not member_ids:
        return 0
    unit.lock()
    these = literal(list(member_ids), ARRAY(Uuid))
    ended = end_those(unit, WebSession.member_id == any_(these), reason=reason)
    unit.session.execute(
        update(SignInLink)
        .where(SignInLink.org_id == unit.org_id, SignInLink.member_id == any_(these), SignInLink.used_at.is_(None))
        .values(used_at=unit.at)
        .execution_options(synchronize_session=False)
    )
    return len(ended)


def end_those(unit: Unit, which: ColumnElement[bool], *, reason: str) -> Sequence[uuid.UUID]:
    """End sessions that are not over yet, by one statement, and write an entry for each; return their ids.

    Nobody is asked for a permission: the caller says who may.
    """
    ended = unit.session.execute(
        update(WebSession)
        .where(WebSession.org_id == unit.org_id, which, WebSession.ended_at.is_(None), WebSession.expires_at > unit.at)
        .values(ended_at=unit.at, ended_by=reason)
        .returning(WebSession.id, WebSession.member_id)
        .execution_options(synchronize_session="fetch")
    ).all()
    entries = [
        Entry("session.ended", "member", member_id, reason, {"session": str(session_id)})
        for session_id, member_id in sorted(ended)
    ]
    record_many(unit, entries, touches_seats=False)
    return [session_id for session_id, _ in ended]
