from datetime import UTC, datetime, timedelta

import pytest

from mappings.allocation import (
    NOTHING,
    Grant,
    Holding,
    Occasion,
    SeatDecision,
    SeatReason,
    Waiting,
    allocate,
    deactivate,
    decide,
    place_by_hand,
    promotion_order,
    waiting_for_tier,
    wish,
)
from mappings.resolution import resolve
from mappings.rules import GroupCondition, MappingRule, MappingSet, OnExhausted, PersonFacts
from mappings.tiers import SeatTier, TierLadder

LADDER = TierLadder(
    [SeatTier("premium", "Premium", 3), SeatTier("standard", "Standard", 2), SeatTier("basic", "Basic", 1)]
)
TWO_TIERS = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
ENG = MappingRule("eng", GroupCondition("eng"), "premium")
SALES = MappingRule("sales", GroupCondition("sales"), "standard")
GUESTS = MappingRule("guests", GroupCondition("guests"), "unassigned")
RULES = MappingSet(1, (ENG, SALES, GUESTS))
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def place(
    *groups: str,
    free: dict[str, int],
    holding: Holding = NOTHING,
    occasion: Occasion = Occasion.ARRIVED,
    policy: OnExhausted = OnExhausted.UNASSIGNED,
    rules: MappingSet = RULES,
    ladder: TierLadder = LADDER,
) -> SeatDecision:
    entitlement = resolve(PersonFacts(frozenset(groups)), rules, ladder)
    return allocate(wish(entitlement, holding, occasion, ladder, policy), free, holding)


def held(tier: str | None, grant: Grant | None = Grant.MAPPING, waiting_for: str | None = None) -> Holding:
    return Holding(tier, grant, pinned=False, waiting_for=waiting_for)


# Arriving


def test_rules_a1_and_a3_the_best_free_tier_then_the_next_then_the_line() -> None:
    # Case T60: 1 premium and 1 standard for three people.
    first = place(free={"premium": 1, "standard": 1}, ladder=TWO_TIERS)
    second = place(free={"premium": 0, "standard": 1}, ladder=TWO_TIERS)
    third = place(free={"premium": 0, "standard": 0}, ladder=TWO_TIERS)

    assert (first.tier, first.reason, first.granted_by) == (
        "premium",
        SeatReason.HIGHEST_AVAILABLE,
        Grant.HIGHEST,
    )
    assert (second.tier, second.alert) == ("standard", False)
    assert (third.tier, third.reason, third.waiting_for) == (None, SeatReason.NO_SEAT_LEFT, "any")
    assert (third.alert, third.alert_tier) == (True, "any")


def test_a2_a_mapping_comes_before_the_best_free_tier() -> None:
    # Case T61: 2 of each.
    free = {"premium": 2, "standard": 2}

    sales, guest, other = (place(group, free=free, ladder=TWO_TIERS) for group in ("sales", "guests", "other"))

    assert (sales.tier, sales.reason, sales.granted_by) == ("standard", SeatReason.MAPPING, Grant.MAPPING)
    assert (guest.tier, guest.reason, guest.waiting_for) == (None, SeatReason.MAPPED_UNASSIGNED, None)
    assert not guest.alert
    assert (other.tier, other.reason) == ("premium", SeatReason.HIGHEST_AVAILABLE)


def test_a4_a_new_person_whose_tier_is_full_waits_for_it_without_a_seat() -> None:
    # Case T63: premium is full, 3 standard are free.
    decision = place("eng", free={"premium": 0, "standard": 3}, ladder=TWO_TIERS)

    assert (decision.tier, decision.reason) == (None, SeatReason.TIER_EXHAUSTED)
    assert (decision.waiting_for, decision.granted_by) == ("premium", None)
    assert (decision.alert, decision.alert_tier) == (True, "premium")


def test_a4_option_next_lower_works_at_once_and_stays_in_line() -> None:
    decision = place("eng", free={"basic": 1}, policy=OnExhausted.NEXT_LOWER)

    assert (decision.tier, decision.reason) == ("basic", SeatReason.NEXT_LOWER)
    assert (decision.waiting_for, decision.alert_tier) == ("premium", "premium")


def test_option_reject_refuses_a_new_person_and_leaves_no_wait_behind() -> None:
    mapped = place("eng", free={"standard": 1}, policy=OnExhausted.REJECT)
    unmapped = place(free={}, policy=OnExhausted.REJECT)
    lucky = place("eng", free={"premium": 1}, policy=OnExhausted.REJECT)

    assert (mapped.rejected, mapped.waiting_for) == (True, None)
    assert (unmapped.rejected, unmapped.waiting_for) == (True, None)
    assert (lucky.rejected, lucky.tier) == (False, "premium")


