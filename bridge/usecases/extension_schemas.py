"""Extension schemas of an organization: declared, changed without harm to what is stored, taken away again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, JSONPATH

from bridge.domain.extension_schemas import ExtensionSchema, SchemaChange, changes_between, check_beside, read_schema
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.journal import record
from bridge.store.models import DeclaredSchema, Group, Member
from bridge.store.unit import Unit


@dataclass(frozen=True, slots=True)
class AppliedSchema:
    """What applying a declaration changed; nothing when it was in force already."""

    schema: ExtensionSchema
    changes: tuple[SchemaChange, ...]


def list_schemas(unit: Unit) -> Sequence[ExtensionSchema]:
    """Return the schemas the organization declared, by URN."""
    rows = unit.session.scalars(
        select(DeclaredSchema).where(DeclaredSchema.org_id == unit.org_id).order_by(DeclaredSchema.urn_key)
    )
    return [read_schema(row.document) for row in rows]


def find_schema(unit: Unit, urn: str) -> ExtensionSchema:
    """Return a schema by its URN (without case).

    Raises:
        NotFoundError: The organization declared none of this URN.
    """
    return read_schema(_row(unit, urn).document)


def apply_schema(unit: Unit, declaration: Any, *, delete_values: bool = False) -> AppliedSchema:
    """Declare an extension, or change one; what is stored must still fit.

    Args:
        unit: The unit.
        declaration: A Schema of RFC 7643 §7, and the ``resourceType`` it extends.
        delete_values: Delete stored values that would not fit any more, instead of refusing.

    Raises:
        ForbiddenError: The actor may not change connections.
        InvalidInputError: The declaration is not possible, or stored values stand in its way.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    schema = read_schema(declaration)
    state = unit.lock()
    row = unit.session.get(DeclaredSchema, (unit.org_id, schema.urn.casefold()))
    old = None if row is None else read_schema(row.document)
    if old is None:
        check_beside(schema, list_schemas(unit))
    changes = changes_between(old, schema)
    if not changes:
        return AppliedSchema(schema, ())
    if old is not None:
        _clear(unit, old, [change.endangers for change in changes if change.endangers is not None], delete_values)
    if row is None:
        row = DeclaredSchema(org_id=unit.org_id, urn_key=schema.urn.casefold(), created_at=unit.at)
        unit.session.add(row)
    row.resource_type, row.document, row.modified_at = schema.resource_type, schema.declaration(), unit.at
    state.schema_version += 1
    unit.session.flush()
    body = {"changes": [change.sentence for change in changes]}
    _record(unit, "schema.declared" if old is None else "schema.changed", schema, body)
    return AppliedSchema(schema, tuple(changes))


def remove_schema(unit: Unit, urn: str, *, delete_values: bool = False) -> ExtensionSchema:
    """Take a schema away.

    Args:
        unit: The unit.
        urn: Which.
        delete_values: Delete the values that people and groups have of it, instead of refusing.

    Raises:
        ForbiddenError: The actor may not change connections.
        InvalidInputError: Somebody has a value of it.
        NotFoundError: There is no such schema.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    state = unit.lock()
    row = _row(unit, urn)
    schema = read_schema(row.document)
    _clear(unit, schema, [()], delete_values)
    unit.session.delete(row)
    state.schema_version += 1
    unit.session.flush()
    _record(unit, "schema.removed", schema, {})
    return schema


def count_holders(unit: Unit, schema: ExtensionSchema, path: tuple[str, ...] = ()) -> int:
    """Count the people, or groups, that have a value of a schema, or of one attribute (and part) of it."""
    entity = _entity(schema)
    holding = _holds(entity, schema, path)
    return (
        unit.session.scalar(select(func.count()).select_from(entity).where(entity.org_id == unit.org_id, holding)) or 0
    )


def _row(unit: Unit, urn: str) -> DeclaredSchema:
    row = unit.session.get(DeclaredSchema, (unit.org_id, urn.casefold()))
    if row is None:
        raise NotFoundError("extension schema", urn)
    return row


def _clear(unit: Unit, schema: ExtensionSchema, paths: Sequence[tuple[str, ...]], delete_values: bool) -> None:  # noqa: FBT001 (private)
    """Delete the values at paths, or refuse if there are any."""
    for path in paths:
        holders = count_holders(unit, schema, path)
        if not holders:
            continue
        if not delete_values:
            noun = "person has" if holders == 1 else "people have"
            if schema.resource_type == "Group":
                noun = "group has" if holders == 1 else "groups have"
            what = ".".join(path) or schema.urn
            raise InvalidInputError(
                what,
                f"{holders} {noun} a value of it: empty it in the directory first, or delete them here "
                "(--delete-values)",
            )
        _delete_values(unit, schema, path)


def _delete_values(unit: Unit, schema: ExtensionSchema, path: tuple[str, ...]) -> None:
    """Delete the values of an attribute (with all its parts), in one statement; versions move."""
    entity = _entity(schema)

    def without(column: Any) -> ColumnElement[Any]:
        whole = cast(column.op("-")(schema.urn), JSONB)
        if not path:
            return whole
        rest = cast(column.op("#-")(cast([schema.urn, path[0]], ARRAY(Text))), JSONB)
        return case((rest[schema.urn] == cast(literal("{}", Text), JSONB), whole), else_=rest)

    unit.session.execute(
        update(entity)
        .where(entity.org_id == unit.org_id, _holds(entity, schema, path))
        .values(
            document=without(entity.document),
            comparison=without(entity.comparison),
            version=entity.version + 1,
            modified_at=unit.at,
        )
        .execution_options(synchronize_session=False)
    )
    unit.session.expire_all()


def _holds(entity: type[Member] | type[Group], schema: ExtensionSchema, path: tuple[str, ...]) -> ColumnElement[bool]:
    names = ".".join(json.dumps(name) for name in (schema.urn, *path))
    return func.jsonb_path_exists(entity.document, cast(literal(f"$.{names}"), JSONPATH))


def _entity(schema: ExtensionSchema) -> type[Member] | type[Group]:
    return Member if schema.resource_type == "User" else Group


def _record(unit: Unit, action: str, schema: ExtensionSchema, body: dict[str, Any]) -> None:
    facts = {"resource_type": schema.resource_type, **body}
    record(unit, action, subject_kind="schema", subject_id=schema.urn, reason="requested", body=facts)
