"""The editor's form and the picture of a preview: pure functions from text and counts."""

from dataclasses import replace
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from bridge.errors import InvalidInputError, NotFoundError
from bridge.web.console.flows import HEIGHT, TOP, draw_flows, group_moves
from bridge.web.console.forms import (
    MappingForm,
    RuleForm,
    identifier,
    mail_address,
    mapping_form_of,
    parse_mapping_form,
    whole_number,
)
from bridge.web.rendering import initials, ordinal, plural
from mappings.allocation import Grant, Holding
from mappings.documents import from_document, to_document
from mappings.people import PersonClass, Pool
from mappings.preview import MovesPreview, moves_under
from mappings.rules import MappingSet, PersonFacts
from mappings.tiers import SeatTier, TierLadder

LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])
DOCUMENT: dict[str, Any] = {
    "schema": 2,
    "on_exhausted": "next_lower",
    "default": "unassigned",
    "rules": [
        {
            "group": "Engineering",
            "group_id": "g1",
            "connection": "Okta",
            "tier": "premium",
            "role": "admin",
            "teams": ["core", "ops"],
        },
        {"group": "Board", "expected": True, "tier": "premium"},
        {
            "when": {"all": [{"group": "IT", "group_id": "g2"}, {"attribute": "title", "present": True}]},
            "connection": "Okta",
            "connection_id": "c1",
            "priority": 5,
            "tier": "standard",
        },
        {"key": "sales", "attribute": "department", "equals": "Sales", "tier": "standard", "on_exhausted": "reject"},
        {"group": "Leads", "expected": True, "connection": "Okta", "connection_id": "c1", "role": "admin"},
    ],
}


def form_of(names: str) -> MappingForm:
    return MappingForm(tuple(RuleForm(value=name) for name in names), "unassigned", "unassigned")


def names_of(form: MappingForm) -> str:
    return "".join(rule.value for rule in form.rules)


def test_a_document_survives_the_editor_unchanged() -> None:
    assert mapping_form_of(DOCUMENT).to_document() == DOCUMENT
    assert to_document(from_document(mapping_form_of(DOCUMENT).to_document(), LADDER)) == DOCUMENT


def test_a_rule_that_the_editor_cannot_draw_is_told_in_words_and_kept() -> None:
    rule = mapping_form_of(DOCUMENT).rules[2]

    assert (rule.about, rule.value) == ("when", "the group IT and any title in Okta")
    assert replace(rule, tier="premium").to_document()["when"] == DOCUMENT["rules"][2]["when"]


def test_a_group_to_come_is_known_by_the_connection_that_the_row_says() -> None:
    kept = mapping_form_of(DOCUMENT).rules[-1]
    new = RuleForm(about="expected@c2", value="Leads", role="admin")

    assert kept.about == "expected@c1"
    assert new.to_document() == {"group": "Leads", "expected": True, "connection_id": "c2", "role": "admin"}


def test_another_name_in_a_row_is_another_group() -> None:
    rule = mapping_form_of(DOCUMENT).rules[0]

    other = replace(rule, value="Support").to_document()
    namesake = replace(rule, value="IT (Entra)").to_document({"IT (Entra)": {"group": "IT", "group_id": "g9"}})

    assert other == {"group": "Support", "tier": "premium", "role": "admin", "teams": ["core", "ops"]}
    assert namesake["group_id"] == "g9"


def test_a_row_that_was_tampered_with_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        RuleForm(value="x", kept="[").to_document()


@pytest.mark.parametrize(
    ("act", "names"),
    [
        ("add:D", "ABCD"),
        ("remove:1", "AC"),
        ("up:2", "ACB"),
        ("down:0", "BAC"),
        ("up:0", "ABC"),
        ("down:2", "ABC"),
        ("remove:9", "ABC"),
        ("remove:-1", "ABC"),
        ("remove:²", "ABC"),
        ("burn:0", "ABC"),
        ("", "ABC"),
    ],
)
def test_a_button_changes_the_draft_and_nothing_else(act: str, names: str) -> None:
    assert names_of(form_of("ABC").after(act)) == names


