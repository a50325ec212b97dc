"""Looking TXT records up: the only place that knows of dnspython."""

from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, Resolver

from bridge.errors import InvalidInputError

LOOKUP_SECONDS = 10.0


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
