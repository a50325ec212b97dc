"""``seatbridge requests ...``: the provisioning log."""

import time
import uuid
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.lazy import Entry, LazyGroup
from bridge.cli.showing import (
    harmless,
    harmless_line,
    json_option,
    org_argument,
    print_facts,
    print_json,
    print_table,
    text_of,
)

if TYPE_CHECKING:
    from bridge.runtime import Runtime
    from bridge.usecases.read_requests import RequestLine, RequestStory

_FOLLOW_SECONDS = 1.0
_AT_ONCE = 1000

COMMANDS = {
    "tail": Entry("bridge.cli.requests:tail", "List the newest requests; --follow goes on."),
    "show": Entry("bridge.cli.requests:show", "Show one request, its answer and what came of it."),
    # The protocol's own code answers a replay, and it stands above this command line.
    "replay": Entry("scim.replay:replay", "Send one request again: what would come of it now."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
def requests() -> None:
    """The provisioning log: what identity providers sent and were answered, refused tokens included."""


@click.command()
@org_argument
@click.option("--connection", help="Of one connection only, by name or id.")
@click.option("--failed", is_flag=True, help="Refusals only.")
@click.option(
    "--limit", type=click.IntRange(1, _AT_ONCE), default=20, show_default=True, help="How many to begin with."
)
@click.option("--follow", is_flag=True, help="Go on with what arrives, until Ctrl-C.")
@json_option
def tail(org: str, *, connection: str | None, failed: bool, limit: int, follow: bool, as_json: bool) -> None:
    """List the newest requests of an organization, oldest of them first.

    With --json each request is one line when --follow is given, and one list otherwise.
    """
    from bridge.cli.opening import open_runtime

    with open_runtime() as runtime:
        lines = _read(runtime, org, connection=connection, failed=failed, after=None, limit=limit)
        if not follow:
            _print_lines(lines, as_json=as_json)
            return
        after: uuid.UUID | None = None
        try:
            while True:
                for line in lines:
                    _print_one(line, as_json=as_json)
                after = lines[-1].id if lines else after
                time.sleep(_FOLLOW_SECONDS)
                since = after or uuid.UUID(int=0)
                lines = _read(runtime, org, connection=connection, failed=failed, after=since, limit=_AT_ONCE)
        except KeyboardInterrupt:
            return


@click.command()
@org_argument
@click.argument("request")
@json_option
def show(org: str, request: str, *, as_json: bool) -> None:
    """Show REQUEST (its id, or the request id of its answer): what was sent, what was answered, what came of it."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.read_requests import read_request

    with open_organization(org) as (_, unit):
        story = read_request(unit, request)
    if as_json:
        print_json(_as_json(story))
    else:
        _print_story(story)


def _read(
    runtime: "Runtime", org: str, *, connection: str | None, failed: bool, after: uuid.UUID | None, limit: int
) -> "list[RequestLine]":
    from bridge.cli.opening import find_organization
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.connections import find_connection
    from bridge.usecases.read_requests import list_requests

    with runtime.unit(find_organization(runtime, org), OPERATOR) as unit:
        wanted = None if connection is None else find_connection(unit, connection).id
        return list_requests(unit, connection_id=wanted, failed=failed, after=after, limit=limit)


def _print_lines(lines: "list[RequestLine]", *, as_json: bool) -> None:
    if as_json:
        print_json(lines)
        return
    print_table(
        ("id", "when", "connection", "asked", "answered", "ms"),
        [(one.id, _second(one), one.connection, one.said, one.answered, round(one.latency_ms)) for one in lines],
        empty="Nothing has arrived: check the base URL in the identity provider",
    )


def _print_one(line: "RequestLine", *, as_json: bool) -> None:
    if as_json:
        import json

        facts = {"id": str(line.id), "at": line.at.isoformat(), **_plain(line)}
        click.echo(harmless_line(json.dumps(facts, ensure_ascii=False)))
        return
    who = text_of(line.connection)
    told = f"{line.id}  {_second(line)}  {who}  {line.said} → {line.answered}  {line.latency_ms:.0f} ms"
    click.echo(harmless_line(told))


def _plain(line: "RequestLine") -> dict[str, Any]:
    names = ("connection", "method", "path", "said", "status", "answered", "latency_ms", "mark", "request_id")
    return {name: getattr(line, name) for name in names}


def _second(line: "RequestLine") -> str:
    return f"{line.at:%Y-%m-%d %H:%M:%S}"


def _print_story(story: "RequestStory") -> None:
    entry, line = story.entry, story.line
    facts: dict[str, object] = {
        "id": entry.id,
        "when": f"{_second(line)} UTC, {entry.latency_ms:.1f} ms",
        "connection": line.connection,
        "token": story.token,
        "asked": line.said,
        "answered": line.answered,
        "request id": entry.request_id,
        "user agent": entry.user_agent,
        "size": f"{entry.bytes_in} bytes in, {text_of(entry.bytes_out)} out",
    }
    if entry.address:
        facts["address"] = entry.address
    if entry.dialect:
        facts["speaks like"] = entry.dialect
    if story.hold_id:
        facts["held under"] = story.hold_id
    print_facts(facts)
    click.echo(f"\n{harmless_line(f'{entry.method} {line.path}')}")
    _print_body(entry.request_body, whole=entry.request_whole)
    click.echo(f"→ {entry.status}")
    _print_body(entry.response_body, whole=entry.response_whole)
    if entry.operations:
        click.echo(f"\n{entry.operations['total']} operations: " + harmless_line(", ".join(_ended(entry.operations))))
        for failed in entry.operations["failed"]:
            told = f"operation {failed['number']}: {failed['status']} {text_of(failed['detail'])}"
            click.echo(f"  {harmless_line(told)}")
    if line.meaning:
        click.echo(f"\n{line.meaning}")
    click.echo()
    print_table(
        ("from", "to", "because", "by"),
        [(one.from_name, one.to_name, one.because, one.actor) for one in story.decisions],
        empty="It made no decision about a seat",
    )


def _print_body(body: str | None, *, whole: bool) -> None:
    from bridge.domain.redaction import NOT_KEPT, read_kept

    if body is None:
        return
    import json

    document = read_kept(body)
    try:
        told = body if document is None else json.dumps(document, indent=2, ensure_ascii=False)
    except RecursionError:  # the writer of indented JSON goes less deep than the reader
        told = body
    click.echo(harmless(told))
    if not whole and not body.startswith(NOT_KEPT):
        click.echo("… (the rest was not kept)")


def _ended(operations: dict[str, Any]) -> list[str]:
    return [f"{count} × {how}" for how, count in operations["ended"].items()]


def _as_json(story: "RequestStory") -> dict[str, Any]:
    entry = story.entry
    names = (
        *("id", "at", "connection_id", "token_id", "method", "path", "query", "status", "scim_type", "mark"),
        *("latency_ms", "request_id", "address", "user_agent", "content_type", "bytes_in", "bytes_out", "dialect"),
        *("request_body", "request_whole", "response_body", "response_whole", "operations"),
    )
    return {name: getattr(entry, name) for name in names} | {
        "connection": story.line.connection,
        "said": story.line.said,
        "meaning": story.line.meaning,
        "decisions": story.decisions,
        "hold_id": story.hold_id,
    }
