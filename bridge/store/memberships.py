"""Letting many people into a group by one statement, whatever the group's size."""

import uuid
from collections.abc import Collection

from bridge.domain.identifiers import MemberId
from bridge.store.models import Group
from bridge.store.unit import Unit

# The ids travel once, in the binary form; who is in the group already costs one look into its index.
_LET_IN = """
WITH asked AS (
    SELECT id FROM unnest(%(ids)b::uuid[]) AS each (id)
), known AS (
    SELECT m.id FROM asked JOIN member m ON m.org_id = %(org_id)s AND m.id = asked.id
    WHERE m.connection_id = %(connection_id)s
), added AS (
    INSERT INTO group_member (org_id, group_id, member_id, added_at)
    SELECT %(org_id)s, %(group_id)s, known.id, %(at)s FROM known
    WHERE NOT EXISTS (
        SELECT 1 FROM group_member w
        WHERE w.org_id = %(org_id)s AND w.group_id = %(group_id)s AND w.member_id = known.id
    )
    ON CONFLICT DO NOTHING
    RETURNING member_id
)
SELECT member_id, true FROM added
UNION ALL
SELECT asked.id, false FROM asked WHERE NOT EXISTS (SELECT 1 FROM known WHERE known.id = asked.id)
"""


def let_in(unit: Unit, group: Group, ids: Collection[uuid.UUID]) -> tuple[list[MemberId], set[uuid.UUID]]:
    """Add people of a group's own directory to it.

    Returns:
        Who was not in it, in order of their ids, and which ids are nobody of the directory.
    """
    added: list[MemberId] = []
    unknown: set[uuid.UUID] = set()
    if not ids:
        return added, unknown
    found = unit.session.connection().exec_driver_sql(
        _LET_IN,
        {
            "ids": list(ids),
            "org_id": unit.org_id,
            "group_id": group.id,
            "connection_id": group.connection_id,
            "at": unit.at,
        },
    )
    for identifier, is_new in found:
        if is_new:
            added.append(MemberId(identifier))
        else:
            unknown.add(identifier)
    added.sort()
    return added, unknown
