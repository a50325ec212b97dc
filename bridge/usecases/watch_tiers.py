"""Thresholds: the owners hear once when a tier fills up to one, and the alert ends when it is under it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.store.journal import record
from bridge.store.models import Alert, SeatPool, SeatWatch
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery

CODE: Final = "tier_threshold"
DEFAULT: Final = (80, 95, 100)
FULL: Final = 100
MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Thresholds:
    """At how many percent of a tier's seats in use the owners hear of it, ascending; 100 is full.

    ``set_at`` and ``set_by`` are None while nobody has set others than the default.
    """

    percents: tuple[int, ...]
    set_at: datetime | None = None
    set_by: str | None = None


def read_thresholds(unit: Unit) -> Thresholds:
    """Return the organization's thresholds."""
    row = unit.session.get(SeatWatch, unit.org_id, populate_existing=True)
    return Thresholds(DEFAULT) if row is None else Thresholds(tuple(row.percents), row.set_at, row.set_by)


def set_thresholds(unit: Unit, percents: Sequence[int]) -> Thresholds:
    """Say at which shares of a tier the owners hear of it; none at all for never.

    Raises:
        ForbiddenError: The actor may not assign seats (rule Z2).
        InvalidInputError: More than five, or one that is no percentage from 1 to 100.
    """
    unit.require(Permission.ASSIGN_SEATS)
    wanted = sorted(set(percents))
    if len(wanted) > MOST or any(not 1 <= percent <= FULL for percent in wanted):
        raise InvalidInputError("thresholds", f"are at most {MOST} percentages from 1 to {FULL}")
    unit.lock()
    before = read_thresholds(unit)
    row = unit.session.get(SeatWatch, unit.org_id)
    if row is None:
        row = SeatWatch(org_id=unit.org_id)
        unit.session.add(row)
    row.percents, row.set_at, row.set_by = list(wanted), unit.at, str(unit.actor)
    unit.session.flush()
    record(
        unit,
        "thresholds.set",
        subject_kind="organization",
        subject_id=unit.org_id,
        reason="by_hand",
        body={"from": list(before.percents), "to": wanted},
        touches_seats=False,
    )
    watch_tiers(unit)
    return Thresholds(tuple(wanted), unit.at, str(unit.actor))


def watch_tiers(unit: Unit) -> int:
    """Raise an alert for each threshold that a tier has reached since, and settle those that it is under again.

    Several thresholds passed at once are one mail, of the highest.

    Returns:
        How many alerts were raised or settled.
    """
    unit.lock()
    percents = read_thresholds(unit).percents
    known = {
        (alert.tier, alert.number): alert
        for alert in unit.session.scalars(
            select(Alert).where(Alert.org_id == unit.org_id, Alert.code == CODE, Alert.resolved_at.is_(None))
        )
    }
    changed = 0
    for pool in read_pools(unit):
        reached = [percent for percent in percents if pool.total and pool.used * FULL >= percent * pool.total]
        new = [percent for percent in reached if (pool.tier, percent) not in known]
        for percent in new:
            alert = _raise(unit, pool, percent)
            if percent == reached[-1]:
                queue_delivery(unit, "alert_mail", key=f"alert:{alert.id}", subject_id=str(alert.id))
        over = [alert for (tier, percent), alert in known.items() if tier == pool.tier and percent not in reached]
        for alert in over:
            alert.resolved_at = unit.at
        changed += len(new) + len(over)
    unit.session.flush()
    return changed


def _raise(unit: Unit, pool: SeatPool, percent: int) -> Alert:
    alert = Alert(
        org_id=unit.org_id,
        id=new_id(),
        at=unit.at,
        code=CODE,
        tier=pool.tier,
        member_id=None,
        number=percent,
        detail=_sentence(pool, percent),
        resolved_at=None,
    )
    unit.session.add(alert)
    return alert


def _sentence(pool: SeatPool, percent: int) -> str:
    """Say it without counts: they change while the alert is open."""
    if pool.used >= pool.total:
        return f"Every {pool.name} seat is in use"
    return f"{percent} % or more of the {pool.name} seats are in use"
