"""What the authorization server needs from the product, in few words."""

import uuid
from datetime import datetime
from typing import Any, Protocol

from bridge.adapters.oauth.keys import Signer
from bridge.store.models import AppGrant
from bridge.usecases.app_grants import AskedGrant
from bridge.usecases.apps import RegisteredApp
from bridge.usecases.scim_clients import RegisteredScimClient
from bridge.usecases.signing_keys import KeyRing


class Desk(Protocol):
    """One request's way into the product: opened for it, committed at its end.

    Attributes:
        signer: Signs tokens.
        now: The instant of the request.
        access_seconds: How long access and ID tokens live.
    """

    signer: Signer
    now: datetime
    access_seconds: int

    def keys(self) -> KeyRing:
        """Return the keys as they are now."""
        ...

    def find_app(self, client_id: str) -> RegisteredApp | None:
        """Find an application; None for whatever is no client_id of one."""
        ...

    def find_scim_client(self, client_id: str) -> RegisteredScimClient | None:
        """Find a provisioning client; None for whatever is no client_id of one that may do anything."""
        ...

    def issue_scim_token(self, client: RegisteredScimClient, *, can_write: bool) -> str | None:
        """Issue a SCIM token for :data:`bridge.usecases.scim_clients.TOKEN_LIFETIME`; None to who was revoked."""
        ...

    def give(self, app: RegisteredApp, asked: AskedGrant, code: str) -> None:
        """Sign the visitor in to an application."""
        ...

    def open_code(self, app: RegisteredApp, code: str) -> AppGrant | None:
        """Find the grant of a code that may be used now; one that was used before ends its grant."""
        ...

    def use_code(self, grant: AppGrant) -> None:
        """Use the code of a grant up."""
        ...

    def open_refresh_token(self, app: RegisteredApp, token: str) -> AppGrant | None:
        """Find the grant of a refresh token that may be used now; one that was used before ends its grant."""
        ...

    def keep_refresh_token(self, grant: AppGrant, token: str, *, used: str | None) -> None:
        """Keep a new refresh token in the place of the used one."""
        ...

    def claims(self, grant: AppGrant, scope: str) -> dict[str, Any]:
        """Describe the person of a grant as they are now."""
        ...

    def find_grant(self, org_id: uuid.UUID, grant_id: uuid.UUID) -> AppGrant | None:
        """Find a grant that is alive."""
        ...

    def look_at_refresh_token(self, token: str) -> AppGrant | None:
        """Find the grant of a refresh token without using it."""
        ...

    def end_grant(self, grant: AppGrant) -> None:
        """End a grant at its application's wish."""
        ...
