"""Which OpenID Connect provider a connection believes, and as which client it knows us."""

from dataclasses import dataclass, field

from bridge.domain.identifiers import ConnectionId, OrgId
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import InvalidInputError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection, OidcProvider
from bridge.store.unit import Unit
from bridge.usecases.end_connection import believe

_LONGEST_CLIENT_ID = 255


@dataclass(frozen=True, slots=True)
class OidcTrust:
    """A provider as its discovery document describes it, and us as its client.

    Args:
        client_secret: Sealed for :func:`secret_place`; None for a client that PKCE alone protects.
        asks_userinfo: Whether userinfo is asked for what the ID token leaves out.
    """

    issuer: str
    client_id: str
    client_secret: bytes | None = field(repr=False)
    auth_method: str
    scopes: tuple[str, ...]
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: tuple[str, ...]
    sends_issuer: bool
    asks_userinfo: bool = False


def secret_place(org_id: OrgId, connection_id: ConnectionId) -> str:
    """Name the one place that the client secret of a connection is sealed for."""
    return f"oidc_provider:{org_id}:{connection_id}:client_secret"


def trust_oidc_provider(
    unit: Unit, connection_id: ConnectionId, trust: OidcTrust, *, jit: bool | None = None
) -> Connection:
    """Set whose ID tokens a connection believes, and whether a sign-in creates who is new (None: as it is).

    Of another provider than before, nobody stays signed in by the former one.

    Raises:
        InvalidInputError: The client id is none, or openid is not in scope, or userinfo is to be asked and there is
            none.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    if not trust.client_id.strip() or not trust.client_id.isprintable() or len(trust.client_id) > _LONGEST_CLIENT_ID:
        raise InvalidInputError("client_id", "give the client id as the provider shows it")
    if "openid" not in trust.scopes:
        raise InvalidInputError("scope", "must contain openid: without it the provider sends no ID token")
    if trust.asks_userinfo and trust.userinfo_endpoint is None:
        raise InvalidInputError("userinfo", "the provider has no userinfo endpoint")
    sessions_ended = believe(unit, connection, SignInProtocol.OIDC, trust.issuer)
    connection.jit_enabled = connection.jit_enabled if jit is None else jit
    unit.session.merge(
        OidcProvider(
            org_id=unit.org_id,
            connection_id=connection_id,
            client_id=trust.client_id,
            client_secret=trust.client_secret,
            auth_method=trust.auth_method,
            scopes=list(trust.scopes),
            authorization_endpoint=trust.authorization_endpoint,
            token_endpoint=trust.token_endpoint,
            jwks_uri=trust.jwks_uri,
            userinfo_endpoint=trust.userinfo_endpoint,
            algorithms=list(trust.algorithms),
            sends_issuer=trust.sends_issuer,
            asks_userinfo=trust.asks_userinfo,
            fetched_at=unit.at,
        )
    )
    unit.session.flush()
    record(
        unit,
        "connection.oidc_trusted",
        subject_kind="connection",
        subject_id=connection.id,
        reason="requested",
        body={
            "issuer": trust.issuer,
            "client_id": trust.client_id,
            "auth_method": trust.auth_method,
            "scopes": list(trust.scopes),
            "jwks_uri": trust.jwks_uri,
            "jit": connection.jit_enabled,
            "sessions_ended": sessions_ended,
        },
        touches_seats=False,
    )
    return connection


def oidc_provider(unit: Unit, connection_id: ConnectionId) -> OidcProvider | None:
    """Return what a connection keeps of its provider; None for one that does not sign in by OpenID Connect."""
    return unit.session.get(OidcProvider, (unit.org_id, connection_id))
