"""``seatbridge api-key create|list|revoke``."""

from datetime import timedelta

import click

from bridge.cli.connection_facts import print_named
from bridge.cli.showing import json_option, org_argument, print_json, print_table


@click.group("api-key")
def api_key() -> None:
    """Keys of the programming interface (/api/v1): create, list, revoke."""


@api_key.command()
@org_argument
@click.argument("label")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    metavar="SCOPE",
    help="What it is for; repeat it for several. A scope that writes reads the same.",
)
@click.option(
    "--role", type=click.Choice(["admin", "owner"]), default="admin", show_default=True, help="What it may do at most."
)
@click.option("--person", help="Whose it is (userName, mail address or id): it ends with their access.")
@click.option("--days", type=click.IntRange(1, 365), default=365, show_default=True, help="How long it lives.")
@json_option
def create(
    org: str, label: str, *, scopes: tuple[str, ...], role: str, person: str | None, days: int, as_json: bool
) -> None:
    """Make a key called LABEL; it is shown once.

    Scopes: people, seats, mappings, billing and connections, each with :read or :write; events:read, audit:read. Money
    needs an owner's key.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.api_keys import ApiKeyDraft, create_api_key
    from bridge.usecases.people import find_person

    with open_organization(org) as (runtime, unit):
        member_id = None if person is None else find_person(unit, person).id
        draft = ApiKeyDraft(label, scopes, role=role, member_id=member_id, lifetime=timedelta(days=days))
        made, credential = create_api_key(unit, draft)
        facts = {
            "key": credential.text,
            "id": made.id,
            "role": made.role,
            "scopes": " ".join(made.scopes),
            "until": made.expires_at,
            "address": f"{runtime.settings.server.public_url}/api/v1",
        }
    print_named(facts, as_json=as_json)


@api_key.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List the keys, revoked and expired ones too."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.api_keys import list_api_keys

    with open_organization(org) as (_, unit):
        keys = list_api_keys(unit)
    if as_json:
        print_json(keys)
        return
    print_table(
        ("label", "begins with", "role", "scopes", "state", "until", "last used", "made by"),
        [
            (
                one.label,
                one.prefix,
                one.role,
                " ".join(one.scopes),
                one.state,
                one.expires_at,
                one.last_used_at,
                one.made_by,
            )
            for one in keys
        ],
        empty="No key yet: `seatbridge api-key create --help`",
    )


@api_key.command()
@org_argument
@click.argument("key", metavar="KEY")
@json_option
def revoke(org: str, key: str, *, as_json: bool) -> None:
    """Revoke KEY, named by its id or by what it begins with: the next request with it is refused."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.api_keys import revoke_api_key

    with open_organization(org) as (_, unit):
        revoked = revoke_api_key(unit, key)
        facts = {"revoked": revoked.id, "label": revoked.label}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{facts['label']} is revoked.")
