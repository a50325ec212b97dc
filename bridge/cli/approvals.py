"""``seatbridge approvals ...``: changes that cost, asked for by who may not buy, decided by an owner."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.documents import load_document
from bridge.cli.mapping_changes import file_argument, preview_document, show_preview
from bridge.cli.showing import json_option, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.store.unit import Unit
    from bridge.usecases.approvals import ApprovalView, OpenedApproval

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
@click.option("--yes", is_flag=True, help="Approve without being asked.")
@json_option
def approve(org: str, request: uuid.UUID, *, yes: bool, as_json: bool) -> None:
    """Show what a request would do and cost now, then do exactly that."""
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.approvals import approve as approve_request
    from bridge.usecases.approvals import invoices_of, open_approval
    from bridge.usecases.edit_mappings import MappingsPreview

    if as_json and not yes:
        raise click.UsageError("--json asks nothing: add --yes to approve, or use show to look")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            opened = open_approval(unit, request)
            if not as_json:
                _show(unit, opened)
        if not yes:
            click.confirm("Approve the change and its cost?", abort=True)
            if isinstance(opened.preview, MappingsPreview) and opened.preview.gives_roles:
                gains = sum(change.is_gain for change in opened.preview.role_changes)
                click.confirm(f"Approve that {gains} {'person' if gains == 1 else 'people'} may do more?", abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            done = approve_request(unit, request, opened.preview.id, acknowledged=True)
    if as_json:
        print_json(done)
        return
    issued = invoices_of(done)
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
    from bridge.usecases.approvals import submit_seats

    wanted = dict(read_change(text) for text in changes)
    _tell(org, lambda unit: submit_seats(unit, wanted, note=note), "Sent to the owners", as_json=as_json)


@approvals.command("ask-mappings")
@org_argument
@file_argument
@_note_option
@json_option
def ask_mappings(org: str, file: Path, *, note: str, as_json: bool) -> None:
    """Ask the owners to put the rules of a file in force and to buy the seats that are missing then."""
    from bridge.usecases.approvals import submit_mappings
    from bridge.usecases.edit_mappings import preview_mappings

    document = load_document(file)

    def ask(unit: "Unit") -> "ApprovalView":
        return submit_mappings(unit, preview_mappings(unit, document).id, note=note)

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
    from bridge.usecases.edit_mappings import MappingsPreview

    shown = opened.preview
    return preview_document(shown, buy=True) if isinstance(shown, MappingsPreview) else shown


def _show(unit: "Unit", opened: "OpenedApproval") -> None:
    from bridge.cli.contracts import show_amendment
    from bridge.cli.seats import seat_moves, show_seats_preview
    from bridge.usecases.buy_seats import SeatsPreview
    from bridge.usecases.edit_mappings import MappingsPreview

    asked = opened.approval
    click.echo(f"{asked.submitted_by} asks for {asked.summary}" + (f": {asked.note}" if asked.note else ""))
    click.echo()
    shown = opened.preview
    if isinstance(shown, MappingsPreview):
        show_preview(shown, buy=True)
    elif isinstance(shown, SeatsPreview):
        show_seats_preview(shown, seat_moves(unit, shown))
    else:
        show_amendment(shown)
