"""Who gets which seat: the pure rules decide, conditional updates take, a decision record says why."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from bridge.domain.brake import HeldEffect, Outcome
from bridge.domain.documents import mappable_attributes
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import Permission, Role
from bridge.errors import InvalidInputError, NoSeatAvailableError
from bridge.ports import SeatChange
from bridge.store.directory import get_member, groups_of, mapping_set_in_force
from bridge.store.journal import Entry, record, record_many
from bridge.store.models import Decision, Member
from bridge.store.pools import (
    give_back_seat,
    ladder_of,
    pools_snapshot,
    read_pools,
    take_first_free,
    take_seat,
)
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_seat_alerts
from bridge.usecases.brake import held_effect, let_off
from bridge.usecases.charges import execute_change
from bridge.usecases.sessions import ROLE_LOST, end_sessions
from mappings.allocation import (
    Grant,
    Holding,
    Occasion,
    SeatDecision,
    SeatReason,
    deactivate,
    decide,
    place_by_hand,
    wish,
)
from mappings.resolution import Entitlement, resolve
from mappings.rules import MappingRule, MappingSet, OnExhausted, PersonFacts
from mappings.tiers import ANY, UNASSIGNED, TierLadder


@dataclass(slots=True)
class Placement:
    """The rules and tiers in force, read once for a run over many people."""

    ladder: TierLadder
    mapping_set: MappingSet

    @property
    def takes_lower(self) -> bool:
        """Whether somebody may be on a lower tier than they wait for."""
        policies = {self.mapping_set.on_exhausted, *(rule.on_exhausted for rule in self.mapping_set.rules)}
        return OnExhausted.NEXT_LOWER in policies


def read_placement(unit: Unit) -> Placement:
    """Read the tiers and the mapping set in force, under the lock, so that neither can change meanwhile."""
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    return Placement(ladder=ladder, mapping_set=mapping_set_in_force(unit, ladder))


def holding_of(member: Member) -> Holding:
    """Return what a member holds, as the rules see it."""
    return Holding(
        tier=member.tier,
        granted_by=Grant(member.granted_by) if member.granted_by else None,
        pinned=member.pinned,
        waiting_for=member.waiting_for,
    )


def person_facts(document: Mapping[str, Any], groups: Iterable[uuid.UUID], connection_id: uuid.UUID) -> PersonFacts:
    """Return what the rules see of a person: the document, the groups around them, the connection they belong to."""
    return PersonFacts(frozenset(map(str, groups)), mappable_attributes(document), str(connection_id))


def rule_record(rule: MappingRule | None) -> dict[str, Any] | None:
    """Return what a decision keeps of the rule that decided."""
    return None if rule is None else {"key": rule.key, "about": rule.about, "tier": rule.tier}


def settle_seat(unit: Unit, member: Member, occasion: Occasion, placement: Placement | None = None) -> str | None:
    """Give a member the seat, role and teams that the rules say.

    Args:
        unit: The unit.
        member: Whom.
        occasion: Why the seat is looked at now.
        placement: Rules and tiers, when the caller has read them for many people.

    Returns:
        The tier that was freed, for :func:`promote_waiting`; None when none was.

    Raises:
        NoSeatAvailableError: The organization refuses who finds no seat (``on_exhausted: reject``).

    Source: rules A1 to A8, K1, K2.
    """
    placement = placement or read_placement(unit)
    around = groups_of(unit, member.id)
    groups = sorted({group.display_name for group in around})
    facts = person_facts(member.document, (group.id for group in around), member.connection_id)
    entitlement = resolve(facts, placement.mapping_set, placement.ladder)
    apply_access(unit, member, entitlement)
    holding = holding_of(member)
    wanted = wish(entitlement, holding, occasion, placement.ladder, placement.mapping_set.on_exhausted)
    obtained = take_first_free(unit, wanted.tiers)
    decision = decide(wanted, obtained, holding)
    if decision.rejected:
        raise NoSeatAvailableError(wanted.target or ANY)
    if occasion is not Occasion.ARRIVED and not decision.alters(holding):
        return None
    return _settle(unit, member, decision, occasion, groups=groups, entitlement=entitlement, placement=placement)


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do: the role, whether the mappings gave it, and the teams they give."""

    role: str
    role_from_mapping: bool
    teams: list[str]

    def under(self, entitlement: Entitlement) -> "Access":
        """Follow the mappings' role and teams; they can neither make nor unmake an owner (T10, T11)."""
        teams = list(entitlement.teams)
        if Role(self.role).is_owner:
            return Access(self.role, self.role_from_mapping, teams)
        role = entitlement.role or (Role.MEMBER if self.role_from_mapping else self.role)
        by_rule = entitlement.role is not None and (self.role_from_mapping or entitlement.role != self.role)
        return Access(str(role), by_rule, teams)

    def is_less_than(self, before: "Access") -> bool:
        """Tell whether the role of an admin or a team is lost by it."""
        return self.demotes(before) or not set(before.teams) <= set(self.teams)

    def demotes(self, before: "Access") -> bool:
        """Tell whether the role of an admin is lost by it: sessions that were opened with it end (T18)."""
        return before.role == Role.ADMIN and self.role != Role.ADMIN

    def entries_until(self, after: "Access", member_id: MemberId) -> list[Entry]:
        """Return what the audit says of a change."""
        entries = []
        if after.teams != self.teams:
            entries.append(Entry("member.teams_changed", "member", member_id, "mapping", {"teams": after.teams}))
        if (after.role, after.role_from_mapping) != (self.role, self.role_from_mapping):
            body = {"from": self.role, "to": after.role}
            entries.append(Entry("member.role_changed", "member", member_id, "mapping", body))
        return entries


