"""Addresses of an application: where people and messages may be sent, byte for byte as they were registered."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from bridge.errors import InvalidInputError

MAX_ADDRESS: Final = 2000
MAX_ADDRESSES: Final = 20
_PRINTABLE: Final = range(0x21, 0x7F)
#: What no URL holds unescaped (RFC 3986), beside the star, which others take for "anything".
_NEVER: Final = frozenset('"<>\\^`{|}*')


def checked_address(field: str, address: str) -> str:
    """Return an address that an application may be reached at: https, or http on this very machine.

    It is compared byte for byte afterwards, so it is stored as it was written.

    Raises:
        InvalidInputError: With what is wrong about it.

    Source: RFC 9700 §2.1 and §4.1.3 (exact matching), RFC 8252 §7.3 (loopback).
    """
    if not address or len(address) > MAX_ADDRESS:
        raise InvalidInputError(field, f"must be an address of at most {MAX_ADDRESS} characters")
    if "*" in address:
        raise InvalidInputError(field, f"{address!r} has a star in it: each address is registered in full")
    if any(ord(sign) not in _PRINTABLE or sign in _NEVER for sign in address):
        raise InvalidInputError(field, f"{address!r} is not an address: escape what is not plain ASCII")
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise InvalidInputError(field, f"{address!r} is not an address") from None
    if "#" in address:
        raise InvalidInputError(field, f"{address!r} has a fragment, which never reaches an application's server")
    if not parts.hostname or "@" in parts.netloc:
        raise InvalidInputError(field, f"{address!r} needs a host name, and no user name or password")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts)):
        raise InvalidInputError(
            field, f"{address!r} must begin with https:// (http:// is for localhost, 127.0.0.1 and [::1] only)"
        )
    return address


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
