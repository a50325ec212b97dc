from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from bridge.adapters.saml import AssertedPerson, SamlRefusal, SignedPart, VerifiedAssertion, asserted_person
from bridge.domain.claims import ClaimedPerson, ClaimMap
from bridge.errors import SignInRefusedError
from bridge.simulator.dialects import Dialect
from bridge.simulator.saml import ReceivedRequest, SimulatedIdp, SimulatedUser
from tests.saml_forgeries import NOW, REQUEST, SP, idp, verify

CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


def assertion(name_id_format: str | None = PERSISTENT, **attributes: tuple[str, ...]) -> VerifiedAssertion:
    return with_attributes(attributes, name_id_format)


def with_attributes(
    attributes: Mapping[str, tuple[str, ...]], name_id_format: str | None = PERSISTENT
) -> VerifiedAssertion:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return VerifiedAssertion(
        issuer="https://idp.example",
        assertion_id="_a",
        response_id="_r",
        in_response_to=None,
        name_id="ada@acme.example",
        name_id_format=name_id_format,
        session_index=None,
        attributes=attributes,
        authn_instant=at,
        not_on_or_after=at,
        signed=SignedPart.BOTH,
    )


@pytest.mark.parametrize("dialect", Dialect)
def test_reads_the_attributes_of_each_provider(dialect: Dialect) -> None:
    provider = SimulatedIdp(idp().entity_id, idp().sso_url, idp().key, dialect)
    user = SimulatedUser("ada", "ada@acme.example", "Ada", "Lovelace", ("Engineering", "Everyone"))
    raw = provider.respond(ReceivedRequest(REQUEST, SP.entity_id, SP.acs_url), user, now=NOW)

    person = asserted_person(verify(raw))

    groups = frozenset({"Engineering", "Everyone"})
    claimed = ClaimedPerson(None, None, "ada@acme.example", "Ada", "Lovelace", None, groups, {})
    assert person == AssertedPerson("ada", "ada", claimed)


def test_reads_object_identifiers_as_shibboleth_sends_them() -> None:
    attributes = {
        "urn:oid:0.9.2342.19200300.100.1.3": ("ada@acme.example",),
        "urn:oid:2.5.4.42": ("Ada",),
        "urn:oid:2.5.4.4": ("Lovelace",),
        "urn:oid:2.16.840.1.113730.3.1.241": ("Ada Lovelace",),
        "urn:oid:1.3.6.1.4.1.5923.1.5.1.1": ("staff",),
    }

    person = asserted_person(with_attributes(attributes)).claimed

    assert person == ClaimedPerson(
        None, None, "ada@acme.example", "Ada", "Lovelace", "Ada Lovelace", frozenset({"staff"}), {}
    )


def test_ignores_the_case_of_attribute_names() -> None:
    assert asserted_person(assertion(FirstName=("Ada",), LASTNAME=("Lovelace",))).claimed.family_name == "Lovelace"


def test_missing_group_claims_are_not_no_groups() -> None:
    assert asserted_person(assertion(email=("a@acme.example",))).claimed.groups is None


def test_an_empty_group_claim_is_no_groups() -> None:
    assert asserted_person(assertion(groups=())).claimed.groups == frozenset()


def test_joins_groups_of_several_claims() -> None:
    assert asserted_person(assertion(groups=("a", "b"), memberOf=("b", "c"))).claimed.groups == frozenset("abc")


def test_recognises_that_entra_left_the_groups_out() -> None:
    link = {"http://schemas.microsoft.com/claims/groups.link": ("https://graph.windows.net/x",)}

    person = asserted_person(with_attributes(link))

    assert (person.claimed.groups, person.groups_overage) == (None, True)


@pytest.mark.parametrize("name", ["email", "mail", CLAIMS + "emailaddress", "lastName"])
def test_refuses_two_values_of_an_attribute_that_identifies(name: str) -> None:
    with pytest.raises(SignInRefusedError, match="2 values") as refusal:
        asserted_person(with_attributes({name: ("ada@acme.example", "eve@acme.example")}))

    assert refusal.value.reason == SamlRefusal.ATTRIBUTE


def test_accepts_one_value_sent_twice() -> None:
    assert asserted_person(assertion(email=("a@acme.example", "a@acme.example"))).claimed.email == "a@acme.example"


def test_takes_the_address_from_a_name_of_that_format_only() -> None:
    assert asserted_person(assertion(EMAIL)).claimed.email == "ada@acme.example"
    assert asserted_person(assertion(PERSISTENT)).claimed.email is None
    assert asserted_person(assertion(EMAIL, email=("other@acme.example",))).claimed.email == "other@acme.example"


def test_takes_the_address_from_no_name_where_the_connection_names_an_attribute_for_it() -> None:
    assert asserted_person(assertion(EMAIL), ClaimMap(email="mail")).claimed.email is None


def test_a_transient_name_tells_nobody_apart_unless_an_attribute_does() -> None:
    with pytest.raises(SignInRefusedError, match="--subject") as refusal:
        asserted_person(assertion(TRANSIENT))
    person = asserted_person(assertion(TRANSIENT, uid=("ada",)), ClaimMap(subject="UID"))

    assert refusal.value.reason == SamlRefusal.NAME_ID
    assert (person.subject, person.directory_name) == ("ada", "ada")


def test_the_attribute_that_tells_who_somebody_is_must_be_there() -> None:
    with pytest.raises(SignInRefusedError, match="'uid', which says who somebody is in this connection, was not sent"):
        asserted_person(assertion(), ClaimMap(subject="uid"))
