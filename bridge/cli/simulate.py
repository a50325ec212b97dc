"""``seatbridge simulate ...``."""

from typing import TYPE_CHECKING

import click

from bridge.simulator.dialects import Dialect

if TYPE_CHECKING:
    from bridge.simulator.provisioning import PushReport

_SHOWN_REFUSALS = 10
_GROUPS = ("Engineering", "Sales", "Support", "All staff")
_REFUSED = 1


@click.group()
def simulate() -> None:
    """Push people as an identity provider would."""


@simulate.command("push")
@click.option(
    "--as",
    "dialect",
    type=click.Choice([str(one) for one in Dialect]),
    default=str(Dialect.OKTA),
    show_default=True,
    help="Whose requests to send.",
)
@click.option("--users", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many people.")
@click.option("--domain", default="example.com", show_default=True, help="Mail domain of the invented people.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed invents the same people.")
@click.option("--url", required=True, help="SCIM base, such as http://127.0.0.1:8080/scim/v2/nordlys.")
@click.option(
    "--token",
    required=True,
    envvar="SEATBRIDGE_SCIM_TOKEN",
    help="The connection's SCIM token; better given as SEATBRIDGE_SCIM_TOKEN, which no list of processes shows.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--wire", is_flag=True, help="Print every request with its answer.")
@click.pass_context
def push_command(
    context: click.Context,
    dialect: str,
    *,
    users: int,
    domain: str,
    seed: int,
    url: str,
    token: str,
    as_json: bool,
    wire: bool,
) -> None:
    """Invent people and groups, and push them to a SCIM endpoint; ends with 1 when anything was refused."""
    import httpx

    from bridge.cli.showing import progress
    from bridge.simulator.directory import Directory
    from bridge.simulator.push import push

    directory = Directory(domain)
    directory.hire_some(users, groups=_GROUPS, seed=seed)
    try:
        with progress("People and groups", len(directory.people) + len(directory.groups)) as advance:
            report = push(url, token, directory, Dialect(dialect), progress=advance)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise click.ClickException(f"{url} cannot be reached: {problem}") from problem
    if wire:
        for exchange in report.exchanges:
            click.echo(f"{exchange.as_text()}\n")
    if as_json:
        _print_json(report)
    else:
        _print(report)
    context.exit(_REFUSED if report.refused else 0)


def _print(report: "PushReport") -> None:
    click.echo(
        f"{report.requests} requests in {report.seconds:.1f} s: {report.created} created, {report.updated} updated"
    )
    for exchange in report.refused[:_SHOWN_REFUSALS]:
        detail = exchange.answer.get("detail", "")
        click.echo(f"refused: {exchange.status} {exchange.method} {exchange.path} {detail}".rstrip(), err=True)
    if len(report.refused) > _SHOWN_REFUSALS:
        click.echo(f"and {len(report.refused) - _SHOWN_REFUSALS} more were refused", err=True)


def _print_json(report: "PushReport") -> None:
    from bridge.cli.showing import print_json

    print_json(
        {
            "requests": report.requests,
            "created": report.created,
            "updated": report.updated,
            "seconds": round(report.seconds, 3),
            "refused": [
                {"status": one.status, "method": one.method, "path": one.path, "detail": one.answer.get("detail", "")}
                for one in report.refused
            ],
        }
    )
