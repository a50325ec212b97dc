"""The running model behind a preview: people take and leave seats in order, then the line moves up.

It does to counts what applying does to the pools, one person after another. People whom the rules cannot tell
apart form a cohort: rules are resolved, and wishes and decisions made, once for a cohort, and cohorts that
nothing can happen to are never walked through.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import heapify, heappop
from operator import attrgetter
from typing import Final
from uuid import UUID

from mappings.allocation import (
    Holding,
    MemberKey,
    Occasion,
    SeatDecision,
    SeatReason,
    SeatWish,
    decide,
    wish,
)
from mappings.people import Person, PersonClass, Purse
from mappings.resolution import Entitlement, resolve
from mappings.rules import MappingSet, PersonFacts
from mappings.tiers import TierLadder

_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)

FactsKey = tuple[frozenset[str], frozenset[tuple[str, str | tuple[str, ...]]], str]


@dataclass(slots=True)
class Cohort:
    """People with the same facts and the same holding, and what the rules say of them before and after."""

    facts: PersonFacts
    holding: Holding
    before: Entitlement
    after: Entitlement
    wish: SeatWish
    count: int = 0
    member_ids: list[MemberKey] = field(default_factory=list)
    since: list[datetime] = field(default_factory=list)
    decisions: dict[str | None, SeatDecision] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Whether a seat may be taken or given up."""
        return bool(self.wish.tiers) or self.wish.release

    @property
    def is_walked(self) -> bool:
        """Whether each of the people has an outcome of their own."""
        return self.is_active or self.wish.waiting_for is not None

    def decide(self, obtained: str | None) -> SeatDecision:
        """Decide once for each outcome, not once for each person."""
        decision = self.decisions.get(obtained)
        if decision is None:
            decision = self.decisions[obtained] = decide(self.wish, obtained, self.holding)
        return decision


@dataclass(slots=True)
class Outcome:
    """What one person ends with."""

    member_id: MemberKey
    cohort: Cohort
    decision: SeatDecision
    since: datetime


