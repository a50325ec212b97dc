"""What an admin does to one person from the console: access, sessions, and a seat with its price shown first."""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from bridge.core.quotes import kept, restored, seat_quote
from bridge.domain.identifiers import MemberId
from bridge.domain.plan_kinds import EVALUATION
from bridge.domain.roles import Permission, Role
from bridge.errors import (
    AcknowledgementMissingError,
    InvalidInputError,
    OwnerProtectedError,
    PreviewStaleError,
)
from bridge.ports import SeatChange, SeatQuote
from bridge.store.directory import get_member, mapping_set_in_force
from bridge.store.models import Contract, Member, Preview
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import assign_tier, promote_waiting
from bridge.usecases.billing_orders import place_order
from bridge.usecases.manage_access import deactivate_member, reactivate_member
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview
from bridge.usecases.provision_member import PersonDraft
from bridge.usecases.waiting_people import waiting_people
from mappings.people import Pool
from mappings.preview import moves_under_pool
from mappings.tiers import UNASSIGNED, TierLadder

KIND = "seat"


def draft_by_hand(user_name: str, name: str | None) -> PersonDraft:
    """Return what is known of somebody who is added by name; a userName that is a mail address is theirs."""
    document: dict[str, object] = {"displayName": name or user_name}
    if "@" in user_name:
        document["emails"] = [{"value": user_name, "primary": True}]
    return PersonDraft(user_name, document=document)


