"""The addresses that a directory and an identity provider need of us; all begin with the configured public one."""

from dataclasses import dataclass

from bridge.domain.sign_in import SignInProtocol
from bridge.store.models import Connection
from bridge.store.unit import Unit


@dataclass(frozen=True, slots=True)
class ConnectionAddresses:
    """What is entered at an identity provider, to the letter.

    Attributes:
        entity_id: Our entityID (SAML), which is also the address of our metadata.
        start: Where a sign-in starts; by the connection's protocol, SAML until it has one.
        test: Where a test sign-in starts.
    """

    scim: str
    acs: str
    entity_id: str
    redirect_uri: str
    start: str
    test: str


def addresses_of(public_url: str, unit: Unit, connection: Connection) -> ConnectionAddresses:
    """Return a connection's addresses, of either protocol."""
    slug = unit.organization().slug
    saml, oidc = (f"{public_url}/sso/{protocol}/{slug}/{connection.id}" for protocol in SignInProtocol)
    mine = oidc if connection.protocol == SignInProtocol.OIDC else saml
    return ConnectionAddresses(
        scim=f"{public_url}/scim/v2/{slug}",
        acs=f"{saml}/acs",
        entity_id=f"{saml}/metadata",
        redirect_uri=f"{oidc}/callback",
        start=f"{mine}/start",
        test=f"{mine}/test",
    )
