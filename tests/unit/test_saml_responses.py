import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import xmlsec
from lxml import etree

from bridge.adapters import saml
from bridge.adapters.saml import SamlRefusal, SignedPart
from bridge.errors import SignInRefusedError
from bridge.simulator.saml import ReceivedRequest, Signed, encode, instant, sign, sign_element
from tests.saml_forgeries import (
    ADA,
    ASSERTION,
    CONDITIONS,
    NAME_ID,
    NOW,
    REQUEST,
    SP,
    STATEMENT,
    SUBJECT_DATA,
    UNASKED,
    Edit,
    add,
    draft,
    drop,
    find,
    idp,
    other_key,
    put,
    signed,
    tampered,
    trust,
    verify,
    write,
)


def refusal(response: Any, **changes: Any) -> str:
    with pytest.raises(SignInRefusedError) as caught:
        verify(response, **changes)
    assert caught.value.detail, "a refusal says why in words"
    return caught.value.reason


@pytest.mark.parametrize("part", Signed)
def test_accepts_what_the_provider_signed(part: Signed) -> None:
    response = signed(part=part)

    assertion = verify(response)

    assert assertion == saml.VerifiedAssertion(
        issuer="https://idp.example/saml",
        assertion_id=find(response, ASSERTION).get("ID"),
        response_id=response.get("ID"),
        in_response_to=REQUEST,
        name_id=ADA.name_id,
        name_id_format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
        name_attributes={"Format": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"},
        session_index=find(response, STATEMENT).get("SessionIndex"),
        attributes={
            "email": ("ada@acme.example",),
            "firstName": ("Ada",),
            "lastName": ("Lovelace",),
            "groups": ("Engineering",),
        },
        authn_instant=NOW,
        not_on_or_after=NOW + timedelta(minutes=5),
        signed=SignedPart(part.value),
    )


def test_accepts_base64_in_lines() -> None:
    text = base64.encodebytes(etree.tostring(signed())).decode().replace("\n", "\r\n")

    assert verify(text).name_id == ADA.name_id


# Signatures


def test_refuses_an_unsigned_response() -> None:
    assert refusal(draft()) == SamlRefusal.NO_SIGNATURE


@pytest.mark.parametrize("part", Signed)
def test_refuses_a_response_signed_by_another_key(part: Signed) -> None:
    assert refusal(sign(draft(), other_key(), part)) == SamlRefusal.BAD_SIGNATURE


def test_refuses_the_simulators_forgery() -> None:
    received = ReceivedRequest(REQUEST, SP.entity_id, SP.acs_url)

    assert refusal(idp().respond(received, ADA, now=NOW, forged=True)) == SamlRefusal.BAD_SIGNATURE


@pytest.mark.parametrize("part", Signed)
def test_refuses_a_name_changed_after_signing(part: Signed) -> None:
    assert refusal(tampered(write(NAME_ID, "evil@acme.example"), part=part)) == SamlRefusal.BAD_SIGNATURE


def test_refuses_two_signatures_of_which_one_is_false() -> None:
    response = sign(draft(), idp().key, Signed.ASSERTION)
    sign_element(response, other_key())

    assert refusal(response) == SamlRefusal.BAD_SIGNATURE


def test_refuses_a_response_signature_that_is_true_over_a_false_assertion_signature() -> None:
    response = sign(draft(), other_key(), Signed.ASSERTION)
    sign_element(response, idp().key)

    assert refusal(response) == SamlRefusal.BAD_SIGNATURE


def test_refuses_sha1_even_from_the_right_key() -> None:
    response = draft()
    sign_element(
        find(response, ASSERTION),
        idp().key,
        method=xmlsec.constants.TransformRsaSha1,
        digest=xmlsec.constants.TransformSha1,
    )

    assert refusal(response) == SamlRefusal.ALGORITHM


def test_ignores_the_certificate_in_the_document() -> None:
    response = sign(draft(), other_key(), Signed.ASSERTION)
    path = "saml:Assertion/ds:Signature/ds:KeyInfo/ds:X509Data/ds:X509Certificate"
    write(path, find(signed(), path).text)(response)

    assert refusal(response) == SamlRefusal.BAD_SIGNATURE


@pytest.mark.parametrize("order", [1, -1])
def test_tries_every_certificate_during_a_roll_over(order: int) -> None:
    certificates = (idp().key.certificate.decode(), other_key().certificate.decode())[::order]

    assertion = verify(signed(), idp=saml.IdpTrust(idp().entity_id, certificates))

    assert assertion.name_id == ADA.name_id


def test_refuses_everything_when_no_certificate_is_trusted() -> None:
    assert refusal(signed(), idp=saml.IdpTrust(idp().entity_id, ())) == SamlRefusal.BAD_SIGNATURE


def test_survives_a_trusted_certificate_that_cannot_be_read() -> None:
    certificates = ("garbage", idp().key.certificate.decode())

    assert verify(signed(), idp=saml.IdpTrust(idp().entity_id, certificates)).name_id == ADA.name_id


# Shape


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (put(".", Version="1.1"), SamlRefusal.VERSION),
        (put(ASSERTION, Version="1.1"), SamlRefusal.VERSION),
        (
            put("samlp:Status/samlp:StatusCode", Value="urn:oasis:names:tc:SAML:2.0:status:Responder"),
            SamlRefusal.STATUS,
        ),
        (drop("samlp:Status"), SamlRefusal.STATUS),
        (put(ASSERTION, IssueInstant="yesterday"), SamlRefusal.SCHEMA),
        (put(ASSERTION, IssueInstant="0001-01-01T00:00:00+14:00"), SamlRefusal.SCHEMA),
        (add(ASSERTION, "<saml:Nothing/>"), SamlRefusal.SCHEMA),
        (add(ASSERTION, "<saml:AttributeStatement/>"), SamlRefusal.SCHEMA),
    ],
)
def test_refuses_a_signed_response_of_the_wrong_shape(edit: Edit, reason: SamlRefusal) -> None:
    assert refusal(signed(edit, part=Signed.RESPONSE)) == reason


