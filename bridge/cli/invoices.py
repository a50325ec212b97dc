"""``seatbridge invoice ...``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from bridge.cli.files import export_tables, write_file
from bridge.cli.seats import line_table as print_lines
from bridge.cli.showing import harmless_line, json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.billing.why_invoice import WhyInvoice, WhyLine
    from bridge.domain.tables import Table
    from bridge.ports import Bill
    from bridge.store.models import Invoice
    from bridge.store.unit import Unit

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
    """Invoices with their arithmetic: preview, list, show, why, export, send."""


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
@json_option
def preview(org: str, *, as_json: bool) -> None:
    """Show the next invoice as it would be from today's seats; nothing is written."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.seats import read_next_invoice

    with open_organization(org) as (_, unit):
        found = read_next_invoice(unit)
        zone = ZoneInfo(unit.organization().time_zone)
    if as_json:
        print_json({"next_invoice": found})
        return
    if found is None:
        click.echo("No invoice follows: the plan bills nothing more")
        return
    bill = found.bill
    print_facts({"invoice": "the next one", "date": f"{found.at.astimezone(zone):%Y-%m-%d}", "reason": bill.reason})
    click.echo()
    print_lines(bill.lines, bill.currency)
    click.echo()
    _print_totals(bill)


@invoice.command()
@org_argument
@click.argument("number")
@json_option
def show(org: str, number: str, *, as_json: bool) -> None:
    """Show one invoice, each line with its formula."""
    from bridge.billing.documents import find_by_number
    from bridge.billing.rules.money import Currency, format_money
    from bridge.cli.opening import open_organization
    from bridge.usecases.seats import read_invoice

    with open_organization(org) as (_, unit):
        view = read_invoice(unit, find_by_number(unit, number))
        zone = ZoneInfo(unit.organization().time_zone)
    found = view.invoice
    if as_json:
        lines = [{field: getattr(line, field) for field in _LINE_FIELDS} for line in view.lines]
        print_json({field: getattr(found, field) for field in _FIELDS} | {"paid": view.paid, "lines": lines})
        return
    print_facts({"invoice": found.number, "date": f"{found.at.astimezone(zone):%Y-%m-%d}", "reason": found.reason})
    click.echo()
    print_lines(view.lines, found.currency)
    click.echo()
    _print_totals(found)
    click.echo(f"Paid: {format_money(view.paid, Currency(found.currency))}")


@invoice.command()
@org_argument
@click.argument("number")
@click.argument("line", type=click.IntRange(1), required=False)
@json_option
def why(org: str, number: str, line: int | None, *, as_json: bool) -> None:
    """Explain an invoice, or one LINE of it: the event behind it, the people, the arithmetic, and what is new."""
    from bridge.billing.documents import find_by_number
    from bridge.billing.why_invoice import why_invoice
    from bridge.cli.opening import open_organization
    from bridge.errors import NotFoundError

    with open_organization(org) as (_, unit):
        found = why_invoice(unit, find_by_number(unit, number))
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


@invoice.command()
@org_argument
@click.argument("numbers", nargs=-1, metavar="[NUMBER]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["pdf", "xml", "ubl", "csv", "xlsx"]),
    default="pdf",
    show_default=True,
    help="Kind of file: documents (pdf, xml, ubl), or a table of all (csv, xlsx).",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Folder that the files go to, or the one file of a table; - for standard output. Default: here.",
)
@click.option("--lines", is_flag=True, help="csv: a row for each line, instead of one for each invoice.")
@json_option
def export(org: str, numbers: tuple[str, ...], form: str, output: Path | None, *, lines: bool, as_json: bool) -> None:
    """Write invoices as files: PDF with the e-invoice inside, e-invoice (EN 16931) alone, or a table of all.

    The e-invoice is a Cross Industry Invoice (xml) or UBL 2.1 (ubl), whichever the buyer's software asks for.

    Without a NUMBER every invoice is written. An XLSX file has both, invoices and lines.
    """
    if form in {"csv", "xlsx"}:
        if numbers:
            raise click.UsageError("a table holds every invoice: leave the NUMBER out")
        _export_tables(org, form, output, lines=lines, as_json=as_json)
        return
    if lines:
        raise click.UsageError("--lines is for csv")
    _export_documents(org, numbers, form, output or Path(), as_json=as_json)