def apply_access(unit: Unit, member: Member, entitlement: Entitlement) -> None:
    """Write the role and teams that the mappings give a member."""
    before = Access(member.role, member.role_from_mapping, member.teams)
    after = before.under(entitlement)
    if after == before:
        return
    record_many(unit, before.entries_until(after, member.id))
    member.role, member.role_from_mapping, member.teams = after.role, after.role_from_mapping, after.teams
    if after.demotes(before):
        end_sessions(unit, [member.id], reason=ROLE_LOST)


def _settle(
    unit: Unit,
    member: Member,
    decision: SeatDecision,
    occasion: str,
    *,
    groups: list[str] | None = None,
    entitlement: Entitlement | None = None,
    placement: Placement | None = None,
    invoice_id: uuid.UUID | None = None,
    given_back: bool = False,
) -> str | None:
    """Write a decision: the member's seat, the record of why, the audit entry, the alert; return the freed tier."""
    freed = decision.from_tier if decision.moves else None
    if decision.granted_by is Grant.MANUAL and held_effect(unit, member) in {HeldEffect.RESEAT, HeldEffect.PROMOTE}:
        let_off(unit, [member.id], Outcome.BY_HAND)
    if freed is not None and not given_back:
        give_back_seat(unit, freed)
    pools = pools_snapshot(unit)
    still_waits = decision.waiting_for is not None and member.waiting_since is not None
    left_line = member.waiting_for is not None and member.waiting_for != decision.waiting_for
    member.tier = decision.tier
    member.granted_by = str(decision.granted_by) if decision.granted_by and (decision.tier or decision.pinned) else None
    member.pinned = decision.pinned
    member.waited_from = member.waited_from if still_waits else None
    member.waiting_since = (member.waiting_since if still_waits else unit.at) if decision.waiting_for else None
    member.waiting_for = decision.waiting_for
    if decision.moves:
        member.modified_at = unit.at
    rule = entitlement.winning if entitlement else None
    entry = record(
        unit,
        seat_action(decision),
        subject_kind="member",
        subject_id=member.id,
        reason=str(decision.reason),
        body={"from": decision.from_tier, "to": decision.tier, "waiting_for": decision.waiting_for},
    )
    stored = Decision(
        org_id=unit.org_id,
        id=new_id(),
        seq=entry.seq,
        member_id=member.id,
        at=unit.at,
        occasion=str(occasion),
        from_tier=decision.from_tier,
        to_tier=decision.tier,
        reason=str(decision.reason),
        granted_by=member.granted_by,
        waiting_for=decision.waiting_for,
        groups=groups if groups is not None else [group.display_name for group in groups_of(unit, member.id)],
        rule=rule_record(rule),
        losing_rules=[losing.key for losing in entitlement.losing] if entitlement else [],
        mapping_version=placement.mapping_set.version if placement else unit.state().mapping_version,
        pools=pools,
        invoice_id=invoice_id,
        request_id=unit.request_id,
        actor=str(unit.actor),
    )
    unit.session.add(stored)
    member.decision_id = stored.id
    unit.session.flush()
    if left_line:
        resolve_seat_alerts(unit, member.id)
    if decision.buys:
        unit.line_grew = True
    elif decision.alert:
        raise_alert(unit, "seats_exhausted", tier=decision.alert_tier, member_id=member.id)
    return freed


