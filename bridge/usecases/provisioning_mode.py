"""The provisioning mode: what it is, whom a switch touches, and the switch (rule A9).

Nobody is moved, turned off or removed by a switch. What changes is whose word counts from then on: that of a directory,
that of a sign-in, or that of administrators alone.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sqlalchemy import or_, select

from bridge.domain.identifiers import MemberId
from bridge.domain.provisioning import ProvisioningMode, read_mode
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, PreviewStaleError, PushesRefusedError
from bridge.store.journal import record
from bridge.store.models import Connection, Member, ScimClient, ScimToken
from bridge.store.unit import Unit
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview

KIND: Final = "provisioning_mode"
#: How many people are named of each kind that a switch touches; all of them are counted.
NAMED: Final = 100
_SIGNED_IN, _PUSHED, _BY_HAND = "jit", "scim", "manual"


class Effect(StrEnum):
    """What a switch means for somebody."""

    RELEASED = "released"
    TAKEN_UP = "taken_up"
    ADOPTABLE = "adoptable"
    UNFOLLOWED = "unfollowed"
    FOLLOWED = "followed"


#: What each effect means for people, to stand behind their number and a colon, without a full stop.
SENTENCES: Mapping[Effect, str] = MappingProxyType(
    {
        Effect.RELEASED: "no directory changes or removes them any more; seats and access stay, and administrators "
        "change them by hand",
        Effect.TAKEN_UP: "the directory that pushed them before changes and removes them again, from its next push",
        Effect.ADOPTABLE: "a directory takes them over when it pushes them, with the seat they have; whom somebody "
        "added by hand, inside a verified domain only",
        Effect.UNFOLLOWED: "they sign in as before, but claims no longer change their names, groups, roles or seats",
        Effect.FOLLOWED: "claims change their names, groups, roles and seats again, from their next sign-in",
    }
)
_SOURCES: Mapping[Effect, tuple[str, ...]] = MappingProxyType(
    {
        Effect.RELEASED: (_PUSHED,),
        Effect.TAKEN_UP: (_PUSHED,),
        Effect.ADOPTABLE: (_SIGNED_IN, _BY_HAND),
        Effect.UNFOLLOWED: (_SIGNED_IN,),
        Effect.FOLLOWED: (_SIGNED_IN,),
    }
)


@dataclass(frozen=True, slots=True)
class TouchedPerson:
    """Somebody whom a switch touches."""

    id: MemberId
    user_name: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Touched:
    """People for whom a switch means the same; the first :data:`NAMED` by arrival are named, all are counted."""

    effect: Effect
    sentence: str
    number: int
    people: tuple[TouchedPerson, ...]


@dataclass(frozen=True, slots=True)
class ModeConnection:
    """A connection as the mode matters to it.

    Attributes:
        pushes: Whether it has a token that writes, so that its directory can push.
        adds_at_sign_in: Whether the connection itself lets a sign-in add people, where the mode does.
    """

    name: str
    pushes: bool
    adds_at_sign_in: bool


@dataclass(frozen=True, slots=True)
class Provisioning:
    """The mode in force, with what it meets: mappings or none, and the connections that are not disabled."""

    mode: ProvisioningMode
    with_mappings: bool
    connections: tuple[ModeConnection, ...]


@dataclass(frozen=True, slots=True)
class ModePreview:
    """What a switch would mean, and for whom; it can be confirmed until ``expires_at``.

    Attributes:
        connections: Names of the connections whose pushes would be refused, or taken again.
    """

    id: uuid.UUID
    before: ProvisioningMode
    after: ProvisioningMode
    touched: tuple[Touched, ...]
    connections: tuple[str, ...]
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SwitchedMode:
    """A switch that was made."""

    before: ProvisioningMode
    after: ProvisioningMode


def mode_of(unit: Unit) -> ProvisioningMode:
    """Return the mode in force."""
    return ProvisioningMode(unit.state().provisioning_mode)


def refuse_pushes(unit: Unit) -> None:
    """Refuse what a directory writes, where the mode takes no pushes.

    Raises:
        PushesRefusedError: It takes none.
    """
    mode = mode_of(unit)
    if not mode.takes_pushes:
        raise PushesRefusedError(str(mode))


def read_provisioning(unit: Unit) -> Provisioning:
    """Read the mode in force and what it meets."""
    return Provisioning(mode_of(unit), unit.state().mapping_version > 0, _connections(unit))


def preview_mode(unit: Unit, wanted: str) -> ModePreview:
    """Say whom a switch to a mode would touch, and keep it for :func:`switch_mode`; nothing is switched yet.

    Raises:
        ForbiddenError: The actor may not switch the mode.
        InvalidInputError: There is no such mode, or it is in force.
    """
    unit.require(Permission.SWITCH_PROVISIONING)
    unit.lock()
    before, after = mode_of(unit), read_mode(wanted)
    if before is after:
        raise InvalidInputError("mode", f"{str(after)!r} is in force already")
    touched, seen = _touched(unit, before, after)
    stored = store_preview(unit, KIND, {"before": str(before), "after": str(after), "seen": seen})
    turns = before.takes_pushes is not after.takes_pushes
    return ModePreview(
        id=stored.id,
        before=before,
        after=after,
        touched=touched,
        connections=tuple(one.name for one in _connections(unit) if turns and one.pushes),
        at=stored.at,
        expires_at=stored.expires_at,
    )


def switch_mode(unit: Unit, preview_id: uuid.UUID) -> SwitchedMode:
    """Switch to the mode that a preview showed; one that was confirmed before answers the same and does nothing.

    Raises:
        ForbiddenError: The actor may not switch the mode.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: The mode is another by now, or it would touch other people.
    """
    unit.require(Permission.SWITCH_PROVISIONING)
    state = unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    before, after = ProvisioningMode(stored.request["before"]), ProvisioningMode(stored.request["after"])
    if stored.confirmed_at is not None:
        return SwitchedMode(before, after)
    refuse_expired(unit, stored)
    if mode_of(unit) is not before:
        raise PreviewStaleError
    touched, seen = _touched(unit, before, after)
    if seen != stored.request["seen"]:
        raise PreviewStaleError
    state.provisioning_mode = str(after)
    # Requests that were read under the other mode are read again: no process goes on by what it remembers.
    state.schema_version += 1
    stored.confirmed_at = unit.at
    unit.session.flush()
    record(
        unit,
        "provisioning.switched",
        subject_kind="organization",
        subject_id=unit.org_id,
        reason="by_hand",
        body={
            "mode": [str(before), str(after)],
            "touched": {str(one.effect): one.number for one in touched},
            "preview": str(stored.id),
        },
        touches_seats=False,
    )
    return SwitchedMode(before, after)


def _effects(before: ProvisioningMode, after: ProvisioningMode) -> Sequence[Effect]:
    effects: list[Effect] = []
    if before.takes_pushes is not after.takes_pushes:
        effects += (Effect.TAKEN_UP, Effect.ADOPTABLE) if after.takes_pushes else (Effect.RELEASED,)
    if before.follows_sign_ins is not after.follows_sign_ins:
        effects.append(Effect.FOLLOWED if after.follows_sign_ins else Effect.UNFOLLOWED)
    return effects


def _touched(
    unit: Unit, before: ProvisioningMode, after: ProvisioningMode
) -> tuple[tuple[Touched, ...], dict[str, str]]:
    """Return whom a switch touches, and a digest of them by effect.

    Whom a directory has deleted while an owner has yet to decide about it is touched by nothing but that decision.
    """
    groups, seen = [], {}
    for effect in _effects(before, after):
        rows = unit.session.execute(
            select(Member.id, Member.user_name, Member.display_name)
            .join(Connection, (Connection.org_id == Member.org_id) & (Connection.id == Member.connection_id))
            .where(Member.org_id == unit.org_id, Connection.kind != "departed", Member.source.in_(_SOURCES[effect]))
            .order_by(Member.position)
        ).all()
        if rows:
            people = tuple(TouchedPerson(*row) for row in rows[:NAMED])
            groups.append(Touched(effect, SENTENCES[effect], len(rows), people))
            seen[str(effect)] = hashlib.sha256(b"".join(row.id.bytes for row in rows)).hexdigest()
    return tuple(groups), seen


def _connections(unit: Unit) -> tuple[ModeConnection, ...]:
    writing = (
        select(ScimToken.id)
        .where(
            ScimToken.org_id == Connection.org_id,
            ScimToken.connection_id == Connection.id,
            ScimToken.can_write,
            ScimToken.revoked_at.is_(None),
            ScimToken.expires_at > unit.at,
        )
        .exists()
    )
    fetching = (
        select(ScimClient.id)
        .where(
            ScimClient.org_id == Connection.org_id,
            ScimClient.connection_id == Connection.id,
            ScimClient.can_write,
            ScimClient.revoked_at.is_(None),
        )
        .exists()
    )
    rows = unit.session.execute(
        select(Connection.name, or_(writing, fetching), Connection.jit_enabled)
        .where(Connection.org_id == unit.org_id, Connection.kind == "idp", Connection.disabled_at.is_(None))
        .order_by(Connection.created_at, Connection.name)
    )
    return tuple(ModeConnection(*row) for row in rows)
