"""Talking to an address that somebody typed in, without becoming their way into our network."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from bridge.errors import InvalidInputError

Resolver = Callable[[str, int], list[str]]
"""Host name and port to its addresses; raises :class:`OSError` when there are none."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a GET without a body by default."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether it says that the request was taken (2xx); a redirect does not."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


class ExchangeError(Exception):
    """No answer came that can be used; ``timed_out`` says that the time was over."""

    def __init__(self, problem: str, *, timed_out: bool = False) -> None:
        self.problem, self.timed_out = problem, timed_out
        super().__init__(problem)


class RedirectedError(ExchangeError):
    """The answer leads elsewhere: nothing follows it by itself."""

    def __init__(self, location: str) -> None:
        self.location = location
        super().__init__("the address redirects elsewhere: enter the final address")


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
    try:
        answer = exchange(
            Request(url),
            max_bytes=max_bytes,
            timeout_seconds=timeout_seconds,
            allow_loopback=allow_loopback,
            resolve=resolve,
            trust=trust,
        )
    except ExchangeError as problem:
        raise _invalid(problem.problem) from problem
    if answer.status != httpx.codes.OK:
        raise _invalid(f"the server answered {answer.status} instead of 200")
    return answer.body


def exchange(
    request: Request,
    *,
    max_bytes: int | None,
    timeout_seconds: float,
    allow_loopback: bool = False,
    internal: bool = False,
    resolve: Resolver | None = None,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request and return the answer, under the same guards as :func:`fetch_https`, whatever its status.

    Args:
        request: What is sent, and where to.
        max_bytes: As there; None where only the status matters: the body is not read, and a redirect is an answer.
        timeout_seconds: As there.
        allow_loopback: As there.
        internal: The operator vouches for the host: it may lead to a private address or this machine, by http too.
        resolve: As there.
        trust: As there.

    Raises:
        InvalidInputError: Of the field ``url``: an address that may not be talked to.
        ExchangeError: Nobody answered, in time and in a shape that is accepted; what was sent may have arrived.
    """
    parts = _checked_url(request.url, allow_loopback=allow_loopback or internal)
    host = parts.hostname
    address = _address_of(parts, allow_loopback=allow_loopback, internal=internal, resolve=resolve)
    try:
        # A thread of its own, so that it works wherever it is called, inside another event loop too.
        with ThreadPoolExecutor(1, thread_name_prefix="fetch") as own:
            transfer = _transfer(request, parts, address, max_bytes=max_bytes, seconds=timeout_seconds, trust=trust)
            # A deadline for the whole: one byte now and then satisfies every other timeout.
            return own.submit(lambda: asyncio.run(asyncio.wait_for(transfer, timeout_seconds))).result()
    except TimeoutError as problem:
        raise ExchangeError(f"{host} takes too long to send the document", timed_out=True) from problem
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as problem:
        raise ExchangeError(f"{host} could not be read: {str(problem) or type(problem).__name__}") from problem


def check_address(url: str, *, internal: bool = False, resolve: Resolver | None = None) -> None:
    """Refuse an address that :func:`exchange` would not talk to, before it is kept for later.

    Args:
        url: What somebody typed in.
        internal: As there.
        resolve: As there.

    Raises:
        InvalidInputError: Of the field ``url``, with what to do about it.
    """
    _address_of(_checked_url(url, allow_loopback=internal), allow_loopback=False, internal=internal, resolve=resolve)


def _address_of(parts: SplitResult, *, allow_loopback: bool, internal: bool, resolve: Resolver | None) -> IpAddress:
    host, port = parts.hostname or "", _port_of(parts)
    address = public_address(host, port, allow_loopback=allow_loopback, allow_private=internal, resolve=resolve)
    if parts.scheme == "http" and not (address.is_loopback or internal):
        raise _invalid("the address must start with https://")
    return address


async def _transfer(
    request: Request,
    parts: SplitResult,
    address: IpAddress,
    *,
    max_bytes: int | None,
    seconds: float,
    trust: ssl.SSLContext | None,
) -> Answer:
    async with (
        httpx.AsyncClient(
            verify=trust or (parts.scheme == "https" and _public_trust()),
            trust_env=False,
            follow_redirects=False,
            timeout=seconds,
        ) as client,
        client.stream(
            request.method,
            _target(parts, address),
            headers={**request.headers, "Host": parts.netloc, "Accept-Encoding": "identity"},
            content=request.body or None,
            extensions={"sni_hostname": parts.hostname},
        ) as response,
    ):
        headers = {name.lower(): value for name, value in response.headers.items()}
        if max_bytes is None:
            return Answer(response.status_code, headers, b"")
        if response.is_redirect:
            raise RedirectedError(response.headers.get("Location", ""))
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ExchangeError("the server sends a compressed body, which is not accepted here")
        return Answer(response.status_code, headers, await _read(response, max_bytes))


@cache
def _public_trust() -> ssl.SSLContext:
    """Return the public certificate authorities, which take longer to read than an exchange takes."""
    return httpx.create_ssl_context(trust_env=False)


def _port_of(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def public_address(
    host: str,
    port: int,
    *,
    allow_loopback: bool = False,
    allow_private: bool = False,
    resolve: Resolver | None = None,
) -> IpAddress:
    """Return one address of a host whose every address is public (or this machine, or private, where allowed).

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
        loopback = address.is_loopback and (allow_loopback or allow_private)
        private = allow_private and address.is_private and not (address.is_link_local or address.is_reserved)
        if not (_is_public(address) or loopback or private):
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


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise ExchangeError(f"the document is larger than {max_bytes // 1024} kB")
    return bytes(body)


def _invalid(problem: str) -> InvalidInputError:
    return InvalidInputError("url", problem)
