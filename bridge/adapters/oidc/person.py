"""Who the claims are about, whatever the identity provider calls them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.adapters.oidc.refusals import OidcRefusal
from bridge.adapters.refusals import refused
from bridge.domain.claims import AmbiguousClaimError, ClaimedPerson, ClaimMap, UsualNames, read_person

USUAL_NAMES: Final = UsualNames(
    email=("email",),
    given_name=("given_name",),
    family_name=("family_name",),
    display_name=("name",),
    groups=("groups",),
    user_name=("preferred_username",),  # Neither unique nor stable (§5.7): a newcomer's name, and nobody's proof.
)
"""The standard claims (OpenID Connect Core §5.1), and the one for groups that every provider offers."""


@dataclass(frozen=True, slots=True)
class DescribedPerson:
    """A person as the claims describe them.

    Attributes:
        subject: Who it is for good.
        directory_name: What the provider's own directory most likely calls them.
        is_name_sure: Whether the connection's map names the claim that says so, or it is the subject.
        is_email_verified: Whether the provider vouches for the address.
        groups_overage: The provider left the groups out because there are too many (Entra ID, above 200).
    """

    subject: str
    directory_name: str
    is_name_sure: bool
    claimed: ClaimedPerson
    is_email_verified: bool
    groups_overage: bool


def described_person(claims: Mapping[str, Any], mapped: ClaimMap) -> DescribedPerson:
    """Read a person from the claims of an ID token, and of userinfo under them.

    Raises:
        SignInRefusedError: A claim that tells who somebody is has several values, or the one that the connection names
            is missing.
    """
    overage = _is_overage(claims, mapped)
    texts = {name: values for name, value in claims.items() if (values := _texts(value)) is not None}
    try:
        claimed = read_person(texts, USUAL_NAMES, mapped)
    except AmbiguousClaimError as error:
        raise refused(OidcRefusal.CLAIM, f"The claim {error}") from error
    # Some providers write the word (AWS Cognito). It is said of the claim email, and of no other.
    is_verified = _is_true(claims.get("email_verified")) and mapped.email in (None, "email")
    subject = claimed.subject or str(claims["sub"])
    known_by = claimed.user_name or (claimed.email if is_verified else None)
    is_name_sure = mapped.user_name is not None or known_by is None
    return DescribedPerson(subject, known_by or subject, is_name_sure, claimed, is_verified, overage)


def _texts(value: object) -> tuple[str, ...] | None:
    """Return the texts of a claim; None for one that is none, such as an object, or a list of nothing but blanks."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str | int):
        return (str(value),) if str(value).strip() else None
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        texts = tuple(one for one in value if one.strip())
        return None if value and not texts else texts
    return None


def _is_true(value: object) -> bool:
    """Tell whether a claim says true: the number 1, which Python takes for the same, does not."""
    return value is True or value == "true"


def _is_overage(claims: Mapping[str, Any], mapped: ClaimMap) -> bool:
    """Tell whether Entra ID left the groups out: it names where to ask for them, or only that there are some."""
    elsewhere = claims.get("_claim_names")
    name = mapped.groups or "groups"
    return name not in claims and (
        _is_true(claims.get("hasgroups")) or (isinstance(elsewhere, Mapping) and name in elsewhere)
    )
