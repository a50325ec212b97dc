from datetime import UTC, datetime, timedelta

import pytest

from mappings.allocation import Grant, Holding, SeatReason
from mappings.preview import Person, PersonClass, Pool, moves_under, moves_under_pool, needs_members
from mappings.rules import GroupCondition, MappingRule, MappingSet, OnExhausted, PersonFacts
from mappings.tiers import SeatTier, TierLadder

LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)


def gives(**tiers: str) -> MappingSet:
    rules = tuple(MappingRule(group, GroupCondition(group), tier) for group, tier in tiers.items())
    return MappingSet(1, rules)


def person(
    member_id: int,
    group: str,
    tier: str | None,
    grant: Grant = Grant.MAPPING,
    *,
    waiting_for: str | None = None,
    since: datetime | None = None,
) -> Person:
    holding = Holding(tier, grant if tier else None, pinned=False, waiting_for=waiting_for)
    return Person(member_id, PersonFacts(frozenset({group})), holding, since)


def pools(premium: tuple[int, int], standard: tuple[int, int]) -> dict[str, Pool]:
    return {"premium": Pool(*premium), "standard": Pool(*standard)}


def test_a8_new_rules_move_present_people_in_the_order_of_their_ids() -> None:
    # Case T69: 2 of each; u1 and u2 came first and have premium, u3 has standard.
    people = [
        person(3, "sales", "standard", Grant.HIGHEST),
        person(1, "sales", "premium", Grant.HIGHEST),
        person(2, "eng", "premium", Grant.HIGHEST),
    ]
    new_set = gives(eng="premium", sales="standard", guests="unassigned")

    preview = moves_under(people, MappingSet(), new_set, LADDER, pools((2, 2), (2, 1)))

    assert [(move.member_id, move.from_tier, move.to_tier) for move in preview.moves] == [(1, "premium", "standard")]
    assert preview.moves[0].reason is SeatReason.MAPPING
    assert preview.moves[0].rule == new_set.rules[1]
    assert preview.moves[0].rule_before is None
    # All three now have their seats from the mapping, which is stored though two of them do not move.
    assert sum(settlement.count for settlement in preview.settlements) == 3


def test_s2_a_seat_that_an_earlier_person_frees_goes_to_a_later_one() -> None:
    people = [person(1, "ops", "premium"), person(2, "eng", "standard")]
    old_set, new_set = gives(ops="premium", eng="standard"), gives(ops="standard", eng="premium")

    preview = moves_under(people, old_set, new_set, LADDER, pools((1, 1), (2, 1)))

    assert [(move.member_id, move.to_tier) for move in preview.moves] == [(1, "standard"), (2, "premium")]


def test_a_seat_that_a_later_person_frees_reaches_an_earlier_one_through_the_line() -> None:
    people = [person(1, "eng", "standard"), person(2, "ops", "premium")]
    old_set, new_set = gives(ops="premium", eng="standard"), gives(ops="standard", eng="premium")

    preview = moves_under(people, old_set, new_set, LADDER, pools((1, 1), (2, 1)))

    assert [(move.member_id, move.reason) for move in preview.moves] == [
        (1, SeatReason.PROMOTED),
        (2, SeatReason.MAPPING),
    ]
    assert preview.short_by == {}


def test_who_waited_longest_comes_first_when_the_line_moves_up() -> None:
    people = [
        person(1, "eng", None, waiting_for="any", since=TUESDAY),
        person(2, "eng", None, waiting_for="any", since=MONDAY),
        person(3, "ops", "standard"),
    ]

    preview = moves_under(people, gives(ops="standard"), gives(), LADDER, pools((0, 0), (1, 1)))

    assert [(move.member_id, move.to_tier) for move in preview.moves] == [(2, "standard"), (3, None)]
    assert preview.short_by == {None: 1}


def test_the_summary_counts_who_stays_who_moves_and_who_is_short() -> None:
    # 2 premium seats: ops had both and goes down; 4 leads go up, so 2 get the freed seats and 2 keep standard and wait.
    people = [person(number, "ops", "premium") for number in (1, 2)]
    people += [person(number, "leads", "standard") for number in (3, 4, 5, 6)]
    old_set = gives(ops="premium", leads="standard")
    new_set = gives(ops="standard", leads="premium")

    preview = moves_under(people, old_set, new_set, LADDER, pools((2, 2), (6, 4)))

    assert preview.summary == {
        ("premium", "standard"): 2,
        ("standard", "premium"): 2,
        ("standard", "standard"): 2,
    }
    # Premium 2 - 2 + 2 = 2; standard 4 + 2 - 2 = 4.
    assert [(count.tier, count.seats, count.now, count.after, count.short) for count in preview.seats] == [
        ("premium", 2, 2, 2, 2),
        ("standard", 6, 4, 4, 0),
        (None, None, 0, 0, 0),
    ]
    assert preview.short_by == {"premium": 2}
    assert [(change.member_id, change.before, change.after) for change in preview.line_changes] == [
        (5, None, "premium"),
        (6, None, "premium"),
    ]
    assert preview.decided_by == {"ops": 2, "leads": 4}


def test_buying_the_missing_seats_at_the_same_time_leaves_nobody_short() -> None:
    people = [person(number, "leads", "standard") for number in (1, 2)]

    preview = moves_under(people, gives(leads="standard"), gives(leads="premium"), LADDER, pools((2, 0), (2, 2)))

    assert preview.short_by == {}
    assert preview.summary == {("standard", "premium"): 2}


