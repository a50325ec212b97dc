"""``seatbridge mappings preview|apply|rollback``: what other rules would do, then exactly that."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.dialogue import Cost
from bridge.cli.documents import load_document
from bridge.cli.lazy import REFUSED, UNUSABLE
from bridge.cli.showing import json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.store.unit import Unit
    from bridge.usecases.mapping_effect import MappingsPreview, Outlay

file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
_check_option = click.option(
    "--check", is_flag=True, help="Apply nothing: end with 2 when it would change something, with 0 when not."
)
_yes_option = click.option(
    "--yes", is_flag=True, help="Apply, whatever it costs and whoever may do more then, without being asked."
)
_buy_option = click.option("--buy", is_flag=True, help="Buy the seats that are missing, at the cost shown.")
#: More people than anybody reads one by one.
_SHOWN = 200


@click.command()
@org_argument
@file_argument
@_buy_option
@json_option
def preview(org: str, file: Path, *, buy: bool, as_json: bool) -> None:
    """Show who would gain, lose, move or wait under the rules of a file, why, and what it costs."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.preview_mappings import preview_mappings

    document = load_document(file)
    with open_organization(org) as (_, unit):
        shown = preview_mappings(unit, document)
    if as_json:
        from bridge.usecases.mapping_documents import preview_document

        print_json(preview_document(shown, buy=buy))
    else:
        show_preview(shown, buy=buy)


@click.command()
@org_argument
@file_argument
@_check_option
@_yes_option
@_buy_option
@json_option
def apply(org: str, file: Path, *, check: bool, yes: bool, buy: bool, as_json: bool) -> None:
    """Put the rules of a file in force: first who moves and what it costs, then exactly that.

    What the file asserts must be so, or nothing is applied (assertion_failed).
    """
    from bridge.store.directory import mapping_set_in_force
    from bridge.store.pools import ladder_of, read_pools
    from bridge.usecases.preview_mappings import preview_mappings, read_document
    from mappings.differences import difference

    document = load_document(file)

    def look(unit: "Unit") -> "MappingsPreview | None":
        ladder = ladder_of(read_pools(unit))
        if not difference(mapping_set_in_force(unit, ladder), read_document(unit, document, ladder), ladder):
            return None
        return preview_mappings(unit, document)

    _change(org, look, check=check, yes=yes, buy=buy, as_json=as_json)


@click.command()
@org_argument
@click.argument("version", type=click.IntRange(min=1))
@_check_option
@_yes_option
@_buy_option
@json_option
def rollback(org: str, version: int, *, check: bool, yes: bool, buy: bool, as_json: bool) -> None:
    """Put the rules of an older version in force again, previewed and applied like any others.

    A group that is gone since then is expected again.
    """
    from bridge.usecases.preview_mappings import preview_rollback

    def look(unit: "Unit") -> "MappingsPreview":
        return preview_rollback(unit, version)

    _change(org, look, check=check, yes=yes, buy=buy, as_json=as_json)


