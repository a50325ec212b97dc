"""Set-based changes of memberships."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Room beside each person for the next version of the row: a seat that changes then leaves every index alone.
    op.execute("ALTER TABLE member SET (fillfactor = 80)")
