"""How people sign in through an identity provider."""

from enum import StrEnum


class SignInProtocol(StrEnum):
    """The protocol that a connection's identity provider speaks; part of the addresses under ``/sso``."""

    SAML = "saml"
    OIDC = "oidc"