def test_refuses_a_failed_sign_in_with_the_providers_own_words() -> None:
    response = draft(
        drop(ASSERTION),
        put("samlp:Status/samlp:StatusCode", Value="urn:oasis:names:tc:SAML:2.0:status:Responder"),
        add("samlp:Status", "<samlp:StatusMessage>User is not assigned\nto this application</samlp:StatusMessage>"),
    )

    with pytest.raises(SignInRefusedError, match="Responder -> User is not assigned to this application") as caught:
        verify(response)

    assert caught.value.reason == SamlRefusal.STATUS


def test_refuses_a_response_without_an_assertion() -> None:
    response = draft(drop(ASSERTION))
    sign_element(response, idp().key)

    assert refusal(response) == SamlRefusal.NO_ASSERTION


def test_refuses_two_assertions_even_when_both_are_signed() -> None:
    response = draft()
    other = draft()
    response.append(find(other, ASSERTION))
    for assertion in response.findall("{urn:oasis:names:tc:SAML:2.0:assertion}Assertion"):
        sign_element(assertion, idp().key)

    assert refusal(response) == SamlRefusal.SEVERAL_ASSERTIONS


# Addressee, issuer, request


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (write("saml:Issuer", "https://idp.example/other"), SamlRefusal.ISSUER),
        (write("saml:Assertion/saml:Issuer", "https://idp.example/other"), SamlRefusal.ISSUER),
        (put(".", Destination=None), SamlRefusal.DESTINATION),
        (put(".", Destination=""), SamlRefusal.DESTINATION),
        (put(".", Destination=SP.acs_url + "/more"), SamlRefusal.DESTINATION),
        (put(".", Destination=SP.acs_url.upper()), SamlRefusal.DESTINATION),
        (put(SUBJECT_DATA, Recipient=None), SamlRefusal.RECIPIENT),
        (put(SUBJECT_DATA, Recipient="https://evil.example/?" + SP.acs_url), SamlRefusal.RECIPIENT),
        (put(SUBJECT_DATA, InResponseTo=None), SamlRefusal.IN_RESPONSE_TO),
        (put(SUBJECT_DATA, InResponseTo="_another"), SamlRefusal.IN_RESPONSE_TO),
        (put(".", InResponseTo="_another"), SamlRefusal.IN_RESPONSE_TO),
        (put(".", InResponseTo=None), SamlRefusal.IN_RESPONSE_TO),
        (drop(f"{CONDITIONS}/saml:AudienceRestriction"), SamlRefusal.AUDIENCE),
        (write(f"{CONDITIONS}/saml:AudienceRestriction/saml:Audience", "https://other.example"), SamlRefusal.AUDIENCE),
        (
            add(
                CONDITIONS,
                "<saml:AudienceRestriction><saml:Audience>https://other.example</saml:Audience></saml:AudienceRestriction>",
            ),
            SamlRefusal.AUDIENCE,
        ),
        (drop(CONDITIONS), SamlRefusal.CONDITIONS),
        (drop("saml:Assertion/saml:Subject/saml:SubjectConfirmation"), SamlRefusal.SUBJECT_CONFIRMATION),
        (drop(SUBJECT_DATA), SamlRefusal.SUBJECT_CONFIRMATION),
        (
            put(
                "saml:Assertion/saml:Subject/saml:SubjectConfirmation",
                Method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches",
            ),
            SamlRefusal.SUBJECT_CONFIRMATION,
        ),
        (put(SUBJECT_DATA, NotOnOrAfter=None), SamlRefusal.SUBJECT_CONFIRMATION),
        (drop(STATEMENT), SamlRefusal.AUTHN_STATEMENT),
        (drop("saml:Assertion/saml:Subject"), SamlRefusal.SUBJECT_CONFIRMATION),
        (drop(NAME_ID), SamlRefusal.NAME_ID),
        (write(NAME_ID, " \n "), SamlRefusal.NAME_ID),
        (write(NAME_ID, "a" * 257), SamlRefusal.NAME_ID),
        (put(NAME_ID, SPNameQualifier="https://other.example"), SamlRefusal.NAME_ID),
    ],
)
def test_refuses_a_signed_response_that_is_not_meant_for_us(edit: Edit, reason: SamlRefusal) -> None:
    assert refusal(signed(edit)) == reason


