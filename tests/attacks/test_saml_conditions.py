"""Truly signed responses that are meant for somebody else, for another time, or name nobody exactly."""

from datetime import timedelta

import pytest

from bridge.adapters.saml import SamlRefusal
from bridge.simulator.saml import Signed, instant
from tests.attacks.target import Door
from tests.saml_forgeries import (
    ASSERTION,
    CONDITIONS,
    NAME_ID,
    NOW,
    STATEMENT,
    SUBJECT_DATA,
    Edit,
    add,
    drop,
    find,
    put,
    write,
)

AUDIENCE = f"{CONDITIONS}/saml:AudienceRestriction/saml:Audience"
CONFIRMATION = f"{ASSERTION}/saml:Subject/saml:SubjectConfirmation"
# The clocks may differ by 60 seconds: it ended a second too early, or begins a second too late.
EARLY, LATE = instant(NOW - timedelta(seconds=60)), instant(NOW + timedelta(seconds=61))
OTHER = "https://other.example"

NOT_FOR_US: dict[str, tuple[Edit, SamlRefusal]] = {
    "another issuer of the response": (write("saml:Issuer", OTHER), SamlRefusal.ISSUER),
    "another issuer of the assertion": (write(f"{ASSERTION}/saml:Issuer", OTHER), SamlRefusal.ISSUER),
    "no destination": (put(".", Destination=None), SamlRefusal.DESTINATION),
    "an empty destination": (put(".", Destination=""), SamlRefusal.DESTINATION),
    "no recipient": (put(SUBJECT_DATA, Recipient=None), SamlRefusal.RECIPIENT),
    "no audience": (drop(f"{CONDITIONS}/saml:AudienceRestriction"), SamlRefusal.AUDIENCE),
    "another audience": (write(AUDIENCE, OTHER), SamlRefusal.AUDIENCE),
    "an audience that begins like us": (
        lambda response: setattr(find(response, AUDIENCE), "text", find(response, AUDIENCE).text + "/more"),
        SamlRefusal.AUDIENCE,
    ),
    "a second restriction that does not name us": (
        add(
            CONDITIONS,
            f"<saml:AudienceRestriction><saml:Audience>{OTHER}</saml:Audience></saml:AudienceRestriction>",
        ),
        SamlRefusal.AUDIENCE,
    ),
    "no conditions": (drop(CONDITIONS), SamlRefusal.CONDITIONS),
    "a condition that nobody knows": (
        add(CONDITIONS, '<saml:Condition xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="unknown"/>'),
        SamlRefusal.SCHEMA,
    ),
    "no confirmation": (drop(CONFIRMATION), SamlRefusal.SUBJECT_CONFIRMATION),
    "a confirmation without data": (drop(SUBJECT_DATA), SamlRefusal.SUBJECT_CONFIRMATION),
    "a confirmation of another kind": (
        put(CONFIRMATION, Method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"),
        SamlRefusal.SUBJECT_CONFIRMATION,
    ),
    "a confirmation without an end": (put(SUBJECT_DATA, NotOnOrAfter=None), SamlRefusal.SUBJECT_CONFIRMATION),
    "conditions that ended": (put(CONDITIONS, NotOnOrAfter=EARLY), SamlRefusal.EXPIRED),
    "a confirmation that ended": (put(SUBJECT_DATA, NotOnOrAfter=EARLY), SamlRefusal.EXPIRED),
    "a session that ended": (put(STATEMENT, SessionNotOnOrAfter=EARLY), SamlRefusal.EXPIRED),
    "conditions that begin later": (put(CONDITIONS, NotBefore=LATE), SamlRefusal.NOT_YET_VALID),
    "a confirmation that begins later": (put(SUBJECT_DATA, NotBefore=LATE), SamlRefusal.NOT_YET_VALID),
    "a response of the future": (put(".", IssueInstant=LATE), SamlRefusal.ISSUED_IN_FUTURE),
    "an assertion of the future": (put(ASSERTION, IssueInstant=LATE), SamlRefusal.ISSUED_IN_FUTURE),
    "an authentication of the future": (put(STATEMENT, AuthnInstant=LATE), SamlRefusal.ISSUED_IN_FUTURE),
    "a time that is none": (put(ASSERTION, IssueInstant="tomorrow"), SamlRefusal.SCHEMA),
    "the year zero": (put(SUBJECT_DATA, NotOnOrAfter="0001-01-01T00:00:00+14:00"), SamlRefusal.SUBJECT_CONFIRMATION),
    "nobody authenticated": (drop(STATEMENT), SamlRefusal.AUTHN_STATEMENT),
    "a response of SAML 1.1": (put(".", Version="1.1"), SamlRefusal.VERSION),
    "an assertion of SAML 1.1": (put(ASSERTION, Version="1.1"), SamlRefusal.VERSION),
    "no success": (
        put("samlp:Status/samlp:StatusCode", Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"),
        SamlRefusal.STATUS,
    ),
    "no assertion": (drop(ASSERTION), SamlRefusal.NO_ASSERTION),
    "no subject": (drop(f"{ASSERTION}/saml:Subject"), SamlRefusal.SUBJECT_CONFIRMATION),
    "no name": (drop(NAME_ID), SamlRefusal.NAME_ID),
    "a blank name": (write(NAME_ID, " \n "), SamlRefusal.NAME_ID),
    "a name without end": (write(NAME_ID, "a" * 257), SamlRefusal.NAME_ID),
    "a name that begins with a space that does not break": (
        write(NAME_ID, "\u00a0ada@acme.example"),
        SamlRefusal.NAME_ID,
    ),
    "a name that ends with a wide space": (write(NAME_ID, "ada@acme.example\u3000"), SamlRefusal.NAME_ID),
    "a name with a joiner that nobody sees": (write(NAME_ID, "ada\u200d@acme.example"), SamlRefusal.NAME_ID),
    "a name that is written from right to left": (write(NAME_ID, "\u202eada@acme.example"), SamlRefusal.NAME_ID),
    "a name in two lines": (write(NAME_ID, "ada@acme.example\nbob@acme.example"), SamlRefusal.NAME_ID),
    "a name made for another service": (put(NAME_ID, SPNameQualifier=OTHER), SamlRefusal.NAME_ID),
    "two addresses": (
        add(
            f"{ASSERTION}/saml:AttributeStatement/saml:Attribute[@Name='email']",
            "<saml:AttributeValue>owner@acme.test</saml:AttributeValue>",
        ),
        SamlRefusal.ATTRIBUTE,
    ),
}


@pytest.mark.parametrize(("edit", "reason"), NOT_FOR_US.values(), ids=NOT_FOR_US)
def test_a_signed_response_is_refused_for(door: Door, edit: Edit, reason: SamlRefusal) -> None:
    # Where there is no assertion to sign, the response is signed.
    part = Signed.RESPONSE if reason == SamlRefusal.NO_ASSERTION else Signed.ASSERTION

    door.refuses(door.signed(edit, part=part), reason)


TRICKS = {
    "more at the end": "{}/more",
    "a query": "{}?x=1",
    "another letter case": "HTTP://127.0.0.1:8080/SSO",
    "our address as a query": "https://evil.example/?{}",
    "our address as a user": "http://127.0.0.1:8080@evil.example/acs",
    "another port": "http://127.0.0.1:8081/acs",
    "a name of the same machine": "http://localhost:8080/acs",
    "dots": "{}/../acs",
    "white space": "\t{} ",
}


@pytest.mark.parametrize("address", TRICKS.values(), ids=TRICKS)
@pytest.mark.parametrize(
    ("path", "attribute", "reason"),
    [(".", "Destination", SamlRefusal.DESTINATION), (SUBJECT_DATA, "Recipient", SamlRefusal.RECIPIENT)],
    ids=["Destination", "Recipient"],
)
def test_an_address_is_ours_to_the_last_letter(
    door: Door, path: str, attribute: str, reason: SamlRefusal, address: str
) -> None:
    changed = put(path, **{attribute: address.format(door.received.acs_url)})

    door.refuses(door.signed(changed), reason)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Original-Host": "evil.example", "X-Host": "evil.example"},
    ],
    ids="+".join,
)
def test_i10_an_answer_for_the_host_that_the_request_names_is_refused(door: Door, headers: dict[str, str]) -> None:
    """I10: only the configured address decides for whom an answer is."""
    evil = door.received.acs_url.replace("127.0.0.1:8080", "evil.example")

    door.refuses(
        door.signed(put(".", Destination=evil), put(SUBJECT_DATA, Recipient=evil)),
        SamlRefusal.DESTINATION,
        headers=headers,
    )
