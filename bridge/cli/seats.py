"""``seatbridge seats ...``."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.dialogue import Dialogue, Said, cost_of, dialogue_options, hold_dialogue
from bridge.cli.seat_budgets import budget
from bridge.cli.seat_lines import dequeue, promote, swap, waiting
from bridge.cli.seat_outlook import forecast, thresholds
from bridge.cli.showing import json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.ports import BillLine
    from bridge.store.models import InvoiceLine
    from bridge.store.unit import Unit
    from bridge.usecases.buy_seats import SeatsConfirmation, SeatsPreview
    from bridge.usecases.seats import PoolView

_CHANGE = re.compile(r"(?P<tier>[A-Za-z0-9_-]+)=(?P<number>[+-]?\d{1,7})")


@click.group()
def seats() -> None:
    """Seats: show, buy, swap; who waits for one; budgets, forecasts."""


for _command in (budget, forecast, thresholds, waiting, promote, dequeue, swap):
    seats.add_command(_command)


@seats.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show bought, used and free seats, and who waits."""
    from bridge.cli.evaluations import evaluation_document
    from bridge.cli.opening import open_organization
    from bridge.store.pools import read_pools
    from bridge.usecases.evaluations import read_evaluation
    from bridge.usecases.seats import pool_views

    with open_organization(org) as (_, unit):
        pools, waiting_for_any = pool_views(unit, read_pools(unit))
        tried = read_evaluation(unit)
    if as_json:
        told = {} if tried is None else {"evaluation": evaluation_document(tried)}
        print_json({"pools": pools, "waiting_for_any": waiting_for_any, **told})
        return
    pool_table(pools)
    if tried is not None:
        click.echo(f"{tried.sentence}.")
    if waiting_for_any:
        click.echo(f"{waiting_for_any} more {'waits' if waiting_for_any == 1 else 'wait'} for a seat of any tier")


@seats.command()
@org_argument
@click.argument("changes", nargs=-1, required=True, metavar="TIER=NUMBER...")
@dialogue_options
def buy(org: str, changes: tuple[str, ...], **said: Any) -> None:
    """Add seats (premium=2) or shed them (premium=-1): first the cost with its formula, then the confirmation.

    What is confirmed is charged exactly as it was shown, or not at all.
    """
    from bridge.usecases.buy_seats import change_seats, confirm_seats, preview_seats

    wanted = dict(read_change(text) for text in changes)
    hold_dialogue(
        org,
        Dialogue(
            preview=lambda unit: preview_seats(unit, wanted),
            show=lambda unit, preview: show_seats_preview(preview, seat_moves(unit, preview)),
            cost=lambda _, preview: cost_of(preview.quote.bill, preview.quote.currency),
            question="Confirm the change?",
            confirm=lambda unit, preview, key: confirm_seats(unit, preview.id, acknowledged=True, key=key),
            at_once=lambda unit, key, check: change_seats(unit, wanted, key, check=check),
            tell=lambda done: tell_seats(org, done),
        ),
        Said(**said),
    )


def tell_seats(org: str, done: "SeatsConfirmation") -> None:
    """Say what a confirmed change of seats did."""
    if done.order is not None:
        click.echo(f"Ordered: {done.order.id}. The seats come when the billing core has confirmed it; see")
        click.echo(f"`seatbridge billing orders {org} --open`")
        return
    invoice = done.invoice
    click.echo(f"Done. Invoice: {money(invoice.total, invoice.currency)}, {invoice.number}" if invoice else "Done.")
    if done.promoted:
        click.echo(_promoted(len(done.promoted)))


def pool_table(pools: "Sequence[PoolView]") -> None:
    """Print pools, best tier first."""
    print_table(
        ("tier", "bought", "used", "free", "waiting", "ending with the period"),
        [(pool.name, pool.bought, pool.used, pool.free, pool.waiting, pool.lapsing) for pool in pools],
        empty="This plan is not sold by seats",
    )


def line_table(lines: "Sequence[BillLine | InvoiceLine]", currency: str) -> None:
    """Print the lines of a bill, each with its formula."""
    print_table(
        ("what", "quantity", "amount", "formula"),
        [(line.tier, line.quantity, money(line.amount, currency), line.formula) for line in lines],
        empty="Nothing is charged",
    )


def _promoted(number: int) -> str:
    if number == 1:
        return "1 person who waited has the seat now"
    return f"{number} people who waited have their seats now"


def read_change(text: str) -> tuple[str, int]:
    """Read TIER=NUMBER."""
    found = _CHANGE.fullmatch(text)
    if found is None:
        raise click.BadParameter(
            f"{text!r} does not read TIER=NUMBER, as premium=2 or premium=-1", param_hint="CHANGES"
        )
    return found["tier"], int(found["number"])


def seat_moves(unit: "Unit", preview: "SeatsPreview") -> list[str]:
    """Say who would move from which seat to which, by the names people know."""
    from bridge.store.directory import get_member
    from bridge.store.pools import ladder_of, read_pools

    ladder = ladder_of(read_pools(unit))
    return [
        f"{get_member(unit, one.member_id).display_name}:"
        f" {ladder.name_of(one.from_tier)} → {ladder.name_of(one.to_tier)}"
        for one in preview.promotions
    ]


def show_seats_preview(preview: "SeatsPreview", moves: Sequence[str]) -> None:
    """Show what a change of seats would cost, with its formula, and whom it serves."""
    quote = preview.quote
    if quote.bill is not None:
        line_table(quote.bill.lines, quote.currency)
        facts: dict[str, Any] = {
            "Subtotal": quote.bill.subtotal,
            "Tax": quote.bill.tax,
            "Total today": quote.bill.total,
            "Credit used": quote.bill.credit_applied,
            "Due today": quote.bill.amount_due,
        }
        for name, amount in facts.items():
            click.echo(f"{name}: {money(amount, quote.currency)}")
    for sentence in quote.sentences:
        click.echo(sentence)
    for sentence in moves:
        click.echo(sentence)


def money(amount: int, currency: str) -> str:
    """Write minor units as money."""
    from bridge.billing.rules.money import Currency, format_money

    return format_money(amount, Currency(currency))
