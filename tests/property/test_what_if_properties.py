"""What is said to change somebody's seat is what changes it, and the fewest freed seats are the fewest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mappings.allocation import Grant, Holding
from mappings.people import Person, Pool
from mappings.preview import moves_under_pool, moves_under_regrouping
from mappings.rules import GroupCondition, MappingRule, MappingSet, OnExhausted, PersonFacts
from mappings.tiers import ANY, SeatTier, TierLadder
from mappings.what_if import Alternative, Change, alternatives

LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
GROUPS = ("eng", "ops", "all")
START = datetime(2026, 3, 2, tzinfo=UTC)

rules = st.lists(
    st.tuples(st.sampled_from(GROUPS), st.sampled_from(["premium", "standard", "unassigned"])), max_size=3, unique=True
)


@st.composite
def mapping_sets(draw: st.DrawFn) -> MappingSet:
    """Some rules about groups."""
    return MappingSet(
        rules=tuple(
            MappingRule(f"rule {number}", GroupCondition(group, name=group), tier=tier)
            for number, (group, tier) in enumerate(draw(rules))
        ),
        on_exhausted=draw(st.sampled_from(OnExhausted)),
    )


@st.composite
def people(draw: st.DrawFn) -> Person:
    """Somebody in some groups, who holds a seat or waits for one."""
    tier = draw(st.sampled_from([None, "premium", "standard"]))
    waiting = draw(st.sampled_from([None, "premium", "standard"] + ([ANY] if tier is None else [])))
    return Person(
        member_id=draw(st.integers(0, 1_000_000)),
        facts=PersonFacts(groups=draw(st.frozensets(st.sampled_from(GROUPS)))),
        holding=Holding(
            tier=tier,
            granted_by=draw(st.sampled_from([Grant.MAPPING, Grant.HIGHEST])) if tier else None,
            waiting_for=waiting if waiting != tier else None,
        ),
    )


def in_line(person: Person, place: int) -> Person:
    return replace(person, member_id=place, waiting_since=START + timedelta(seconds=place))


@given(people(), mapping_sets(), st.integers(0, 2), st.integers(0, 2))
def test_other_groups_do_what_was_said_of_them(
    person: Person, mapping_set: MappingSet, premium: int, standard: int
) -> None:
    pools = {"premium": Pool(premium + 1, 1), "standard": Pool(standard + 1, 1)}

    found = [one for one in alternatives(person, mapping_set, LADDER, pools, []) if one.change in GROUP_CHANGES]

    told = {(one.change, one.subject): one for one in found}
    for group in mapping_set.groups:
        change = Change.LEAVE_GROUP if group in person.facts.groups else Change.JOIN_GROUP
        groups = person.facts.groups ^ {group}
        moved = replace(person, facts=PersonFacts(groups=groups))
        settled = moves_under_regrouping([moved], mapping_set, LADDER, pools).settlements
        after = settled[0].decision.holding if settled else person.holding
        expected = told.get((change, group))
        if expected is None:
            assert (after.tier, after.waiting_for) == (person.holding.tier, person.holding.waiting_for)
        else:
            assert (expected.after.tier, expected.after.waiting_for) == (after.tier, after.waiting_for)


@given(st.lists(people(), min_size=1, max_size=6), mapping_sets(), st.data())
def test_the_fewest_freed_seats_serve_and_one_less_does_not(
    crowd: list[Person], mapping_set: MappingSet, data: st.DataObject
) -> None:
    line = [in_line(person, place) for place, person in enumerate(crowd) if person.holding.waiting_for is not None]
    pools = {"premium": Pool(3, 3), "standard": Pool(3, 3)}
    if not line:
        return
    person = data.draw(st.sampled_from(line))

    found = [one for one in alternatives(person, mapping_set, LADDER, pools, line) if one.change is Change.SEATS_FREED]

    for one in found:
        tier = "standard" if one.subject == ANY else str(one.subject)
        assert tier_of(person, line, mapping_set, pools, {tier: one.seats}) == one.after.tier
        if one.seats > 1:
            assert tier_of(person, line, mapping_set, pools, {tier: one.seats - 1}) is None


GROUP_CHANGES = (Change.LEAVE_GROUP, Change.JOIN_GROUP)


def tier_of(
    person: Person, line: list[Person], mapping_set: MappingSet, pools: dict[str, Pool], added: dict[str, int]
) -> str | None:
    moves = moves_under_pool(line, mapping_set, LADDER, pools, added).moves
    return next((move.to_tier for move in moves if move.member_id == person.member_id), None)


@given(people(), mapping_sets())
def test_every_alternative_is_a_sentence_about_the_person(person: Person, mapping_set: MappingSet) -> None:
    pools = {"premium": Pool(1, 1), "standard": Pool(2, 1)}
    line = [in_line(person, 0)] if person.holding.waiting_for else []

    found: tuple[Alternative, ...] = alternatives(
        replace(person, member_id=0), mapping_set, LADDER, pools, line, active=False
    )

    for one in found:
        assert "Ada" in one.sentence("Ada", LADDER)
        assert one.sentence("Ada", LADDER).endswith(".")
