"""``seatbridge domain ...``."""

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table


@click.group()
def domain() -> None:
    """Mail domains of an organization: add, verify, list."""


@domain.command()
@org_argument
@click.argument("domain_name", metavar="DOMAIN")
@click.option("--connection", "connection_name", help="Where its people sign in (name or id).")
@json_option
def add(org: str, domain_name: str, *, connection_name: str | None, as_json: bool) -> None:
    """Claim a domain, and print the TXT record that proves it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import claim_domain, find_connection

    with open_organization(org) as (_, unit):
        connection_id = find_connection(unit, connection_name).id if connection_name else None
        claimed = claim_domain(unit, domain_name, connection_id)
        facts = {
            "domain": claimed.name,
            "TXT record": f"seatbridge-verification={claimed.challenge}",
            "verified": claimed.verified_at is not None,
        }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)
        click.echo(f"Once the record is published: seatbridge domain verify {org} {claimed.name}")


@domain.command()
@org_argument
@click.argument("domain_name", metavar="DOMAIN")
@click.option("--vouch", is_flag=True, help="Without the TXT record, on your word as the operator.")
def verify(org: str, domain_name: str, *, vouch: bool) -> None:
    """Verify a claimed domain by its TXT record."""
    from bridge.adapters.dns import read_txt_records
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import normalized_domain, verify_domain

    proof = None if vouch else read_txt_records(normalized_domain(domain_name))
    with open_organization(org) as (_, unit):
        verified = verify_domain(unit, domain_name, proof=proof)
    click.echo(f"{verified.name} is verified ({verified.verified_by})")


@domain.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List the domains of an organization."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import list_domains

    with open_organization(org) as (_, unit):
        rows = [
            {
                "domain": found.name,
                "verified_at": found.verified_at,
                "verified_by": found.verified_by,
                "record": f"seatbridge-verification={found.challenge}",
            }
            for found in list_domains(unit)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("domain", "verified", "by", "TXT record"),
            [tuple(row.values()) for row in rows],
            empty="No domain yet: `seatbridge domain add`",
        )
