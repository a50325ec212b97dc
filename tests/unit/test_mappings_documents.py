import pytest

from mappings.conditions import ExpectedGroup
from mappings.differences import ChangeKind, difference
from mappings.documents import MappingDocumentError, from_document, to_document
from mappings.rules import AttributeCondition, GroupCondition, MappingRule, MappingSet, OnExhausted
from mappings.tiers import SeatTier, TierLadder

LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
BY_HAND = {
    "schema": 2,
    "on_exhausted": "unassigned",
    "default": "highest_available",
    "rules": [
        {"group": "Engineering", "group_id": "e", "tier": "premium", "role": "admin", "teams": ["platform"]},
        {"attribute": "department", "equals": "Sales", "tier": "standard"},
    ],
}


def problems(document: object) -> list[str]:
    with pytest.raises(MappingDocumentError) as refusal:
        from_document(document, LADDER)
    return [str(problem) for problem in refusal.value.problems]


def with_rules(*rules: object) -> dict[str, object]:
    return {"schema": 1, "rules": list(rules)}


def eng(tier: str | None = "premium", **more: object) -> MappingRule:
    return MappingRule("group:eng", GroupCondition("Eng"), tier, **more)  # type: ignore[arg-type]  # test shorthand


def test_a_document_written_by_hand_is_read() -> None:
    mapping_set = from_document(BY_HAND, LADDER, version=14)

    assert mapping_set == MappingSet(
        14,
        (
            MappingRule("group:engineering", GroupCondition("e", "Engineering"), "premium", "admin", ("platform",)),
            MappingRule("attribute:department=sales", AttributeCondition("department", "Sales"), "standard"),
        ),
    )


def test_a_set_is_written_as_people_would_write_it() -> None:
    assert to_document(from_document(BY_HAND, LADDER)) == BY_HAND
    assert list(to_document(MappingSet())) == ["schema", "on_exhausted", "default", "rules"]


def test_everything_wrong_is_listed_by_path_in_one_go() -> None:
    document = {
        "schema": 1,
        "on_exhausted": "nextlower",
        "default": "premum",
        "rule": [],
        "rules": [
            {"group": "Engineering", "tier": "premum"},
            {"group": 42, "tier": "standard"},
            {"attribute": "department", "tier": "standard"},
            {"group": "A", "role": "owner"},
            {"group": "B", "role": "admn"},
            {"group": "C"},
            {"tier": "standard"},
            {"group": "D", "attribute": "x", "equals": "y", "tier": "standard"},
            {"group": "E", "teams": "platform"},
            {"group": "F", "teams": ["x", "X", 7]},
            {"group": "G", "tiers": "standard", "tier": "standard"},
            "H",
            {"group": " ", "tier": "standard"},
            {"group": "I\n", "tier": True},
        ],
    }

    assert problems(document) == [
        'rule: not permitted (did you mean "rules"?)',
        'on_exhausted: unknown choice "nextlower" (did you mean "next_lower"?)',
        'default: unknown tier "premum" (did you mean "premium"?)',
        'rules.0.tier: unknown tier "premum" (did you mean "premium"?)',
        'rules.1.group: 42 is not text; put it in quotes: "42"',
        "rules.2: compares an attribute with nothing; say one of equals, in, starts_with, ends_with, contains, present",
        'rules.3.role: "owner" can only be given by an owner, never by a mapping',
        'rules.4.role: unknown role "admn" (did you mean "admin"?)',
        "rules.5: gives nothing: add a tier, a role or teams",
        "rules.6: speaks of nobody: add a group, an attribute and its value, or a when",
        "rules.7: speaks of several things at once; put them together in a when, with all or any",
        "rules.8.teams: must be a list, such as [platform]",
        'rules.9.teams.1: "X" is there twice',
        'rules.9.teams.2: 7 is not text; put it in quotes: "7"',
        'rules.10.tiers: not permitted (did you mean "tier"?)',
        "rules.11: must be a rule with fields, such as group and tier",
        "rules.12.group: is empty",
        "rules.13.group: contains a character that cannot be printed",
        'rules.13.tier: True is not text; put it in quotes: "True"',
    ]


