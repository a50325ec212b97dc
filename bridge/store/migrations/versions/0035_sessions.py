"""Sessions say which browser they are of; lanes leave people who are signed in to who audits the end of sessions."""

import sqlalchemy as sa
from alembic import op

from bridge.store.functions import recreate_functions

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("web_session", sa.Column("device", sa.Text(), nullable=False, server_default=""))
    op.alter_column("web_session", "device", server_default=None)
    for functions in ("people", "memberships", "cases"):
        recreate_functions(functions)
