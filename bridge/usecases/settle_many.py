"""Writing what the rules decided for many people at once: a fixed number of statements, however many they are."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import Uuid, any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import MemberId, new_id
from bridge.store.journal import Entry, record_many
from bridge.store.models import Alert, Decision, Group, Member, SeatPool, effective_membership
from bridge.store.pools import pools_snapshot
from bridge.store.rows import insert_rows, update_rows
from bridge.store.unit import Unit
from bridge.usecases.alerts import SENTENCES, queue_delivery, resolve_seat_alerts
from bridge.usecases.assign_seats import Access, Placement, rule_record, seat_entry
from bridge.usecases.person_classes import TouchedPerson, touched_people
from bridge.usecases.sessions import ROLE_LOST, end_sessions
from mappings.allocation import Occasion, SeatDecision, SeatReason
from mappings.preview import MovesPreview, Settlement
from mappings.resolution import Entitlement, resolve

_ALERT = "seats_exhausted"


@dataclass(frozen=True, slots=True)
class _Settled:
    """One person and the settlement that speaks of them."""

    member_id: MemberId
    settlement: Settlement
    losing: tuple[str, ...]

    @property
    def decision(self) -> SeatDecision:
        return self.settlement.decision


@dataclass(frozen=True, slots=True)
class _Reasons:
    """What the records of decisions say besides: numbers of audit entries and the pools' counts, person by person."""

    occasion: Occasion | SeatReason
    mapping_version: int
    numbers: Sequence[int]
    pools: Sequence[str]


@dataclass(frozen=True, slots=True)
class SeatPurchase:
    """What paid for a seat: the invoice, if anything was to be paid, and what the decision keeps of a budget's use."""

    invoice_id: uuid.UUID | None
    facts: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class AccessChange:
    """One person whose role or teams become others."""

    before: Access
    after: Access


def settle_many(
    unit: Unit,
    effect: MovesPreview,
    placement: Placement,
    occasion: Occasion | SeatReason,
    *,
    touched: Sequence[TouchedPerson] | None = None,
    purchases: Mapping[MemberId, SeatPurchase] = MappingProxyType({}),
) -> None:
    """Write the seats, lines, roles and teams that a preview showed; each person gets a decision and an audit entry.

    The organization is locked, and nothing has changed since the preview was computed: the caller has seen to both.

    Args:
        unit: The unit.
        effect: What to write.
        placement: The rules now in force.
        occasion: Why the seats were looked at.
        purchases: What paid for the seats of those for whom one was bought.
        touched: Whose role and teams may be others now; by default those of whom the preview says so.

    Raises:
        RuntimeError: The pools do not have the seats that the preview gave away.

    Source: rules A4, A5 and A8.
    """
    unit.lock()
    unit.session.flush()
    if touched is None:
        changing = [member_id_of(change.member_id) for change in effect.access_changes]
        touched = touched_people(unit, changing, placement.mapping_set) if changing else ()
    access = access_changes(touched, placement)
    people = _in_order(effect, placement, occasion)
    if not people and not access:
        return
    pools = _move_pools(unit, effect.settlements, people, one_by_one=occasion is not Occasion.REMAPPED)
    reasons = _Reasons(occasion, placement.mapping_set.version, _write_audit(unit, people, access), pools)
    _write_seats(unit, people, _write_decisions(unit, people, reasons, purchases))
    _write_access(unit, access)
    demoted = [member_id for member_id, change in access.items() if change.after.demotes(change.before)]
    end_sessions(unit, demoted, reason=ROLE_LOST)
    _write_alerts(unit, people)
    resolve_seat_alerts(unit)
    unit.session.flush()
    unit.session.expire_all()


def _in_order(effect: MovesPreview, placement: Placement, occasion: Occasion | SeatReason) -> list[_Settled]:
    """Return everybody by id, which is the order in which the rules reach people (rule A8), or as the line moves."""
    people: list[_Settled] = []
    for settlement in effect.settlements:
        entitlement = resolve(settlement.facts, placement.mapping_set, placement.ladder)
        losing = tuple(rule.key for rule in entitlement.losing)
        people += [_Settled(member_id_of(member_id), settlement, losing) for member_id in settlement.member_ids]
    if occasion is Occasion.PROMOTION:
        places = {member_id_of(move.member_id): place for place, move in enumerate(effect.moves)}
        people.sort(key=lambda one: (places.get(one.member_id, len(places)), one.member_id))
    else:
        people.sort(key=lambda one: one.member_id.int)
    return people


