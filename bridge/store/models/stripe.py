"""Seats that Stripe bills: orders on their way there, with exactly what is sent, and the newest picture."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.store.base import Base


class StripeOrder(Base):
    """An order as the books of Stripe would have it, if Stripe kept orders."""

    __tablename__ = "stripe_order"
    __table_args__ = (
        UniqueConstraint("org_id", "mark"),
        CheckConstraint("state IN ('reserved', 'placed', 'declined', 'cancelled')", name="state_known"),
        CheckConstraint("(state = 'reserved') = (result IS NULL)", name="settled_with_result"),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    mark: Mapped[str] = mapped_column(doc="What it is called in the metadata at Stripe.")
    state: Mapped[str] = mapped_column(doc="reserved, placed, declined or cancelled.")
    request: Mapped[dict[str, Any] | None] = mapped_column(
        doc="What was ordered; None if it was cancelled before it came."
    )
    call: Mapped[dict[str, Any] | None] = mapped_column(doc="The exact requests, stored before the first is sent.")
    result: Mapped[dict[str, Any] | None] = mapped_column(doc="What it came to: a repeat answers the same.")
    at: Mapped[datetime]


class StripePicture(Base):
    """The newest picture of a subscription at Stripe, which numbers no versions itself."""

    __tablename__ = "stripe_picture"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    version: Mapped[int] = mapped_column(doc="When it was first seen so, in milliseconds since 1970.")
    fingerprint: Mapped[str]
