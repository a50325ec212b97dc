"""Conditions: what holds of whom, how they are told, which documents they are, and what they may cost."""

import time

import pytest

from mappings.condition_documents import condition_document
from mappings.conditions import (
    MAX_ALL,
    MAX_CONDITIONS,
    MAX_DEPTH,
    AllOf,
    AnyOf,
    AttributeCondition,
    Condition,
    ConnectionReference,
    ExpectedGroup,
    FoldedFacts,
    GroupCondition,
    Not,
    Operator,
)
from mappings.documents import MappingDocumentError, from_document, to_document
from mappings.naming import Directory, KnownGroup, bound, refreshed, relabelled, released
from mappings.resolution import WonBy, resolve
from mappings.rules import MappingRule, MappingSet, PersonFacts
from mappings.tiers import SeatTier, TierLadder

LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
OPERATORS = "equals, in, starts_with, ends_with, contains, present"
OKTA, ENTRA = ConnectionReference("c-okta", "Okta"), ConnectionReference("c-entra", "Entra")
DIRECTORY = Directory(
    groups=(
        KnownGroup("g-fin", "Finance", "c-okta"),
        KnownGroup("g-fin2", "Finance", "c-entra"),
        KnownGroup("g-eng", "Engineering", "c-okta"),
    ),
    connections={"c-okta": "Okta", "c-entra": "Entra"},
    attributes=("department", "userType", "emails"),
)
ANN = PersonFacts(
    frozenset({"g-eng"}),
    {"department": " SALES North ", "emails": ("ann@corp.example", "ann@x.test"), "title": "  "},
    "c-okta",
)


def about(attribute: str, operator: Operator, value: str | tuple[str, ...] | bool) -> AttributeCondition:  # noqa: FBT001 (the condition's own order)
    return AttributeCondition(attribute, value, operator)


def one(**rule: object) -> dict[str, object]:
    return {"schema": 2, "rules": [{"tier": "premium", **rule}]}


def read(document: object) -> MappingSet:
    return from_document(document, LADDER, directory=DIRECTORY)


def problems(document: object) -> list[str]:
    with pytest.raises(MappingDocumentError) as refusal:
        read(document)
    return [str(problem) for problem in refusal.value.problems]


SALES = about("department", Operator.EQUALS, "sales north")


@pytest.mark.parametrize(
    ("condition", "holds", "words"),
    [
        (SALES, True, "the department sales north"),
        (about("Department", Operator.IN, ("HR", "sales NORTH")), True, "the Department HR or sales NORTH"),
        (about("department", Operator.IN, ("A", "B", "C")), False, "the department A, B or C"),
        (about("department", Operator.STARTS_WITH, "Sales"), True, "the department starting with Sales"),
        (about("department", Operator.ENDS_WITH, "south"), False, "the department ending with south"),
        (about("department", Operator.CONTAINS, "es no"), True, "the department containing es no"),
        (about("department", Operator.PRESENT, value=True), True, "any department"),
        (about("title", Operator.PRESENT, value=True), False, "any title"),
        (about("userType", Operator.PRESENT, value=False), True, "no userType"),
        (about("emails", Operator.ENDS_WITH, "@x.test"), True, "the emails ending with @x.test"),
        (about("emails", Operator.EQUALS, "@x.test"), False, "the emails @x.test"),
        (GroupCondition("g-eng", "Engineering"), True, "the group Engineering"),
        (GroupCondition("g-fin", "Engineering"), False, "the group Engineering"),
        (ExpectedGroup("g-eng"), False, "the group g-eng"),
        (Not(SALES), False, "not the department sales north"),
        (AllOf((SALES, Not(GroupCondition("g-fin", "F")))), True, "the department sales north and not the group F"),
        (
            AllOf((AnyOf((GroupCondition("x"), GroupCondition("g-eng", "Eng"))), SALES)),
            True,
            "(the group x or the group Eng) and the department sales north",
        ),
        (Not(AnyOf((SALES, GroupCondition("x")))), False, "not (the department sales north or the group x)"),
    ],
)
def test_a_condition_holds_or_not_and_says_what_it_means(condition: Condition, holds: bool, words: str) -> None:  # noqa: FBT001 (a case's columns)
    assert condition.holds(FoldedFacts.of(ANN)) is holds
    assert str(condition) == words


def test_a_rule_knows_a_group_by_its_id_and_another_connections_namesake_is_another() -> None:
    mapping_set = read(one(group="finance", connection="okta"))

    [rule] = mapping_set.rules
    assert rule.condition == GroupCondition("g-fin")
    assert resolve(PersonFacts(frozenset({"g-fin"})), mapping_set, LADDER).winning is rule
    assert resolve(PersonFacts(frozenset({"g-fin2"})), mapping_set, LADDER).winning is None
    assert to_document(mapping_set)["rules"] == [
        {"group": "Finance", "group_id": "g-fin", "connection": "Okta", "tier": "premium"}
    ]


