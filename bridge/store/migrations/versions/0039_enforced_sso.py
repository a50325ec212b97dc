"""Enforced single sign-on, and the link that lets an owner back in all the same."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("organization_state", sa.Column("sso_enforced_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sign_in_link", sa.Column("break_glass", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("sign_in_link", "break_glass", server_default=None)