def test_who_leaves_the_line_and_keeps_the_seat_is_listed() -> None:
    people = [person(1, "eng", "standard", Grant.HIGHEST, waiting_for="premium", since=MONDAY)]

    preview = moves_under(people, gives(eng="premium"), gives(), LADDER, pools((0, 0), (1, 1)))

    assert preview.moves == ()
    assert [(change.before, change.after, change.tier) for change in preview.line_changes] == [
        ("premium", None, "standard")
    ]


def test_pinned_people_are_counted_apart_and_left_alone() -> None:
    pinned = Person(1, PersonFacts(frozenset({"eng"})), Holding("standard", Grant.MANUAL, pinned=True))

    preview = moves_under([pinned], gives(), gives(eng="premium"), LADDER, pools((1, 0), (1, 1)))

    assert (preview.moves, preview.settlements) == ((), ())
    assert (preview.pinned, preview.decided_by) == (1, {})


def test_who_gains_or_loses_a_role_or_a_team_is_listed() -> None:
    old_set = MappingSet(1, (MappingRule("ops", GroupCondition("ops"), teams=("night",)),))
    new_set = MappingSet(2, (MappingRule("ops", GroupCondition("ops"), role="admin", teams=("day",)),))
    people = [person(2, "ops", "standard", Grant.HIGHEST), person(1, "other", "standard", Grant.HIGHEST)]

    preview = moves_under(people, old_set, new_set, LADDER, pools((0, 0), (2, 2)))

    (change,) = preview.access_changes
    assert (change.member_id, change.role_before, change.role_after) == (2, None, "admin")
    assert (change.teams_gained, change.teams_lost) == (("day",), ("night",))


def test_somebody_promoted_part_of_the_way_is_one_move_and_still_short() -> None:
    policy = OnExhausted.NEXT_LOWER
    new_set = MappingSet(2, (MappingRule("eng", GroupCondition("eng"), "premium", on_exhausted=policy),))
    people = [person(1, "eng", None), person(2, "ops", "standard")]

    preview = moves_under(people, gives(ops="standard"), new_set, LADDER, pools((0, 0), (1, 1)))

    assert [(move.member_id, move.to_tier, move.waiting_for) for move in preview.moves] == [
        (1, "standard", "premium"),
        (2, None, None),
    ]
    alerts = [settlement.decision.alert_tier for settlement in preview.settlements if settlement.decision.alert]
    assert alerts == ["premium"]


def test_classes_that_nothing_happens_to_need_no_ids() -> None:
    facts, holding = PersonFacts(frozenset({"eng"})), Holding("premium", Grant.MAPPING)
    old_set, new_set = gives(eng="premium"), gives(eng="premium", ops="standard")

    preview = moves_under(
        [PersonClass(facts, holding, 40_000)], old_set, new_set, LADDER, pools((40_000, 40_000), (0, 0))
    )

    assert not needs_members(facts, holding, old_set, new_set, LADDER)
    assert preview.summary == {("premium", "premium"): 40_000}
    assert preview.settlements == ()


def test_a_class_that_may_change_is_refused_without_its_ids() -> None:
    facts, holding = PersonFacts(frozenset({"eng"})), Holding("premium", Grant.MAPPING)

    assert needs_members(facts, holding, gives(eng="premium"), gives(), LADDER)
    with pytest.raises(ValueError, match="without their ids"):
        moves_under([PersonClass(facts, holding, 2)], gives(eng="premium"), gives(), LADDER, {})


@pytest.mark.parametrize(("ids", "instants"), [((1,), ()), ((1, 2), (MONDAY,))])
def test_a_class_whose_lengths_disagree_is_refused(ids: tuple[int, ...], instants: tuple[datetime, ...]) -> None:
    with pytest.raises(ValueError, match="for"):
        PersonClass(PersonFacts(), Holding(), 2, ids, instants)


def test_bought_seats_go_to_the_line_in_its_order() -> None:
    people = [
        person(1, "eng", "standard", waiting_for="premium", since=TUESDAY),
        person(2, "eng", None, waiting_for="premium", since=MONDAY),
        person(3, "other", None, waiting_for="any", since=TUESDAY),
    ]
    rules = gives(eng="premium")

    preview = moves_under_pool(people, rules, LADDER, pools((0, 0), (1, 1)), {"premium": 2})

    # 2 has waited longest; 1 leaves a standard seat behind, which 3 takes.
    assert [(move.member_id, move.to_tier) for move in preview.moves] == [
        (2, "premium"),
        (1, "premium"),
        (3, "standard"),
    ]
    assert preview.seats[0].seats == 2


def test_an_overfull_pool_has_no_free_seat() -> None:
    assert Pool(seats=3, used=5).free == 0


def test_somebody_who_moves_twice_is_one_move_from_the_seat_they_have_now() -> None:
    policy = OnExhausted.NEXT_LOWER
    new_set = MappingSet(2, (MappingRule("eng", GroupCondition("eng"), "premium", on_exhausted=policy),))
    people = [person(1, "eng", None), person(2, "ops", "premium")]

    # 1 takes standard meanwhile, 2 gives premium up, 1 moves on to it.
    preview = moves_under(people, gives(ops="premium"), new_set, LADDER, pools((1, 1), (1, 0)))

    assert [(move.member_id, move.from_tier, move.to_tier) for move in preview.moves] == [
        (1, None, "premium"),
        (2, "premium", None),
    ]
    assert preview.summary == {(None, "premium"): 1, ("premium", None): 1}
    assert not any(settlement.decision.alert for settlement in preview.settlements)
