"""``seatbridge db ...`` and ``seatbridge check``."""

import os
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from bridge.cli.lazy import REFUSED
from bridge.cli.showing import json_option, print_facts, print_json, print_table, refuse_to_ask
from bridge.errors import InvalidInputError

if TYPE_CHECKING:
    from bridge.config import Settings
    from bridge.runtime import Runtime


@click.group()
def db() -> None:
    """The database: upgrade, check, backup, restore."""


@db.command()
@json_option
def upgrade(*, as_json: bool) -> None:
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
    if as_json:
        print_json({"schema": revision})
    else:
        click.echo(f"The schema is at {revision}")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def backup(file: Path, *, as_json: bool) -> None:
    """Write the embedded database into a new FILE, consistently and while it is at work.

    Keep the key file elsewhere: together they read everything.
    """
    from bridge.cli.opening import read_settings
    from bridge.runtime import EMBEDDED_DATABASE, database
    from bridge.store.embedded import EmbeddedPostgres

    settings = read_settings()
    server = EmbeddedPostgres(_embedded_path(settings))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidInputError("file", f"{file} cannot be created ({error.strerror})") from None
    with os.fdopen(descriptor, "wb") as output, database(settings):
        _run_program("pg_dump", "--format=custom", f"--dbname={server.dsn(EMBEDDED_DATABASE)}", output=output)
    if as_json:
        print_json({"file": str(file), "bytes": file.stat().st_size})
    else:
        click.echo(f"{file}: {file.stat().st_size} bytes")


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--yes", is_flag=True, help="Replace what is there without being asked; --json needs it.")
@json_option
def restore(file: Path, *, yes: bool, as_json: bool) -> None:
    """Replace the embedded database by what `db backup` wrote, all or nothing; the service must be stopped."""
    from bridge.cli.opening import read_settings
    from bridge.runtime import EMBEDDED_DATABASE, database
    from bridge.store.embedded import EmbeddedPostgres

    settings = read_settings()
    server = EmbeddedPostgres(_embedded_path(settings))
    if not yes:
        refuse_to_ask(as_json=as_json)
        click.confirm(f"Replace everything in {server.path}?", abort=True)
    with server.service_lock():
        options = ("--clean", "--if-exists", "--single-transaction", "--exit-on-error")
        with database(settings):
            _run_program("pg_restore", *options, f"--dbname={server.dsn(EMBEDDED_DATABASE)}", str(file))
        with database(settings):  # an older back-up is migrated
            pass
    if as_json:
        print_json({"restored": str(file)})
    else:
        click.echo(f"Restored {file}; `seatbridge check` counts again")


def _embedded_path(settings: "Settings") -> Path:
    """Return the embedded database's folder.

    Raises:
        InvalidInputError: The database is the operator's own, and so are its back-ups.
    """
    if settings.database.url is not None:
        problem = "is your own PostgreSQL: back it up by its own tools, as a role that sees every row (a superuser)"
        raise InvalidInputError("database.url", problem)
    return settings.database.embedded_path


def _run_program(name: str, *arguments: str, output: "IO[bytes] | None" = None) -> None:
    """Run one of PostgreSQL's own programs; raise InvalidInputError with what it said when it fails."""
    from bridge.store.embedded_files import programs

    done = subprocess.run(  # noqa: S603 (a program of the wheel)
        [programs() / name, *arguments], check=False, stdout=output, stderr=subprocess.PIPE, text=False
    )
    if done.returncode != 0:
        raise InvalidInputError("file", done.stderr.decode(errors="replace").strip())


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
        counted = "1 organization" if organizations == 1 else f"{organizations} organizations"
        print_table(
            ("organization", "tier", "counter", "held"),
            [(row["organization"], row["tier"], row["counter"], row["held"]) for row in different],
            empty=f"Every counter is what people hold ({counted})",
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
