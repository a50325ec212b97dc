import pytest

from mappings.resolution import resolve
from mappings.rules import (
    AttributeCondition,
    GroupCondition,
    MappingRule,
    MappingSet,
    PersonFacts,
    RoleNotMappableError,
    comparison_key,
)
from mappings.tiers import HIGHEST_AVAILABLE, SeatTier, TierLadder

BASIC = SeatTier("basic", "Basic", 1)
STANDARD = SeatTier("standard", "Standard", 2)
PREMIUM = SeatTier("premium", "Premium", 3)
LADDER = TierLadder([STANDARD, PREMIUM, BASIC])


def rule(group: str, tier: str | None = None, **more: object) -> MappingRule:
    return MappingRule(f"group:{comparison_key(group)}", GroupCondition(group), tier, **more)  # type: ignore[arg-type]  # test shorthand


def person(*groups: str, **attributes: str) -> PersonFacts:
    return PersonFacts(frozenset(groups), attributes)


def test_a_ladder_stands_best_first_whatever_the_order_it_was_given_in() -> None:
    assert LADDER.keys == ("premium", "standard", "basic")
    assert [tier.name for tier in LADDER] == ["Premium", "Standard", "Basic"]
    assert len(LADDER) == 3
    assert "premium" in LADDER
    assert "gold" not in LADDER


def test_a_ladder_orders_keys_and_leaves_out_those_of_no_tier() -> None:
    assert LADDER.best_first(["basic", "gold", "premium", "basic"]) == ("premium", "basic")


def test_the_tiers_below_one_come_best_first() -> None:
    assert LADDER.below("premium") == ("standard", "basic")
    assert LADDER.below("basic") == ()


def test_any_tier_is_better_than_no_seat_and_than_a_tier_that_is_gone() -> None:
    assert LADDER.is_better("basic", None)
    assert LADDER.is_better("basic", "gold")
    assert not LADDER.is_better("basic", "standard")
    assert not LADDER.is_better("basic", "basic")


def test_tiers_go_by_their_names_and_nothing_is_no_seat() -> None:
    assert LADDER.name_of("premium") == "Premium"
    assert LADDER.name_of(None) == "No seat"
    assert LADDER.name_of("unassigned") == "No seat"
    assert LADDER.name_of("gold") == "gold"


def test_a_ladder_is_equal_to_one_of_the_same_tiers() -> None:
    same = TierLadder([PREMIUM, STANDARD, BASIC])

    assert same == LADDER
    assert hash(same) == hash(LADDER)
    assert TierLadder([PREMIUM]) != LADDER
    assert LADDER["basic"] is BASIC
    assert LADDER.get("gold") is None


@pytest.mark.parametrize("twin", [SeatTier("premium", "Other", 9), SeatTier("other", "Other", 3)])
def test_two_tiers_of_one_key_or_rank_are_refused(twin: SeatTier) -> None:
    with pytest.raises(ValueError, match="two tiers have the same"):
        TierLadder([PREMIUM, twin])


@pytest.mark.parametrize("key", ["", "Premium", "1st", "unassigned", "any", "highest_available", "a" * 33, "a\n"])
def test_a_tier_key_of_another_shape_or_with_a_meaning_of_its_own_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="tier key"):
        SeatTier(key, "Tier", 1)


def test_names_are_compared_without_case_outer_space_or_unicode_form() -> None:
    assert comparison_key("  Ingénierie ") == comparison_key("INGE\u0301NIERIE")


@pytest.mark.parametrize("role", ["owner", "primary_owner", "Admin", ""])
def test_t10_no_rule_gives_a_role_that_only_people_may_give(role: str) -> None:
    with pytest.raises(RoleNotMappableError) as refusal:
        rule("Engineering", role=role)

    assert refusal.value.code == "role_not_mappable"


def test_two_rules_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="two rules have the same key"):
        MappingSet(1, (rule("Engineering", "premium"), rule("engineering", "standard")))


