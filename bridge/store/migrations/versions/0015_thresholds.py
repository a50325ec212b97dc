"""At how many percent of a tier's seats the owners are told, and which organizations have a tier that passed one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.migrations.gate import ORGANIZATIONS_PAST_THRESHOLD
from bridge.store.security import create_gate_function, let_gate_read, secure_table

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "seat_watch",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("percents", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_seat_watch_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_seat_watch")),
    )
    for statement in secure_table("seat_watch", gate_reads=True):
        op.execute(statement)
    for table in ("seat_pool", "alert"):
        for statement in let_gate_read(table):
            op.execute(statement)
    for statement in create_gate_function(*ORGANIZATIONS_PAST_THRESHOLD):
        op.execute(statement)
