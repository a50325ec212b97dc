"""``seatbridge requests replay``: a request of the provisioning log once more through the code that answered it.

It stands here and not with the other commands because it answers the protocol, which the command line knows nothing of.
"""

import click
import orjson

from bridge.cli.opening import find_organization, open_runtime
from bridge.cli.showing import harmless, json_option, org_argument, print_json, print_table
from scim.resend import REFUSED, Replay, replay_request


@click.command("replay")
@org_argument
@click.argument("request")
@click.option("--dry-run/--really", default=True, show_default=True, help="Only show what would come of it.")
@json_option
def replay(org: str, request: str, *, dry_run: bool, as_json: bool) -> None:
    """Send REQUEST of the provisioning log (its id, or a request id) again, through the code that answered it.

    A dry run is rolled back whole. --really counts as a push of the connection, and the audit chain says that the
    operator sent it.
    """
    with open_runtime() as runtime:
        outcome = replay_request(runtime, find_organization(runtime, org), request, dry_run=dry_run)
    if as_json:
        print_json(outcome)
    else:
        _print(outcome)
    if not dry_run and outcome.status >= REFUSED:
        click.get_current_context().exit(1)


def _print(outcome: Replay) -> None:
    click.echo(f"{'would answer' if outcome.dry_run else 'answered'} {outcome.status}")
    if outcome.answer is not None:
        click.echo(harmless(orjson.dumps(outcome.answer, option=orjson.OPT_INDENT_2).decode()))
    click.echo()
    print_table(
        ("would change" if outcome.dry_run else "changed", "kind", "id", "reason"),
        [(one.action, one.subject_kind, one.subject_id, one.reason) for one in outcome.changes],
        empty="Nothing would change" if outcome.dry_run else "Nothing changed",
    )
    if outcome.decisions:
        click.echo()
        print_table(
            ("from", "to", "because"),
            [(one.from_name, one.to_name, one.because) for one in outcome.decisions],
            empty="",
        )
