"""``seatbridge seats waiting``, ``promote``, ``dequeue`` and ``swap``."""

from typing import TYPE_CHECKING

import click

from bridge.cli.showing import harmless_line, json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.usecases.swap_seats import SwapPreview
    from mappings.tiers import TierLadder

person_argument = click.argument("person")
why_option = click.option(
    "--why", required=True, help="The reason, for the audit; without names, since it stays when people are erased."
)


@click.command()
@org_argument
@json_option
def waiting(org: str, *, as_json: bool) -> None:
    """List who waits for a seat, in the order in which they get one.

    A seat that becomes free goes to the first who would take it. Nobody loses a seat to somebody in line.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.seats import read_ladder
    from bridge.usecases.waiting_list import list_waiting

    with open_organization(org) as (_, unit):
        line, ladder = list_waiting(unit), read_ladder(unit)
    if as_json:
        print_json({"waiting": line})
        return
    print_table(
        ("place", "person", "waits for", "next in line for", "has now", "since", "because"),
        [
            (
                one.place,
                one.user_name,
                _waits_for(ladder, one.waiting_for),
                ", ".join(f"{ladder.name_of(tier)} {rank}." for tier, rank in one.ranks.items()),
                ladder.name_of(one.tier) if one.tier else None,
                f"{one.since:%Y-%m-%d %H:%M} UTC" + (" (moved to the front)" if one.moved else ""),
                one.because,
            )
            for one in line
        ],
        empty="Nobody waits for a seat",
    )


@click.command()
@org_argument
@person_argument
@why_option
@json_option
def promote(org: str, person: str, *, why: str, as_json: bool) -> None:
    """Move PERSON (userName, mail address or id) to the front of the line: the next seat they can use is theirs."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.waiting_list import list_waiting, move_to_front

    with open_organization(org) as (_, unit):
        member = find_person(unit, person)
        move_to_front(unit, member.id, why)
        place = next(one for one in list_waiting(unit) if one.member_id == member.id)
    if as_json:
        print_json(place)
    else:
        click.echo(f"{harmless_line(place.name)} is now number {place.place} in line.")


@click.command()
@org_argument
@person_argument
@why_option
@json_option
def dequeue(org: str, person: str, *, why: str, as_json: bool) -> None:
    """Take PERSON (userName, mail address or id) out of the line; a seat they hold stays theirs.

    They count as placed by hand from then on, so that groups do not put them back.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.seats import read_ladder
    from bridge.usecases.waiting_list import leave_line

    with open_organization(org) as (_, unit):
        member = find_person(unit, person)
        leave_line(unit, member.id, why)
        ladder = read_ladder(unit)
    if as_json:
        print_json({"member_id": member.id, "tier": member.tier, "waiting_for": member.waiting_for})
    else:
        held = f"keeps {ladder.name_of(member.tier)}" if member.tier else "has no seat"
        click.echo(f"{harmless_line(member.display_name)} waits no more and {held}.")


@click.command()
@org_argument
@click.argument("first")
@click.argument("second")
@click.option("--preview", "only_preview", is_flag=True, help="Show who gets what and stop.")
@click.option("--yes", is_flag=True, help="Swap without being asked.")
@json_option
def swap(org: str, first: str, second: str, *, only_preview: bool, yes: bool, as_json: bool) -> None:
    """Exchange what FIRST and SECOND (userName, mail address or id) hold: at once, for nothing, no free seat needed.

    One of the two may hold no seat: so a holder gives the seat to somebody who waits. Both count as placed by hand
    afterwards, and neither stands in line.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.people import find_person
    from bridge.usecases.seats import read_ladder
    from bridge.usecases.swap_seats import confirm_swap, preview_swap

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to swap, or --preview to see who gets what")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            preview = preview_swap(unit, find_person(unit, first).id, find_person(unit, second).id)
            ladder = read_ladder(unit)
        if not as_json:
            _show_swap(preview, ladder)
        if not only_preview:
            if not yes:
                click.confirm("Swap?", abort=True)
            with runtime.unit(org_id, OPERATOR) as unit:
                confirm_swap(unit, preview.id)
    if as_json:
        print_json({"swapped": not only_preview, **{name: getattr(preview, name) for name in preview.__slots__}})
    elif not only_preview:
        click.echo("Done.")


def _show_swap(preview: "SwapPreview", ladder: "TierLadder") -> None:
    print_table(
        ("person", "has now", "gets"),
        [
            (
                one.user_name,
                (ladder.name_of(one.from_tier) if one.from_tier else "no seat")
                + (f", waits for {_waits_for(ladder, one.waiting_for)}" if one.waiting_for else ""),
                ladder.name_of(one.to_tier) if one.to_tier else "no seat",
            )
            for one in preview.sides
        ],
        empty="Nobody",
    )
    click.echo("It costs nothing. Both count as placed by hand afterwards, and neither stands in line.")


def _waits_for(ladder: "TierLadder", waiting_for: str) -> str:
    return ladder.name_of(waiting_for) if waiting_for in ladder else "any tier"