def test_option_reject_never_refuses_somebody_who_is_there_already() -> None:
    decision = place(
        "eng",
        free={},
        holding=held("standard"),
        occasion=Occasion.REGROUPED,
        policy=OnExhausted.REJECT,
    )

    assert (decision.rejected, decision.tier, decision.waiting_for) == (False, "standard", "premium")


def test_a_rules_own_answer_to_a_full_tier_comes_before_the_sets() -> None:
    own = MappingRule("eng", GroupCondition("eng"), "premium", on_exhausted=OnExhausted.NEXT_LOWER)

    decision = place("eng", free={"standard": 1}, rules=MappingSet(1, (own,)))

    assert decision.tier == "standard"


def test_a_named_default_is_what_unmapped_people_get() -> None:
    rules = MappingSet(1, (ENG,), default="standard")

    free = place("other", free={"premium": 1, "standard": 1}, rules=rules)
    full = place("other", free={"premium": 1}, rules=rules)

    assert (free.tier, free.reason, free.granted_by) == ("standard", SeatReason.DEFAULT, Grant.DEFAULT)
    assert (full.tier, full.reason, full.waiting_for) == (None, SeatReason.TIER_EXHAUSTED, "standard")


def test_the_default_may_be_no_seat() -> None:
    decision = place("other", free={"premium": 1}, rules=MappingSet(1, default="unassigned"))

    assert (decision.tier, decision.reason, decision.waiting_for) == (None, SeatReason.DEFAULT, None)
    assert not decision.alert


def test_k2_reactivation_places_as_if_newly_added_and_ends_a_manual_choice() -> None:
    pinned = Holding(None, Grant.MANUAL, pinned=True)

    decision = place("sales", free={"standard": 1}, holding=pinned)

    assert (decision.tier, decision.granted_by, decision.pinned) == ("standard", Grant.MAPPING, False)


def test_k2_an_old_pin_and_place_in_line_are_gone_where_no_seat_is_free_too() -> None:
    decision = place("sales", free={}, holding=Holding(None, Grant.MANUAL, pinned=True, waiting_for="premium"))

    assert decision.holding == Holding(None, None, pinned=False, waiting_for="standard")


def test_k1_somebody_who_holds_a_seat_cannot_arrive() -> None:
    with pytest.raises(ValueError, match="cannot hold a seat already"):
        place("sales", free={}, holding=held("premium"))


# Changed groups and changed rules


