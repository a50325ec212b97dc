"""``seatbridge setup-link ...``."""

import click

from bridge.cli.showing import json_option, name_argument, org_argument, print_facts, print_json, print_table


@click.group("setup-link")
def setup_link() -> None:
    """Links by which somebody without an account sets one connection up: create, list, revoke."""


@setup_link.command()
@org_argument
@name_argument
@click.option("--label", default="", help="Whom it is for (default: the connection's name and the date).")
@click.option("--days", type=click.IntRange(1, 90), default=30, show_default=True, help="How long it is good.")
@json_option
def create(org: str, name: str, *, label: str, days: int, as_json: bool) -> None:
    """Make a link to the set-up guide of a connection, shown once.

    Whoever has it sees the connection's addresses and how far its set-up is, may issue a SCIM token, and may say whom
    the connection believes as long as it believes nobody.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.setup_links import create_setup_link

    with open_organization(org) as (runtime, unit):
        found = find_connection(unit, name)
        link, credential = create_setup_link(unit, found.id, label=label, days=days)
        facts = {
            "connection": found.name,
            "label": link.label,
            "link": f"{runtime.settings.server.public_url}/set-up/{credential.text}",
            "expires": link.expires_at,
            "id": link.id,
        }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)
        click.echo("Send it to whoever sets the identity provider up. To take it back:")
        click.echo(f"seatbridge setup-link revoke {org} {link.id}")


@setup_link.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List the links that are good now."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import list_connections
    from bridge.usecases.setup_links import list_setup_links

    with open_organization(org) as (_, unit):
        names = {one.id: one.name for one in list_connections(unit)}
        rows = [
            {
                "id": link.id,
                "label": link.label,
                "connection": names.get(link.connection_id),
                "created_at": link.created_at,
                "created_by": link.created_by,
                "expires_at": link.expires_at,
                "first_used_at": link.first_used_at,
            }
            for link in list_setup_links(unit)
        ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("id", "label", "connection", "made", "by", "expires", "opened"),
        [tuple(row.values()) for row in rows],
        empty="No set-up link is good now: `seatbridge setup-link create`",
    )


@setup_link.command()
@org_argument
@click.argument("link")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke(org: str, link: str, *, yes: bool, as_json: bool) -> None:
    """Revoke a link, named by its id or label: it opens nothing any more."""
    from bridge.cli.opening import open_organization
    from bridge.errors import NotFoundError
    from bridge.usecases.setup_links import list_setup_links, revoke_setup_link

    with open_organization(org) as (_, unit):
        found = next((one for one in list_setup_links(unit) if link in (str(one.id), one.label)), None)
        if found is None:
            raise NotFoundError("set-up link", link)
        if not yes:
            if as_json:
                raise click.UsageError("--json asks nothing: add --yes")
            click.confirm(f"Revoke the link for {found.label}?", abort=True)
        revoke_setup_link(unit, found.id)
    if as_json:
        print_json({"revoked": found.id})
    else:
        click.echo(f"Revoked the link for {found.label}")
