import json

from hypothesis import given
from hypothesis import strategies as st

from mappings.conditions import AllOf, AnyOf, Condition, Not, Operator
from mappings.differences import difference
from mappings.documents import MappingDocumentError, from_document, to_document
from mappings.resolution import resolve
from mappings.rules import (
    MAPPABLE_ROLES,
    AttributeCondition,
    GroupCondition,
    MappingRule,
    MappingSet,
    OnExhausted,
    PersonFacts,
    comparison_key,
)
from mappings.tiers import HIGHEST_AVAILABLE, UNASSIGNED, SeatTier, TierLadder

LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
TIERS = [*LADDER.keys, UNASSIGNED]
names = st.text(max_size=20).map(str.strip).filter(lambda text: bool(comparison_key(text)) and text.isprintable())
texts = st.sampled_from([Operator.EQUALS, Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.CONTAINS])
leaves: st.SearchStrategy[Condition] = (
    st.builds(GroupCondition, names)
    | st.builds(AttributeCondition, names, names, texts)
    | st.builds(AttributeCondition, names, st.lists(names, min_size=1, max_size=3).map(tuple), st.just(Operator.IN))
    | st.builds(AttributeCondition, names, st.booleans(), st.just(Operator.PRESENT))
)


def combined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    return st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)) | st.builds(
        AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)
    )


#: What stays true of a person who comes into one more group.
monotone_conditions = st.recursive(leaves, combined, max_leaves=5)
conditions = st.recursive(leaves, lambda inner: combined(inner) | st.builds(Not, inner), max_leaves=5)


@st.composite
def mapping_sets(draw: st.DrawFn, conditions: st.SearchStrategy[Condition] = conditions) -> MappingSet:
    rules = []
    for number, condition in enumerate(
        draw(st.lists(conditions, max_size=6, unique_by=lambda condition: condition.default_rule_key))
    ):
        key = draw(st.sampled_from([condition.default_rule_key, f"rule {number}"]))
        tier = draw(st.sampled_from(TIERS))
        role = draw(st.sampled_from([None, *MAPPABLE_ROLES]))
        teams = tuple(draw(st.lists(names, max_size=3, unique_by=comparison_key)))
        rules.append(MappingRule(key, condition, tier, role, teams, draw(st.sampled_from([None, *OnExhausted]))))
    default = draw(st.sampled_from([HIGHEST_AVAILABLE, *TIERS]))
    return MappingSet(draw(st.integers(0, 9)), tuple(rules), draw(st.sampled_from(OnExhausted)), default)


@given(mapping_sets())
def test_a_set_survives_being_written_and_read(mapping_set: MappingSet) -> None:
    document = json.loads(json.dumps(to_document(mapping_set)))

    assert from_document(document, LADDER, version=mapping_set.version) == mapping_set


@given(mapping_sets(), mapping_sets())
def test_two_sets_differ_exactly_when_their_documents_do(old: MappingSet, new: MappingSet) -> None:
    assert bool(difference(old, new)) == (to_document(old) != to_document(new))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = ["schema", "on_exhausted", "default", "rules"]
rule_fields = [
    "key",
    "group",
    "group_id",
    "expected",
    "connection",
    "attribute",
    "equals",
    "in",
    "when",
    "priority",
    "tier",
    "role",
    "teams",
    "on_exhausted",
]
nearly = st.fixed_dictionaries(
    {"schema": st.just(1)},
    optional={
        "rules": st.lists(st.dictionaries(st.sampled_from(rule_fields), json_values, max_size=5), max_size=3),
        "default": json_values,
    },
)


def read(document: object) -> MappingSet | MappingDocumentError:
    try:
        return from_document(document, LADDER)
    except MappingDocumentError as refusal:
        return refusal


@given(json_values | st.dictionaries(st.sampled_from(fields), json_values) | nearly)
def test_any_document_is_either_read_or_refused_with_problems(document: object) -> None:
    outcome = read(document)

    if isinstance(outcome, MappingSet):
        assert from_document(to_document(outcome), LADDER) == outcome
    else:
        assert outcome.problems


@given(mapping_sets(monotone_conditions), st.frozensets(names, max_size=3))
def test_a2_nobody_is_entitled_to_less_for_being_in_one_more_group(
    mapping_set: MappingSet, extra: frozenset[str]
) -> None:
    groups = frozenset(
        rule.condition.group for rule in mapping_set.rules[::2] if isinstance(rule.condition, GroupCondition)
    )
    few = resolve(PersonFacts(groups), mapping_set, LADDER)
    many = resolve(PersonFacts(groups | extra), mapping_set, LADDER)

    assert many.mapped >= few.mapped
    assert few.tier is None or (many.tier is not None and not LADDER.is_better(few.tier, many.tier))
    assert {comparison_key(team) for team in few.teams} <= {comparison_key(team) for team in many.teams}
