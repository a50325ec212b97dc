"""Links that sign one person in once: an owner's first visit, and the way back in when nothing else works."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import update

from bridge.domain.credentials import Credential, new_credential
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import Permission, Role
from bridge.errors import InvalidInputError, SignInRefusedError, SsoEnforcedError
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import Member, SignInLink
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.sessions import BREAK_GLASS, LINK

LINK_LIFETIME = timedelta(hours=24)
BREAK_GLASS_LIFETIME = timedelta(hours=1)
"""How long the link is good, and how long the session then lasts."""


@dataclass(frozen=True, slots=True)
class UsedLink:
    """Whom a link signed in, how the session is marked, and how long it lasts at most; None: as any other."""

    member: Member
    method: str
    lifetime: timedelta | None


def create_sign_in_link(unit: Unit, member_id: MemberId) -> Credential:
    """Make a link that signs one person in once, within a day: an owner's first visit.

    Raises:
        InvalidInputError: The person's access is off.
        SsoEnforcedError: People sign in through their identity provider only.
    """
    if unit.lock().sso_enforced_at is not None:
        raise SsoEnforcedError
    return _create(unit, _active(unit, member_id), LINK_LIFETIME, break_glass=False)


def create_break_glass_link(unit: Unit, member_id: MemberId) -> Credential:
    """Make a link that lets an owner in once, within an hour, also where single sign-on is enforced.

    The owners are told at once, whether it is used or not.

    Raises:
        ForbiddenError: The actor may not let owners in.
        InvalidInputError: It is no owner, or their access is off.
    """
    unit.require(Permission.ENFORCE_SSO)
    unit.lock()
    member = _active(unit, member_id)
    if not Role(member.role).is_owner:
        raise InvalidInputError("member", "is no owner: only owners are let back in by a link")
    _tell(unit, "break_glass_made", "The operator made an emergency sign-in link for an owner", member)
    return _create(unit, member, BREAK_GLASS_LIFETIME, break_glass=True)


def use_sign_in_link(unit: Unit, link_id: uuid.UUID) -> UsedLink:
    """Use up a sign-in link and return whom it signs in.

    Of two who use it at the same moment one wins: the update's row count decides.

    Raises:
        SignInRefusedError: The link is used or expired, the person's access is turned off, or single sign-on is
            enforced; an emergency link works then, for who is an owner still.
    """
    state = unit.lock()
    used = unit.session.execute(
        update(SignInLink)
        .where(
            SignInLink.org_id == unit.org_id,
            SignInLink.id == link_id,
            SignInLink.used_at.is_(None),
            SignInLink.expires_at > unit.at,
        )
        .values(used_at=unit.at)
        .returning(SignInLink.member_id, SignInLink.break_glass)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if used is None:
        raise SignInRefusedError("link_used", "The sign-in link was used before, or has expired")
    member = get_member(unit, MemberId(used.member_id))
    if not member.active:
        raise SignInRefusedError("deactivated", "The person's access is turned off")
    if used.break_glass and not Role(member.role).is_owner:
        raise SignInRefusedError("not_an_owner", "The emergency link is of somebody who is no owner any more")
    if state.sso_enforced_at is not None and not used.break_glass:
        raise SignInRefusedError(SsoEnforcedError.code, str(SsoEnforcedError()))
    method = BREAK_GLASS if used.break_glass else LINK
    record(
        unit,
        "sign_in_link.used",
        subject_kind="member",
        subject_id=member.id,
        reason=method,
        touches_seats=False,
    )
    if used.break_glass:
        _tell(unit, "break_glass_used", "An owner came in by an emergency sign-in link", member)
    return UsedLink(member, method, BREAK_GLASS_LIFETIME if used.break_glass else None)


def _active(unit: Unit, member_id: MemberId) -> Member:
    member = get_member(unit, member_id)
    if not member.active:
        raise InvalidInputError("member", "is deactivated")
    return member


def _tell(unit: Unit, code: str, sentence: str, member: Member) -> None:
    """Alert the owners, each time anew."""
    detail = f"{sentence}, on {unit.at:%-d %B %Y at %H:%M:%S} UTC"
    raise_alert(unit, code, member_id=member.id, detail=detail, told_apart=True)


def _create(unit: Unit, member: Member, lifetime: timedelta, *, break_glass: bool) -> Credential:
    credential = new_credential()
    unit.session.add(
        SignInLink(
            org_id=unit.org_id,
            id=new_id(),
            token_hash=credential.hash,
            member_id=member.id,
            created_at=unit.at,
            expires_at=unit.at + lifetime,
            used_at=None,
            break_glass=break_glass,
        )
    )
    unit.session.flush()
    record(
        unit,
        "sign_in_link.created",
        subject_kind="member",
        subject_id=member.id,
        reason=BREAK_GLASS if break_glass else "requested",
        touches_seats=False,
    )
    return credential
