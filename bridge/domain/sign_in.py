"""How people sign in through an identity provider."""

from enum import StrEnum


class SignInProtocol(StrEnum):
    """The protocol that a connection's identity provider speaks; part of the addresses under ``/sso``."""

    SAML = "saml"
    OIDC = "oidc"


class KeyStage(StrEnum):
    """How far a key of ours is in its life towards one identity provider; a connection has one of each at most."""

    NEXT = "next"
    CURRENT = "current"
    OLD = "old"
