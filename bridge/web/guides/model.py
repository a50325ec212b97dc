"""What a set-up guide is: parts with numbered steps, and the reader's own values to be entered in them.

In texts ``*words*`` are what stands on a button or a page of the identity provider, and ```code``` is to be typed.
"""

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """A value of the reader's own connection."""

    SCIM_URL = "scim"
    SCIM_TOKEN = "token"  # noqa: S105 (the name of a place, not a token)
    ACS = "acs"
    ENTITY_ID = "entity_id"
    REDIRECT_URI = "redirect_uri"
    START = "start"


class Protocol(StrEnum):
    """What a part of a guide sets up."""

    SCIM = "scim"
    SAML = "saml"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be entered: what the identity provider calls the field, and the value or where it is."""

    label: str
    value: Place | str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, and what is entered in doing it."""

    text: str
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a guide: all that one protocol needs."""

    protocol: Protocol
    title: str
    about: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """How one identity provider is connected.

    Attributes:
        key: Its name in addresses and commands.
        name: Its name for people.
        page: The name of its page in docs/how-to.
        known_by: What the name of a connection to it usually contains, in small letters.
        parts: In the order in which they are done.
        good_to_know: Sentences for afterwards.
        pushes_groups: Whether it pushes groups at all; otherwise nobody waits for one.
    """

    key: str
    name: str
    page: str
    known_by: tuple[str, ...]
    parts: tuple[Part, ...]
    good_to_know: tuple[str, ...]
    pushes_groups: bool = True
