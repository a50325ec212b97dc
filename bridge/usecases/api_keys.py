"""Keys of the programming interface: made, listed, revoked, and what one may do when it is used."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.credentials import API_KEY_PREFIX, Credential, new_credential
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import OWNERS, Permission, Role
from bridge.domain.scopes import Scope, permissions_of, read_scopes
from bridge.errors import ForbiddenError, InvalidInputError, NotFoundError, UnauthenticatedError
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import ApiKey, Member
from bridge.store.unit import Unit
from bridge.usecases.actors import name_actors

MOST_KEYS: Final = 50
LIFETIME: Final = timedelta(days=365)
LONGEST_LABEL: Final = 100
_ROLES: Final = (Role.OWNER, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class ApiKeyView:
    """A key as it is listed; ``state`` is live, expired or revoked."""

    id: uuid.UUID
    label: str
    prefix: str
    role: str
    scopes: tuple[str, ...]
    made_by: str
    member_id: MemberId | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class ApiKeyDraft:
    """A key to be made.

    Args:
        label: To recognise it by.
        scopes: What it is for.
        role: ``owner`` or ``admin``: what it may do at most.
        member_id: Whose it is: it never may more than they, and ends with their access. None: nobody's.
        lifetime: How long it lives, a year at most.
    """

    label: str
    scopes: Collection[str]
    role: str = Role.ADMIN
    member_id: MemberId | None = None
    lifetime: timedelta = LIFETIME


def create_api_key(unit: Unit, draft: ApiKeyDraft) -> tuple[ApiKey, Credential]:
    """Make a key; its text exists only in the answer.

    Raises:
        ForbiddenError: The actor may not change connections, or asks for an owner's key without being one.
        InvalidInputError: Label, scopes, role or lifetime are not possible, or there are too many keys.
        NotFoundError: There is no such person.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    scopes, role = read_scopes(draft.scopes), _checked_role(unit, draft)
    label = draft.label.strip()
    if not label or len(label) > LONGEST_LABEL or not label.isprintable():
        raise InvalidInputError("label", f"must be 1 to {LONGEST_LABEL} printable characters")
    if not timedelta(0) < draft.lifetime <= LIFETIME:
        raise InvalidInputError("lifetime", f"must be at least a day and at most {LIFETIME.days} days")
    if len(_live(unit)) >= MOST_KEYS:
        raise InvalidInputError("label", f"there are {MOST_KEYS} keys already: revoke one first")
    credential = new_credential(API_KEY_PREFIX)
    key = ApiKey(
        org_id=unit.org_id,
        id=new_id(),
        label=label,
        prefix=credential.prefix,
        key_hash=credential.hash,
        role=str(role),
        scopes=[str(scope) for scope in scopes],
        made_by=str(unit.actor),
        member_id=draft.member_id,
        created_at=unit.at,
        expires_at=unit.at + draft.lifetime,
        last_used_at=None,
        revoked_at=None,
    )
    unit.session.add(key)
    unit.session.flush()
    _record(unit, key, "api_key.created", {"role": key.role, "scopes": key.scopes})
    return key, credential


def list_api_keys(unit: Unit) -> list[ApiKeyView]:
    """Return the keys, oldest first, revoked and expired ones too.

    Raises:
        ForbiddenError: The actor may not change connections.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    keys = unit.session.scalars(
        select(ApiKey).where(ApiKey.org_id == unit.org_id).order_by(ApiKey.created_at, ApiKey.id)
    ).all()
    names = name_actors(unit, {key.made_by for key in keys})
    return [
        ApiKeyView(
            id=key.id,
            label=key.label,
            prefix=key.prefix,
            role=key.role,
            scopes=tuple(key.scopes),
            made_by=names[key.made_by],
            member_id=key.member_id,
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
            state="revoked" if key.revoked_at else "expired" if key.expires_at <= unit.at else "live",
        )
        for key in keys
    ]


def revoke_api_key(unit: Unit, wanted: str) -> ApiKey:
    """Revoke a key by its id or prefix: the next request with it is refused.

    Raises:
        ForbiddenError: The actor may not change connections, or revokes an owner's key without being one.
        NotFoundError: There is no live key of that name.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    key = next((one for one in _live(unit) if wanted in (str(one.id), one.prefix)), None)
    if key is None:
        raise NotFoundError("live API key", wanted)
    if key.role == Role.OWNER:
        _require_owner(unit, "revoking an owner's API key")
    key.revoked_at = unit.at
    _record(unit, key, "api_key.revoked", {})
    return key


def actor_of_key(unit: Unit, key_id: uuid.UUID) -> tuple[ApiKey, Actor]:
    """Return a key and who acts with it: never more than its person may at this instant, never beyond its scopes.

    Raises:
        UnauthenticatedError: It was revoked or has expired, or its person lost access or is no administrator any more.
    """
    key = unit.session.get(ApiKey, (unit.org_id, key_id), populate_existing=True)
    if key is None or key.revoked_at is not None or key.expires_at <= unit.at:
        raise UnauthenticatedError
    role = Role(key.role)
    if key.member_id is not None:
        now = unit.session.execute(
            select(Member.active, Member.role).where(Member.org_id == unit.org_id, Member.id == key.member_id)
        ).one_or_none()
        if now is None or not now.active or now.role == Role.MEMBER:
            raise UnauthenticatedError
        role = role if Role(now.role) in OWNERS else Role.ADMIN
    within = permissions_of([Scope(name) for name in key.scopes])
    return key, Actor(ActorKind.API_KEY, key.id, role, within)


def _checked_role(unit: Unit, draft: ApiKeyDraft) -> Role:
    if draft.role not in _ROLES:
        raise InvalidInputError("role", f"must be one of {', '.join(_ROLES)}")
    role = Role(draft.role)
    if role is Role.OWNER:
        _require_owner(unit, "making an owner's API key")
    if draft.member_id is not None:
        member = get_member(unit, draft.member_id)
        if not member.active or member.role == Role.MEMBER:
            raise InvalidInputError("member", f"{member.user_name} is no administrator who has access")
        if role is Role.OWNER and not Role(member.role).is_owner:
            raise InvalidInputError("role", f"{member.user_name} is no owner: the key may not more than they")
    return role


def _require_owner(unit: Unit, action: str) -> None:
    if not unit.actor.role.is_owner:
        raise ForbiddenError(action=action, role=unit.actor.role, allowed=OWNERS)


def _live(unit: Unit) -> Sequence[ApiKey]:
    return unit.session.scalars(
        select(ApiKey)
        .where(ApiKey.org_id == unit.org_id, ApiKey.revoked_at.is_(None), ApiKey.expires_at > unit.at)
        .order_by(ApiKey.created_at, ApiKey.id)
    ).all()


def _record(unit: Unit, key: ApiKey, action: str, body: dict[str, object]) -> None:
    record(unit, action, subject_kind="api_key", subject_id=key.id, reason="requested", body=body, touches_seats=False)