def _move_pools(
    unit: Unit, settlements: Iterable[Settlement], people: Sequence[_Settled], *, one_by_one: bool
) -> list[str]:
    """Take and give back the seats; return the pools' counts right after each person, as JSON.

    Args:
        unit: The unit.
        settlements: What everybody ends with.
        people: Everybody, in order.
        one_by_one: Whether each is shown the counts of their own turn; otherwise all moved at once.
    """
    before = pools_snapshot(unit)
    change: Counter[str] = Counter()
    for settlement in settlements:
        for tier, number in _taken(settlement.decision).items():
            change[tier] += number * settlement.count
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
    if not one_by_one:
        return [_json(pools_snapshot(unit))] * len(people)
    shown: list[str] = []
    text = _json(before)
    for one in people:
        taken = _taken(one.decision)
        for tier, number in taken.items():
            before[tier]["used"] += number
        if taken:
            text = _json(before)
        shown.append(text)
    return shown


def _taken(decision: SeatDecision) -> Mapping[str, int]:
    """Return how many seats of each tier a decision takes; less than 0 for one given back."""
    if not decision.moves:
        return {}
    taken = {decision.tier: 1, decision.from_tier: -1}
    return {tier: number for tier, number in taken.items() if tier is not None}


def access_changes(touched: Iterable[TouchedPerson], placement: Placement) -> dict[MemberId, AccessChange]:
    """Compare the role and teams people have with those the rules give."""
    known: dict[int, Entitlement] = {}
    changes: dict[MemberId, AccessChange] = {}
    for one in touched:
        facts = one.person.facts
        entitlement = known.get(id(facts))
        if entitlement is None:
            entitlement = known[id(facts)] = resolve(facts, placement.mapping_set, placement.ladder)
        after = one.access.under(entitlement)
        if after != one.access:
            changes[one.member_id] = AccessChange(one.access, after)
    return changes


def _write_audit(unit: Unit, people: Sequence[_Settled], access: Mapping[MemberId, AccessChange]) -> list[int]:
    """Write the entries about everybody, role and teams before the seat; return the numbers of those about seats."""
    entries: list[Entry] = []
    places: list[int] = []
    seated = {one.member_id for one in people}
    order: list[tuple[MemberId, _Settled | None]] = [(one.member_id, one) for one in people]
    others = [(member_id, None) for member_id in access if member_id not in seated]
    if others:
        order = sorted([*order, *others], key=lambda each: each[0].int)
    for member_id, one in order:
        changed = access.get(member_id)
        if changed is not None:
            entries += changed.before.entries_until(changed.after, member_id)
        if one is not None:
            places.append(len(entries))
            entries.append(seat_entry(one.member_id, one.decision))
    numbers = record_many(unit, entries)
    return [numbers[place] for place in places]


def _write_decisions(
    unit: Unit, people: Sequence[_Settled], reasons: _Reasons, purchases: Mapping[MemberId, SeatPurchase]
) -> list[uuid.UUID]:
    """Write why each person ends where they do; return the ids of the decisions."""
    if not people:
        return []
    groups = _groups_of_many(unit, [one.member_id for one in people])
    ids = [new_id() for _ in people]
    paid = [purchases.get(one.member_id) for one in people]
    insert_rows(
        unit.session,
        Decision,
        shared={
            "org_id": unit.org_id,
            "at": unit.at,
            "occasion": str(reasons.occasion),
            "mapping_version": reasons.mapping_version,
            "request_id": unit.request_id,
            "actor": str(unit.actor),
        },
        each={
            "id": ids,
            "seq": list(reasons.numbers),
            "member_id": [one.member_id for one in people],
            "from_tier": [one.decision.from_tier for one in people],
            "to_tier": [one.decision.tier for one in people],
            "reason": [str(one.decision.reason) for one in people],
            "granted_by": [_kept_grant(one.decision) for one in people],
            "waiting_for": [one.decision.waiting_for for one in people],
            "groups": [_json(groups.get(one.member_id, [])) for one in people],
            "rule": [_rule_text(one.settlement) for one in people],
            "losing_rules": [_json(one.losing) for one in people],
            "pools": list(reasons.pools),
            "invoice_id": [one.invoice_id if one else None for one in paid],
            "purchase": [_json(one.facts) if one and one.facts else None for one in paid],
        },
    )
    return ids


def _rule_text(settlement: Settlement) -> str | None:
    record = rule_record(settlement.rule)
    return None if record is None else _json(record)


