"""Signing and reading tokens: RS256 alone, by keys of our own, each token for the one purpose its ``typ`` names."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from bridge.store.secrets import SecretBox
from bridge.usecases.signing_keys import KeyRing, SealedKey, seal_name

ALGORITHM: Final = "RS256"
ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105 (a type, RFC 9068 §2.1)
ID_TOKEN: Final = "JWT"  # noqa: S105 (a type)
LOGOUT_TOKEN: Final = "logout+jwt"  # noqa: S105 (a type, OpenID Connect Back-Channel Logout 1.0 §2.4)
_BITS: Final = 2048


def make_key(box: SecretBox) -> SealedKey:
    """Make a key pair, named by its thumbprint (RFC 7638), the private part sealed."""
    key = RSAKey.generate_key(_BITS, parameters={"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    key_id = key.kid
    assert key_id is not None
    sealed = box.seal(key.as_pem(private=True), bound_to=seal_name(key_id))
    return SealedKey(id=key_id, private_key=sealed, public_key=dict(key.as_dict(private=False)))


class Signer:
    """Signs and reads tokens with whatever keys hold at the moment.

    Opening a private key takes a hundred times as long as signing with it, so each is opened once for a process.

    Args:
        box: Opens the private keys.
        issuer: The address of this service, which every token names.
    """

    def __init__(self, box: SecretBox, issuer: str) -> None:
        self.issuer = issuer
        self._box = box
        self._opened: dict[str, RSAKey] = {}
        self._public: dict[str, RSAKey] = {}

    def signing_keys(self, ring: KeyRing) -> KeySet:
        """Return the key that signs, as authlib wants it: a set of one, whose name goes into the header.

        Raises:
            ConfigurationError: It was sealed with a master key that is not configured.
        """
        key = ring.signing
        assert key is not None, "the first application brings the first key"
        opened = self._opened.get(key.id)
        if opened is None:
            pem = self._box.open(key.private_key, bound_to=seal_name(key.id))
            opened = self._opened[key.id] = RSAKey.import_key(pem, {"use": "sig", "alg": ALGORITHM, "kid": key.id})
        return KeySet([opened])

    def sign(self, ring: KeyRing, claims: Mapping[str, Any], *, kind: str) -> str:
        """Sign claims as a token of a kind, such as :data:`LOGOUT_TOKEN`."""
        header = {"alg": ALGORITHM, "typ": kind}
        return jwt.encode(header, dict(claims), self.signing_keys(ring), [ALGORITHM])

    def read(self, ring: KeyRing, token: str, *, kind: str, at: datetime | None) -> dict[str, Any] | None:
        """Return the claims of a token that this service signed; None for everything else, whatever it is.

        Args:
            ring: The keys; only published ones are believed.
            token: What somebody brought.
            kind: What it must be a token for.
            at: It must not have expired by then; None where that does not matter.
        """
        try:
            found = jwt.decode(token, self.published_keys(ring), [ALGORITHM])
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return None
        claims = found.claims
        if found.header.get("typ") != kind or claims.get("iss") != self.issuer:
            return None
        if at is not None and not (isinstance(claims.get("exp"), int) and claims["exp"] > at.timestamp()):
            return None
        return dict(claims)

    def published_keys(self, ring: KeyRing) -> KeySet:
        """Return the public parts of the keys that are believed."""
        for key in ring.published:
            if key.id not in self._public:
                self._public[key.id] = RSAKey.import_key(key.public_key)
        return KeySet([self._public[key.id] for key in ring.published])
