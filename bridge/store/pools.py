"""Pools of seats: taken and given back by conditional updates, so that no tier is ever over-allocated."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select, update

from bridge.ports import SeatCount
from bridge.store.models import SeatPool
from bridge.store.unit import Unit
from mappings.tiers import SeatTier, TierLadder


def read_pools(unit: Unit) -> list[SeatPool]:
    """Return the organization's pools, best tier first, as the database has them now."""
    statement = (
        select(SeatPool)
        .where(SeatPool.org_id == unit.org_id)
        .order_by(SeatPool.rank.desc())
        .execution_options(populate_existing=True)
    )
    return list(unit.session.scalars(statement))


def ladder_of(pools: Iterable[SeatPool]) -> TierLadder:
    """Return the tiers of the pools."""
    return TierLadder(SeatTier(key=pool.tier, name=pool.name, rank=pool.rank) for pool in pools)


def take_seat(unit: Unit, tier: str) -> bool:
    """Take one seat of a tier if one is free.

    The row count of a conditional UPDATE decides: two writers can never both get the last seat.
    """
    taken = unit.session.execute(
        update(SeatPool)
        .where(SeatPool.org_id == unit.org_id, SeatPool.tier == tier, SeatPool.used < SeatPool.total)
        .values(used=SeatPool.used + 1)
        .returning(SeatPool.used)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


def take_first_free(unit: Unit, tiers: Iterable[str]) -> str | None:
    """Take a seat of the first tier that has one free; None when none has."""
    return next((tier for tier in tiers if take_seat(unit, tier)), None)


def give_back_seat(unit: Unit, tier: str) -> None:
    """Give one seat of a tier back; it is at once assignable (rule S2)."""
    unit.session.execute(
        update(SeatPool)
        .where(SeatPool.org_id == unit.org_id, SeatPool.tier == tier, SeatPool.used > 0)
        .values(used=SeatPool.used - 1)
        .execution_options(synchronize_session=False)
    )


def set_allocation(unit: Unit, seats: Mapping[str, SeatCount]) -> None:
    """Write the allocation that the billing core decided.

    Assignable are the seats that are paid for in this period and stay in the next (rule D3).
    """
    for tier, count in seats.items():
        unit.session.execute(
            update(SeatPool)
            .where(SeatPool.org_id == unit.org_id, SeatPool.tier == tier)
            .values(paid=count.paid, total=min(count.paid, count.next))
            .execution_options(synchronize_session=False)
        )


def pools_snapshot(unit: Unit) -> dict[str, Any]:
    """Return the pools' counts as decisions keep them: {tier: {total, used}}."""
    return {pool.tier: {"total": pool.total, "used": pool.used} for pool in read_pools(unit)}
