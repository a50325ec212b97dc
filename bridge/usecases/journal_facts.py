"""What the journal says of an earlier moment: who held which seat, and which entry stands where."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from bridge.store.models import AuditEntry, Decision
from bridge.store.unit import Unit

#: An invoice's own entry is written right after it; this many entries later it is another one's.
_NEAR = 10


def holders_at(unit: Unit, seq: int) -> dict[str, list[Decision]]:
    """Return who held a seat when the journal had come to an entry, by tier, in the order of their ids.

    Every decision is kept, so that it is the same answer whenever it is asked, whoever has left since.
    """
    newest = (
        select(Decision)
        .where(Decision.org_id == unit.org_id, Decision.seq <= seq)
        .ext(distinct_on(Decision.member_id))
        .order_by(Decision.member_id, Decision.seq.desc())
    )
    held: dict[str, list[Decision]] = {}
    for decision in unit.session.scalars(newest):
        if decision.to_tier is not None:
            held.setdefault(decision.to_tier, []).append(decision)
    return held


def decisions_between(unit: Unit, after: int, until: int) -> Sequence[Decision]:
    """Return the decisions after one entry of the journal, up to and with another, in their order."""
    return unit.session.scalars(
        select(Decision)
        .where(Decision.org_id == unit.org_id, Decision.seq > after, Decision.seq <= until)
        .order_by(Decision.seq)
    ).all()


def entry_naming_invoice(unit: Unit, invoice_id: uuid.UUID, after: int) -> AuditEntry | None:
    """Return the entry that recorded what an invoice charges; the first of an organization is its creation."""
    named = unit.session.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.org_id == unit.org_id,
            AuditEntry.seq > after,
            AuditEntry.seq <= after + _NEAR,
            or_(AuditEntry.body["invoice"].astext == str(invoice_id), AuditEntry.subject_id == str(invoice_id)),
        )
        .order_by(AuditEntry.seq)
        .limit(1)
    ).one_or_none()
    if named is not None:
        return named
    return unit.session.scalars(
        select(AuditEntry).where(
            AuditEntry.org_id == unit.org_id, AuditEntry.seq == after, AuditEntry.action == "organization.created"
        )
    ).one_or_none()


def entries_between(unit: Unit, after: int, until: int, actions: Collection[str]) -> Sequence[AuditEntry]:
    """Return the entries of some actions after one entry, up to and with another, in their order."""
    return unit.session.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.org_id == unit.org_id,
            AuditEntry.seq > after,
            AuditEntry.seq <= until,
            AuditEntry.action.in_(actions),
        )
        .order_by(AuditEntry.seq)
    ).all()
