"""The waiting lines: who waits for what, and at which place."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Select, func, select

from bridge.domain.identifiers import MemberId
from bridge.store.models import Member
from bridge.store.unit import Unit


@dataclass(frozen=True, slots=True)
class PlaceInLine:
    """Where somebody stands: ``place`` of ``length``, counted from 1, in the line for a tier or for any."""

    waiting_for: str
    place: int
    length: int


def places_in_line(unit: Unit, member_ids: Collection[MemberId]) -> dict[MemberId, PlaceInLine]:
    """Return the place of each of these people who waits, longest wait first in each line."""
    if not member_ids:
        return {}
    line = _line(unit).subquery()
    rows = unit.session.execute(select(line).where(line.c.id.in_(member_ids)))
    return {MemberId(row.id): PlaceInLine(row.waiting_for, row.place, row.length) for row in rows}


def waiting_counts(unit: Unit) -> dict[str, int]:
    """Count who waits, by tier or ``any``."""
    rows = unit.session.execute(
        select(Member.waiting_for, func.count())
        .where(Member.org_id == unit.org_id, Member.waiting_for.is_not(None))
        .group_by(Member.waiting_for)
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}


def _line(unit: Unit) -> Select[MemberId, str | None, int, int]:
    ordered = func.row_number().over(partition_by=Member.waiting_for, order_by=(Member.waiting_since, Member.id))
    length = func.count().over(partition_by=Member.waiting_for)
    return select(Member.id, Member.waiting_for, ordered.label("place"), length.label("length")).where(
        Member.org_id == unit.org_id, Member.waiting_for.is_not(None)
    )
