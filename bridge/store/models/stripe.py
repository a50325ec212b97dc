"""Orders of seats on their way to Stripe: what exactly was sent, before it was."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.store.base import Base


class StripeOrder(Base):
    """An order as the books of Stripe would have it, if Stripe kept orders."""

    __tablename__ = "stripe_order"
    __table_args__ = (
        CheckConstraint("state IN ('reserved', 'placed', 'declined', 'cancelled')", name="state_known"),
        CheckConstraint("(state = 'reserved') = (result IS NULL)", name="settled_with_result"),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(doc="reserved, placed, declined or cancelled.")
    request: Mapped[dict[str, Any] | None] = mapped_column(
        doc="What was ordered; None if it was cancelled before it came."
    )
    call: Mapped[dict[str, Any] | None] = mapped_column(doc="The exact requests, stored before the first is sent.")
    result: Mapped[dict[str, Any] | None] = mapped_column(doc="What it came to: a repeat answers the same.")
    at: Mapped[datetime]
