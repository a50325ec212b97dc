"""People from a CSV file, previewed first; attributes that an organization declares."""

import uuid
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from bridge.domain.identifiers import ConnectionId
from bridge.domain.people_files import read_people
from bridge.domain.scopes import Scope
from bridge.usecases.connections import find_connection
from bridge.usecases.extension_schemas import (
    apply_schema,
    count_holders,
    find_schema,
    list_schemas,
    remove_schema,
)
from bridge.usecases.import_people import ImportReport, import_people, preview_import
from bridge.web.api.calls import Call
from bridge.web.api.operations import Resource
from bridge.web.api.plain import plain
from bridge.web.api.shapes import Answer, Body, Document, Page, Query

imports = Resource("Imports", "People from a CSV file, in one step or not at all.", "/imports")
schemas = Resource("Schemas", "Attributes that the organization declares.", "/schemas")


class ImportBody(Body):
    """A CSV file as text; its first row names the columns."""

    model_config = ConfigDict(str_max_length=1_000_000)

    csv: Annotated[str, Field(min_length=1)]
    connection_id: Annotated[uuid.UUID | None, Field(description="As this provider's directory; without, by hand.")] = (
        None
    )


class ImportConfirmed(ImportBody):
    """The same, with the fingerprint that the preview answered."""

    expect: str
    skip_bad_rows: bool = False


class ProblemOfRow(Answer):
    """What is wrong with a file at one place; row 0 is the file as a whole."""

    row: int
    column: str | None
    message: str


class ImportShape(Answer):
    """What a file does, or did. Nothing is applied where rows have problems, unless they are left out."""

    applied: bool
    fingerprint: str
    connection: str | None
    rows: int
    unchanged: int
    added: list[Document]
    changed: list[Document]
    groups_created: list[str]
    tiers: list[Document]
    problems: list[ProblemOfRow]
    missing: dict[str, int]
    bought: int


class SchemaShape(Answer):
    """A declared schema (RFC 7643 §7), and how many people have values of it."""

    id: str
    declaration: Document
    holders: int


class SchemasPage(Page):
    """Declared schemas."""

    items: list[SchemaShape]


class SchemaBody(Body):
    """A Schema of RFC 7643 §7, and the resource type it extends."""

    declaration: Document
    delete_values: Annotated[bool, Field(description="Delete stored values that would not fit any more.")] = False


class SchemaApplied(Answer):
    """What a declaration changed."""

    id: str
    changes: list[str]


class DeleteValues(Query):
    """What becomes of stored values."""

    delete_values: bool = False


@imports.preview("/previews", scope=Scope.PEOPLE_WRITE, answer=ImportShape)
def preview_people_import(call: Call, body: ImportBody) -> object:
    """Show what a file would do to everybody and every seat; nothing of it stays."""
    return _shown(preview_import(call.unit, read_people(body.csv.encode()), _connection(call, body)))


@imports.post(scope=Scope.PEOPLE_WRITE, answer=ImportShape)
def import_people_file(call: Call, body: ImportConfirmed) -> object:
    """Take the people of a file in, exactly as the preview with this fingerprint showed."""
    report = import_people(
        call.unit,
        read_people(body.csv.encode()),
        _connection(call, body),
        skip_bad_rows=body.skip_bad_rows,
        expect=body.expect,
    )
    return _shown(report)


@schemas.get(scope=Scope.CONNECTIONS_READ, answer=SchemasPage)
def list_declared_schemas(call: Call) -> object:
    """List the schemas that the organization declared."""
    return {
        "items": [
            {"id": one.urn, "declaration": one.declaration(), "holders": count_holders(call.unit, one)}
            for one in list_schemas(call.unit)
        ]
    }


@schemas.get("/<urn>", scope=Scope.CONNECTIONS_READ, answer=SchemaShape)
def get_declared_schema(call: Call, urn: str) -> object:
    """Read one declared schema."""
    found = find_schema(call.unit, urn)
    return {"id": found.urn, "declaration": found.declaration(), "holders": count_holders(call.unit, found)}


@schemas.put(scope=Scope.CONNECTIONS_WRITE, answer=SchemaApplied)
def declare_schema(call: Call, body: SchemaBody) -> object:
    """Declare a schema, or change one; what is stored must still fit."""
    applied = apply_schema(call.unit, body.declaration, delete_values=body.delete_values)
    return {"id": applied.schema.urn, "changes": [change.sentence for change in applied.changes]}


@schemas.delete("/<urn>", scope=Scope.CONNECTIONS_WRITE, reads=get_declared_schema)
def remove_declared_schema(call: Call, urn: str, query: DeleteValues) -> None:
    """Take a schema back."""
    remove_schema(call.unit, urn, delete_values=query.delete_values)


def _connection(call: Call, body: ImportBody) -> ConnectionId | None:
    return None if body.connection_id is None else find_connection(call.unit, str(body.connection_id)).id


def _shown(report: ImportReport) -> dict[str, Any]:
    effect = report.effect
    return {
        **{name: getattr(report, name) for name in ("applied", "fingerprint", "connection", "rows", "missing")},
        "unchanged": effect.unchanged,
        "added": [plain(one) for one in effect.added],
        "changed": [plain(one) for one in effect.changed],
        "groups_created": effect.groups_created,
        "tiers": [plain(one) for one in report.tiers],
        "problems": report.problems,
        "bought": sum(use.seats for use in report.budget_uses),
    }
