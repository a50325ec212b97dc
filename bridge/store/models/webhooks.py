"""Addresses that are told of events, and the events on their way."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.store.base import Base


class WebhookEndpoint(Base):
    """An address of the application, and how far along the audit chain it has been told."""

    __tablename__ = "webhook_endpoint"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(doc="Which EventTypes it wants.")
    secret: Mapped[bytes] = mapped_column(doc="What events are signed with, sealed for this row.")
    previous_secret: Mapped[bytes | None] = mapped_column(doc="The one before, sealed alike: signs too until its time.")
    previous_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    seen_seq: Mapped[int] = mapped_column(doc="The audit entry up to which events were made.")
    failing_since: Mapped[datetime | None] = mapped_column(
        doc="Since when no event has been taken; NULL: it takes them."
    )
    disabled_at: Mapped[datetime | None]
    disabled_by: Mapped[str | None] = mapped_column(doc="failing, gone or by_hand.")


class WebhookMessage(Base):
    """One event for one endpoint: the row is the truth, workers come to it; names are read when it leaves."""

    __tablename__ = "webhook_message"
    __table_args__ = (
        ForeignKeyConstraint(
            ["org_id", "endpoint_id"], ["webhook_endpoint.org_id", "webhook_endpoint.id"], ondelete="CASCADE"
        ),
        CheckConstraint("state IN ('pending', 'done', 'dead')", name="state_known"),
        Index("uq_webhook_message_seq", "org_id", "endpoint_id", "seq", unique=True, postgresql_where=text("seq > 0")),
        Index(
            "ix_webhook_message_due",
            "org_id",
            "endpoint_id",
            "created_at",
            "seq",
            postgresql_where=text("state = 'pending'"),
        ),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    event_id: Mapped[uuid.UUID] = mapped_column(doc="The webhook-id: the same at every attempt and every endpoint.")
    endpoint_id: Mapped[uuid.UUID]
    seq: Mapped[int] = mapped_column(doc="The audit entry it tells of; 0 for a test.")
    event: Mapped[str]
    at: Mapped[datetime] = mapped_column(doc="When it happened.")
    state: Mapped[str] = mapped_column(doc="pending, done or dead.")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime] = mapped_column(
        doc="Not before this instant; also the lease of a running attempt."
    )
    done_at: Mapped[datetime | None]
    status: Mapped[int | None] = mapped_column(doc="What the endpoint answered last, as HTTP says it.")
    last_error: Mapped[str | None] = mapped_column(doc="A code, without personal data.")
