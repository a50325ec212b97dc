"""``seatbridge connection link``, ``unlink``, ``readmit``, ``disable`` and ``enable``: whom a connection lets in."""

import click

from bridge.cli.showing import json_option, name_argument, org_argument, print_json, print_table

_SUBJECT = "The subject at the identity provider, byte for byte: the NameID (SAML), the sub (OpenID Connect)."


@click.command()
@org_argument
@name_argument
@click.argument("email")
@click.option("--name-id", "--sub", "subject", required=True, help=_SUBJECT)
@json_option
def link(org: str, name: str, email: str, *, subject: str, as_json: bool) -> None:
    """Say who a subject of the identity provider is: how an owner comes to sign in by it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.link_people import link_identity
    from bridge.usecases.people import find_person

    with open_organization(org) as (_, unit):
        member = find_person(unit, email)
        link_identity(unit, find_connection(unit, name).id, member.id, subject=subject)
    if as_json:
        print_json({"person": member.user_name, "subject": subject})
    else:
        click.echo(f"{member.display_name} signs in as {subject}")


@click.command()
@org_argument
@name_argument
@click.argument("email")
@click.option("--name-id", "--sub", "subject", help=f"Only this one. {_SUBJECT}")
@json_option
def unlink(org: str, name: str, email: str, *, subject: str | None, as_json: bool) -> None:
    """Take back who a subject is: it signs in as the person no more, and the person's sessions end.

    Without --name-id or --sub, everything that the connection knows the person by. A person whom the directory pushes
    is recognised again at the next sign-in.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.link_people import unlink_identity
    from bridge.usecases.people import find_person

    with open_organization(org) as (_, unit):
        member = find_person(unit, email)
        subjects = unlink_identity(unit, find_connection(unit, name).id, member.id, subject=subject)
    if as_json:
        print_json({"person": member.user_name, "subjects": subjects})
    else:
        click.echo(f"{member.display_name} signs in no more as {', '.join(subjects)}")


@click.command()
@org_argument
@name_argument
@click.argument("person", metavar="USERNAME")
@json_option
def readmit(org: str, name: str, person: str, *, as_json: bool) -> None:
    """Let somebody come back by a sign-in whom the directory has removed.

    Named by the userName, externalId or subject they had: nothing else is kept of them, and that only as a hash.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.removed_people import readmit as allow

    with open_organization(org) as (_, unit):
        number = allow(unit, find_connection(unit, name).id, person)
    if as_json:
        print_json({"person": person, "readmitted": number})
    else:
        click.echo(f"{person} may come back by a sign-in")


@click.command()
@org_argument
@name_argument
@click.option("--preview", "only_preview", is_flag=True, help="Show who could not sign in any more and stop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def disable(org: str, name: str, *, only_preview: bool, yes: bool, as_json: bool) -> None:
    """Turn a connection off: nobody signs in by it, its tokens push nothing, and the sessions it opened end.

    Where single sign-on is enforced, it first says who could not sign in any more.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.disable_connection import disable_connection
    from bridge.usecases.enforce_sso import shut_out_without

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to turn it off, or --preview to see whom it shuts out")
    with open_organization(org) as (_, unit):
        found = find_connection(unit, name)
        shut_out = shut_out_without(unit, found.id)
        if not as_json and (shut_out or only_preview):
            print_table(
                ("cannot sign in", "userName", "role", "because"),
                [(one.display_name, one.user_name, one.role, one.reason.sentence) for one in shut_out],
                empty="Nobody is shut out for good: single sign-on is not enforced, or others sign them in",
            )
        if not as_json and shut_out:
            click.echo("Single sign-on is enforced: `seatbridge sso relax` lets sign-in links work again.")
        if only_preview:
            if as_json:
                print_json({"connection": found.name, "shut_out": shut_out})
            return
        if not yes:
            click.confirm(f"Disable {found.name}? Nobody signs in by it then, and nothing can be pushed", abort=True)
        ended = disable_connection(unit, found.id)
    if as_json:
        print_json({"connection": found.name, "disabled": True, "sessions_ended": ended, "shut_out": shut_out})
    else:
        click.echo(f"{found.name} is disabled. Sessions ended: {ended}. People and seats stay as they are.")


@click.command()
@org_argument
@name_argument
@json_option
def enable(org: str, name: str, *, as_json: bool) -> None:
    """Turn a connection on again: its people sign in anew, and its tokens push again."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.disable_connection import enable_connection

    with open_organization(org) as (_, unit):
        found = enable_connection(unit, find_connection(unit, name).id)
    if as_json:
        print_json({"connection": found.name, "disabled": False})
    else:
        click.echo(f"{found.name} is enabled")