def _change(
    org: str,
    look: "Callable[[Unit], MappingsPreview | None]",
    *,
    check: bool,
    yes: bool,
    buy: bool,
    as_json: bool,
) -> None:
    """Show what other rules would do, ask, and apply them."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.edit_mappings import apply_mappings

    context = click.get_current_context()
    if as_json and not (yes or check):
        raise click.UsageError("--json asks nothing: add --yes to apply, or --check to look")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            shown = look(unit)
            cost = None if shown is None else cost_of_rules(unit, shown, buy=buy)
        if shown is None or cost is None:
            click.echo("null" if as_json else "These rules are in force already")
            return
        if not as_json:
            show_preview(shown, buy=buy)
        elif check:
            from bridge.usecases.mapping_documents import preview_document

            print_json(preview_document(shown, buy=buy))
        if check:
            context.exit(UNUSABLE if all(finding.holds for finding in shown.findings_of(buy=buy)) else REFUSED)
        if not yes:
            click.confirm(f"{cost.sentence} Apply?", abort=True)
            for question in gains_of(shown, "Accept").values():
                click.confirm(question, abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            applied = apply_mappings(unit, shown.id, acknowledged=True, buy=buy)
    if as_json:
        print_json(applied)
    else:
        changed = "1 seat" if applied.moved == 1 else f"{applied.moved} seats"
        invoice = "".join(f"; invoice {each.number}" for each in applied.invoices)
        click.echo(f"Version {applied.version} is in force; {changed} changed{invoice}")


def cost_of_rules(unit: "Unit", shown: "MappingsPreview", *, buy: bool) -> Cost:
    """Return what applying previewed rules charges today, what is bought within budgets included."""
    from bridge.usecases.seats import read_contract

    outlay = shown.outlay_of(buy=buy)
    return Cost(outlay.total if outlay else 0, read_contract(unit).currency)


def gains_of(shown: "MappingsPreview", verb: str) -> dict[str, str]:
    """Ask by itself whether people may do more, where the rules give them roles; by the option that answers ahead."""
    if not shown.gives_roles:
        return {}
    gains = sum(change.is_gain for change in shown.role_changes)
    return {"--accept-roles": f"{verb} that {gains} {'person' if gains == 1 else 'people'} may do more?"}


def show_preview(preview: "MappingsPreview", *, buy: bool) -> None:
    """Show a preview to people."""
    from bridge.cli.seat_budgets import show_uses
    from bridge.cli.seats import line_table

    effect = preview.effect(buy=buy)
    ladder = preview.ladder
    names = {str(member_id): name for member_id, name in preview.names.items()}
    for change in preview.changes:
        click.echo(change.sentence)
    click.echo()
    print_table(
        ("who", "now", "after", "because"),
        [
            (
                names.get(str(move.member_id), move.member_id),
                ladder.name_of(move.from_tier),
                ladder.name_of(move.to_tier),
                preview.because(move),
            )
            for move in effect.moves[:_SHOWN]
        ],
        empty="Nobody's seat changes",
    )
    if len(effect.moves) > _SHOWN:
        click.echo(f"and {len(effect.moves) - _SHOWN} more (--json names them all)")
    for line in effect.line_changes[:_SHOWN]:
        name = names.get(str(line.member_id), line.member_id)
        waits = "leaves the line" if line.after is None else f"waits for {ladder.name_of(line.after)}"
        click.echo(f"{name}: {waits}")
    for role in preview.role_changes[:_SHOWN]:
        click.echo(f"{names.get(str(role.member_id), role.member_id)}: role {role.before} → {role.after}")
    click.echo()
    print_table(
        ("tier", "seats", "used now", "after", "waiting after"),
        [(ladder.name_of(one.tier), one.seats, one.now, one.after, one.short) for one in effect.seats],
        empty="This plan has no tier",
    )
    uses = preview.budget_uses_if_bought if buy and preview.quote is not None else preview.budget_uses
    show_uses(uses, {tier.key: tier.name for tier in ladder})
    if preview.shortage:
        missing = ", ".join(f"{number} {ladder.name_of(tier)}" for tier, number in preview.shortage.items())
        click.echo(f"Seats missing: {missing}" + ("" if buy else " (those people wait; --buy buys them)"))
    quote, outlay = preview.quote, preview.outlay_of(buy=buy)
    if quote is not None and quote.bill is not None:
        click.echo()
        line_table(quote.bill.lines, quote.currency)
    if outlay is not None:
        _tell_outlay(outlay)
    if not buy and preview.outlay_if_bought is not None:
        _tell_outlay(preview.outlay_if_bought, " if they are bought")
    for finding in preview.findings_of(buy=buy):
        click.echo(f"{'Holds' if finding.holds else 'FAILS'}: {finding}")


def _tell_outlay(outlay: "Outlay", condition: str = "") -> None:
    from bridge.cli.seats import money

    renewal = outlay.together
    click.echo(f"Total today, tax included: {money(outlay.total, renewal.currency)}{condition}")
    before, after = money(renewal.renewal_before, renewal.currency), money(renewal.renewal_after, renewal.currency)
    if renewal.followed_by is not None:
        click.echo(f"First invoice of the plan that follows, before tax: {after}")
    else:
        click.echo(f"Next renewal, before tax: {before} → {after}{condition}")
