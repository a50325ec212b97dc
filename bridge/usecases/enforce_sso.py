"""Enforced single sign-on: people sign in through their identity provider, and by nothing else."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select, true

from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.domain.mail_domains import spellings
from bridge.domain.roles import OWNERS, Permission, Role
from bridge.errors import InvalidChangeError, PreviewStaleError
from bridge.store.departed import departed_from
from bridge.store.directory import manual_connection
from bridge.store.journal import record
from bridge.store.models import Connection, Domain, Identity, Member, WebSession
from bridge.store.unit import Unit
from bridge.usecases.app_grants import end_grants_of_sessions
from bridge.usecases.find_sign_in import usable_connections
from bridge.usecases.sessions import LINK, end_those


class ShutOut(StrEnum):
    """Why somebody could not sign in through an identity provider."""

    OWNER_UNLINKED = "owner_unlinked"
    NO_CONNECTION = "no_connection"
    CONNECTION_OFF = "connection_off"

    @property
    def sentence(self) -> str:
        """What to do about it, without a full stop."""
        return _SENTENCES[self]


_SENTENCES = {
    ShutOut.OWNER_UNLINKED: "an owner whom no subject is linked to: `seatbridge connection link`",
    ShutOut.NO_CONNECTION: "their address is in no verified domain with a sign-in: `seatbridge domain add`",
    ShutOut.CONNECTION_OFF: "their connection signs nobody in: `seatbridge connection saml` or `oidc`",
}


@dataclass(frozen=True, slots=True)
class ShutOutPerson:
    """An active person who could not sign in any more."""

    member_id: MemberId
    user_name: str
    display_name: str
    role: Role
    reason: ShutOut


@dataclass(frozen=True, slots=True)
class EnforcementEffect:
    """What enforcing would do, or does since ``enforced_at``.

    Attributes:
        connections: Through which people sign in.
        shut_out: Who could not, owners first.
        sessions_by_link: Sessions that links opened, which end.
    """

    enforced_at: datetime | None
    connections: tuple[str, ...]
    shut_out: tuple[ShutOutPerson, ...]
    sessions_by_link: int


def preview_enforcement(unit: Unit) -> EnforcementEffect:
    """Tell what enforcing single sign-on does to whom; nothing changes.

    Raises:
        ForbiddenError: The actor may not enforce it.
    """
    unit.require(Permission.ENFORCE_SSO)
    usable = usable_connections(unit)
    live = select(func.count()).select_from(WebSession).where(*_live_by_link(unit))
    return EnforcementEffect(
        enforced_at=unit.state().sso_enforced_at,
        connections=tuple(one.name for one in usable),
        shut_out=_shut_out(unit, usable),
        sessions_by_link=unit.session.scalar(live) or 0,
    )


def enforce_sso(unit: Unit, *, shown: Collection[MemberId] | None = None) -> EnforcementEffect:
    """Let people sign in through their identity providers only, from now on.

    Sessions that links opened end, with what people were signed in to by them, also where that outlasts sessions.

    Args:
        unit: The unit.
        shown: Who was shown to be shut out; None enforces it whoever is.

    Raises:
        ForbiddenError: The actor may not enforce it.
        InvalidChangeError: No connection signs anybody in.
        PreviewStaleError: Other people would be shut out than were shown.
    """
    unit.require(Permission.ENFORCE_SSO)
    state = unit.lock()
    effect = preview_enforcement(unit)
    if not effect.connections:
        raise InvalidChangeError("no connection signs anybody in yet: connect an identity provider first")
    if shown is not None and {one.member_id for one in effect.shut_out} != set(shown):
        raise PreviewStaleError
    if state.sso_enforced_at is None:
        state.sso_enforced_at = unit.at
        end_those(unit, WebSession.method == LINK, reason="sso_enforced")
        end_grants_of_sessions(unit, WebSession.method == LINK, reason="sso_enforced")
        record(
            unit,
            "sso.enforced",
            subject_kind="organization",
            subject_id=unit.org_id,
            reason="requested",
            body={"shut_out": [str(one.member_id) for one in effect.shut_out], "sessions": effect.sessions_by_link},
            touches_seats=False,
        )
    return effect


def shut_out_without(unit: Unit, connection_id: ConnectionId) -> tuple[ShutOutPerson, ...]:
    """Return who could not sign in any more if a connection were turned off; nobody unless single sign-on is enforced.

    Raises:
        ForbiddenError: The actor may not change connections.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    if unit.state().sso_enforced_at is None:
        return ()
    usable = usable_connections(unit)
    already = {one.member_id for one in _shut_out(unit, usable)}
    rest = _shut_out(unit, [one for one in usable if one.id != connection_id])
    return tuple(one for one in rest if one.member_id not in already)


def relax_sso(unit: Unit) -> bool:
    """Let sign-in links work again; return whether they did not.

    Raises:
        ForbiddenError: The actor may not.
    """
    unit.require(Permission.ENFORCE_SSO)
    state = unit.lock()
    if state.sso_enforced_at is None:
        return False
    state.sso_enforced_at = None
    record(
        unit,
        "sso.relaxed",
        subject_kind="organization",
        subject_id=unit.org_id,
        reason="requested",
        touches_seats=False,
    )
    return True


def _live_by_link(unit: Unit) -> tuple[ColumnElement[bool], ...]:
    return (
        WebSession.org_id == unit.org_id,
        WebSession.method == LINK,
        WebSession.ended_at.is_(None),
        WebSession.expires_at > unit.at,
    )


def _shut_out(unit: Unit, usable: Collection[Connection]) -> tuple[ShutOutPerson, ...]:
    """Find who is neither linked to a subject of a provider in use nor would be recognised by one."""
    ids = [one.id for one in usable]
    believed = or_(
        *(
            and_(
                Identity.connection_id == one.id,
                Identity.protocol == one.protocol,
                Identity.issuer == one.issuer,
            )
            for one in usable
        ),
        false(),
    )
    is_linked = (
        select(Identity.member_id)
        .where(Identity.org_id == Member.org_id, Identity.member_id == Member.id, believed)
        .exists()
    )
    key = func.coalesce(Member.email_key, Member.user_name_key)
    domains = unit.session.scalars(
        select(Domain.name).where(
            Domain.org_id == unit.org_id,
            Domain.verified_at.is_not(None),
            or_(Domain.connection_id.in_(ids), and_(Domain.connection_id.is_(None), true() if ids else false())),
        )
    )
    in_domain = func.split_part(key, "@", 2).in_([each for name in domains for each in spellings(name)])
    is_owner = Member.role.in_(OWNERS)
    by_hand = Member.connection_id == manual_connection(unit).id
    # Whom a directory deleted while the brake held it is recognised by it still.
    theirs = [*ids, *(departed_from(one) for one in ids)]
    recognised = or_(Member.connection_id.in_(theirs), and_(by_hand, in_domain))
    reason = case(
        (is_owner, ShutOut.OWNER_UNLINKED.value),
        (by_hand, ShutOut.NO_CONNECTION.value),
        else_=ShutOut.CONNECTION_OFF.value,
    )
    found = unit.session.execute(
        select(Member.id, Member.user_name, Member.display_name, Member.role, reason)
        .where(Member.org_id == unit.org_id, Member.active, ~is_linked, or_(is_owner, ~recognised))
        .order_by(is_owner.desc(), Member.position)
    )
    return tuple(
        ShutOutPerson(member_id, user_name, display_name, Role(role), ShutOut(why))
        for member_id, user_name, display_name, role, why in found
    )
