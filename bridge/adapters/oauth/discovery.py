"""What the authorization server says of itself (OpenID Connect Discovery 1.0, RFC 8414)."""

from typing import Any

from bridge.adapters.oauth.clients import CLIENT_CREDENTIALS, GRANT_TYPES, SCIM_SCOPES, SCOPES, SECRET_METHODS
from bridge.adapters.oauth.grants import CHALLENGE_METHOD
from bridge.adapters.oauth.keys import ALGORITHM

#: Paths below the issuer.
AUTHORIZE, TOKEN, JWKS = "/oauth2/authorize", "/oauth2/token", "/oauth2/jwks"
USERINFO, INTROSPECT, REVOKE = "/oauth2/userinfo", "/oauth2/introspect", "/oauth2/revoke"
LOGOUT = "/oauth2/logout"


def describe_server(issuer: str) -> dict[str, Any]:
    """Return the discovery document of the installation's one issuer."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}{AUTHORIZE}",
        "token_endpoint": f"{issuer}{TOKEN}",
        "jwks_uri": f"{issuer}{JWKS}",
        "userinfo_endpoint": f"{issuer}{USERINFO}",
        "introspection_endpoint": f"{issuer}{INTROSPECT}",
        "introspection_endpoint_auth_methods_supported": list(SECRET_METHODS),
        "revocation_endpoint": f"{issuer}{REVOKE}",
        "revocation_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "end_session_endpoint": f"{issuer}{LOGOUT}",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "scopes_supported": [*SCOPES, *SCIM_SCOPES],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [*GRANT_TYPES, CLIENT_CREDENTIALS],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "code_challenge_methods_supported": [CHALLENGE_METHOD],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_supported": [
            "sub",
            "org",
            "role",
            "seat_tier",
            "entitlements",
            "sid",
            "auth_time",
            "nonce",
            "name",
            "given_name",
            "family_name",
            "preferred_username",
            "updated_at",
            "email",
            "email_verified",
        ],
    }
