"""``seatbridge contract begin``: another plan, at once or when the present one ends."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.plan_options import plan_options, read_plan
from bridge.cli.showing import json_option, org_argument, print_json, print_table, text_of

if TYPE_CHECKING:
    from bridge.ports import ContractDraft
    from bridge.store.unit import Unit
    from bridge.usecases.new_plan import NewPlanConfirmation, NewPlanPreview

#: So many people are named whose seat changes; --json names all.
_NAMED = 20


@click.command()
@org_argument
@plan_options(kind=None, currency=None, tax_rate=None, time_zone=None)
@click.option("--next", "ahead", is_flag=True, help="Agree it to follow when the present plan or evaluation ends.")
@click.option("--preview", "only_preview", is_flag=True, help="Show the first invoice and the seats, and stop.")
@click.option("--yes", is_flag=True, help="Accept without being asked.")
@click.option("--key", help="Idempotency key: a repeat with the same key begins nothing and answers the same.")
@json_option
def begin(
    org: str, *, ahead: bool, only_preview: bool, yes: bool, key: str | None, as_json: bool, **terms: Any
) -> None:
    """Begin another plan of any kind: first its invoice with the formula and who gets which seat, then confirm.

    It begins now where the plan has ended or an evaluation is to be converted, and with --next when the present plan
    ends. Old invoices and all data stay. What is agreed with --next can be cancelled until then.
    """
    begin_interactively(org, terms, ahead=ahead, only_preview=only_preview, yes=yes, key=key, as_json=as_json)


def begin_interactively(
    org: str,
    terms: dict[str, Any] | None,
    *,
    ahead: bool,
    only_preview: bool,
    yes: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Preview, ask and begin; without terms the plan that was agreed to follow."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.new_plan import confirm_new_plan, preview_new_plan, take_new_plan

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to begin, or --preview to see the cost")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            draft = None if terms is None else _draft(unit, terms)
        if yes and key is not None:
            # Straight away: a repeat must answer as the first time, when the plan has begun already.
            with runtime.unit(org_id, OPERATOR) as unit:
                done = take_new_plan(unit, draft, ahead=ahead, key=key)
        else:
            with runtime.unit(org_id, OPERATOR) as unit:
                preview = preview_new_plan(unit, draft, ahead=ahead)
                if not as_json:
                    show_new_plan(unit, preview)
            if only_preview:
                if as_json:
                    print_json(preview)
                return
            if not yes:
                click.confirm("Agree this plan?" if ahead else "Begin this plan?", abort=True)
            with runtime.unit(org_id, OPERATOR) as unit:
                done = confirm_new_plan(unit, preview.id, acknowledged=True, key=key)
    if as_json:
        print_json(done)
    else:
        click.echo(_told(done))


def _draft(unit: "Unit", terms: dict[str, Any]) -> "ContractDraft":
    """Read the plan; what is not named is as the present contract has it."""
    from bridge.usecases.seats import read_contract

    contract = read_contract(unit)
    kept = {name: terms[name] or getattr(contract, name) for name in ("currency", "tax_rate", "time_zone")}
    return replace(read_plan(unit.at, **{**terms, **kept}), anchor=unit.at)


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
    names = name_people(unit, {move.member_id for move in seats.moves[:_NAMED]})
    for move in seats.moves[:_NAMED]:
        click.echo(f"- {names[move.member_id]}: {move.from_tier or 'no seat'} → {move.to_tier or 'no seat'}")
    if len(seats.moves) > _NAMED:
        click.echo(f"- and {len(seats.moves) - _NAMED:,} more; --json names everybody")
    if seats.unspoken:
        click.echo(f"The mappings name {', '.join(seats.unspoken)}, which this plan does not have: no seat by that.")
    if preview.ahead:
        click.echo("Seats are as people are today. Nothing is charged before, and it can be cancelled until then.")


def _told(done: "NewPlanConfirmation") -> str:
    from bridge.billing.rules.money import Currency, format_money

    kind = done.kind.replace("_", " ")
    if done.ahead:
        return f"Agreed: the {kind} plan begins on {text_of(done.effective_at)}."
    invoice = done.invoice
    cost = f" Invoice: {format_money(invoice.total, Currency(invoice.currency))}, {invoice.number}." if invoice else ""
    return f"The {kind} plan has begun.{cost}"
