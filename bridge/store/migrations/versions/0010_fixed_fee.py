"""Contracts for a fixed annual fee, and the roles that people have in the product."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import secure_table

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "fixed_fee",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("annual_fee", sa.BigInteger(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("paid_users", sa.BigInteger(), nullable=False),
        sa.Column("year_annual_fee", sa.BigInteger(), nullable=False),
        sa.Column("year_tier", sa.Text(), nullable=False),
        sa.Column("year_paid_users", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.Text(), nullable=False),
        sa.Column("term_years", sa.BigInteger(), nullable=False),
        sa.Column("schedule", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("annual_fee >= 0 AND year_annual_fee >= 0", name=op.f("ck_fixed_fee_fees_not_negative")),
        sa.CheckConstraint(
            "paid_users >= 0 AND year_paid_users >= 0", name=op.f("ck_fixed_fee_paid_users_not_negative")
        ),
        sa.CheckConstraint("term_years > 0", name=op.f("ck_fixed_fee_term_of_years")),
        sa.ForeignKeyConstraint(["org_id"], ["contract.org_id"], name=op.f("fk_fixed_fee_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_fixed_fee")),
    )
    op.create_table(
        "product_role",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("permissions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("paid", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_product_role_org_id")),
        sa.PrimaryKeyConstraint("org_id", "key", name=op.f("pk_product_role")),
    )
    op.create_table(
        "product_role_holder",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_product_role_holder_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "member_id", "role", name=op.f("pk_product_role_holder")),
    )
    op.create_index(op.f("ix_product_role_holder_org_id_role"), "product_role_holder", ["org_id", "role"])
    for table in ("fixed_fee", "product_role", "product_role_holder"):
        for statement in secure_table(table):
            op.execute(statement)
    # Of an alert that counts something: how many paid users there were when they became more than the tier's.
    op.add_column("alert", sa.Column("number", sa.BigInteger(), nullable=True))
