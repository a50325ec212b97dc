"""Invoices as Stripe prints them: an address without a credential, which leads to another one."""

from collections.abc import Collection
from typing import Final
from urllib.parse import urljoin, urlsplit

from bridge.adapters.fetch import ExchangeError, RedirectedError, Request, exchange
from bridge.errors import BillingCoreUnreachableError, InvalidInputError

_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_REDIRECTS: Final = 3


def fetch_document(url: str, *, timeout_seconds: float = 20.0, internal_hosts: Collection[str] = ()) -> bytes:
    """Return what an address leads to, over at most three redirects; each address on the way is checked anew.

    Raises:
        BillingCoreUnreachableError: It leads nowhere, too far, or to where nothing may be fetched from.
    """
    host = urlsplit(url).hostname or ""
    for _ in range(_MAX_REDIRECTS + 1):
        internal = (urlsplit(url).hostname or "") in internal_hosts
        try:
            answer = exchange(Request(url), max_bytes=_MAX_BYTES, timeout_seconds=timeout_seconds, internal=internal)
        except RedirectedError as elsewhere:
            url = urljoin(url, elsewhere.location)
            continue
        except ExchangeError as problem:
            raise BillingCoreUnreachableError(host, "timeout" if problem.timed_out else "connection") from problem
        except InvalidInputError as problem:
            raise BillingCoreUnreachableError(host, "address_not_allowed") from problem
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise BillingCoreUnreachableError(host, f"status_{answer.status}")
        return answer.body
    raise BillingCoreUnreachableError(host, "endless_redirects")
