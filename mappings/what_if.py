"""What would change somebody's seat: other groups, a seat that frees, a look as if newly added.

Every answer is computed by the rules that would decide, over the seats and the line as they are now; nothing is
guessed from their wording.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from mappings.allocation import NOTHING, Holding, Occasion, SeatDecision, decide, wish
from mappings.conditions import leaves
from mappings.people import Person, Pool, Purse
from mappings.preview import moves_under_pool
from mappings.resolution import resolve
from mappings.rules import GroupCondition, MappingSet
from mappings.tiers import ANY, TierLadder

MOST_JOINED: Final = 5
"""So many groups that somebody could join are told of, those of the first rules first."""


class Change(StrEnum):
    """What could happen."""

    LEAVE_GROUP = "leave_group"
    JOIN_GROUP = "join_group"
    SEATS_FREED = "seats_freed"
    """So many seats of the tier become free, or are bought."""
    LOOKED_AT_ANEW = "looked_at_anew"
    """Access is turned on, or off and on again (rule K2)."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Something that would change what a person has, and what they would have then.

    Attributes:
        change: What happens.
        subject: The group, or the tier whose seats become free.
        seats: How many seats have to become free, the fewest that do; 0 for another change.
        before: What the person has.
        after: What the person would have.
        bought: Whether the seat would be bought within a budget.
    """

    change: Change
    subject: str | None
    seats: int
    before: Holding
    after: Holding
    bought: bool = False

    def sentence(self, name: str, ladder: TierLadder) -> str:
        """Say it in English, with a full stop: "Leaving the group Engineering would move Alice to Standard."."""
        if self.change is Change.SEATS_FREED:
            return self._seats_sentence(name, ladder)
        if self.change is Change.LOOKED_AT_ANEW:
            how = "Turning access off and on again" if self.before.pinned else "Turning access on"
        else:
            how = f"{'Leaving' if self.change is Change.LEAVE_GROUP else 'Joining'} the group {self.subject}"
        bought = ", by a seat bought within the budget" if self.bought else ""
        return f"{how} would {_effect(self.before, self.after, name, ladder)}{bought}."

    def _seats_sentence(self, name: str, ladder: TierLadder) -> str:
        tier = "" if self.subject == ANY else f"{ladder.name_of(self.subject)} "
        given = ladder.name_of(self.after.tier)
        if self.seats == 1:
            return f"The next free {tier}seat goes to {name}."
        served = "1 person is" if self.seats == 2 else f"{self.seats - 1:,} people are"  # noqa: PLR2004  # one served before
        return f"{self.seats:,} free {tier}seats would give {name} {given}: {served} served first."


def alternatives(
    person: Person,
    mapping_set: MappingSet,
    ladder: TierLadder,
    pools: Mapping[str, Pool],
    line: Sequence[Person],
    *,
    active: bool = True,
    joinable: Collection[str] | None = None,
    purse: Purse | None = None,
) -> tuple[Alternative, ...]:
    """Find what would change a person's seat or place in line, each thing by itself.

    Args:
        person: Whom, with the facts and the holding of now.
        mapping_set: The rules in force.
        ladder: The organization's tiers; without any, nobody needs a seat and nothing is found.
        pools: Seats by tier key.
        line: Everybody who waits, the person included if they do.
        active: Whether the person has access; without it only a new look can give a seat.
        joinable: Ids of the groups that could take the person in; all of them by default.
        purse: What budgets have left; asked afresh for each thing, and nothing is taken from it.

    Source: rules A1 to A6, K1 and K2.
    """
    if not len(ladder):
        return ()
    free = {tier: pool.free for tier, pool in pools.items()}
    found = []
    if active:
        found += _other_groups(person, mapping_set, ladder, free, joinable=joinable, purse=purse)
        found += _freed_seats(person, mapping_set, ladder, pools, line)
    if not active or person.holding.pinned:
        found += _looked_at_anew(person, mapping_set, ladder, pools, line, purse=purse)
    return tuple(found)


def _other_groups(
    person: Person,
    mapping_set: MappingSet,
    ladder: TierLadder,
    free: Mapping[str, int],
    *,
    joinable: Collection[str] | None,
    purse: Purse | None,
) -> list[Alternative]:
    mine = person.facts.groups
    named = {
        leaf.group: leaf.label
        for rule in mapping_set.rules
        if rule.tier is not None
        for leaf in leaves(rule.condition)
        if isinstance(leaf, GroupCondition)
    }

    def with_groups(change: Change, name: str, groups: frozenset[str]) -> Alternative:
        entitlement = resolve(replace(person.facts, groups=groups), mapping_set, ladder)
        asked = wish(entitlement, person.holding, Occasion.REGROUPED, ladder, mapping_set.on_exhausted)
        decision = decide(asked, asked.first_free(free), person.holding)
        return _bought(_alternative(change, name, person, decision), person, decision, purse)

    left = [with_groups(Change.LEAVE_GROUP, name, mine - {group}) for group, name in named.items() if group in mine]
    joined = [
        with_groups(Change.JOIN_GROUP, name, mine | {group})
        for group, name in named.items()
        if group not in mine and (joinable is None or group in joinable)
    ]
    return [one for one in left if _differs(one)] + [one for one in joined if _differs(one)][:MOST_JOINED]


def _freed_seats(
    person: Person, mapping_set: MappingSet, ladder: TierLadder, pools: Mapping[str, Pool], line: Sequence[Person]
) -> list[Alternative]:
    """Find the fewest seats that would serve somebody in line; of any tier, of the lowest one."""
    wanted = person.holding.waiting_for
    if wanted is None:
        return []
    tier = ladder.keys[-1] if wanted == ANY else wanted

    def served(seats: int) -> str | None:
        moves = moves_under_pool(line, mapping_set, ladder, pools, {tier: seats}).moves
        return next((move.to_tier for move in moves if move.member_id == person.member_id), None)

    low, high = 1, max(len(line), 1)
    if tier not in ladder or served(high) is None:
        return []
    while low < high:
        middle = (low + high) // 2
        if served(middle) is None:
            low = middle + 1
        else:
            high = middle
    after = Holding(tier=served(low), granted_by=person.holding.granted_by, pinned=person.holding.pinned)
    return [Alternative(Change.SEATS_FREED, wanted, low, person.holding, after)]


def _looked_at_anew(
    person: Person,
    mapping_set: MappingSet,
    ladder: TierLadder,
    pools: Mapping[str, Pool],
    line: Sequence[Person],
    *,
    purse: Purse | None,
) -> list[Alternative]:
    """Place somebody as if newly added, once the line has taken the seat that they give up meanwhile (rule K2)."""
    held = person.holding.tier
    given_up = {
        tier: Pool(pool.seats, pool.used - 1) if tier == held and pool.used else pool for tier, pool in pools.items()
    }
    others = [one for one in line if one.member_id != person.member_id]
    free = {tier: pool.free for tier, pool in given_up.items()}
    for move in moves_under_pool(others, mapping_set, ladder, given_up, {}).moves:
        if move.from_tier is not None:
            free[move.from_tier] = free.get(move.from_tier, 0) + 1
        if move.to_tier is not None:
            free[move.to_tier] = free.get(move.to_tier, 0) - 1
    asked = wish(
        resolve(person.facts, mapping_set, ladder), NOTHING, Occasion.ARRIVED, ladder, mapping_set.on_exhausted
    )
    decision = decide(asked, asked.first_free(free), NOTHING)
    found = _bought(_alternative(Change.LOOKED_AT_ANEW, None, person, decision), person, decision, purse)
    return [found] if _differs(found) else []


def _alternative(change: Change, subject: str | None, person: Person, decision: SeatDecision) -> Alternative:
    return Alternative(change, subject, 0, person.holding, decision.holding)


def _bought(found: Alternative, person: Person, decision: SeatDecision, purse: Purse | None) -> Alternative:
    """Say what a budget would buy, as it does at once for who meets a full tier and would wait."""
    if purse is None or not decision.buys or decision.waiting_for is None:
        return found
    purse.look_up([person.member_id])
    tier = purse.would_take(person.member_id, decision.buys)
    if tier is None:
        return found
    return replace(found, after=replace(found.after, tier=tier, waiting_for=None), bought=True)


def _differs(found: Alternative) -> bool:
    return (found.before.tier, found.before.waiting_for) != (found.after.tier, found.after.waiting_for)


def _effect(before: Holding, after: Holding, name: str, ladder: TierLadder) -> str:
    tier = ladder.name_of(after.tier)
    line = "" if after.waiting_for is None else f"in line for {_wanted(after.waiting_for, ladder)}"
    if after.tier is None and before.tier is not None:
        effect = f"take the {ladder.name_of(before.tier)} seat from {name}"
        return f"{effect} and put them {line}" if line else effect
    if after.tier != before.tier:
        effect = f"move {name} to {tier}" if before.tier else f"give {name} {tier}"
        return f"{effect} and put them {line}" if line and after.waiting_for != before.waiting_for else effect
    if line:
        return f"put {name} {line}"
    return f"take {name} out of the line for {_wanted(before.waiting_for, ladder)}"


def _wanted(tier: str | None, ladder: TierLadder) -> str:
    return "any seat" if tier == ANY else ladder.name_of(tier)
