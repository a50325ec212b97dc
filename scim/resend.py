"""A request of the provisioning log once more, through the code that answered it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import orjson
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from sqlalchemy import select

from bridge.domain.actors import OPERATOR, Actor, ActorKind
from bridge.domain.identifiers import OrgId
from bridge.domain.redaction import REDACTED, lacks_secrets, read_kept
from bridge.errors import NotReplayableError
from bridge.observability import bound_ids
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from bridge.store.journal import record
from bridge.store.models import AuditEntry, Connection, LoggedRequest, ScimToken
from bridge.store.unit import Unit
from bridge.usecases.explain import ExplainedDecision
from bridge.usecases.read_requests import decisions_of, find_request
from scim.discovery import DISCOVERY, WrittenResponse
from scim.errors import refusal_of
from scim.general import serve_in
from scim.services import Services

REFUSED = 400


@dataclass(frozen=True, slots=True)
class Change:
    """An audit entry that a replay made, or would make."""

    action: str
    subject_kind: str
    subject_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of a request that was sent again, or would become of it."""

    dry_run: bool
    status: int
    answer: Any
    changes: Sequence[Change]
    decisions: Sequence[ExplainedDecision]


def replay_request(runtime: Runtime, org_id: OrgId, name: str, *, dry_run: bool = True) -> Replay:
    """Send an entry of the log again.

    Args:
        runtime: The product.
        org_id: The organization.
        name: The entry's id, or the request id of its answer.
        dry_run: Roll everything back; otherwise what the request changes is committed.

    Raises:
        NotFoundError: There is no such entry.
        NotReplayableError: The entry is nobody's, lacks a part of what was sent, or its connection is disabled.
    """
    services = Services(runtime)
    with runtime.unit(org_id, OPERATOR) as unit:
        entry = find_request(unit, name)
        caller = _caller(unit, entry)
    sent = _request(runtime, entry, caller)
    request_id = f"replay-{uuid.uuid4().hex}"
    actor = Actor(ActorKind.DIRECTORY, caller.connection_id)
    with bound_ids(request_id=request_id), runtime.unit(org_id, actor, request_id=request_id) as unit:
        if not dry_run:
            unit.lock()
            record(
                replace(unit, actor=OPERATOR),
                "request.replayed",
                subject_kind="request",
                subject_id=entry.id,
                reason="requested",
                touches_seats=False,
            )
        outcome = _answer(unit, services, caller, sent, dry_run=dry_run)
        if dry_run or outcome.status >= REFUSED:
            unit.session.rollback()
    return outcome


def _answer(unit: Unit, services: Services, caller: ScimPrincipal, sent: ScimRequest, *, dry_run: bool) -> Replay:
    unit.session.flush()
    before = unit.state().audit_seq
    service = services.of(caller)
    try:
        target = service.match(sent)
        operation = target.operation
        if operation in DISCOVERY:
            answer = service.discovery.answer(sent, target)
        elif caller.can_write or service.reads_only(operation):
            answer = serve_in(unit, service, caller, operation, sent)
        else:
            return _refused(service.read_only(caller), dry_run=dry_run)
    except Exception as exception:  # noqa: BLE001 (every refusal has its place in the one table)
        return _refused(exception, dry_run=dry_run)
    unit.session.flush()
    entries = unit.session.scalars(
        select(AuditEntry).where(AuditEntry.org_id == unit.org_id, AuditEntry.seq > before).order_by(AuditEntry.seq)
    )
    return Replay(
        dry_run=dry_run,
        status=int(answer.status),
        answer=_content(answer),
        changes=[Change(one.action, one.subject_kind, one.subject_id, one.reason) for one in entries],
        decisions=decisions_of(unit, unit.request_id, around=unit.at),
    )


def _refused(exception: Exception, *, dry_run: bool) -> Replay:
    refusal = refusal_of(exception)
    return Replay(dry_run, refusal.status, refusal.to_error().model_dump(), (), ())


def _content(answer: ScimResponse) -> Any:
    """Return the JSON value of an answer, as a client would read it."""
    if isinstance(answer, WrittenResponse):
        return orjson.loads(answer.text)
    return None if answer.body is None else orjson.loads(orjson.dumps(answer.body))


def _caller(unit: Unit, entry: LoggedRequest) -> ScimPrincipal:
    if entry.connection_id is None or entry.token_id is None:
        raise NotReplayableError("its token is nobody's")
    token = unit.session.get(ScimToken, (unit.org_id, entry.token_id))
    connection = unit.session.get(Connection, (unit.org_id, entry.connection_id))
    if token is None or connection is None:
        raise NotReplayableError("its token is no longer known")
    if connection.disabled_at is not None:
        raise NotReplayableError("its connection is disabled")
    return ScimPrincipal(
        unit.org_id,
        unit.organization().slug,
        entry.connection_id,
        token.id,
        token.can_write,
        token.last_used_at,
        token.member_id,
        unit.state().schema_version,
    )


def _request(runtime: Runtime, entry: LoggedRequest, caller: ScimPrincipal) -> ScimRequest:
    """Make the request again from what was kept; passwords, which nothing is done with, as they are kept."""
    if not entry.request_whole:
        raise NotReplayableError("its body was cut, or was not JSON in UTF-8")
    if entry.request_body is None and entry.bytes_in:
        raise NotReplayableError("its body was not read")
    query = dict(parse_qsl(entry.query, keep_blank_values=True))
    if any(REDACTED in value for value in query.values()):
        raise NotReplayableError("a secret was left out of its query")
    try:  # a document may be read that is too deep to be looked through
        lacking = "redacted" in (entry.request_body or "") and lacks_secrets(read_kept(entry.request_body))
    except RecursionError:
        lacking = True
    if lacking:
        raise NotReplayableError("a secret was left out of its body")
    headers: Mapping[str, str] = {"Content-Type": entry.content_type} if entry.content_type else {}
    return ScimRequest(
        method="GET" if entry.method == "HEAD" else entry.method,
        base_url=f"{runtime.settings.server.public_url}/scim/v2/{caller.slug}",
        path=entry.path,
        query=query,
        headers=headers,
        body=(entry.request_body or "").encode(),
        subject=caller,
    )
