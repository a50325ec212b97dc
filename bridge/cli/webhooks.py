"""``seatbridge webhooks ...``."""

import uuid

import click

from bridge.cli.connection_facts import print_named
from bridge.cli.showing import json_option, org_argument, print_json, print_table

_endpoint_argument = click.argument("endpoint", metavar="ENDPOINT")


@click.group()
def webhooks() -> None:
    """Events for the application: endpoints, what was sent, what was not taken.

    ENDPOINT is an id or an address, as `webhooks list` shows them.
    """


@webhooks.command()
@org_argument
@click.argument("url")
@click.option("--events", default="", metavar="NAMES", help="Only these, separated by commas (default: all).")
@json_option
def add(org: str, url: str, *, events: str, as_json: bool) -> None:
    """Tell URL of events from now on; the secret they are signed with is shown once.

    URL is https and public, but for hosts in webhooks.internal_hosts. Events: user.created, user.deactivated,
    user.reactivated, user.removed, seat.assigned, seat.released, seat.waiting, session.ended.
    """
    from bridge.adapters.fetch import check_address
    from bridge.adapters.webhooks import new_webhook_secret
    from bridge.cli.opening import open_organization
    from bridge.usecases.webhook_endpoints import add_endpoint

    names = [name.strip() for name in events.split(",") if name.strip()]
    with open_organization(org) as (runtime, unit):
        check_address(url, internal=runtime.settings.webhooks.is_internal(url))
        secret = new_webhook_secret()
        made = add_endpoint(
            unit, url, names, lambda endpoint_id: runtime.sealed_webhook_secret(unit.org_id, endpoint_id, secret)
        )
        facts = {"endpoint": made.id, "url": made.url, "events": ", ".join(made.events), "secret": secret}
    print_named(facts, as_json=as_json)


@webhooks.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List the endpoints, and how many events wait for each or were given up."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.webhook_endpoints import list_endpoints

    with open_organization(org) as (_, unit):
        found = list_endpoints(unit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("endpoint", "url", "events", "state", "failing since", "waiting", "given up"),
        [
            (one.id, one.url, ", ".join(one.events), one.state, one.failing_since, one.pending, one.dead)
            for one in found
        ],
        empty="No endpoint yet: `seatbridge webhooks add`",
    )


@webhooks.command("rotate-secret")
@org_argument
@_endpoint_argument
@json_option
def rotate_secret_(org: str, endpoint: str, *, as_json: bool) -> None:
    """Sign with a new secret, shown once; for a day the old one signs too."""
    from bridge.adapters.webhooks import new_webhook_secret
    from bridge.cli.opening import open_organization
    from bridge.usecases.webhook_endpoints import find_endpoint, rotate_secret

    with open_organization(org) as (runtime, unit):
        found, secret = find_endpoint(unit, endpoint), new_webhook_secret()
        until = rotate_secret(
            unit, found, lambda endpoint_id: runtime.sealed_webhook_secret(unit.org_id, endpoint_id, secret)
        )
        facts = {"endpoint": found.id, "secret": secret, "old secret until": until}
    print_named(facts, as_json=as_json)


@webhooks.command()
@org_argument
@_endpoint_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(org: str, endpoint: str, *, yes: bool, as_json: bool) -> None:
    """Tell an endpoint nothing any more; what waits for it is dropped."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.webhook_endpoints import find_endpoint, remove_endpoint

    if as_json and not yes:
        raise click.UsageError("--json asks nothing: add --yes to remove the endpoint")
    with open_organization(org) as (_, unit):
        found = find_endpoint(unit, endpoint)
        if not yes:
            click.confirm(f"Remove {found.url}? Events that wait for it are dropped", abort=True)
        remove_endpoint(unit, found)
        facts = {"removed": found.id, "url": found.url}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{facts['url']} is told nothing any more.")


@webhooks.command()
@org_argument
@_endpoint_argument
@json_option
def enable(org: str, endpoint: str, *, as_json: bool) -> None:
    """Go on telling an endpoint that was given up; what happened meanwhile is told first."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.webhook_endpoints import enable_endpoint, find_endpoint

    with open_organization(org) as (_, unit):
        found = find_endpoint(unit, endpoint)
        enable_endpoint(unit, found)
        facts = {"enabled": found.id, "url": found.url}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{facts['url']} is told of events again, from where it was left.")


@webhooks.command()
@org_argument
@_endpoint_argument
@json_option
@click.pass_context
def test(context: click.Context, org: str, endpoint: str, *, as_json: bool) -> None:
    """Send an event that tells of nothing, now, and say what the endpoint answered."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.jobs.webhooks import send_message
    from bridge.usecases.webhook_endpoints import find_endpoint
    from bridge.usecases.webhook_messages import list_messages, queue_test

    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            message_id = queue_test(unit, find_endpoint(unit, endpoint))
        taken = send_message(runtime, org_id, message_id)
        with runtime.unit(org_id, OPERATOR) as unit:
            sent = next(one for one in list_messages(unit, find_endpoint(unit, endpoint)) if one.id == message_id)
    if as_json:
        print_json({"taken": bool(taken), "id": sent.id, "status": sent.status, "error": sent.last_error})
    elif taken:
        click.echo(f"Taken: the endpoint answered {sent.status} to event {sent.id}.")
    else:
        elsewhere = ", a redirect, which nothing follows: add the address it leads to"
        answered = f"it answered {sent.status}{elsewhere if sent.last_error == 'redirected' else ''}"
        said = answered if sent.status else f"no answer came ({sent.last_error})"
        click.echo(f"Not taken: {said}. Event {sent.id} is tried again by the worker.", err=True)
    if not taken:
        context.exit(1)


@webhooks.command()
@org_argument
@_endpoint_argument
@click.option("--state", type=click.Choice(["pending", "done", "dead"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@json_option
def log(org: str, endpoint: str, *, state: str | None, limit: int, as_json: bool) -> None:
    """List the newest events of an endpoint, and what became of each."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.webhook_endpoints import find_endpoint
    from bridge.usecases.webhook_messages import list_messages

    with open_organization(org) as (_, unit):
        found = list_messages(unit, find_endpoint(unit, endpoint), state=state, limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("event", "happened", "id", "state", "attempts", "answer", "problem", "next attempt"),
        [
            (one.event, one.at, one.id, one.state, one.attempts, one.status, one.last_error, one.next_attempt_at)
            for one in found
        ],
        empty="Nothing yet",
    )


@webhooks.command()
@org_argument
@_endpoint_argument
@click.argument("event", required=False, type=click.UUID)
@json_option
def replay(org: str, endpoint: str, event: uuid.UUID | None, *, as_json: bool) -> None:
    """Send events again under the same id: all that were given up, or EVENT (its id) whatever became of it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases import webhook_messages
    from bridge.usecases.webhook_endpoints import find_endpoint

    with open_organization(org) as (_, unit):
        again = webhook_messages.replay(unit, find_endpoint(unit, endpoint), event)
    if as_json:
        print_json({"replayed": again})
    else:
        sends = ". The worker sends them within seconds." if again else ": nothing was given up."
        click.echo(f"Put back in line: {len(again)}{sends}")
