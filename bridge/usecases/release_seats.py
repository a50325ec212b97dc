"""Taking seats from people because of the plan, in sets: nobody is removed, and every one of them has a reason."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update

from bridge.domain.identifiers import new_id
from bridge.store.models import AuditEntry, Decision, Member, SeatPool
from bridge.store.unit import Unit
from bridge.usecases.alerts import resolve_seat_alerts
from mappings.reasons import SeatReason


def release_seats(
    unit: Unit, whom: ColumnElement[bool], entry: AuditEntry, reason: SeatReason, pools: Mapping[str, Any]
) -> None:
    """Take seat, place in line and pin from people, by a number of statements that does not grow with them.

    Args:
        unit: The unit, which has the organization's lock.
        whom: The condition on members of the organization.
        entry: The entry of the journal that says why.
        reason: What the decisions say.
        pools: The counts that the decisions show, as :func:`bridge.store.pools.pools_snapshot` gives them.
    """
    unit.session.flush()
    people = (Member.org_id == unit.org_id, whom)
    rows = unit.session.execute(select(Member.id, Member.tier).where(*people)).all()
    if not rows:
        return
    freed = Counter(tier for _, tier in rows)
    for tier, number in sorted((tier, number) for tier, number in freed.items() if tier is not None):
        unit.session.execute(
            update(SeatPool)
            .where(SeatPool.org_id == unit.org_id, SeatPool.tier == tier)
            .values(used=SeatPool.used - number)
            .execution_options(synchronize_session=False)
        )
    common = _decision(unit, entry, reason, pools)
    unit.session.execute(
        insert(Decision),
        [{**common, "id": new_id(), "member_id": member_id, "from_tier": tier} for member_id, tier in rows],
    )
    unit.session.execute(
        update(Member)
        .where(
            *people,
            Decision.org_id == Member.org_id,
            Decision.member_id == Member.id,
            Decision.seq == entry.seq,
        )
        .values(
            tier=None,
            granted_by=None,
            pinned=False,
            waiting_for=None,
            waiting_since=None,
            waited_from=None,
            decision_id=Decision.id,
            modified_at=unit.at,
        )
        .execution_options(synchronize_session=False)
    )
    # People whom the caller has read before hold a seat no more.
    unit.session.expire_all()
    resolve_seat_alerts(unit)


def _decision(unit: Unit, entry: AuditEntry, reason: SeatReason, pools: Mapping[str, Any]) -> dict[str, object]:
    """Return what all decisions have in common."""
    return {
        "org_id": unit.org_id,
        "seq": entry.seq,
        "at": unit.at,
        "occasion": str(reason),
        "to_tier": None,
        "reason": str(reason),
        "granted_by": None,
        "waiting_for": None,
        "groups": [],
        "rule": None,
        "losing_rules": [],
        "mapping_version": unit.state().mapping_version,
        "pools": dict(pools),
        "invoice_id": None,
        "request_id": unit.request_id,
        "actor": str(unit.actor),
    }
