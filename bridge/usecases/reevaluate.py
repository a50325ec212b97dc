"""Looking at people again whose groups changed: exactly these, and only where a rule may speak of the change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.brake import HeldEffect, Outcome, is_loss
from bridge.domain.identifiers import GroupId, MemberId
from bridge.store.models import Member
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import Placement, promote_waiting, read_placement, settle_seat
from bridge.usecases.brake import held_for, hold_people, is_braked, let_off, lets_through
from bridge.usecases.move_line import offer_free, pools_of, promote_together, waits_seated
from bridge.usecases.person_classes import TouchedPerson, touched_people
from bridge.usecases.settle_many import access_changes, member_id_of, settle_many
from bridge.usecases.waiting_people import waiting_people
from mappings.allocation import Occasion
from mappings.people import Pool
from mappings.preview import MovesPreview, moves_after_regrouping, moves_under_regrouping

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
    """People as they are, and what settling them together would do; the line has not moved yet."""

    touched: Sequence[TouchedPerson]
    effect: MovesPreview

    @property
    def ids(self) -> list[MemberId]:
        return [one.member_id for one in self.touched]


@dataclass(frozen=True, slots=True)
class _Toll:
    """What of a look counts: who of the touched loses something or changes tiers, and how many others by the line."""

    losing: frozenset[MemberId]
    others: int

    @property
    def number(self) -> int:
        return len(self.losing) + self.others


def reevaluate(unit: Unit, member_ids: Collection[MemberId]) -> None:
    """Settle the seats of people whose groups or attributes changed, in order of their ids; then serve who waits.

    What a directory causes asks the brake first: too many losses are held, and those people stay as they are. Who moves
    up in the line by it, or is to be bought a seat, is counted with them.

    Source: rule A8.
    """
    if not member_ids:
        return
    placement = read_placement(unit)
    look = _ask_brake(unit, member_ids, placement) if is_braked(unit) and placement.mapping_set.version else None
    remaining = member_ids if look is None else look.ids
    if len(remaining) <= FEW:
        settle_each(unit, remaining, placement)
    else:
        settle_together(unit, remaining, placement, look=look)


def _ask_brake(unit: Unit, member_ids: Collection[MemberId], placement: Placement) -> _Look:
    """Hold those who would lose something, if they are too many; return whom to settle now.

    Who is under a hold stays under it, unless what was held for them would no longer happen.
    """
    unit.session.flush()
    touched = touched_people(unit, member_ids, placement.mapping_set)
    look = _look(unit, touched, placement)
    held = {one.member_id for one in touched if one.is_held}
    if held:
        back = held_for(unit, held, {HeldEffect.RESEAT, HeldEffect.PROMOTE}) - _toll(unit, look, placement).losing
        if back:
            let_off(unit, back, Outcome.REVERSED)
            offer_free(unit)
        stopped = held - back
        look = _look(unit, [one for one in touched if one.member_id not in stopped], placement)
    toll = _toll(unit, look, placement)
    if lets_through(unit, toll.number):
        return look
    # The seats that the held don't take would be of use to the next: so everybody is held who could change tiers.
    losing = _losing(look.touched, _roomy(unit, look, placement), placement)
    lets_through(unit, len(losing - toll.losing))  # counts them
    hold_people(unit, losing, HeldEffect.RESEAT)
    return _look(unit, [one for one in look.touched if one.member_id not in losing], placement)


def _look(unit: Unit, touched: Sequence[TouchedPerson], placement: Placement) -> _Look:
    people = [one.person for one in touched]
    return _Look(touched, moves_under_regrouping(people, placement.mapping_set, placement.ladder, pools_of(unit)))


def _roomy(unit: Unit, look: _Look, placement: Placement) -> MovesPreview:
    """Return the effect as if every tier had room for everybody."""
    people = [one.person for one in look.touched]
    pools = {tier: Pool(pool.used + len(people), pool.used) for tier, pool in pools_of(unit).items()}
    return moves_under_regrouping(people, placement.mapping_set, placement.ladder, pools)


def _toll(unit: Unit, look: _Look, placement: Placement) -> _Toll:
    """Count who would lose something or change tiers in the end: now, as the line moves, or by a seat to be bought."""
    losing = _losing(look.touched, _in_the_end(unit, look, placement), placement)
    touched = losing.intersection(look.ids)
    return _Toll(touched, len(losing - touched))


def _losing(touched: Sequence[TouchedPerson], effect: MovesPreview, placement: Placement) -> frozenset[MemberId]:
    """Return who, of the touched and of all whom an effect moves, loses something that counts."""
    tiers = {member_id_of(move.member_id): (move.from_tier, move.to_tier) for move in effect.moves}
    access = access_changes(touched, placement)
    return frozenset(
        member_id
        for member_id in {*tiers, *access}
        if is_loss(
            *tiers.get(member_id, (None, None)),
            less_access=member_id in access and access[member_id].after.is_less_than(access[member_id].before),
        )
    )


def _in_the_end(unit: Unit, look: _Look, placement: Placement) -> MovesPreview:
    """Return the effect once the line has moved; nobody else is looked at where nobody in line can change tiers."""
    frees = any(move.from_tier is not None for move in look.effect.moves)
    seated = [one.decision for one in look.effect.settlements if one.decision.tier is not None]
    wait_seated = any(decision.waiting_for is not None for decision in seated)
    buys = any(decision.buys for decision in seated)
    if not buys and not (frees and (wait_seated or waits_seated(unit, but=look.ids))):
        return look.effect
    ids = set(look.ids)
    people = [one.person for one in look.touched]
    line = [person for person in waiting_people(unit) if person.member_id not in ids]
    return moves_after_regrouping(people, line, placement.mapping_set, placement.ladder, pools_of(unit))


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
    occasion: Occasion = Occasion.REGROUPED,
) -> None:
    """Do what :func:`settle_each` does, by a number of statements that does not grow with the people.

    Args:
        unit: The unit.
        member_ids: Whom.
        placement: The rules in force.
        few: Up to so many freed seats are given on one after the other.
        look: What was seen of these people just now, if it was.
        occasion: Why they are looked at: their groups changed, or the rules.
    """
    unit.session.flush()
    if look is None:
        touched = [one for one in touched_people(unit, member_ids, placement.mapping_set) if not one.is_held]
        look = _look(unit, touched, placement)
    settle_many(unit, look.effect, placement, occasion, touched=look.touched)
    freed = [move.from_tier for move in look.effect.moves if move.from_tier is not None]
    if len(freed) <= few:
        promote_waiting(unit, freed)
    else:
        promote_together(unit, placement)
