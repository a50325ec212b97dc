"""A plan as the command line writes it: the options that say what is sold, and how they are read."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import CommandT
from bridge.domain.plan_kinds import BUILTIN, FIXED_FEE, LICENCE_NAMES, REMOTE

if TYPE_CHECKING:
    from bridge.ports import ContractDraft, FeeDraft, TierPrice

_TIER = re.compile(r"(?P<key>[a-z][a-z0-9_-]*)=(?P<seats>\d{1,7})@(?P<price>\d+(\.\d+)?)")
_INSTALMENT = re.compile(r"(?P<month>\d{1,2})=(?P<share>[0-9./]{1,20})")
_FEE_OPTIONS = ("annual_fee", "contract_tier", "paid_users", "schedule", "term_years", "discount")
#: A first day beyond these is taken for a slip; every period since is billed.
_LONGEST_AGO = timedelta(days=2 * 366)
_LONGEST_AHEAD = timedelta(days=366)

#: Adds ``--start`` to a command, as the argument ``start``.
start_option: Callable[[CommandT], CommandT] = click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day of the first period (default: now); every period since is billed. At most 2 years ago.",
)


def terms_options(
    *, kind: str | None, currency: str | None, tax_rate: str | None, time_zone: str | None
) -> Callable[[CommandT], CommandT]:
    """Add the options that :func:`read_terms` reads; what has no default must be named, or is kept as it is."""
    kept = "" if currency else " Default: as it is."
    options = (
        click.option(
            "--kind",
            type=click.Choice(["team", "enterprise", "contract", *LICENCE_NAMES]),
            default=kind,
            required=kind is None,
            show_default=True,
            help="Sold by seats, for a fixed fee, or licensed by team or by person.",
        ),
        click.option(
            "--cycle", type=click.Choice(["month", "year"]), help="Default: month for team, year for enterprise."
        ),
        click.option(
            "--tier",
            "tiers",
            multiple=True,
            metavar="KEY=SEATS@PRICE",
            help="Seats and the price of one for a period, as premium=10@720.00. Repeat it, the best tier first.",
        ),
        click.option(
            "--price", metavar="PRICE", help="Of one licence for a month, as 5.55: for plans that are licensed."
        ),
        click.option("--annual-fee", help="contract: the fee of a contract year, as 12000.00, before the discount."),
        click.option("--contract-tier", help="contract: name of the tier, as growth."),
        click.option(
            "--paid-users", type=click.IntRange(0), help="contract: so many paid users the tier is meant for."
        ),
        click.option(
            "--schedule",
            metavar="NAME|MONTH=SHARE,...",
            help="contract: annual (default), quarterly, monthly, or months of the contract year with shares, as "
            "1=0.5,7=0.5.",
        ),
        click.option(
            "--term-years", type=click.IntRange(1), help="contract: years of a term, each billed. Default: 1."
        ),
        click.option("--discount", help="contract: as a share of the fee, 0.1 for 10 %."),
        click.option("--currency", default=currency, show_default=True, help=f"ISO 4217.{kept}"),
        click.option("--tax-rate", default=tax_rate, show_default=True, help=f"As a share: 0.25 for 25 %.{kept}"),
        click.option(
            "--time-zone",
            default=time_zone,
            show_default=True,
            help=f"IANA name; periods keep its wall clock.{kept}",
        ),
        click.option(
            "--auto-renew/--no-auto-renew",
            default=None,
            help="Whether the plan renews by itself. Default: yes, no for a contract.",
        ),
    )

    def add(command: CommandT) -> CommandT:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def read_terms(
    now: datetime,
    tiers: tuple[str, ...],
    price: str | None,
    start: datetime | None = None,
    *,
    own_core: bool = False,
    **terms: Any,
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
        billed_by=REMOTE if own_core else BUILTIN,
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
