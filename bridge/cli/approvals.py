"""``seatbridge approvals ...``: changes that cost, asked for by who may not buy, decided by an owner."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.contracts import amendment_options, plan_options
from bridge.cli.dialogue import ACCEPT_COST, Cost, Dialogue, Said, cost_of, hold_dialogue
from bridge.cli.documents import load_document
from bridge.cli.mapping_changes import cost_of_rules, file_argument, gains_of, show_preview
from bridge.cli.showing import harmless_line, json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.store.unit import Unit
    from bridge.usecases.approvals import ApprovalView, Approved, OpenedApproval, ShownPreview

_id_argument = click.argument("request", type=click.UUID)
_note_option = click.option("--note", default="", help="What to say to the owners.")


@click.group()
def approvals() -> None:
    """Requests to the owners for what costs: list, show, approve, decline, withdraw, ask."""


@approvals.command("list")
@org_argument
@click.option("--waiting", is_flag=True, help="Only those that wait.")
@json_option
def list_command(org: str, *, waiting: bool, as_json: bool) -> None:
    """List the requests, those that wait first."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.approvals import list_approvals

    with open_organization(org) as (_, unit):
        found = list_approvals(unit, waiting_only=waiting)
    if as_json:
        print_json(found)
        return
    print_table(
        ("request", "asks for", "by", "since", "state", "decided by", "why"),
        [
            (one.id, one.summary, one.submitted_by, one.submitted_at, one.state, one.decided_by, one.reason or one.note)
            for one in found
        ],
        empty="Nobody has asked for anything",
    )


