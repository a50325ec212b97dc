"""Writing the provisioning log: one statement for many entries; it never waits for an organization's lock."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, func, select, text

from bridge.domain.identifiers import ConnectionId
from bridge.domain.redaction import storable
from bridge.domain.request_log import Mark, first_id_of
from bridge.store.models import Connection, DialectSign, LoggedRequest, ScimToken
from bridge.store.unit import Unit

_TYPES = {
    "id": "uuid",
    "at": "timestamptz",
    "connection_id": "uuid",
    "token_id": "uuid",
    "method": "text",
    "path": "text",
    "query": "text",
    "status": "bigint",
    "scim_type": "text",
    "mark": "text",
    "latency_ms": "double precision",
    "request_id": "text",
    "address": "text",
    "user_agent": "text",
    "content_type": "text",
    "bytes_in": "bigint",
    "bytes_out": "bigint",
    "dialect": "text",
    "request_body": "text",
    "request_whole": "boolean",
    "response_body": "text",
    "response_whole": "boolean",
    "operations": "jsonb",
}
_NAMES = ", ".join(_TYPES)
_INSERT = text(
    f"INSERT INTO scim_request (org_id, {_NAMES}) SELECT CAST(:org AS uuid), {_NAMES}"  # noqa: S608 (constants)
    f" FROM json_to_recordset(CAST(:rows AS json)) AS r ({', '.join(' '.join(each) for each in _TYPES.items())})"
    " ON CONFLICT DO NOTHING"
)
_SIGNS = text(
    "INSERT INTO dialect_sign (org_id, connection_id, sign, seen, first_at, last_at)"
    " SELECT CAST(:org AS uuid), connection_id, sign, seen, first_at, last_at"
    " FROM json_to_recordset(CAST(:rows AS json)) AS r"
    " (connection_id uuid, sign text, seen bigint, first_at timestamptz, last_at timestamptz)"
    " ON CONFLICT (org_id, connection_id, sign) DO UPDATE SET seen = dialect_sign.seen + excluded.seen,"
    " last_at = greatest(dialect_sign.last_at, excluded.last_at)"
)


def write_requests(unit: Unit, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write entries, each a mapping of every column but the organization; one that is there already stays."""
    unit.session.execute(_INSERT, {"org": unit.org_id, "rows": _written(rows)})


def _written(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as JSON that PostgreSQL takes, whatever is in their texts."""
    try:
        written = orjson.dumps(rows)
    except TypeError:  # half a surrogate pair
        written = b""
    if not written or rb"\u0000" in written:
        written = orjson.dumps(_storable(rows))
    return written.decode()


def _storable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {storable(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return storable(value) if isinstance(value, str) else value


def write_signs(unit: Unit, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to what was seen of dialects: ``connection_id``, ``sign``, ``seen``, ``first_at``, ``last_at``.

    Args:
        unit: The unit.
        rows: Each pair of connection and sign once.
    """
    ordered = sorted(rows, key=lambda row: (str(row["connection_id"]), row["sign"]))
    unit.session.execute(_SIGNS, {"org": unit.org_id, "rows": orjson.dumps(ordered).decode()})


def count_unattributed(unit: Unit, since: datetime) -> int:
    """Count the entries since an instant whose token is nobody's."""
    counted = unit.session.scalar(
        select(func.count())
        .select_from(LoggedRequest)
        .where(LoggedRequest.org_id == unit.org_id, LoggedRequest.connection_id.is_(None), LoggedRequest.at >= since)
    )
    return counted or 0


def states_of_tokens(unit: Unit, token_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, tuple[datetime, Mark | None]]:
    """Return of each token when it expires, and what else makes it refused now."""
    rows = unit.session.execute(
        select(ScimToken.id, ScimToken.expires_at, ScimToken.revoked_at, Connection.disabled_at)
        .join(Connection, (Connection.org_id == ScimToken.org_id) & (Connection.id == ScimToken.connection_id))
        .where(ScimToken.org_id == unit.org_id, ScimToken.id.in_(token_ids))
    )
    return {
        row.id: (
            row.expires_at,
            Mark.TOKEN_REVOKED
            if row.revoked_at is not None
            else Mark.CONNECTION_DISABLED
            if row.disabled_at is not None
            else None,
        )
        for row in rows
    }


def remove_requests_before(unit: Unit, before: datetime, *, limit: int) -> int:
    """Delete the oldest entries from before an instant, at most ``limit``; return how many."""
    old = (
        select(LoggedRequest.id)
        .where(LoggedRequest.org_id == unit.org_id, LoggedRequest.id < first_id_of(before))
        .order_by(LoggedRequest.id)
        .limit(limit)
    )
    statement = (
        delete(LoggedRequest)
        .where(LoggedRequest.org_id == unit.org_id, LoggedRequest.id.in_(old))
        .execution_options(synchronize_session=False)
    )
    removed: int = unit.session.execute(statement).rowcount  # type: ignore[attr-defined] # a DELETE's cursor result
    return removed


def signs_of_connections(unit: Unit) -> dict[ConnectionId, list[DialectSign]]:
    """Return what was seen of each connection's dialect."""
    found: dict[ConnectionId, list[DialectSign]] = {}
    for row in unit.session.scalars(select(DialectSign).where(DialectSign.org_id == unit.org_id)):
        found.setdefault(row.connection_id, []).append(row)
    return found
