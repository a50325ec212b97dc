"""``seatbridge invoice ...``."""

from zoneinfo import ZoneInfo

import click

from bridge.cli.seats import line_table
from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table

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
    """Invoices with their arithmetic: list, show."""


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
    from sqlalchemy import select

    from bridge.billing.rules.money import Currency, format_money
    from bridge.cli.opening import open_organization
    from bridge.errors import NotFoundError
    from bridge.store.models import Invoice
    from bridge.usecases.seats import read_invoice

    with open_organization(org) as (_, unit):
        wanted = select(Invoice.id).where(Invoice.org_id == unit.org_id, Invoice.number == number.upper())
        invoice_id = unit.session.scalar(wanted)
        if invoice_id is None:
            raise NotFoundError("invoice", number)
        view, zone = read_invoice(unit, invoice_id), ZoneInfo(unit.organization().time_zone)
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
