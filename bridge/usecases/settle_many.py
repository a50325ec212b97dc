"""Writing what a preview decided for many people at once: a fixed number of statements, however many they are."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Uuid, any_, func, insert, literal, null, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import mappable_attributes
from bridge.domain.identifiers import MemberId, new_id
from bridge.store.journal import record
from bridge.store.models import Alert, Decision, Group, GroupMember, Member, SeatPool
from bridge.store.pools import pools_snapshot
from bridge.store.unit import Unit
from bridge.usecases.alerts import SENTENCES, queue_delivery, resolve_seat_alerts
from bridge.usecases.assign_seats import Placement, apply_access, seat_action
from mappings.allocation import Occasion, SeatDecision
from mappings.preview import MovesPreview, Settlement
from mappings.resolution import resolve
from mappings.rules import PersonFacts

_ALERT = "seats_exhausted"


@dataclass(frozen=True, slots=True)
class _Settled:
    """One person and the settlement that speaks of them."""

    member_id: MemberId
    settlement: Settlement
    losing: tuple[str, ...]


def settle_many(unit: Unit, effect: MovesPreview, placement: Placement, occasion: Occasion) -> None:
    """Write the seats, lines, roles and teams that a preview showed; each person gets a decision and an audit entry.

    The organization is locked, and nothing has changed since the preview was computed: the caller has seen to both.

    Args:
        unit: The unit.
        effect: What to write.
        placement: The rules now in force.
        occasion: Why the seats were looked at.

    Raises:
        RuntimeError: The pools do not have the seats that the preview gave away.

    Source: rules A4, A5 and A8.
    """
    unit.lock()
    unit.session.flush()
    people = _in_order(effect.settlements, placement)
    _move_pools(unit, effect.settlements)
    for settlement in effect.settlements:
        _write_members(unit, settlement)
    _write_access(unit, [_member_id(change.member_id) for change in effect.access_changes], placement)
    _write_decisions(unit, people, placement, occasion)
    _write_alerts(unit, effect.settlements)
    resolve_seat_alerts(unit)
    unit.session.expire_all()


def _in_order(settlements: Iterable[Settlement], placement: Placement) -> list[_Settled]:
    """Return everybody by id, which is the order in which changed rules reach people (rule A8)."""
    people: list[_Settled] = []
    for settlement in settlements:
        entitlement = resolve(settlement.facts, placement.mapping_set, placement.ladder)
        losing = tuple(rule.key for rule in entitlement.losing)
        people += [_Settled(_member_id(member_id), settlement, losing) for member_id in settlement.member_ids]
    people.sort(key=lambda one: one.member_id)
    return people


def _move_pools(unit: Unit, settlements: Iterable[Settlement]) -> None:
    change: Counter[str] = Counter()
    for settlement in settlements:
        decision = settlement.decision
        if decision.moves and decision.from_tier is not None:
            change[decision.from_tier] -= settlement.count
        if decision.moves and decision.tier is not None:
            change[decision.tier] += settlement.count
    for tier, number in sorted(change.items()):
        used = SeatPool.used + number
        moved = unit.session.execute(
            update(SeatPool)
            .where(SeatPool.org_id == unit.org_id, SeatPool.tier == tier, used >= 0, used <= SeatPool.total)
            .values(used=used)
            .returning(SeatPool.used)
            .execution_options(synchronize_session=False)
        )
        if moved.first() is None:
            raise RuntimeError(f"the {tier} pool does not have the seats that were previewed")


def _write_members(unit: Unit, settlement: Settlement) -> None:
    decision = settlement.decision
    since: ColumnElement[Any] = null()
    if decision.waiting_for is not None:
        since = func.coalesce(Member.waiting_since, literal(unit.at, Member.waiting_since.type))
    unit.session.execute(
        update(Member)
        .where(Member.org_id == unit.org_id, _is_one_of(settlement.member_ids))
        .values(
            tier=decision.tier,
            granted_by=_kept_grant(decision),
            pinned=decision.pinned,
            waiting_for=decision.waiting_for,
            waiting_since=since,
            modified_at=unit.at if decision.moves else Member.modified_at,
        )
        .execution_options(synchronize_session=False)
    )


def _write_access(unit: Unit, member_ids: Collection[MemberId], placement: Placement) -> None:
    """Follow role and teams of whoever the rules now give others."""
    if not member_ids:
        return
    members = unit.session.scalars(
        select(Member)
        .where(Member.org_id == unit.org_id, _is_one_of(member_ids))
        .order_by(Member.id)
        .execution_options(populate_existing=True)
    ).all()
    groups = _groups_of_many(unit, member_ids)
    for member in members:
        facts = PersonFacts(frozenset(groups.get(member.id, ())), mappable_attributes(member.document))
        apply_access(unit, member, resolve(facts, placement.mapping_set, placement.ladder))
    unit.session.flush()


def _write_decisions(unit: Unit, people: list[_Settled], placement: Placement, occasion: Occasion) -> None:
    if not people:
        return
    groups = _groups_of_many(unit, [one.member_id for one in people])
    pools = pools_snapshot(unit)
    rows: list[dict[str, Any]] = []
    for one in people:
        decision, rule = one.settlement.decision, one.settlement.rule
        entry = record(
            unit,
            seat_action(decision),
            subject_kind="member",
            subject_id=one.member_id,
            reason=str(decision.reason),
            body={"from": decision.from_tier, "to": decision.tier, "waiting_for": decision.waiting_for},
        )
        rows.append(
            {
                "org_id": unit.org_id,
                "id": new_id(),
                "seq": entry.seq,
                "member_id": one.member_id,
                "at": unit.at,
                "occasion": str(occasion),
                "from_tier": decision.from_tier,
                "to_tier": decision.tier,
                "reason": str(decision.reason),
                "granted_by": _kept_grant(decision),
                "waiting_for": decision.waiting_for,
                "groups": groups.get(one.member_id, []),
                "rule": {"key": rule.key, "about": str(rule.condition), "tier": rule.tier} if rule else None,
                "losing_rules": list(one.losing),
                "mapping_version": placement.mapping_set.version,
                "pools": pools,
                "invoice_id": None,
                "request_id": unit.request_id,
                "actor": str(unit.actor),
            }
        )
    unit.session.flush()
    unit.session.execute(insert(Decision), rows)
    unit.session.execute(
        update(Member)
        .where(
            Member.org_id == unit.org_id,
            Decision.org_id == Member.org_id,
            Decision.member_id == Member.id,
            Decision.seq >= rows[0]["seq"],
        )
        .values(decision_id=Decision.id)
        .execution_options(synchronize_session=False)
    )


def _kept_grant(decision: SeatDecision) -> str | None:
    return str(decision.granted_by) if decision.granted_by and (decision.tier or decision.pinned) else None


def _write_alerts(unit: Unit, settlements: Iterable[Settlement]) -> None:
    """Raise one alert for each person who begins to wait, and send one mail for each tier."""
    short = {
        _member_id(member_id): settlement.decision.alert_tier
        for settlement in settlements
        if settlement.decision.alert
        for member_id in settlement.member_ids
    }
    if not short:
        return
    known = {
        (row.member_id, row.tier)
        for row in unit.session.execute(
            select(Alert.member_id, Alert.tier).where(
                Alert.org_id == unit.org_id, Alert.code == _ALERT, Alert.resolved_at.is_(None)
            )
        )
    }
    rows = [
        {
            "org_id": unit.org_id,
            "id": new_id(),
            "at": unit.at,
            "code": _ALERT,
            "tier": tier,
            "member_id": member_id,
            "detail": SENTENCES[_ALERT],
            "resolved_at": None,
        }
        for member_id, tier in short.items()
        if (member_id, tier) not in known
    ]
    if not rows:
        return
    unit.session.execute(insert(Alert), rows)
    for first in {row["tier"]: row for row in reversed(rows)}.values():
        queue_delivery(unit, "alert_mail", key=f"alert:{first['id']}", subject_id=str(first["id"]))


def _groups_of_many(unit: Unit, member_ids: Collection[MemberId]) -> dict[MemberId, list[str]]:
    """Return the names of the groups each of these people is in."""
    rows = unit.session.execute(
        select(GroupMember.member_id, func.array_agg(Group.display_name.distinct()))
        .join(Group, (Group.org_id == GroupMember.org_id) & (Group.id == GroupMember.group_id))
        .where(
            GroupMember.org_id == unit.org_id,
            GroupMember.member_id == any_(literal(list(member_ids), ARRAY(Uuid))),
        )
        .group_by(GroupMember.member_id)
    )
    return {row[0]: sorted(row[1]) for row in rows}


def _is_one_of(member_ids: Collection[Any]) -> ColumnElement[bool]:
    """Compare with an array in one parameter: a list of parameters has an end."""
    return Member.id == any_(literal([_member_id(member_id) for member_id in member_ids], ARRAY(Uuid)))


def _member_id(member_id: Any) -> MemberId:
    assert isinstance(member_id, uuid.UUID)
    return MemberId(member_id)
