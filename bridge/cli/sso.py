"""``seatbridge sso ...``: whether people may sign in by anything else than their identity provider."""

from typing import TYPE_CHECKING

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from bridge.usecases.enforce_sso import EnforcementEffect


@click.group()
def sso() -> None:
    """Single sign-on for everybody: show, enforce, relax."""


@sso.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show whether single sign-on is enforced, and who cannot sign in by it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.enforce_sso import preview_enforcement

    with open_organization(org) as (_, unit):
        effect = preview_enforcement(unit)
    if as_json:
        print_json(effect)
    else:
        _print(effect)


@sso.command()
@org_argument
@click.option("--preview", "only_preview", is_flag=True, help="Show who could not sign in any more, and stop.")
@click.option("--yes", is_flag=True, help="Do not ask, whoever could not sign in any more.")
@json_option
def enforce(org: str, *, only_preview: bool, yes: bool, as_json: bool) -> None:
    """Let people sign in through their identity provider only: no sign-in link works any more.

    `seatbridge admin recover` still lets an owner in. Sessions that links opened end.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.enforce_sso import enforce_sso, preview_enforcement

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to enforce it, or --preview to see whom it shuts out")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            effect = preview_enforcement(unit)
        if not as_json:
            _print(effect)
        if only_preview:
            if as_json:
                print_json(effect)
            return
        if not yes:
            click.confirm(f"Let people of {org} sign in through their identity provider only?", abort=True)
        shown = None if yes else [one.member_id for one in effect.shut_out]
        with runtime.unit(org_id, OPERATOR) as unit:
            enforce_sso(unit, shown=shown)
            done = preview_enforcement(unit)
    if as_json:
        print_json(done)
    else:
        click.echo("Single sign-on is enforced. An owner is let back in by `seatbridge admin recover`.")


@sso.command()
@org_argument
@json_option
def relax(org: str, *, as_json: bool) -> None:
    """Let sign-in links work again."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.enforce_sso import relax_sso

    with open_organization(org) as (_, unit):
        was_enforced = relax_sso(unit)
    if as_json:
        print_json({"enforced_at": None, "changed": was_enforced})
    else:
        click.echo("Sign-in links work again." if was_enforced else "Single sign-on is not enforced here.")


def _print(effect: "EnforcementEffect") -> None:
    print_facts(
        {
            "enforced since": effect.enforced_at or "not enforced",
            "signs people in": ", ".join(effect.connections) or "nobody yet",
            "sessions by link": effect.sessions_by_link,
        }
    )
    click.echo()
    print_table(
        ("cannot sign in", "userName", "role", "because"),
        [(one.display_name, one.user_name, one.role.replace("_", " "), one.reason.sentence) for one in effect.shut_out],
        empty="Everybody can sign in through an identity provider.",
    )