def test_two_groups_of_one_name_may_each_have_a_rule() -> None:
    rules = [{"group": "Finance", "connection": name, "tier": "premium"} for name in ("Okta", "Entra")]

    mapping_set = read({"schema": 2, "rules": rules})

    assert [rule.key for rule in mapping_set.rules] == ["group:finance", "group:finance@entra"]
    assert from_document(to_document(mapping_set), LADDER, directory=DIRECTORY) == mapping_set


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (
            {"group": "Finance"},
            'rules.0.group: 2 groups are called "Finance"; say which with connection: Entra or connection: Okta',
        ),
        (
            {"group": "Enginering"},
            (
                'rules.0.group: no group is called "Enginering" (did you mean "Engineering"? '
                "for one that has yet to come add expected: true)"
            ),
        ),
        (
            {"group": "Board", "connection": "Entra"},
            'rules.0.group: no group is called "Board" in Entra (for one that has yet to come add expected: true)',
        ),
        (
            {"group": "x", "group_id": "g-foreign"},
            "rules.0.group_id: there is no such group here; leave it out to go by the name",
        ),
        (
            {"group": "Finance", "group_id": "g-fin", "connection": "Entra"},
            'rules.0.connection: the group "Finance" belongs to Okta',
        ),
        (
            {"group": "Board", "expected": True, "connection": "Oktta"},
            'rules.0.connection: there is no connection "Oktta" (did you mean "Okta"?)',
        ),
        ({"group": "Board", "expected": "yes"}, "rules.0.expected: must be true or false"),
        (
            {"attribute": "departement", "equals": "x"},
            'rules.0.attribute: rules cannot ask for "departement" (did you mean "department"?)',
        ),
        (
            {"attribute": "department", "equals": "x", "in": ["y"]},
            f"rules.0: compares an attribute in 2 ways; say one of {OPERATORS}",
        ),
        ({"attribute": "department", "in": []}, "rules.0.in: must be a list of values, such as [Sales, Marketing]"),
        ({"attribute": "department", "in": ["x"] * 201}, "rules.0.in: 201 values; at most 200 are allowed"),
        ({"attribute": "department", "in": ["x", 3]}, 'rules.0.in.1: 3 is not text; put it in quotes: "3"'),
        (
            {"attribute": "department", "present": "yes"},
            "rules.0.present: must be true (there is a value) or false (there is none)",
        ),
        ({"when": {"all": []}}, "rules.0.when.all: must be a list of conditions"),
        ({"when": "x"}, "rules.0.when: must be a condition: a group, an attribute, all, any or not"),
        (
            {"when": {"all": [{"not": {}}]}},
            "rules.0.when.all.0.not: says nothing; a condition has one of group, attribute, all, any and not",
        ),
        (
            {"when": {"any": [], "not": {}}},
            "rules.0.when: has any and not; a condition has one of group, attribute, all, any and not",
        ),
        (
            {"when": {"attribute": "department", "equals": "x", "groups": 1}},
            f"rules.0.when.groups: not permitted (known: attribute, {OPERATORS})",
        ),
        (
            {"group": "Engineering", "when": {"group": "Engineering"}},
            "rules.0: speaks of several things at once; put them together in a when, with all or any",
        ),
        (
            {"when": {"group": "Engineering"}, "equals": "x"},
            "rules.0: has conditions beside its when; put them inside it",
        ),
        ({"group": "Engineering", "priority": "1"}, "rules.0.priority: must be a whole number from -1000 to 1000"),
        ({"group": "Engineering", "priority": 1001}, "rules.0.priority: must be a whole number from -1000 to 1000"),
    ],
)
def test_each_mistake_in_a_condition_has_its_place_and_its_sentence(rule: dict[str, object], problem: str) -> None:
    assert problems(one(**rule)) == [problem]


def test_conditions_are_bounded_in_depth_and_number() -> None:
    deep: dict[str, object] = {"group": "Engineering"}
    for _ in range(MAX_DEPTH):
        deep = {"not": deep}
    wide = {"any": [{"attribute": "department", "equals": str(number)} for number in range(MAX_CONDITIONS)]}

    assert problems(one(when=deep))[0].endswith(f"at most {MAX_DEPTH} levels are allowed")
    assert problems(one(when=wide)) == [
        f"rules.0.when.any.{MAX_CONDITIONS - 1}: is one condition too many; a rule may have {MAX_CONDITIONS}"
    ]


def test_a_whole_document_is_bounded_too() -> None:
    wide = {"any": [{"attribute": "department", "equals": str(number)} for number in range(MAX_CONDITIONS - 1)]}
    rules = [{"key": str(number), "when": wide, "tier": "premium"} for number in range(101)]

    assert "rules: 5050 conditions; at most 5000 are allowed" in problems({"schema": 2, "rules": rules})


