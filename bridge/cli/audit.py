"""``seatbridge audit verify``."""

import click

from bridge.cli.lazy import REFUSED
from bridge.cli.showing import json_option, org_argument, print_json


@click.group()
def audit() -> None:
    """The audit chain: verify."""


@audit.command()
@org_argument
@json_option
@click.pass_context
def verify(context: click.Context, org: str, *, as_json: bool) -> None:
    """Check the whole chain; ends with 1 and names the first entry that is not what was written."""
    from bridge.cli.opening import open_organization
    from bridge.store import journal

    with open_organization(org) as (_, unit):
        bad = journal.verify(unit)
        keys_fit = bad is None or journal.is_sealed_by_these_keys(unit)
        entries, head = unit.state().audit_seq, unit.state().audit_head.hex()
    if as_json:
        print_json({"entries": entries, "head": head, "first_bad_entry": bad, "keys_fit": keys_fit})
    elif bad is None:
        click.echo(f"{entries} entries, each as it was written. Head: {head}")
    elif not keys_fit:
        click.echo(
            "The keys do not belong to this data: none of the newest entries was sealed by one of them. Set the keys"
            " that it was written with (secrets.keys_file)",
            err=True,
        )
    else:
        click.echo(f"Entry {bad} is not what was written, or is missing", err=True)
    context.exit(0 if bad is None else REFUSED)