def _write_seats(unit: Unit, people: Sequence[_Settled], decision_ids: Sequence[uuid.UUID]) -> None:
    if not people:
        return
    update_rows(
        unit.session,
        Member,
        {
            "tier": "given.tier",
            "granted_by": "given.granted_by",
            "pinned": "given.pinned",
            "waiting_for": "given.waiting_for",
            "waiting_since": "CASE WHEN given.waiting_for IS NOT NULL THEN coalesce(member.waiting_since, %(at)s) END",
            "waited_from": "CASE WHEN given.waiting_for IS NOT NULL THEN member.waited_from END",
            "modified_at": "CASE WHEN given.tier IS DISTINCT FROM member.tier THEN %(at)s ELSE member.modified_at END",
            "decision_id": "given.decision_id",
        },
        shared={"org_id": unit.org_id, "at": unit.at},
        each={
            "id": [one.member_id for one in people],
            "tier": [one.decision.tier for one in people],
            "granted_by": [_kept_grant(one.decision) for one in people],
            "pinned": [one.decision.pinned for one in people],
            "waiting_for": [one.decision.waiting_for for one in people],
            "decision_id": list(decision_ids),
        },
    )


def _write_access(unit: Unit, access: Mapping[MemberId, AccessChange]) -> None:
    if not access:
        return
    update_rows(
        unit.session,
        Member,
        {
            "role": "given.role",
            "role_from_mapping": "given.role_from_mapping",
            "teams": "given.teams::jsonb",
        },
        shared={"org_id": unit.org_id},
        each={
            "id": list(access),
            "role": [change.after.role for change in access.values()],
            "role_from_mapping": [change.after.role_from_mapping for change in access.values()],
            "teams": [_json(change.after.teams) for change in access.values()],
        },
    )


def _kept_grant(decision: SeatDecision) -> str | None:
    return str(decision.granted_by) if decision.granted_by and (decision.tier or decision.pinned) else None


def _write_alerts(unit: Unit, people: Sequence[_Settled]) -> None:
    """Raise one alert for each person who begins to wait; of a tier the owners are told while no alert of it is open.

    It goes through people in order, so that who leaves the line before the next joins it closes the tier's alert.
    """
    if any(one.decision.buys for one in people):
        unit.line_grew = True
    if not any(_alerts(one.decision) for one in people):
        return
    known = unit.session.execute(
        select(Alert.member_id, Alert.tier).where(
            Alert.org_id == unit.org_id, Alert.code == _ALERT, Alert.resolved_at.is_(None)
        )
    )
    about: dict[Any, set[str | None]] = {}
    told: Counter[str | None] = Counter()
    for member_id, tier in known:
        about.setdefault(member_id, set()).add(tier)
        told[tier] += 1
    raised: dict[uuid.UUID, tuple[MemberId, str | None]] = {}
    for one in people:
        decision = one.decision
        mine = about.setdefault(one.member_id, set())
        for tier in [tier for tier in mine if tier != decision.waiting_for]:
            mine.discard(tier)
            told[tier] -= 1
        if not _alerts(decision) or decision.alert_tier in mine:
            continue
        alert_id = new_id()
        raised[alert_id] = (one.member_id, decision.alert_tier)
        if told[decision.alert_tier] == 0:
            queue_delivery(unit, "alert_mail", key=f"alert:{alert_id}", subject_id=str(alert_id))
        mine.add(decision.alert_tier)
        told[decision.alert_tier] += 1
    insert_rows(
        unit.session,
        Alert,
        shared={
            "org_id": unit.org_id,
            "at": unit.at,
            "code": _ALERT,
            "detail": SENTENCES[_ALERT],
            "resolved_at": None,
        },
        each={
            "id": list(raised),
            "member_id": [member_id for member_id, _ in raised.values()],
            "tier": [tier for _, tier in raised.values()],
        },
    )


def _alerts(decision: SeatDecision) -> bool:
    """Tell whether the owners hear of somebody now; of who may be bought a seat they hear when that is settled."""
    return decision.alert and not decision.buys


def _groups_of_many(unit: Unit, member_ids: Collection[MemberId]) -> dict[MemberId, list[str]]:
    """Return the names of the groups each of these people is in, directly or through groups inside them."""
    membership = effective_membership.c
    rows = unit.session.execute(
        select(membership.member_id, func.array_agg(Group.display_name.distinct()))
        .join(Group, (Group.org_id == membership.org_id) & (Group.id == membership.group_id))
        .where(
            membership.org_id == unit.org_id,
            membership.member_id == any_(literal(list(member_ids), ARRAY(Uuid))),
        )
        .group_by(membership.member_id)
    )
    return {row[0]: sorted(row[1]) for row in rows}


def member_id_of(member_id: Any) -> MemberId:
    """Return what a preview knows somebody by as what it is here."""
    assert isinstance(member_id, uuid.UUID)
    return MemberId(member_id)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
