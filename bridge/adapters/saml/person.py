"""Who the assertion is about, whatever the identity provider calls the attributes."""

from dataclasses import dataclass, replace
from typing import Final

from bridge.adapters.refusals import refused
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.responses import VerifiedAssertion
from bridge.domain.claims import AmbiguousClaimError, ClaimedPerson, ClaimMap, UsualNames, read_person

_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
_TRANSIENT_FORMAT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"

USUAL_NAMES: Final = UsualNames(
    email=(
        "email",
        "mail",
        "emailAddress",
        "email_address",
        "user.email",
        _CLAIMS + "emailaddress",  # Entra ID, AD FS
        "http://schemas.xmlsoap.org/claims/EmailAddress",  # AD FS 1.x
        "urn:oid:0.9.2342.19200300.100.1.3",  # mail
        "urn:oid:1.2.840.113549.1.9.1",  # emailAddress
    ),
    given_name=(
        "firstName",
        "first_name",
        "givenName",
        "given_name",
        "user.firstName",
        _CLAIMS + "givenname",
        "urn:oid:2.5.4.42",
    ),
    family_name=(
        "lastName",
        "last_name",
        "surname",
        "familyName",
        "family_name",
        "sn",
        "user.lastName",
        _CLAIMS + "surname",
        "urn:oid:2.5.4.4",
    ),
    display_name=(
        "displayName",
        "display_name",
        "user.displayName",
        "http://schemas.microsoft.com/identity/claims/displayname",
        "urn:oid:2.16.840.1.113730.3.1.241",
    ),
    groups=(
        "groups",
        "group",
        "memberOf",
        "user.groups",
        "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
        "http://schemas.xmlsoap.org/claims/Group",
        "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",  # isMemberOf
        "urn:oid:1.2.840.113556.1.2.102",  # memberOf
    ),
)
GROUP_OVERAGE_NAME: Final = "http://schemas.microsoft.com/claims/groups.link"
"""Entra ID sends this link instead of the groups of a person who is in more than 150."""


@dataclass(frozen=True, slots=True)
class AssertedPerson:
    """A person as asserted: who it is for good, their userName in the provider's directory, and what is claimed.

    ``groups_overage`` tells that Entra ID left the groups out because there are too many; then nothing is known of
    them, as when nothing was said.
    """

    subject: str
    directory_name: str
    claimed: ClaimedPerson
    groups_overage: bool = False


def asserted_person(assertion: VerifiedAssertion, mapped: ClaimMap = ClaimMap()) -> AssertedPerson:  # noqa: B008 - frozen
    """Read the person from the attributes that Okta, Entra ID, Google, AD FS, Shibboleth and others send.

    Where the connection's map names none for it, the NameID tells who it is, and its userName in the directory; a
    NameID of the format emailAddress is the address too, if no attribute has one.

    Raises:
        SignInRefusedError: When an attribute that identifies the person has several values, or nothing tells for good
            who it is.
    """
    if mapped.subject is None and assertion.name_id_format == _TRANSIENT_FORMAT:
        raise refused(
            SamlRefusal.NAME_ID,
            "The NameID is transient, another one at every sign-in: have the identity provider send a persistent one, "
            "or say which attribute tells who somebody is (seatbridge connection map-claims --subject)",
        )
    try:
        claimed = read_person(assertion.attributes, USUAL_NAMES, mapped)
    except AmbiguousClaimError as problem:
        raise refused(SamlRefusal.ATTRIBUTE, f"The attribute {problem}") from problem
    if claimed.email is None and mapped.email is None and assertion.name_id_format == _EMAIL_FORMAT:
        claimed = replace(claimed, email=assertion.name_id)
    overage = GROUP_OVERAGE_NAME in assertion.attributes
    subject = claimed.subject or assertion.name_id
    return AssertedPerson(
        subject=subject,
        directory_name=claimed.user_name or subject,
        claimed=replace(claimed, groups=None) if overage else claimed,
        groups_overage=overage,
    )
