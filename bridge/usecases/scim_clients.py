"""Provisioning clients that fetch their tokens themselves, by an id and a secret (RFC 6749 §4.4)."""

import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update

from bridge.domain.credentials import (
    SCIM_CLIENT_PREFIX,
    SCIM_TOKEN_PREFIX,
    Credential,
    credential_hash,
    new_credential,
)
from bridge.domain.identifiers import ConnectionId, OrgId, new_id
from bridge.domain.roles import Permission
from bridge.errors import NotFoundError, TokenLimitError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import ScimClient, ScimClientSecret, ScimToken
from bridge.store.unit import Unit

#: The old and the new one, while an administrator moves over.
LIVE_SECRETS: Final = 2
TOKEN_LIFETIME: Final = timedelta(hours=1)
#: Beyond so many live tokens of one client, the oldest one ends: a client needs one, each of its processes another.
LIVE_TOKENS: Final = 50


@dataclass(frozen=True, slots=True)
class RegisteredScimClient:
    """A client as the authorization server needs it."""

    org_id: OrgId
    id: uuid.UUID
    can_write: bool
    secret_hashes: tuple[bytes, ...] = field(repr=False)

    def knows_secret(self, secret: str) -> bool:
        """Tell whether a secret is one of the live ones; how long that takes says nothing about what they are."""
        candidate = credential_hash(secret)
        return any(hmac.compare_digest(candidate, known) for known in self.secret_hashes)


def add_client(
    unit: Unit, connection_id: ConnectionId, *, label: str = "", can_write: bool = True
) -> tuple[ScimClient, Credential]:
    """Add a client to a connection; its secret exists only in the answer.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    client = ScimClient(
        org_id=unit.org_id,
        id=new_id(),
        connection_id=connection.id,
        label=label or f"{connection.name} {unit.at:%Y-%m-%d}",
        can_write=can_write,
        created_at=unit.at,
        revoked_at=None,
    )
    unit.session.add(client)
    unit.session.flush()
    _record(unit, "scim_client.added", client, connection=str(connection.id), can_write=can_write)
    return client, _add_secret(unit, client)


def clients_of(unit: Unit, connection_id: ConnectionId | None = None) -> Sequence[ScimClient]:
    """Return the clients of a connection that were not revoked, or those of all connections, oldest first."""
    of_one = [] if connection_id is None else [ScimClient.connection_id == connection_id]
    return unit.session.scalars(
        select(ScimClient)
        .where(ScimClient.org_id == unit.org_id, ScimClient.revoked_at.is_(None), *of_one)
        .order_by(ScimClient.created_at, ScimClient.id)
    ).all()


def find_client(unit: Unit, label_or_id: str) -> ScimClient:
    """Return a client by its id or label.

    Raises:
        NotFoundError: There is none that was not revoked.
    """
    for client in clients_of(unit):
        if label_or_id in (str(client.id), client.label):
            return client
    raise NotFoundError("client", label_or_id)


def secrets_of(unit: Unit, client: ScimClient) -> Sequence[ScimClientSecret]:
    """Return the live secrets of a client, oldest first."""
    return unit.session.scalars(
        select(ScimClientSecret)
        .where(
            ScimClientSecret.org_id == unit.org_id,
            ScimClientSecret.client_id == client.id,
            ScimClientSecret.revoked_at.is_(None),
        )
        .order_by(ScimClientSecret.created_at, ScimClientSecret.id)
    ).all()


def rotate_client_secret(unit: Unit, client: ScimClient) -> Credential:
    """Give a client its second secret; the first stays good until it is revoked.

    Raises:
        TokenLimitError: Two live already.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    live = [secret.prefix for secret in secrets_of(unit, client)]
    if len(live) >= LIVE_SECRETS:
        command = "seatbridge connection revoke-client ORG CLIENT --secret PREFIX"
        raise TokenLimitError(f"of {client.label}", live, what="secrets", command=command)
    return _add_secret(unit, client)


