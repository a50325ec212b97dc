"""Turning a person's access off and on again."""

from collections.abc import Collection, Sequence

from sqlalchemy import Uuid, any_, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.brake import HeldEffect, Outcome
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.store.journal import Entry, record, record_many
from bridge.store.models import Member, ScimToken
from bridge.store.teams import end_stays
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.assign_seats import Placement, free_seat, settle_seat
from bridge.usecases.brake import forget_limit, held_effect, is_braked, let_off
from bridge.usecases.sessions import end_sign_ins
from bridge.usecases.tier_review import review_tier
from mappings.allocation import Occasion


def deactivate_member(unit: Unit, member: Member, *, reason: str) -> str | None:
    """Turn access off: data and history stay, the seat is freed, sessions end at once (rules K1, C1).

    Teams are left too: who has no access is licensed no more (rule W3).

    An owner stays as they are and an alert is raised: the directory can never turn one off (T11).

    Returns:
        The freed tier, for ``promote_waiting``.
    """
    unit.lock()
    if not member.active:
        return None
    if Role(member.role).is_owner:
        raise_alert(unit, "owner_protected", member_id=member.id)
        return None
    member.active, member.said_off, member.provisional_until = False, False, None
    freed = free_seat(unit, member)
    end_access(unit, [member], reason=reason)
    return freed


def end_access(unit: Unit, members: Sequence[Member], *, reason: str) -> None:
    """End what people who were turned off still have besides the seat: teams, sessions, links, tokens, what is held."""
    ids = [member.id for member in members]
    end_stays(unit, members, reason=reason)
    end_sign_ins(unit, ids, reason=reason)
    revoke_tokens(unit, ids)
    record_many(unit, [Entry("member.deactivated", "member", member_id, reason) for member_id in ids])
    if not is_braked(unit):
        forget_limit(unit)
    held = [member.id for member in members if held_effect(unit, member) not in {None, HeldEffect.REMOVE}]
    if held:
        let_off(unit, held, Outcome.APPLIED if is_braked(unit) else Outcome.BY_HAND)


def revoke_tokens(unit: Unit, member_ids: Collection[MemberId]) -> None:
    """Revoke the tokens that belong to people, for good: access that comes back does not bring them back."""
    unit.session.execute(
        update(ScimToken)
        .where(
            ScimToken.org_id == unit.org_id,
            ScimToken.member_id == any_(literal(list(member_ids), ARRAY(Uuid))),
            ScimToken.revoked_at.is_(None),
        )
        .values(revoked_at=unit.at)
        .execution_options(synchronize_session=False)
    )


def reactivate_member(unit: Unit, member: Member, *, reason: str, placement: Placement | None = None) -> None:
    """Turn access on again: the person is placed as if newly added (rule K2)."""
    unit.lock()
    if member.active:
        return
    member.active, member.provisional_until = True, None
    record(unit, "member.reactivated", subject_kind="member", subject_id=member.id, reason=reason)
    settle_seat(unit, member, Occasion.ARRIVED, placement)
    review_tier(unit)


def owners_of(unit: Unit) -> list[Member]:
    """Return the active owners, who are told of alerts and invoices."""
    return list(
        unit.session.scalars(
            select(Member).where(
                Member.org_id == unit.org_id, Member.active, Member.role.in_([Role.OWNER, Role.PRIMARY_OWNER])
            )
        )
    )
