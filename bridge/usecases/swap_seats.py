"""Two members exchange what they hold: shown first, then done in one transaction, for nothing (rule S4)."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.errors import (
    InvalidChangeError,
    InvalidInputError,
    MemberInactiveError,
    PreviewStaleError,
    SameTierError,
)
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import Member
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import exchange_tiers
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview
from mappings.tiers import TierLadder

KIND = "swap"


@dataclass(frozen=True, slots=True)
class SwapSide:
    """One of the two: what they hold, what they get, and what they wait for until then; None for no seat, no wait.

    Afterwards neither waits: both are placed by hand (rule A6).
    """

    member_id: MemberId
    user_name: str
    name: str
    from_tier: str | None
    to_tier: str | None
    waiting_for: str | None


@dataclass(frozen=True, slots=True)
class SwapPreview:
    """What a swap would do, good until ``expires_at`` (excluded) or until something changes (rule Q3).

    It costs nothing: as many seats of each tier are assigned afterwards as before.
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    sides: tuple[SwapSide, SwapSide]
    cost: int = 0


def preview_swap(unit: Unit, first_id: MemberId, second_id: MemberId) -> SwapPreview:
    """Show what two members would hold after a swap. One of them may hold no seat, and wait for one.

    Raises:
        ForbiddenError: The actor may not assign seats (rule Z2).
        InvalidChangeError: The plan is not sold by seats.
        InvalidInputError: Both are the same person.
        MemberInactiveError: One of them is turned off.
        NotFoundError: There is no such member here.
        SameTierError: They hold the same, or both nothing.
    """
    unit.require(Permission.ASSIGN_SEATS)
    unit.lock()
    first, second = _two(unit, first_id, second_id)
    stored = store_preview(unit, KIND, {"members": [str(first.id), str(second.id)], "tiers": [first.tier, second.tier]})
    sides = (_side(first, second), _side(second, first))
    return SwapPreview(stored.id, stored.at, stored.expires_at, sides)


def confirm_swap(unit: Unit, preview_id: uuid.UUID) -> tuple[Member, Member]:
    """Swap as previewed: both seats change in this one transaction, or none does.

    A preview that was confirmed before answers the same and does nothing.

    Raises:
        ForbiddenError: The actor may not assign seats.
        MemberInactiveError: One of the two was turned off meanwhile.
        NotFoundError: There is no such preview here, or one of the two has left.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: One of the two holds something else by now.
    """
    unit.require(Permission.ASSIGN_SEATS)
    unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    first_id, second_id = (MemberId(uuid.UUID(text)) for text in stored.request["members"])
    if stored.confirmed_at is not None:
        return get_member(unit, first_id), get_member(unit, second_id)
    refuse_expired(unit, stored)
    if [get_member(unit, member_id).tier for member_id in (first_id, second_id)] != stored.request["tiers"]:
        raise PreviewStaleError
    first, second = _two(unit, first_id, second_id)
    record(
        unit,
        "seats.swapped",
        subject_kind="member",
        subject_id=first.id,
        reason="by_hand",
        body={"with": str(second.id), "gives": first.tier, "gets": second.tier},
    )
    exchange_tiers(unit, first, second)
    stored.confirmed_at = unit.at
    unit.session.flush()
    return first, second


def _two(unit: Unit, first_id: MemberId, second_id: MemberId) -> tuple[Member, Member]:
    """Return the two, in the order of the call; refuse who cannot be swapped."""
    ladder = ladder_of(read_pools(unit))
    if not len(ladder):
        raise InvalidChangeError("the plan is not sold by seats")
    if first_id == second_id:
        raise InvalidInputError("members", "are one and the same person: name two")
    first, second = get_member(unit, first_id), get_member(unit, second_id)
    for member in (first, second):
        if not member.active:
            raise MemberInactiveError(str(member.id))
    if first.tier == second.tier:
        raise SameTierError(_seat(ladder, first.tier))
    return first, second


def _seat(ladder: TierLadder, tier: str | None) -> str:
    return "no seat" if tier is None else ladder.name_of(tier)


def _side(member: Member, other: Member) -> SwapSide:
    return SwapSide(
        member_id=member.id,
        user_name=member.user_name,
        name=member.display_name,
        from_tier=member.tier,
        to_tier=other.tier,
        waiting_for=member.waiting_for,
    )
