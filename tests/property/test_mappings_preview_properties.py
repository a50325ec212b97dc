"""The preview against a model that applies the same rules to one person after another, without classes or queues."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mappings.allocation import Grant, Holding, Occasion, SeatDecision, allocate, wish
from mappings.preview import MovesPreview, Person, PersonClass, Pool, moves_under, moves_under_pool
from mappings.resolution import Entitlement, resolve
from mappings.rules import GroupCondition, MappingRule, MappingSet, OnExhausted, PersonFacts
from mappings.tiers import SeatTier, TierLadder

LADDER = TierLadder([SeatTier("a", "A", 3), SeatTier("b", "B", 2), SeatTier("c", "C", 1)])
GROUPS = ("g1", "g2", "g3", "g4")
DAWN = datetime(2026, 1, 1, tzinfo=UTC)
DUSK = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass
class State:
    holding: Holding
    since: datetime
    entitlement: Entitlement


class Pools:
    """One tier count each, taken and given back like the store's, refusing what must never happen."""

    def __init__(self, seats: dict[str, int], used: Counter[str]) -> None:
        self.free = {tier: seats[tier] - used[tier] for tier in seats}

    def apply(self, decision: SeatDecision) -> None:
        if decision.tier == decision.from_tier:
            return
        if decision.tier is not None:
            assert self.free[decision.tier] > 0, "over-allocated"
            self.free[decision.tier] -= 1
        if decision.from_tier is not None:
            self.free[decision.from_tier] += 1


@st.composite
def mapping_sets(draw: st.DrawFn) -> MappingSet:
    rules = []
    for group in draw(st.lists(st.sampled_from(GROUPS), unique=True)):
        tier = draw(st.sampled_from(["a", "b", "c", "unassigned", None]))
        policy = draw(st.sampled_from([None, None, *OnExhausted]))
        rules.append(MappingRule(group, GroupCondition(group), tier, on_exhausted=policy))
    default = draw(st.sampled_from(["highest_available", "highest_available", "b", "unassigned"]))
    return MappingSet(1, tuple(rules), draw(st.sampled_from(OnExhausted)), default)


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    pinned = draw(st.sampled_from([False, False, False, True]))
    tier = draw(st.sampled_from(["a", "b", "c", None]))
    waiting_for = draw(st.sampled_from([None, None, "a", "b", "c", "any"]))
    if waiting_for == tier or (waiting_for == "any" and tier is not None):
        waiting_for = None
    grant = draw(st.sampled_from([Grant.MAPPING, Grant.HIGHEST, Grant.DEFAULT, Grant.MANUAL]))
    if pinned:
        grant = Grant.MANUAL
    return Holding(tier, grant if tier or pinned else None, pinned=pinned, waiting_for=waiting_for)


@st.composite
def organizations(draw: st.DrawFn) -> tuple[list[Person], dict[str, int]]:
    people = []
    for member_id in draw(st.permutations(range(draw(st.integers(0, 14))))):
        holding = draw(holdings())
        facts = PersonFacts(frozenset(draw(st.sets(st.sampled_from(GROUPS), max_size=2))))
        since = DAWN + timedelta(days=draw(st.integers(0, 3))) if holding.waiting_for else None
        people.append(Person(member_id, facts, holding, since))
    used = used_seats(people)
    return people, {tier: used[tier] + draw(st.integers(0, 3)) for tier in LADDER.keys}


def used_seats(people: list[Person]) -> Counter[str]:
    return Counter(person.holding.tier for person in people if person.holding.tier is not None)


def as_pools(people: list[Person], seats: dict[str, int]) -> dict[str, Pool]:
    used = used_seats(people)
    return {tier: Pool(seats[tier], used[tier]) for tier in seats}


def apply_in_sequence(
    people: list[Person], mapping_set: MappingSet, seats: dict[str, int], *, remap: bool = True
) -> tuple[dict[int, State], list[int]]:
    pools = Pools(seats, used_seats(people))
    states: dict[int, State] = {}
    for person in sorted(people, key=lambda person: person.member_id):
        assert isinstance(person.member_id, int)
        entitlement = resolve(person.facts, mapping_set, LADDER)
        state = states[person.member_id] = State(person.holding, person.waiting_since or DUSK, entitlement)
        if remap:
            step(state, mapping_set, pools, Occasion.REMAPPED)
    order = []
    while (member_id := first_served(states, mapping_set, pools)) is not None:
        step(states[member_id], mapping_set, pools, Occasion.PROMOTION)
        order.append(member_id)
    return states, order


def step(state: State, mapping_set: MappingSet, pools: Pools, occasion: Occasion) -> None:
    asked = wish(state.entitlement, state.holding, occasion, LADDER, mapping_set.on_exhausted)
    decision = allocate(asked, pools.free, state.holding)
    pools.apply(decision)
    state.holding = decision.holding


def first_served(states: dict[int, State], mapping_set: MappingSet, pools: Pools) -> int | None:
    for member_id, state in sorted(states.items(), key=lambda item: (item[1].since, item[0])):
        if state.holding.waiting_for is None:
            continue
        asked = wish(state.entitlement, state.holding, Occasion.PROMOTION, LADDER, mapping_set.on_exhausted)
        if asked.first_free(pools.free) is not None:
            return member_id
    return None


