"""``seatbridge billing ...``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.billing_details import details
from bridge.cli.billing_stripe import portal
from bridge.cli.lazy import REFUSED
from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table
from bridge.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import uuid

    from bridge.domain.identifiers import OrgId
    from bridge.runtime import Runtime
    from bridge.store.models import BillingOrder
    from bridge.store.unit import Unit

TOKEN_VARIABLE = "SEATBRIDGE_CORE_TOKEN"  # noqa: S105 (the name of a variable)
SECRET_VARIABLE = "SEATBRIDGE_WEBHOOK_SECRET"  # noqa: S105 (as above)
order_argument = click.argument("order")


@click.group()
def billing() -> None:
    """Billing details; Stripe or a core of the customer's own: connect, orders, retry, cancel, reconcile, document."""


billing.add_command(details)
billing.add_command(portal)


@billing.command()
@org_argument
@click.option("--url", help="Of the subscription at the core, as https://bill.example.com/v1/subs/acme.")
@click.option("--stripe", "stripe_subscription", help="Instead: a subscription at Stripe, as sub_1AbC.")
@click.option("--price", "prices", multiple=True, help="With --stripe, for each tier: TIER=price_1AbC.")
@click.option(
    "--webhook-secret",
    "given_secret",
    envvar=SECRET_VARIABLE,
    help="What events are signed with (whsec_...): for a core one of your own instead of a new one, for Stripe the "
    "endpoint's.",
)
@json_option
def connect(
    org: str,
    *,
    url: str | None,
    stripe_subscription: str | None,
    prices: tuple[str, ...],
    given_secret: str | None,
    as_json: bool,
) -> None:
    """Have the seats billed by a core that keeps its own books, or by Stripe, from now on.

    The core's bearer token, or Stripe's restricted key, is read from SEATBRIDGE_CORE_TOKEN, else from standard input;
    the secret of events may stand in SEATBRIDGE_WEBHOOK_SECRET. The core is asked for the subscription at once, and the
    seats here become those. Prints the secret that a core signs its events with.

    Run it again with a new token, after the core was restored from a back-up, or when it has moved: it is recognised by
    its invoices, and none is written twice.
    """
    from bridge.cli.billing_stripe import connect_stripe, read_prices
    from bridge.cli.opening import find_organization, open_runtime

    if (url is None) == (stripe_subscription is None):
        raise click.UsageError("say where the subscription is: --url, or --stripe")
    if prices and stripe_subscription is None:
        raise click.UsageError("--price goes with --stripe")
    token = _token()
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        if stripe_subscription is not None:
            facts = connect_stripe(
                runtime, org_id, stripe_subscription, read_prices(prices), key=token, secret=given_secret
            )
            hint = "Stripe bills the seats from now on; what no event told is asked for every hour."
        else:
            facts = _connect_http(runtime, org_id, (url or "").rstrip("/"), token, given_secret)
            hint = "The secret is shown once: set it, and the address for events, at the core."
    if as_json:
        print_json(facts)
        return
    print_facts(facts)
    click.echo(hint)


def _connect_http(
    runtime: "Runtime", org_id: "OrgId", address: str, token: str, given_secret: str | None
) -> dict[str, Any]:
    from bridge.adapters.webhooks import new_webhook_secret, secret_bytes
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.connect_core import connect_core

    secret = given_secret or new_webhook_secret()
    try:
        secret_bytes(secret)
    except ValueError as problem:
        raise InvalidInputError("webhook_secret", str(problem)) from None
    service = runtime.core_factory(runtime.settings, address, token, secret)
    subscription, invoices = service.subscription(), service.invoices()
    sealed = runtime.sealed_address(org_id, address, token=token, webhook_secret=secret)
    with runtime.unit(org_id, OPERATOR) as unit:
        connect_core(unit, sealed, subscription, invoices)
        slug = unit.organization().slug
    return {
        "organization": slug,
        "core": address,
        "seats": ", ".join(f"{key} {tier.paid}" for key, tier in subscription.tiers.items()),
        "period ends": subscription.period_end,
        "events to": f"{runtime.settings.server.public_url}/billing/{slug}/events",
        "webhook secret": secret,
    }


