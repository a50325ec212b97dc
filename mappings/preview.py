"""What changed rules, or more seats, would do to everybody, before anything is done."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mappings.allocation import Holding, MemberKey, Occasion, SeatDecision, SeatReason, SeatWish, wish
from mappings.moves import Cohort, Model, Outcome, gather, id_order
from mappings.people import Person, PersonClass, Pool, Purse
from mappings.resolution import Entitlement, resolve
from mappings.rules import MappingRule, MappingSet, PersonFacts
from mappings.tiers import ANY, TierLadder

__all__ = [
    "AccessChange",
    "LineChange",
    "Move",
    "MovesPreview",
    "Person",
    "PersonClass",
    "Pool",
    "Settlement",
    "TierCount",
    "moves_after_regrouping",
    "moves_under",
    "moves_under_budget",
    "moves_under_pool",
    "moves_under_regrouping",
    "needs_members",
]


@dataclass(frozen=True, slots=True)
class Move:
    """Somebody who ends with another seat.

    Attributes:
        member_id: Who.
        from_tier: The seat now; None without one.
        to_tier: The seat afterwards.
        reason: Why.
        rule: The rule that decides afterwards, or None when none speaks.
        rule_before: The rule that decides now.
        waiting_for: What the person is in line for afterwards.
    """

    member_id: MemberKey
    from_tier: str | None
    to_tier: str | None
    reason: SeatReason
    rule: MappingRule | None
    rule_before: MappingRule | None
    waiting_for: str | None


@dataclass(frozen=True, slots=True)
class LineChange:
    """Somebody who joins, leaves or changes the line and keeps the seat they have, or has none."""

    member_id: MemberKey
    tier: str | None
    before: str | None
    after: str | None
    reason: SeatReason
    rule: MappingRule | None


@dataclass(frozen=True, slots=True)
class AccessChange:
    """Somebody to whom the rules give another role or other teams."""

    member_id: MemberKey
    role_before: str | None
    role_after: str | None
    teams_gained: tuple[str, ...]
    teams_lost: tuple[str, ...]
    rule: MappingRule | None


@dataclass(frozen=True, slots=True)
class TierCount:
    """One line of the table "Seats, now and after".

    Attributes:
        tier: Tier key; None for people without a seat.
        seats: Seats that may be assigned; None for people without a seat.
        now: People who hold one.
        after: People who would hold one; never more than :attr:`seats`, unless that is so already.
        short: People who would be in line for this tier; for None, those who would take any.
    """

    tier: str | None
    seats: int | None
    now: int
    after: int
    short: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What to store for everybody to whom the same happens, so that applying is set-based.

    Attributes:
        decision: What each of them ends with.
        holding: What each of them had.
        facts: What the rules saw.
        rule: The rule that decides afterwards.
        member_ids: Who; empty when only the number was given for a class (then the holding and the facts say
            who).
        count: How many.
    """

    decision: SeatDecision
    holding: Holding
    facts: PersonFacts
    rule: MappingRule | None
    member_ids: tuple[MemberKey, ...]
    count: int


@dataclass(frozen=True, slots=True)
class MovesPreview:
    """The whole effect of a change.

    Attributes:
        moves: Everybody whose seat changes; by id for changed rules, in the order of the line for added
            seats.
        line_changes: Everybody whose place in line changes without a move, by id.
        access_changes: Everybody whose role or teams change, by id.
        summary: People by (tier now, tier afterwards), those who stay included.
        seats: Now and after, best tier first, "no seat" last.
        decided_by: People by the key of the rule that decides afterwards; None for those of whom no rule
            speaks.
        pinned: People placed by hand, whom the rules leave alone; not counted in :attr:`decided_by`.
        people: How many were looked at.
        settlements: What to store, each group of people once. Includes people who keep their seat on other
            grounds.
    """

    moves: tuple[Move, ...]
    line_changes: tuple[LineChange, ...]
    access_changes: tuple[AccessChange, ...]
    summary: Mapping[tuple[str | None, str | None], int]
    seats: tuple[TierCount, ...]
    decided_by: Mapping[str | None, int]
    pinned: int
    people: int
    settlements: tuple[Settlement, ...]

    @property
    def short_by(self) -> dict[str | None, int]:
        """People in line afterwards by the tier they wait for, without zeros; None for any tier."""
        return {count.tier: count.short for count in self.seats if count.short}


