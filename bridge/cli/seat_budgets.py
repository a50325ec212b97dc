"""``seatbridge seats budget ...``."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.dialogue import Cost, Dialogue, Said, hold_dialogue, repeatable_options
from bridge.cli.showing import json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.store.unit import Unit
    from bridge.usecases.budgets import Budget
    from bridge.usecases.purses import BudgetUse
    from bridge.usecases.set_budget import BudgetPreview, BudgetSet
    from mappings.tiers import TierLadder

centre_option: Callable[[Any], Any] = click.option(
    "--cost-centre", default="", metavar="NAME", help="For people of this cost centre; by default for all the others."
)


@click.group()
def budget() -> None:
    """What provisioning may spend on seats when a tier is full: show, set, remove."""


@budget.command("show")
@org_argument
@json_option
def show_budgets(org: str, *, as_json: bool) -> None:
    """Show every budget with what is left of it, who set it and since when."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.actors import name_actors
    from bridge.usecases.budgets import list_budgets
    from bridge.usecases.seats import read_ladder

    with open_organization(org) as (_, unit):
        budgets, ladder = list_budgets(unit), read_ladder(unit)
        names = name_actors(unit, {one.set_by for one in budgets})
    if as_json:
        print_json([_document(one) for one in budgets])
        return
    print_table(
        ("tier", "cost centre", "cap", "in a", "left", "charged", "until", "set by", "since"),
        [
            (
                ladder.name_of(one.tier),
                one.cost_centre or "all others",
                _caps(one.seats, one.amount, one.currency),
                "contract period" if one.period == "period" else "month",
                _caps(one.seats_left, one.amount_left, one.currency),
                _money(one.amount_charged, one.currency),
                one.end,
                names[one.set_by],
                one.set_at,
            )
            for one in budgets
        ],
        empty="No budget: provisioning buys nothing",
    )


@budget.command("set")
@org_argument
@click.argument("tier")
@click.option("--seats", type=click.IntRange(0, 1_000_000), help="At most so many seats in a period.")
@click.option(
    "--amount",
    metavar="AMOUNT",
    help="What is bought in a period costs at most so much for full periods of the plan, before tax, as 500.00.",
)
@click.option(
    "--per",
    "period",
    type=click.Choice(("month", "period")),
    default="month",
    show_default=True,
    help="A calendar month, or a period of the contract.",
)
@centre_option
@repeatable_options
def set_one(
    org: str, tier: str, *, seats: int | None, amount: str | None, period: str, cost_centre: str, **said: Any
) -> None:
    """Let provisioning buy TIER seats when none is free, up to a cap.

    It takes effect where the mappings say on_exhausted: buy_up_to. Who waits already is served first: what that buys
    at once is shown before, and accepted with the budget.
    """
    from bridge.usecases.seats import read_contract, read_ladder
    from bridge.usecases.set_budget import BudgetDraft, confirm_budget, preview_budget

    def look(unit: "Unit") -> "BudgetPreview":
        money = None if amount is None else _minor(amount, read_contract(unit).currency)
        draft = BudgetDraft(tier=tier, seats=seats, amount=money, period=period, cost_centre=cost_centre.strip())
        return preview_budget(unit, draft)

    hold_dialogue(
        org,
        Dialogue(
            preview=look,
            show=lambda unit, shown: _show(shown, read_ladder(unit)),
            cost=lambda _, shown: Cost(shown.total, shown.budget.currency),
            question="Set the budget?",
            confirm=lambda unit, shown, _: confirm_budget(unit, shown.id, acknowledged=True),
            tell=_tell,
        ),
        Said(**said),
    )


def _show(shown: "BudgetPreview", ladder: "TierLadder") -> None:
    one = shown.budget
    whose = f" of the cost centre {one.cost_centre}" if one.cost_centre else ""
    name = ladder.name_of(one.tier)
    per = "contract period" if one.period == "period" else "month"
    click.echo(f"The budget{whose} for {name} seats: {_caps(one.seats, one.amount, one.currency)} in a {per}.")
    if one.amount is not None:
        price = _money(shown.seat_price, one.currency)
        counts = "it counts so much, however late in one it is bought"
        click.echo(f"A {name} seat costs {price} for a full period: {counts}.")
        if one.amount < shown.seat_price:
            click.echo("This budget does not reach for a single seat.")
    if shown.uses:
        click.echo("People wait already, and are served at once:")
        show_uses(shown.uses, {tier.key: tier.name for tier in ladder})


def _tell(done: "BudgetSet") -> None:
    moved = {0: "", 1: " 1 person got another seat."}.get(done.moved, f" {done.moved} people got another seat.")
    issued = ", ".join(invoice.number for invoice in done.invoices)
    click.echo(f"The budget is set.{moved}" + (f" Invoice: {issued}" if issued else ""))


@budget.command("remove")
@org_argument
@click.argument("tier")
@centre_option
@json_option
def remove_one(org: str, tier: str, *, cost_centre: str, as_json: bool) -> None:
    """Let provisioning buy no more TIER seats under this budget; what was bought stays."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.budgets import remove_budget

    with open_organization(org) as (_, unit):
        remove_budget(unit, tier, cost_centre=cost_centre)
    if as_json:
        print_json({"removed": tier, "cost_centre": cost_centre})
    else:
        click.echo("Removed. What was bought stays.")


def show_uses(uses: "Collection[BudgetUse]", names: "Mapping[str | None, str]") -> None:
    """Say what is bought within budgets, at what price, and what is left then."""
    for use in uses:
        whose = f" of the cost centre {use.cost_centre}" if use.cost_centre else ""
        price = f"{_money(use.total, use.currency)} with tax: {use.formula}" if use.formula else "for nothing today"
        full, left = _money(use.full_amount, use.currency), _caps(use.seats_left, use.amount_left, use.currency)
        click.echo(
            f"Bought within the budget{whose}: {use.seats} {names[use.tier]}, {price};"
            f" {full} for a full period; left: {left}"
        )


def _document(one: "Budget") -> dict[str, Any]:
    return {
        "tier": one.tier,
        "cost_centre": one.cost_centre,
        "seats": one.seats,
        "amount": one.amount,
        "currency": one.currency,
        "period": one.period,
        "from": one.start,
        "until": one.end,
        "seats_bought": one.seats_bought,
        "seats_left": one.seats_left,
        "amount_used": one.amount_used,
        "amount_charged": one.amount_charged,
        "amount_left": one.amount_left,
        "set_by": one.set_by,
        "set_at": one.set_at,
        "paused_until": one.paused_until,
        "refused_for": one.refused_for,
    }


def _caps(seats: int | None, amount: int | None, currency: str) -> str:
    caps = [] if seats is None else ["1 seat" if seats == 1 else f"{seats} seats"]
    if amount is not None:
        caps.append(_money(amount, currency))
    return " and ".join(caps)


def _money(amount: int, currency: str) -> str:
    from bridge.billing.rules.money import Currency, format_money

    return format_money(amount, Currency(currency))


def _minor(amount: str, currency: str) -> int:
    from bridge.billing.rules.money import Currency, to_minor
    from bridge.errors import InvalidInputError

    try:
        return to_minor(amount, Currency(currency))
    except ValueError as problem:
        raise InvalidInputError("amount", str(problem)) from None
