"""``seatbridge usage``."""

from typing import TYPE_CHECKING

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from bridge.usecases.usage import Usage


@click.command()
@org_argument
@click.option("--quarter", help="As 2026Q3; the present quarter by default.")
@click.option("--period", is_flag=True, help="The contract's present period instead, as before a renewal.")
@click.option("--idle-days", type=click.IntRange(1, 3650), default=30, show_default=True, help="Without a sign-in.")
@json_option
def usage(org: str, *, quarter: str | None, period: bool, idle_days: int, as_json: bool) -> None:
    """Sum up a quarter: seats bought and used (peak and mean by time), who is idle, moves, cost.

    A quarter that is over has the same numbers whenever it is asked for.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.usage import read_usage

    if quarter is not None and period:
        raise click.UsageError("--quarter and --period exclude each other")
    with open_organization(org) as (_, unit):
        found = read_usage(unit, of="period" if period else quarter, idle_days=idle_days)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: "Usage") -> None:
    from bridge.billing.rules.money import Currency, format_money

    cost, currency = found.cost, Currency(found.cost.currency)
    facts: dict[str, object] = {
        "span": found.span.name if found.complete else f"{found.span.name}, so far",
        "from": found.span.start,
        "until": found.span.end,
        "invoiced before tax": f"{format_money(cost.subtotal, currency)} on {cost.invoices}",
        "with tax": format_money(cost.total, currency),
    }
    if found.users:
        facts |= {"paid users": found.users["paid"], "free users": found.users["free"]}
    facts |= {f"licences of {month}": number for month, number in found.licences.items()}
    if found.tiers:
        moves = found.moves
        facts["moves"] = f"{moves.given} got a seat, {moves.taken} gave it up, {moves.changed} changed the tier"
        facts[f"idle for {found.idle_days} days"] = len(found.idle)
    print_facts(facts)
    if found.tiers:
        click.echo()
        print_table(
            ("tier", "bought: peak", "mean", "at the end", "used: peak", "mean", "at the end"),
            [
                (
                    one.name,
                    one.bought.peak,
                    one.bought.mean,
                    one.bought.last,
                    one.used.peak,
                    one.used.mean,
                    one.used.last,
                )
                for one in found.tiers
            ],
            empty="",
        )
    if found.idle:
        click.echo()
        print_table(
            ("idle", "tier", "last sign-in"),
            [(one.name, one.tier, one.last_sign_in or "never") for one in found.idle],
            empty="",
        )
