"""``seatbridge brake ...``."""

from typing import TYPE_CHECKING

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.domain.brake import Thresholds
    from bridge.domain.identifiers import OrgId
    from bridge.runtime import Runtime
    from bridge.usecases.decide_holds import Decided
    from bridge.usecases.preview_holds import DropPreview, ReleasePreview
    from bridge.usecases.read_holds import HoldView
    from mappings.tiers import TierLadder

hold_option = click.option("--hold", "hold_text", metavar="ID", help="Which hold; by default the one that waits.")
reason_option = click.option("--reason", required=True, help="Why; the audit keeps it with the decision.")
yes_option = click.option("--yes", is_flag=True, help="Decide without being asked.")
key_option = click.option("--key", help="Idempotency key: a repeat with the same key does nothing more.")


@click.group()
def brake() -> None:
    """The brake on mass effects: what is held, release, drop, thresholds."""


@brake.command()
@org_argument
@json_option
def show(org: str, *, as_json: bool) -> None:
    """Show what trips the brake and, if it has tripped, who is held and what releasing would do."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.preview_holds import preview_drop, preview_release
    from bridge.usecases.read_holds import open_holds, read_thresholds
    from bridge.usecases.seats import read_ladder

    with open_organization(org) as (_, unit):
        thresholds = read_thresholds(unit)
        found = open_holds(unit)
        preview = preview_release(unit, found[0].id) if found else None
        dropped = preview_drop(unit, found[0].id) if found else None
        ladder = read_ladder(unit)
    if as_json:
        print_json({"thresholds": thresholds, "waiting": preview, "if_dropped": dropped})
        return
    click.echo(_rule(thresholds))
    if preview is None or dropped is None:
        click.echo("Nothing is held.")
        return
    click.echo()
    _show_preview(preview, ladder)
    _show_drop(dropped, ladder)
    click.echo()
    click.echo(f"Decide: seatbridge brake release {org} --reason ..., or seatbridge brake drop {org} --reason ...")


@brake.command()
@org_argument
@json_option
def holds(org: str, *, as_json: bool) -> None:
    """List what was held, the newest first, and what became of it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.read_holds import list_holds

    with open_organization(org) as (_, unit):
        found = list_holds(unit)
    if as_json:
        print_json([{**_as_dict(one), "number": one.number, "sentence": one.sentence} for one in found])
        return
    print_table(
        ("when", "state", "people", "what happened", "decided", "by", "reason", "hold"),
        [
            (one.at, one.state, one.number, one.sentence, one.decided_at, one.decided_by, one.reason, one.id)
            for one in found
        ],
        empty="The brake has never tripped",
    )


