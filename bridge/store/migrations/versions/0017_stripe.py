"""Seats that Stripe bills: which prices the tiers have there, orders on their way, the newest picture."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import secure_table

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("billing_connection", sa.Column("prices", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_table(
        "stripe_order",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("call", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('reserved', 'placed', 'declined', 'cancelled')", name=op.f("ck_stripe_order_state_known")
        ),
        sa.CheckConstraint("(state = 'reserved') = (result IS NULL)", name=op.f("ck_stripe_order_settled_with_result")),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_stripe_order_org_id")),
        sa.PrimaryKeyConstraint("org_id", "key", name=op.f("pk_stripe_order")),
        sa.UniqueConstraint("org_id", "mark", name=op.f("uq_stripe_order_org_id_mark")),
    )
    op.create_table(
        "stripe_picture",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_stripe_picture_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_stripe_picture")),
    )
    for table in ("stripe_order", "stripe_picture"):
        for statement in secure_table(table):
            op.execute(statement)
