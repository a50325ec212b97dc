"""``seatbridge contract ...``: what is agreed: fixed fees, another plan, whether it goes on."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.dialogue import CommandT, Cost, Dialogue, Said, cost_of, dialogue_options, hold_dialogue
from bridge.cli.new_plans import begin, tell_budgets_end
from bridge.cli.seats import money
from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.store.unit import Unit
    from bridge.usecases.amend_contract import AmendmentConfirmation, AmendmentDraft, AmendmentPreview
    from bridge.usecases.change_plan import PlanConfirmation, PlanDraft, PlanPreview
    from bridge.usecases.charges import CostCheck


#: What a plan says for the books and not for people.
_UNSAID = frozenset({"billed_by", "reduction", "proration", "renewal_basis"})


@click.group()
def contract() -> None:
    """Contracts: show and amend a fixed fee, change the plan or begin another, renew by itself or not."""


contract.add_command(begin)


@contract.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show fee, tier, term, the next instalment, and how many users there are."""
    from bridge.cli.opening import open_organization
    from bridge.store.agreed import is_followed
    from bridge.usecases.amend_contract import read_fee
    from bridge.usecases.seats import contract_sentences, read_contract
    from bridge.usecases.tier_review import count_users

    with open_organization(org) as (_, unit):
        fee, contract = read_fee(unit), read_contract(unit)
        if as_json:
            print_json(
                {
                    "status": contract.status,
                    "auto_renew": contract.auto_renew,
                    **{name: getattr(fee, name) for name in fee.__slots__},
                    "users": count_users(unit),
                    "next_invoice": unit.billing.next_renewal(),
                }
            )
            return
        facts = fee_facts(unit)
        sentences = contract_sentences(contract, followed=is_followed(unit))
    print_facts(facts)
    click.echo()
    for sentence in sentences:
        click.echo(f"- {sentence}")


