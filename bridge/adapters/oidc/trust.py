"""From a provider's description of itself, as it was read, to what a connection believes."""

from collections.abc import Iterable
from typing import Final

from bridge.adapters.oidc.discovery import ProviderFacts, choose_auth_method
from bridge.errors import InvalidInputError
from bridge.usecases.oidc_trust import OidcTrust

#: Asked for from every provider.
USUAL_SCOPES: Final = ("openid", "profile", "email")
_LONGEST_SECRET: Final = 2000


def trust_in(
    issuer: str,
    facts: ProviderFacts,
    *,
    client_id: str,
    sealed_secret: bytes | None,
    scopes: tuple[str, ...],
    asks_userinfo: bool,
) -> OidcTrust:
    """Return what a connection that trusts this provider has to keep; None seals no secret: PKCE alone protects."""
    return OidcTrust(
        issuer=issuer,
        client_id=client_id,
        client_secret=sealed_secret,
        auth_method=choose_auth_method(facts, has_secret=sealed_secret is not None),
        scopes=scopes,
        authorization_endpoint=facts.authorization_endpoint,
        token_endpoint=facts.token_endpoint,
        jwks_uri=facts.jwks_uri,
        userinfo_endpoint=facts.userinfo_endpoint,
        algorithms=facts.algorithms,
        sends_issuer=facts.sends_issuer,
        asks_userinfo=asks_userinfo,
    )


def read_scopes(given: Iterable[str]) -> tuple[str, ...]:
    """Return the usual scopes and these, each once.

    Raises:
        InvalidInputError: One is none (RFC 6749 §3.3).
    """
    given = tuple(given)
    if any(not scope.isascii() or not scope.isprintable() or " " in scope or not scope for scope in given):
        raise InvalidInputError("scope", "give one scope at a time, as --scope groups")
    return tuple(dict.fromkeys((*USUAL_SCOPES, *given)))


def read_secret(text: str, *, problem: str) -> str:
    """Return a client secret without the blanks around it.

    Args:
        text: As it was typed or read.
        problem: What to say when it is none.

    Raises:
        InvalidInputError: It is empty, too long, or no text.
    """
    secret = text.strip()
    if not secret or len(secret) > _LONGEST_SECRET or not secret.isprintable():
        raise InvalidInputError("client_secret", problem)
    return secret
