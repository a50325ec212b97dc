"""``seatbridge org ...``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.plan_terms import read_terms, start_option, terms_options
from bridge.cli.showing import CommandT, json_option, org_argument, print_facts, print_json, print_table
from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bridge.ports import ContractDraft


@click.group()
def org() -> None:
    """Organizations: create, list, show."""


def owner_options(command: CommandT) -> CommandT:
    """Add whom a customer is, and who its first owner is, to a command that takes one in."""
    for option in (
        click.option(
            "--billing-details",
            type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
            help="YAML or JSON file with what the first invoice is to say of the buyer: legal_name, country, vat_id, "
            "...",
        ),
        click.option("--owner-name", default="", help="Default: the address."),
        click.option("--owner-email", required=True, help="The primary owner, who is told of invoices and alerts."),
        click.option(
            "--locale",
            type=click.Choice(["en", "fr", "nl", "sv"]),
            default="en",
            show_default=True,
            help="Language of mails and documents.",
        ),
        click.option("--name", required=True, help="What pages and invoices call the customer."),
    ):
        command = option(command)
    return command


@org.command()
@click.argument("slug")
@terms_options(kind="team", currency="EUR", tax_rate="0", time_zone="UTC")
@start_option
@click.option(
    "--own-core",
    is_flag=True,
    help="team, enterprise: a core of the customer's own bills it; no invoice is issued. Next: `billing connect`.",
)
@owner_options
@json_option
def create(
    slug: str,
    *,
    name: str,
    locale: str,
    owner_email: str,
    owner_name: str,
    billing_details: Path | None,
    as_json: bool,
    **terms: Any,
) -> None:
    """Take a customer in: plan, pools of seats, first invoice, and a link that signs the owner in once."""
    take_in(
        slug,
        lambda now: read_terms(now, **terms),
        time_zone=terms["time_zone"],
        name=name,
        locale=locale,
        owner_email=owner_email,
        owner_name=owner_name,
        billing_details=billing_details,
        as_json=as_json,
    )


def take_in(
    slug: str,
    contract: "Callable[[datetime], ContractDraft]",
    *,
    time_zone: str,
    name: str,
    locale: str,
    owner_email: str,
    owner_name: str,
    billing_details: Path | None,
    as_json: bool,
) -> None:
    """Take a customer in with the plan that ``contract`` gives for now, and print what it needs to begin."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.cli.billing_details import read_details
    from bridge.cli.opening import open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.organizations import OrganizationDraft
    from bridge.usecases.sign_in_links import create_sign_in_link

    with open_runtime() as runtime:
        draft = OrganizationDraft(
            slug=slug,
            name=name,
            locale=locale,
            time_zone=time_zone,
            contract=contract(runtime.clock.now()),
            owner_email=owner_email,
            owner_name=owner_name,
            billing=read_details(billing_details) if billing_details else {},
        )
        created = runtime.create_organization(draft)
        with runtime.unit(created.org_id, OPERATOR) as unit:
            link = create_sign_in_link(unit, created.owner_id)
        invoice, until = created.invoice, draft.contract.until
        public_url = runtime.settings.server.public_url
        facts = {
            "organization": slug,
            "id": created.org_id,
            **({"in evaluation until": until} if until else {}),
            "invoice": invoice and f"{invoice.number}: {format_money(invoice.total, Currency(invoice.currency))}",
            "SCIM base URL": f"{public_url}/scim/v2/{slug}",
            "sign-in link": f"{public_url}/sign-in/link/{link.text}",
        }
        if as_json:
            print_json({**facts, "invoice": invoice})
        else:
            print_facts(facts)
            click.echo("The link signs the owner in once, within a day; `seatbridge admin recover` makes another.")


@org.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List every organization."""
    from bridge.cli.opening import open_runtime
    from bridge.store import gate

    with open_runtime() as runtime:
        rows = runtime.ask_gate(gate.list_organizations)
    if as_json:
        print_json([{"id": org_id, "slug": slug, "name": name} for org_id, slug, name in rows])
    else:
        table = [(slug, name, org_id) for org_id, slug, name in rows]
        print_table(("slug", "name", "id"), table, empty="No organization yet: `seatbridge org create --help`")


@org.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show an organization: its plan, period and seats, or what its contract says."""
    from bridge.cli.contracts import fee_facts
    from bridge.cli.opening import open_organization
    from bridge.cli.seats import pool_table
    from bridge.cli.teams import licence_facts
    from bridge.store.agreed import is_followed
    from bridge.usecases.licences import licences_if_any
    from bridge.usecases.organizations import show_organization
    from bridge.usecases.seats import contract_sentences, pool_views

    with open_organization(org) as (_, unit):
        summary = show_organization(unit)
        pools, _ = pool_views(unit, summary.pools)
        licences = licences_if_any(unit)
        fee = fee_facts(unit) if summary.contract.kind == FIXED_FEE else None
        sentences = contract_sentences(summary.contract, followed=is_followed(unit))
    organization, contract = summary.organization, summary.contract
    by_cycle = "" if contract.kind in {EVALUATION, FIXED_FEE} else f", by the {contract.cycle}"
    facts = {
        "organization": organization.slug,
        "name": organization.name,
        "id": organization.id,
        "plan": f"{contract.kind.replace('_', ' ')}{by_cycle}, {contract.status}",
        "period start": contract.period_start,
        "period end": contract.period_end,
        "time zone": organization.time_zone,
        "language": organization.locale,
        "people": summary.members,
    }
    if as_json:
        told = {"licences": licences} if licences else {"fee": fee} if fee else {}
        print_json({**facts, "pools": pools, **told})
        return
    print_facts(facts)
    click.echo()
    if licences:
        print_facts(licence_facts(licences))
    elif fee:
        print_facts(fee)
    else:
        pool_table(pools)
    click.echo()
    for sentence in sentences:
        click.echo(f"- {sentence}")
