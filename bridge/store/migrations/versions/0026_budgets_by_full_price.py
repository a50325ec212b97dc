"""Budgets count seats by what they cost for a full period, and keep why a purchase was refused."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("budget_purchase", sa.Column("full_amount", sa.BigInteger(), nullable=True))
    op.add_column("seat_budget", sa.Column("refused_for", sa.Text(), nullable=True))
