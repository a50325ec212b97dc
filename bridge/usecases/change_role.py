"""Giving a person another role by hand: owners only, and there is always an owner left."""

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission, Role
from bridge.errors import InvalidInputError
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import Member
from bridge.store.unit import Unit
from bridge.usecases.manage_access import owners_of
from bridge.usecases.sessions import ROLE_LOST, end_sessions

#: The highest first.
GIVEN_BY_HAND = (Role.OWNER, Role.ADMIN, Role.MEMBER)


def change_role(unit: Unit, member_id: MemberId, role: str) -> Member:
    """Make somebody owner, admin or member.

    A mapping that gives another role still decides when it is next looked at, except about owners (T10, T11); the role
    that a mapping gave already stays by hand from then on when the mapping no longer gives it. A lower role ends the
    person's sessions (T18). The primary owner counts as owner; they step down only by their own hand, and only while
    another active owner stays.

    Args:
        unit: The unit.
        member_id: Whom.
        role: One of :data:`GIVEN_BY_HAND`.

    Raises:
        ForbiddenError: The actor is no owner.
        InvalidInputError: There is no such role to give, nobody would be owner any more, the primary owner would lose
            the role by another's hand, or an owner would be somebody whose access is turned off.
        NotFoundError: There is no such member here.
    """
    unit.require(Permission.CHANGE_ROLES)
    unit.lock()
    member = get_member(unit, member_id)
    if role not in GIVEN_BY_HAND:
        raise InvalidInputError("role", f"must be one of {', '.join(GIVEN_BY_HAND)}")
    before, after = Role(member.role), Role(role)
    if before.is_owner and after.is_owner:
        return member
    if before is after and not member.role_from_mapping:
        return member
    if after.is_owner and not member.active:
        raise InvalidInputError("role", "an owner must have access: turn it on first")
    if before.is_owner and not any(owner.id != member.id for owner in owners_of(unit)):
        raise InvalidInputError("role", "this is the last owner: make somebody else an owner first")
    if before is Role.PRIMARY_OWNER and unit.actor.id != member.id:
        raise InvalidInputError("role", "the primary owner steps down by their own hand only")
    member.role, member.role_from_mapping = str(after), False
    if GIVEN_BY_HAND.index(after) > GIVEN_BY_HAND.index(Role.OWNER if before.is_owner else before):
        end_sessions(unit, [member.id], reason=ROLE_LOST)
    member.modified_at = unit.at
    record(
        unit,
        "member.role_changed",
        subject_kind="member",
        subject_id=member.id,
        reason="by_hand",
        body={"from": str(before), "to": str(after)},
    )
    return member