@brake.command()
@org_argument
@reason_option
@hold_option
@click.option("--preview", "only_preview", is_flag=True, help="Show who would lose what, and stop.")
@yes_option
@key_option
@json_option
def release(
    org: str,
    reason: str,
    *,
    hold_text: str | None,
    only_preview: bool,
    yes: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Let what is held take effect now, for everybody at once: first who loses what, then the confirmation."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.decide_holds import release_hold
    from bridge.usecases.preview_holds import preview_release
    from bridge.usecases.seats import read_ladder

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to release, or --preview to see what it would do")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        hold = _find_hold(runtime, org_id, hold_text)
        if not yes or only_preview:
            with runtime.unit(org_id, OPERATOR) as unit:
                preview, ladder = preview_release(unit, hold.id), read_ladder(unit)
            if as_json:
                print_json(preview)
                return
            _show_preview(preview, ladder)
            if only_preview:
                return
            click.confirm("Release this now?", abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            done = release_hold(unit, hold.id, revision=hold.revision, reason=reason, key=key)
    _show_decided(done, as_json=as_json)


@brake.command()
@org_argument
@reason_option
@hold_option
@click.option("--preview", "only_preview", is_flag=True, help="Show who gets another seat, what is bought, and stop.")
@yes_option
@key_option
@json_option
def drop(
    org: str,
    reason: str,
    *,
    hold_text: str | None,
    only_preview: bool,
    yes: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Let nothing of what is held take effect: people keep access, seats, roles and teams.

    Rules that were changed meanwhile reach those who were to leave, and buy within budgets where they do: first who
    gets another seat by that and what is bought, then the confirmation.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.decide_holds import drop_hold
    from bridge.usecases.preview_holds import preview_drop
    from bridge.usecases.seats import read_ladder

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to drop what is held, or --preview to see what it does")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        hold = _find_hold(runtime, org_id, hold_text)
        if not yes or only_preview:
            with runtime.unit(org_id, OPERATOR) as unit:
                preview, ladder = preview_drop(unit, hold.id), read_ladder(unit)
            if as_json:
                print_json(preview)
                return
            click.echo(hold.sentence)
            _show_drop(preview, ladder)
            if only_preview:
                return
            people = "1 person stays" if hold.number == 1 else f"{hold.number:,} people stay"
            but = ", but for that" if preview.moves or preview.purchases else ""
            click.confirm(f"{people} as they are{but}. Drop what is held?", abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            done = drop_hold(unit, hold.id, revision=hold.revision, reason=reason, key=key)
    _show_decided(done, as_json=as_json)


@brake.command("set")
@org_argument
@click.option("--minimum", type=int, help="So many people may always be let go or moved.")
@click.option("--share", type=int, help="So many of a hundred active people may be.")
@click.option("--window-minutes", type=int, help="Within so many minutes.")
@json_option
def set_(org: str, *, minimum: int | None, share: int | None, window_minutes: int | None, as_json: bool) -> None:
    """Set what trips the brake; what is not named stays."""
    from dataclasses import replace

    from bridge.cli.opening import open_organization
    from bridge.usecases.brake import set_thresholds
    from bridge.usecases.read_holds import read_thresholds

    named = {"minimum": minimum, "share": share, "window_minutes": window_minutes}
    changes = {name: value for name, value in named.items() if value is not None}
    if not changes:
        raise click.UsageError("name at least one of --minimum, --share and --window-minutes")
    with open_organization(org) as (_, unit):
        after = replace(read_thresholds(unit), **changes)
        before = set_thresholds(unit, after)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        click.echo(_rule(after))


def _as_dict(view: "HoldView") -> dict[str, object]:
    from dataclasses import fields

    return {field.name: getattr(view, field.name) for field in fields(view)}


def _rule(thresholds: "Thresholds") -> str:
    minutes = "1 minute" if thresholds.window_minutes == 1 else f"{thresholds.window_minutes} minutes"
    return (
        f"A directory may let go or move {thresholds.minimum:,} people within {minutes}, "
        f"or {thresholds.share} % of the active people where that is more. What goes beyond is held for an owner."
    )


def _find_hold(runtime: "Runtime", org_id: "OrgId", text: str | None) -> "HoldView":
    """Return the hold that is named, else the one that waits, else the newest.

    Raises:
        NotFoundError: There is none.
    """
    from bridge.domain.actors import OPERATOR
    from bridge.domain.identifiers import parse_id
    from bridge.errors import NotFoundError
    from bridge.usecases.read_holds import list_holds, read_hold

    with runtime.unit(org_id, OPERATOR) as unit:
        if text is not None:
            named = parse_id(text)
            if named is None:
                raise NotFoundError("hold", text)
            return read_hold(unit, named)
        found = list_holds(unit, limit=1)
    if not found:
        raise NotFoundError("hold", "", "Nothing is held: the brake has never tripped here")
    return found[0]


def _show_preview(preview: "ReleasePreview", ladder: "TierLadder") -> None:
    from bridge.cli.seat_budgets import show_uses

    hold = preview.hold
    click.echo(hold.sentence)
    print_facts({"Held since": hold.at, "Hold": hold.id, "Request": hold.request_id})
    if hold.deadline:
        click.echo(hold.deadline)
    click.echo()
    click.echo(f"Releasing it now: {'; '.join(hold.effects)}.")
    print_table(
        ("person", "userName", "effect", "seat now", "seat then"),
        [
            (
                one.display_name,
                one.user_name,
                _effect(one.effect),
                _seat(ladder, one.from_tier),
                _seat(ladder, one.to_tier),
            )
            for one in preview.people
        ],
        empty="Nobody is held",
    )
    click.echo()
    print_table(
        ("tier", "seats", "used now", "used then"),
        [(use.name, use.total, use.before, use.after) for use in preview.seats],
        empty="This plan has no tier",
    )
    _show_promoted(preview, ladder)
    show_uses(preview.purchases, {use.tier: use.name for use in preview.seats})
    if preview.renewal_before is not None and preview.renewal_after is not None:
        before = _money(preview.renewal_before.total, preview.renewal_before.currency)
        after = _money(preview.renewal_after.total, preview.renewal_after.currency)
        beside = ", without what is bought" if preview.purchases else ""
        click.echo(f"Next bill: {before}" + ("" if before == after else f", then {after}") + beside)


def _show_drop(preview: "DropPreview", ladder: "TierLadder") -> None:
    from bridge.cli.seat_budgets import show_uses

    if preview.moves:
        click.echo("If it is dropped, these get another seat by changed rules, or because one is free or bought:")
    for one in preview.moves:
        click.echo(f"- {one.display_name}: {_seat(ladder, one.from_tier)} → {_seat(ladder, one.to_tier)}")
    show_uses(preview.purchases, {tier.key: tier.name for tier in ladder})


def _show_promoted(preview: "ReleasePreview", ladder: "TierLadder") -> None:
    served: Sequence[str] = [f"{one.display_name} ({_seat(ladder, one.tier)})" for one in preview.promoted]
    if served:
        click.echo(f"Who waits gets freed seats: {', '.join(served)}")


def _show_decided(done: "Decided", *, as_json: bool) -> None:
    from bridge.domain.brake import HoldState

    if as_json:
        print_json(done)
        return
    if done.state is HoldState.DROPPED:
        click.echo(done.sentences)
        return
    people = "1 person" if done.people == 1 else f"{done.people:,} people"
    click.echo(f"Released for {people}.")
    print_facts(
        {
            "access turned off": done.turned_off,
            "removed": done.removed,
            "settled by the rules": done.resettled,
            "got a freed seat": done.promoted,
        }
    )


def _effect(effect: str) -> str:
    from bridge.domain.brake import HeldEffect
    from bridge.usecases.read_holds import WOULD

    return WOULD[HeldEffect(effect)]


def _seat(ladder: "TierLadder", tier: str | None) -> str:
    return "no seat" if tier is None else ladder.name_of(tier)


def _money(amount: int, currency: str) -> str:
    from bridge.billing.rules.money import Currency, format_money

    return format_money(amount, Currency(currency))