def moves_under(
    people: Iterable[Person | PersonClass],
    old_set: MappingSet,
    new_set: MappingSet,
    ladder: TierLadder,
    pools: Mapping[str, Pool],
    *,
    purse: Purse | None = None,
) -> MovesPreview:
    """Show what changed rules would do to everybody.

    People are looked at in the order of their ids, freed seats can be taken by whoever comes next, and then
    the line moves up: who waited longest first, people who begin to wait now behind them by id.

    Args:
        people: Every active member, once, as single people or as classes.
        old_set: The rules in force; they only tell what is different.
        new_set: The rules that would hold.
        ladder: The organization's tiers.
        pools: Seats by tier key; a missing tier has none. Add seats here to see what a purchase at the same
            time would do.
        purse: Seats are bought from it for who is in line in the end, where the rules say so.

    Raises:
        ValueError: A class came without ids of which somebody may be touched (see :func:`needs_members`).

    Source: rules A2 to A8.
    """

    def remapped(entitlement: Entitlement, holding: Holding) -> SeatWish:
        return wish(entitlement, holding, Occasion.REMAPPED, ladder, new_set.on_exhausted)

    cohorts = gather(people, old_set, new_set, ladder, remapped)
    for cohort in cohorts:
        if len(cohort.member_ids) != cohort.count and _touches(cohort):
            raise ValueError(f"a class of {cohort.count} people may change and came without their ids")
    model = Model(new_set, ladder, {tier: pool.free for tier, pool in pools.items()})
    outcomes = model.remap(cohorts)
    model.move_up(outcomes)
    if purse is not None:
        model.buy(outcomes, purse)
        pools = _grown(pools, purse.bought)
    by_id = id_order(outcome.member_id for outcome in outcomes[:1])
    outcomes.sort(key=lambda outcome: by_id(outcome.member_id))
    return _summed_up(cohorts, outcomes, ladder, pools)


def moves_under_pool(
    people: Iterable[Person | PersonClass],
    mapping_set: MappingSet,
    ladder: TierLadder,
    pools: Mapping[str, Pool],
    added: Mapping[str, int],
) -> MovesPreview:
    """Show what more seats would do: who in line gets one, in the order in which they get it.

    Args:
        people: Everybody in line; others are counted and never move.
        mapping_set: The rules in force.
        ladder: The organization's tiers.
        pools: Seats by tier key, without the added ones.
        added: Seats to add by tier key.
    """
    cohorts = gather(people, mapping_set, mapping_set, ladder, _staying)
    grown = _grown(pools, added)
    model = Model(mapping_set, ladder, {tier: pool.free for tier, pool in grown.items()})
    waiting = model.remap(cohorts)
    return _summed_up(cohorts, _first_those(model.move_up(waiting), waiting), ladder, grown)


def moves_under_budget(
    people: Iterable[Person | PersonClass],
    mapping_set: MappingSet,
    ladder: TierLadder,
    pools: Mapping[str, Pool],
    purse: Purse,
) -> MovesPreview:
    """Show whom in line a seat is bought for, in the order in which they get it.

    Args:
        people: Everybody in line; the line has moved up already.
        mapping_set: The rules in force.
        ladder: The organization's tiers.
        pools: Seats by tier key, without the bought ones.
        purse: What budgets have left.
    """
    cohorts = gather(people, mapping_set, mapping_set, ladder, _staying)
    model = Model(mapping_set, ladder, {tier: pool.free for tier, pool in pools.items()})
    waiting = model.remap(cohorts)
    moved = model.buy(waiting, purse)
    return _summed_up(cohorts, _first_those(moved, waiting), ladder, _grown(pools, purse.bought))


def _staying(_: Entitlement, holding: Holding) -> SeatWish:
    return SeatWish(keep=True, grant=holding.granted_by, waiting_for=holding.waiting_for)


def _grown(pools: Mapping[str, Pool], added: Mapping[str, int]) -> dict[str, Pool]:
    grown = dict(pools)
    for tier, number in added.items():
        pool = grown.get(tier, Pool(0, 0))
        grown[tier] = replace(pool, seats=pool.seats + number)
    return grown


def _first_those(moved: list[Outcome], waiting: list[Outcome]) -> list[Outcome]:
    """Return who moved, in the order of the line, and those who stay in it behind."""
    known = {id(outcome) for outcome in moved}
    return [*moved, *(outcome for outcome in waiting if id(outcome) not in known)]


def moves_under_regrouping(
    people: Iterable[Person | PersonClass], mapping_set: MappingSet, ladder: TierLadder, pools: Mapping[str, Pool]
) -> MovesPreview:
    """Show what other groups do to people: each is looked at once, in order of the ids; the line does not move.

    Args:
        people: Whose groups or attributes changed, as they are now.
        mapping_set: The rules in force.
        ladder: The organization's tiers.
        pools: Seats by tier key.
    """

    def regrouped(entitlement: Entitlement, holding: Holding) -> SeatWish:
        return wish(entitlement, holding, Occasion.REGROUPED, ladder, mapping_set.on_exhausted)

    cohorts = gather(people, mapping_set, mapping_set, ladder, regrouped)
    model = Model(mapping_set, ladder, {tier: pool.seats - pool.used for tier, pool in pools.items()})
    return _summed_up(cohorts, model.remap(cohorts), ladder, pools)


