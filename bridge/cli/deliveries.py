"""``seatbridge delivery ...``."""

import click

from bridge.cli.showing import json_option, org_argument, print_json, print_table


@click.group()
def delivery() -> None:
    """Mails and messages on their way: list, retry."""


@delivery.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List what is not brought out yet, and what was given up."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.deliver import list_open_deliveries

    with open_organization(org) as (_, unit):
        rows = [
            {
                "id": one.id,
                "kind": one.kind,
                "state": one.state,
                "attempts": one.attempts,
                "created_at": one.created_at,
                "next_attempt_at": one.next_attempt_at if one.state == "pending" else None,
                "last_error": one.last_error,
                "request_id": one.request_id,
            }
            for one in list_open_deliveries(unit)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("kind", "state", "attempts", "since", "next attempt", "last error", "request"),
            [tuple(row.values())[1:] for row in rows],
            empty="Everything is brought out",
        )


@delivery.command()
@org_argument
@json_option
def retry(org: str, *, as_json: bool) -> None:
    """Put what was given up back in line."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.deliver import retry_dead_deliveries

    with open_organization(org) as (_, unit):
        revived = retry_dead_deliveries(unit)
    if as_json:
        print_json({"retried": revived})
    else:
        click.echo(f"{revived} put back in line")
