"""Contract, pools of seats, invoices and payments. Money is whole minor units."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.domain.plan_kinds import BUILTIN
from bridge.store.base import Base


class Contract(Base):
    """The commercial plan of an organization and its current period, [period_start, period_end)."""

    __tablename__ = "contract"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(
        doc="team, enterprise, contract, team_licence or user_licence (rule G1), or evaluation (rule B2)."
    )
    cycle: Mapped[str] = mapped_column(doc="month or year; none for an evaluation.")
    anchor: Mapped[datetime] = mapped_column(doc="Start of the first period; boundaries derive from it (rule R2).")
    currency: Mapped[str] = mapped_column(doc="ISO 4217.")
    time_zone: Mapped[str]
    tax_rate: Mapped[str] = mapped_column(doc='Decimal string, "0.25" for 25 %.')
    proration: Mapped[str]
    reduction: Mapped[str]
    minimum_seats: Mapped[int] = mapped_column(default=0)
    auto_renew: Mapped[bool]
    renewal_basis: Mapped[str]
    contract_minimum: Mapped[dict[str, Any]] = mapped_column(
        default=dict, doc="Seats per tier a renewal never goes under."
    )
    period_index: Mapped[int] = mapped_column(default=0)
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    status: Mapped[str] = mapped_column(default="active", doc="active or ended.")
    credit_balance: Mapped[int] = mapped_column(default=0, doc="Minor units, used before money (rule C3).")
    billed_by: Mapped[str] = mapped_column(default=BUILTIN, doc="builtin, or remote: a core that keeps its own books.")


class FixedFee(Base):
    """What a contract for a fixed annual fee has agreed; one row beside the contract of that kind (rules U4 to U7)."""

    __tablename__ = "fixed_fee"
    __table_args__ = (
        CheckConstraint("annual_fee >= 0 AND year_annual_fee >= 0", name="fees_not_negative"),
        CheckConstraint("paid_users >= 0 AND year_paid_users >= 0", name="paid_users_not_negative"),
        CheckConstraint("term_years > 0", name="term_of_years"),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("contract.org_id"), primary_key=True)
    annual_fee: Mapped[int] = mapped_column(doc="Agreed now, minor units for a contract year before the discount.")
    tier: Mapped[str] = mapped_column(doc="Name of the contracted tier.")
    paid_users: Mapped[int] = mapped_column(doc="So many the tier is meant for; more are let in (rule U3).")
    year_annual_fee: Mapped[int] = mapped_column(doc="The same when the present contract year began (rule U7).")
    year_tier: Mapped[str]
    year_paid_users: Mapped[int]
    discount: Mapped[str] = mapped_column(doc='Decimal string, "0.1" for 10 % (rule U6).')
    term_years: Mapped[int]
    schedule: Mapped[list[Any]] = mapped_column(doc='[{"month": 1, "share": "1/4"}, ...] (rule U4).')


class AgreedChange(Base):
    """A change of the contract that is agreed and waits for a boundary; afterwards what became of it."""

    __tablename__ = "agreed_change"
    __table_args__ = (
        Index("uq_agreed_change_waiting", "org_id", unique=True, postgresql_where=text("state = 'agreed'")),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("contract.org_id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(doc="fee, plan or successor.")
    terms: Mapped[dict[str, Any]] = mapped_column(doc="What counts then, whole.")
    agreed_at: Mapped[datetime]
    agreed_by: Mapped[str]
    effective_at: Mapped[datetime] = mapped_column(doc="The boundary it waits for.")
    state: Mapped[str] = mapped_column(doc="agreed, applied, cancelled or lapsed.")
    settled_at: Mapped[datetime | None]


class SeatPool(Base):
    """The seats of one tier: how many exist, how many are taken, what one costs.

    A seat is taken by one conditional UPDATE (``used < total``); the CHECK is the second net.
    """

    __tablename__ = "seat_pool"
    __table_args__ = (
        CheckConstraint("used BETWEEN 0 AND total", name="used_within_total"),
        CheckConstraint("total BETWEEN 0 AND paid", name="total_within_paid"),
        UniqueConstraint("org_id", "rank"),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    tier: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    rank: Mapped[int] = mapped_column(doc="Greater is better.")
    price: Mapped[int] = mapped_column(doc="This period's price for one seat and period, minor units.")
    next_price: Mapped[int] = mapped_column(doc="The price from the next renewal on (rule R4).")
    paid: Mapped[int] = mapped_column(default=0, doc="Seats paid for in this period.")
    total: Mapped[int] = mapped_column(default=0, doc="Assignable seats; also the next period's allocation (rule D3).")
    used: Mapped[int] = mapped_column(default=0, doc="Seats that members hold.")


class Invoice(Base):
    """An issued invoice or credit note; append-only."""

    __tablename__ = "invoice"
    __table_args__ = (UniqueConstraint("org_id", "number"), UniqueConstraint("org_id", "key"))

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[str]
    key: Mapped[str] = mapped_column(doc="The business fact it bills; a second invoice of one fact is impossible.")
    type: Mapped[str] = mapped_column(doc="invoice or credit_note.")
    reason: Mapped[str] = mapped_column(doc="start, renewal, seat_change, instalment, amendment or month.")
    counts: Mapped[str] = mapped_column(doc="What its quantities count: seats, people, teams, or fee: nothing.")
    journal_seq: Mapped[int] = mapped_column(
        doc="Number of the newest audit entry when it was written: what it follows from came before."
    )
    at: Mapped[datetime]
    currency: Mapped[str]
    subtotal: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    credit_applied: Mapped[int]
    amount_due: Mapped[int]
    facts: Mapped[dict[str, Any] | None] = mapped_column(
        doc="Both parties, dates and tax on the day of issue (bridge.domain.issued_facts); NULL for older invoices and "
        "for those that another core issued."
    )


class InvoiceLine(Base):
    """One line of an invoice, with the formula it was computed by; append-only."""

    __tablename__ = "invoice_line"
    __table_args__ = (ForeignKeyConstraint(["org_id", "invoice_id"], ["invoice.org_id", "invoice.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    invoice_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(
        doc="seat, seat_proration, seat_credit, contract_instalment, contract_amendment, team_licence or user_licence."
    )
    tier: Mapped[str]
    quantity: Mapped[int]
    start: Mapped[datetime]
    end: Mapped[datetime]
    unit_price: Mapped[int]
    amount: Mapped[int]
    formula: Mapped[str]
    exact: Mapped[str] = mapped_column(doc="The amount before it was rounded.")
    explanation: Mapped[str] = mapped_column(doc="The share of the period in words.")
    share: Mapped[str | None] = mapped_column(
        doc='The same as an exact fraction, "17/31"; NULL for lines of before it was kept.'
    )


class StoredBillingDetails(Base):
    """What owners say of whom invoices are made out and sent to, as it is now (rule B1).

    Every invoice keeps what it was on its own day in ``invoice.facts``.
    """

    __tablename__ = "billing_details"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    details: Mapped[dict[str, Any]] = mapped_column(doc="bridge.domain.billing_parties.BillingDetails as JSON.")
    changed_at: Mapped[datetime]
    changed_by: Mapped[str]


class Payment(Base):
    """Money collected for an invoice of a plan that is debited at once (rule Q4); append-only."""

    __tablename__ = "payment"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "invoice_id"], ["invoice.org_id", "invoice.id"]),
        UniqueConstraint("org_id", "key"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    invoice_id: Mapped[uuid.UUID]
    key: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    reference: Mapped[str | None]
    at: Mapped[datetime]
