"""The audit chain: every state change with who, what and why, each entry sealed onto the one before."""

import hmac
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select

from bridge.store.models import AuditEntry
from bridge.store.rows import insert_rows
from bridge.store.seals import frame, seal_content
from bridge.store.unit import Unit


@dataclass(frozen=True, slots=True)
class Entry:
    """What :func:`record_many` writes of one change; see :func:`record` for the words."""

    action: str
    subject_kind: str
    subject_id: object
    reason: str
    body: Mapping[str, Any] = field(default_factory=dict)


def record(
    unit: Unit,
    action: str,
    *,
    subject_kind: str,
    subject_id: object,
    reason: str,
    body: dict[str, Any] | None = None,
    touches_seats: bool = True,
) -> AuditEntry:
    """Append one entry to the organization's audit chain.

    Args:
        unit: The unit that makes the change; its organization is locked here if it is not yet.
        action: What was done, as ``member.created``.
        subject_kind: What kind of thing it was done to.
        subject_id: Its identifier, never a name.
        reason: A stable code that says why.
        body: Facts by identifier; no names, mail addresses or other personal data, so that erasure leaves the chain
            whole.
        touches_seats: Whether previews of seats and mappings made before are stale now (rule Q3).
    """
    state = unit.lock()
    entry = AuditEntry(
        org_id=unit.org_id,
        seq=state.audit_seq + 1,
        at=unit.at,
        actor=str(unit.actor),
        action=action,
        subject_kind=subject_kind,
        subject_id=str(subject_id),
        reason=reason,
        request_id=unit.request_id,
        body=body or {},
        previous=state.audit_head,
        digest=b"",
    )
    entry.digest = seal(entry, unit.audit_keys[0])
    state.audit_seq, state.audit_head = entry.seq, entry.digest
    if touches_seats:
        state.seat_version += 1
    unit.session.add(entry)
    return entry


def record_many(unit: Unit, entries: Sequence[Entry], *, touches_seats: bool = True) -> range:
    """Append a run of entries to the organization's audit chain, in this order, by one statement.

    Args:
        unit: As for :func:`record`.
        entries: What was done.
        touches_seats: As for :func:`record`.

    Returns:
        The numbers of the entries, in their order.
    """
    state = unit.lock()
    first = state.audit_seq + 1
    if not entries:
        return range(first, first)
    actor, key, head = str(unit.actor), unit.audit_keys[0], state.audit_head
    heads = [head]
    for seq, entry in enumerate(entries, first):
        framed = frame(
            org_id=unit.org_id,
            at=unit.at,
            actor=actor,
            action=entry.action,
            subject_kind=entry.subject_kind,
            subject_id=str(entry.subject_id),
            reason=entry.reason,
            request_id=unit.request_id,
            body=dict(entry.body),
        )
        head = seal_content(head, framed.content(seq), key)
        heads.append(head)
    numbers = range(first, first + len(entries))
    insert_rows(
        unit.session,
        AuditEntry,
        shared={"org_id": unit.org_id, "at": unit.at, "actor": actor, "request_id": unit.request_id},
        each={
            "seq": list(numbers),
            "action": [entry.action for entry in entries],
            "subject_kind": [entry.subject_kind for entry in entries],
            "subject_id": [str(entry.subject_id) for entry in entries],
            "reason": [entry.reason for entry in entries],
            "body": [orjson.dumps(entry.body).decode() for entry in entries],
            "previous": heads[:-1],
            "digest": heads[1:],
        },
    )
    state.audit_seq, state.audit_head = numbers[-1], head
    if touches_seats:
        state.seat_version += len(entries)
    return numbers


def seal(entry: AuditEntry, key: bytes) -> bytes:
    """Compute the digest of an entry over everything it says and the digest before it."""
    framed = frame(
        org_id=entry.org_id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject_kind=entry.subject_kind,
        subject_id=entry.subject_id,
        reason=entry.reason,
        request_id=entry.request_id,
        body=entry.body,
    )
    return seal_content(entry.previous, framed.content(entry.seq), key)


def verify(unit: Unit) -> int | None:
    """Check the whole chain of an organization.

    Returns:
        The number of the first entry that does not fit, or None when every entry does.
    """
    head = b""
    expected = 0
    with closing(read_entries(unit)) as entries:
        for entry in entries:
            expected += 1
            if entry.seq != expected or entry.previous != head or not _is_sealed(entry, unit.audit_keys):
                return expected
            head = entry.digest
    state = unit.state()
    if (state.audit_seq, state.audit_head) != (expected, head):
        return expected + 1
    return None


def is_sealed_by_these_keys(unit: Unit, *, newest: int = 20) -> bool:
    """Tell whether any of the newest entries was sealed by one of the keys at hand; True where nothing is written yet.

    False means other keys than the data was written with, where :func:`verify` alone would speak of the first entry.
    """
    entries = unit.session.scalars(
        select(AuditEntry).where(AuditEntry.org_id == unit.org_id).order_by(AuditEntry.seq.desc()).limit(newest)
    ).all()
    return not entries or any(_is_sealed(entry, unit.audit_keys) for entry in entries)


def causing_request(unit: Unit, subject_id: str, *, at: datetime) -> str | None:
    """Return the request in which something was recorded of a subject at an instant; None where nothing was."""
    return unit.session.scalars(
        select(AuditEntry.request_id)
        .where(AuditEntry.org_id == unit.org_id, AuditEntry.subject_id == subject_id, AuditEntry.at == at)
        .order_by(AuditEntry.seq)
        .limit(1)
    ).first()


def _is_sealed(entry: AuditEntry, keys: tuple[bytes, ...]) -> bool:
    return any(hmac.compare_digest(entry.digest, seal(entry, key)) for key in keys)


def read_entries(unit: Unit) -> Generator[AuditEntry, None, None]:
    """Yield the whole chain in its order, read piece by piece."""
    statement = (
        select(AuditEntry)
        .where(AuditEntry.org_id == unit.org_id)
        .order_by(AuditEntry.seq)
        .execution_options(yield_per=1000)
    )
    with closing(unit.session.scalars(statement)) as entries:
        yield from entries
