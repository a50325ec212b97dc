"""Fetching a document from an address that somebody typed in, without becoming their way into our network."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from bridge.errors import InvalidInputError

Resolver = Callable[[str, int], list[str]]
"""Host name and port to its addresses; raises :class:`OSError` when there are none."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS: Final = {"https": 443, "http": 80}


def fetch_https(
    url: str,
    *,
    max_bytes: int,
    timeout_seconds: float,
    allow_loopback: bool = False,
    resolve: Resolver | None = None,
    trust: ssl.SSLContext | None = None,
) -> bytes:
    """Return the body of an https URL that leads to a public address.

    The name is resolved once and the connection goes to the address that was checked, so a name that
    answers differently the second time gains nothing; the certificate is still checked against the name. No
    redirect is followed, no proxy, cookie or credential is used, and a compressed body is refused.

    Not for code that runs in an event loop itself.

    Args:
        url: What somebody typed in.
        max_bytes: Larger bodies are refused, without reading more than that.
        timeout_seconds: For the whole transfer; the operating system's resolver has its own limit.
        allow_loopback: Also accept this machine, there by http too (for development and tests).
        resolve: Replaces the operating system's resolver.
        trust: Replaces the public certificate authorities.

    Raises:
        InvalidInputError: Of the field ``url``, with what to do about it.
    """
    parts = _checked_url(url, allow_loopback=allow_loopback)
    host = parts.hostname or ""
    address = public_address(host, parts.port or _PORTS[parts.scheme], allow_loopback=allow_loopback, resolve=resolve)
    if parts.scheme == "http" and not address.is_loopback:
        raise _invalid("the address must start with https://")
    try:
        # A thread of its own, so that it works wherever it is called, inside another event loop too.
        with ThreadPoolExecutor(1, thread_name_prefix="fetch") as own:
            return own.submit(_run, parts, address, max_bytes, timeout_seconds, trust).result()
    except TimeoutError as problem:
        raise _invalid(f"{host} takes too long to send the document") from problem
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as problem:
        raise _invalid(f"{host} could not be read: {str(problem) or type(problem).__name__}") from problem


def _run(
    parts: SplitResult,
    address: IpAddress,
    max_bytes: int,
    timeout_seconds: float,
    trust: ssl.SSLContext | None,
) -> bytes:
    """Transfer within a deadline for the whole: one byte now and then satisfies every other timeout."""
    transfer = _transfer(parts, address, max_bytes, timeout_seconds, trust)
    return asyncio.run(asyncio.wait_for(transfer, timeout_seconds))


async def _transfer(
    parts: SplitResult, address: IpAddress, max_bytes: int, timeout_seconds: float, trust: ssl.SSLContext | None
) -> bytes:
    async with (
        httpx.AsyncClient(
            verify=trust or True, trust_env=False, follow_redirects=False, timeout=timeout_seconds
        ) as client,
        client.stream(
            "GET",
            _target(parts, address),
            headers={"Host": parts.netloc, "Accept-Encoding": "identity"},
            extensions={"sni_hostname": parts.hostname},
        ) as response,
    ):
        _check_answer(response)
        return await _read(response, max_bytes)


def public_address(host: str, port: int, *, allow_loopback: bool = False, resolve: Resolver | None = None) -> IpAddress:
    """Return one address of a host whose every address is public (or this machine, where allowed).

    Raises:
        InvalidInputError: Of the field ``url``: the name does not resolve, or leads into a private network.
    """
    try:
        found = [ipaddress.ip_address(address) for address in (resolve or _system_resolver)(host, port)]
    except (OSError, ValueError) as problem:
        raise _invalid(f"the name {host!r} cannot be resolved: check the spelling") from problem
    if not found:
        raise _invalid(f"the name {host!r} has no address")
    for address in found:
        if not (_is_public(address) or (allow_loopback and address.is_loopback)):
            raise _invalid(f"{host!r} leads to a private or reserved address: use one that is public")
    return found[0]


def _system_resolver(host: str, port: int) -> list[str]:
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


def _is_public(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        # Addresses that carry an IPv4 address lead wherever that one leads; tunnels lead anywhere.
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None or address.teredo is not None or address.is_site_local:
            return False
        if address.scope_id is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _checked_url(url: str, *, allow_loopback: bool) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as problem:
        raise _invalid("this is not a URL") from problem
    if parts.scheme not in (("https", "http") if allow_loopback else ("https",)):
        raise _invalid("the address must start with https://")
    if not parts.hostname or any(ord(sign) <= 32 or ord(sign) > 126 for sign in url):  # noqa: PLR2004 - printable ASCII
        raise _invalid("this is not a URL: it needs a host name and no spaces")
    if parts.username is not None or parts.password is not None:
        raise _invalid("the address may not contain a user name or a password")
    return parts


def _target(parts: SplitResult, address: IpAddress) -> str:
    literal = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6
    port = f":{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{literal}{port}{parts.path or '/'}{query}"


def _check_answer(response: httpx.Response) -> None:
    if response.is_redirect:
        raise _invalid("the address redirects elsewhere: enter the final address")
    if response.status_code != httpx.codes.OK:
        raise _invalid(f"the server answered {response.status_code} instead of 200")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _invalid("the server sends a compressed body, which is not accepted here")


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise _invalid(f"the document is larger than {max_bytes // 1024} kB")
    return bytes(body)


def _invalid(problem: str) -> InvalidInputError:
    return InvalidInputError("url", problem)
