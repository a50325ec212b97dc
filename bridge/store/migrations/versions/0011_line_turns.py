"""When the wait of somebody began who was moved within the line."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("member", sa.Column("waited_from", sa.DateTime(timezone=True), nullable=True))
