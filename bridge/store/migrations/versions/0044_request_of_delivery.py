"""A delivery keeps the id of the request that caused it, which the worker's log lines carry on."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("delivery", sa.Column("request_id", sa.Text(), nullable=True))
