"""``seatbridge contract ...``: contracts for a fixed fee."""

from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from bridge.store.unit import Unit
    from bridge.usecases.amend_contract import AmendmentDraft, AmendmentPreview


@click.group()
def contract() -> None:
    """Fixed-fee contracts: show, amend, renew by itself or not."""


@contract.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show fee, tier, term, the next instalment, and how many users there are."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.seats import contract_sentences, read_contract

    with open_organization(org) as (_, unit):
        facts = fee_facts(unit)
        sentences = contract_sentences(read_contract(unit))
    if as_json:
        print_json(facts)
        return
    print_facts(facts)
    click.echo()
    for sentence in sentences:
        click.echo(f"- {sentence}")


def fee_facts(unit: "Unit") -> dict[str, Any]:
    """Return what a fixed-fee contract says, by name; money as people read it."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.usecases.amend_contract import read_fee
    from bridge.usecases.tier_review import count_users

    fee, counts = read_fee(unit), count_users(unit)
    upcoming = unit.billing.next_renewal()
    currency = Currency(fee.currency)
    return {
        "annual fee": format_money(fee.annual_fee, currency),
        "discount": fee.discount,
        "fee of a contract year": format_money(fee.fee, currency),
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


@contract.command()
@org_argument
@click.option("--annual-fee", help="The new fee of a contract year, as 18000.00, before the agreed discount.")
@click.option("--tier", help="Name of the new tier.")
@click.option("--paid-users", type=click.IntRange(0), help="So many paid users the tier is meant for.")
@click.option("--preview", "only_preview", is_flag=True, help="Show the cost and stop.")
@click.option("--yes", is_flag=True, help="Accept the cost without being asked.")
@click.option("--key", help="Idempotency key: a repeat with the same key charges nothing and answers the same.")
@json_option
def amend(org: str, *, only_preview: bool, yes: bool, key: str | None, as_json: bool, **wanted: Any) -> None:
    """Amend the contract: first the cost with its formula, then the confirmation.

    A higher fee costs the difference for the rest of the contract year; a lower one waits for the renewal. What is
    confirmed is charged exactly as it was shown, or not at all.
    """
    from bridge.billing.rules.money import Currency, format_money
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.amend_contract import amend_contract, confirm_amendment, preview_amendment

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to amend, or --preview to see the cost")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            draft = _draft(unit, **wanted)
        if yes and key is not None:
            # Straight away: a repeat must answer as the first time, when the contract is amended already.
            with runtime.unit(org_id, OPERATOR) as unit:
                done = amend_contract(unit, draft, key)
        else:
            with runtime.unit(org_id, OPERATOR) as unit:
                preview = preview_amendment(unit, draft)
            if only_preview and as_json:
                print_json(preview)
                return
            if not as_json:
                show_amendment(preview)
            if only_preview:
                return
            if not yes:
                click.confirm("Confirm the amendment and its cost?", abort=True)
            with runtime.unit(org_id, OPERATOR) as unit:
                done = confirm_amendment(unit, preview.id, acknowledged=True, key=key)
    if as_json:
        print_json(done)
        return
    invoice = done.invoice
    cost = f" Invoice: {format_money(invoice.total, Currency(invoice.currency))}, {invoice.number}" if invoice else ""
    click.echo(f"Done.{cost}")


def _draft(unit: "Unit", *, annual_fee: str | None, tier: str | None, paid_users: int | None) -> "AmendmentDraft":
    from bridge.billing.rules.money import Currency, to_minor
    from bridge.errors import InvalidInputError
    from bridge.usecases.amend_contract import AmendmentDraft
    from bridge.usecases.seats import read_contract

    fee = None
    if annual_fee is not None:
        try:
            fee = to_minor(annual_fee, Currency(read_contract(unit).currency))
        except ValueError as error:
            raise InvalidInputError("annual_fee", str(error)) from None
    return AmendmentDraft(annual_fee=fee, tier=tier, paid_users=paid_users)


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
