"""What an identity provider says about a person, and under which names one connection looks for it.

The same for every protocol: an attribute statement of SAML and a claim of OpenID Connect are texts under a name. Each
protocol has its usual names; a connection's map goes before them, name by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bridge.domain.documents import MAPPABLE_ATTRIBUTES
from bridge.errors import InvalidInputError

Claims = Mapping[str, tuple[str, ...]]
"""Texts by name, as the provider calls it; a name that came with no text is there with ``()``."""

#: The facts about a person that have a usual name, and may have another in a connection's map.
FACTS: Final = ("subject", "user_name", "email", "given_name", "family_name", "display_name", "groups")
MAX_NAME_CHARACTERS: Final = 400


class AmbiguousClaimError(ValueError):
    """A claim that tells who somebody is has several values, or the one that the connection names is missing."""


@dataclass(frozen=True, slots=True)
class UsualNames:
    """Under which names a protocol's providers usually say what; the first that is there counts."""

    email: tuple[str, ...]
    given_name: tuple[str, ...]
    family_name: tuple[str, ...]
    display_name: tuple[str, ...]
    groups: tuple[str, ...]
    user_name: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimMap:
    """Under which names one connection's identity provider says what; None means under the usual ones.

    Attributes:
        subject: What tells for good who somebody is, instead of the protocol's own subject.
        user_name: The userName under which the provider's directory knows the person.
        attributes: The claim by attribute of a directory, such as ``department``, for rules to look at.
    """

    subject: str | None = None
    user_name: str | None = None
    email: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    groups: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "ClaimMap":
        """Read a map as a connection keeps it; None is the empty one."""
        stored = stored or {}
        return cls(**{fact: stored.get(fact) for fact in FACTS}, attributes=dict(stored.get("attributes") or {}))

    def stored(self) -> dict[str, Any]:
        """Return the map as a connection keeps it: only what it says."""
        said: dict[str, Any] = {fact: getattr(self, fact) for fact in FACTS if getattr(self, fact) is not None}
        return said | ({"attributes": dict(self.attributes)} if self.attributes else {})

    def changed(self, facts: Mapping[str, str], attributes: Mapping[str, str]) -> "ClaimMap":
        """Return the map with other names for some facts and attributes; an empty name takes the usual one again.

        Raises:
            InvalidInputError: An attribute that no rule can look at, or a name that is too long.
        """
        for name in attributes:
            if name not in MAPPABLE_ATTRIBUTES:
                raise InvalidInputError("attribute", f"{name!r} is none of {', '.join(MAPPABLE_ATTRIBUTES)}")
        if any(len(claim) > MAX_NAME_CHARACTERS for claim in (*facts.values(), *attributes.values())):
            raise InvalidInputError("claim", f"names have at most {MAX_NAME_CHARACTERS} characters")
        merged = {**self.attributes, **{name: claim.strip() for name, claim in attributes.items()}}
        return replace(
            self,
            **{fact: claim.strip() or None for fact, claim in facts.items()},
            attributes={name: claim for name, claim in merged.items() if claim},
        )


@dataclass(frozen=True, slots=True)
class ClaimedPerson:
    """A person as claimed.

    Attributes:
        subject: Only where the connection's map names a claim for it.
        user_name: As ``subject``, or under the protocol's usual name.
        groups: None when nothing was said of groups, which is not "in no group": nothing may be taken away for it.
        attributes: Values by attribute of a directory.
    """

    subject: str | None
    user_name: str | None
    email: str | None
    given_name: str | None
    family_name: str | None
    display_name: str | None
    groups: frozenset[str] | None
    attributes: Mapping[str, str]


def read_person(claims: Claims, usual: UsualNames, mapped: ClaimMap) -> ClaimedPerson:
    """Read a person out of claims; the case of names does not count.

    Raises:
        AmbiguousClaimError: With a sentence for the sign-in log.
    """
    folded = _folded(claims)

    def one(own: str | None, names: tuple[str, ...]) -> str | None:
        return _value(folded, names if own is None else (own,))

    return ClaimedPerson(
        subject=_required(folded, mapped.subject, "who somebody is"),
        user_name=_required(folded, mapped.user_name, "the userName") or _value(folded, usual.user_name),
        email=one(mapped.email, usual.email),
        given_name=one(mapped.given_name, usual.given_name),
        family_name=one(mapped.family_name, usual.family_name),
        display_name=one(mapped.display_name, usual.display_name),
        groups=_groups(folded, usual.groups if mapped.groups is None else (mapped.groups,)),
        attributes={
            name: value for name, claim in mapped.attributes.items() if (value := _value(folded, (claim,))) is not None
        },
    )


def _folded(claims: Claims) -> dict[str, tuple[str, ...]]:
    folded: dict[str, tuple[str, ...]] = {}
    for name, values in claims.items():
        folded[name.casefold()] = folded.get(name.casefold(), ()) + values
    return folded


def _required(folded: Claims, name: str | None, what: str) -> str | None:
    value = None if name is None else _value(folded, (name,))
    if name is not None and value is None:
        raise AmbiguousClaimError(f"{name!r}, which says {what} in this connection, was not sent")
    return value


def _value(folded: Claims, names: tuple[str, ...]) -> str | None:
    """Return the one value of the first claim that is there."""
    for name in names:
        values = set(folded.get(name.casefold(), ()))
        if len(values) > 1:
            raise AmbiguousClaimError(f"{name!r} has {len(values)} values; it may have one only")
        if values:
            return values.pop()
    return None


def _groups(folded: Claims, names: tuple[str, ...]) -> frozenset[str] | None:
    said = [folded[name.casefold()] for name in names if name.casefold() in folded]
    return frozenset(group for claim in said for group in claim) if said else None