def moves_after_regrouping(
    people: Iterable[Person],
    line: Iterable[Person],
    mapping_set: MappingSet,
    ladder: TierLadder,
    pools: Mapping[str, Pool],
) -> MovesPreview:
    """Show what other groups of some people do to everybody in the end.

    First what :func:`moves_under_regrouping` shows; then the line moves up into what was freed; then each of these
    people for whom the rules buy a seat is given one, as if every budget had enough left, and the line moves up into
    what they leave.

    Args:
        people: Whose groups or attributes changed, as they are now.
        line: Everybody else in line.
        mapping_set: The rules in force.
        ladder: The organization's tiers.
        pools: Seats by tier key.
    """

    def regrouped(entitlement: Entitlement, holding: Holding) -> SeatWish:
        return wish(entitlement, holding, Occasion.REGROUPED, ladder, mapping_set.on_exhausted)

    touched = gather(people, mapping_set, mapping_set, ladder, regrouped)
    others = gather(line, mapping_set, mapping_set, ladder, _staying)
    model = Model(mapping_set, ladder, {tier: pool.seats - pool.used for tier, pool in pools.items()})
    outcomes = model.remap(touched)
    frees = any(outcome.decision.moves and outcome.decision.from_tier is not None for outcome in outcomes)
    purse = _OpenPurse({outcome.member_id for outcome in outcomes})
    outcomes += model.remap(others)
    if frees:
        model.move_up(outcomes)
    model.buy(outcomes, purse)
    return _summed_up([*touched, *others], outcomes, ladder, _grown(pools, purse.bought))


class _OpenPurse:
    """Pays for a seat of each of some people, whatever it costs, and for nobody else (a :class:`Purse`)."""

    def __init__(self, member_ids: Collection[MemberKey]) -> None:
        self.bought: Counter[str] = Counter()
        self._member_ids = member_ids

    def look_up(self, member_ids: Collection[MemberKey]) -> None:
        """Nothing has to be known of anybody."""

    def take(self, member_id: MemberKey, tiers: Sequence[str]) -> str | None:
        """Take a seat of the first of these tiers."""
        tier = self.would_take(member_id, tiers)
        if tier is not None:
            self.bought[tier] += 1
        return tier

    def would_take(self, member_id: MemberKey, tiers: Sequence[str]) -> str | None:
        """Return what :meth:`take` would, and take nothing."""
        return tiers[0] if member_id in self._member_ids else None


def needs_members(
    facts: PersonFacts, holding: Holding, old_set: MappingSet, new_set: MappingSet, ladder: TierLadder
) -> bool:
    """Say whether the preview must know who the people of a class are, and not only how many."""
    after = resolve(facts, new_set, ladder)
    asked = wish(after, holding, Occasion.REMAPPED, ladder, new_set.on_exhausted)
    return _touches(Cohort(facts, holding, resolve(facts, old_set, ladder), after, asked))


def _touches(cohort: Cohort) -> bool:
    in_line = cohort.holding.waiting_for is not None or cohort.wish.waiting_for is not None
    return cohort.is_active or in_line or _changes_access(cohort)


def _changes_access(cohort: Cohort) -> bool:
    before, after = cohort.before, cohort.after
    return before is not after and (before.role != after.role or set(before.teams) != set(after.teams))


def _summed_up(
    cohorts: list[Cohort], outcomes: list[Outcome], ladder: TierLadder, pools: Mapping[str, Pool]
) -> MovesPreview:
    flows: Counter[tuple[str | None, str | None]] = Counter()
    for cohort in cohorts:
        flows[cohort.holding.tier, cohort.holding.tier] += cohort.count
    line: Counter[str | None] = Counter()
    moves: list[Move] = []
    for outcome in outcomes:
        decision = outcome.decision
        if decision.waiting_for is not None:
            line[decision.waiting_for] += 1
        if decision.tier != decision.from_tier:
            flows[decision.from_tier, decision.from_tier] -= 1
            flows[decision.from_tier, decision.tier] += 1
            moves.append(_move(outcome))
    pinned = sum(cohort.count for cohort in cohorts if cohort.holding.pinned)
    decided: Counter[str | None] = Counter()
    for cohort in cohorts:
        if not cohort.holding.pinned:
            winning = cohort.after.winning
            decided[None if winning is None else winning.key] += cohort.count
    summary = {flow: number for flow, number in flows.items() if number}
    return MovesPreview(
        moves=tuple(moves),
        line_changes=tuple(_line_changes(cohorts, outcomes)),
        access_changes=tuple(_access_changes(cohorts)),
        summary=summary,
        seats=_counts(summary, line, ladder, pools),
        decided_by=dict(decided),
        pinned=pinned,
        people=sum(cohort.count for cohort in cohorts),
        settlements=tuple(_settlements(cohorts, outcomes)),
    )


