"""What an identity provider says of itself (OpenID Connect Discovery 1.0)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from authlib.oidc.discovery import get_well_known_url

from bridge.adapters.oidc.wire import Wire, WireError, is_loopback
from bridge.errors import InvalidInputError

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "Ed25519",
)
"""What an ID token may be signed by, whatever a provider announces: a key pair, never a shared secret."""

#: How we make ourselves known at the token endpoint, best first.
_WITH_SECRET = ("client_secret_basic", "client_secret_post")
_WITHOUT_SECRET = ("none",)
_LONGEST_ADDRESS = 1000


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """What of the discovery document a connection keeps.

    Attributes:
        algorithms: Those of :data:`ALGORITHMS` that the provider signs ID tokens by.
        auth_methods: What the token endpoint takes; empty where it does not say, which means client_secret_basic.
        sends_issuer: Whether every answer names its issuer (RFC 9207), so that one that does not is refused.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: tuple[str, ...]
    auth_methods: tuple[str, ...]
    sends_issuer: bool


def discover(wire: Wire) -> ProviderFacts:
    """Fetch and check the provider's own description.

    Raises:
        InvalidInputError: Of the field ``issuer``, with what to do about it.
    """
    if urlsplit(wire.issuer).query or "#" in wire.issuer:
        raise _invalid(f"{wire.issuer!r} is no issuer: it has neither a query nor a fragment")
    try:
        document = wire.read(get_well_known_url(wire.issuer, external=True))
    except (WireError, ValueError) as error:
        raise _invalid(f"its description could not be read: {error}") from error
    return read_description(document, wire.issuer)


def read_description(document: Mapping[str, Any], issuer: str) -> ProviderFacts:
    """Read a discovery document.

    Raises:
        InvalidInputError: Of the field ``issuer``: it describes another one, or a provider we cannot trust.
    """
    named = document.get("issuer")
    if named != issuer:
        raise _invalid(
            f"the description there is of the issuer {named!r}: enter exactly that, if it is your provider's"
        )
    response_types = _texts(document, "response_types_supported", ("code",))
    if not any(set(one.split()) == {"code"} for one in response_types):
        raise _invalid("the provider does not offer the authorization code flow (response type code)")
    if "S256" not in _texts(document, "code_challenge_methods_supported", ("S256",)):
        raise _invalid("the provider does not offer PKCE with S256: switch it on there")
    algorithms = _texts(document, "id_token_signing_alg_values_supported", ("RS256",))
    usable = tuple(one for one in ALGORITHMS if one in algorithms)
    if not usable:
        raise _invalid(f"the provider signs by none of {', '.join(ALGORITHMS)}: choose one of these there")
    return ProviderFacts(
        issuer=issuer,
        authorization_endpoint=_address(document, "authorization_endpoint", issuer),
        token_endpoint=_address(document, "token_endpoint", issuer),
        jwks_uri=_address(document, "jwks_uri", issuer),
        userinfo_endpoint=_address(document, "userinfo_endpoint", issuer) if "userinfo_endpoint" in document else None,
        algorithms=usable,
        auth_methods=_texts(document, "token_endpoint_auth_methods_supported", ()),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def choose_auth_method(facts: ProviderFacts, *, has_secret: bool) -> str:
    """Return how we make ourselves known at the token endpoint.

    Raises:
        InvalidInputError: Of the field ``client_secret``: the provider takes no client like that.
    """
    ours = _WITH_SECRET if has_secret else _WITHOUT_SECRET
    if not facts.auth_methods:
        return ours[0]
    for method in ours:
        if method in facts.auth_methods:
            return method
    if has_secret:
        problem = f"the provider takes clients by {', '.join(facts.auth_methods)} only, and none of these is a secret"
    else:
        problem = "the provider takes no client without a secret: make one there and give it here"
    raise InvalidInputError("client_secret", problem)


def _texts(document: Mapping[str, Any], name: str, missing: tuple[str, ...]) -> tuple[str, ...]:
    value = document.get(name)
    if value is None:
        return missing
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _invalid(f"{name} in its description is no list of names")
    return tuple(value)


def _address(document: Mapping[str, Any], name: str, issuer: str) -> str:
    value = document.get(name)
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if not isinstance(value, str) or not parts.hostname or len(value) > _LONGEST_ADDRESS:
        raise _invalid(f"{name} in its description is no address")
    if any(not "!" <= sign <= "~" for sign in value) or parts.username is not None or parts.fragment:
        raise _invalid(f"{name} in its description is no plain address")
    if parts.scheme != "https" and not (parts.scheme == "http" and urlsplit(issuer).scheme == "http"):
        raise _invalid(f"{name} in its description must start with https://")
    if is_loopback(value) and not is_loopback(issuer):
        raise _invalid(f"{name} in its description leads to this machine")
    return value


def _invalid(problem: str) -> InvalidInputError:
    return InvalidInputError("issuer", problem)