@dataclass(frozen=True, slots=True)
class SeatPreview:
    """What placing one person by hand would do.

    Attributes:
        to_tier: The wished tier; None for no seat.
        free: Whether a seat of it is free, so that nothing has to be bought (rule S5).
        quote: What the seat costs; None when one is free, or for who may not see prices.
        in_evaluation: No seat is bought at all: the operator sets them (rule B2).
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    member: Member
    ladder: TierLadder
    to_tier: str | None
    free: bool
    quote: SeatQuote | None
    in_evaluation: bool


def preview_seat(unit: Unit, member_id: MemberId, tier: str) -> SeatPreview:
    """Show what placing a person by hand would do, and what it costs when no seat of the tier is free (rule S5).

    Args:
        unit: The unit.
        member_id: Whom.
        tier: A tier, or ``unassigned``.

    Raises:
        ForbiddenError: The actor may not assign seats.
        InvalidInputError: There is no such tier, the person has it already, or is deactivated.
        NotFoundError: There is no such member here.
    """
    unit.require(Permission.ASSIGN_SEATS)
    if not unit.billing.sells_at_once:
        _ask_core(unit, member_id, tier)
    unit.lock()
    member = get_member(unit, member_id)
    ladder = ladder_of(read_pools(unit))
    target = None if tier == UNASSIGNED else tier
    if target is not None and target not in ladder:
        raise InvalidInputError("tier", f"there is no tier {tier!r}")
    if not member.active:
        raise InvalidInputError("member", "is deactivated: activate the person before giving a seat")
    if target == member.tier and member.pinned:
        raise InvalidInputError("tier", f"{member.display_name} has {ladder.name_of(target)} by hand already")
    pool = next((pool for pool in read_pools(unit) if pool.tier == target), None)
    free = target in {None, member.tier} or (pool is not None and pool.used < pool.total)
    tried = unit.session.get_one(Contract, unit.org_id).kind == EVALUATION
    quote = None
    if not free and not tried and target is not None and unit.actor.may(Permission.MANAGE_BILLING):
        quote = _quote(unit, member, target)
    pinned = quote.pinned if quote is not None else None
    stored = store_preview(
        unit,
        KIND,
        {
            "member": str(member.id),
            "tier": tier,
            "upgrade_from": member.tier,
            "pinned": kept(pinned),
        },
        pinned=pinned,
    )
    return SeatPreview(stored.id, stored.at, stored.expires_at, member, ladder, target, free, quote, tried)


def _ask_core(unit: Unit, member_id: MemberId, tier: str) -> None:
    """Ask what a seat costs that is not free, before the organization is locked, where another core bills it."""
    member = get_member(unit, member_id)
    pool = next((pool for pool in read_pools(unit) if pool.tier == tier), None)
    bought = pool is not None and pool.tier != member.tier and pool.used >= pool.total
    if bought and member.active and unit.actor.may(Permission.MANAGE_BILLING):
        unit.billing.prepare(SeatChange({tier: 1}, at=unit.at, upgrade_from=member.tier))


def _quote(unit: Unit, member: Member, target: str) -> SeatQuote:
    """Quote a seat as :func:`assign_tier` buys it; the renewal is as of when everybody has been placed (rule R7).

    Another core decides itself whether it is an exchange, and what it forecasts.
    """
    exchange = unit.billing.quote(SeatChange({target: 1}, at=unit.at, upgrade_from=member.tier))
    if exchange.pinned is not None:
        return exchange
    if member.tier is not None and exchange.seats[member.tier].paid < _paid(unit, member.tier):
        return exchange
    placed = _placed(unit, member, target)
    return unit.billing.quote(SeatChange({target: 1}, at=unit.at, placed=placed))


def _paid(unit: Unit, tier: str) -> int:
    return next(pool.paid for pool in read_pools(unit) if pool.tier == tier)


def _placed(unit: Unit, member: Member, target: str) -> dict[str, int]:
    """Count how many more or fewer people hold each tier once the person has moved and the line has followed."""
    placed = Counter({target: 1})
    if member.tier is None:
        return dict(placed)
    placed[member.tier] -= 1
    pools = read_pools(unit)
    counts = {pool.tier: Pool(seats=pool.total, used=pool.used - (pool.tier == member.tier)) for pool in pools}
    others = [person for person in waiting_people(unit) if person.member_id != member.id]
    ladder = ladder_of(pools)
    for move in moves_under_pool(others, mapping_set_in_force(unit, ladder), ladder, counts, {}).moves:
        if move.to_tier is not None:
            placed[move.to_tier] += 1
        if move.from_tier is not None:
            placed[move.from_tier] -= 1
    return dict(placed)


def confirm_seat(unit: Unit, preview_id: uuid.UUID, *, acknowledged: bool) -> Member:
    """Place the person as previewed; a seat that is not free is bought at the price that was shown (rule Q2).

    Where a core of the organization's own bills, the seat is ordered: the person gets it when the core has confirmed.

    Raises:
        AcknowledgementMissingError: A seat would be bought, and the tick is missing (rule Q1).
        ForbiddenError: The actor may not assign seats, or not buy.
        NoSeatAvailableError: None is free, and the actor was shown no price.
        NotFoundError: There is no such preview here.
        PaymentFailedError: The payment was declined; the unit must roll back.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: Seats or people changed since it was made.
    """
    unit.require(Permission.ASSIGN_SEATS)
    state = unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    member_id = MemberId(uuid.UUID(stored.request["member"]))
    if stored.confirmed_at is not None:
        return get_member(unit, member_id)
    refuse_expired(unit, stored)
    if stored.seat_version != state.seat_version:
        raise PreviewStaleError
    tier = stored.request["tier"]
    member = get_member(unit, member_id)
    pool = next((pool for pool in read_pools(unit) if pool.tier == tier), None)
    buys = pool is not None and pool.tier != member.tier and pool.used >= pool.total
    if buys and unit.actor.may(Permission.MANAGE_BILLING) and not acknowledged:
        raise AcknowledgementMissingError
    if buys and acknowledged and stored.request["pinned"] is not None:
        _order_seat(unit, stored, member_id, tier)
    else:
        member = assign_tier(
            unit, member_id, tier, buy_if_needed=buys and acknowledged, key=f"seat:{stored.id}", priced_at=stored.at
        )
    stored.confirmed_at = unit.at
    return member


def _order_seat(unit: Unit, stored: Preview, member_id: MemberId, tier: str) -> None:
    change = SeatChange({tier: 1}, at=stored.at, upgrade_from=stored.request["upgrade_from"])
    quote = seat_quote(change, restored(stored.request["pinned"]))
    place_order(unit, quote, key=f"seat:{stored.id}", member_id=member_id, tier=tier)


def turn_off_member(unit: Unit, member_id: MemberId) -> Member:
    """Turn a person's access off by hand; the seat goes to the next in line (rules K1, Z3).

    Raises:
        ForbiddenError: The actor may not manage people.
        NotFoundError: There is no such member here.
        OwnerProtectedError: The person is an owner.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    member = get_member(unit, member_id)
    if Role(member.role).is_owner:
        raise OwnerProtectedError(member.user_name)
    promote_waiting(unit, [deactivate_member(unit, member, reason="by_hand")])
    return member


def turn_on_member(unit: Unit, member_id: MemberId) -> Member:
    """Turn a person's access on again; the person is placed as if newly added (rule K2).

    Raises:
        ForbiddenError: The actor may not manage people.
        NotFoundError: There is no such member here.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    member = get_member(unit, member_id)
    reactivate_member(unit, member, reason="by_hand")
    return member
