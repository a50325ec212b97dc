"""Looking TXT records up: the only place that knows of dnspython."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from dns.exception import DNSException
from dns.nameserver import Do53Nameserver
from dns.resolver import NXDOMAIN, NoAnswer, Resolver

from bridge.errors import ConfigurationError, InvalidInputError

LOOKUP_SECONDS = 10.0
_PORT = 53


def resolver_of(servers: Sequence[str]) -> Resolver | None:
    """Return what asks these name servers, such as 9.9.9.9 or [::1]:5353; None where none is named.

    Raises:
        ConfigurationError: One is no address.
    """
    if not servers:
        return None
    resolver = Resolver(configure=False)
    resolver.nameservers = [_name_server(server) for server in servers]
    return resolver


def _name_server(server: str) -> Do53Nameserver:
    try:
        parts = urlsplit(f"//{server}" if server.count(":") < 2 or server.startswith("[") else f"//[{server}]")  # noqa: PLR2004 - IPv6
        return Do53Nameserver(str(ipaddress.ip_address(parts.hostname or "")), parts.port or _PORT)
    except ValueError:
        problem = f"sso.dns_servers: {server!r} is no address of a name server, such as 9.9.9.9 or [::1]:5353"
        raise ConfigurationError([problem]) from None


def read_txt_records(domain: str, *, resolver: Resolver | None = None) -> list[str]:
    """Return the TXT records of a domain, the strings of each joined (RFC 7208 §3.3); none is an empty list.

    Args:
        domain: In ASCII form, without the trailing dot.
        resolver: Which name servers to ask; those of this machine by default.

    Raises:
        InvalidInputError: Of the field ``domain``: no name server answers.
    """
    try:
        answer = (resolver or Resolver()).resolve(f"{domain}.", "TXT", lifetime=LOOKUP_SECONDS)
    except (NXDOMAIN, NoAnswer):
        return []
    except DNSException as error:
        problem = f"the TXT records of {domain} cannot be read now ({type(error).__name__}): try again later"
        raise InvalidInputError("domain", problem) from error
    return [b"".join(record.strings).decode(errors="replace") for record in answer]
