"""Who the claims are about, whatever the identity provider calls them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.adapters.oidc.refusals import OidcRefusal, refused

GROUPS = "groups"


@dataclass(frozen=True, slots=True)
class ClaimedPerson:
    """A person as the claims describe them (OpenID Connect Core §5.1).

    Attributes:
        user_name: ``preferred_username``: what the provider's own directory most likely calls the person.
        is_email_verified: Whether the provider vouches for the address.
        groups: None when nothing was said of groups, which is not "in no group".
        groups_overage: The provider left the groups out because there are too many (Entra ID, above 200).
    """

    user_name: str | None
    email: str | None
    is_email_verified: bool
    given_name: str | None
    family_name: str | None
    display_name: str | None
    groups: frozenset[str] | None
    groups_overage: bool


def claimed_person(claims: Mapping[str, Any]) -> ClaimedPerson:
    """Read a person from the claims of an ID token, and of userinfo under them.

    Raises:
        SignInRefusedError: A claim that identifies the person is no text, or the groups are no list of names.
    """
    overage = _is_overage(claims)
    return ClaimedPerson(
        user_name=_text(claims, "preferred_username"),
        email=_text(claims, "email"),
        # Some providers write the word (AWS Cognito).
        is_email_verified=claims.get("email_verified") in (True, "true"),
        given_name=_text(claims, "given_name"),
        family_name=_text(claims, "family_name"),
        display_name=_text(claims, "name"),
        groups=None if overage else _groups(claims),
        groups_overage=overage,
    )


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise refused(OidcRefusal.CLAIM, f"The claim {name} is no text")
    return value.strip() or None


def _groups(claims: Mapping[str, Any]) -> frozenset[str] | None:
    value = claims.get(GROUPS)
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refused(OidcRefusal.CLAIM, f"The claim {GROUPS} is no list of names")
    return frozenset(name for name in names if name.strip())


def _is_overage(claims: Mapping[str, Any]) -> bool:
    """Tell whether Entra ID left the groups out: it names where to ask for them, or only that there are some."""
    elsewhere = claims.get("_claim_names")
    return claims.get("hasgroups") in (True, "true") or (isinstance(elsewhere, Mapping) and GROUPS in elsewhere)
