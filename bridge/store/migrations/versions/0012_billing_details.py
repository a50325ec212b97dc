"""Whom invoices are made out to, and what each of them said of both parties on its day."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import secure_table

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "billing_details",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_billing_details_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_billing_details")),
    )
    for statement in secure_table("billing_details"):
        op.execute(statement)
    op.add_column("invoice", sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
