"""``seatbridge mappings ...``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.documents import load_document
from bridge.cli.lazy import UNUSABLE
from bridge.cli.showing import json_option, org_argument, print_json

if TYPE_CHECKING:
    from bridge.usecases.edit_mappings import MappingsPreview

file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))


@click.group()
def mappings() -> None:
    """Group mappings as a file: export, diff, apply."""


@mappings.command()
@org_argument
@json_option
def export(org: str, *, as_json: bool) -> None:
    """Print the rules in force, as YAML that apply takes."""
    import yaml

    from bridge.cli.opening import open_organization
    from bridge.usecases.read_mappings import read_mappings

    with open_organization(org) as (_, unit):
        document = read_mappings(unit).document
    if as_json:
        print_json(document)
    else:
        yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)


@mappings.command()
@org_argument
@file_argument
@json_option
@click.pass_context
def diff(context: click.Context, org: str, file: Path, *, as_json: bool) -> None:
    """Say what differs from the rules in force; ends with 2 when something does."""
    from bridge.cli.opening import open_organization
    from bridge.store.directory import mapping_set_in_force
    from bridge.store.pools import ladder_of, read_pools
    from bridge.usecases.edit_mappings import read_document
    from mappings.differences import difference

    document = load_document(file)
    with open_organization(org) as (_, unit):
        ladder = ladder_of(read_pools(unit))
        changes = difference(mapping_set_in_force(unit, ladder), read_document(unit, document, ladder), ladder)
    if as_json:
        print_json([{"kind": change.kind, "sentence": change.sentence} for change in changes])
    else:
        click.echo("\n".join(change.sentence for change in changes) or "No difference")
    context.exit(UNUSABLE if changes else 0)


@mappings.command()
@org_argument
@file_argument
@click.option("--dry-run", is_flag=True, help="Show who would move, apply nothing; ends with 2 when it would change.")
@click.option("--yes", is_flag=True, help="Apply without being asked.")
@click.option("--buy", is_flag=True, help="Buy the seats that are missing, at the cost shown.")
@json_option
@click.pass_context
def apply(context: click.Context, org: str, file: Path, *, dry_run: bool, yes: bool, buy: bool, as_json: bool) -> None:
    """Put the rules of a file in force: first who moves and what it costs, then exactly that."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.store.directory import mapping_set_in_force
    from bridge.store.pools import ladder_of, read_pools
    from bridge.usecases.edit_mappings import apply_mappings, preview_mappings, read_document
    from mappings.differences import difference

    document = load_document(file)
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json asks nothing: add --yes to apply, or --dry-run to look")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            ladder = ladder_of(read_pools(unit))
            if not difference(mapping_set_in_force(unit, ladder), read_document(unit, document, ladder), ladder):
                click.echo("null" if as_json else "These rules are in force already")
                return
            preview = preview_mappings(unit, document)
        if not as_json:
            _show_preview(preview, buy=buy)
        elif dry_run:
            print_json(_preview_document(preview, buy=buy))
        if dry_run:
            context.exit(UNUSABLE)
        if not yes:
            click.confirm("Apply?", abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            applied = apply_mappings(unit, preview.id, acknowledged=True, buy=buy)
    if as_json:
        print_json(applied)
    else:
        changed = "1 seat" if applied.moved == 1 else f"{applied.moved} seats"
        click.echo(f"Version {applied.version} is in force; {changed} changed")


def _preview_document(preview: "MappingsPreview", *, buy: bool) -> dict[str, Any]:
    effect = preview.moves_if_bought if buy and preview.moves_if_bought is not None else preview.moves
    names = {str(member_id): name for member_id, name in preview.names.items()}
    return {
        "changes": [change.sentence for change in preview.changes],
        "moves": [
            {
                "member_id": move.member_id,
                "name": names.get(str(move.member_id)),
                "from": move.from_tier,
                "to": move.to_tier,
                "waiting_for": move.waiting_for,
            }
            for move in effect.moves
        ],
        "shortage": preview.shortage,
        "bill": preview.quote.bill if preview.quote else None,
    }


def _show_preview(preview: "MappingsPreview", *, buy: bool) -> None:
    from bridge.cli.seats import line_table

    for change in preview.changes:
        click.echo(change.sentence)
    effect = preview.moves_if_bought if buy and preview.moves_if_bought is not None else preview.moves
    names = {str(member_id): name for member_id, name in preview.names.items()}
    for move in effect.moves:
        before, after = preview.ladder.name_of(move.from_tier), preview.ladder.name_of(move.to_tier)
        click.echo(f"{names.get(str(move.member_id), move.member_id)}: {before} → {after}")
    if not effect.moves:
        click.echo("Nobody's seat changes")
    if preview.shortage:
        missing = ", ".join(f"{number} {preview.ladder.name_of(tier)}" for tier, number in preview.shortage.items())
        click.echo(f"Seats missing: {missing}" + ("" if buy else " (those people wait; --buy buys them)"))
    if buy and preview.quote is not None and preview.quote.bill is not None:
        line_table(preview.quote.bill.lines, preview.quote.currency)