def test_accepts_a_second_audience_beside_ours() -> None:
    more = "<saml:Audience>https://other.example</saml:Audience>"

    assert verify(signed(add(f"{CONDITIONS}/saml:AudienceRestriction", more))).name_id == ADA.name_id


def test_returns_the_signed_request_for_the_caller_to_look_up() -> None:
    assert verify(signed(), expected_request=None).in_response_to == REQUEST


def test_returns_no_request_when_the_sign_in_started_at_the_provider() -> None:
    assert verify(signed(received=UNASKED), expected_request=None).in_response_to is None


def test_refuses_an_unsolicited_response_where_a_request_is_expected() -> None:
    assert refusal(signed(received=UNASKED)) == SamlRefusal.IN_RESPONSE_TO


def test_takes_the_bearer_confirmation_that_holds() -> None:
    stale = (
        '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData '
        'Recipient="https://old.example/acs" NotOnOrAfter="2026-03-02T10:00:00Z"/></saml:SubjectConfirmation>'
    )

    assert verify(signed(add("saml:Assertion/saml:Subject", stale, 1))).in_response_to == REQUEST


def test_is_remembered_until_its_last_confirmation_ends() -> None:
    later = (
        '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData '
        f'InResponseTo="{REQUEST}" Recipient="{SP.acs_url}" NotOnOrAfter="2026-03-02T10:00:00Z"/>'
        "</saml:SubjectConfirmation>"
    )

    assertion = verify(signed(add("saml:Assertion/saml:Subject", later)))

    assert assertion.not_on_or_after == NOW + timedelta(hours=1)


def test_accepts_the_same_name_qualifier_as_ours() -> None:
    assert verify(signed(put(NAME_ID, SPNameQualifier=SP.entity_id))).name_id == ADA.name_id


# Times: the assertion is of 09:00:00, valid from 08:55:00 to 09:05:00, the clocks may differ by 60 seconds


@pytest.mark.parametrize("seconds", [-60, 0, 359])
def test_accepts_within_its_time_and_the_clocks_difference(seconds: int) -> None:
    # Before: issued at 09:00:00, read at 08:59:00, 60 s in the future. After: 300 s of validity + 60 s − 1 s.
    assert verify(signed(), now=NOW + timedelta(seconds=seconds)).name_id == ADA.name_id


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(-61, SamlRefusal.ISSUED_IN_FUTURE), (360, SamlRefusal.EXPIRED), (86_400, SamlRefusal.EXPIRED)],
)
def test_refuses_outside_its_time(seconds: int, reason: SamlRefusal) -> None:
    assert refusal(signed(), now=NOW + timedelta(seconds=seconds)) == reason