def revoke_client_secret(unit: Unit, client: ScimClient, prefix: str) -> ScimClientSecret:
    """Revoke a secret: no token is given for it any more. Tokens that are out live on, an hour at most.

    Raises:
        NotFoundError: The client has no such live secret.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    for secret in secrets_of(unit, client):
        if prefix.rstrip("…") in (secret.prefix, str(secret.id)):
            secret.revoked_at = unit.at
            _record(unit, "scim_client.secret_revoked", client, secret=str(secret.id))
            return secret
    raise NotFoundError("live secret", prefix)


def revoke_client(unit: Unit, client: ScimClient) -> None:
    """Revoke a client with its secrets and tokens: the next request with any of them is refused."""
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    client.revoked_at = unit.at
    unit.session.execute(
        update(ScimToken)
        .where(ScimToken.org_id == unit.org_id, ScimToken.client_id == client.id, ScimToken.revoked_at.is_(None))
        .values(revoked_at=unit.at)
        .execution_options(synchronize_session=False)
    )
    _record(unit, "scim_client.revoked", client)


def registered_client(unit: Unit, client_id: uuid.UUID) -> RegisteredScimClient | None:
    """Read a client for one request; None unless it and its connection may do anything."""
    client = unit.session.get(ScimClient, (unit.org_id, client_id))
    if client is None or client.revoked_at is not None:
        return None
    if get_connection(unit, client.connection_id).disabled_at is not None:
        return None
    hashes = tuple(secret.secret_hash for secret in secrets_of(unit, client))
    return RegisteredScimClient(unit.org_id, client.id, client.can_write, hashes)


def issue_client_token(unit: Unit, checked: RegisteredScimClient, *, can_write: bool) -> Credential | None:
    """Issue a SCIM token for an hour; its text exists only in the answer.

    The client is looked at again under the lock that revoking takes: None when it, its connection, or a secret that it
    may have been checked by was taken back since, so that no token outlives the client.

    Clients come every hour, so it is not written to the audit chain, as the use of a token is not; that the client was
    added stands there.
    """
    unit.lock()
    unit.session.expire_all()
    now = registered_client(unit, checked.id)
    if now is None or not set(checked.secret_hashes) <= set(now.secret_hashes):
        return None
    client = unit.session.get_one(ScimClient, (unit.org_id, checked.id))
    credential = new_credential(SCIM_TOKEN_PREFIX)
    unit.session.add(
        ScimToken(
            org_id=unit.org_id,
            id=new_id(),
            connection_id=client.connection_id,
            client_id=client.id,
            label=client.label,
            prefix=credential.prefix,
            token_hash=credential.hash,
            can_write=can_write and client.can_write,
            member_id=None,
            created_at=unit.at,
            expires_at=unit.at + TOKEN_LIFETIME,
            revoked_at=None,
            last_used_at=None,
        )
    )
    unit.session.flush()
    _end_surplus(unit, client)
    return credential


def _end_surplus(unit: Unit, client: ScimClient) -> None:
    live = (
        ScimToken.org_id == unit.org_id,
        ScimToken.client_id == client.id,
        ScimToken.revoked_at.is_(None),
        ScimToken.expires_at > unit.at,
    )
    newest = select(ScimToken.id).where(*live).order_by(ScimToken.created_at.desc(), ScimToken.id).limit(LIVE_TOKENS)
    unit.session.execute(
        update(ScimToken)
        .where(*live, ScimToken.id.not_in(newest))
        .values(revoked_at=unit.at)
        .execution_options(synchronize_session=False)
    )


def _add_secret(unit: Unit, client: ScimClient) -> Credential:
    credential = new_credential(SCIM_CLIENT_PREFIX)
    secret = ScimClientSecret(
        org_id=unit.org_id,
        id=new_id(),
        client_id=client.id,
        prefix=credential.prefix,
        secret_hash=credential.hash,
        created_at=unit.at,
        revoked_at=None,
    )
    unit.session.add(secret)
    unit.session.flush()
    _record(unit, "scim_client.secret_issued", client, secret=str(secret.id))
    return credential


def _record(unit: Unit, action: str, client: ScimClient, **facts: object) -> None:
    record(
        unit,
        action,
        subject_kind="scim_client",
        subject_id=client.id,
        reason="requested",
        body=facts,
        touches_seats=False,
    )
