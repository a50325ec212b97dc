"""Pushing a directory to the product in the words of one provider."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import httpx

from bridge.simulator.dialects import Dialect
from bridge.simulator.directory import Directory
from bridge.simulator.entra import EntraClient
from bridge.simulator.google import GoogleClient
from bridge.simulator.okta import OktaClient
from bridge.simulator.provisioning import ProvisioningClient, PushReport
from bridge.simulator.wire import Wire

CLIENTS: Mapping[Dialect, type[ProvisioningClient]] = MappingProxyType(
    {Dialect.OKTA: OktaClient, Dialect.ENTRA: EntraClient, Dialect.GOOGLE: GoogleClient}
)


def connect(
    base_url: str, token: str, dialect: Dialect, *, transport: httpx.BaseTransport | None = None
) -> ProvisioningClient:
    """Return a provisioning client that goes on from round to round; close its ``wire`` at the end."""
    kind = CLIENTS[dialect]
    return kind(Wire(base_url, token, user_agent=kind.user_agent, transport=transport))


def push(
    base_url: str,
    token: str,
    directory: Directory,
    dialect: Dialect,
    *,
    progress: Callable[[int], None] | None = None,
) -> PushReport:
    """Push a whole directory once.

    Args:
        base_url: Such as ``https://seats.example.com/scim/v2/nordlys``.
        token: The connection's.
        directory: Who is pushed.
        dialect: In whose words.
        progress: Told how many people and groups are done.

    Raises:
        httpx.HTTPError: The product cannot be reached.
    """
    client = connect(base_url, token, dialect)
    if progress is not None:
        client.progress = progress
    with client.wire:
        return client.synchronize(directory)
