"""Looking at people again whose groups changed: exactly these, and only where a rule may speak of the change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.brake import HeldEffect, Outcome, is_loss
from bridge.domain.identifiers import GroupId, MemberId
from bridge.store.models import Member
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import Placement, promote_waiting, read_placement, settle_seat
from bridge.usecases.brake import held_for, hold_people, is_braked, let_off, lets_through
from bridge.usecases.person_classes import TouchedPerson, touched_people
from bridge.usecases.settle_many import access_changes, member_id_of, settle_many
from bridge.usecases.waiting_people import waiting_people
from mappings.allocation import Occasion
from mappings.people import Pool
from mappings.preview import MovesPreview, moves_under_pool, moves_under_regrouping

#: Up to so many people are settled one after the other, which is quicker for few.
FEW = 5


def speaks_of(unit: Unit, groups: Collection[GroupId]) -> bool:
    """Tell whether a rule in force speaks of one of these groups.

    Where none does, coming into them or leaving them changes nobody's seat, and nobody has to be looked at.
    """
    if not groups or unit.lock().mapping_version == 0:
        return False
    return not read_placement(unit).mapping_set.groups.isdisjoint(map(str, groups))


@dataclass(frozen=True, slots=True)
class _Look:
    """People as they are, and what settling them together would do."""

    touched: Sequence[TouchedPerson]
    effect: MovesPreview

    @property
    def ids(self) -> list[MemberId]:
        return [one.member_id for one in self.touched]


def reevaluate(unit: Unit, member_ids: Collection[MemberId]) -> None:
    """Settle the seats of people whose groups changed, in order of their ids, then serve who waits (rule A8).

    What a directory causes asks the brake first: too many losses are held, and those people stay as they are.
    """
    if not member_ids:
        return
    placement = read_placement(unit)
    look = _ask_brake(unit, member_ids, placement) if is_braked(unit) else None
    remaining = member_ids if look is None else look.ids
    if len(remaining) <= FEW:
        settle_each(unit, remaining, placement)
    else:
        settle_together(unit, remaining, placement, look=look)


def settle_regrouped(unit: Unit, member: Member) -> str | None:
    """Settle the seat of one person whose groups or attributes may have changed; ask the brake first.

    Returns:
        The freed tier, for ``promote_waiting``.
    """
    placement = read_placement(unit)
    if is_braked(unit) and placement.mapping_set.version:
        if not _ask_brake(unit, [member.id], placement).touched:
            return None
    elif member.hold_id is not None:
        return None
    return settle_seat(unit, member, Occasion.REGROUPED, placement)


def _ask_brake(unit: Unit, member_ids: Collection[MemberId], placement: Placement) -> _Look:
    """Hold those who would lose something, if they are too many; return whom to settle now.

    Who is under a hold stays under it, unless what was held for them would no longer happen.
    """
    unit.session.flush()
    look = _look(unit, touched_people(unit, member_ids, placement.mapping_set), placement)
    losing = _losing(look, placement)
    held = {one.member_id for one in look.touched if one.is_held}
    back: set[MemberId] = set()
    if held:
        back = held_for(unit, held, HeldEffect.RESEAT) - losing
        if back:
            let_off(unit, back, Outcome.REVERSED)
    new = losing - held
    stopped = held - back
    if not lets_through(unit, len(new)):
        hold_people(unit, new, HeldEffect.RESEAT)
        stopped |= new
    if not stopped:
        return look
    return _look(unit, [one for one in look.touched if one.member_id not in stopped], placement)


def _look(unit: Unit, touched: Sequence[TouchedPerson], placement: Placement) -> _Look:
    people = [one.person for one in touched]
    return _Look(touched, moves_under_regrouping(people, placement.mapping_set, placement.ladder, _pools(unit)))


def _losing(look: _Look, placement: Placement) -> set[MemberId]:
    """Return who would lose something that counts."""
    tiers = {member_id_of(move.member_id): (move.from_tier, move.to_tier) for move in look.effect.moves}
    access = access_changes(look.touched, placement)
    return {
        member_id
        for member_id in {*tiers, *access}
        if is_loss(
            *tiers.get(member_id, (None, None)),
            less_access=member_id in access and access[member_id].after.is_less_than(access[member_id].before),
        )
    }


def settle_each(unit: Unit, member_ids: Collection[MemberId], placement: Placement) -> None:
    """Settle people one after the other; who is under a hold stays as they are."""
    members = unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.id == any_(literal(list(member_ids), ARRAY(Uuid))),
            Member.active,
            Member.hold_id.is_(None),
        )
        .order_by(Member.id)
        .execution_options(populate_existing=True)
    ).all()
    freed = [settle_seat(unit, member, Occasion.REGROUPED, placement) for member in members]
    promote_waiting(unit, freed)


def settle_together(
    unit: Unit,
    member_ids: Collection[MemberId],
    placement: Placement,
    *,
    few: int = FEW,
    look: _Look | None = None,
) -> None:
    """Do what :func:`settle_each` does, by a number of statements that does not grow with the people.

    Args:
        unit: The unit.
        member_ids: Whom.
        placement: The rules in force.
        few: Up to so many freed seats are given on one after the other.
        look: What was seen of these people just now, if it was.
    """
    unit.session.flush()
    if look is None:
        touched = [one for one in touched_people(unit, member_ids, placement.mapping_set) if not one.is_held]
        look = _look(unit, touched, placement)
    settle_many(unit, look.effect, placement, Occasion.REGROUPED, touched=look.touched)
    freed = [move.from_tier for move in look.effect.moves if move.from_tier is not None]
    if len(freed) <= few:
        promote_waiting(unit, freed)
    else:
        promote_together(unit, placement)


def promote_together(unit: Unit, placement: Placement) -> None:
    """Give free seats to who waits for them, as :func:`promote_waiting` does for a few."""
    effect = moves_under_pool(waiting_people(unit), placement.mapping_set, placement.ladder, _pools(unit), {})
    settle_many(unit, effect, placement, Occasion.PROMOTION)


def _pools(unit: Unit) -> dict[str, Pool]:
    return {pool.tier: Pool(pool.total, pool.used) for pool in read_pools(unit)}
