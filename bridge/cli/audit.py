"""``seatbridge audit ...``."""

from pathlib import Path

import click

from bridge.cli.files import export_tables, table_options
from bridge.cli.lazy import REFUSED
from bridge.cli.showing import json_option, org_argument, print_json, print_table


@click.group()
def audit() -> None:
    """The audit chain: verify it, follow one person through it, take it away."""


@audit.command()
@org_argument
@json_option
@click.pass_context
def verify(context: click.Context, org: str, *, as_json: bool) -> None:
    """Check the whole chain; ends with 1 and names the first entry that is not what was written."""
    from bridge.cli.opening import open_organization
    from bridge.store import journal

    with open_organization(org) as (_, unit):
        bad = journal.verify(unit)
        keys_fit = bad is None or journal.is_sealed_by_these_keys(unit)
        entries, head = unit.state().audit_seq, unit.state().audit_head.hex()
    if as_json:
        print_json({"entries": entries, "head": head, "first_bad_entry": bad, "keys_fit": keys_fit})
    elif bad is None:
        click.echo(f"{entries} entries, each as it was written. Head: {head}")
    elif not keys_fit:
        click.echo(
            "The keys do not belong to this data: none of the newest entries was sealed by one of them. Set the keys"
            " that it was written with (secrets.keys_file)",
            err=True,
        )
    else:
        click.echo(f"Entry {bad} is not what was written, or is missing", err=True)
    context.exit(0 if bad is None else REFUSED)


@audit.command()
@org_argument
@click.argument("person")
@json_option
def person(org: str, person: str, *, as_json: bool) -> None:
    """Follow PERSON (userName, mail address or id) through the audit chain: every change, by whom and why.

    Of somebody who was removed it takes the id.
    """
    from bridge.cli.opening import open_organization
    from bridge.domain.identifiers import MemberId, parse_id
    from bridge.usecases.people import find_person
    from bridge.usecases.person_history import read_person_history

    with open_organization(org) as (_, unit):
        identifier = parse_id(person)
        member_id = MemberId(identifier) if identifier is not None else find_person(unit, person).id
        changes = read_person_history(unit, member_id)
    if as_json:
        print_json(changes)
        return
    print_table(
        ("entry", "when", "what", "why", "by", "request"),
        [(one.seq, one.at, one.action, one.reason, one.actor, one.request_id) for one in changes],
        empty="The chain knows nothing of this person",
    )


@audit.command()
@org_argument
@table_options
@json_option
def export(org: str, form: str, output: Path | None, *, as_json: bool) -> None:
    """Write the whole chain: who did what to what, why, in which request, with each entry's seal."""
    from bridge.usecases.audit_export import export_audit

    export_tables(
        org,
        lambda unit: [export_audit(unit)],
        what="audit",
        name=f"audit-{org}",
        form=form,
        output=output,
        as_json=as_json,
    )
