"""``seatbridge review ...``."""

from pathlib import Path

import click

from bridge.cli.files import export_tables, table_options
from bridge.cli.showing import json_option, org_argument


@click.group()
def review() -> None:
    """What reviewers ask for: access."""


@review.command()
@org_argument
@table_options
@json_option
def access(org: str, form: str, output: Path | None, *, as_json: bool) -> None:
    """Write the access review: everybody with role, seat, groups, last sign-in, and why, as of now."""
    from bridge.usecases.access_review import review_access

    export_tables(
        org,
        lambda unit: [review_access(unit)],
        what="access_review",
        name=f"access-review-{org}",
        form=form,
        output=output,
        as_json=as_json,
    )