def test_rows_with_a_missing_field_are_refused() -> None:
    torn = MultiDict([("rule.value", "Engineering"), ("rule.tier", "premium"), ("rule.tier", "standard")])

    with pytest.raises(InvalidInputError):
        parse_mapping_form(torn)


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("-2", -2), ("−2", -2), (" 4 ", 4), ("", 0), (None, 0)])
def test_whole_numbers_are_read_as_people_write_them(text: str | None, number: int) -> None:
    assert whole_number(text, "seats") == number


@pytest.mark.parametrize("text", ["two", "1.5", "1e3", "٣", "1234567890", "--1"])
def test_anything_else_is_no_whole_number(text: str) -> None:
    with pytest.raises(InvalidInputError):
        whole_number(text, "seats")


@pytest.mark.parametrize("text", ["", "nobody", "two words@x.test", "a@b@c", None, "a@" + "x" * 260])
def test_what_is_no_mail_address_is_refused(text: str | None) -> None:
    with pytest.raises(InvalidInputError):
        mail_address(text, "e-mail")


@pytest.mark.parametrize(
    "text", ["", "1", "00000000000040008000000000000000", "{00000000-0000-4000-8000-000000000000}"]
)
def test_an_identifier_has_one_written_form(text: str) -> None:
    with pytest.raises(NotFoundError):
        identifier("member", text)


def preview_of(now: dict[str | None, int], new: dict[str, str], pools: dict[str, Pool]) -> MovesPreview:
    """Preview rules {group: tier} for people who are in the group named after their present tier."""
    people: list[PersonClass] = []
    first = 0
    for tier, count in now.items():
        facts = PersonFacts(groups=frozenset({tier or "none"}))
        holding = Holding(tier, Grant.MAPPING if tier else None)
        people.append(PersonClass(facts, holding, count, list(range(first, first + count))))
        first += count
    old = MappingSet()
    rules = [{"group": group, "group_id": group, "tier": tier} for group, tier in new.items()]
    document = {"schema": 1, "default": "unassigned", "rules": rules}
    return moves_under(people, old, from_document(document, LADDER), LADDER, pools)


def test_the_picture_says_in_sentences_what_it_shows() -> None:
    moves = preview_of(
        {"premium": 2, "standard": 3, None: 1},
        {"premium": "standard", "standard": "standard", "none": "standard"},
        {"premium": Pool(2, 2), "standard": Pool(9, 3)},
    )

    flows = draw_flows(moves, LADDER)

    assert flows.sentences == (
        "2 people go from Premium to Standard.",
        "3 people stay: Standard.",
        "1 person goes from No seat to Standard.",
    )
    assert [(band.look, band.label) for band in flows.bands] == [
        ("", "3 stay"),
        ("down", "2 move down"),
        ("gain", "1 gets a seat"),
    ]


def test_both_sides_have_one_scale_and_stay_inside_the_picture() -> None:
    moves = preview_of(
        {"premium": 10, "standard": 30, None: 60},
        {"premium": "premium", "standard": "standard"},
        {"premium": Pool(10, 10), "standard": Pool(30, 30)},
    )

    flows = draw_flows(moves, LADDER)

    heights = {(post.name, post.people): round(post.height / post.people, 6) for post in flows.posts}
    assert len(set(heights.values())) == 1
    assert all(post.y >= TOP and post.y + post.height <= TOP + HEIGHT + 0.01 for post in flows.posts)


def test_an_empty_organization_has_an_empty_picture() -> None:
    flows = draw_flows(preview_of({}, {}, {}), LADDER)

    assert (flows.posts, flows.bands, flows.sentences) == ((), (), ())


def test_moves_are_gathered_by_seat_and_reason() -> None:
    moves = preview_of({None: 3}, {"none": "standard"}, {"standard": Pool(9, 0)})

    groups = group_moves(moves.moves, LADDER)

    assert [(group.from_tier, group.to_tier, group.sentence, len(group.member_ids)) for group in groups] == [
        (None, "standard", "the group none gives Standard", 3)
    ]


def test_small_words() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]
    )
    assert [plural(1, "person", "people"), plural(2000, "seat")] == ["1 person", "2,000 seats"]
    assert [initials("Bram de Vries"), initials("Émile"), initials("")] == ["BV", "É", ""]