def fee_facts(unit: "Unit") -> dict[str, Any]:
    """Return what a fixed-fee contract says, by name; money as people read it."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.usecases.amend_contract import read_fee
    from bridge.usecases.seats import read_contract
    from bridge.usecases.tier_review import count_users

    fee, counts = read_fee(unit), count_users(unit)
    upcoming = unit.billing.next_renewal()
    currency = Currency(fee.currency)
    return {
        "status": read_contract(unit).status,
        "annual fee": format_money(fee.annual_fee, currency),
        "discount": f"{Decimal(fee.discount).normalize() * 100:f} %",
        "fee of a contract year": format_money(fee.fee, currency),
        "fee of this year's instalments": format_money(fee.year_fee, currency) if fee.year_fee != fee.fee else None,
        "schedule": ", ".join(f"{share} in month {month}" for month, share in fee.schedule),
        "tier": fee.tier,
        "paid users of the tier": fee.paid_users,
        "paid users": counts.paid,
        "free users": counts.free,
        "term": f"{fee.term_years} year" if fee.term_years == 1 else f"{fee.term_years} years",
        "term start": fee.term_start,
        "term end": fee.term_end,
        "contract year start": fee.year_start,
        "next instalment": fee.next_at,
        "next amount": upcoming and format_money(upcoming.total, currency),
    }


def amendment_options(command: CommandT) -> CommandT:
    """Add what can be amended to a command, for :func:`read_amendment`."""
    for option in (
        click.option(
            "--next-term", "ahead", is_flag=True, help="Agree it for the next term, at no cost: so a fee is lowered."
        ),
        click.option("--paid-users", type=click.IntRange(0), help="So many paid users the tier is meant for."),
        click.option("--tier", help="Name of the new tier."),
        click.option("--annual-fee", help="The new fee of a contract year, as 18000.00, before the agreed discount."),
    ):
        command = option(command)
    return command


@contract.command()
@org_argument
@amendment_options
@dialogue_options
def amend(
    org: str, *, annual_fee: str | None, tier: str | None, paid_users: int | None, ahead: bool, **said: Any
) -> None:
    """Amend the contract: first the cost with its formula, then the confirmation.

    A higher fee costs the difference for the rest of the contract year; a lower one is agreed for the next term, with
    --next-term. What is confirmed is charged exactly as it was shown, or not at all.
    """
    from bridge.usecases.amend_contract import amend_contract, confirm_amendment, preview_amendment

    def draft(unit: "Unit") -> "AmendmentDraft":
        return read_amendment(unit, annual_fee=annual_fee, tier=tier, paid_users=paid_users, ahead=ahead)

    hold_dialogue(
        org,
        Dialogue(
            preview=lambda unit: preview_amendment(unit, draft(unit)),
            show=lambda _, preview: show_amendment(preview),
            cost=lambda _, preview: cost_of(preview.quote.bill, preview.quote.currency),
            question="Confirm the amendment?",
            confirm=lambda unit, preview, key: confirm_amendment(unit, preview.id, acknowledged=True, key=key),
            at_once=lambda unit, key, check: amend_contract(unit, draft(unit), key, check=check),
            tell=tell_amendment,
        ),
        Said(**said),
    )


def plan_options(command: CommandT) -> CommandT:
    """Add what another plan consists of to a command, for :func:`read_plan`."""
    for option in (
        click.option("--seats", "numbers", multiple=True, metavar="TIER=NUMBER", help="Seats that it begins with."),
        click.option(
            "--price", "prices", multiple=True, metavar="TIER=PRICE", help="For a seat and period, as premium=1200.00."
        ),
        click.option(
            "--cycle", type=click.Choice(["month", "year"]), default="year", show_default=True, help="Its period."
        ),
        click.option("--kind", type=click.Choice(["team", "enterprise"]), required=True, help="The new plan."),
    ):
        command = option(command)
    return command


@contract.command("change-plan")
@org_argument
@plan_options
@dialogue_options
def change_plan(
    org: str, *, kind: str, cycle: str, prices: "Sequence[str]", numbers: "Sequence[str]", **said: Any
) -> None:
    """Agree another plan sold by seats from the next period on: first the renewal with and without it.

    Nothing is charged before. A price or number that is not named stays as it is, and within a kind of plan so does
    everything else that was agreed. It can be cancelled until then.
    """
    from bridge.usecases.change_plan import agree_plan_change, confirm_plan_change, preview_plan_change

    def draft(unit: "Unit") -> "PlanDraft":
        return read_plan(unit, kind=kind, cycle=cycle, prices=prices, numbers=numbers)

    def agree(unit: "Unit", key: str, check: "CostCheck") -> "PlanConfirmation":
        check(None, _currency(unit))
        return agree_plan_change(unit, draft(unit), key)

    hold_dialogue(
        org,
        Dialogue(
            preview=lambda unit: preview_plan_change(unit, draft(unit)),
            show=lambda _, preview: show_plan(preview),
            cost=lambda _, preview: Cost(0, preview.quote.currency),
            question="Agree this plan?",
            confirm=lambda unit, preview, key: confirm_plan_change(unit, preview.id, acknowledged=True, key=key),
            at_once=agree,
            tell=tell_plan,
        ),
        Said(**said),
    )


def tell_amendment(done: "AmendmentConfirmation") -> None:
    """Say what a confirmed amendment did."""
    invoice = done.invoice
    click.echo(f"Done. Invoice: {money(invoice.total, invoice.currency)}, {invoice.number}" if invoice else "Done.")


def tell_plan(done: "PlanConfirmation") -> None:
    """Say what was agreed."""
    click.echo(f"Agreed, from {text_of(done.effective_at)}.")


def read_plan(unit: "Unit", *, kind: str, cycle: str, prices: "Sequence[str]", numbers: "Sequence[str]") -> "PlanDraft":
    """Read another plan; prices are in major units.

    Raises:
        InvalidInputError: A price or a number cannot be read.
    """
    from bridge.billing.rules.money import Currency, to_minor
    from bridge.errors import InvalidInputError
    from bridge.usecases.change_plan import PlanDraft

    currency = Currency(_currency(unit))
    try:
        priced = {tier: to_minor(text, currency) for tier, text in map(_pair, prices)}
        counted = {tier: int(text) for tier, text in map(_pair, numbers)}
    except ValueError as error:
        raise InvalidInputError("price or seats", str(error)) from None
    return PlanDraft(kind, cycle, priced, counted)


def _pair(text: str) -> tuple[str, str]:
    tier, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"{text!r} is no pair such as premium=5")
    return tier, value


def show_plan(preview: "PlanPreview") -> None:
    """Show the renewal with and without another plan."""
    from bridge.billing.rules.money import Currency, format_money

    quote = preview.quote
    currency = Currency(quote.currency)
    for title, bill in (("as it is", quote.before), ("with this plan", quote.after)):
        click.echo(f"Renewal on {text_of(quote.effective_at)}, {title}:")
        print_table(
            ("tier", "amount", "formula"),
            [(line.tier, format_money(line.amount, currency), line.formula) for line in (bill.lines if bill else ())],
            empty="Nothing is billed",
        )
        click.echo(f"Total: {format_money(bill.total if bill else 0, currency)}\n")
    for sentence in quote.sentences:
        click.echo(sentence)
    tell_budgets_end(preview.budgets_dropped)


@contract.command()
@org_argument
@json_option
def agreed(org: str, *, as_json: bool) -> None:
    """Show what is agreed ahead and waits for the next term or period."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.agreed_changes import read_agreed_change
    from bridge.usecases.seats import read_contract

    with open_organization(org) as (_, unit):
        change, currency = read_agreed_change(unit), read_contract(unit).currency
    if as_json:
        print_json(change)
    elif change is None:
        click.echo("Nothing is agreed ahead")
    else:
        print_facts(
            {
                "from": change.effective_at,
                "agreed": change.agreed_at,
                "by": change.agreed_by,
                **{
                    name.replace("_", " "): _readable(name, value, currency)
                    for name, value in change.terms.items()
                    if value not in (None, {}, [], 0) and name not in _UNSAID
                },
            }
        )


