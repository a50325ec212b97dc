"""``seatbridge contract begin``: another plan, at once or when the present one ends."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.dialogue import Cost, Dialogue, Said, cost_of, dialogue_options, hold_dialogue
from bridge.cli.plan_terms import read_terms, terms_options
from bridge.cli.showing import org_argument, print_table, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.ports import ContractDraft
    from bridge.store.unit import Unit
    from bridge.usecases.new_plan import NewPlanConfirmation, NewPlanPreview

#: So many people are named whose seat changes; --json names all.
_NAMED = 20


@click.command()
@org_argument
@terms_options(kind=None, currency=None, tax_rate=None, time_zone=None)
@click.option("--next", "ahead", is_flag=True, help="Agree it to follow when the present plan or evaluation ends.")
@dialogue_options
def begin(
    org: str,
    *,
    ahead: bool,
    only_preview: bool,
    yes: bool,
    accept_cost: str | None,
    key: str | None,
    as_json: bool,
    **terms: Any,
) -> None:
    """Begin another plan of any kind: first its invoice with the formula and who gets which seat, then confirm.

    It begins now where the plan has ended or an evaluation is to be converted, and with --next when the present plan
    ends. Old invoices and all data stay. What is agreed with --next can be cancelled until then.
    """
    said = Said(only_preview=only_preview, yes=yes, accept_cost=accept_cost, key=key, as_json=as_json)
    hold_dialogue(org, new_plan_dialogue(terms, ahead=ahead), said)


def new_plan_dialogue(terms: dict[str, Any] | None, *, ahead: bool) -> "Dialogue[NewPlanPreview, NewPlanConfirmation]":
    """Return the dialogue about a plan as the options write it; without any, about the one that was agreed."""
    from bridge.usecases.new_plan import confirm_new_plan, preview_new_plan, take_new_plan

    def draft(unit: "Unit") -> "ContractDraft | None":
        return None if terms is None else _draft(unit, terms)

    def cost(_: "Unit", preview: "NewPlanPreview") -> Cost:
        return cost_of(None if preview.ahead else preview.quote.bill, preview.quote.contract.currency)

    return Dialogue(
        preview=lambda unit: preview_new_plan(unit, draft(unit), ahead=ahead),
        show=show_new_plan,
        cost=cost,
        question="Agree this plan?" if ahead else "Begin this plan?",
        confirm=lambda unit, preview, key: confirm_new_plan(unit, preview.id, acknowledged=True, key=key),
        at_once=lambda unit, key, check: take_new_plan(unit, draft(unit), ahead=ahead, key=key, check=check),
        tell=lambda done: click.echo(_told(done)),
    )


def _draft(unit: "Unit", terms: dict[str, Any]) -> "ContractDraft":
    """Read the plan; what is not named is as the present contract has it."""
    from bridge.usecases.seats import read_contract

    contract = read_contract(unit)
    kept = {name: terms[name] or getattr(contract, name) for name in ("currency", "tax_rate", "time_zone")}
    return replace(read_terms(unit.at, **{**terms, **kept}), anchor=unit.at)


def show_new_plan(unit: "Unit", preview: "NewPlanPreview") -> None:
    """Show the first invoice of a plan with its formula, and what becomes of people's seats."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.usecases.people import name_people

    quote, seats = preview.quote, preview.seats
    plan, bill, currency = quote.contract, quote.bill, Currency(quote.contract.currency)
    when = f"when the present one ends, on {text_of(quote.start)}" if preview.ahead else "now"
    click.echo(f"{plan.kind.replace('_', ' ').capitalize()} plan, {when}; first period until {text_of(quote.end)}.\n")
    print_table(
        ("tier", "amount", "formula"),
        [(line.tier, format_money(line.amount, currency), line.formula) for line in (bill.lines if bill else ())],
        empty="Nothing is billed when it begins.",
    )
    if bill is not None:
        rows = [("Subtotal", bill.subtotal), ("Tax", bill.tax), ("Total", bill.total)]
        rows += [("Credit used", bill.credit_applied)] if bill.credit_applied else []
        for name, amount in (*rows, ("Amount due", bill.amount_due)):
            click.echo(f"{name}: {format_money(amount, currency)}")
    click.echo()
    print_table(
        ("tier", "seats", "keep theirs", "are given one", "free", "wait"),
        [
            (one.name, one.seats, one.kept, one.given, one.seats - one.kept - one.given, one.waiting)
            for one in seats.tiers
        ],
        empty="The plan is not sold by seats: nobody needs one.",
    )
    if seats.waiting_for_any:
        click.echo(f"Wait for a seat of any tier: {seats.waiting_for_any:,}")
    people = name_people(unit, {move.member_id for move in seats.moves[:_NAMED]})
    for move in seats.moves[:_NAMED]:
        click.echo(f"- {people[move.member_id]}: {move.from_tier or 'no seat'} → {move.to_tier or 'no seat'}")
    if len(seats.moves) > _NAMED:
        click.echo(f"- and {len(seats.moves) - _NAMED:,} more; --json names everybody")
    if seats.unspoken:
        click.echo(f"The mappings name {', '.join(seats.unspoken)}, which this plan does not have: no seat by that.")
    tell_budgets_end(preview.budgets_dropped)
    if preview.ahead:
        click.echo("Seats are as people are today. Nothing is charged before, and it can be cancelled until then.")


def tell_budgets_end(names: "Sequence[str]") -> None:
    """Say which budgets end with the plan, if any."""
    if names:
        click.echo(f"Budgets end with the plan ({', '.join(names)}): set them anew once the new one has begun.")


def _told(done: "NewPlanConfirmation") -> str:
    from bridge.billing.rules.money import Currency, format_money

    kind = done.kind.replace("_", " ")
    if done.ahead:
        return f"Agreed: the {kind} plan begins on {text_of(done.effective_at)}."
    invoice = done.invoice
    cost = f" Invoice: {format_money(invoice.total, Currency(invoice.currency))}, {invoice.number}." if invoice else ""
    return f"The {kind} plan has begun.{cost}"