def seat_action(decision: SeatDecision) -> str:
    """Name a decision as the audit does."""
    if decision.moves:
        return "seat.released" if decision.tier is None else "seat.assigned"
    return "seat.waiting" if decision.waiting_for else "seat.confirmed"


def seat_entry(member_id: MemberId, decision: SeatDecision) -> Entry:
    """Return what the audit says of a decision about somebody's seat."""
    body = {"from": decision.from_tier, "to": decision.tier, "waiting_for": decision.waiting_for}
    return Entry(seat_action(decision), "member", member_id, str(decision.reason), body)


def promote_waiting(unit: Unit, freed: Iterable[str | None]) -> list[MemberId]:
    """Give freed or bought seats to who waits for them, longest wait first; nobody is evicted.

    Each time the first person in line who can use a free seat gets the best one they wish; the seat they leave, if any,
    is free for the next. :func:`mappings.preview.moves_under_pool` shows the same before it is done.

    Args:
        unit: The unit.
        freed: Tiers that may have a free seat now; None entries are passed over, and with no other nothing is done.

    Returns:
        Who was promoted, in order.
    """
    if all(tier is None for tier in freed):
        return []
    unit.session.flush()
    promoted: list[MemberId] = []
    passed_over: set[MemberId] = set()
    placement = read_placement(unit)
    while (member := _first_in_line(unit, placement, passed_over)) is not None:
        before = holding_of(member)
        released = settle_seat(unit, member, Occasion.PROMOTION, placement)
        if released is not None:
            passed_over.clear()
        if holding_of(member) == before:
            passed_over.add(member.id)
        elif member.tier != before.tier and member.id not in promoted:
            promoted.append(member.id)
    return promoted


def _first_in_line(unit: Unit, placement: Placement, passed_over: Collection[MemberId]) -> Member | None:
    """Return who has waited longest of those who may use a seat that is free now."""
    free = [pool.tier for pool in read_pools(unit) if pool.used < pool.total]
    if not free:
        return None
    usable: list[ColumnElement[bool]] = [Member.waiting_for.in_([*free, ANY])]
    if placement.takes_lower:
        # Who waits for a better tier may take this one meanwhile.
        usable += [
            and_(
                Member.waiting_for.is_not(None),
                Member.waiting_for.not_in([tier, *placement.ladder.below(tier)]),
                or_(Member.tier.is_(None), Member.tier.in_(placement.ladder.below(tier))),
            )
            for tier in free
        ]
    return unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.active,
            Member.hold_id.is_(None),  # an owner has to decide about them first
            or_(*usable),
            Member.id.not_in(passed_over),
        )
        .order_by(Member.waiting_since, Member.id)
        .limit(1)
    ).one_or_none()


def exchange_tiers(unit: Unit, first: Member, second: Member) -> None:
    """Give each of two members by hand what the other holds; no seat is taken or given back, so none must be free.

    Source: rule S4.
    """
    unit.lock()
    for member, tier in ((first, second.tier), (second, first.tier)):
        _settle(unit, member, place_by_hand(tier, holding_of(member), SeatReason.SWAPPED), "swapped", given_back=True)


