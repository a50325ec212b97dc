"""Removing everybody without an active team in one action, their names first (rules W6 and Z3)."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import OWNERS, Permission
from bridge.errors import PreviewStaleError
from bridge.store.journal import record
from bridge.store.models import Member
from bridge.store.teams import in_active_team
from bridge.store.unit import Unit
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview
from bridge.usecases.provision_member import remove_member
from bridge.usecases.workspace_teams import require_licences

KIND = "remove_inactive"


@dataclass(frozen=True, slots=True)
class InactiveMember:
    """Somebody who would be removed."""

    id: MemberId
    user_name: str
    display_name: str


@dataclass(frozen=True, slots=True)
class InactivePreview:
    """Who would be removed, in the order in which they came; the preview can be confirmed until ``expires_at``."""

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    members: tuple[InactiveMember, ...]


def preview_remove_inactive(unit: Unit) -> InactivePreview:
    """Say who has access and is in no team that counts: nobody is removed yet.

    Owners and whoever acts are spared; who is turned off has no access to lose.

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: The plan has no teams.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    require_licences(unit)
    found = _inactive(unit)
    stored = store_preview(unit, KIND, {"members": [str(member.id) for member in found]})
    members = tuple(InactiveMember(member.id, member.user_name, member.display_name) for member in found)
    return InactivePreview(stored.id, stored.at, stored.expires_at, members)


def confirm_remove_inactive(unit: Unit, preview_id: uuid.UUID) -> tuple[MemberId, ...]:
    """Remove exactly those whom the preview named; their access, sessions and tokens end at once.

    A preview that was confirmed before answers the same and removes nobody.

    Returns:
        Who was removed.

    Raises:
        ForbiddenError: The actor may not manage people.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: By now it would be other people.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    shown = tuple(MemberId(uuid.UUID(member_id)) for member_id in stored.request["members"])
    if stored.confirmed_at is not None:
        return shown
    refuse_expired(unit, stored)
    found = _inactive(unit)
    if tuple(member.id for member in found) != shown:
        raise PreviewStaleError
    for member in found:
        remove_member(unit, member, reason="no_active_team")
    record(
        unit,
        "members.inactive_removed",
        subject_kind="organization",
        subject_id=unit.org_id,
        reason="by_hand",
        body={"members": len(found), "preview": str(stored.id)},
    )
    stored.confirmed_at = unit.at
    unit.session.flush()
    return shown


def _inactive(unit: Unit) -> list[Member]:
    return list(
        unit.session.scalars(
            select(Member)
            .where(
                Member.org_id == unit.org_id,
                Member.active,
                Member.role.not_in(OWNERS),
                Member.id.is_distinct_from(unit.actor.id),
                ~in_active_team(),
            )
            .order_by(Member.position)
            .execution_options(populate_existing=True)
        )
    )
