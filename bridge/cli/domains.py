"""``seatbridge domain ...``."""

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table


@click.group()
def domain() -> None:
    """Mail domains of an organization: add, verify, remove, list."""


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
@json_option
def verify(org: str, domain_name: str, *, vouch: bool, as_json: bool) -> None:
    """Verify a claimed domain by its TXT record; one that is verified, again."""
    from bridge.adapters.dns import read_txt_records, resolver_of
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.connections import normalized_domain, verify_domain

    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        resolver = resolver_of(runtime.settings.sso.dns_servers)
        proof = None if vouch else read_txt_records(normalized_domain(domain_name), resolver=resolver)
        with runtime.unit(org_id, OPERATOR) as unit:
            verified = verify_domain(unit, domain_name, proof=proof)
            facts = {"domain": verified.name, "verified_by": verified.verified_by, "verified_at": verified.verified_at}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{facts['domain']} is verified ({facts['verified_by']})")


@domain.command()
@org_argument
@click.argument("domain_name", metavar="DOMAIN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(org: str, domain_name: str, *, yes: bool, as_json: bool) -> None:
    """Give a domain up: nobody is linked by it, or finds the sign-in by it, any more. Who was linked stays so."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import normalized_domain, remove_domain

    name = normalized_domain(domain_name)
    if not yes:
        if as_json:
            raise click.UsageError("--json asks nothing: add --yes")
        click.confirm(f"Give {name} up? Another organization may verify it then", abort=True)
    with open_organization(org) as (_, unit):
        remove_domain(unit, name)
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"{name} is given up")


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