def take_out_of_line(unit: Unit, member: Member) -> None:
    """Let a member keep what they hold and wait no more, whatever groups and rules say (rule A6)."""
    unit.lock()
    holding = holding_of(member)
    _settle(unit, member, place_by_hand(holding.tier, holding, SeatReason.OUT_OF_LINE), "out_of_line")


def free_seat(unit: Unit, member: Member, reason: SeatReason = SeatReason.DEACTIVATED) -> str | None:
    """Take seat, place in line and pin from a member who loses access; return the freed tier (rule K1)."""
    unit.lock()
    if member.tier is None and member.waiting_for is None and not member.pinned:
        return None
    return _settle(unit, member, deactivate(holding_of(member), reason), str(reason))


def assign_tier(
    unit: Unit,
    member_id: MemberId,
    tier: str,
    *,
    buy_if_needed: bool = False,
    key: str | None = None,
    priced_at: datetime | None = None,
) -> Member:
    """Place a member by hand.

    The choice outlasts later group changes, until the member is reactivated (rule A6).

    Args:
        unit: The unit.
        member_id: Whom.
        tier: A tier, or ``unassigned``.
        buy_if_needed: Buy the seat when none is free: at the difference for who holds a paid lower seat on a team plan
            (rule P7), as a whole seat otherwise (rule P9). Needs an owner.
        key: Business key of the purchase; a repeat charges nothing.
        priced_at: The instant that the proration of the purchase counts from (rule Q2); the unit's by default.

    Raises:
        ForbiddenError: The actor may not assign seats, or not buy them.
        NoSeatAvailableError: No seat of the tier is free and none was to be bought (rule S5).
        PaymentFailedError: The payment was declined; the unit must roll back.
    """
    unit.require(Permission.ASSIGN_SEATS)
    unit.lock()
    member = get_member(unit, member_id)
    if not member.active:
        raise InvalidInputError("member", "is deactivated: activate the person before giving a seat")
    target = None if tier == UNASSIGNED else tier
    ladder = ladder_of(read_pools(unit))
    if target is not None and target not in ladder:
        raise InvalidInputError("tier", f"there is no tier {tier!r}; there is {', '.join(ladder.keys)}")
    freed = place_member(unit, member, target, buy_if_needed=buy_if_needed, key=key, priced_at=priced_at)
    promote_waiting(unit, [freed])
    return member


def place_member(
    unit: Unit,
    member: Member,
    target: str | None,
    *,
    buy_if_needed: bool,
    key: str | None,
    priced_at: datetime | None = None,
) -> str | None:
    """Put a member on a tier by hand, buying the seat if that is wished; return the freed tier."""
    holding = holding_of(member)
    if target == holding.tier:
        if not holding.pinned:
            _settle(unit, member, place_by_hand(target, holding), "assigned")
        return None
    if target is None or take_seat(unit, target):
        return _settle(unit, member, place_by_hand(target, holding), "assigned")
    if not buy_if_needed:
        raise NoSeatAvailableError(target)
    unit.require(Permission.MANAGE_BILLING)
    if holding.tier is not None:
        # Given back before the purchase, so that an exchange can take the lower seat off the plan (rule P7).
        give_back_seat(unit, holding.tier)
    change = SeatChange({target: 1}, at=priced_at or unit.at, upgrade_from=holding.tier)
    invoice = execute_change(unit, unit.billing.quote(change), key=key or f"assign:{member.id}:{new_id()}")
    if not take_seat(unit, target):
        raise RuntimeError(f"a {target} seat was bought and cannot be taken")
    decision = place_by_hand(target, holding, SeatReason.PURCHASED)
    invoice_id = uuid.UUID(invoice.id) if invoice else None
    return _settle(unit, member, decision, "assigned", invoice_id=invoice_id, given_back=True)