def _export_tables(org: str, form: str, output: Path | None, *, lines: bool, as_json: bool) -> None:
    from bridge.billing.tables import invoice_table, line_table

    def make(unit: "Unit") -> "list[Table]":
        if form == "xlsx":
            return [invoice_table(unit), line_table(unit)]
        return [line_table(unit) if lines else invoice_table(unit)]

    what = "invoice-lines" if lines and form == "csv" else "invoices"
    export_tables(org, make, what="invoices", name=f"{what}-{org}", form=form, output=output, as_json=as_json)


def _export_documents(org: str, numbers: tuple[str, ...], form: str, output: Path, *, as_json: bool) -> None:
    from bridge.cli.opening import open_organization

    to_stdout = str(output) == "-"
    if to_stdout and (len(numbers) != 1 or as_json):
        raise click.UsageError("--output - takes one NUMBER and no --json")
    made = []
    with open_organization(org) as (_, unit):
        for name, content in _files(unit, numbers, form):
            if to_stdout:
                sys.stdout.buffer.write(content)
                continue
            write_file(output / name, content)
            made.append({"file": str(output / name), "bytes": len(content)})
    if as_json:
        print_json(made)
    elif not to_stdout:
        print_table(("file", "bytes"), [tuple(one.values()) for one in made], empty="No invoice yet")


@invoice.command()
@org_argument
@click.argument("number")
@json_option
def send(org: str, number: str, *, as_json: bool) -> None:
    """Send an invoice once more, as PDF, to the mailboxes of the billing details."""
    from bridge.billing.documents import find_by_number
    from bridge.cli.opening import open_organization
    from bridge.usecases.seats import read_invoice
    from bridge.usecases.send_invoice import send_invoice

    with open_organization(org) as (_, unit):
        invoice_id = find_by_number(unit, number)
        number = read_invoice(unit, invoice_id).invoice.number
        mailboxes = send_invoice(unit, invoice_id)
    if as_json:
        print_json({"invoice": number, "to": mailboxes})
    else:
        click.echo(f"{harmless_line(number)} is on its way to {', '.join(mailboxes)}: `seatbridge delivery list {org}`")


def _files(unit: "Unit", numbers: tuple[str, ...], form: str) -> "Iterator[tuple[str, bytes]]":
    from bridge.billing.cii import to_cii
    from bridge.billing.documents import find_by_number, list_ids, read_document
    from bridge.billing.pdf import to_pdf
    from bridge.billing.ubl import to_ubl
    from bridge.usecases.exports import record_export

    writers = {"pdf": to_pdf, "xml": to_cii, "ubl": to_ubl}
    endings = {"pdf": ".pdf", "xml": ".xml", "ubl": "-ubl.xml"}
    ids = [find_by_number(unit, number) for number in numbers] if numbers else list_ids(unit)
    for invoice_id in ids:
        document = read_document(unit, invoice_id)
        yield f"{document.file_name}{endings[form]}", writers[form](document)
        record_export(unit, "invoice", form=form, rows=1, subject_id=document.id)


def _print_totals(bill: "Bill | Invoice") -> None:
    from bridge.billing.rules.money import Currency, format_money

    currency = Currency(bill.currency)
    for name, amount in (
        ("Subtotal", bill.subtotal),
        ("Tax", bill.tax),
        ("Total", bill.total),
        ("Credit used", bill.credit_applied),
        ("Amount due", bill.amount_due),
    ):
        click.echo(f"{name}: {format_money(amount, currency)}")
