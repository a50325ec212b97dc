"""The keys that identity providers sign with, kept for an hour in each process."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from bridge.adapters.oidc.refusals import OidcRefusal
from bridge.adapters.oidc.wire import Wire, WireError
from bridge.adapters.refusals import refused

LIFETIME: Final = timedelta(hours=1)
SOONEST_AGAIN: Final = timedelta(minutes=1)
"""A key that is not among those kept may be new: they are fetched again, but not more often than this."""

_KINDS: Final[Mapping[str, type[RSAKey | ECKey | OKPKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
#: What of a key is read: its public half. A private half that somebody published by mistake is left where it is.
_PARTS: Final = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")
_SMALLEST_RSA: Final = 2048
_MOST_KEYS: Final = 64
_MOST_PROVIDERS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Kept:
    keys: KeySet
    fetched_at: datetime


@dataclass(slots=True)
class KeyCache:
    """The public keys of every provider that was met in this process, by the address they are published at."""

    _kept: dict[str, _Kept] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keys_of(self, wire: Wire, address: str, key_id: str | None, *, now: datetime) -> KeySet:
        """Return the keys at an address; fetched again when they are old, or when ``key_id`` is not among them.

        Raises:
            SignInRefusedError: They cannot be fetched, or none of them can be used.
        """
        with self._lock:
            kept = self._kept.get(address)
        if kept is not None:
            age = now - kept.fetched_at
            is_known = key_id is None or any(key.kid == key_id for key in kept.keys)
            if age < (LIFETIME if is_known else SOONEST_AGAIN):
                return kept.keys
        try:
            keys = read_keys(wire.read(address))
        except WireError as error:
            raise refused(OidcRefusal.UNREACHABLE, f"The provider's keys could not be read: {error}") from error
        with self._lock:
            if len(self._kept) >= _MOST_PROVIDERS:
                self._kept.clear()
            self._kept[address] = _Kept(keys, now)
        return keys


def read_keys(document: Mapping[str, Any]) -> KeySet:
    """Read a key set (RFC 7517), without what nobody can sign an ID token with.

    Raises:
        SignInRefusedError: Nothing is left.
    """
    found = document.get("keys")
    entries = found[:_MOST_KEYS] if isinstance(found, list) else []
    keys = [key for entry in entries if isinstance(entry, dict) and (key := _read_key(entry)) is not None]
    if not keys:
        raise refused(OidcRefusal.UNKNOWN_KEY, "The provider publishes no key that an ID token could be signed with")
    return KeySet(keys)


def _read_key(entry: Mapping[str, Any]) -> Key | None:
    kind = entry.get("kty")
    if not isinstance(kind, str) or kind not in _KINDS or entry.get("use", "sig") != "sig":
        return None
    try:
        if kind == "RSA" and int.from_bytes(urlsafe_b64decode(entry["n"].encode())).bit_length() < _SMALLEST_RSA:
            return None
        return _KINDS[kind].import_key({part: entry[part] for part in _PARTS if part in entry})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