@pytest.mark.parametrize(
    "make",
    [lambda: GroupCondition(""), lambda: AttributeCondition("x", ""), lambda: MappingRule("", GroupCondition("x"))],
)
def test_a_rule_about_nobody_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="a rule needs"):
        make()


def test_a_set_names_the_groups_attributes_and_tiers_it_speaks_of() -> None:
    department = AttributeCondition("Department", "Sales")
    mapping_set = MappingSet(
        1,
        (rule("Eng", "premium"), rule("Guests", "unassigned"), MappingRule("d", department, "basic")),
        default="standard",
    )

    assert mapping_set.groups == {"Eng", "Guests"}
    assert mapping_set.attributes == {"department"}
    assert mapping_set.tiers == {"premium", "basic", "standard"}
    assert mapping_set.number_of("d") == 3
    assert mapping_set.number_of("gone") is None
    assert mapping_set.rule("d") is mapping_set.rules[2]


def test_a2_of_several_mapped_groups_the_highest_tier_wins() -> None:
    sales, engineering = rule("Sales", "standard"), rule("Engineering", "premium")

    entitlement = resolve(person("Sales", "Engineering"), MappingSet(1, (sales, engineering)), LADDER)

    assert entitlement.tier == "premium"
    assert entitlement.winning is engineering
    assert entitlement.losing == (sales,)


def test_a2_a_tie_goes_to_the_rule_that_stands_first() -> None:
    first, second = rule("Sales", "standard"), rule("Support", "standard")

    entitlement = resolve(person("Support", "Sales"), MappingSet(1, (first, second)), LADDER)

    assert entitlement.winning is first


def test_a_rule_for_no_seat_speaks_of_the_seat_but_loses_to_every_tier() -> None:
    guests, staff = rule("Guests", "unassigned"), rule("Staff", "basic")
    mapping_set = MappingSet(1, (guests, staff))

    guest = resolve(person("Guests"), mapping_set, LADDER)
    both = resolve(person("Guests", "Staff"), mapping_set, LADDER)

    assert (guest.mapped, guest.tier, guest.winning) == (True, None, guests)
    assert (both.tier, both.winning, both.losing) == ("basic", staff, (guests,))


def test_somebody_of_whose_seat_no_rule_speaks_is_unmapped() -> None:
    entitlement = resolve(person("Leads"), MappingSet(1, (rule("Leads", role="admin"),)), LADDER)

    assert (entitlement.mapped, entitlement.tier, entitlement.winning) == (False, None, None)
    assert entitlement.role == "admin"
    assert entitlement.fallback == HIGHEST_AVAILABLE


def test_a_rule_for_a_tier_that_is_gone_says_nothing_about_the_seat() -> None:
    mapping_set = MappingSet(1, (rule("Leads", "gold"),), default="gold")

    entitlement = resolve(person("Leads"), mapping_set, LADDER)

    assert not entitlement.mapped
    assert entitlement.fallback == HIGHEST_AVAILABLE


def test_an_attribute_decides_like_a_group() -> None:
    department = MappingRule("d", AttributeCondition("department", "Sales"), "standard")

    entitlement = resolve(person(Department=" sales "), MappingSet(1, (department,)), LADDER)

    assert entitlement.tier == "standard"


def test_the_strongest_role_wins_and_its_first_rule_is_named() -> None:
    member, admin, again = rule("A", role="member"), rule("B", role="admin"), rule("C", role="admin")

    entitlement = resolve(person("A", "B", "C"), MappingSet(1, (member, admin, again)), LADDER)

    assert (entitlement.role, entitlement.role_rule) == ("admin", admin)


def test_teams_of_all_rules_add_up_in_order_each_once() -> None:
    mapping_set = MappingSet(1, (rule("A", teams=("x", "y")), rule("B", teams=("Y", "z", "x"))))

    assert resolve(person("A", "B"), mapping_set, LADDER).teams == ("x", "y", "z")