def test_the_costliest_set_that_is_allowed_decides_about_somebody_within_a_second() -> None:
    values = tuple(f"value {number}" for number in range(200))
    parts = tuple(about("department", Operator.IN, values) for _ in range(MAX_CONDITIONS - 1))
    rules = tuple(MappingRule(str(number), AnyOf(parts), "premium") for number in range(MAX_ALL // MAX_CONDITIONS))
    started = time.process_time()

    resolve(ANN, MappingSet(1, rules), LADDER)

    assert time.process_time() - started < 1


def test_a_document_survives_a_round_trip_byte_for_byte() -> None:
    document = {
        "schema": 2,
        "on_exhausted": "unassigned",
        "default": "standard",
        "rules": [
            {"group": "Engineering", "group_id": "g-eng", "connection": "Okta", "tier": "premium"},
            {"group": "Board", "expected": True, "connection": "Entra", "connection_id": "c-entra", "role": "admin"},
            {
                "key": "outside",
                "when": {
                    "all": [
                        {"attribute": "userType", "in": ["Contractor", "External"]},
                        {"not": {"group": "Finance", "group_id": "g-fin", "connection": "Okta"}},
                    ]
                },
                "connection": "Okta",
                "connection_id": "c-okta",
                "priority": 10,
                "tier": "unassigned",
            },
        ],
    }

    assert str(to_document(read(document))) == str(document)
    assert str(to_document(from_document(document, LADDER))) == str(document)


def test_a_rule_may_speak_of_the_people_of_one_connection_only() -> None:
    mapping_set = read(one(attribute="department", starts_with="sales", connection="Okta"))

    assert mapping_set.asks_connection
    assert mapping_set.rules[0].about == "the department starting with sales in Okta"
    assert resolve(ANN, mapping_set, LADDER).tier == "premium"
    assert resolve(PersonFacts(attributes=ANN.attributes, connection="c-entra"), mapping_set, LADDER).tier is None


def test_a_priority_goes_before_the_tier_and_the_tier_before_the_order() -> None:
    def rule(key: str, tier: str, priority: int = 0) -> MappingRule:
        return MappingRule(key, about("department", Operator.PRESENT, value=True), tier, priority=priority)

    low, high, first, last = (
        rule("a", "standard"),
        rule("b", "premium"),
        rule("c", "unassigned", 5),
        rule("d", "premium"),
    )
    facts = PersonFacts(attributes={"department": "x"})

    by_priority = resolve(facts, MappingSet(1, (low, high, first)), LADDER)
    by_tier = resolve(facts, MappingSet(1, (low, high)), LADDER)
    by_order = resolve(facts, MappingSet(1, (high, last)), LADDER)

    assert (by_priority.winning, by_priority.losing, by_priority.won_by) == (first, (high, low), WonBy.PRIORITY)
    assert (by_tier.winning, by_tier.won_by) == (high, WonBy.TIER)
    assert (by_order.winning, by_order.won_by) == (high, WonBy.ORDER)
    assert resolve(facts, MappingSet(1, (low,)), LADDER).won_by is None


def test_a_group_that_arrives_is_bound_and_one_that_goes_is_expected_again() -> None:
    expecting = read(one(when={"all": [{"group": "Board", "expected": True, "connection": "Entra"}]}))
    board = KnownGroup("g-board", "BOARD", "c-entra")

    arrived = bound(expecting, board, "Entra", alone=False)
    elsewhere = bound(expecting, KnownGroup("g-board", "Board", "c-okta"), "Okta", alone=False)

    assert arrived is not None
    assert elsewhere is None
    assert arrived.groups == {"g-board"}
    assert released(arrived, board, "Entra") == expecting
    assert released(expecting, board, "Entra") is None


def test_new_names_are_shown_and_an_old_version_finds_its_groups_again() -> None:
    old = read(one(group="Engineering"))
    now = Directory((KnownGroup("g-eng", "Builders", "c-okta"),), {"c-okta": "Okta EU"})
    recreated = Directory((KnownGroup("g-new", "Engineering", "c-okta"),), {"c-okta": "Okta"})

    assert to_document(relabelled(old, now))["rules"][0]["group"] == "Builders"
    assert relabelled(old, now) == old
    assert refreshed(old, recreated).groups == {"g-new"}
    assert refreshed(old, Directory((), {"c-okta": "Okta"})).rules[0].condition == ExpectedGroup("Engineering", OKTA)


def test_a_condition_is_written_as_it_is_read() -> None:
    document = {"any": [{"attribute": "department", "in": ["a", "b"]}, {"not": {"group": "x", "group_id": "y"}}]}
    mapping_set = from_document(one(when=document), LADDER)

    assert condition_document(mapping_set.rules[0].condition) == document
