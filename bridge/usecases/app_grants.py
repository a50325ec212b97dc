"""Who is signed in to which application: a code that is used once, refresh tokens that change with every use.

All tokens of one sign-in hang on one grant. Whatever is used a second time was seen by somebody else: the grant ends.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, select, update

from bridge.domain.credentials import credential_hash
from bridge.domain.identifiers import MemberId, new_id
from bridge.store.journal import Entry, record, record_many
from bridge.store.models import AppGrant, AppRefreshToken, Member, WebSession
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.apps import RegisteredApp
from bridge.usecases.sessions import BREAK_GLASS

CODE_LIFETIME: Final = timedelta(seconds=60)
OFFLINE_ACCESS: Final = "offline_access"
REUSED: Final = "app_token_reused"


@dataclass(frozen=True, slots=True)
class AskedGrant:
    """What an application asked for, checked: the scope is what it gets."""

    scope: str
    redirect_uri: str
    nonce: str | None
    code_challenge: str


def give_grant(
    unit: Unit, app: RegisteredApp, asked: AskedGrant, session: WebSession, *, code: str, offline_lifetime: timedelta
) -> AppGrant:
    """Sign the person of a session in to an application, which learns of it by a code.

    It is audited once for each session, application and kind of access, however often the application asks again.

    The grant ends with its session, unless the application may have offline access and asked for it. An emergency
    session gives none: it is to be over within the hour.

    Args:
        unit: The unit of the person's visit.
        app: Which application.
        asked: What it asked for.
        session: The session that the person is signed in by.
        code: 256 random bits or more, of which the hash is kept.
        offline_lifetime: How long a grant lives that outlives its session.
    """
    unit.lock()
    scope = [one for one in asked.scope.split() if one != OFFLINE_ACCESS or session.method != BREAK_GLASS]
    is_offline = OFFLINE_ACCESS in scope
    grant = AppGrant(
        org_id=unit.org_id,
        id=new_id(),
        app_id=app.id,
        member_id=session.member_id,
        session_id=session.id,
        scope=" ".join(scope),
        redirect_uri=asked.redirect_uri,
        nonce=asked.nonce,
        code_hash=credential_hash(code),
        code_challenge=asked.code_challenge,
        code_expires_at=unit.at + CODE_LIFETIME,
        code_used_at=None,
        auth_time=session.created_at,
        created_at=unit.at,
        expires_at=unit.at + offline_lifetime if is_offline else session.expires_at,
        is_offline=is_offline,
        ended_at=None,
        ended_by=None,
    )
    is_known = _was_given(unit, grant)
    unit.session.add(grant)
    unit.session.flush()
    if is_known:  # an application that asks again every minute would fill the chain with one sign-in
        return grant
    record(
        unit,
        "app.signed_in",
        subject_kind="member",
        subject_id=grant.member_id,
        reason="offline_access" if is_offline else "session",
        body={"app": str(app.id), "grant": str(grant.id), "session": str(session.id)},
        touches_seats=False,
    )
    return grant


def _was_given(unit: Unit, grant: AppGrant) -> bool:
    """Tell whether the person has signed in to the application by this session before, for as long."""
    same = select(AppGrant.id).where(
        AppGrant.org_id == unit.org_id,
        AppGrant.session_id == grant.session_id,
        AppGrant.app_id == grant.app_id,
        AppGrant.is_offline == grant.is_offline,
    )
    return unit.session.scalars(same.limit(1)).first() is not None


def open_code(unit: Unit, app: RegisteredApp, code: str) -> AppGrant | None:
    """Find the grant that a code tells of, if it may be used now; it is used up by :func:`use_code`.

    A code that was used before ends its grant, and with it every token that came of it (RFC 9700 §4.5).
    """
    unit.lock()
    grant = unit.session.scalars(
        select(AppGrant).where(
            AppGrant.org_id == unit.org_id, AppGrant.app_id == app.id, AppGrant.code_hash == credential_hash(code)
        )
    ).one_or_none()
    if grant is None:
        return None
    if grant.code_used_at is not None:
        _end_reused(unit, grant, "code_reused")
        return None
    return grant if grant.code_expires_at > unit.at and is_alive(unit, grant) else None


def use_code(unit: Unit, grant: AppGrant) -> None:
    """Use a code up: whoever brings it again ends the grant."""
    unit.lock()
    grant.code_used_at = unit.at


def open_refresh_token(unit: Unit, app: RegisteredApp, token: str) -> AppGrant | None:
    """Find the grant of a refresh token, if it may be used now; :func:`keep_refresh_token` uses it up.

    One that was used before ends its grant: the application, or somebody else, has a newer one.
    """
    unit.lock()
    found = _find_refresh_token(unit, token)
    if found is None:
        return None
    grant = unit.session.get_one(AppGrant, (unit.org_id, found.grant_id))
    if grant.app_id != app.id:
        return None
    if found.used_at is not None:
        _end_reused(unit, grant, "refresh_token_reused")
        return None
    return grant if is_alive(unit, grant) else None


def keep_refresh_token(unit: Unit, grant: AppGrant, token: str, *, used: str | None) -> None:
    """Keep the hash of a new refresh token, and use the one up that it takes the place of.

    Args:
        unit: The unit, which has the organization's lock.
        grant: What it is of.
        token: The new one, of 256 random bits.
        used: The one that was brought; None for the first of a grant.
    """
    unit.lock()
    before = None if used is None else _find_refresh_token(unit, used)
    if before is not None:
        before.used_at = unit.at
    unit.session.add(
        AppRefreshToken(
            org_id=unit.org_id,
            id=new_id(),
            grant_id=grant.id,
            token_hash=credential_hash(token),
            issued_at=unit.at,
            used_at=None,
        )
    )
    unit.session.flush()


def find_grant(unit: Unit, grant_id: uuid.UUID) -> AppGrant | None:
    """Return a grant that is alive; None for any other."""
    grant = unit.session.get(AppGrant, (unit.org_id, grant_id))
    return grant if grant is not None and is_alive(unit, grant) else None


def grant_of_refresh_token(unit: Unit, token: str) -> AppGrant | None:
    """Look at a refresh token without using it; None unless it could be used now."""
    found = _find_refresh_token(unit, token)
    return None if found is None or found.used_at is not None else find_grant(unit, found.grant_id)


def end_grant(unit: Unit, grant: AppGrant, *, by: str) -> None:
    """End what somebody has at an application: no token of it is worth anything any more."""
    unit.lock()
    if grant.ended_at is not None:
        return
    grant.ended_at, grant.ended_by = unit.at, by
    record(
        unit,
        "app.signed_out",
        subject_kind="member",
        subject_id=grant.member_id,
        reason=by,
        body={"app": str(grant.app_id), "grant": str(grant.id)},
        touches_seats=False,
    )


def end_grants_of_sessions(unit: Unit, which: ColumnElement[bool], *, reason: str) -> int:
    """End what people have at applications by certain sessions, whether these are over or not; return how many.

    Nobody is asked for a permission: the caller says who may.
    """
    unit.lock()
    unit.session.flush()
    sessions = select(WebSession.id).where(WebSession.org_id == unit.org_id, which)
    ended = unit.session.execute(
        update(AppGrant)
        .where(
            AppGrant.org_id == unit.org_id,
            AppGrant.session_id.in_(sessions),
            AppGrant.ended_at.is_(None),
            AppGrant.expires_at > unit.at,
        )
        .values(ended_at=unit.at, ended_by=reason)
        .returning(AppGrant.id, AppGrant.app_id, AppGrant.member_id)
        .execution_options(synchronize_session="fetch")
    ).all()
    entries = [
        Entry("app.signed_out", "member", member_id, reason, {"app": str(app_id), "grant": str(grant_id)})
        for grant_id, app_id, member_id in sorted(ended)
    ]
    record_many(unit, entries, touches_seats=False)
    return len(ended)


def is_alive(unit: Unit, grant: AppGrant) -> bool:
    """Tell whether tokens of a grant are worth anything: neither it nor the person's access has ended."""
    member = unit.session.get(Member, (unit.org_id, grant.member_id))
    return grant.ended_at is None and grant.expires_at > unit.at and member is not None and member.active


def _end_reused(unit: Unit, grant: AppGrant, reason: str) -> None:
    if grant.ended_at is None:
        end_grant(unit, grant, by=reason)
        raise_alert(unit, REUSED, member_id=MemberId(grant.member_id))


def _find_refresh_token(unit: Unit, token: str) -> AppRefreshToken | None:
    return unit.session.scalars(
        select(AppRefreshToken).where(
            AppRefreshToken.org_id == unit.org_id, AppRefreshToken.token_hash == credential_hash(token)
        )
    ).one_or_none()
