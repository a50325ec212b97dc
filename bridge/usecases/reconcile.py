"""Counting again: whether the pools' counters are what the members hold."""

from dataclasses import dataclass

from sqlalchemy import func, select

from bridge.store.models import Member, SeatPool
from bridge.store.unit import Unit


@dataclass(frozen=True, slots=True)
class PoolDifference:
    """A pool whose counter ``used`` is not the number of members who hold the tier."""

    tier: str
    used: int
    held: int


def reconcile_pools(unit: Unit) -> list[PoolDifference]:
    """Compare each pool's counter with the members who hold a seat of it, in one statement; repair nothing.

    Everybody who holds a seat counts, whoever is turned off included: such a person should hold none.
    """
    held = func.count(Member.id)
    rows = unit.session.execute(
        select(SeatPool.tier, SeatPool.used, held)
        .outerjoin(Member, (Member.org_id == SeatPool.org_id) & (Member.tier == SeatPool.tier))
        .where(SeatPool.org_id == unit.org_id)
        .group_by(SeatPool.tier, SeatPool.used, SeatPool.rank)
        .having(held != SeatPool.used)
        .order_by(SeatPool.rank.desc())
    )
    return [PoolDifference(tier, used, count) for tier, used, count in rows]
