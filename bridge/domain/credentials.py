"""Bearer credentials: 256 random bits, shown once, kept as a SHA-256."""

import hashlib
import secrets
from dataclasses import dataclass, field

#: Recognisable in logs and by secret scanners.
SCIM_TOKEN_PREFIX = "sbscim_"  # noqa: S105 (a public prefix, not a secret)
APP_SECRET_PREFIX = "sbapp_"  # noqa: S105 (as above)
REFRESH_TOKEN_PREFIX = "sbrt_"  # noqa: S105 (as above)
API_KEY_PREFIX = "sbkey_"
SCIM_CLIENT_PREFIX = "sbclient_"
SETUP_LINK_PREFIX = "sbsetup_"
_SHOWN_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class Credential:
    """A new credential: the text is shown once, the hash is stored, the prefix is for recognising it."""

    text: str = field(repr=False)
    hash: bytes = field(repr=False)
    prefix: str


def new_credential(prefix: str = "") -> Credential:
    """Make a credential of 256 random bits."""
    text = prefix + secrets.token_urlsafe(32)
    return Credential(text=text, hash=credential_hash(text), prefix=text[: len(prefix) + _SHOWN_CHARACTERS])


def credential_hash(text: str) -> bytes:
    """Return what is stored of a credential; enough, because its 256 bits cannot be guessed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
