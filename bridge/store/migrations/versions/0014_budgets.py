"""Budgets within which provisioning buys seats, what was bought, and what paid for a seat."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.migrations.gate import BUDGETED_ORGANIZATIONS
from bridge.store.security import create_gate_function, secure_table

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "seat_budget",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("cost_centre_key", sa.Text(collation="C"), nullable=False),
        sa.Column("cost_centre", sa.Text(), nullable=False),
        sa.Column("seats", sa.BigInteger(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("declined_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "tier"], ["seat_pool.org_id", "seat_pool.tier"], name=op.f("fk_seat_budget_org_id_tier")
        ),
        sa.PrimaryKeyConstraint("org_id", "tier", "cost_centre_key", name=op.f("pk_seat_budget")),
        sa.CheckConstraint("seats IS NOT NULL OR amount IS NOT NULL", name=op.f("ck_seat_budget_has_a_cap")),
        sa.CheckConstraint("seats >= 0 AND amount >= 0", name=op.f("ck_seat_budget_not_negative")),
    )
    op.create_table(
        "budget_purchase",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("cost_centre_key", sa.Text(collation="C"), nullable=False),
        sa.Column("seats", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("org_id", "number", name=op.f("pk_budget_purchase")),
    )
    op.create_index(
        op.f("ix_budget_purchase_org_id_tier_cost_centre_key_at"),
        "budget_purchase",
        ["org_id", "tier", "cost_centre_key", "at"],
    )
    op.add_column("decision", sa.Column("purchase", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    for statement in secure_table("seat_budget", gate_reads=True):
        op.execute(statement)
    for statement in secure_table("budget_purchase", append_only=True):
        op.execute(statement)
    for statement in create_gate_function(*BUDGETED_ORGANIZATIONS):
        op.execute(statement)