class Model:
    """Counts of free seats, and what happened to whom.

    Args:
        mapping_set: The rules that hold from now on.
        ladder: The organization's tiers.
        free: Free seats by tier key; copied.
    """

    def __init__(self, mapping_set: MappingSet, ladder: TierLadder, free: dict[str, int]) -> None:
        self.mapping_set, self.ladder, self.free = mapping_set, ladder, dict(free)
        self._line_wishes: dict[tuple[int, Holding], SeatWish] = {}

    def remap(self, cohorts: Iterable[Cohort]) -> list[Outcome]:
        """Look at everybody in the order of their ids; return those who touched, or may yet touch, a seat.

        A freed seat can be taken by the very next person (rule S2).

        Source: rule A8.
        """
        outcomes: list[Outcome] = []
        turns: list[tuple[MemberKey, Cohort, datetime]] = []
        for cohort in cohorts:
            since = cohort.since or [_END_OF_TIME] * len(cohort.member_ids)
            if cohort.is_active:
                turns.extend(
                    (member_id, cohort, instant) for member_id, instant in zip(cohort.member_ids, since, strict=True)
                )
            elif cohort.wish.waiting_for is not None:
                stays = cohort.decide(None)
                outcomes.extend(
                    Outcome(member_id, cohort, stays, instant)
                    for member_id, instant in zip(cohort.member_ids, since, strict=True)
                )
        by_id = id_order(turn[0] for turn in turns[:1])
        turns.sort(key=lambda turn: by_id(turn[0]))
        free = self.free
        for member_id, cohort, since_instant in turns:
            obtained = cohort.wish.first_free(free)
            decision = cohort.decide(obtained)
            if obtained is not None:
                free[obtained] -= 1
            if decision.tier != decision.from_tier and decision.from_tier is not None:
                free[decision.from_tier] = free.get(decision.from_tier, 0) + 1
            outcomes.append(Outcome(member_id, cohort, decision, since_instant))
        return outcomes

    def move_up(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Give free seats to people in line until nobody can use one; return who moved, in order.

        The decisions of those who move are replaced. Each time the first person in line who can use any free
        seat gets the best that they wish; the seat they leave, if any, is free for the next.
        """
        if not any(count > 0 for count in self.free.values()):
            return []
        line = [outcome for outcome in outcomes if outcome.decision.waiting_for is not None]
        by_id = id_order(outcome.member_id for outcome in line[:1])
        line.sort(key=lambda outcome: (outcome.since, by_id(outcome.member_id)))
        wishes = [self._line_wish(outcome) for outcome in line]
        queues: dict[str, list[int]] = {}
        for place, wanted in enumerate(wishes):
            for tier in wanted.tiers:
                queues.setdefault(tier, []).append(place)
        for queue in queues.values():
            heapify(queue)
        moved: dict[int, Outcome] = {}
        while (first := self._first_served(queues, wishes)) is not None:
            moved[first] = line[first]
            wishes[first] = self._promote(line[first], wishes[first])
        return list(moved.values())

    def buy(self, outcomes: Iterable[Outcome], purse: Purse) -> list[Outcome]:
        """Buy seats for people in line, first in line first, as far as budgets go; return who moved, in order.

        The line has moved up before, so that nothing is bought while a free seat would do. A seat that somebody
        leaves for a bought one is given to the line before anything else is bought.
        """
        line = [outcome for outcome in outcomes if outcome.decision.waiting_for is not None]
        by_id = id_order(outcome.member_id for outcome in line[:1])
        line.sort(key=lambda outcome: (outcome.since, by_id(outcome.member_id)))
        purse.look_up([outcome.member_id for outcome in line if self._line_wish(outcome).buys])
        moved: dict[int, Outcome] = {}
        for outcome in line:
            wanted = self._line_wish(outcome)
            tier = purse.take(outcome.member_id, wanted.buys) if wanted.buys else None
            if tier is None:
                continue
            leaves = outcome.decision.tier
            self.free[tier] = self.free.get(tier, 0) + 1
            self._obtain(outcome, wanted, tier, SeatReason.BOUGHT)
            moved[id(outcome)] = outcome
            if leaves is not None:
                moved |= {id(each): each for each in self.move_up(line)}
        return list(moved.values())

    def _first_served(self, queues: dict[str, list[int]], wishes: list[SeatWish]) -> int | None:
        """Return the first place in line that can use a free seat, dropping who no longer wants one."""
        first: int | None = None
        for tier, queue in queues.items():
            if self.free.get(tier, 0) <= 0:
                continue
            while queue and tier not in wishes[queue[0]].tiers:
                heappop(queue)
            if queue and (first is None or queue[0] < first):
                first = queue[0]
        return first

    def _promote(self, outcome: Outcome, wanted: SeatWish) -> SeatWish:
        """Give the person the best free seat they wish and return what they wish afterwards."""
        obtained = wanted.first_free(self.free)
        assert obtained is not None, "only somebody who can use a free seat is promoted"
        return self._obtain(outcome, wanted, obtained)

    def _obtain(self, outcome: Outcome, wanted: SeatWish, obtained: str, reason: SeatReason | None = None) -> SeatWish:
        """Give the person a free seat of a tier and return what they wish afterwards."""
        earlier = outcome.decision
        self.free[obtained] -= 1
        if earlier.tier is not None:
            self.free[earlier.tier] = self.free.get(earlier.tier, 0) + 1
        decision = decide(wanted, obtained, earlier.holding)
        still_short = decision.waiting_for is not None and earlier.alert
        outcome.decision = replace(
            decision,
            from_tier=outcome.cohort.holding.tier,
            reason=reason or decision.reason,
            alert=still_short,
            alert_tier=earlier.alert_tier if still_short else None,
        )
        return self._line_wish(outcome)

    def _line_wish(self, outcome: Outcome) -> SeatWish:
        holding = outcome.decision.holding
        key = (id(outcome.cohort), holding)
        found = self._line_wishes.get(key)
        if found is None:
            after = outcome.cohort.after
            found = wish(after, holding, Occasion.PROMOTION, self.ladder, self.mapping_set.on_exhausted)
            self._line_wishes[key] = found
        return found


def gather(
    people: Iterable[Person | PersonClass],
    old_set: MappingSet,
    new_set: MappingSet,
    ladder: TierLadder,
    wish_of: Callable[[Entitlement, Holding], SeatWish],
) -> list[Cohort]:
    """Put people into cohorts and resolve the rules once for each kind of facts.

    Args:
        people: Single people, classes, or both.
        old_set: The rules in force.
        new_set: The rules that would hold.
        ladder: The organization's tiers.
        wish_of: What to try for somebody.
    """
    resolved: dict[FactsKey, tuple[Entitlement, Entitlement]] = {}
    cohorts: dict[tuple[FactsKey, Holding], Cohort] = {}
    # The same objects mostly come again and again; looking them up by identity spares hashing their contents.
    # The people themselves are kept alive by the list, so no identity is used twice.
    known: dict[tuple[int, int], Cohort] = {}
    everybody = list(people)
    for person in everybody:
        facts, holding = person.facts, person.holding
        shortcut = (id(facts), id(holding))
        cohort = known.get(shortcut)
        if cohort is None:
            facts_key = (facts.groups, frozenset(facts.attributes.items()), facts.connection)
            cohort = cohorts.get((facts_key, holding))
            if cohort is None:
                if facts_key not in resolved:
                    resolved[facts_key] = (resolve(facts, old_set, ladder), resolve(facts, new_set, ladder))
                before, after = resolved[facts_key]
                cohort = Cohort(facts, holding, before, after, wish_of(after, holding))
                cohorts[facts_key, holding] = cohort
            known[shortcut] = cohort
        if isinstance(person, Person):
            cohort.count += 1
            cohort.member_ids.append(person.member_id)
            if holding.waiting_for is not None:
                cohort.since.append(person.waiting_since or _END_OF_TIME)
        else:
            cohort.count += person.count
            cohort.member_ids.extend(person.member_ids)
            if holding.waiting_for is not None:
                cohort.since.extend(person.waiting_since or [_END_OF_TIME] * len(person.member_ids))
    return list(cohorts.values())


def id_order(sample: Iterable[MemberKey]) -> Callable[[MemberKey], MemberKey]:
    """Return a key that orders ids as they order themselves; a UUID's integer compares much faster."""
    first = next(iter(sample), None)
    return attrgetter("int") if isinstance(first, UUID) else _as_it_is


def _as_it_is(member_id: MemberKey) -> MemberKey:
    return member_id
