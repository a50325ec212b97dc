"""``seatbridge evaluation ...``: full function until a date, without invoice."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from bridge.cli.dialogue import Said, dialogue_options, hold_dialogue
from bridge.cli.new_plans import new_plan_dialogue
from bridge.cli.organizations import owner_options, take_in
from bridge.cli.showing import json_option, org_argument, print_facts, print_json
from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE, LICENCE_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.ports import TierPrice
    from bridge.usecases.evaluations import EvaluationView

_TIER = re.compile(r"(?P<key>[a-z][a-z0-9_-]*)=(?P<seats>\d{1,7})")
_UNTIL = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])


@click.group()
def evaluation() -> None:
    """Evaluations: full function until a date and no invoice; start, show, extend, convert, end."""


@evaluation.command()
@click.argument("slug")
@click.option("--until", type=_UNTIL, required=True, help="When it ends, in its time zone, as 2027-01-31.")
@click.option(
    "--tier", "tiers", multiple=True, metavar="KEY=SEATS", help="Seats to try, as premium=5. The best tier first."
)
@click.option(
    "--tries",
    type=click.Choice([FIXED_FEE, *LICENCE_NAMES]),
    help="Instead of seats: users by role, or teams as with licences.",
)
@click.option("--currency", default="EUR", show_default=True, help="ISO 4217, of the plan to come.")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name.")
@owner_options
@json_option
def start(slug: str, until: datetime, tiers: "Sequence[str]", tries: str | None, **said: Any) -> None:
    """Take a customer in for an evaluation: everything works until a date, and nothing is invoiced.

    Agree the plan to follow with `contract begin --next`; without one, members have no seat then, and all data stays.
    """
    from bridge.ports import ContractDraft
    from bridge.usecases.organizations import check_time_zone

    zone = said.pop("time_zone")
    check_time_zone("time_zone", zone)
    end = until.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    sold = _tiers(tiers, tries)

    def contract(now: datetime) -> ContractDraft:
        return ContractDraft(
            kind=EVALUATION,
            cycle="none",
            anchor=now,
            currency=said["currency"],
            time_zone=zone,
            tiers=sold,
            auto_renew=False,
            until=end,
        )

    take_in(slug, contract, time_zone=zone, **{name: value for name, value in said.items() if name != "currency"})


@evaluation.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show until when it goes on, what follows, and what that will bill first."""
    from bridge.billing.rules.money import Currency, format_money
    from bridge.cli.opening import open_organization
    from bridge.cli.seats import pool_table
    from bridge.store.pools import read_pools
    from bridge.usecases.evaluations import read_evaluation
    from bridge.usecases.seats import pool_views

    with open_organization(org) as (_, unit):
        unit.lock()  # which passes its end, if that is reached
        view = read_evaluation(unit)
        pools, _ = pool_views(unit, read_pools(unit))
    if as_json:
        print_json(None if view is None else evaluation_document(view))
        return
    if view is None:
        click.echo("In no evaluation: `seatbridge org show` tells which plan there is")
        return
    bill = view.first_bill
    print_facts(
        {
            "until": view.until,
            "days left": view.days_left,
            "tries": view.tries.replace("_", " "),
            "then": f"{view.follows.replace('_', ' ')} plan" if view.follows else "members have no seat, data stays",
            "first invoice then": bill and format_money(bill.total, Currency(bill.currency)),
        }
    )
    if view.tries == "seats":
        click.echo()
        pool_table(pools)


def evaluation_document(view: "EvaluationView") -> dict[str, Any]:
    """Return what programs read of an evaluation."""
    fields = ("until", "days_left", "tries", "follows", "first_bill")
    return {**{name: getattr(view, name) for name in fields}, "sentence": f"{view.sentence}."}


@evaluation.command()
@org_argument
@click.option("--until", type=_UNTIL, help="The new end, in its time zone, as 2027-02-28.")
@click.option("--tier", "tiers", multiple=True, metavar="KEY=SEATS", help="Other numbers of seats, as premium=8.")
@json_option
def extend(org: str, until: datetime | None, tiers: "Sequence[str]", *, as_json: bool) -> None:
    """Give it another end, or other numbers of seats; a plan that is agreed begins at the new end."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.evaluations import change_evaluation, read_evaluation
    from bridge.usecases.seats import read_contract

    numbers = {tier.key: tier.seats for tier in _tiers(tiers, None)} if tiers else {}
    with open_organization(org) as (_, unit):
        zone = ZoneInfo(read_contract(unit).time_zone)
        end = None if until is None else until.replace(tzinfo=zone).astimezone(UTC)
        change_evaluation(unit, until=end, seats=numbers)
        view = read_evaluation(unit)
    if view is not None and as_json:
        print_json(evaluation_document(view))
    elif view is not None:
        click.echo(f"{view.sentence}.")


@evaluation.command()
@org_argument
@dialogue_options
def convert(org: str, **said: Any) -> None:
    """Begin the agreed plan now: first its invoice and who gets which seat, then confirm.

    For another plan than the agreed one, or where none is agreed, use `contract begin`.
    """
    hold_dialogue(org, new_plan_dialogue(None, ahead=False), Said(**said))


@evaluation.command()
@org_argument
@click.option("--yes", is_flag=True, help="End it without being asked.")
@json_option
def end(org: str, *, yes: bool, as_json: bool) -> None:
    """End it now with no plan to follow: members have no seat, all data stays, and a plan may begin later."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.evaluations import end_evaluation

    if as_json and not yes:
        raise click.UsageError("--json asks nothing: answer ahead with --yes")
    if not yes:
        click.confirm("Members have no seat then. End the evaluation?", abort=True)
    with open_organization(org) as (_, unit):
        end_evaluation(unit)
        at = unit.at
    if as_json:
        print_json({"ended": True, "at": at})
    else:
        click.echo("The evaluation has ended; all data stays. Begin a plan with `seatbridge contract begin`.")


def _tiers(tiers: "Sequence[str]", tries: str | None) -> "tuple[TierPrice, ...]":
    """Read what is tried: tiers of seats, licences, or nothing but roles.

    Raises:
        InvalidInputError: Naming the option.
    """
    from bridge.errors import InvalidInputError
    from bridge.ports import TierPrice

    if tries is not None:
        if tiers:
            raise InvalidInputError("tier", "is for trying seats: leave --tries out")
        return () if tries == FIXED_FEE else (TierPrice(tries, LICENCE_NAMES[tries], 1, 0, 0),)
    if not tiers:
        raise InvalidInputError("tier", "is missing: name the seats to try, as premium=5, or what else with --tries")
    read = []
    for rank, text in enumerate(reversed(tiers), 1):
        found = _TIER.fullmatch(text)
        if found is None:
            raise InvalidInputError("tier", f"{text!r} does not read KEY=SEATS, as premium=5")
        name = found["key"].replace("_", " ").replace("-", " ").capitalize()
        read.append(TierPrice(found["key"], name, rank, 0, int(found["seats"])))
    return tuple(reversed(read))