@approvals.command()
@org_argument
@_id_argument
@json_option
def show(org: str, request: uuid.UUID, *, as_json: bool) -> None:
    """Show what a request would do and cost now, computed afresh."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.approvals import open_approval

    with open_organization(org) as (_, unit):
        opened = open_approval(unit, request)
        if as_json:
            print_json({"request": opened.approval, "preview": _document(opened)})
        else:
            _show(unit, opened)


@approvals.command()
@org_argument
@_id_argument
@ACCEPT_COST
@click.option(
    "--accept-roles", is_flag=True, help="Accept that people may do more, where the request gives them roles."
)
@json_option
def approve(org: str, request: uuid.UUID, *, accept_cost: str | None, accept_roles: bool, as_json: bool) -> None:
    """Show what a request would do and cost now, then do exactly that.

    What it costs and whom it gives more rights are accepted each by itself, by an answer or ahead. A script names the
    sum that it accepts: somebody else wrote the request, and what it costs may have changed.
    """
    from bridge.usecases.approvals import approve as approve_request
    from bridge.usecases.approvals import open_approval

    hold_dialogue(
        org,
        Dialogue(
            preview=lambda unit: open_approval(unit, request),
            show=_show,
            cost=lambda unit, opened: _cost(unit, opened.preview),
            question="Approve the change?",
            confirm=lambda unit, opened, _: approve_request(unit, request, opened.preview.id, acknowledged=True),
            tell=lambda done: _tell_approved(org, done),
            further=lambda opened: {} if accept_roles else _gains(opened),
        ),
        Said(accept_cost=accept_cost, as_json=as_json),
    )


def _cost(unit: "Unit", shown: "ShownPreview") -> Cost:
    from bridge.usecases.change_plan import PlanPreview
    from bridge.usecases.mapping_effect import MappingsPreview

    if isinstance(shown, PlanPreview):
        return Cost(0, shown.quote.currency)
    if isinstance(shown, MappingsPreview):
        return cost_of_rules(unit, shown, buy=True)
    return cost_of(shown.quote.bill, shown.quote.currency)


def _gains(opened: "OpenedApproval") -> dict[str, str]:
    from bridge.usecases.mapping_effect import MappingsPreview

    return gains_of(opened.preview, "Approve") if isinstance(opened.preview, MappingsPreview) else {}


def _tell_approved(org: str, done: "Approved") -> None:
    from bridge.cli.contracts import tell_plan
    from bridge.cli.seats import tell_seats
    from bridge.usecases.approvals import invoices_of
    from bridge.usecases.buy_seats import SeatsConfirmation
    from bridge.usecases.change_plan import PlanConfirmation

    issued = invoices_of(done)
    if isinstance(done, PlanConfirmation):
        tell_plan(done)
    elif isinstance(done, SeatsConfirmation) and done.order is not None:
        tell_seats(org, done)
    else:
        click.echo(f"Approved. Invoice: {', '.join(issued)}" if issued else "Approved. Nothing was charged.")


@approvals.command()
@org_argument
@_id_argument
@click.option("--reason", required=True, help="Why not, for who asked.")
@json_option
def decline(org: str, request: uuid.UUID, *, reason: str, as_json: bool) -> None:
    """Say no to a request."""
    from bridge.usecases.approvals import decline as decline_request

    _tell(org, lambda unit: decline_request(unit, request, reason=reason), "Declined", as_json=as_json)


@approvals.command()
@org_argument
@_id_argument
@json_option
def withdraw(org: str, request: uuid.UUID, *, as_json: bool) -> None:
    """Take a request back."""
    from bridge.usecases.approvals import withdraw as withdraw_request

    _tell(org, lambda unit: withdraw_request(unit, request), "Withdrawn", as_json=as_json)


@approvals.command("ask-seats")
@org_argument
@click.argument("changes", nargs=-1, required=True, metavar="TIER=NUMBER...")
@_note_option
@json_option
def ask_seats(org: str, changes: Sequence[str], *, note: str, as_json: bool) -> None:
    """Ask the owners for more seats (premium=2) or fewer (premium=-1)."""
    from bridge.cli.seats import read_change
    from bridge.usecases.ask_owners import submit_seats

    wanted = dict(read_change(text) for text in changes)
    _tell(org, lambda unit: submit_seats(unit, wanted, note=note), "Sent to the owners", as_json=as_json)


@approvals.command("ask-mappings")
@org_argument
@file_argument
@_note_option
@json_option
def ask_mappings(org: str, file: Path, *, note: str, as_json: bool) -> None:
    """Ask the owners to put the rules of a file in force and to buy the seats that are missing then."""
    from bridge.usecases.ask_owners import submit_mappings
    from bridge.usecases.preview_mappings import preview_mappings

    document = load_document(file)

    def ask(unit: "Unit") -> "ApprovalView":
        return submit_mappings(unit, preview_mappings(unit, document).id, note=note)

    _tell(org, ask, "Sent to the owners", as_json=as_json)


@approvals.command("ask-amendment")
@org_argument
@amendment_options
@_note_option
@json_option
def ask_amendment(org: str, *, note: str, as_json: bool, **wanted: Any) -> None:
    """Ask the owners for another annual fee, tier or number of paid users of a fixed-fee contract."""
    from bridge.cli.contracts import read_amendment
    from bridge.usecases.ask_owners import submit_amendment

    def ask(unit: "Unit") -> "ApprovalView":
        return submit_amendment(unit, read_amendment(unit, **wanted), note=note)

    _tell(org, ask, "Sent to the owners", as_json=as_json)


@approvals.command("ask-plan")
@org_argument
@plan_options
@_note_option
@json_option
def ask_plan(org: str, *, note: str, as_json: bool, **wanted: Any) -> None:
    """Send the owners another plan with its prices, as agreed with them, for one of them to agree to."""
    from bridge.cli.contracts import read_plan
    from bridge.usecases.ask_owners import submit_plan

    def ask(unit: "Unit") -> "ApprovalView":
        return submit_plan(unit, read_plan(unit, **wanted), note=note)

    _tell(org, ask, "Sent to the owners", as_json=as_json)


def _tell(org: str, act: "Callable[[Unit], ApprovalView]", done: str, *, as_json: bool) -> None:
    from bridge.cli.opening import open_organization

    with open_organization(org) as (_, unit):
        view = act(unit)
    if as_json:
        print_json(view)
    else:
        click.echo(f"{done}: {view.summary} ({view.id})")


def _document(opened: "OpenedApproval") -> Any:
    from bridge.usecases.mapping_documents import preview_document
    from bridge.usecases.mapping_effect import MappingsPreview

    shown = opened.preview
    return preview_document(shown, buy=True) if isinstance(shown, MappingsPreview) else shown


def _show(unit: "Unit", opened: "OpenedApproval") -> None:
    from bridge.cli.contracts import show_amendment, show_plan
    from bridge.cli.seats import seat_moves, show_seats_preview
    from bridge.usecases.buy_seats import SeatsPreview
    from bridge.usecases.change_plan import PlanPreview
    from bridge.usecases.mapping_effect import MappingsPreview

    asked = opened.approval
    who = f"{asked.submitted_by[:1].upper()}{asked.submitted_by[1:]}"
    click.echo(harmless_line(f"{who} asks for {asked.summary}." + (f" “{asked.note}”" if asked.note else "")))
    click.echo()
    shown = opened.preview
    if isinstance(shown, MappingsPreview):
        show_preview(shown, buy=True)
    elif isinstance(shown, SeatsPreview):
        show_seats_preview(shown, seat_moves(unit, shown))
    elif isinstance(shown, PlanPreview):
        show_plan(shown)
    else:
        show_amendment(shown)
