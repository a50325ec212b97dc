"""The audit chain page by page: who did what to whom or what, when, and why."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import SQLColumnExpression, or_, select

from bridge.domain.identifiers import MemberId, parse_id
from bridge.domain.roles import Permission
from bridge.store import journal
from bridge.store.models import AuditEntry
from bridge.store.unit import Unit
from bridge.usecases.actors import name_actors
from bridge.usecases.people import name_people
from bridge.usecases.person_history import LISTS

PAGE_LENGTH: Final = 50

#: What an entry may be about, by the first part of its action, as pages call it.
TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "people": ("member", "members", "identity", "import"),
    "seats": ("seat", "seats", "pools", "budget", "thresholds"),
    "rules": ("mapping", "group", "product_role"),
    "the plan": ("contract", "plan", "evaluation", "organization"),
    "invoices": ("invoice", "billing_details", "billing_core"),
    "connections": ("connection", "token", "domain", "provisioning", "sso", "webhook", "scim_client"),
    "sign-ins": ("session", "sign_in_link", "app"),
    "the brake": ("brake",),
    "exports": ("export",),
}


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What is looked for; None and "" narrow nothing.

    Args:
        topic: One of :data:`TOPICS`.
        person: Entries about this person, the groups they were let into and out of included.
        request: Entries of one request, by its id.
        before: Entries older than the one of this number.
    """

    topic: str = ""
    person: MemberId | None = None
    request: str = ""
    before: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether anything is left out but what is newer."""
        return bool(self.topic or self.person or self.request)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One entry.

    Attributes:
        actor: In words.
        subject: The name of the person that it is about; None for anything else, and for who has left.
        facts: What it says besides, by identifier; empty for who may not see money (rule Z1).
    """

    seq: int
    at: datetime
    action: str
    actor: str
    reason: str
    subject_kind: str
    subject_id: str
    subject: str | None
    request_id: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the chain, the newest first; ``older`` is the number to go on before, None at the beginning."""

    lines: tuple[AuditLine, ...]
    older: int | None
    entries: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of checking the chain.

    Attributes:
        head: The seal of the newest entry, in hexadecimal digits: written down elsewhere, it proves the whole chain.
        first_bad: The number of the first entry that is not what was written; None when every one is.
        keys_fit: Whether the newest entries were sealed by the keys at hand.
    """

    entries: int
    head: str
    first_bad: int | None
    keys_fit: bool


def read_audit(unit: Unit, wanted: AuditFilter) -> AuditPage:
    """Return a page of the audit chain, the newest entries first.

    Raises:
        ForbiddenError: The actor may not review access.
    """
    unit.require(Permission.REVIEW_ACCESS)
    entries = unit.session.scalars(
        select(AuditEntry)
        .where(AuditEntry.org_id == unit.org_id, *_conditions(wanted))
        .order_by(AuditEntry.seq.desc())
        .limit(PAGE_LENGTH + 1)
    ).all()
    shown = entries[:PAGE_LENGTH]
    actors = name_actors(unit, {entry.actor for entry in shown})
    names = name_people(unit, _people(shown))
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    return AuditPage(
        lines=tuple(
            AuditLine(
                seq=entry.seq,
                at=entry.at,
                action=entry.action,
                actor=actors[entry.actor],
                reason=entry.reason,
                subject_kind=entry.subject_kind,
                subject_id=entry.subject_id,
                subject=names.get(MemberId(uuid.UUID(entry.subject_id))) if entry.subject_kind == "member" else None,
                request_id=entry.request_id,
                facts=entry.body if sees_money else {},
            )
            for entry in shown
        ),
        older=shown[-1].seq if len(entries) > PAGE_LENGTH else None,
        entries=unit.state().audit_seq,
    )


def verify_audit(unit: Unit) -> Verdict:
    """Check the whole chain.

    Raises:
        ForbiddenError: The actor may not review access.
    """
    unit.require(Permission.REVIEW_ACCESS)
    bad = journal.verify(unit)
    keys_fit = bad is None or journal.is_sealed_by_these_keys(unit)
    return Verdict(unit.state().audit_seq, unit.state().audit_head.hex(), bad, keys_fit)


def _conditions(wanted: AuditFilter) -> Collection[SQLColumnExpression[bool]]:
    found: list[SQLColumnExpression[bool]] = []
    if wanted.topic in TOPICS:
        kinds = TOPICS[wanted.topic]
        found.append(or_(*(AuditEntry.action.startswith(f"{kind}.", autoescape=True) for kind in kinds)))
    if wanted.person is not None:
        own, text = AuditEntry.subject_id == str(wanted.person), str(wanted.person)
        found.append(or_(own, *(AuditEntry.body[name].contains([text]) for name in LISTS)))
    if wanted.request:
        found.append(AuditEntry.request_id == wanted.request)
    if wanted.before is not None:
        found.append(AuditEntry.seq < wanted.before)
    return found


def _people(entries: Sequence[AuditEntry]) -> set[MemberId]:
    ids = (parse_id(entry.subject_id) for entry in entries if entry.subject_kind == "member")
    return {MemberId(one) for one in ids if one is not None}
