"""One change for many people: another seat, no seat, or no access; shown first, then done in one transaction."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import select

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission, Role
from bridge.errors import InvalidInputError, NoSeatAvailableError, PreviewStaleError
from bridge.store.models import Member
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import place_member, promote_waiting
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview
from bridge.usecases.rehearsals import attempt
from mappings.tiers import UNASSIGNED, TierLadder

KIND: Final = "many"
MOST: Final = 100
#: The act that turns access off; every other is a tier, or ``unassigned``.
TURN_OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class OneOfMany:
    """What happens to one person; with a ``problem``, a sentence without a full stop, nothing does."""

    member_id: MemberId
    name: str
    from_tier: str | None
    to_tier: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ManyDone:
    """What a change of many people does: to those who were named, and to who waits and gets a freed seat."""

    people: tuple[OneOfMany, ...]
    promoted: tuple[OneOfMany, ...]

    @property
    def changed(self) -> int:
        """How many of those who were named are changed."""
        return sum(not one.problem for one in self.people)


@dataclass(frozen=True, slots=True)
class ManyPreview:
    """What a change of many people would do, good until ``expires_at`` or until something changes (rule Q3).

    It costs nothing: who would need a seat that is not free is left as they are.
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    ladder: TierLadder
    act: str
    done: ManyDone


def preview_many(unit: Unit, member_ids: Collection[MemberId], act: str) -> ManyPreview:
    """Show what a change would do to these people, by doing it and taking it back.

    Args:
        unit: The unit.
        member_ids: Whom, at most :data:`MOST`; who has left meanwhile is passed over.
        act: A tier, ``unassigned``, or :data:`TURN_OFF`.

    Raises:
        ForbiddenError: The actor may not assign seats, or not manage people.
        InvalidInputError: Nobody is named, too many are, or there is no such act.
    """
    unit.require(Permission.MANAGE_PEOPLE if act == TURN_OFF else Permission.ASSIGN_SEATS)
    if not 1 <= len(member_ids) <= MOST:
        raise InvalidInputError("member", f"must be 1 to {MOST} people: tick those who are meant")
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    if act not in {TURN_OFF, UNASSIGNED} and act not in ladder:
        raise InvalidInputError("act", "is none that can be done: choose one from the list")
    done, _ = attempt(unit, lambda: _change(unit, member_ids, act, ladder), lambda _: False)
    request = {"members": [str(one) for one in member_ids], "act": act}
    stored = store_preview(unit, KIND, request)
    return ManyPreview(stored.id, stored.at, stored.expires_at, ladder, act, done)


def confirm_many(unit: Unit, preview_id: uuid.UUID) -> ManyDone | None:
    """Do what was shown, once; None when that was done before.

    Raises:
        ForbiddenError: The actor may not assign seats, or not manage people.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: Seats, people or rules changed since it was made.
    """
    state = unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    act = stored.request["act"]
    unit.require(Permission.MANAGE_PEOPLE if act == TURN_OFF else Permission.ASSIGN_SEATS)
    if stored.confirmed_at is not None:
        return None
    refuse_expired(unit, stored)
    if stored.seat_version != state.seat_version:
        raise PreviewStaleError
    ids = [MemberId(uuid.UUID(text)) for text in stored.request["members"]]
    done = _change(unit, ids, act, ladder_of(read_pools(unit)))
    stored.confirmed_at = unit.at
    return done


def _change(unit: Unit, member_ids: Collection[MemberId], act: str, ladder: TierLadder) -> ManyDone:
    """Change everybody in the order of arrival; seats that become free go to the line when all are done."""
    found: list[tuple[Member, OneOfMany]] = []
    freed: list[str | None] = []
    for member in _members(unit, member_ids):
        before = OneOfMany(member.id, member.display_name, member.tier, member.tier)
        try:
            problem = _refusal(member, act)
            if not problem and act == TURN_OFF:
                freed.append(deactivate_member(unit, member, reason="by_hand"))
            elif not problem:
                target = None if act == UNASSIGNED else act
                freed.append(place_member(unit, member, target, buy_if_needed=False, key=None))
        except NoSeatAvailableError:
            problem = f"no {ladder.name_of(act)} seat is free"
        found.append((member, replace(before, problem=problem)))
    waited = {one.id: (one.display_name, one.tier) for one in _waiting(unit)}
    promoted = promote_waiting(unit, freed)
    after = {one.id: one.tier for one in _members(unit, promoted)}
    return ManyDone(
        people=tuple(replace(one, to_tier=member.tier) for member, one in found),
        promoted=tuple(OneOfMany(one, waited[one][0], waited[one][1], after[one]) for one in promoted if one in waited),
    )


def _refusal(member: Member, act: str) -> str:
    """Say why somebody cannot be changed so; "" when they can."""
    if not member.active:
        return "access is turned off already" if act == TURN_OFF else "access is turned off"
    if act == TURN_OFF and Role(member.role).is_owner:
        return "an owner’s access cannot be turned off"
    return ""


def _members(unit: Unit, ids: Collection[MemberId]) -> Sequence[Member]:
    return unit.session.scalars(
        select(Member).where(Member.org_id == unit.org_id, Member.id.in_(ids)).order_by(Member.position)
    ).all()


def _waiting(unit: Unit) -> Sequence[Member]:
    unit.session.flush()
    return unit.session.scalars(
        select(Member).where(Member.org_id == unit.org_id, Member.active, Member.waiting_for.is_not(None))
    ).all()