@billing.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show who bills the organization, what the core last said, and what is on its way to it."""
    from bridge.cli.opening import open_organization

    with open_organization(org) as (_, unit):
        facts = _facts(unit)
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def _facts(unit: "Unit") -> dict[str, Any]:
    from bridge.store.pools import read_pools
    from bridge.usecases.mirror_core import find_connection, open_order
    from bridge.usecases.reconcile_core import count_mirrored
    from bridge.usecases.seats import read_contract

    contract, connection, order = read_contract(unit), find_connection(unit), open_order(unit)
    facts: dict[str, Any] = {
        "organization": unit.organization().slug,
        "billed by": contract.billed_by,
        "plan": f"{contract.kind}, {contract.status}",
        "period ends": contract.period_end,
        "seats": ", ".join(f"{pool.tier} {pool.used} of {pool.total}" for pool in read_pools(unit)),
    }
    if connection is not None:
        facts |= {
            "core": connection.url,
            "connected": connection.connected_at,
            "last heard of": connection.heard_at,
            "version": connection.version,
            "invoices mirrored": count_mirrored(unit, connection.core_id),
            "open order": f"{order.id} ({order.state}, {order.attempts} attempts)" if order else None,
        }
    return facts


@billing.command()
@org_argument
@click.option("--open", "only_open", is_flag=True, help="Only what is on its way, or was given up.")
@json_option
def orders(org: str, *, only_open: bool, as_json: bool) -> None:
    """List the orders of seats at the organization's core, newest first."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.billing_orders import list_orders

    with open_organization(org) as (_, unit):
        rows = [_order_row(order) for order in list_orders(unit, only_open=only_open)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("order", "since", "seats", "total", "state", "attempts", "next attempt", "last error"),
        [tuple(row.values()) for row in rows],
        empty="No order is open" if only_open else "Nothing was ordered yet",
    )


def _order_row(order: "BillingOrder") -> dict[str, Any]:
    from bridge.billing.rules.money import Currency, format_money

    changes: dict[str, int] = order.body["changes"]
    return {
        "order": order.id,
        "since": order.created_at,
        "seats": ", ".join(f"{tier} {number:+d}" for tier, number in changes.items()),
        "total": format_money(order.body["total"], Currency(order.body["currency"])),
        "state": order.state,
        "attempts": order.attempts,
        "next_attempt": order.next_attempt_at if order.state == "pending" else None,
        "last_error": order.last_error,
    }


@billing.command()
@org_argument
@order_argument
@json_option
def retry(org: str, order: str, *, as_json: bool) -> None:
    """Bring an order that was given up to the core again; one that waits for its next attempt comes at once."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.billing_orders import retry_order

    with open_organization(org) as (_, unit):
        row = _order_row(retry_order(unit, _order_id(order)))
    if as_json:
        print_json(row)
    else:
        click.echo(f"Order {row['order']} ({row['seats']}) is in line again: a worker brings it to the core")


@billing.command()
@org_argument
@order_argument
@json_option
def cancel(org: str, order: str, *, as_json: bool) -> None:
    """Give an order up, here and at the core. What the core has charged already is settled as bought instead."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.jobs.orders import cancel_order

    with open_runtime() as runtime:
        state = cancel_order(runtime, find_organization(runtime, org), _order_id(order), OPERATOR)
    if as_json:
        print_json({"order": order, "state": state})
    elif state == "placed":
        click.echo(f"The core had charged order {order} before: the seats are here, and so is the invoice")
    else:
        click.echo(f"Order {order} is {state}: nothing was charged, and no seat has changed")


@billing.command()
@org_argument
@click.option("--adopt", is_flag=True, help="Take the core's seats, prices and period over; nobody loses a seat.")
@json_option
@click.pass_context
def reconcile(context: click.Context, org: str, *, adopt: bool, as_json: bool) -> None:
    """Compare seats, prices, period and invoices with the core's books; missing events and invoices are fetched.

    Ends with 1 when something is left to do.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.jobs.reconciliation import reconcile_organization

    with open_runtime() as runtime:
        found = reconcile_organization(runtime, find_organization(runtime, org), OPERATOR, adopt=adopt)
    if as_json:
        print_json(found)
    else:
        if found.events:
            click.echo(f"{found.events} missing {'event was' if found.events == 1 else 'events were'} fetched")
        for difference in found.differences:
            click.echo(f"{'repaired' if difference.repaired else 'differs '}  {difference.sentence}")
        if not found.differences:
            click.echo("Seats, prices, period and invoices are the same here and at the core")
    context.exit(0 if found.is_clean else REFUSED)


@billing.command()
@org_argument
@click.argument("number")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def document(org: str, number: str, file: Path, *, as_json: bool) -> None:
    """Write an invoice as whoever issued it prints it (PDF) into a new FILE: Seatbridge, Stripe, or the core."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.jobs.documents import print_invoice

    with open_runtime() as runtime:
        printed = print_invoice(runtime, find_organization(runtime, org), number, OPERATOR)
    try:
        with file.open("xb") as output:
            output.write(printed)
    except OSError as error:
        raise InvalidInputError("file", f"{file} cannot be created ({error.strerror})") from None
    if as_json:
        print_json({"file": file.name, "bytes": len(printed)})
    else:
        click.echo(f"{file}: {len(printed)} bytes")


def _order_id(text: str) -> "uuid.UUID":
    from bridge.domain.identifiers import parse_id

    found = parse_id(text)
    if found is None:
        raise NotFoundError("order", text)
    return found


def _token() -> str:
    """Read the core's bearer token.

    Raises:
        InvalidInputError: There is none, or it is no token.
    """
    text = os.environ.get(TOKEN_VARIABLE) or ("" if sys.stdin.isatty() else sys.stdin.readline())
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInputError("token", f"give the core's bearer token in {TOKEN_VARIABLE} or on standard input")
    return token
