"""``seatbridge mappings ...``: the rules in force, their versions, and files that may become the next."""

from pathlib import Path

import click

from bridge.cli.documents import load_document
from bridge.cli.lazy import UNUSABLE
from bridge.cli.mapping_changes import apply, file_argument, preview, rollback
from bridge.cli.mapping_drafts import draft
from bridge.cli.showing import json_option, org_argument, print_json, print_table, print_yaml


@click.group()
def mappings() -> None:
    """Group mappings: show, export, diff, preview, apply, roll back."""


@mappings.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show the rules in force, first to last, and how many people each decides for."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.read_mappings import read_mappings
    from mappings.differences import gives

    with open_organization(org) as (_, unit):
        view = read_mappings(unit)
    if as_json:
        print_json(
            {
                "version": view.mapping_set.version,
                "applied_at": view.applied_at,
                "applied_by": view.applied_by,
                "document": view.document,
                "decides_for": {rule.rule.key: rule.decides_for for rule in view.rules},
                "decided_by_none": view.decided_by_none,
                "placed_by_hand": view.pinned,
            }
        )
        return
    if view.mapping_set.version:
        click.echo(f"Version {view.mapping_set.version}, by {view.applied_by}")
    print_table(
        ("rule", "who", "priority", "gives", "decides for"),
        [
            (
                rule.number,
                f"{rule.rule.about}{' (expected, not pushed yet)' if rule.rule.expects else ''}",
                rule.rule.priority,
                gives(rule.rule, view.ladder),
                rule.decides_for,
            )
            for rule in view.rules
        ],
        empty="No rules: everybody gets what the default says",
    )
    default = view.mapping_set.default
    words = "the highest tier with a free seat" if default == "highest_available" else view.ladder.name_of(default)
    click.echo(f"Everyone else: {words} ({view.decided_by_none}); placed by hand: {view.pinned}")
    for assertion in view.mapping_set.assertions:
        click.echo(f"Asserted: {assertion.told(view.ladder)}")


@mappings.command()
@org_argument
@click.option("--version", type=click.IntRange(min=1), help="An older version, as it was written.")
@json_option
def export(org: str, version: int | None, *, as_json: bool) -> None:
    """Print the rules in force, as YAML that apply takes; applied and exported again, it is the same text."""
    from bridge.cli.opening import open_organization
    from bridge.store.pools import ladder_of, read_pools
    from bridge.usecases.mapping_versions import read_version
    from bridge.usecases.read_mappings import read_mappings
    from mappings.documents import to_document

    with open_organization(org) as (_, unit):
        if version is None:
            document = read_mappings(unit).document
        else:
            document = to_document(read_version(unit, version, ladder_of(read_pools(unit))))
    if as_json:
        print_json(document)
    else:
        print_yaml(document)


@mappings.command()
@org_argument
@file_argument
@json_option
@click.pass_context
def diff(context: click.Context, org: str, file: Path, *, as_json: bool) -> None:
    """Say what differs from the rules in force: ends with 0 without a difference, with 2 with one, with 1 on error."""
    from bridge.cli.opening import open_organization
    from bridge.store.directory import mapping_set_in_force
    from bridge.store.pools import ladder_of, read_pools
    from bridge.usecases.preview_mappings import read_document
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
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many versions.")
@json_option
def history(org: str, limit: int, *, as_json: bool) -> None:
    """List the versions of the rules, newest first: who, when, why, and what changed."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.mapping_versions import list_versions

    with open_organization(org) as (_, unit):
        versions = list_versions(unit, limit)
    if as_json:
        print_json(versions)
        return
    print_table(
        ("version", "since", "by", "why", "what changed"),
        [
            (
                one.version,
                one.at,
                one.by,
                _WHY[one.reason] if one.restores is None else f"version {one.restores} again",
                "; ".join(one.changes) or "nothing that decides about a seat",
            )
            for one in versions
        ],
        empty="No rules were applied yet",
    )


_WHY = {
    "edited": "edited",
    "rolled_back": "rolled back",
    "group_arrived": "an expected group came",
    "group_removed": "a group was removed",
    "upgraded": "upgrade: names became groups",
}

for _command in (preview, apply, rollback, draft):
    mappings.add_command(_command)
