"""What an organization says about seats that run out: budgets to buy within, what was bought, when to be told."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.store.base import Base
from bridge.store.models.directory import KEY


class SeatBudget(Base):
    """How many seats of a tier provisioning may buy in a period, and for how much; one for each cost centre.

    The row without a cost centre is for everybody whose own has no row.
    """

    __tablename__ = "seat_budget"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "tier"], ["seat_pool.org_id", "seat_pool.tier"]),
        CheckConstraint("seats IS NOT NULL OR amount IS NOT NULL", name="has_a_cap"),
        CheckConstraint("seats >= 0 AND amount >= 0", name="not_negative"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    tier: Mapped[str] = mapped_column(primary_key=True)
    cost_centre_key: Mapped[str] = mapped_column(KEY, primary_key=True, doc="Folded for comparing; empty for the rest.")
    cost_centre: Mapped[str] = mapped_column(doc="As it was written; empty for the rest.")
    seats: Mapped[int | None] = mapped_column(doc="At most so many in a period; NULL for no such cap.")
    amount: Mapped[int | None] = mapped_column(
        doc="What is bought in a period costs at most so much for full periods, minor units before tax; NULL for none."
    )
    period: Mapped[str] = mapped_column(doc="month (of the contract's time zone) or period (of the contract).")
    set_at: Mapped[datetime]
    set_by: Mapped[str] = mapped_column(doc="The actor.")
    declined_at: Mapped[datetime | None] = mapped_column(doc="When a purchase within it was last refused.")
    refused_for: Mapped[str | None] = mapped_column(doc="The code of that refusal, as payment_failed.")


class BudgetPurchase(Base):
    """Seats that were bought within a budget at once; append-only."""

    __tablename__ = "budget_purchase"
    __table_args__ = (Index(None, "org_id", "tier", "cost_centre_key", "at"),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, doc="Counts from 1: the business fact that is charged.")
    at: Mapped[datetime]
    tier: Mapped[str]
    cost_centre_key: Mapped[str] = mapped_column(KEY)
    seats: Mapped[int]
    amount: Mapped[int] = mapped_column(doc="What was charged, minor units before tax.")
    full_amount: Mapped[int | None] = mapped_column(
        doc="What the seats cost for a full period, minor units before tax; NULL where it was not kept yet: by today's "
        "price then."
    )
    invoice_id: Mapped[uuid.UUID | None] = mapped_column(doc="NULL where nothing had to be paid (rule D4).")


class SeatWatch(Base):
    """At how many percent of a tier's seats in use the owners are told; without a row, as the default says."""

    __tablename__ = "seat_watch"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    percents: Mapped[list[Any]] = mapped_column(doc="Ascending, from 1 to 100.")
    set_at: Mapped[datetime]
    set_by: Mapped[str] = mapped_column(doc="The actor.")
