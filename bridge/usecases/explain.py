"""Why somebody has the seat they have: one sentence, and every decision that led to it."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from bridge.domain.identifiers import GroupId, MemberId
from bridge.domain.roles import Permission
from bridge.store.directory import get_connection, get_member, groups_of, mapping_set_in_force
from bridge.store.models import Connection, Decision, Group, Invoice, MappingVersion, Member
from bridge.store.nesting import inherited_through
from bridge.store.pools import ladder_of, read_pools
from bridge.store.teams import teams_of
from bridge.store.unit import Unit
from bridge.usecases.actors import name_actors as name_actors  # noqa: PLC0414 (asked for here by others)
from bridge.usecases.lines import PlaceInLine, places_in_line
from bridge.usecases.provisional import provisional_sentence
from bridge.usecases.read_holds import held_sentence
from mappings.documents import from_stored
from mappings.reasons import SENTENCES, SeatReason, because
from mappings.rules import GroupCondition, MappingSet
from mappings.tiers import TierLadder

HISTORY_LENGTH = 50


@dataclass(frozen=True, slots=True)
class ExplainedDecision:
    """One decision in words.

    Attributes:
        because: To stand after "because", without a full stop.
        rule: What the deciding rule speaks of, as "the group Engineering"; None when none decided.
        rule_number: Its place in the mapping version of that time, from 1; None when it cannot be told.
        losing: What the rules that matched and lost spoke of.
        pools: ``{tier name: (used, total)}`` right after.
        was_paid_for: Whether something was bought for it; which invoice paid it is for who may see money (rule Z1).
        actor: Who caused it, in words.
    """

    at: datetime
    occasion: str
    from_tier: str | None
    to_tier: str | None
    from_name: str
    to_name: str
    reason: SeatReason
    because: str
    waiting_for: str | None
    groups: tuple[str, ...]
    rule: str | None
    rule_number: int | None
    losing: tuple[str, ...]
    mapping_version: int
    pools: Mapping[str, tuple[int, int]]
    was_paid_for: bool
    invoice_id: uuid.UUID | None
    invoice_number: str | None
    request_id: str
    actor: str

    @property
    def moves(self) -> bool:
        """Whether the seat became another one."""
        return self.from_tier != self.to_tier


@dataclass(frozen=True, slots=True)
class Explanation:
    """One person's seat explained.

    Attributes:
        through: Of groups that the person is in only through groups inside them: the names of those they are
            directly in.
        sentence: The whole answer, ending with a full stop.
        decisions: Newest first, at most :data:`HISTORY_LENGTH`.
        teams: Where the plan is not sold by seats: the names of the teams the person is in, archived ones too.
        held: What the brake keeps from the person, or an owner kept, ending with a full stop.
        provisional: That no directory has named the person yet, or in time, ending with a full stop.
        current: The decision that the present state follows from; None for somebody never looked at.
    """

    member: Member
    connection: Connection
    ladder: TierLadder
    groups: tuple[Group, ...]
    through: Mapping[GroupId, tuple[str, ...]]
    sentence: str
    because: str
    place: PlaceInLine | None
    decisions: tuple[ExplainedDecision, ...]
    teams: tuple[str, ...] = ()
    held: str | None = None
    provisional: str | None = None

    @property
    def current(self) -> ExplainedDecision | None:
        """Return the newest decision that says something."""
        said = (decision for decision in self.decisions if decision.reason is not SeatReason.KEPT)
        return next(said, self.decisions[0] if self.decisions else None)


def explain_member(unit: Unit, member_id: MemberId) -> Explanation:
    """Explain somebody's seat, from the decisions that were recorded.

    Raises:
        ForbiddenError: Neither an admin nor the person asks.
        NotFoundError: There is no such member here.
    """
    if unit.actor.id != member_id:
        unit.require(Permission.SEE_CONSOLE)
    member = get_member(unit, member_id)
    ladder = ladder_of(read_pools(unit))
    stored = unit.session.scalars(
        select(Decision)
        .where(Decision.org_id == unit.org_id, Decision.member_id == member.id)
        .order_by(Decision.seq.desc())
        .limit(HISTORY_LENGTH)
    ).all()
    groups, through = tuple(groups_of(unit, member.id)), inherited_through(unit, member.id)
    connection = get_connection(unit, member.connection_id)
    versions = _mapping_versions(unit, {decision.mapping_version for decision in stored}, ladder)
    priced = unit.actor.may(Permission.SEE_BILLING)
    told = explain_decisions(unit, stored, ladder)
    decisions = _with_ways(told, stored, through, versions, ladder, priced=priced)
    said = [decision for decision in decisions if decision.reason is not SeatReason.KEPT] or list(decisions)
    reason = said[0].because if said else _why_undecided(ladder, active=member.active)
    return Explanation(
        member=member,
        connection=connection,
        ladder=ladder,
        groups=groups,
        through=through,
        sentence=_sentence(member.display_name, member.tier, reason, ladder),
        because=reason,
        place=places_in_line(unit, [member.id]).get(member.id),
        decisions=tuple(decisions),
        teams=() if len(ladder) else tuple(team.name for team in teams_of(unit, member.id)),
        held=held_sentence(unit, member),
        provisional=provisional_sentence(member, connection.name),
    )


def seat_sentence(name: str, tier: str | None, decision: Decision | None, ladder: TierLadder, *, active: bool) -> str:
    """Explain somebody's seat in one sentence, from their newest decision that says something; None for none."""
    reason = _why_undecided(ladder, active=active) if decision is None else stored_because(decision, ladder)
    return _sentence(name, tier, reason, ladder)


