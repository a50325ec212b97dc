"""What happened and why: decisions, audit, alerts, mapping versions, previews, deliveries."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import MemberId, OrgId
from bridge.store.base import Base

#: Why the two tables that grow with every push have no foreign key: each insert would lock the organization's row.
_OWN = "The policies let nobody write another organization's, and no organization is ever deleted."


class Decision(Base):
    """Why a member has the seat, or none: one row for every decision; append-only."""

    __tablename__ = "decision"
    __table_args__ = (
        Index(None, "org_id", "member_id", "seq"),
        Index(None, "org_id", "request_id"),
        Index(None, "org_id", "at", "seq"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True, doc=_OWN)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(doc="The audit entry that recorded it: the order of decisions.")
    member_id: Mapped[MemberId]
    at: Mapped[datetime]
    occasion: Mapped[str]
    from_tier: Mapped[str | None]
    to_tier: Mapped[str | None]
    reason: Mapped[str]
    granted_by: Mapped[str | None]
    waiting_for: Mapped[str | None]
    groups: Mapped[list[str]] = mapped_column(doc="Names of the groups seen.")
    rule: Mapped[dict[str, Any] | None] = mapped_column(doc="The mapping rule that won.")
    losing_rules: Mapped[list[str]] = mapped_column(doc="Keys of the rules that matched and lost.")
    mapping_version: Mapped[int]
    pools: Mapped[dict[str, Any]] = mapped_column(doc="{tier: {total, used}} right after.")
    invoice_id: Mapped[uuid.UUID | None] = mapped_column(doc="The charge that paid for the seat, if one did.")
    purchase: Mapped[dict[str, Any] | None] = mapped_column(
        doc="Of a seat bought within a budget: the budget, the formula and what is left."
    )
    request_id: Mapped[str]
    actor: Mapped[str]


class AuditEntry(Base):
    """One state change: who, what, why; a chain of HMACs in the order of ``seq``; append-only.

    Names and addresses stay out of the hashed part, so that erasing a person leaves the chain whole.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (Index(None, "org_id", "subject_id"),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True, doc=_OWN)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[str]
    reason: Mapped[str]
    request_id: Mapped[str]
    body: Mapped[dict[str, Any]]
    previous: Mapped[bytes]
    digest: Mapped[bytes]


class Alert(Base):
    """Something an owner should know or decide; open until it is resolved."""

    __tablename__ = "alert"
    __table_args__ = (Index("ix_alert_open", "org_id", "at", postgresql_where=text("resolved_at IS NULL")),)

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    code: Mapped[str]
    tier: Mapped[str | None]
    member_id: Mapped[MemberId | None]
    number: Mapped[int | None] = mapped_column(doc="How many it speaks of, where it counts something.")
    detail: Mapped[str] = mapped_column(doc="A sentence without personal data.")
    resolved_at: Mapped[datetime | None]


class MappingVersion(Base):
    """One version of the group mappings; append-only."""

    __tablename__ = "mapping_version"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    actor: Mapped[str]
    reason: Mapped[str] = mapped_column(doc="edited, rolled_back, group_arrived, group_removed or upgraded.")
    restores: Mapped[int | None] = mapped_column(doc="The version whose rules a rollback put in force again.")


class Preview(Base):
    """A change someone looked at and may confirm: dies after its time or when the seats changed (rule Q3)."""

    __tablename__ = "preview"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(doc="seats, seat, swap, mappings, amendment, plan, import or remove_inactive.")
    request: Mapped[dict[str, Any]]
    seat_version: Mapped[int] = mapped_column(doc="What it was computed against.")
    at: Mapped[datetime] = mapped_column(doc="The pinned instant of proration (rule Q2).")
    expires_at: Mapped[datetime]
    actor: Mapped[str]
    confirmed_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(doc="What the confirmation answered, for repeats (rule Q5).")


class IdempotencyKey(Base):
    """A caller's key and what it did: a repeat answers the same and does nothing (rule Q5)."""

    __tablename__ = "idempotency_key"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(doc="SHA-256 of the request's content.")
    result: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class Delivery(Base):
    """Something to bring out of the house: the row is the truth, workers come to it.

    Written in the transaction that causes it; delivered at least once, by its key once in effect.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("org_id", "key"),
        Index("ix_delivery_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(
        doc="invoice_mail, alert_mail, approval_mail, hold_reminder, usage_mail or app_logout."
    )
    key: Mapped[str]
    subject_id: Mapped[str] = mapped_column(doc="The invoice, alert, hold or approval it tells of.")
    request_id: Mapped[str | None] = mapped_column(
        doc="The request that caused it; NULL where a function of the database wrote it: the audit chain knows it then."
    )
    state: Mapped[str] = mapped_column(doc="pending, done or dead.")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime] = mapped_column(
        doc="Not before this instant; also the lease of a running attempt."
    )
    done_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(doc="A code, without personal data.")
