"""Who the assertion is about, whatever the identity provider calls the attributes."""

from dataclasses import dataclass
from typing import Final

from bridge.adapters.saml.refusals import SamlRefusal, refused
from bridge.adapters.saml.responses import VerifiedAssertion

_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"

EMAIL_NAMES: Final = (
    "email",
    "mail",
    "emailAddress",
    "email_address",
    "user.email",
    _CLAIMS + "emailaddress",  # Entra ID, AD FS
    "http://schemas.xmlsoap.org/claims/EmailAddress",  # AD FS 1.x
    "urn:oid:0.9.2342.19200300.100.1.3",  # mail
    "urn:oid:1.2.840.113549.1.9.1",  # emailAddress
)
GIVEN_NAME_NAMES: Final = (
    "firstName",
    "first_name",
    "givenName",
    "given_name",
    "user.firstName",
    _CLAIMS + "givenname",
    "urn:oid:2.5.4.42",
)
FAMILY_NAME_NAMES: Final = (
    "lastName",
    "last_name",
    "surname",
    "familyName",
    "family_name",
    "sn",
    "user.lastName",
    _CLAIMS + "surname",
    "urn:oid:2.5.4.4",
)
DISPLAY_NAME_NAMES: Final = (
    "displayName",
    "display_name",
    "user.displayName",
    "http://schemas.microsoft.com/identity/claims/displayname",
    "urn:oid:2.16.840.1.113730.3.1.241",
)
GROUP_NAMES: Final = (
    "groups",
    "group",
    "memberOf",
    "user.groups",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
    "http://schemas.xmlsoap.org/claims/Group",
    "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",  # isMemberOf
    "urn:oid:1.2.840.113556.1.2.102",  # memberOf
)
GROUP_OVERAGE_NAME: Final = "http://schemas.microsoft.com/claims/groups.link"
"""Entra ID sends this link instead of the groups of a person who is in more than 150."""


@dataclass(frozen=True, slots=True)
class AssertedPerson:
    """A person as asserted.

    ``groups`` None means that the assertion says nothing about groups, which is not "in no group": nothing
    may be taken away for it. ``groups_overage`` tells that Entra ID left them out because there are too
    many.
    """

    name_id: str
    email: str | None
    given_name: str | None
    family_name: str | None
    display_name: str | None
    groups: frozenset[str] | None
    groups_overage: bool = False


def asserted_person(assertion: VerifiedAssertion) -> AssertedPerson:
    """Read the person from the attributes that Okta, Entra ID, Google, AD FS, Shibboleth and others send.

    Without an e-mail attribute, a NameID of the format emailAddress is the address.

    Raises:
        SignInRefusedError: When an attribute that identifies the person has several values.
    """
    email = attribute_value(assertion, EMAIL_NAMES)
    if email is None and assertion.name_id_format == _EMAIL_FORMAT:
        email = assertion.name_id
    overage = GROUP_OVERAGE_NAME in assertion.attributes
    return AssertedPerson(
        name_id=assertion.name_id,
        email=email,
        given_name=attribute_value(assertion, GIVEN_NAME_NAMES),
        family_name=attribute_value(assertion, FAMILY_NAME_NAMES),
        display_name=attribute_value(assertion, DISPLAY_NAME_NAMES),
        groups=None if overage else _groups(assertion),
        groups_overage=overage,
    )


def attribute_value(assertion: VerifiedAssertion, names: tuple[str, ...]) -> str | None:
    """Return the one value of the first attribute under any of ``names`` (case ignored), or None.

    Raises:
        SignInRefusedError: When that attribute has several different values.
    """
    by_name = _folded(assertion)
    for name in names:
        values = set(by_name.get(name.casefold(), ()))
        if len(values) > 1:
            raise refused(SamlRefusal.ATTRIBUTE, f"The attribute {name} has {len(values)} values; it may have one only")
        if values:
            return values.pop()
    return None


def _groups(assertion: VerifiedAssertion) -> frozenset[str] | None:
    by_name = _folded(assertion)
    claims = [by_name[name.casefold()] for name in GROUP_NAMES if name.casefold() in by_name]
    return frozenset(group for claim in claims for group in claim) if claims else None


def _folded(assertion: VerifiedAssertion) -> dict[str, tuple[str, ...]]:
    folded: dict[str, tuple[str, ...]] = {}
    for name, values in assertion.attributes.items():
        folded[name.casefold()] = folded.get(name.casefold(), ()) + values
    return folded
