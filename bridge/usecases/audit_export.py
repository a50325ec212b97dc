"""The audit chain as a table, for whoever keeps it elsewhere: an auditor, a security monitor."""

from collections.abc import Iterator
from typing import Final

import orjson

from bridge.domain.roles import Permission
from bridge.domain.tables import Cell, Table
from bridge.store.journal import read_entries
from bridge.store.unit import Unit

#: Columns keep their names and their order; new ones come at the end.
COLUMNS: Final = (
    "entry",
    "at",
    "actor",
    "action",
    "subject_kind",
    "subject_id",
    "reason",
    "request_id",
    "body",
    "digest",
)


def export_audit(unit: Unit) -> Table:
    """Return every entry of the chain in its order, read piece by piece: identifiers, never names.

    Raises:
        ForbiddenError: The actor may not review access.
    """
    unit.require(Permission.REVIEW_ACCESS)
    return Table("audit", COLUMNS, _rows(unit))


def _rows(unit: Unit) -> Iterator[tuple[Cell, ...]]:
    for entry in read_entries(unit):
        yield (
            entry.seq,
            entry.at,
            entry.actor,
            entry.action,
            entry.subject_kind,
            entry.subject_id,
            entry.reason,
            entry.request_id,
            orjson.dumps(entry.body, option=orjson.OPT_SORT_KEYS).decode(),
            entry.digest.hex(),
        )