def settled(people: list[Person], preview: MovesPreview) -> list[Person]:
    """Store what the preview says to store, by its settlements alone."""
    stored = {}
    for settlement in preview.settlements:
        assert settlement.count == len(settlement.member_ids)
        for member_id in settlement.member_ids:
            assert member_id not in stored
            stored[member_id] = settlement.decision.holding
    after = []
    for person in people:
        holding = stored.get(person.member_id, person.holding)
        since = (person.waiting_since or DUSK) if holding.waiting_for else None
        after.append(Person(person.member_id, person.facts, holding, since))
    return after


@given(organizations(), mapping_sets(), mapping_sets())
def test_the_preview_is_what_applying_in_sequence_does(
    organization: tuple[list[Person], dict[str, int]], old_set: MappingSet, new_set: MappingSet
) -> None:
    people, seats = organization

    preview = moves_under(people, old_set, new_set, LADDER, as_pools(people, seats))

    states, _ = apply_in_sequence(people, new_set, seats)
    before = {person.member_id: person.holding for person in people}
    assert {person.member_id: person.holding for person in settled(people, preview)} == {
        member_id: state.holding for member_id, state in states.items()
    }
    assert {move.member_id: (move.from_tier, move.to_tier) for move in preview.moves} == {
        member_id: (before[member_id].tier, state.holding.tier)
        for member_id, state in states.items()
        if state.holding.tier != before[member_id].tier
    }
    assert [move.member_id for move in preview.moves] == sorted(
        move.member_id for move in preview.moves if isinstance(move.member_id, int)
    )
    assert {change.member_id: (change.before, change.after) for change in preview.line_changes} == {
        member_id: (before[member_id].waiting_for, state.holding.waiting_for)
        for member_id, state in states.items()
        if state.holding.tier == before[member_id].tier and state.holding.waiting_for != before[member_id].waiting_for
    }


@given(organizations(), mapping_sets(), mapping_sets())
def test_g3_no_pool_is_over_allocated_and_everybody_is_counted_once(
    organization: tuple[list[Person], dict[str, int]], old_set: MappingSet, new_set: MappingSet
) -> None:
    people, seats = organization

    preview = moves_under(people, old_set, new_set, LADDER, as_pools(people, seats))

    assert all(count.after <= seats[count.tier] for count in preview.seats if count.tier)
    assert sum(count.now for count in preview.seats) == len(people)
    assert sum(count.after for count in preview.seats) == len(people)
    assert sum(preview.summary.values()) == len(people)
    assert sum(preview.decided_by.values()) + preview.pinned == preview.people == len(people)
    after = settled(people, preview)
    waiting = Counter(person.holding.waiting_for for person in after if person.holding.waiting_for)
    assert {tier or "any": number for tier, number in preview.short_by.items()} == waiting


@given(organizations(), mapping_sets(), mapping_sets())
def test_a7_applying_the_same_rules_again_changes_nothing(
    organization: tuple[list[Person], dict[str, int]], old_set: MappingSet, new_set: MappingSet
) -> None:
    people, seats = organization
    after = settled(people, moves_under(people, old_set, new_set, LADDER, as_pools(people, seats)))

    again = moves_under(after, new_set, new_set, LADDER, as_pools(after, seats))

    assert again.moves == ()
    assert again.line_changes == ()
    assert again.settlements == ()


@given(organizations(), mapping_sets(), mapping_sets())
def test_classes_give_the_same_preview_as_single_people(
    organization: tuple[list[Person], dict[str, int]], old_set: MappingSet, new_set: MappingSet
) -> None:
    people, seats = organization
    pools = as_pools(people, seats)
    by_class: dict[tuple[frozenset[str], Holding], list[Person]] = {}
    for person in people:
        by_class.setdefault((person.facts.groups, person.holding), []).append(person)
    classes = [
        PersonClass(
            PersonFacts(groups),
            holding,
            len(alike),
            [person.member_id for person in alike],
            [person.waiting_since or DUSK for person in alike if holding.waiting_for],
        )
        for (groups, holding), alike in by_class.items()
    ]

    assert moves_under(classes, old_set, new_set, LADDER, pools) == moves_under(people, old_set, new_set, LADDER, pools)


@given(organizations(), mapping_sets(), st.dictionaries(st.sampled_from(LADDER.keys), st.integers(0, 4)))
def test_more_seats_go_to_the_line_in_its_order_and_to_nobody_else(
    organization: tuple[list[Person], dict[str, int]], mapping_set: MappingSet, added: dict[str, int]
) -> None:
    people, seats = organization
    grown = {tier: seats[tier] + added.get(tier, 0) for tier in seats}

    preview = moves_under_pool(people, mapping_set, LADDER, as_pools(people, seats), added)

    _, order = apply_in_sequence(people, mapping_set, grown, remap=False)
    in_line = {person.member_id for person in people if person.holding.waiting_for}
    assert [move.member_id for move in preview.moves] == list(dict.fromkeys(order))
    assert {move.member_id for move in preview.moves} <= in_line
    assert all(count.after <= grown[count.tier] for count in preview.seats if count.tier)