@pytest.mark.parametrize("occasion", [Occasion.REGROUPED, Occasion.REMAPPED])
class TestPresentPeople:
    def test_a4_a_present_seat_stays_when_the_target_is_full(self, occasion: Occasion) -> None:
        decision = place("eng", free={"standard": 5}, holding=held("standard"), occasion=occasion)

        assert (decision.tier, decision.reason) == ("standard", SeatReason.KEPT_EXHAUSTED)
        assert (decision.waiting_for, decision.alert_tier) == ("premium", "premium")
        assert not decision.moves

    def test_a4_a_better_seat_stays_too_when_the_lower_target_is_full(self, occasion: Occasion) -> None:
        decision = place(
            "sales",
            free={"basic": 5},
            holding=held("premium"),
            occasion=occasion,
            policy=OnExhausted.NEXT_LOWER,
        )

        assert (decision.tier, decision.waiting_for) == ("premium", "standard")

    def test_next_lower_moves_up_part_of_the_way_but_never_down(self, occasion: Occasion) -> None:
        up = place("eng", free={"standard": 1}, holding=held("basic"), occasion=occasion, policy=OnExhausted.NEXT_LOWER)
        down = place(
            "eng", free={"basic": 1}, holding=held("standard"), occasion=occasion, policy=OnExhausted.NEXT_LOWER
        )

        assert (up.tier, up.reason, up.waiting_for) == ("standard", SeatReason.NEXT_LOWER, "premium")
        assert (down.tier, down.reason) == ("standard", SeatReason.KEPT_EXHAUSTED)

    def test_a5_a_seat_from_a_mapping_goes_when_no_mapping_gives_it(self, occasion: Occasion) -> None:
        decision = place("other", free={"premium": 9}, holding=held("premium"), occasion=occasion)

        assert (decision.tier, decision.reason) == (None, SeatReason.MAPPING_WITHDRAWN)
        assert (decision.granted_by, decision.waiting_for, decision.alert) == (None, None, False)

    def test_a5_a_seat_from_arrival_stays_without_a_mapping(self, occasion: Occasion) -> None:
        holding = held("premium", Grant.HIGHEST)

        decision = place("other", free={}, holding=holding, occasion=occasion)

        assert (decision.tier, decision.reason) == ("premium", SeatReason.KEPT)
        assert not decision.alters(holding)

    def test_a5_a_seat_from_arrival_becomes_the_mappings_once_one_gives_it(self, occasion: Occasion) -> None:
        decision = place("eng", free={}, holding=held("premium", Grant.HIGHEST), occasion=occasion)
        afterwards = place("other", free={}, holding=decision.holding, occasion=occasion)

        assert (decision.tier, decision.reason, decision.granted_by) == (
            "premium",
            SeatReason.MAPPING,
            Grant.MAPPING,
        )
        assert afterwards.tier is None

    def test_a6_a_manual_choice_outlasts_changes(self, occasion: Occasion) -> None:
        # Case T66: placed by hand in premium, then only in "guests".
        holding = Holding("premium", Grant.MANUAL, pinned=True)

        decision = place("guests", free={"standard": 2}, holding=holding, occasion=occasion)

        assert (decision.tier, decision.reason) == ("premium", SeatReason.KEPT)
        assert not decision.alters(holding)

    def test_a6_no_seat_by_hand_outlasts_changes_too(self, occasion: Occasion) -> None:
        holding = Holding(None, Grant.MANUAL, pinned=True)

        decision = place("eng", free={"premium": 2}, holding=holding, occasion=occasion)

        assert not decision.alters(holding)

    @pytest.mark.parametrize("groups", [("eng",), ("guests",), ("other",), ()])
    @pytest.mark.parametrize("free", [{}, {"premium": 1, "standard": 1}])
    def test_a7_repeating_changes_nothing(
        self, occasion: Occasion, groups: tuple[str, ...], free: dict[str, int]
    ) -> None:
        once = place(*groups, free=free, holding=held("standard"), occasion=occasion).holding

        # Free seats are only left over where nobody waits for them.
        left = {} if once.waiting_for else free
        again = place(*groups, free=left, holding=once, occasion=occasion)

        assert not again.alters(once)
        assert not again.alert

    def test_a_mapping_to_no_seat_gives_the_seat_up_and_does_not_wait(self, occasion: Occasion) -> None:
        decision = place("guests", free={}, holding=held("premium", Grant.HIGHEST, "standard"), occasion=occasion)

        assert decision.holding == NOTHING
        assert (decision.reason, decision.alert) == (SeatReason.MAPPED_UNASSIGNED, False)

    def test_who_waits_for_any_seat_goes_on_waiting(self, occasion: Occasion) -> None:
        holding = held(None, None, "any")

        decision = place("other", free={}, holding=holding, occasion=occasion)

        assert not decision.alters(holding)

    def test_who_waited_for_what_a_mapping_gave_leaves_the_line_with_it(self, occasion: Occasion) -> None:
        without_seat = place("other", free={}, holding=held(None, None, "premium"), occasion=occasion)
        with_seat = place("other", free={}, holding=held("standard", Grant.HIGHEST, "premium"), occasion=occasion)

        assert without_seat.holding == NOTHING
        assert without_seat.reason is SeatReason.MAPPING_WITHDRAWN
        assert with_seat.holding == held("standard", Grant.HIGHEST)

    def test_who_waits_for_the_default_goes_on_waiting(self, occasion: Occasion) -> None:
        holding = held(None, None, "standard")

        decision = place("other", free={}, holding=holding, occasion=occasion, rules=MappingSet(1, default="standard"))

        assert not decision.alters(holding)

    def test_who_has_and_awaits_nothing_gets_nothing_without_a_mapping(self, occasion: Occasion) -> None:
        decision = place("other", free={"premium": 9}, holding=NOTHING, occasion=occasion)

        assert not decision.alters(NOTHING)

    def test_a_second_look_at_a_full_tier_is_no_second_alert(self, occasion: Occasion) -> None:
        decision = place("eng", free={}, holding=held("standard", waiting_for="premium"), occasion=occasion)

        assert not decision.alert

    def test_a_mapping_to_the_seat_already_held_ends_the_wait_for_another(self, occasion: Occasion) -> None:
        decision = place("sales", free={}, holding=held("standard", waiting_for="premium"), occasion=occasion)

        assert decision.holding == held("standard")


# The line


def test_who_is_promoted_gets_what_they_waited_for_and_leaves_the_line() -> None:
    mapped = place(
        "eng", free={"premium": 1}, holding=held("standard", waiting_for="premium"), occasion=Occasion.PROMOTION
    )
    anybody = place(free={"basic": 1}, holding=held(None, None, "any"), occasion=Occasion.PROMOTION)

    assert mapped.holding == held("premium", Grant.MAPPING)
    assert mapped.reason is SeatReason.PROMOTED
    assert anybody.holding == held("basic", Grant.HIGHEST)


