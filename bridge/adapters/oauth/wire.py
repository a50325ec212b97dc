"""What comes over the wire, made safe before authlib reads it, and what goes back."""

import base64
import binascii
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Payload, OAuth2Request

MAX_PARAMETER: Final = 8192
#: What is read; everything else in a request is ignored (RFC 6749 §3.1 and §3.2).
_KNOWN: Final = frozenset(
    {
        "client_id",
        "client_secret",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "grant_type",
        "id_token_hint",
        "login_hint",
        "logout_hint",
        "max_age",
        "nonce",
        "post_logout_redirect_uri",
        "prompt",
        "redirect_uri",
        "refresh_token",
        "request",
        "request_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
        "token",
        "token_type_hint",
    }
)
#: Hints are for people and may be written in any language.
_WORDS: Final = frozenset({"login_hint", "logout_hint"})
#: These come back in descriptions of errors, which must not hold the two signs (RFC 6749 §5.2).
_QUOTED: Final = frozenset({"redirect_uri", "response_type", "grant_type"})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came: its parameters by name, each with all its values.

    Args:
        address: Where it went to, as configured, never as the request says.
        parameters: Of the query of a GET, of the form of a POST.
        authorization: The header, if there is one.
    """

    method: str
    address: str
    parameters: Mapping[str, Sequence[str]] = field(repr=False)
    authorization: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class Answer:
    """An answer: a JSON document, or nothing but headers."""

    status: int
    document: Mapping[str, Any] | None
    headers: list[tuple[str, str]]

    @property
    def location(self) -> str | None:
        """Where a redirect leads; None for an answer that is none."""
        return next((value for name, value in self.headers if name == "Location"), None)

    @location.setter
    def location(self, value: str) -> None:
        self.headers = [(name, value if name == "Location" else text) for name, text in self.headers]


class Payload(OAuth2Payload):  # type: ignore[misc] # authlib carries no types
    """The parameters of a request, for authlib."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    @property
    def data(self) -> dict[str, str]:
        """Return each parameter's value."""
        return self._values

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """Return each parameter's values: one, for repeated ones were refused."""
        return defaultdict(list, {name: [value] for name, value in self._values.items()})


class AuthlibRequest(OAuth2Request):  # type: ignore[misc] # authlib carries no types
    """A request for authlib, of which nothing is left that it would stumble over.

    Raises:
        InvalidRequestError: A parameter comes twice, is too long, or holds signs that no such parameter may hold.
    """

    def __init__(self, asked: HttpRequest) -> None:
        headers = {"Authorization": asked.authorization} if _is_readable(asked.authorization) else {}
        super().__init__(asked.method, asked.address, headers=headers)
        self._values = _checked(asked.parameters)
        self.payload = Payload(self._values)

    @property
    def form(self) -> dict[str, str]:
        """Return the parameters."""
        return self._values

    @property
    def args(self) -> dict[str, str]:
        """Return the parameters."""
        return self.form


def _checked(parameters: Mapping[str, Sequence[str]]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for name in sorted(_KNOWN & parameters.keys()):
        values = parameters[name]
        if len(values) != 1:
            raise InvalidRequestError(f"Multiple '{name}' in request.")
        [value] = values
        if len(value) > MAX_PARAMETER or not (value.isprintable() if name in _WORDS else _is_plain(value)):
            raise InvalidRequestError(f"Invalid '{name}' in request.")
        if name in _QUOTED and ('"' in value or "\\" in value):
            raise InvalidRequestError(f"Invalid '{name}' in request.")
        if value:  # a parameter without a value counts as left out (RFC 6749 §3.1)
            checked[name] = value
    return checked


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _is_readable(authorization: str | None) -> bool:
    """Tell whether a header can be read at all; what cannot is as good as none."""
    if not authorization or not authorization.isascii() or len(authorization) > MAX_PARAMETER:
        return False
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return bool(rest.strip())
    try:
        return _is_plain(base64.b64decode(rest.strip(), validate=True).decode("ascii"))
    except (binascii.Error, ValueError):
        return False
