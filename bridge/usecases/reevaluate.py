"""Looking at people again whose groups changed: exactly these, and only where a rule may speak of the change."""

from collections.abc import Collection

from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import GroupId, MemberId
from bridge.store.models import Member
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import Placement, promote_waiting, read_placement, settle_seat
from bridge.usecases.person_classes import touched_people
from bridge.usecases.settle_many import settle_many
from bridge.usecases.waiting_people import waiting_people
from mappings.allocation import Occasion
from mappings.people import Pool
from mappings.preview import moves_under_pool, moves_under_regrouping

#: Up to so many people are settled one after the other, which is quicker for few.
FEW = 5


def speaks_of(unit: Unit, groups: Collection[GroupId]) -> bool:
    """Tell whether a rule in force speaks of one of these groups.

    Where none does, coming into them or leaving them changes nobody's seat, and nobody has to be looked at.
    """
    if not groups or unit.lock().mapping_version == 0:
        return False
    return not read_placement(unit).mapping_set.groups.isdisjoint(map(str, groups))


def reevaluate(unit: Unit, member_ids: Collection[MemberId]) -> None:
    """Settle the seats of people whose groups changed, in order of their ids, then serve who waits (rule A8)."""
    if not member_ids:
        return
    placement = read_placement(unit)
    if len(member_ids) <= FEW:
        settle_each(unit, member_ids, placement)
    else:
        settle_together(unit, member_ids, placement)


def settle_each(unit: Unit, member_ids: Collection[MemberId], placement: Placement) -> None:
    """Settle people one after the other."""
    members = unit.session.scalars(
        select(Member)
        .where(Member.org_id == unit.org_id, Member.id == any_(literal(list(member_ids), ARRAY(Uuid))), Member.active)
        .order_by(Member.id)
        .execution_options(populate_existing=True)
    ).all()
    freed = [settle_seat(unit, member, Occasion.REGROUPED, placement) for member in members]
    promote_waiting(unit, freed)


def settle_together(unit: Unit, member_ids: Collection[MemberId], placement: Placement, *, few: int = FEW) -> None:
    """Do what :func:`settle_each` does, by a number of statements that does not grow with the people.

    Args:
        unit: The unit.
        member_ids: Whom.
        placement: The rules in force.
        few: Up to so many freed seats are given on one after the other.
    """
    unit.session.flush()
    touched = touched_people(unit, member_ids, placement.mapping_set)
    effect = moves_under_regrouping(
        [one.person for one in touched], placement.mapping_set, placement.ladder, _pools(unit)
    )
    settle_many(unit, effect, placement, Occasion.REGROUPED, touched=touched)
    freed = [move.from_tier for move in effect.moves if move.from_tier is not None]
    if len(freed) <= few:
        promote_waiting(unit, freed)
    else:
        _promote_together(unit, placement)


def _promote_together(unit: Unit, placement: Placement) -> None:
    """Give free seats to who waits for them, as :func:`promote_waiting` does for a few."""
    effect = moves_under_pool(waiting_people(unit), placement.mapping_set, placement.ladder, _pools(unit), {})
    settle_many(unit, effect, placement, Occasion.PROMOTION)


def _pools(unit: Unit) -> dict[str, Pool]:
    return {pool.tier: Pool(pool.total, pool.used) for pool in read_pools(unit)}