def _sentence(name: str, tier: str | None, reason: str, ladder: TierLadder) -> str:
    return f"{name} has {_seat(ladder, tier)} because {reason}."


def _with_ways(
    decisions: list[ExplainedDecision],
    stored: Sequence[Decision],
    through: Mapping[GroupId, tuple[str, ...]],
    versions: Mapping[int, MappingSet],
    ladder: TierLadder,
    *,
    priced: bool,
) -> list[ExplainedDecision]:
    """Say of the decision that the present state follows from through which inner groups its rule speaks.

    Of that one only: memberships are known as they are now, and any change of them leads to a look at the seat.
    """
    ways = {str(group_id): names for group_id, names in through.items()}
    for place, (told, decision) in enumerate(zip(decisions, stored, strict=True)):
        if told.reason is SeatReason.KEPT:
            continue
        version = versions.get(decision.mapping_version)
        rule_key = (decision.rule or {}).get("key", "")
        deciding = None if version is None else version.rule(rule_key)
        condition = None if deciding is None else deciding.condition
        names = ways.get(condition.group) if isinstance(condition, GroupCondition) else None
        if names:
            rule = f"{told.rule} (through {', '.join(names)})"
            said = stored_because(decision, ladder, about=rule, priced=priced)
            decisions[place] = replace(told, rule=rule, because=said)
        break
    return decisions


def explain_decisions(unit: Unit, stored: Iterable[Decision], ladder: TierLadder) -> list[ExplainedDecision]:
    """Put stored decisions into words; the names they need are read at once for all of them.

    Prices and invoices are for who may see money (rule Z1).
    """
    decisions = list(stored)
    priced = unit.actor.may(Permission.SEE_BILLING)
    actors = name_actors(unit, {decision.actor for decision in decisions})
    versions = _mapping_versions(unit, {decision.mapping_version for decision in decisions}, ladder)
    paid = {decision.invoice_id for decision in decisions if decision.invoice_id} if priced else set[uuid.UUID]()
    invoices = _invoice_numbers(unit, paid)
    return [_explained(decision, ladder, actors, versions, invoices, priced=priced) for decision in decisions]


def stored_because(decision: Decision, ladder: TierLadder, *, about: str | None = None, priced: bool = False) -> str:
    """Return the reason of a stored decision, to stand after "because".

    Args:
        decision: Which one.
        ladder: Gives the tiers their names.
        about: What its rule speaks of, in other words than the stored ones.
        priced: Whether to say how the price of a bought seat came about, for who may see money (rule Z1).
    """
    rule = decision.rule or {}
    formula = decision.purchase["formula"] if priced and decision.purchase else ""
    paid = f" ({formula})" if formula else ""
    said = because(
        SeatReason(decision.reason),
        ladder,
        tier=decision.to_tier,
        rule=about or rule.get("about"),
        wanted=decision.waiting_for or rule.get("tier"),
        before=decision.from_tier,
    )
    return said + paid


def _explained(
    decision: Decision,
    ladder: TierLadder,
    actors: Mapping[str, str],
    versions: Mapping[int, MappingSet],
    invoices: Mapping[uuid.UUID, str],
    *,
    priced: bool,
) -> ExplainedDecision:
    rule = decision.rule or {}
    version = versions.get(decision.mapping_version)
    losing = [
        found.about for key in decision.losing_rules if version is not None and (found := version.rule(key)) is not None
    ]
    return ExplainedDecision(
        at=decision.at,
        occasion=decision.occasion,
        from_tier=decision.from_tier,
        to_tier=decision.to_tier,
        from_name=ladder.name_of(decision.from_tier),
        to_name=ladder.name_of(decision.to_tier),
        reason=SeatReason(decision.reason),
        because=stored_because(decision, ladder, priced=priced),
        waiting_for=decision.waiting_for,
        groups=tuple(decision.groups),
        rule=rule.get("about"),
        rule_number=version.number_of(rule["key"]) if version is not None and "key" in rule else None,
        losing=tuple(losing),
        mapping_version=decision.mapping_version,
        pools={
            ladder.name_of(tier): (count["used"], count["total"])
            for tier in ladder.keys
            if (count := decision.pools.get(tier)) is not None
        },
        was_paid_for=decision.invoice_id is not None,
        invoice_id=decision.invoice_id if priced else None,
        invoice_number=invoices.get(decision.invoice_id) if decision.invoice_id else None,
        request_id=decision.request_id,
        actor=actors.get(decision.actor, decision.actor),
    )


def _mapping_versions(unit: Unit, wanted: set[int], ladder: TierLadder) -> dict[int, MappingSet]:
    in_force = mapping_set_in_force(unit, ladder)
    found = {in_force.version: in_force}
    older = wanted - {in_force.version, 0}
    if older:
        rows = unit.session.scalars(
            select(MappingVersion).where(MappingVersion.org_id == unit.org_id, MappingVersion.version.in_(older))
        )
        found |= {row.version: from_stored(row.document, ladder, version=row.version) for row in rows}
    return found


def _invoice_numbers(unit: Unit, ids: set[uuid.UUID]) -> dict[uuid.UUID, str]:
    if not ids:
        return {}
    rows = unit.session.execute(
        select(Invoice.id, Invoice.number).where(Invoice.org_id == unit.org_id, Invoice.id.in_(ids))
    )
    return {row[0]: row[1] for row in rows}


def _seat(ladder: TierLadder, tier: str | None) -> str:
    return "no seat" if tier is None else ladder.name_of(tier)


def _why_undecided(ladder: TierLadder, *, active: bool) -> str:
    if not len(ladder):
        return SENTENCES[SeatReason.NOT_BY_SEATS]
    if not active:
        return "access is turned off"
    return "nobody has given one yet"