def test_a_promotion_to_a_lower_tier_keeps_the_place_in_line() -> None:
    decision = place(
        "eng",
        free={"standard": 1},
        holding=held(None, None, "premium"),
        occasion=Occasion.PROMOTION,
        policy=OnExhausted.NEXT_LOWER,
    )

    assert (decision.tier, decision.reason, decision.waiting_for) == (
        "standard",
        SeatReason.PROMOTED,
        "premium",
    )
    assert not decision.alert


@pytest.mark.parametrize("groups", [("guests",), ("other",)])
def test_a_promotion_never_takes_a_seat_away(groups: tuple[str, ...]) -> None:
    holding = held("standard", waiting_for="premium")

    decision = place(*groups, free={"premium": 1}, holding=holding, occasion=Occasion.PROMOTION)

    assert decision.holding == held("standard")


def test_nobody_outside_the_line_is_promoted() -> None:
    decision = place("eng", free={"premium": 1}, holding=held("standard"), occasion=Occasion.PROMOTION)

    assert not decision.alters(held("standard"))


def test_a_pinned_person_in_line_is_promoted_and_stays_pinned() -> None:
    holding = Holding("standard", Grant.MANUAL, pinned=True, waiting_for="premium")

    decision = place("guests", free={"premium": 1}, holding=holding, occasion=Occasion.PROMOTION)

    assert decision.holding == Holding("premium", Grant.MANUAL, pinned=True)


def test_the_line_is_ordered_by_the_wait_and_then_by_id() -> None:
    later = MONDAY + timedelta(seconds=1)
    line = [Waiting(3, later, "premium"), Waiting(2, MONDAY, "any"), Waiting(1, MONDAY, "standard")]

    assert [person.member_id for person in promotion_order(line)] == [1, 2, 3]


def test_a_free_seat_is_of_use_to_who_waits_for_it_for_any_or_meanwhile() -> None:
    line = [
        Waiting(1, MONDAY, "premium"),
        Waiting(2, MONDAY, "standard"),
        Waiting(3, MONDAY, "any"),
        Waiting(4, MONDAY, "premium", frozenset({"standard"})),
    ]

    assert [person.member_id for person in waiting_for_tier(line, "standard")] == [2, 3, 4]


# Decisions and their words


def test_a_seat_that_was_not_wished_cannot_be_decided_on() -> None:
    entitlement = resolve(PersonFacts(frozenset({"eng"})), RULES, LADDER)
    asked = wish(entitlement, NOTHING, Occasion.ARRIVED, LADDER)

    with pytest.raises(ValueError, match="not wished"):
        decide(asked, "basic", NOTHING)


def test_by_hand_pins_and_deactivation_frees_everything() -> None:
    by_hand = place_by_hand("premium", held("standard", waiting_for="premium"))
    gone = deactivate(by_hand.holding)

    assert by_hand.holding == Holding("premium", Grant.MANUAL, pinned=True)
    assert by_hand.moves
    assert gone.holding == NOTHING
    assert gone.from_tier == "premium"


@pytest.mark.parametrize(
    ("decision", "rule", "sentence"),
    [
        (place("eng", free={"premium": 1}), ENG, "the group eng gives Premium"),
        (place(free={"basic": 1}), None, "no mapping applies, so the best tier with a free seat"),
        (place(free={}), None, "no mapping applies and every seat is taken; waits in line"),
        (
            place("eng", free={}),
            ENG,
            "the group eng gives Premium, and every Premium seat is taken; waits in line",
        ),
        (
            place("eng", free={}, holding=held("basic"), occasion=Occasion.REGROUPED),
            ENG,
            "the group eng gives Premium, which is full; keeps Basic and waits in line",
        ),
        (
            place("eng", free={"basic": 1}, policy=OnExhausted.NEXT_LOWER),
            "the group eng",
            "the group eng gives Premium, which is full; Basic meanwhile, and in line",
        ),
        (
            place("eng", free={}, policy=OnExhausted.REJECT),
            ENG,
            "every seat this person could have is taken, and new people are refused then",
        ),
        (place("guests", free={}), GUESTS, "the group guests gives no seat"),
        (
            place(free={}, holding=held("premium"), occasion=Occasion.REGROUPED),
            None,
            "no mapping gives Premium any more",
        ),
        (
            place(free={"basic": 1}, holding=held(None, None, "any"), occasion=Occasion.PROMOTION),
            None,
            "first in line when a Basic seat became free",
        ),
        (place_by_hand("basic", NOTHING), None, "placed by hand"),
        (deactivate(held("basic")), None, "turned off, which frees the seat"),
    ],
)
def test_every_decision_explains_itself(decision: SeatDecision, rule: MappingRule | str | None, sentence: str) -> None:
    assert decision.because(LADDER, rule) == sentence
