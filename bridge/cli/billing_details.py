"""``seatbridge billing details ...``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json

if TYPE_CHECKING:
    from bridge.domain.billing_parties import BillingDetails

_TEXTS = {
    "legal_name": "Whom invoices are made out to; the organization's name by default.",
    "postal_code": "Postal code.",
    "city": "Town.",
    "country": "Two letters of ISO 3166-1, as SE.",
    "vat_id": "VAT identifier with its country in front, as SE556000000001.",
    "purchase_order": "The buyer's order number.",
    "buyer_reference": "What the buyer routes invoices by, such as a Leitweg-ID.",
    "cost_reference": "The account or cost centre that the buyer books invoices on.",
}


@click.group()
def details() -> None:
    """Whom invoices are made out to and where they go: show, set."""


@details.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show the buyer as the next invoice will name it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.billing_details import read_billing_details

    with open_organization(org) as (_, unit):
        found = read_billing_details(unit)
    _tell(found, as_json=as_json)


def _text_options(command: Any) -> Any:
    for name, text in reversed(_TEXTS.items()):
        command = click.option(f"--{name.replace('_', '-')}", name, help=text)(command)
    return command


@details.command("set")
@org_argument
@_text_options
@click.option("--address-line", "lines", multiple=True, help="Before the town: street and number. Up to three.")
@click.option("--mailbox", "mailboxes", multiple=True, help="Where invoices go as PDF. Repeat it; replaces those set.")
@click.option("--terms-days", "payment_terms_days", type=int, help="Days from an invoice's date to the day it is due.")
@click.option("--clear", multiple=True, metavar="FIELD", help="Forget a field, named as `show --json` names it.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Read fields from a YAML or JSON file; options win over it.",
)
@json_option
def set_(org: str, clear: tuple[str, ...], file: Path | None, *, as_json: bool, **options: Any) -> None:
    """Set some billing details; they count for invoices issued from now on, and what is not named stays."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.billing_details import change_billing_details

    changes = {} if file is None else read_details(file)
    changes |= {name: value for name, value in options.items() if value not in (None, ())}
    changes |= dict.fromkeys(clear)
    if not changes:
        raise click.UsageError("name what is to be set: `--help` lists the options")
    with open_organization(org) as (_, unit):
        changed = change_billing_details(unit, changes)
    _tell(changed, as_json=as_json)


def read_details(file: Path) -> dict[str, object]:
    """Read billing details from a YAML or JSON document.

    Raises:
        InvalidInputError: It is no mapping of names to values.
    """
    from bridge.cli.documents import load_document
    from bridge.errors import InvalidInputError

    document = load_document(file, as_texts=True)
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise InvalidInputError("file", f"{file} must hold names and values, such as `legal_name: Nordlys AB`")
    return document


def _tell(found: "BillingDetails", *, as_json: bool) -> None:
    from bridge.domain.billing_parties import flat

    fields = flat(found)
    if as_json:
        print_json(fields)
        return
    terms = found.payment_terms_days
    print_facts(
        {
            "made out to": found.legal_name or "the organization's name",
            "address": ", ".join(found.address.in_lines()),
            "VAT identifier": found.vat_id,
            "order number": found.purchase_order,
            "buyer's reference": found.buyer_reference,
            "cost reference": found.cost_reference,
            "sent as PDF to": ", ".join(found.mailboxes) or "nobody: invoices are downloaded",
            "to be paid within": "the seller's usual terms" if terms is None else f"{terms} days",
        }
    )
