"""``seatbridge db ...`` and ``seatbridge check``."""

from typing import TYPE_CHECKING

import click

from bridge.cli.lazy import REFUSED
from bridge.cli.showing import json_option, print_facts, print_json, print_table

if TYPE_CHECKING:
    from bridge.runtime import Runtime


@click.group()
def db() -> None:
    """The database: upgrade, check."""


@db.command()
def upgrade() -> None:
    """Bring the schema to this version, as its owner (database.owner_url).

    Two at once take turns; one that was interrupted is finished by running it again.
    """
    from bridge.cli.opening import read_settings
    from bridge.runtime import configured_urls, database
    from bridge.store import schema

    settings = read_settings()
    urls = configured_urls(settings)
    if urls is not None:
        revision = schema.upgrade(urls.owner, urls.service)
    else:
        with database(settings):  # migrates on its way
            revision = schema.newest_revision()
    click.echo(f"The schema is at {revision}")


@db.command("check")
@json_option
@click.pass_context
def check_database(context: click.Context, *, as_json: bool) -> None:
    """Check version, role and schema of the database, and every pool's counter."""
    from sqlalchemy import text

    from bridge.cli.opening import open_runtime
    from bridge.store.schema import present_revision

    with open_runtime() as runtime:
        with runtime.engine.connect() as connection:
            facts: dict[str, object] = {
                "server": connection.scalar(text("SHOW server_version")),
                "role": connection.scalar(text("SELECT current_user")),
                "schema": present_revision(connection),
            }
        different = _count_again(runtime)
    facts["pools that differ"] = len(different)
    if as_json:
        print_json({**facts, "pools": different})
    else:
        print_facts(facts)
    context.exit(REFUSED if different else 0)


@click.command()
@json_option
@click.pass_context
def check(context: click.Context, *, as_json: bool) -> None:
    """Count held seats again in every organization; ends with 1 and what differs, should anything."""
    from bridge.cli.opening import open_runtime
    from bridge.store import gate

    with open_runtime() as runtime:
        organizations = len(runtime.ask_gate(gate.list_organizations))
        different = _count_again(runtime)
    if as_json:
        print_json({"organizations": organizations, "pools": different})
    else:
        print_table(
            ("organization", "tier", "counter", "held"),
            [(row["organization"], row["tier"], row["counter"], row["held"]) for row in different],
            empty=f"Every counter is what people hold ({organizations} organizations)",
        )
    context.exit(REFUSED if different else 0)


def _count_again(runtime: "Runtime") -> list[dict[str, object]]:
    from bridge.domain.actors import OPERATOR
    from bridge.store import gate
    from bridge.usecases.reconcile import reconcile_pools

    different: list[dict[str, object]] = []
    for org_id, slug, _ in runtime.ask_gate(gate.list_organizations):
        with runtime.unit(org_id, OPERATOR) as unit:
            different += [
                {"organization": slug, "tier": found.tier, "counter": found.used, "held": found.held}
                for found in reconcile_pools(unit)
            ]
    return different
