"""Encryption of stored credentials and keys derived for other purposes, from one set of master keys.

A sealed value is ``version (1) | key id (4) | nonce (12) | ciphertext and tag``, AES-256-GCM, with the row
it belongs to as associated data: copied into another row it does not open. The encryption key and the key id
come from the master key by HKDF-SHA256, so the master key itself never encrypts anything.
"""

import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.errors import ConfigurationError

_VERSION = b"\x01"
_ID_BYTES = 4
_NONCE_BYTES = 12
_PREFIX_BYTES = len(_VERSION) + _ID_BYTES
_HEAD_BYTES = _PREFIX_BYTES + _NONCE_BYTES
_MINIMUM_KEY_BYTES = 32


class SecretBox:
    """Seals and opens secrets with the first of several master keys; the others only open (rotation).

    Args:
        keys: Master keys of 32 bytes or more, the encrypting one first.

    Raises:
        ConfigurationError: Without a key, or with one that is too short.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < _MINIMUM_KEY_BYTES for key in keys):
            raise ConfigurationError([f"secrets: at least one key of {_MINIMUM_KEY_BYTES} bytes or more is needed"])
        self._masters = tuple(keys)
        self._ciphers = {
            _expand(key, b"key id", length=_ID_BYTES): AESGCM(_expand(key, b"encryption")) for key in reversed(keys)
        }
        self._current_id = _expand(keys[0], b"key id", length=_ID_BYTES)

    def seal(self, plaintext: bytes, *, bound_to: str) -> bytes:
        """Encrypt for one place, such as ``connection:7:saml_private_key``; only the same name opens it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _VERSION + self._current_id
        return head + nonce + self._ciphers[self._current_id].encrypt(nonce, plaintext, head + bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """Decrypt what :meth:`seal` made for the same place.

        Raises:
            ConfigurationError: When the master key that sealed it is not among the keys; the message says
            which.
            ValueError: When the value was altered, is too short, or belongs to another place.
        """
        if len(sealed) <= _HEAD_BYTES or not sealed.startswith(_VERSION):
            raise ValueError(f"the sealed value of {bound_to} is damaged")
        head, nonce = sealed[:_PREFIX_BYTES], sealed[_PREFIX_BYTES:_HEAD_BYTES]
        cipher = self._ciphers.get(head[len(_VERSION) :])
        if cipher is None:
            key_id = head[len(_VERSION) :].hex()
            problem = f"secrets: {bound_to} was sealed with key {key_id}, which is not configured: add it again"
            raise ConfigurationError([problem])
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], head + bound_to.encode())
        except InvalidTag:
            raise ValueError(f"the sealed value of {bound_to} was altered or belongs to another place") from None

    def needs_rotation(self, sealed: bytes) -> bool:
        """Tell whether a value was sealed with another key than the first."""
        return sealed[len(_VERSION) : _PREFIX_BYTES] != self._current_id

    def key_ids(self) -> tuple[str, ...]:
        """Return the public ids of the keys, the encrypting one first; they reveal nothing about the keys."""
        return tuple(_expand(key, b"key id", length=_ID_BYTES).hex() for key in self._masters)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose (``session``, ``audit``), from the first master key."""
        return self.derive_all(purpose)[0]

    def derive_all(self, purpose: str) -> tuple[bytes, ...]:
        """Return the 32 bytes of every master key for one purpose, the current one first."""
        return tuple(_expand(key, b"purpose:" + purpose.encode()) for key in self._masters)

    def verify(self, purpose: str, message: bytes, tag: bytes) -> bool:
        """Tell whether a tag is the HMAC-SHA256 of a message under any of the keys (constant time)."""
        return any(hmac.compare_digest(hmac.digest(key, message, "sha256"), tag) for key in self.derive_all(purpose))


def _expand(master: bytes, info: bytes, *, length: int = 32) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt: the master keys are random already."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=b"seatbridge/v1/" + info).derive(master)
