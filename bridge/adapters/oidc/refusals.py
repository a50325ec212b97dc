"""Why an OpenID Connect sign-in is refused: one stable code per reason, for the connection's sign-in log."""

from enum import StrEnum


class OidcRefusal(StrEnum):
    """The ``reason`` of every :class:`~bridge.errors.SignInRefusedError` this package raises."""

    PROVIDER_ERROR = "oidc_provider_error"
    CODE = "oidc_code"
    MIX_UP = "oidc_mix_up"
    UNREACHABLE = "oidc_unreachable"
    TOKEN_ENDPOINT = "oidc_token_endpoint"  # noqa: S105 (a reason, not a token)
    NO_ID_TOKEN = "oidc_no_id_token"  # noqa: S105 (as above)
    MALFORMED = "oidc_malformed"
    ALGORITHM = "oidc_algorithm"
    UNKNOWN_KEY = "oidc_unknown_key"
    BAD_SIGNATURE = "oidc_bad_signature"
    ISSUER = "oidc_issuer"
    AUDIENCE = "oidc_audience"
    SUBJECT = "oidc_subject"
    NONCE = "oidc_nonce"
    EXPIRED = "oidc_expired"
    TIMES = "oidc_times"
    CLAIM = "oidc_claim"
    USERINFO = "oidc_userinfo"
