"""The line moves up: into what is free, and, where a directory freed it, only as far as the brake allows."""

from collections.abc import Collection, Iterable

from sqlalchemy import exists, select

from bridge.domain.brake import HeldEffect
from bridge.domain.identifiers import MemberId
from bridge.store.models import Member
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import Placement, promote_waiting, read_placement
from bridge.usecases.brake import hold_people, is_braked, lets_through
from bridge.usecases.settle_many import member_id_of, settle_many
from bridge.usecases.waiting_people import waiting_people
from mappings.allocation import Occasion
from mappings.people import Person, Pool
from mappings.preview import MovesPreview, moves_under_pool


def give_on(unit: Unit, freed: Collection[str | None]) -> None:
    """Give freed seats to who waits for them; who goes to another tier by it, because of a directory, is counted.

    If they are too many they stay as they are, under a hold, and only who has no seat moves up.

    Args:
        unit: The unit.
        freed: As for :func:`promote_waiting`.
    """
    if all(tier is None for tier in freed):
        return
    if is_braked(unit) and waits_seated(unit):
        _give_on_counted(unit, freed)
    else:
        promote_waiting(unit, freed)


def _give_on_counted(unit: Unit, freed: Collection[str | None]) -> None:
    placement, line = read_placement(unit), waiting_people(unit)
    effect = _promotions(unit, placement, line)
    moving = [member_id_of(move.member_id) for move in effect.moves if move.from_tier is not None]
    if lets_through(unit, len(moving)):
        promote_waiting(unit, freed)
        return
    hold_people(unit, moving, HeldEffect.PROMOTE)
    seatless = [person for person in line if person.holding.tier is None]
    settle_many(unit, _promotions(unit, placement, seatless), placement, Occasion.PROMOTION)


def offer_free(unit: Unit) -> None:
    """Offer what is free to the line, because somebody stands in it whom it has passed by under a hold."""
    give_on(unit, [pool.tier for pool in read_pools(unit)])


def promote_together(unit: Unit, placement: Placement) -> None:
    """Give free seats to who waits for them, as :func:`promote_waiting` does for a few."""
    settle_many(unit, _promotions(unit, placement, waiting_people(unit)), placement, Occasion.PROMOTION)


def waits_seated(unit: Unit, *, but: Collection[MemberId] = ()) -> bool:
    """Tell whether somebody in line, under no hold, holds a seat; only they can change tiers as the line moves."""
    unit.session.flush()
    seated = select(Member.id).where(
        Member.org_id == unit.org_id,
        Member.waiting_for.is_not(None),
        Member.tier.is_not(None),
        Member.active,
        Member.hold_id.is_(None),
        Member.id.not_in(but),
    )
    return bool(unit.session.scalar(select(exists(seated))))


def _promotions(unit: Unit, placement: Placement, line: Iterable[Person]) -> MovesPreview:
    return moves_under_pool(line, placement.mapping_set, placement.ladder, pools_of(unit), {})


def pools_of(unit: Unit) -> dict[str, Pool]:
    """Return the pools as the rules take them in."""
    return {pool.tier: Pool(pool.total, pool.used) for pool in read_pools(unit)}
