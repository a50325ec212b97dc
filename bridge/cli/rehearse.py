"""``seatbridge rehearse``: play a scenario of seats and money through the real use cases, and leave no trace."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bridge.billing import BuiltinPayments
from bridge.cli.rehearsal import Rehearsal, ScriptedPayments
from bridge.cli.scenario import read_scenario
from bridge.config import load_settings
from bridge.runtime import Runtime, build_runtime, database


def rehearse(runtime: Runtime, scenario: Mapping[str, Any]) -> dict[str, Any]:
    """Play a scenario on a throw-away organization, through the use cases that serve real ones.

    Everything happens inside one transaction that is rolled back; each event has a savepoint of its own, so that a
    refused one changes nothing. Boundaries are passed at their instant, before other events of it (rule R6).

    Args:
        runtime: Its database is used, its payments are not.
        scenario: Plan, prices, events and the instant to end at; the reference describes the words.

    Returns:
        Invoices, refusals by event, alerts about seats that ran out, previews, and the state at the end.

    Raises:
        InvalidInputError: The scenario cannot be read; its field is named.
    """
    played = read_scenario(scenario)
    payments = ScriptedPayments()
    with runtime.engine.connect() as connection:
        transaction = connection.begin()
        try:
            return Rehearsal(replace(runtime, payments=payments), connection, played, payments).play()
        finally:
            transaction.rollback()


@click.command("rehearse")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), default=None, help="Configuration file.")
@click.option("--check", is_flag=True, help="Compare with each scenario's `expected`; exit 1 when one differs.")
def rehearse_command(files: tuple[Path, ...], config: Path | None, *, check: bool) -> None:
    """Play scenarios of seats and money and print what would happen; nothing is kept.

    A FILE holds one scenario or a list of them, as JSON.
    """
    settings = load_settings(config)
    with database(settings) as urls:
        runtime = build_runtime(settings, urls.service, payments=BuiltinPayments())
        try:
            differs = [_rehearse_file(runtime, file, check=check) for file in files]
        finally:
            runtime.close()
    if check and any(differs):
        raise SystemExit(1)


def _rehearse_file(runtime: Runtime, file: Path, *, check: bool) -> bool:
    """Print what a file's scenarios come to; return whether one differs from what it expects."""
    document = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(document, list):
        outcome = rehearse(runtime, document)
        click.echo(json.dumps(outcome, indent=2, ensure_ascii=False))
        return check and outcome != document.get("expected", outcome)
    outcomes = [
        {"case": scenario.get("case", str(number)), **rehearse(runtime, scenario)}
        for number, scenario in enumerate(document)
    ]
    click.echo(json.dumps(outcomes, indent=2, ensure_ascii=False))
    return check and any(
        {"case": outcome["case"], **scenario.get("expected", outcome)} != outcome
        for scenario, outcome in zip(document, outcomes, strict=True)
    )
