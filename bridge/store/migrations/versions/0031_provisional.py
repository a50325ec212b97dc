"""Who signs in before the directory names them is provisional; who is here already stays as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("member", sa.Column("provisional_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_member_provisional",
        "member",
        ["org_id", "provisional_until"],
        unique=False,
        postgresql_where=sa.text("provisional_until IS NOT NULL"),
    )
    op.add_column("connection", sa.Column("confirmation", sa.Text(), nullable=False, server_default="when_pushing"))
    op.alter_column("connection", "confirmation", server_default=None)
