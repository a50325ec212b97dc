"""A billing core that was restored may give ids of events again, and what it said before it was connected is over."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("billing_connection", sa.Column("generation", sa.Uuid(), nullable=True))
    # The owner of the table sees every organization's rows only where the policies are not forced on it.
    op.execute('ALTER TABLE "billing_connection" NO FORCE ROW LEVEL SECURITY')
    op.execute("UPDATE billing_connection SET generation = gen_random_uuid()")
    op.execute('ALTER TABLE "billing_connection" FORCE ROW LEVEL SECURITY')
    op.alter_column("billing_connection", "generation", nullable=False)
    op.drop_constraint(op.f("pk_core_event"), "core_event", type_="primary")
    op.create_primary_key(op.f("pk_core_event"), "core_event", ["org_id", "core_id", "event_id", "at"])