def test_two_rules_about_the_same_people_are_one_problem() -> None:
    twice = with_rules({"group": "Eng", "tier": "premium"}, {"group": " ENG", "role": "admin"})
    same_key = with_rules(
        {"group": "Eng", "tier": "premium", "key": "k"}, {"group": "Ops", "role": "admin", "key": "k"}
    )

    assert problems(twice) == ["rules.1: rules.0 speaks of the same people; say it in one rule"]
    assert problems(same_key) == ["rules.1.key: rules.0 has the same key; say it in one rule"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "a mapping document has fields: schema, on_exhausted, default and rules"),
        ([], "a mapping document has fields: schema, on_exhausted, default and rules"),
        ({"rules": []}, "schema: is missing; this is how it reads today: schema: 2"),
        ({"schema": 3}, "schema: 3 is not known; this release reads 1 and 2"),
        ({"schema": True}, "schema: True is not known; this release reads 1 and 2"),
        ({"schema": 1, "rules": {}}, "rules: must be a list"),
        ({"schema": 1, "rules": [{}] * 1001}, "rules: 1001 rules; at most 1000 are allowed"),
        (
            with_rules({"group": "a" * 257, "tier": "premium"}),
            "rules.0.group: is 257 characters long; at most 256 are allowed",
        ),
        (
            with_rules({"group": "a", "teams": ["x"] * 101}),
            "rules.0.teams: 101 teams; at most 100 are allowed",
        ),
        (
            with_rules({"group": "a", "tier": "xyz"}),
            'rules.0.tier: unknown tier "xyz" (known: premium, standard, unassigned)',
        ),
    ],
)
def test_each_other_mistake_has_its_sentence(document: object, problem: str) -> None:
    assert problems(document) == [problem]


def test_a_document_without_rules_is_the_default_alone() -> None:
    assert from_document({"schema": 1, "rules": None}, LADDER) == MappingSet()


def test_nothing_is_different_between_a_set_and_its_next_version() -> None:
    assert difference(MappingSet(1, (eng(),)), MappingSet(2, (eng(),))) == []


def test_each_difference_is_one_sentence() -> None:
    sales = MappingRule("group:sales leads", GroupCondition("Sales leads"), "premium", teams=("west",))
    gone = MappingRule("group:old", GroupCondition("Old"), role="admin")
    old = MappingSet(1, (eng("premium"), gone))
    new = MappingSet(2, (sales, eng("standard")), OnExhausted.NEXT_LOWER, "unassigned")

    changes = difference(old, new, LADDER)

    assert [(change.kind, change.sentence) for change in changes] == [
        (ChangeKind.ADDED, "Sales leads: Premium, teams west"),
        (ChangeKind.CHANGED, "Eng: Premium → Standard"),
        (ChangeKind.REMOVED, "Old: no rule any more, was role admin"),
        (ChangeKind.SETTING, "when a tier is full: wait → next tier down"),
        (ChangeKind.SETTING, "everyone else: highest free seat → No seat"),
    ]
    assert changes[1].before == eng("premium")


def test_a_group_that_arrives_or_goes_is_told_so() -> None:
    expected = MappingSet(1, (MappingRule("group:eng", ExpectedGroup("Eng"), "premium"),))
    known = MappingSet(2, (MappingRule("group:eng", GroupCondition("17", "Eng"), "premium"),))
    another = MappingSet(3, (MappingRule("group:eng", GroupCondition("18", "Eng"), "premium"),))

    told = [difference(old, new, LADDER)[0].sentence for old, new in ((expected, known), (known, expected))]
    (replaced,) = difference(known, another, LADDER)

    assert told == ["Eng: the group has arrived", "Eng: the group is gone and expected again"]
    assert replaced.sentence == "Eng: means other groups or another connection"


def test_a_changed_rule_says_each_thing_that_changed() -> None:
    after = MappingRule("group:eng", GroupCondition("Engineers"), None, "admin", (), OnExhausted.REJECT)

    (change,) = difference(MappingSet(1, (eng(),)), MappingSet(2, (after,)), LADDER)

    assert change.sentence == (
        "Engineers: was Eng, Premium → nothing about the seat, "
        "the set's way when full → when full refuse new people, no role → role admin"
    )


def test_another_order_of_the_same_rules_is_a_difference() -> None:
    ops = MappingRule("ops", GroupCondition("Ops"), "premium")

    (change,) = difference(MappingSet(1, (eng(), ops)), MappingSet(2, (ops, eng())))

    assert (change.kind, change.rule) == (ChangeKind.REORDERED, None)