def _move(outcome: Outcome) -> Move:
    decision, cohort = outcome.decision, outcome.cohort
    return Move(
        member_id=outcome.member_id,
        from_tier=decision.from_tier,
        to_tier=decision.tier,
        reason=decision.reason,
        rule=cohort.after.winning,
        rule_before=cohort.before.winning,
        waiting_for=decision.waiting_for,
    )


def _line_changes(cohorts: list[Cohort], outcomes: list[Outcome]) -> list[LineChange]:
    changes: list[LineChange] = []

    def add(member_id: MemberKey, cohort: Cohort, decision: SeatDecision) -> None:
        before = cohort.holding.waiting_for
        if decision.waiting_for != before and decision.tier == decision.from_tier:
            rule = cohort.after.winning
            changes.append(LineChange(member_id, decision.tier, before, decision.waiting_for, decision.reason, rule))

    for outcome in outcomes:
        add(outcome.member_id, outcome.cohort, outcome.decision)
    for cohort in cohorts:
        if not cohort.is_walked and cohort.holding.waiting_for is not None:
            for member_id in cohort.member_ids:
                add(member_id, cohort, cohort.decide(None))
    by_id = id_order(change.member_id for change in changes[:1])
    changes.sort(key=lambda change: by_id(change.member_id))
    return changes


def _access_changes(cohorts: list[Cohort]) -> list[AccessChange]:
    changes: list[AccessChange] = []
    for cohort in filter(_changes_access, cohorts):
        before, after = cohort.before, cohort.after
        gained = tuple(team for team in after.teams if team not in before.teams)
        lost = tuple(team for team in before.teams if team not in after.teams)
        changes.extend(
            AccessChange(member_id, before.role, after.role, gained, lost, after.role_rule)
            for member_id in cohort.member_ids
        )
    by_id = id_order(change.member_id for change in changes[:1])
    changes.sort(key=lambda change: by_id(change.member_id))
    return changes


def _counts(
    summary: Mapping[tuple[str | None, str | None], int],
    line: Mapping[str | None, int],
    ladder: TierLadder,
    pools: Mapping[str, Pool],
) -> tuple[TierCount, ...]:
    now: Counter[str | None] = Counter()
    after: Counter[str | None] = Counter()
    for (source, goal), number in summary.items():
        now[source] += number
        after[goal] += number
    counts = [
        TierCount(tier, pools[tier].seats if tier in pools else 0, now[tier], after[tier], line.get(tier, 0))
        for tier in ladder.keys
    ]
    return (*counts, TierCount(None, None, now[None], after[None], line.get(ANY, 0)))


def _settlements(cohorts: list[Cohort], outcomes: list[Outcome]) -> list[Settlement]:
    groups: dict[tuple[int, SeatDecision], tuple[Cohort, SeatDecision, list[MemberKey]]] = {}
    shortcuts: dict[tuple[int, int], list[MemberKey]] = {}
    for outcome in outcomes:
        cohort, decision = outcome.cohort, outcome.decision
        # Decisions are shared by a cohort, so that their identity nearly always tells; it spares hashing nine
        # fields.
        shortcut = (id(cohort), id(decision))
        ids = shortcuts.get(shortcut)
        if ids is None:
            ids = groups.setdefault((id(cohort), decision), (cohort, decision, []))[2]
            shortcuts[shortcut] = ids
        ids.append(outcome.member_id)
    settlements = [
        _settlement(cohort, decision, ids, len(ids))
        for cohort, decision, ids in groups.values()
        if decision.alters(cohort.holding)
    ]
    for cohort in cohorts:
        if cohort.is_walked:
            continue
        decision = cohort.decide(None)
        if decision.alters(cohort.holding):
            settlements.append(_settlement(cohort, decision, cohort.member_ids, cohort.count))
    return settlements


def _settlement(cohort: Cohort, decision: SeatDecision, member_ids: list[MemberKey], count: int) -> Settlement:
    return Settlement(decision, cohort.holding, cohort.facts, cohort.after.winning, tuple(member_ids), count)
