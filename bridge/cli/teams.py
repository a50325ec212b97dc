"""``seatbridge team ...`` and ``seatbridge licences ...``."""

from typing import TYPE_CHECKING

import click

from bridge.cli.files import export_tables, table_options
from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.store.models import Team
    from bridge.usecases.licences import LicencesNow

team_argument = click.argument("team")
person_argument = click.argument("person")


@click.group()
def team() -> None:
    """Teams of a workspace that is billed by team or by person: create, archive, join, list."""


@team.command()
@org_argument
@team_argument
@json_option
def create(org: str, team: str, *, as_json: bool) -> None:
    """Make a team; it counts for this month already."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.workspace_teams import create_team

    with open_organization(org) as (_, unit):
        made = create_team(unit, team)
        _tell(made, "Made", as_json=as_json)


@team.command()
@org_argument
@team_argument
@json_option
def archive(org: str, team: str, *, as_json: bool) -> None:
    """Archive a team: from next month on it counts no more, nor do its people for its sake."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.workspace_teams import archive_team

    with open_organization(org) as (_, unit):
        _tell(archive_team(unit, team), "Archived", as_json=as_json)


@team.command()
@org_argument
@team_argument
@json_option
def unarchive(org: str, team: str, *, as_json: bool) -> None:
    """Take a team out of the archive; it counts for this month again."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.workspace_teams import unarchive_team

    with open_organization(org) as (_, unit):
        _tell(unarchive_team(unit, team), "No longer archived", as_json=as_json)


@team.command()
@org_argument
@person_argument
@click.argument("teams", nargs=-1, required=True, metavar="TEAM...")
@json_option
def join(org: str, person: str, teams: tuple[str, ...], *, as_json: bool) -> None:
    """Put PERSON (userName, mail address or id) into teams."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.workspace_teams import join_teams

    with open_organization(org) as (_, unit):
        member = find_person(unit, person)
        joined = [one.name for one in join_teams(unit, member.id, teams)]
        user_name = member.user_name
    if as_json:
        print_json({"user_name": user_name, "joined": joined})
    else:
        print_facts({"person": user_name, "joined": ", ".join(joined) or "none: in each of them already"})


@team.command()
@org_argument
@person_argument
@team_argument
@json_option
def leave(org: str, person: str, team: str, *, as_json: bool) -> None:
    """Take PERSON (userName, mail address or id) out of a team; they stay in the workspace."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.workspace_teams import leave_team

    with open_organization(org) as (_, unit):
        member = find_person(unit, person)
        left, user_name = leave_team(unit, member.id, team), member.user_name
    if as_json:
        print_json({"user_name": user_name, "left": [team] if left else []})
    else:
        print_facts({"person": user_name, "left": team if left else "nothing: was not in it"})


@team.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List the teams with how many people are in each."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.workspace_teams import list_teams

    with open_organization(org) as (_, unit):
        views = list_teams(unit)
    if as_json:
        print_json(views)
        return
    print_table(
        ("team", "people", "created", "archived"),
        [(view.name, view.members, view.created_at, view.archived_at) for view in views],
        empty="No team yet: `seatbridge team create --help`",
    )


@click.group()
def licences() -> None:
    """Licences by team or by person: show, export."""


@licences.command("show")
@org_argument
@click.option("--month", metavar="YYYY-MM", help="List who held a licence in a month that was billed.")
@json_option
def show_licences(org: str, month: str | None, *, as_json: bool) -> None:
    """Count members and licence holders now, or list the holders of a billed month."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.licences import list_holders, read_licences

    with open_organization(org) as (_, unit):
        if month is None:
            now = read_licences(unit)
            if as_json:
                print_json(now)
            else:
                print_facts(licence_facts(now))
            return
        holders = list_holders(unit, month)
    if as_json:
        print_json(holders)
    else:
        print_table(
            ("name", "display name", "licence", "invoice", "id"),
            [(one.name, one.display_name, one.kind, one.invoice, one.id) for one in holders],
            empty=f"Nobody held a licence in {month}: nothing was billed",
        )


@licences.command("export")
@org_argument
@click.option("--month", metavar="YYYY-MM", help="A month that was billed; every one by default.")
@table_options
@json_option
def export_licences(org: str, month: str | None, form: str, output: "Path | None", *, as_json: bool) -> None:
    """Write the licence holders of billed months as a file that is safe to open in a spreadsheet."""
    from bridge.usecases.licences import holders_table

    name = f"licence-holders-{org}" + (f"-{month}" if month else "")
    export_tables(
        org,
        lambda unit: [holders_table(unit, month)],
        what="licence_holders",
        name=name,
        form=form,
        output=output,
        as_json=as_json,
    )


def licence_facts(now: "LicencesNow") -> dict[str, object]:
    """Return what people read of the licences in use."""
    is_active = now.status == "active"
    return {
        "plan": now.status,
        "month" if is_active else "last month": now.month,
        "members": now.members,
        "teams": f"{now.active_teams}, and {now.archived_teams} archived",
        "licence holders now": f"{now.licensed} ({'teams' if now.kind == 'team_licence' else 'people'})",
        "counted this month": now.counted if is_active else None,
    }


def _tell(team: "Team", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": team.id, "name": team.name, "archived_at": team.archived_at})
    else:
        print_facts({what: team.name, "id": team.id})
