"""``seatbridge sessions ...``."""

import uuid

import click

from bridge.cli.showing import harmless_line, json_option, org_argument, print_json, print_table

_person_option = click.option("--person", metavar="PERSON", help="Of this person: userName, mail address or id.")


@click.group()
def sessions() -> None:
    """Who is signed in, in which browser: list, end."""


@sessions.command("list")
@org_argument
@_person_option
@json_option
def list_(org: str, *, person: str | None, as_json: bool) -> None:
    """List the sessions that still open doors, newest first."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.sessions import list_sessions

    with open_organization(org) as (runtime, unit):
        found = list_sessions(
            unit,
            idle_seconds=runtime.settings.session.idle_seconds,
            member_id=None if person is None else find_person(unit, person).id,
        )
    if as_json:
        print_json(found)
        return
    print_table(
        ("session", "person", "browser", "by", "since", "last used", "ends at the latest"),
        [
            (
                one.id,
                one.user_name,
                one.device or "unknown",
                one.method,
                one.created_at,
                one.last_seen_at,
                one.expires_at,
            )
            for one in found
        ],
        empty="Nobody is signed in" if person is None else "Not signed in",
    )


@sessions.command()
@org_argument
@click.argument("session", required=False, type=click.UUID)
@_person_option
@json_option
def end(org: str, session: uuid.UUID | None, *, person: str | None, as_json: bool) -> None:
    """End SESSION (an id of `sessions list`), or with --person every session and sign-in link of a person."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.sessions import end_session, end_sessions_of

    if (session is None) == (person is None):
        raise click.UsageError("Name a session or a --person, one of them")
    with open_organization(org) as (_, unit):
        if session is not None:
            end_session(unit, session)
            ended = 1
        else:
            ended = end_sessions_of(unit, find_person(unit, person or "").id)
    if as_json:
        print_json({"ended": ended})
    elif session is not None:
        click.echo("Ended: whoever had it signs in again.")
    else:
        click.echo(harmless_line(f"{person} is signed out everywhere; sessions ended: {ended}"))
