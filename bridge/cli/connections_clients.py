"""``seatbridge connection add-client``, ``rotate-client-secret``, ``revoke-client``."""

import click

from bridge.cli.connection_facts import print_named
from bridge.cli.showing import json_option, name_argument, org_argument


@click.command("add-client")
@org_argument
@name_argument
@click.option(
    "--scope", type=click.Choice(["write", "read"]), default="write", show_default=True, help="What it may do."
)
@click.option("--label", default="", help="To recognise it by (default: name and date).")
@json_option
def add_client(org: str, name: str, *, scope: str, label: str, as_json: bool) -> None:
    """Add a provisioning client that fetches its tokens itself (client credentials); its secret is shown once."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.scim_clients import add_client as add

    with open_organization(org) as (runtime, unit):
        client, secret = add(unit, find_connection(unit, name).id, label=label, can_write=scope == "write")
        public_url = runtime.settings.server.public_url
        facts = {
            "SCIM base URL": f"{public_url}/scim/v2/{unit.organization().slug}",
            "token URL": f"{public_url}/oauth2/token",
            "client id": client.id,
            "client secret": secret.text,
            "scope": "scim.read scim.write" if client.can_write else "scim.read",
        }
    print_named(facts, as_json=as_json)


@click.command("rotate-client-secret")
@org_argument
@click.argument("client")
@json_option
def rotate_client_secret(org: str, client: str, *, as_json: bool) -> None:
    """Issue the second secret of a client, named by its id or label; the first stays good until it is revoked."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.scim_clients import find_client, secrets_of
    from bridge.usecases.scim_clients import rotate_client_secret as rotate

    with open_organization(org) as (_, unit):
        found = find_client(unit, client)
        older = [secret.prefix for secret in secrets_of(unit, found)]
        secret = rotate(unit, found)
    print_named({"client id": found.id, "client secret": secret.text}, as_json=as_json)
    if older and not as_json:
        command = f"seatbridge connection revoke-client {org} {found.id} --secret {older[0]}"
        click.echo(f"Once it is used, revoke the old one: {command}")


@click.command("revoke-client")
@org_argument
@click.argument("client")
@click.option("--secret", metavar="PREFIX", help="This secret alone: the client and its other secret stay.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke_client(org: str, client: str, *, secret: str | None, yes: bool, as_json: bool) -> None:
    """Revoke a client with its secrets and tokens: the next request with any of them is refused."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.scim_clients import find_client, revoke_client_secret
    from bridge.usecases.scim_clients import revoke_client as revoke

    with open_organization(org) as (_, unit):
        found = find_client(unit, client)
        what = found.label if secret is None else f"{secret} of {found.label}"
        if not yes:
            click.confirm(f"Revoke {what}? What still uses it stops working", abort=True)
        if secret is None:
            revoke(unit, found)
        else:
            revoke_client_secret(unit, found, secret)
    print_named({"client id": found.id, "revoked": what}, as_json=as_json)