def _readable(name: str, value: Any, currency: str) -> object:
    """Write what is agreed for people: money as money, what counts for each tier in one line."""
    from bridge.billing.rules.money import Currency, format_money

    def written(one: Any) -> object:
        return format_money(one, Currency(currency)) if name in {"prices", "annual_fee"} else one

    if name == "tiers":
        return ", ".join(
            f"{one['seats']:,} {one['name']} at {format_money(one['price'], Currency(currency))}"
            if one["seats"]
            else f"{one['name']} at {format_money(one['price'], Currency(currency))}"
            for one in value
        )
    if name == "fee":
        fee = format_money(value["annual_fee"], Currency(currency))
        return f"{fee} a year, tier {value['tier']}, {value['paid_users']:,} paid users"
    if isinstance(value, Mapping):
        return ", ".join(f"{tier} {written(one)}" for tier, one in sorted(value.items()))
    return written(value)


@contract.command()
@org_argument
@json_option
def cancel(org: str, *, as_json: bool) -> None:
    """Cancel what is agreed ahead: the contract goes on as it is."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.agreed_changes import cancel_agreed_change

    with open_organization(org) as (_, unit):
        change = cancel_agreed_change(unit)
    if as_json:
        print_json(change)
    else:
        click.echo("Cancelled: the contract goes on as it is.")


def read_amendment(
    unit: "Unit", *, annual_fee: str | None, tier: str | None, paid_users: int | None, ahead: bool
) -> "AmendmentDraft":
    """Read an amendment; the fee is in major units.

    Raises:
        InvalidInputError: It cannot be read.
    """
    from bridge.billing.rules.money import Currency, to_minor
    from bridge.errors import InvalidInputError
    from bridge.usecases.amend_contract import AmendmentDraft

    fee = None
    if annual_fee is not None:
        try:
            fee = to_minor(annual_fee, Currency(_currency(unit)))
        except ValueError as error:
            raise InvalidInputError("annual_fee", str(error)) from None
    return AmendmentDraft(annual_fee=fee, tier=tier, paid_users=paid_users, ahead=ahead)


def _currency(unit: "Unit") -> str:
    from bridge.usecases.seats import read_contract

    return read_contract(unit).currency


def show_amendment(preview: "AmendmentPreview") -> None:
    """Show what an amendment would cost, with its formula."""
    from bridge.billing.rules.money import Currency, format_money

    quote = preview.quote
    currency = Currency(quote.currency)
    if quote.bill is not None:
        print_table(
            ("tier", "amount", "formula"),
            [(line.tier, format_money(line.amount, currency), line.formula) for line in quote.bill.lines],
            empty="Nothing is charged",
        )
        for name, amount in (
            ("Subtotal", quote.bill.subtotal),
            ("Tax", quote.bill.tax),
            ("Total today", quote.bill.total),
            ("Credit used", quote.bill.credit_applied),
            ("Due today", quote.bill.amount_due),
        ):
            click.echo(f"{name}: {format_money(amount, currency)}")
    for sentence in quote.sentences:
        click.echo(sentence)


@contract.command("auto-renew")
@org_argument
@click.argument("value", type=click.Choice(["on", "off"]))
@json_option
def auto_renew(org: str, value: str, *, as_json: bool) -> None:
    """Say whether the plan goes on by itself when its term ends, or ends there; any kind of plan."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.renew_contract import set_auto_renew

    with open_organization(org) as (_, unit):
        set_auto_renew(unit, value=value == "on")
    if as_json:
        print_json({"auto_renew": value == "on"})
    else:
        click.echo("The plan renews by itself." if value == "on" else "The plan ends with its term.")
