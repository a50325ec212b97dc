"""The rows of a plan that begins: the organization's first one, or in the place of one that has ended."""

from collections.abc import Iterable
from datetime import datetime

from bridge.ports import TierPrice
from bridge.store.models import Contract, FixedFee, LicencePlan, SeatPool
from bridge.store.pools import read_pools
from bridge.store.unit import Unit


def credit_of(unit: Unit) -> int:
    """Return the balance that the first invoice of a plan may use (rules C2 and C3); 0 before the first plan."""
    contract = unit.session.get(Contract, unit.org_id, populate_existing=True)
    return 0 if contract is None else contract.credit_balance


def start_key(unit: Unit, at: datetime) -> str:
    """Name the business fact that a plan's first invoice bills: the organization's start, or the later plan's own."""
    is_first = unit.session.get(Contract, unit.org_id) is None
    return "start" if is_first else f"start:{at:%Y-%m-%dT%H:%M:%SZ}"


def open_contract(unit: Unit, row: Contract) -> Contract:
    """Write the contract of a plan that begins; what the one before kept beside it goes, the credit stays (rule C2)."""
    session = unit.session
    before = session.get(Contract, unit.org_id, populate_existing=True)
    if before is None:
        session.add(row)
        session.flush()
        return row
    for kept in (FixedFee, LicencePlan):
        beside = session.get(kept, unit.org_id)
        if beside is not None:
            session.delete(beside)
            session.flush()
    row.credit_balance = before.credit_balance
    begun = session.merge(row)
    session.flush()
    return begun


def open_pools(unit: Unit, tiers: Iterable[TierPrice]) -> None:
    """Make the pools of a plan's tiers; one that the plan before had keeps the seats that are taken of it.

    Pools of other tiers go: nobody may hold a seat of them any more.
    """
    sold = {tier.key: tier for tier in tiers}
    present = {pool.tier: pool for pool in read_pools(unit)}
    for place, (key, pool) in enumerate(sorted(present.items()), 1):
        if key not in sold:
            unit.session.delete(pool)
        else:
            # Out of the way of the ranks to come, of which no two may be the same.
            pool.rank = min(-place, min(other.rank for other in present.values()) - place)
    unit.session.flush()
    for key, tier in sold.items():
        kept = present.get(key)
        if kept is None:
            kept = SeatPool(org_id=unit.org_id, tier=key, used=0)
            unit.session.add(kept)
        kept.name, kept.rank = tier.name, tier.rank
        kept.price = kept.next_price = tier.price
        kept.paid = kept.total = tier.seats
    unit.session.flush()
