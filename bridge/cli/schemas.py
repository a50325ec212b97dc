"""``seatbridge schema ...``."""

import sys
from pathlib import Path
from typing import Any

import click

from bridge.cli.documents import load_document
from bridge.cli.lazy import UNUSABLE
from bridge.cli.showing import json_option, org_argument, print_json, print_table, refuse_to_ask

_file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
_delete_option = click.option(
    "--delete-values", is_flag=True, help="Delete stored values that would not fit any more, instead of refusing."
)


@click.group()
def schema() -> None:
    """Extension schemas of an organization: attributes of its own for people and groups."""


@schema.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List the schemas an organization declared, and how many people or groups have values of each."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.extension_schemas import count_holders, list_schemas

    with open_organization(org) as (_, unit):
        rows = [
            {
                "id": found.urn,
                "name": found.name,
                "resource_type": found.resource_type,
                "attributes": found.size,
                "holders": count_holders(unit, found),
            }
            for found in list_schemas(unit)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("schema", "name", "extends", "attributes", "with values"),
            [tuple(row.values()) for row in rows],
            empty="No schema of its own yet: `seatbridge schema apply`",
        )


@schema.command()
@org_argument
@click.argument("urn")
@json_option
def show(org: str, urn: str, *, as_json: bool) -> None:
    """Print one schema, as YAML that apply takes."""
    import yaml

    from bridge.cli.opening import open_organization
    from bridge.usecases.extension_schemas import find_schema

    with open_organization(org) as (_, unit):
        document = find_schema(unit, urn).declaration()
    if as_json:
        print_json(document)
    else:
        yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)


@schema.command()
@org_argument
@_file_argument
@click.option("--dry-run", is_flag=True, help="Show what would change, apply nothing; ends with 2 when it would.")
@_delete_option
@json_option
@click.pass_context
def apply(context: click.Context, org: str, file: Path, *, dry_run: bool, delete_values: bool, as_json: bool) -> None:
    """Declare the extension of a file (YAML or JSON: a Schema of RFC 7643 §7 and its resourceType), or change it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.extension_schemas import apply_schema

    document = load_document(file)
    with open_organization(org) as (_, unit):
        applied = apply_schema(unit, document, delete_values=delete_values)
        if dry_run:
            unit.session.rollback()
    facts: dict[str, Any] = {"id": applied.schema.urn, "changes": [change.sentence for change in applied.changes]}
    if as_json:
        print_json(facts)
    else:
        click.echo("\n".join(facts["changes"]) or "This schema is in force already")
    if dry_run and applied.changes:
        context.exit(UNUSABLE)


@schema.command()
@org_argument
@click.argument("urn")
@_delete_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(org: str, urn: str, *, delete_values: bool, yes: bool, as_json: bool) -> None:
    """Take a schema away; refused while somebody has a value of it."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.extension_schemas import count_holders, find_schema, remove_schema

    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            found = find_schema(unit, urn)
            holders = count_holders(unit, found)
        if delete_values and holders and not yes:
            one, many = ("group", "groups") if found.resource_type == "Group" else ("person", "people")
            told = f"{holders} {one if holders == 1 else many}"
            refuse_to_ask(as_json=as_json)
            click.confirm(f"Delete its values of {told}? They cannot be had back", abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            removed = remove_schema(unit, urn, delete_values=delete_values)
    if as_json:
        print_json({"removed": removed.urn})
    else:
        click.echo(f"Removed {removed.urn}")
