"""Rules know groups by their ids; versions of the rules say why there is one.

Rules went by the names of groups before. Each organization gets one more version of its rules in which every name is
replaced by what it meant: the group, any of several groups of that name, or a group that is still to come. It gives
everybody exactly what the version before it gave.
"""

import json
import unicodedata
from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

from bridge.store.functions import recreate_functions

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_READ = ("mapping_version", "organization_state", "group", "connection")


def upgrade() -> None:
    """Apply."""
    op.add_column("mapping_version", sa.Column("reason", sa.Text(), nullable=False, server_default="edited"))
    op.alter_column("mapping_version", "reason", server_default=None)
    op.add_column("mapping_version", sa.Column("restores", sa.BigInteger(), nullable=True))
    op.execute("DROP FUNCTION IF EXISTS lane_names_upwards")
    recreate_functions("memberships")
    # Whoever owns the tables sees every organization for as long as this transaction lasts.
    for table in _READ:
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
    _bind_rules(op.get_bind())
    for table in _READ:
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')


def _bind_rules(connection: sa.Connection) -> None:
    in_force = connection.exec_driver_sql(
        "SELECT s.org_id, v.version, v.document FROM organization_state s"
        " JOIN mapping_version v ON v.org_id = s.org_id AND v.version = s.mapping_version"
    ).all()
    for org_id, version, document in in_force:
        if not any("group" in rule for rule in document["rules"]):
            continue
        groups = _groups(connection, org_id)
        bound = {**document, "schema": 2, "rules": [_bound(rule, groups) for rule in document["rules"]]}
        connection.exec_driver_sql(
            "INSERT INTO mapping_version (org_id, version, document, at, actor, reason)"
            " VALUES (%s, %s, %s, now(), 'system', 'upgraded')",
            (org_id, version + 1, json.dumps(bound)),
        )
        # Previews that were made by names are stale.
        connection.exec_driver_sql(
            "UPDATE organization_state SET mapping_version = %s, seat_version = seat_version + 1 WHERE org_id = %s",
            (version + 1, org_id),
        )


def _groups(connection: sa.Connection, org_id: object) -> dict[str, list[dict[str, str]]]:
    """Return the groups of an organization by the names that rules compared, as conditions."""
    rows = connection.exec_driver_sql(
        'SELECT g.id, g.display_name, c.name FROM "group" g'
        " JOIN connection c ON c.org_id = g.org_id AND c.id = g.connection_id"
        " WHERE g.org_id = %s ORDER BY g.position",
        (org_id,),
    ).all()
    found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for group_id, name, connection_name in rows:
        found[_key(name)].append({"group": name, "group_id": str(group_id), "connection": connection_name})
    return found


def _bound(rule: dict[str, Any], groups: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
    if "group" not in rule:
        return rule
    key = _key(rule["group"])
    rest = {name: value for name, value in rule.items() if name not in {"group", "key"}}
    named = groups.get(key, [])
    if not named:
        own_key = {"key": rule["key"]} if "key" in rule else {}
        return {**own_key, "group": rule["group"], "expected": True, **rest}
    # Decisions of the past name rules by their keys: those stay.
    own_key = {"key": rule.get("key", f"group:{key}")}
    if len(named) == 1:
        return {**(own_key if "key" in rule else {}), **named[0], **rest}
    return {**own_key, "when": {"any": named}, **rest}


def _key(name: str) -> str:
    """Fold a name as rules compared them."""
    return unicodedata.normalize("NFC", name).strip().casefold()
