"""Turning a connection off and on again: while it is off nobody signs in by it, and nothing is pushed (rule T16)."""

from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Permission
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection
from bridge.store.unit import Unit
from bridge.usecases.end_connection import end_sign_ins_by

_REASON = "connection_disabled"


def disable_connection(unit: Unit, connection_id: ConnectionId) -> int:
    """Turn a connection off: sign-ins under way, and sessions of its people opened by its protocol, end with it.

    Its SCIM tokens are refused until it is turned on again; they are not revoked, so that a directory goes on then.
    People and seats stay as they are.

    Returns:
        How many sessions ended.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    if connection.disabled_at is not None:
        return 0
    connection.disabled_at = unit.at
    ended = end_sign_ins_by(unit, connection, reason=_REASON)
    _record(unit, connection, "connection.disabled", {"sessions_ended": ended})
    return ended


def enable_connection(unit: Unit, connection_id: ConnectionId) -> Connection:
    """Turn a connection on again: its people sign in anew, and its tokens that still live push again.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    if connection.disabled_at is not None:
        connection.disabled_at = None
        unit.session.flush()
        _record(unit, connection, "connection.enabled", {})
    return connection


def _record(unit: Unit, connection: Connection, action: str, body: dict[str, int]) -> None:
    record(
        unit,
        action,
        subject_kind="connection",
        subject_id=connection.id,
        reason="requested",
        body=dict(body),
        touches_seats=False,
    )
