"""An organization whose seats are billed by a core of its own: how it is reached, orders on their way, events."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import MemberId, OrgId
from bridge.store.base import Base


class BillingConnection(Base):
    """The core that an organization's seats are bought at; no row where the embedded one bills."""

    __tablename__ = "billing_connection"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("contract.org_id"), primary_key=True)
    url: Mapped[str] = mapped_column(
        doc="The subscription's address at the core, without a slash at the end; at Stripe ``stripe:<subscription>``."
    )
    core_id: Mapped[uuid.UUID] = mapped_column(
        doc="Of the core: within it ids of invoices and events are told apart. It is kept under another address."
    )
    token: Mapped[bytes] = mapped_column(doc="Sealed: the bearer token that the core knows us by.")
    webhook_secret: Mapped[bytes] = mapped_column(doc="Sealed: what the core signs its events with.")
    subscription: Mapped[dict[str, Any]] = mapped_column(doc="The newest picture of it that came, as the core sent it.")
    version: Mapped[int] = mapped_column(doc="Of that picture: an older one is never taken.")
    cursor: Mapped[str | None] = mapped_column(doc="Behind the newest event that was asked for.")
    prices: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True),
        doc="Of a subscription at Stripe: the id of each tier's price; None for a core over HTTP.",
    )
    generation: Mapped[uuid.UUID] = mapped_column(
        doc="Another one each time it is connected: what a core said before does not count any more."
    )
    connected_at: Mapped[datetime]
    heard_at: Mapped[datetime | None] = mapped_column(doc="When the core last answered or told something.")


class BillingOrder(Base):
    """A purchase or reduction on its way to the organization's billing core: the row is the truth, workers come to it.

    Written in the transaction of the confirmation. An organization has one open order at a time, so that no quote is
    made against seats that are about to change.
    """

    __tablename__ = "billing_order"
    __table_args__ = (
        UniqueConstraint("org_id", "key"),
        Index("uq_billing_order_open", "org_id", unique=True, postgresql_where=text("state IN ('pending', 'dead')")),
        Index("ix_billing_order_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        CheckConstraint("state IN ('pending', 'placed', 'declined', 'cancelled', 'dead')", name="state_known"),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(doc="The business fact; the core knows the order by it.")
    body: Mapped[dict[str, Any]] = mapped_column(doc="Exactly what is sent.")
    quote: Mapped[dict[str, Any]] = mapped_column(doc="What the buyer saw and confirmed (rule Q2).")
    held_back: Mapped[dict[str, Any]] = mapped_column(doc="{tier: seats} not assignable meanwhile (rule D3).")
    member_id: Mapped[MemberId | None] = mapped_column(doc="Whom a one-seat purchase is for.")
    tier: Mapped[str | None] = mapped_column(doc="The tier that this member gets.")
    state: Mapped[str] = mapped_column(doc="pending, placed, declined, cancelled or dead.")
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(doc="The actor.")
    next_attempt_at: Mapped[datetime] = mapped_column(
        doc="Not before this instant; also the lease of a running attempt."
    )
    closed_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(doc="A code: of the last attempt, or why it was declined.")
    invoice_id: Mapped[uuid.UUID | None] = mapped_column(doc="The mirrored invoice, once placed.")


class CoreEventApplied(Base):
    """An event of a billing core that was applied here, once; append-only.

    A core that was restored from a back-up may give an id again: another instant is another event.
    """

    __tablename__ = "core_event"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    core_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, doc="Of the core that told it.")
    event_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    at: Mapped[datetime] = mapped_column(primary_key=True)
    applied_at: Mapped[datetime]
