"""The provisioning mode of an organization: everybody stays in the one that was there before."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "organization_state",
        sa.Column("provisioning_mode", sa.Text(), nullable=False, server_default="jit_and_scim"),
    )
    op.alter_column("organization_state", "provisioning_mode", server_default=None)
