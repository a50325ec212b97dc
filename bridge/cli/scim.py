"""``seatbridge scim ...``."""

from itertools import count
from typing import TYPE_CHECKING

import click

from bridge.cli.lazy import REFUSED
from bridge.cli.showing import json_option, print_json, print_table, progress

if TYPE_CHECKING:
    from scim2_tester import CheckResult

#: What breaks a rule of the RFCs that has no exception.
_WRONG = frozenset({"ERROR", "CRITICAL"})
#: What needs no reader: as it must or should be, or left out.
_QUIET = frozenset({"SUCCESS", "COMPLIANT", "ACCEPTABLE", "SKIPPED"})


@click.group()
def scim() -> None:
    """Any SCIM server, ours or another: conformance."""


@scim.command()
@click.argument("url")
@click.argument("token", envvar="SEATBRIDGE_SCIM_TOKEN")
@click.option("--all", "everything", is_flag=True, help="List what is as it should be, too.")
@json_option
@click.pass_context
def conformance(context: click.Context, url: str, token: str, *, everything: bool, as_json: bool) -> None:
    """Try a SCIM server at URL against RFC 7643 and 7644; ends with 1 when it breaks a rule.

    It creates, changes and deletes people and groups of its own there: use an organization that is for trying out. The
    TOKEN is better given as SEATBRIDGE_SCIM_TOKEN, which no list of processes shows.
    """
    results = _check(url, token)
    rows = [
        {
            "result": one.status.name.lower(),
            "check": one.title or "",
            "resource": one.resource_type,
            "reason": " ".join(str(one.reason or "").split()),
        }
        for one in results
    ]
    counts = {name: sum(row["result"] == name for row in rows) for name in sorted({str(row["result"]) for row in rows})}
    wrong = sum(one.status.name in _WRONG for one in results)
    if as_json:
        print_json({"url": url, "conforms": not wrong, "counts": counts, "checks": rows})
    else:
        shown = [row for row in rows if everything or str(row["result"]).upper() not in _QUIET]
        print_table(("result", "check", "resource", "reason"), [tuple(row.values()) for row in shown], empty="")
        click.echo(f"{len(rows)} checks: {', '.join(f'{number} {name}' for name, number in counts.items())}")
    context.exit(REFUSED if wrong else 0)


def _check(url: str, token: str) -> "list[CheckResult]":
    """Run the community's checks.

    Raises:
        NotInstalledError: The extra is not installed.
    """
    from bridge.errors import NotInstalledError

    try:
        import httpx2
        from scim2_client.engines.httpx2 import SyncSCIMClient
        from scim2_client.errors import SCIMClientException
        from scim2_tester import SCIMTesterError, check_server
    except ImportError:
        raise NotInstalledError("Checks of SCIM servers", "pip install 'seatbridge[conformance]'") from None
    sent = count(1)
    with progress("Requests") as advance:
        hooks = {"request": [lambda _request: advance(next(sent))]}
        headers = {"Authorization": f"Bearer {token}"}
        try:
            with httpx2.Client(base_url=url, headers=headers, timeout=30, event_hooks=hooks) as client:
                return check_server(SyncSCIMClient(client))
        except (httpx2.HTTPError, httpx2.InvalidURL, SCIMClientException, SCIMTesterError) as problem:
            raise click.ClickException(f"{url} cannot be checked: {problem}") from None
