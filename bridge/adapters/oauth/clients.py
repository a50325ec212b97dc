"""Applications and provisioning clients, as authlib asks about them."""

from typing import Any, Final

from authlib.oauth2.rfc6749 import ClientMixin

from bridge.usecases.app_grants import OFFLINE_ACCESS
from bridge.usecases.apps import RegisteredApp
from bridge.usecases.scim_clients import RegisteredScimClient

SCOPES: Final = ("openid", "profile", "email", OFFLINE_ACCESS)
GRANT_TYPES: Final = ("authorization_code", "refresh_token")
CLIENT_CREDENTIALS: Final = "client_credentials"
SCIM_READ, SCIM_WRITE = SCIM_SCOPES = ("scim.read", "scim.write")
SECRET_METHODS: Final = ("client_secret_basic", "client_secret_post")


class MachineClient(ClientMixin):  # type: ignore[misc] # authlib carries no types
    """A provisioning client: it gets tokens for SCIM by its secret, and nothing else."""

    def __init__(self, client: RegisteredScimClient) -> None:
        self.client = client
        self.client_id = str(client.id)
        self.client_metadata: dict[str, Any] = {}

    def get_client_id(self) -> str:
        """Return the client_id."""
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """Return none: nobody is sent anywhere."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return what of a scope the client gets, all that it may if it asks for none; None for nothing."""
        allowed = SCIM_SCOPES if self.client.can_write else SCIM_SCOPES[:1]
        asked = dict.fromkeys((scope or " ".join(allowed)).split())
        return " ".join(one for one in asked if one in allowed) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Know none."""
        del redirect_uri
        return False

    def check_client_secret(self, client_secret: str) -> bool:
        """Tell whether a secret is a live one."""
        return self.client.knows_secret(client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Open the token endpoint alone, by a secret."""
        return endpoint == "token" and method in SECRET_METHODS

    def check_response_type(self, response_type: str) -> bool:
        """Know none."""
        del response_type
        return False

    def check_grant_type(self, grant_type: str) -> bool:
        """Know client credentials alone."""
        return grant_type == CLIENT_CREDENTIALS


class AppClient(ClientMixin):  # type: ignore[misc] # authlib carries no types
    """An application that people sign in to."""

    def __init__(self, app: RegisteredApp) -> None:
        self.app = app
        self.client_id = str(app.id)

    @property
    def client_metadata(self) -> dict[str, Any]:
        """Return what authlib looks up by name."""
        return {"post_logout_redirect_uris": list(self.app.post_logout_redirect_uris)}

    def get_client_id(self) -> str:
        """Return the client_id."""
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """Return none: every request names its redirect URI."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return what of a scope the application gets; what nobody knows here is left out (OpenID Core §3.1.2.1)."""
        allowed = [one for one in SCOPES if one != OFFLINE_ACCESS or self.app.offline_access]
        asked = dict.fromkeys((scope or "").split())
        return " ".join(one for one in asked if one in allowed) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Compare byte for byte (RFC 9700 §2.1)."""
        return redirect_uri in self.app.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Tell whether a secret is a live one."""
        return self.app.knows_secret(client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether the application may prove so who it is: by a secret, unless it can keep none."""
        del endpoint
        return method == "none" if self.app.is_public else method in SECRET_METHODS

    def check_response_type(self, response_type: str) -> bool:
        """Know the code alone: no implicit flow."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Know the code flow and its refresh tokens alone."""
        return grant_type in GRANT_TYPES
