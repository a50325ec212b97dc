"""``seatbridge mappings draft ...``: rules that are worked on and decide about nobody."""

from pathlib import Path

import click

from bridge.cli.documents import load_document
from bridge.cli.mapping_changes import file_argument, show_preview
from bridge.cli.showing import json_option, name_argument, org_argument, print_json, print_table, print_yaml


@click.group()
def draft() -> None:
    """Named drafts that several people see and change: save, list, show, preview, submit, discard."""


@draft.command()
@org_argument
@name_argument
@file_argument
@click.option("--expect", type=click.IntRange(min=0), help="The version of the draft you saw; 0 for a new one.")
@json_option
def save(org: str, name: str, file: Path, *, expect: int | None, as_json: bool) -> None:
    """Make a draft of a file, or change the one of this name."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.mapping_drafts import save_draft

    document = load_document(file)
    with open_organization(org) as (_, unit):
        saved = save_draft(unit, name, document, expected=expect)
    if as_json:
        print_json(saved)
        return
    click.echo(f"Draft {saved.name!r}, version {saved.version}; against the rules in force:")
    click.echo("\n".join(saved.changes) or "No difference")


@draft.command("list")
@org_argument
@json_option
def list_command(org: str, *, as_json: bool) -> None:
    """List the drafts."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.mapping_drafts import list_drafts

    with open_organization(org) as (_, unit):
        drafts = list_drafts(unit)
    if as_json:
        print_json(drafts)
        return
    print_table(
        ("name", "version", "changed", "by", "differences", "made on version"),
        [
            (
                one.name,
                one.version,
                one.modified_at,
                one.modified_by,
                len(one.changes),
                f"{one.based_on}{', overtaken' if one.overtaken else ''}",
            )
            for one in drafts
        ],
        empty="There is no draft",
    )


@draft.command()
@org_argument
@name_argument
@json_option
def show(org: str, name: str, *, as_json: bool) -> None:
    """Print a draft as YAML, to be changed and saved again."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.mapping_drafts import read_draft

    with open_organization(org) as (_, unit):
        shown = read_draft(unit, name)
    if as_json:
        print_json(shown)
    else:
        print_yaml(dict(shown.document))


@draft.command()
@org_argument
@name_argument
@click.option("--buy", is_flag=True, help="Show what happens when the missing seats are bought.")
@json_option
def preview(org: str, name: str, *, buy: bool, as_json: bool) -> None:
    """Show what a draft would do now; `mappings apply` puts it in force (show it into a file, or into apply's `-`)."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.mapping_documents import preview_document
    from bridge.usecases.mapping_drafts import preview_draft

    with open_organization(org) as (_, unit):
        shown = preview_draft(unit, name)
    if as_json:
        print_json(preview_document(shown, buy=buy))
    else:
        show_preview(shown, buy=buy)


@draft.command()
@org_argument
@name_argument
@click.option("--note", default="", help="What to say to the owners.")
@json_option
def submit(org: str, name: str, *, note: str, as_json: bool) -> None:
    """Ask the owners to put a draft in force and to buy the seats that are missing then."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.ask_owners import submit_draft

    with open_organization(org) as (_, unit):
        asked = submit_draft(unit, name, note=note)
    if as_json:
        print_json(asked)
    else:
        click.echo(f"Sent to the owners: {asked.summary} ({asked.id})")


@draft.command()
@org_argument
@name_argument
@json_option
def discard(org: str, name: str, *, as_json: bool) -> None:
    """Remove a draft."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.mapping_drafts import discard_draft

    with open_organization(org) as (_, unit):
        discard_draft(unit, name)
    if as_json:
        print_json({"discarded": name})
    else:
        click.echo(f"Discarded {name!r}")
