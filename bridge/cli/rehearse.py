"""``seatbridge rehearse``: play a scenario of seats and money through the real use cases, and leave no trace."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bridge.billing.rules.licences import LicenceKind
from bridge.cli.fee_rehearsal import FeeRehearsal
from bridge.cli.licence_rehearsal import LicenceRehearsal
from bridge.cli.opening import open_runtime
from bridge.cli.rehearsal import Rehearsal, ScriptedPayments
from bridge.cli.scenario import read_scenario
from bridge.domain.plan_kinds import FIXED_FEE
from bridge.errors import InvalidInputError
from bridge.runtime import Runtime

#: How plans that are not sold by seats are played.
_OTHER_REHEARSALS: Mapping[str, type[Rehearsal]] = {
    FIXED_FEE: FeeRehearsal,
    **{str(kind): LicenceRehearsal for kind in LicenceKind},
}


def rehearse(runtime: Runtime, scenario: Mapping[str, Any]) -> dict[str, Any]:
    """Play a scenario on a throw-away organization, through the use cases that serve real ones.

    Everything happens inside one transaction that is rolled back; each event has a savepoint of its own, so that a
    refused one changes nothing. Boundaries are passed at their instant, before other events of it (rule R6).

    Args:
        runtime: Its database is used, its payments are not.
        scenario: Plan, prices, events and the instant to end at; the reference describes the words.

    Returns:
        Invoices, refusals by event, alerts about seats that ran out, previews, licence holders by billed month, and the
        state at the end.

    Raises:
        InvalidInputError: The scenario cannot be read; its field is named.
    """
    played = read_scenario(scenario)
    payments = ScriptedPayments()
    rehearsal = _OTHER_REHEARSALS.get(played.contract.kind, Rehearsal)
    with runtime.engine.connect() as connection:
        transaction = connection.begin()
        try:
            return rehearsal(replace(runtime, payments=payments), connection, played, payments).play()
        finally:
            transaction.rollback()


@click.command("rehearse")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Compare with each scenario's `expected`; exit 1 when one differs.")
def rehearse_command(files: tuple[Path, ...], *, check: bool) -> None:
    """Play scenarios of seats and money and print what would happen; nothing is kept.

    A FILE holds one scenario or a list of them, as JSON.
    """
    with open_runtime() as runtime:
        differs = [_rehearse_file(runtime, file, check=check) for file in files]
    if check and any(differs):
        raise SystemExit(1)


def _rehearse_file(runtime: Runtime, file: Path, *, check: bool) -> bool:
    """Print what a file's scenarios come to; return whether one differs from what it expects."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise InvalidInputError(str(file), f"is no JSON: {problem}") from problem
    scenarios = document if isinstance(document, list) else [document]
    outcomes = []
    differs = False
    for number, scenario in enumerate(scenarios):
        if not isinstance(scenario, dict):
            raise InvalidInputError(str(file), f"scenario {number} has no fields such as plan, prices and events")
        outcome = rehearse(runtime, scenario)
        name = str(scenario.get("case", number))
        differences = list(_differences(outcome, scenario.get("expected", {}))) if check else []
        if differences:
            differs = True
            click.echo(f"{file}: {name} comes out otherwise than expected", err=True)
            for place, expected, got in differences:
                click.echo(f"  {place}: expected {json.dumps(expected)}, got {json.dumps(got)}", err=True)
        outcomes.append({"case": name, **outcome} if isinstance(document, list) else outcome)
    click.echo(json.dumps(outcomes if isinstance(document, list) else outcomes[0], indent=2, ensure_ascii=False))
    return differs


def _differences(got: object, expected: object, place: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield where an outcome is another one than expected; parts of the outcome that nobody expects do not count."""
    if isinstance(got, Mapping) and isinstance(expected, Mapping):
        for name in expected:
            inner = f"{place}.{name}" if place else str(name)
            yield from _differences(got.get(name), expected[name], inner)
        if place:
            for name in sorted(map(str, {*got} - {*expected})):
                yield f"{place}.{name}", None, got[name]
    elif isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        for number, (one, other) in enumerate(zip(got, expected, strict=True)):
            yield from _differences(one, other, f"{place}.{number}")
    elif got != expected:
        yield place, expected, got
