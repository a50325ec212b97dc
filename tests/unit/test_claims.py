import pytest

from bridge.domain.claims import AmbiguousClaimError, ClaimMap, UsualNames, read_person
from bridge.errors import InvalidInputError

USUAL = UsualNames(
    email=("email", "mail"),
    given_name=("given_name",),
    family_name=("family_name",),
    display_name=("name",),
    groups=("groups", "roles"),
    user_name=("preferred_username",),
)


def test_reads_what_comes_under_its_usual_name() -> None:
    claims = {"Mail": ("ada@acme.test",), "preferred_username": ("ada",), "groups": ("a",), "roles": ("b",)}

    person = read_person(claims, USUAL, ClaimMap())

    assert (person.email, person.user_name, person.groups) == ("ada@acme.test", "ada", frozenset("ab"))
    assert (person.subject, person.given_name, person.attributes) == (None, None, {})


def test_a_name_of_the_connection_replaces_the_usual_ones() -> None:
    claims = {"email": ("wrong@acme.test",), "x-mail": ("ada@acme.test",), "groups": ("wrong",)}

    person = read_person(claims, USUAL, ClaimMap(email="X-Mail", groups="memberOf"))

    assert (person.email, person.groups) == ("ada@acme.test", None)


def test_attributes_for_rules_are_read_where_they_came() -> None:
    mapped = ClaimMap(attributes={"department": "dept", "costCenter": "cc"})

    assert read_person({"DEPT": ("R&D",)}, USUAL, mapped).attributes == {"department": "R&D"}


@pytest.mark.parametrize("mapped", [ClaimMap(subject="uid"), ClaimMap(user_name="uid")])
def test_what_tells_who_somebody_is_must_be_there(mapped: ClaimMap) -> None:
    with pytest.raises(AmbiguousClaimError, match=r"'uid', which says .* was not sent"):
        read_person({"uid": ()}, USUAL, mapped)


@pytest.mark.parametrize("mapped", [ClaimMap(), ClaimMap(subject="email"), ClaimMap(attributes={"title": "email"})])
def test_two_values_of_one_claim_are_refused(mapped: ClaimMap) -> None:
    with pytest.raises(AmbiguousClaimError, match="'email' has 2 values"):
        read_person({"email": ("a", "b")}, USUAL, mapped)


def test_a_map_is_kept_as_it_was_said() -> None:
    mapped = ClaimMap(subject="uid", attributes={"title": "job"})

    assert ClaimMap.read(mapped.stored()) == mapped
    assert ClaimMap.read(None) == ClaimMap()
    assert ClaimMap().stored() == {}


def test_a_change_keeps_what_it_does_not_name_and_an_empty_name_takes_the_usual_one() -> None:
    mapped = ClaimMap(email="mail", groups="memberOf", attributes={"title": "job", "department": "dept"})

    changed = mapped.changed({"email": "", "display_name": " cn "}, {"title": ""})

    assert changed.stored() == {"display_name": "cn", "groups": "memberOf", "attributes": {"department": "dept"}}


def test_only_attributes_that_rules_look_at_are_mapped() -> None:
    with pytest.raises(InvalidInputError, match="department"):
        ClaimMap().changed({}, {"shoeSize": "shoe"})
    with pytest.raises(InvalidInputError, match="400"):
        ClaimMap().changed({"email": "x" * 401}, {})
