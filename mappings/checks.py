"""Assertions compared with what a change would do: what is found, and whether that is enough."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from mappings.allocation import MemberKey
from mappings.assertions import Assertion, CostAtMost, NobodyLosesSeat, PeopleCount, seat_name
from mappings.conditions import FoldedFacts
from mappings.people import PersonClass
from mappings.preview import MovesPreview
from mappings.tiers import UNASSIGNED, TierLadder


@dataclass(frozen=True, slots=True)
class Finding:
    """An assertion and what became of it.

    Attributes:
        asserted: What must be so, in words.
        found: What is so, in words.
        holds: Whether that is enough.
        about_money: Whether it tells of prices, by what was found or by whether it holds.
        is_told: Whether who looks may know what was found, and whether it holds.
    """

    asserted: str
    found: str
    holds: bool
    about_money: bool = False
    is_told: bool = True

    def untold(self) -> "Finding":
        """Return it for who may see no prices, if it is about money: it counts all the same."""
        if not self.about_money:
            return self
        return replace(self, asserted="one condition is about money", found="an owner sees it", is_told=False)

    def __str__(self) -> str:
        return f"{self.asserted}: {self.found}"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change would do, as far as assertions ask.

    Attributes:
        people: Every active member, with the facts that the assertions ask for.
        moves: Who ends with what.
        cost: What is bought for it, tax included, in major units.
        persons: Who is meant by the persons that assertions name; who is not in it is unknown here.
    """

    people: Sequence[PersonClass]
    moves: MovesPreview
    cost: Decimal
    persons: Mapping[str, MemberKey]


def check(assertions: Collection[Assertion], effect: Effect, ladder: TierLadder) -> tuple[Finding, ...]:
    """Compare each assertion with what a change would do."""
    if not assertions:
        return ()
    after = {move.member_id: move.to_tier for move in effect.moves.moves}
    return tuple(_finding(assertion, effect, after, ladder) for assertion in assertions)


def _finding(
    assertion: Assertion, effect: Effect, after: Mapping[MemberKey, str | None], ladder: TierLadder
) -> Finding:
    told = assertion.told(ladder)
    if isinstance(assertion, NobodyLosesSeat):
        lost = sum(move.from_tier is not None and move.to_tier is None for move in effect.moves.moves)
        return Finding(told, "1 person does" if lost == 1 else f"{lost} people do", lost == 0)
    if isinstance(assertion, CostAtMost):
        return Finding(told, f"it is {effect.cost}", effect.cost <= assertion.amount, about_money=True)
    if isinstance(assertion, PeopleCount):
        number = _count(assertion, effect.people, after)
        enough = assertion.at_least is None or number >= assertion.at_least
        few = assertion.at_most is None or number <= assertion.at_most
        return Finding(told, f"there {'is' if number == 1 else 'are'} {number}", enough and few)
    member_id = effect.persons.get(assertion.person)
    if member_id is None:
        return Finding(told, "nobody active is called so", holds=False)
    held = after[member_id] if member_id in after else _held(member_id, effect.people)
    return Finding(told, f"it is {seat_name(ladder, held or UNASSIGNED)}", (held or UNASSIGNED) == assertion.tier)


def _count(assertion: PeopleCount, people: Sequence[PersonClass], after: Mapping[MemberKey, str | None]) -> int:
    number = 0
    for each in people:
        if assertion.condition is not None and not assertion.condition.holds(FoldedFacts.of(each.facts)):
            continue
        if assertion.tier is None:
            number += each.count
            continue
        moved = [after[member_id] for member_id in each.member_ids if member_id in after]
        number += sum((tier or UNASSIGNED) == assertion.tier for tier in moved)
        if (each.holding.tier or UNASSIGNED) == assertion.tier:
            number += each.count - len(moved)
    return number


def _held(member_id: MemberKey, people: Sequence[PersonClass]) -> str | None:
    return next((each.holding.tier for each in people if member_id in each.member_ids), None)
