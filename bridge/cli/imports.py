"""``seatbridge import``."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.lazy import REFUSED, UNUSABLE
from bridge.cli.showing import json_option, org_argument, print_json, print_table, progress

if TYPE_CHECKING:
    from bridge.domain.people_files import PeopleFile
    from bridge.usecases.import_people import ImportReport

_SHOWN_PROBLEMS = 100
_SHOWN_PEOPLE = 20


@click.command("import")
@org_argument
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--preview", is_flag=True, help="Show what would happen, do nothing; ends with 2 when it would change.")
@click.option("--connection", metavar="NAME", help="Import as this identity provider's directory, not as by hand.")
@click.option("--skip-bad-rows", is_flag=True, help="Take in the good rows when others have problems.")
@click.option(
    "--problems-to",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write the rows with problems to this CSV file.",
)
@click.option("--expect", metavar="FINGERPRINT", help="Do exactly what the preview with this fingerprint showed.")
@json_option
@click.pass_context
def import_command(
    context: click.Context,
    org: str,
    file: Path,
    *,
    preview: bool,
    connection: str | None,
    skip_bad_rows: bool,
    problems_to: Path | None,
    expect: str | None,
    as_json: bool,
) -> None:
    """Take people in from a CSV file: all of them in one step, or none when a row has a problem.

    The first row names the columns: userName or email, and any of givenName, familyName, displayName, title,
    department, costCenter, employeeNumber, externalId, active, groups (separated by semicolons), tier. People who are
    missing from the file stay as they are. No seat is bought but within a budget, where the mappings say so.

    Ends with 0 when all is well, 1 when rows have problems, 2 when a preview would change something.
    """
    from bridge.cli.opening import open_organization
    from bridge.domain.people_files import read_people
    from bridge.usecases.connections import find_connection
    from bridge.usecases.import_people import import_people, preview_import

    people = read_people(_read(file))
    with open_organization(org) as (_, unit):
        connection_id = find_connection(unit, connection).id if connection is not None else None
        with progress("People", len(people.people)) as advance:
            if preview:
                report = preview_import(unit, people, connection_id, progress=advance)
            else:
                report = import_people(
                    unit, people, connection_id, skip_bad_rows=skip_bad_rows, expect=expect, progress=advance
                )
    if problems_to is not None and report.problems:
        _write_problems(problems_to, people, report)
    if as_json:
        print_json(_document(people, report))
    else:
        _show(org, people, report, preview=preview, skip_bad_rows=skip_bad_rows)
    if report.problems and not (report.applied or (preview and skip_bad_rows)):
        context.exit(REFUSED)
    context.exit(UNUSABLE if preview and report.changes_something else 0)


def _read(file: Path) -> bytes:
    """Read a file, or standard input, as far as it may go.

    Raises:
        InvalidInputError: It cannot be read.
    """
    from bridge.domain.people_files import MAX_BYTES
    from bridge.errors import InvalidInputError

    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInputError("file", f"{file} cannot be read ({error.strerror})") from None


def _write_problems(target: Path, people: "PeopleFile", report: "ImportReport") -> None:
    """Write the report that spreadsheets open.

    Raises:
        InvalidInputError: It cannot be written.
    """
    from bridge.domain.people_files import write_problems
    from bridge.errors import InvalidInputError

    try:
        # With a mark, or Excel takes it for the local encoding.
        target.write_text(write_problems(people, report.problems), encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InvalidInputError("problems-to", f"{target} cannot be written ({error.strerror})") from None


def _document(people: "PeopleFile", report: "ImportReport") -> dict[str, Any]:
    return {
        "applied": report.applied,
        "fingerprint": report.fingerprint,
        "file": {
            "sha256": people.sha256,
            "encoding": people.encoding,
            "delimiter": people.delimiter,
            "rows": report.rows,
            "warnings": people.warnings,
        },
        "connection": report.connection,
        "added": report.effect.added,
        "changed": report.effect.changed,
        "unchanged": report.effect.unchanged,
        "groups_created": report.effect.groups_created,
        "tiers": report.tiers,
        "problems": report.problems,
        "missing": report.missing,
        "bought": sum(use.seats for use in report.budget_uses),
        "bought_within_budgets": report.budget_uses,
    }


def _show(org: str, people: "PeopleFile", report: "ImportReport", *, preview: bool, skip_bad_rows: bool) -> None:
    from bridge.cli.seat_budgets import show_uses

    effect = report.effect
    for warning in people.warnings:
        click.echo(f"Note: {warning}", err=True)
    for problem in report.problems[:_SHOWN_PROBLEMS]:
        click.echo(str(problem), err=True)
    if len(report.problems) > _SHOWN_PROBLEMS:
        click.echo(f"… and {len(report.problems) - _SHOWN_PROBLEMS} more (--problems-to FILE has all)", err=True)
    if not report.tiers:
        click.echo("Nothing was done")
        return
    rows = [
        ("come new", len(effect.added)),
        ("change", len(effect.changed)),
        ("stay the same", effect.unchanged),
        ("rows with problems, left out", len(report.bad_rows)),
    ]
    print_table(("people", ""), rows, empty="")
    if effect.groups_created:
        click.echo(f"New groups: {', '.join(effect.groups_created)}")
    _show_people(report)
    _show_seats(org, report)
    show_uses(report.budget_uses, {one.tier: one.name for one in report.tiers})
    if report.applied:
        click.echo("Done. Nobody was removed for being missing from the file")
    elif preview and not effect.changes_something:
        click.echo("Nothing was done, and there is nothing to do")
    elif preview:
        leaving_out = " --skip-bad-rows" if report.problems or skip_bad_rows else ""
        click.echo(f"Nothing was done. To do exactly this:{leaving_out} --expect {report.fingerprint}")
    else:
        click.echo("Nothing was done: correct the rows, or leave them out with --skip-bad-rows")


def _show_people(report: "ImportReport") -> None:
    click.echo()
    effect = report.effect
    names = {one.tier: one.name for one in report.tiers}
    changed = [
        (one.row, one.user_name, ", ".join(_changes_of(one)), _moved(names, one.tier_before, one.tier))
        for one in effect.changed[:_SHOWN_PEOPLE]
    ]
    if changed:
        print_table(("row", "changes", "what", "seat"), changed, empty="")
        if len(effect.changed) > _SHOWN_PEOPLE:
            click.echo(f"… and {len(effect.changed) - _SHOWN_PEOPLE} more (--json has all)")
        click.echo()
    grounds = Counter((one.because or "deactivated: no seat", one.waiting_for) for one in effect.added)
    if grounds:
        rows = [
            (number, because, waiting and names.get(waiting, waiting))
            for (because, waiting), number in grounds.most_common()
        ]
        print_table(("new people", "seat", "wait for"), rows, empty="")
        click.echo()


def _changes_of(one: Any) -> list[str]:
    told = [*one.attributes]
    if one.adopted:
        told.append("now managed by the directory")
    told += [f"joins {name}" for name in one.joined] + [f"leaves {name}" for name in one.left]
    return told


def _moved(names: Mapping[str | None, str], before: str | None, after: str | None) -> str:
    return "" if before == after else f"{names.get(before, before)} → {names.get(after, after)}"


def _show_seats(org: str, report: "ImportReport") -> None:
    print_table(
        ("tier", "seats", "held before", "held after", "waiting before", "waiting after"),
        [
            (one.name, one.seats, one.held_before, one.held_after, one.waiting_before, one.waiting_after)
            for one in report.tiers
        ],
        empty="",
    )
    waiting = sum(one.waiting_after - one.waiting_before for one in report.tiers)
    bought = "" if report.budget_uses else "No seat is bought and nothing is charged"
    more = f"{waiting} more {'waits' if waiting == 1 else 'wait'}" if waiting > 0 else ""
    if bought or more:
        click.echo("; ".join(filter(None, (bought, more))))
    if report.missing:
        wanted = " ".join(f"{tier}={number}" for tier, number in report.missing.items())
        click.echo(f"To ask the owners for their seats: seatbridge approvals ask-seats {org} {wanted}")
