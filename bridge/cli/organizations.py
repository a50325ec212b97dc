"""``seatbridge org ...``."""

import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table
from bridge.domain.plan_kinds import BUILTIN, FIXED_FEE, LICENCE_NAMES, REMOTE

if TYPE_CHECKING:
    from bridge.ports import ContractDraft, FeeDraft, TierPrice

_TIER = re.compile(r"(?P<key>[a-z][a-z0-9_-]*)=(?P<seats>\d{1,7})@(?P<price>\d+(\.\d+)?)")
_INSTALMENT = re.compile(r"(?P<month>\d{1,2})=(?P<share>[0-9./]{1,20})")
_FEE_OPTIONS = ("annual_fee", "contract_tier", "paid_users", "schedule", "term_years", "discount")
#: A first day beyond these is taken for a slip; every period since is billed.
_LONGEST_AGO = timedelta(days=2 * 366)
_LONGEST_AHEAD = timedelta(days=366)


@click.group()
def org() -> None:
    """Organizations: create, list, show."""


@org.command()
@click.argument("slug")
@click.option("--name", required=True, help="What pages and invoices call the customer.")
@click.option(
    "--kind",
    type=click.Choice(["team", "enterprise", "contract", *LICENCE_NAMES]),
    default="team",
    show_default=True,
    help="Sold by seats, for a fixed fee, or licensed by team or by person.",
)
@click.option("--cycle", type=click.Choice(["month", "year"]), help="Default: month for team, year for enterprise.")
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    metavar="KEY=SEATS@PRICE",
    help="Seats and the price of one for a period, as premium=10@720.00. Repeat it, the best tier first.",
)
@click.option("--price", metavar="PRICE", help="Of one licence for a month, as 5.55: for plans that are licensed.")
@click.option("--annual-fee", help="contract: the fee of a contract year, as 12000.00, before the discount.")
@click.option("--contract-tier", help="contract: name of the tier, as growth.")
@click.option("--paid-users", type=click.IntRange(0), help="contract: so many paid users the tier is meant for.")
@click.option(
    "--schedule",
    metavar="NAME|MONTH=SHARE,...",
    help="contract: annual (default), quarterly, monthly, or months of the contract year with shares, as 1=0.5,7=0.5.",
)
@click.option("--term-years", type=click.IntRange(1), help="contract: years of a term, each billed. Default: 1.")
@click.option("--discount", help="contract: as a share of the fee, 0.1 for 10 %.")
@click.option("--currency", default="EUR", show_default=True, help="ISO 4217.")
@click.option("--tax-rate", default="0", show_default=True, help="As a share: 0.25 for 25 %.")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name; periods keep its wall clock.")
@click.option("--locale", type=click.Choice(["en", "fr", "nl", "sv"]), default="en", show_default=True)
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day of the first period (default: now); every period since is billed. At most 2 years ago.",
)
@click.option(
    "--auto-renew/--no-auto-renew",
    default=None,
    help="Whether the plan renews by itself. Default: yes, no for a contract.",
)
@click.option(
    "--own-core",
    is_flag=True,
    help="team, enterprise: a core of the customer's own bills it; no invoice is issued. Next: `billing connect`.",
)
@click.option("--owner-email", required=True, help="The primary owner, who is told of invoices and alerts.")
@click.option("--owner-name", default="", help="Default: the address.")
@click.option(
    "--billing-details",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="YAML or JSON file with what the first invoice is to say of the buyer: legal_name, country, vat_id, ...",
)
@json_option
def create(slug: str, name: str, locale: str, owner_email: str, owner_name: str, **terms: Any) -> None:
    """Take a customer in: plan, pools of seats, first invoice, and a link that signs the owner in once."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.cli.billing_details import read_details
    from bridge.cli.opening import open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.connections import create_sign_in_link
    from bridge.usecases.organizations import OrganizationDraft

    as_json: bool = terms.pop("as_json")
    billing: Path | None = terms.pop("billing_details")
    with open_runtime() as runtime:
        draft = OrganizationDraft(
            slug=slug,
            name=name,
            locale=locale,
            time_zone=terms["time_zone"],
            contract=_contract(runtime.clock.now(), **terms),
            owner_email=owner_email,
            owner_name=owner_name,
            billing=read_details(billing) if billing else {},
        )
        created = runtime.create_organization(draft)
        with runtime.unit(created.org_id, OPERATOR) as unit:
            link = create_sign_in_link(unit, created.owner_id)
        invoice = created.invoice
        public_url = runtime.settings.server.public_url
        facts = {
            "organization": slug,
            "id": created.org_id,
            "invoice": invoice and f"{invoice.number}: {format_money(invoice.total, Currency(invoice.currency))}",
            "SCIM base URL": f"{public_url}/scim/v2/{slug}",
            "sign-in link": f"{public_url}/sign-in/link/{link.text}",
        }
        if as_json:
            print_json({**facts, "invoice": invoice})
        else:
            print_facts(facts)
            click.echo("The link signs the owner in once, within a day; `seatbridge admin recover` makes another.")


def _contract(
    now: datetime, tiers: tuple[str, ...], price: str | None, start: datetime | None, **terms: Any
) -> "ContractDraft":
    """Read the commercial terms as they are written on the command line.

    Raises:
        InvalidInputError: Naming the option.
    """
    from zoneinfo import ZoneInfo

    from bridge.billing.rules.money import Currency
    from bridge.errors import InvalidInputError
    from bridge.ports import ContractDraft
    from bridge.usecases.organizations import check_time_zone

    check_time_zone("time_zone", terms["time_zone"])
    _check_tax_rate(terms["tax_rate"])
    anchor = start.replace(tzinfo=ZoneInfo(terms["time_zone"])) if start else now
    kind = terms["kind"]
    if not now - _LONGEST_AGO <= anchor <= now + _LONGEST_AHEAD:
        problem = "lies more than 2 years in the past or 1 year in the future: every period since it would be billed"
        raise InvalidInputError("start", f"{anchor:%Y-%m-%d} {problem}")
    try:
        currency = Currency(terms["currency"])
    except ValueError as error:
        raise InvalidInputError("currency", str(error)) from None
    fixed = kind == FIXED_FEE
    if fixed and (tiers or price or terms["cycle"] == "month"):
        option = "tier" if tiers else "price" if price else "cycle"
        raise InvalidInputError(option, "a contract has a fee for a year, and no seats")
    return ContractDraft(
        kind=kind,
        cycle=terms["cycle"] or ("year" if kind in {"enterprise", FIXED_FEE} else "month"),
        anchor=anchor,
        currency=currency.code,
        time_zone=terms["time_zone"],
        tiers=() if fixed else _tiers(kind, tiers, price, currency),
        tax_rate=terms["tax_rate"],
        auto_renew=not fixed if terms["auto_renew"] is None else terms["auto_renew"],
        fee=_fee(currency, kind, **{name: terms[name] for name in _FEE_OPTIONS}),
        billed_by=REMOTE if terms["own_core"] else BUILTIN,
    )


def _fee(currency: Any, kind: str, **options: Any) -> "FeeDraft | None":
    """Read what is agreed of a fixed fee; None for plans without one.

    Raises:
        InvalidInputError: Naming the option.
    """
    from bridge.billing.rules.money import to_minor
    from bridge.errors import InvalidInputError
    from bridge.ports import FeeDraft

    if kind != FIXED_FEE:
        for name, value in options.items():
            if value is not None:
                raise InvalidInputError(name, f"is for contracts with a fixed fee; this is a {kind} plan")
        return None
    for name in ("annual_fee", "contract_tier", "paid_users"):
        if options[name] is None:
            raise InvalidInputError(name, "is missing: a contract has a fee, a tier, and paid users it is meant for")
    try:
        annual_fee = to_minor(options["annual_fee"], currency)
    except ValueError as error:
        raise InvalidInputError("annual_fee", str(error)) from None
    return FeeDraft(
        annual_fee=annual_fee,
        tier=options["contract_tier"],
        paid_users=options["paid_users"],
        schedule=_schedule(options["schedule"] or "annual"),
        term_years=options["term_years"] or 1,
        discount=options["discount"] or "0",
    )


def _schedule(text: str) -> str | tuple[tuple[int, str], ...]:
    from bridge.errors import InvalidInputError

    if "=" not in text:
        return text
    parts = [_INSTALMENT.fullmatch(part.strip()) for part in text.split(",")]
    if not all(parts):
        raise InvalidInputError("schedule", f"{text!r} does not read MONTH=SHARE,..., as 1=0.5,7=0.5")
    return tuple((int(part["month"]), part["share"]) for part in parts if part)


def _check_tax_rate(text: str) -> None:
    """Refuse per cents written as a share; what is no number at all is refused where it is read."""
    from bridge.errors import InvalidInputError

    try:
        rate = Decimal(text)
    except InvalidOperation:
        return
    if rate > 1:
        raise InvalidInputError("tax_rate", f"{text} is {rate:.0%} of the price: write 0.25 for 25 %")


def _tiers(kind: str, tiers: tuple[str, ...], price: str | None, currency: Any) -> tuple["TierPrice", ...]:
    """Read what is sold: tiers of seats, or one kind of licence."""
    from bridge.billing.rules.money import to_minor
    from bridge.errors import InvalidInputError
    from bridge.ports import TierPrice

    if kind not in LICENCE_NAMES:
        if price is not None:
            raise InvalidInputError("price", f"is for licences: a {kind} plan has --tier KEY=SEATS@PRICE")
        if not tiers:
            raise InvalidInputError("tier", "is missing: a plan sold by seats has at least one, as premium=10@720.00")
        return tuple(_tier(text, len(tiers) - index, currency) for index, text in enumerate(tiers))
    if tiers:
        raise InvalidInputError("tier", f"is for plans sold by seats: a {kind} plan has --price")
    if price is None:
        raise InvalidInputError("price", f"is missing: a {kind} plan has the price of one licence for a month, as 5.55")
    try:
        return (TierPrice(kind, LICENCE_NAMES[kind], 1, to_minor(price, currency), 0),)
    except ValueError as error:
        raise InvalidInputError("price", str(error)) from None


def _tier(text: str, rank: int, currency: Any) -> "TierPrice":
    from bridge.billing.rules.money import to_minor
    from bridge.errors import InvalidInputError
    from bridge.ports import TierPrice

    found = _TIER.fullmatch(text)
    if found is None:
        raise InvalidInputError("tier", f"{text!r} does not read KEY=SEATS@PRICE, as premium=10@720.00")
    try:
        price = to_minor(found["price"], currency)
    except ValueError as error:
        raise InvalidInputError("tier", str(error)) from None
    name = found["key"].replace("_", " ").replace("-", " ").capitalize()
    return TierPrice(found["key"], name, rank, price, int(found["seats"]))


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
    from bridge.usecases.licences import licences_if_any
    from bridge.usecases.organizations import show_organization
    from bridge.usecases.seats import contract_sentences, pool_views

    with open_organization(org) as (_, unit):
        summary = show_organization(unit)
        pools, _ = pool_views(unit, summary.pools)
        licences = licences_if_any(unit)
        fee = fee_facts(unit) if summary.contract.kind == FIXED_FEE else None
    organization, contract = summary.organization, summary.contract
    by_cycle = "" if contract.kind == FIXED_FEE else f", by the {contract.cycle}"
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
    for sentence in contract_sentences(contract):
        click.echo(f"- {sentence}")