EARLY, LATE = instant(NOW - timedelta(seconds=60)), instant(NOW + timedelta(seconds=61))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (put(CONDITIONS, NotOnOrAfter=EARLY), SamlRefusal.EXPIRED),
        (put(SUBJECT_DATA, NotOnOrAfter=EARLY), SamlRefusal.EXPIRED),
        (put(STATEMENT, SessionNotOnOrAfter=EARLY), SamlRefusal.EXPIRED),
        (put(CONDITIONS, NotBefore=LATE), SamlRefusal.NOT_YET_VALID),
        (put(SUBJECT_DATA, NotBefore=LATE), SamlRefusal.NOT_YET_VALID),
        (put(".", IssueInstant=LATE), SamlRefusal.ISSUED_IN_FUTURE),
        (put(ASSERTION, IssueInstant=LATE), SamlRefusal.ISSUED_IN_FUTURE),
        (put(STATEMENT, AuthnInstant=LATE), SamlRefusal.ISSUED_IN_FUTURE),
    ],
)
def test_allows_one_difference_of_clocks_on_every_time(edit: Edit, reason: SamlRefusal) -> None:
    assert refusal(signed(edit)) == reason
    assert verify(signed(edit), skew_seconds=61).name_id == ADA.name_id


@pytest.mark.parametrize(
    "written", ["2026-03-02T09:00:00", "2026-03-02T09:00:00.1234567Z", "2026-03-02T10:00:00+01:00"]
)
def test_reads_every_way_to_write_an_instant(written: str) -> None:
    assert verify(signed(put(STATEMENT, AuthnInstant=written))).authn_instant.replace(microsecond=0) == NOW


# Attributes


def test_joins_attributes_of_the_same_name_and_leaves_blanks_out() -> None:
    more = (
        '<saml:Attribute Name="groups"><saml:AttributeValue>Sales</saml:AttributeValue>'
        "<saml:AttributeValue> </saml:AttributeValue></saml:Attribute>"
    )

    assertion = verify(signed(add("saml:Assertion/saml:AttributeStatement", more)))

    assert assertion.attributes["groups"] == ("Engineering", "Sales")


def test_an_attribute_with_markup_in_it_counts_as_not_sent() -> None:
    more = (
        '<saml:Attribute Name="groups">'
        "<saml:AttributeValue><saml:NameID>x</saml:NameID></saml:AttributeValue></saml:Attribute>"
    )

    assertion = verify(signed(add("saml:Assertion/saml:AttributeStatement", more)))

    assert "groups" not in assertion.attributes


def test_accepts_an_assertion_without_attributes() -> None:
    assert verify(signed(drop("saml:Assertion/saml:AttributeStatement"))).attributes == {}


# Bytes


def test_verifies_in_many_threads_at_once() -> None:
    field = encode(signed(part=Signed.BOTH))

    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda _: verify(field).name_id, range(200)))

    assert names == [ADA.name_id] * 200


def test_libxmlsec_opens_no_file_once_initialised() -> None:
    saml.initialise()
    response = draft()
    assertion = find(response, ASSERTION)
    assertion.set("ID", "x")
    template = xmlsec.template.create(
        assertion, xmlsec.constants.TransformExclC14N, xmlsec.constants.TransformRsaSha256, ns="ds"
    )
    assertion.append(template)
    xmlsec.template.add_reference(template, xmlsec.constants.TransformSha256, uri=f"file://{__file__}")
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(idp().key.private_key, xmlsec.constants.KeyDataFormatPem)

    with pytest.raises(xmlsec.Error):
        context.sign(template)


@pytest.mark.parametrize("raw", ["%%%", "é", "YWJj=YWJj", "a"])
def test_refuses_what_is_not_base64(raw: str) -> None:
    assert refusal(raw) == SamlRefusal.NOT_BASE64


def test_refuses_a_field_that_is_too_large_before_decoding_it() -> None:
    assert refusal("A" * 400_000) == SamlRefusal.TOO_LARGE


def test_shows_a_strangers_values_on_one_short_line() -> None:
    response = draft(put(".", Destination="https://evil.example/\n2026 INFO forged line" + "x" * 500))

    with pytest.raises(SignInRefusedError) as caught:
        verify(sign(response, idp().key, Signed.ASSERTION))

    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) < 300


def test_every_refusal_has_its_own_stable_code() -> None:
    codes = [code.value for code in SamlRefusal]

    assert len(set(codes)) == len(codes)
    assert all(code.startswith("saml_") for code in codes)


def test_trusts_the_connections_issuer_only() -> None:
    other = saml.IdpTrust("https://other.example", trust().certificates)

    assert refusal(signed(), idp=other) == SamlRefusal.ISSUER
