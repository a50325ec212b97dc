"""``seatbridge seats forecast`` and ``thresholds``."""

from itertools import dropwhile
from typing import TYPE_CHECKING

import click

from bridge.cli.showing import json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from bridge.usecases.forecast_seats import Forecast, MonthOfSeats, TierForecast
    from bridge.usecases.watch_tiers import Thresholds


@click.command()
@org_argument
@click.option(
    "--weeks", type=click.IntRange(1, 104), default=12, show_default=True, help="So many weeks of history count."
)
@json_option
def forecast(org: str, *, weeks: int, as_json: bool) -> None:
    """Say when each tier will be full, what the next renewal needs and costs, and how the last 12 months went."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.forecast_seats import forecast_seats

    with open_organization(org) as (_, unit):
        found = forecast_seats(unit, weeks=weeks)
    if as_json:
        print_json(found)
    else:
        _show(found)


@click.group()
def thresholds() -> None:
    """Shares of a tier at which the owners hear that it fills up: show, set."""


@thresholds.command("show")
@org_argument
@json_option
def show_thresholds(org: str, *, as_json: bool) -> None:
    """Show the thresholds."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.watch_tiers import read_thresholds

    with open_organization(org) as (_, unit):
        found = read_thresholds(unit)
    _print_thresholds(found, as_json=as_json)


@thresholds.command("set")
@org_argument
@click.argument("percents", nargs=-1, type=click.IntRange(1, 100), metavar="PERCENT...")
@json_option
def set_some(org: str, percents: tuple[int, ...], *, as_json: bool) -> None:
    """Tell the owners when so many PERCENT of a tier's seats are in use, as 80 95 100; none at all for never."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.watch_tiers import set_thresholds

    with open_organization(org) as (_, unit):
        found = set_thresholds(unit, percents)
    _print_thresholds(found, as_json=as_json)


def _print_thresholds(found: "Thresholds", *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found.percents:
        from bridge.usecases.watch_tiers import FULL

        told = ", ".join("full" if percent == FULL else f"{percent} %" for percent in found.percents)
        click.echo(f"The owners hear of a tier at: {told}")
    else:
        click.echo("The owners hear of no tier that fills up, only of people who wait")


def _show(found: "Forecast") -> None:
    print_table(
        ("tier", "seats", "in use", "waiting", "more a week", "full", "at the earliest", "at renewal", "missing then"),
        [
            (
                one.name,
                one.seats,
                one.used,
                one.waiting,
                _slope(one),
                _day(found, one.full_at),
                _day(found, one.full_earliest),
                one.needed_at_renewal,
                one.to_buy,
            )
            for one in found.tiers
        ],
        empty="This plan has no tier",
    )
    weeks = found.tiers[0].weeks if found.tiers else 0
    if any(one.trend is None for one in found.tiers):
        click.echo(f"No trend yet: it takes 4 weeks of history, and there are {weeks}. Today's need is carried on.")
    else:
        click.echo(f"The trend is the median slope of the last {weeks} weeks; half of all slopes lie in brackets.")
    renewal = found.renewal
    if found.renewal_at is None:
        click.echo("The plan does not renew by itself.")
    elif renewal is not None:
        click.echo(
            f"Renewal on {found.renewal_at:%Y-%m-%d}: {_money(renewal.as_of_today, found.currency)} as of today,"
            f" {_money(renewal.with_trend, found.currency)} with the trend (before tax)."
        )
    click.echo()
    print_table(
        ("month", *(f"{one.name}: in use of seats" for one in found.tiers), "invoiced"),
        [
            (
                month.month,
                *(f"{month.used[one.tier]} of {month.seats[one.tier]}" for one in found.tiers),
                None if month.invoiced is None else _money(month.invoiced, found.currency),
            )
            for month in _since_the_first(found.months)
        ],
        empty="No month yet",
    )


def _since_the_first(months: "Sequence[MonthOfSeats]") -> "Iterator[MonthOfSeats]":
    """Leave out the months before there were seats."""
    return dropwhile(lambda month: not any(month.seats.values()) and not month.invoiced, months)


def _slope(one: "TierForecast") -> str | None:
    trend = one.trend
    if trend is None:
        return None
    return f"{_signed(trend.per_week)} ({_signed(trend.low)} to {_signed(trend.high)})"


def _signed(value: "Fraction") -> str:
    return f"{float(value):+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")


def _day(found: "Forecast", at: object) -> str:
    import datetime as dt

    if not isinstance(at, dt.datetime):
        return "not in sight"
    return "now" if at <= found.at else f"{at:%Y-%m-%d}"


def _money(amount: int, currency: str) -> str:
    from bridge.billing.rules.money import Currency, format_money

    return format_money(amount, Currency(currency))
