"""``seatbridge invoice ...``."""

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from bridge.cli.seats import line_table
from bridge.cli.showing import harmless_line, json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from bridge.billing.why_invoice import WhyInvoice, WhyLine

_FIELDS = (
    "id",
    "number",
    "type",
    "reason",
    "at",
    "currency",
    "subtotal",
    "tax",
    "total",
    "credit_applied",
    "amount_due",
)
_LINE_FIELDS = (
    "position",
    "kind",
    "tier",
    "quantity",
    "start",
    "end",
    "unit_price",
    "amount",
    "formula",
    "exact",
    "explanation",
)


@click.group()
def invoice() -> None:
    """Invoices with their arithmetic: list, show, why."""


@invoice.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List the newest invoices."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.cli.opening import open_organization
    from bridge.usecases.seats import list_invoices

    with open_organization(org) as (_, unit):
        views, zone = list_invoices(unit), ZoneInfo(unit.organization().time_zone)
    if as_json:
        print_json([{field: getattr(view.invoice, field) for field in _FIELDS} | {"paid": view.paid} for view in views])
        return
    print_table(
        ("number", "date", "reason", "total", "due", "paid"),
        [
            (
                view.invoice.number,
                f"{view.invoice.at.astimezone(zone):%Y-%m-%d}",
                view.invoice.reason,
                *(
                    format_money(amount, Currency(view.invoice.currency))
                    for amount in (view.invoice.total, view.invoice.amount_due, view.paid)
                ),
            )
            for view in views
        ],
        empty="No invoice yet",
    )


@invoice.command()
@org_argument
@click.argument("number")
@json_option
def show(org: str, number: str, *, as_json: bool) -> None:
    """Show one invoice, each line with its formula."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.billing.why_invoice import find_invoice_by_number
    from bridge.cli.opening import open_organization
    from bridge.usecases.seats import read_invoice

    with open_organization(org) as (_, unit):
        view = read_invoice(unit, find_invoice_by_number(unit, number).id)
        zone = ZoneInfo(unit.organization().time_zone)
    found, currency = view.invoice, Currency(view.invoice.currency)
    if as_json:
        lines = [{field: getattr(line, field) for field in _LINE_FIELDS} for line in view.lines]
        print_json({field: getattr(found, field) for field in _FIELDS} | {"paid": view.paid, "lines": lines})
        return
    print_facts({"invoice": found.number, "date": f"{found.at.astimezone(zone):%Y-%m-%d}", "reason": found.reason})
    click.echo()
    line_table(view.lines, found.currency)
    click.echo()
    for name, amount in (
        ("Subtotal", found.subtotal),
        ("Tax", found.tax),
        ("Total", found.total),
        ("Credit used", found.credit_applied),
        ("Amount due", found.amount_due),
        ("Paid", view.paid),
    ):
        click.echo(f"{name}: {format_money(amount, currency)}")


@invoice.command()
@org_argument
@click.argument("number")
@click.argument("line", type=click.IntRange(1), required=False)
@json_option
def why(org: str, number: str, line: int | None, *, as_json: bool) -> None:
    """Explain an invoice, or one LINE of it: the event behind it, the people, the arithmetic, and what is new."""
    from bridge.billing.why_invoice import find_invoice_by_number, why_invoice
    from bridge.cli.opening import open_organization
    from bridge.errors import NotFoundError

    with open_organization(org) as (_, unit):
        found = why_invoice(unit, find_invoice_by_number(unit, number).id)
    lines = [one for one in found.lines if line in {None, one.line.position}]
    if not lines:
        raise NotFoundError("line", f"{line} of {number}")
    if as_json:
        print_json(_why_as_json(found, lines))
        return
    view = found.view.invoice
    cause = found.cause
    print_facts(
        {"invoice": view.number, "because": cause.text, "by": cause.actor, "at": cause.at, "request": cause.request_id}
    )
    for one in lines:
        _print_line(one, found.before)


def _print_line(found: "WhyLine", before: str | None) -> None:
    click.echo(f"\nLine {found.line.position}: {harmless_line(found.name)}")
    click.echo(f"  {harmless_line(found.sentence)}")
    for step in found.steps:
        click.echo(f"  - {step}")
    if found.people:
        title = {"people": "Counted", "teams": "Counted"}.get(found.counts, "Held by")
        click.echo(f"  {title}:")
        for one in found.people:
            click.echo(f"    {harmless_line(f'{one.name}: {one.detail}')}")
    if found.changes:
        click.echo(f"  Since {before}:")
        for change in found.changes:
            click.echo(f"  - {harmless_line(change)}")


def _why_as_json(found: "WhyInvoice", lines: "list[WhyLine]") -> dict[str, object]:
    return {
        "number": found.view.invoice.number,
        "cause": found.cause,
        "compared_with": found.before,
        "lines": [
            {field: getattr(one.line, field) for field in (*_LINE_FIELDS, "share")}
            | {
                "name": one.name,
                "sentence": one.sentence,
                "steps": one.steps,
                "counts": one.counts,
                "people": one.people,
                "unheld": one.unheld,
                "changes": one.changes,
            }
            for one in lines
        ],
    }
