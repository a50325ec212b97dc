"""Changes of the contract that are agreed and wait for a boundary."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import secure_table

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "agreed_change",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreed_by", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["contract.org_id"], name=op.f("fk_agreed_change_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_agreed_change")),
    )
    waiting = sa.text("state = 'agreed'")
    op.create_index("uq_agreed_change_waiting", "agreed_change", ["org_id"], unique=True, postgresql_where=waiting)
    for statement in secure_table("agreed_change"):
        op.execute(statement)
