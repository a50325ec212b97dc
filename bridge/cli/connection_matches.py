"""``seatbridge connection match``: who a directory's people would be here, before it pushes them."""

from pathlib import Path

import click

from bridge.cli.showing import json_option, name_argument, org_argument, print_json, print_table


@click.command()
@org_argument
@name_argument
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def match(org: str, name: str, file: Path | None, *, as_json: bool) -> None:
    """Say who would be linked, created or refused if the people of FILE were pushed; nothing is changed.

    FILE is a CSV with a column userName (email and externalId count too). Without it: those whom the connection's
    client has looked for so far.
    """
    from bridge.cli.opening import open_organization
    from bridge.domain.people_files import read_people
    from bridge.usecases.connections import find_connection
    from bridge.usecases.preview_matches import listed_in_file, looked_up, preview_matches

    with open_organization(org) as (_, unit):
        found = find_connection(unit, name)
        listed = looked_up(unit, found.id) if file is None else listed_in_file(read_people(file.read_bytes()).people)
        preview = preview_matches(unit, found.id, listed)
    rows = [
        {
            "user_name": one.person.user_name,
            "verdict": one.verdict,
            "reason": one.reason,
            "member": None if one.member is None else one.member.id,
            "member_name": None if one.member is None else one.member.display_name,
            "stays_off": one.stays_off,
        }
        for one in preview.matches
    ]
    if as_json:
        print_json({"matches": rows, "unlisted": preview.unlisted})
        return
    print_table(
        ("in the directory", "would be", "here", "because"),
        [(row["user_name"], row["verdict"], row["member_name"], row["reason"]) for row in rows],
        empty="",
    )
    counts = ", ".join(f"{preview.count(verdict)} {verdict}" for verdict in ("linked", "created", "conflict"))
    click.echo(f"\n{counts}; {preview.unlisted} here are not listed, and stay as they are. Nothing was changed.")
