"""How we speak to an identity provider: 5 seconds and 1 MB for each request, no redirects, no way into our network."""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from bridge.adapters.fetch import Answer, ExchangeError, Request, exchange
from bridge.errors import InvalidInputError

MAX_BYTES: Final = 1024 * 1024
SECONDS: Final = 5.0


class WireError(Exception):
    """The identity provider cannot be talked to; the message is a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The way to one identity provider.

    Args:
        issuer: The provider. Only one that is on this machine itself may name addresses on this machine.
        internal_hosts: Hosts the operator vouches for: they may be private, and speak plain http.
        seconds: How long one request may take as a whole.
    """

    issuer: str
    internal_hosts: tuple[str, ...] = ()
    seconds: float = SECONDS

    def read(self, url: str, *, bearer: str | None = None) -> Mapping[str, Any]:
        """Return the JSON object at an address.

        Raises:
            WireError: There is none.
        """
        headers = {"Accept": "application/json"} | ({} if bearer is None else {"Authorization": f"Bearer {bearer}"})
        answer = self.send(Request(url, headers=headers))
        if answer.status != HTTPStatus.OK:
            raise WireError(f"{_host(url)} answered {answer.status} instead of 200")
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise WireError(f"{_host(url)} answered something else than a JSON object")
        return document

    def send(self, request: Request) -> Answer:
        """Send a request.

        Raises:
            WireError: It may not be sent, or no answer came in time and in a shape that is accepted.
        """
        try:
            return exchange(
                request,
                max_bytes=MAX_BYTES,
                timeout_seconds=self.seconds,
                allow_loopback=is_loopback(self.issuer),
                internal=urlsplit(request.url).hostname in self.internal_hosts,
            )
        except InvalidInputError as error:
            raise WireError(f"{request.url} may not be asked: {error.problem}") from error
        except (ExchangeError, ValueError) as error:
            raise WireError(str(error)) from error


@dataclass(frozen=True, slots=True)
class FormAnswer:
    """An answer of a token endpoint as authlib's client reads it."""

    answer: Answer

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self.answer.status

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.answer.body)

    def raise_for_status(self) -> None:
        """Refuse an answer that is no token.

        Raises:
            WireError: With the status.
        """
        raise WireError(f"the token endpoint answered {self.answer.status} without a JSON object")


@dataclass(frozen=True, slots=True)
class FormSession:
    """The HTTP session under authlib's client: it posts forms, by way of the guards of :class:`Wire`."""

    wire: Wire

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> FormAnswer:
        """Post a form that ``auth`` adds the client's credentials to."""
        prepared, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return FormAnswer(self.wire.send(Request(prepared, "POST", sent, body.encode())))


def is_loopback(url: str) -> bool:
    """Tell whether an address names this machine itself."""
    host = _host(url)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
