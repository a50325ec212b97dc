"""The keys we have towards a SAML identity provider, and how a new one takes over without a gap.

The next key is published beside the current one; once the identity provider has it, it signs and is encrypted to, and
the old one only opens what was encrypted before; at the end the old one is forgotten.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Permission
from bridge.domain.sign_in import KeyStage, SignInProtocol
from bridge.errors import InvalidInputError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import ServiceKey
from bridge.store.unit import Unit

_ORDER: Final = (KeyStage.CURRENT, KeyStage.NEXT, KeyStage.OLD)


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key: its certificate (PEM), and the private part sealed for the row ``id``."""

    id: uuid.UUID
    certificate: str
    private_key: bytes
    fingerprint: str
    not_after: datetime


KeyMaker = Callable[[Unit, ConnectionId], MadeKey]


def service_keys(unit: Unit, connection_id: ConnectionId) -> tuple[ServiceKey, ...]:
    """Return the keys of a connection: the current one, the next, the old one; none before the first is needed."""
    found = unit.session.scalars(
        select(ServiceKey)
        .where(ServiceKey.org_id == unit.org_id, ServiceKey.connection_id == connection_id)
        .execution_options(populate_existing=True)
    ).all()
    return tuple(sorted(found, key=lambda key: _ORDER.index(KeyStage(key.stage))))


def ensure_service_key(unit: Unit, connection_id: ConnectionId, make: KeyMaker) -> tuple[ServiceKey, ...]:
    """Return the keys of a connection, making the first if there is none yet; of several at once one makes it."""
    keys = service_keys(unit, connection_id)
    if keys:
        return keys
    made = make(unit, connection_id)  # before the lock: it takes a while
    unit.lock()
    if not service_keys(unit, connection_id):
        _add(unit, connection_id, made, KeyStage.CURRENT, reason="needed")
    return service_keys(unit, connection_id)


def begin_key_change(unit: Unit, connection_id: ConnectionId, make: KeyMaker) -> ServiceKey:
    """Publish the next key beside the current one; nothing uses it yet.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
        InvalidInputError: A change is under way, or the connection does not sign in by SAML.
    """
    _prepare(unit, connection_id)
    ensure_service_key(unit, connection_id, make)
    stages = _by_stage(unit, connection_id)
    if KeyStage.NEXT in stages:
        raise InvalidInputError("key", "the next one is published already: take it into use (--use)")
    if KeyStage.OLD in stages:
        raise InvalidInputError("key", "the old one is still kept: forget it first (--finish)")
    return _add(unit, connection_id, make(unit, connection_id), KeyStage.NEXT, reason="requested")


def use_next_key(unit: Unit, connection_id: ConnectionId) -> ServiceKey:
    """Sign with the next key from now on and have it encrypted to; the one before only opens what was encrypted to it.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
        InvalidInputError: No next key is published.
    """
    _prepare(unit, connection_id)
    stages = _by_stage(unit, connection_id)
    if KeyStage.NEXT not in stages:
        raise InvalidInputError("key", "no next one is published: run it without --use first")
    current, following = stages[KeyStage.CURRENT], stages[KeyStage.NEXT]
    current.stage = KeyStage.OLD
    unit.session.flush()
    following.stage = KeyStage.CURRENT
    _record(unit, "connection.key_used", following, reason="requested")
    return following


def forget_old_key(unit: Unit, connection_id: ConnectionId) -> ServiceKey:
    """Forget the key that was used before: what is still encrypted to it is refused from now on.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
        InvalidInputError: None is kept.
    """
    _prepare(unit, connection_id)
    stages = _by_stage(unit, connection_id)
    if KeyStage.OLD not in stages:
        what = "take the next one into use first (--use)" if KeyStage.NEXT in stages else "no change is under way"
        raise InvalidInputError("key", f"no old one is kept: {what}")
    old = stages[KeyStage.OLD]
    unit.session.delete(old)
    _record(unit, "connection.key_forgotten", old, reason="requested")
    return old


def _prepare(unit: Unit, connection_id: ConnectionId) -> None:
    unit.require(Permission.MANAGE_CONNECTIONS)
    if get_connection(unit, connection_id).protocol not in {None, SignInProtocol.SAML}:
        raise InvalidInputError("connection", "does not sign in by SAML: it has no keys of this kind")
    unit.lock()


def _by_stage(unit: Unit, connection_id: ConnectionId) -> dict[KeyStage, ServiceKey]:
    return {KeyStage(key.stage): key for key in service_keys(unit, connection_id)}


def _add(unit: Unit, connection_id: ConnectionId, made: MadeKey, stage: KeyStage, *, reason: str) -> ServiceKey:
    key = ServiceKey(
        org_id=unit.org_id,
        id=made.id,
        connection_id=connection_id,
        stage=stage,
        certificate=made.certificate,
        private_key=made.private_key,
        fingerprint=made.fingerprint,
        created_at=unit.at,
        not_after=made.not_after,
    )
    unit.session.add(key)
    _record(unit, "connection.key_made", key, reason=reason)
    return key


def _record(unit: Unit, action: str, key: ServiceKey, *, reason: str) -> None:
    unit.session.flush()
    record(
        unit,
        action,
        subject_kind="connection",
        subject_id=key.connection_id,
        reason=reason,
        body={"key": str(key.id), "fingerprint": key.fingerprint},
        touches_seats=False,
    )
