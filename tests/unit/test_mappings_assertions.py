"""Assertions of a mapping document: what they mean, how they are written, what is found when they fail."""

from decimal import Decimal

import pytest

from mappings.allocation import Grant, Holding
from mappings.assertions import Assertion, CostAtMost, NobodyLosesSeat, PeopleCount, PersonHas
from mappings.checks import Effect, check
from mappings.differences import difference
from mappings.documents import MappingDocumentError, from_document, to_document
from mappings.naming import Directory, KnownGroup
from mappings.people import PersonClass, Pool
from mappings.preview import moves_under
from mappings.rules import AttributeCondition, MappingRule, MappingSet, PersonFacts
from mappings.tiers import SeatTier, TierLadder

LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
FINANCE, SALES = (AttributeCondition("department", name) for name in ("Finance", "Sales"))
DIRECTORY = Directory((KnownGroup("g", "Board", "c"),), {"c": "Okta"}, ("department", "userType"))


def effect() -> Effect:
    """Finance, 3 people, moves from Standard to Premium; Sales, 2 people, loses Standard; one has nothing."""
    holding = Holding("standard", Grant.MAPPING)
    people = [
        PersonClass(PersonFacts(attributes={"department": "finance"}), holding, 3, [1, 2, 3]),
        PersonClass(PersonFacts(attributes={"department": "Sales"}), holding, 2, [4, 5]),
        PersonClass(PersonFacts(), Holding(), 1, [6]),
    ]
    old = MappingSet(
        1, (MappingRule("f", FINANCE, "standard"), MappingRule("s", SALES, "standard")), default="unassigned"
    )
    new = MappingSet(2, (MappingRule("f", FINANCE, "premium"),), default="unassigned")
    pools = {"premium": Pool(5, 0), "standard": Pool(5, 5)}
    return Effect(
        people, moves_under(people, old, new, LADDER, pools), Decimal("120.50"), {"ann": 1, "sam": 4, "max": 6}
    )


@pytest.mark.parametrize(
    ("assertion", "holds", "told"),
    [
        (NobodyLosesSeat(), False, "nobody loses their seat: 2 people do"),
        (CostAtMost(Decimal("120.50")), True, "the cost is at most 120.50: it is 120.50"),
        (CostAtMost(Decimal(100)), False, "the cost is at most 100: it is 120.50"),
        (PeopleCount(None, 3, "premium"), True, "at most 3 people with Premium: there are 3"),
        (
            PeopleCount(None, 2, "premium", FINANCE),
            False,
            "at most 2 people with Premium among the department Finance: there are 3",
        ),
        (PeopleCount(1, None, "standard"), False, "at least 1 person with Standard: there are 0"),
        (PeopleCount(3, 3, "unassigned"), True, "exactly 3 people with no seat: there are 3"),
        (
            PeopleCount(1, 2, None, SALES),
            True,
            "at most 2 and at least 1 people among the department Sales: there are 2",
        ),
        (PersonHas("ann", "premium"), True, "ann has Premium: it is Premium"),
        (PersonHas("sam", "standard"), False, "sam has Standard: it is no seat"),
        (PersonHas("max", "unassigned"), True, "max has no seat: it is no seat"),
        (PersonHas("eve", "premium"), False, "eve has Premium: nobody active is called so"),
    ],
)
def test_an_assertion_is_told_with_what_is_found(assertion: Assertion, holds: bool, told: str) -> None:  # noqa: FBT001 (a case's columns)
    [finding] = check([assertion], effect(), LADDER)

    assert str(finding) == told
    assert finding.holds is holds


def test_assertions_survive_a_round_trip_and_are_part_of_what_differs() -> None:
    said = [
        "nobody_loses_seat",
        {"cost_at_most": "500.00"},
        {"person": "alice@nordlys.test", "tier": "premium"},
        {"people": {"tier": "premium", "department": "Finance", "userType": "Employee"}, "at_most": 20},
        {"people": {"when": {"group": "Board", "group_id": "g", "connection": "Okta"}}, "exactly": 3},
        {"people": {"tier": "unassigned"}, "at_least": 0, "at_most": 5},
    ]
    document = {"schema": 2, "on_exhausted": "unassigned", "default": "standard", "rules": [], "assert": said}

    mapping_set = from_document(document, LADDER, directory=DIRECTORY)

    assert str(to_document(mapping_set)) == str(document)
    assert mapping_set.groups == frozenset()
    assert mapping_set.attributes == frozenset()
    without = from_document({**document, "assert": said[:1]}, LADDER)
    assert [change.sentence for change in difference(mapping_set, without, LADDER)][:2] == [
        "no longer asserted: the cost is at most 500.00",
        "no longer asserted: alice@nordlys.test has Premium",
    ]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("nobody_gains", "assert.0: must be nobody_loses_seat, or have one of people, person, cost_at_most"),
        ({"cost_at_most": 500}, 'assert.0.cost_at_most: 500 is not text; put it in quotes: "500"'),
        ({"cost_at_most": "1e3"}, 'assert.0.cost_at_most: must be an amount in quotes, such as "500.00"'),
        ({"person": "ann"}, "assert.0.tier: is missing"),
        (
            {"person": "ann", "tier": "gold"},
            'assert.0.tier: unknown tier "gold" (known: premium, standard, unassigned)',
        ),
        ({"people": {"tier": "premium"}}, "assert.0: says no number: add at_least, at_most or exactly (alone)"),
        (
            {"people": {}, "exactly": 1, "at_most": 2},
            "assert.0: says no number: add at_least, at_most or exactly (alone)",
        ),
        ({"people": {}, "at_most": -1}, "assert.0.at_most: must be a whole number of people"),
        ({"people": "all", "at_most": 1}, "assert.0.people: must say whom: a tier, attributes, or a when"),
        (
            {"people": {"departement": "x"}, "at_most": 1},
            'assert.0.people.departement: rules cannot ask for "departement" (did you mean "department"?)',
        ),
    ],
)
def test_each_mistake_in_an_assertion_has_its_place_and_its_sentence(said: object, problem: str) -> None:
    with pytest.raises(MappingDocumentError) as refusal:
        from_document({"schema": 2, "assert": [said]}, LADDER, directory=DIRECTORY)

    assert [str(one) for one in refusal.value.problems] == [problem]
