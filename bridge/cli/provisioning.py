"""``seatbridge provisioning ...``: who creates people, who changes them, who removes them."""

import uuid
from typing import TYPE_CHECKING

import click

from bridge.cli.showing import json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.domain.provisioning import ProvisioningMode
    from bridge.usecases.provisioning_mode import ModePreview

mode_argument = click.argument("mode")


@click.group()
def provisioning() -> None:
    """The provisioning mode: who creates, changes and removes people; show, preview, set."""


@provisioning.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show the four modes, which of them is in force, and what it meets."""
    from bridge.cli.opening import open_organization
    from bridge.domain.provisioning import MODES
    from bridge.usecases.provisioning_mode import read_provisioning

    with open_organization(org) as (_, unit):
        found = read_provisioning(unit)
    if as_json:
        print_json({"provisioning": found, "modes": {str(mode): facts for mode, facts in MODES.items()}})
        return
    click.echo(f"Mode: {found.mode}, {'with' if found.with_mappings else 'without'} mappings.")
    click.echo()
    print_table(
        ("", "mode", "creates people", "changes role and seat", "removes people"),
        [("→" if mode is found.mode else " ", mode, *_words(mode)) for mode in MODES],
        empty="",
    )
    click.echo()
    print_table(
        ("connection", "pushes", "adds people at sign-in"),
        [
            (
                one.name,
                _answer(is_set_up=one.pushes, is_taken=found.mode.takes_pushes, missing="no token that writes"),
                _answer(
                    is_set_up=one.adds_at_sign_in,
                    is_taken=found.mode.follows_sign_ins,
                    missing="turned off for this connection",
                ),
            )
            for one in found.connections
        ],
        empty="No identity provider is connected",
    )


@provisioning.command()
@org_argument
@mode_argument
@json_option
def preview(org: str, mode: str, *, as_json: bool) -> None:
    """Show whom switching to MODE would touch; nothing is switched."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.provisioning_mode import preview_mode

    with open_organization(org) as (_, unit):
        found = preview_mode(unit, mode)
    if as_json:
        print_json(found)
        return
    _show_preview(found)
    click.echo()
    click.echo(f"Switch: seatbridge provisioning set {org} {mode} --preview {found.id}")


@provisioning.command("set")
@org_argument
@mode_argument
@click.option("--preview", "preview_id", type=click.UUID, help="Do what this preview showed, without being asked.")
@click.option("--yes", is_flag=True, help="Switch without being asked.")
@json_option
def set_(org: str, mode: str, *, preview_id: uuid.UUID | None, yes: bool, as_json: bool) -> None:
    """Switch to MODE: first whom it touches, then the confirmation."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.domain.provisioning import read_mode
    from bridge.errors import InvalidInputError
    from bridge.usecases.provisioning_mode import SwitchedMode, mode_of, preview_mode, switch_mode

    if as_json and not (yes or preview_id):
        raise click.UsageError("--json asks nothing: add --yes to switch, or use preview to look")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        wanted = read_mode(mode)
        if preview_id is None:
            with runtime.unit(org_id, OPERATOR) as unit:
                if mode_of(unit) is wanted:
                    print_json(SwitchedMode(wanted, wanted)) if as_json else click.echo(f"The mode is {mode} already.")
                    return
                found = preview_mode(unit, mode)
            preview_id = found.id
            if not as_json:
                _show_preview(found)
            if not yes:
                click.confirm("Switch now?", abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            done = switch_mode(unit, preview_id)
            if done.after is not wanted:
                raise InvalidInputError("preview", f"it is of a switch to {str(done.after)!r}, not to {mode!r}")
    if as_json:
        print_json(done)
    else:
        click.echo(f"Switched from {done.before} to {done.after}.")


def _show_preview(found: "ModePreview") -> None:
    click.echo(f"Switching from {found.before} to {found.after}. Nobody's seat or access changes by the switch itself.")
    print_table(
        ("", "creates people", "changes role and seat", "removes people"),
        [("now", *_words(found.before)), ("then", *_words(found.after))],
        empty="",
    )
    click.echo()
    if found.connections:
        verb = "are taken again" if found.after.takes_pushes else "are refused (403), which the identity provider shows"
        click.echo(f"Pushes of {', '.join(found.connections)} {verb}.")
    if not found.touched:
        click.echo("It touches nobody who is here now.")
    for one in found.touched:
        click.echo(f"{'1 person' if one.number == 1 else f'{one.number:,} people'}: {one.sentence}.")
        print_table(
            ("  person", "userName"),
            [(f"  {person.display_name}", person.user_name) for person in one.people],
            empty="",
        )
        if one.number > len(one.people):
            click.echo(f"  and {one.number - len(one.people):,} more")


def _words(mode: "ProvisioningMode") -> tuple[str, str, str]:
    from bridge.domain.provisioning import MODES

    facts = MODES[mode]
    return facts.creates, facts.changes, facts.removes


def _answer(*, is_set_up: bool, is_taken: bool, missing: str) -> str:
    if not is_taken:
        return "no: refused by the mode" if is_set_up else "no"
    return "yes" if is_set_up else f"no: {missing}"
